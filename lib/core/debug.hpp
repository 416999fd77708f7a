// Debug mode: what would cost too much, or tell too much, to be looked at always. Private to lib/.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/core/loop.hpp>

#include <array>
#include <source_location>

namespace eddy::detail {

struct loop_state;

// Tells of steps that hold a loop for long. A step: from one await that had to wait to the next, or one callback.
class debug_watch : public engine::step_watch {
public:
    explicit debug_watch(loop_state& l) noexcept;
    debug_watch(const debug_watch&) = delete;

    void set_slow(duration d) noexcept { slow_ = d; }
    [[nodiscard]] duration slow() const noexcept { return slow_; }
    // For what runs outside of steps: a posted function.
    void begin(const char* what) noexcept;
    void end() noexcept;

private:
    void begin_step(const engine::runnable& r) noexcept;
    void note_task(const engine::task_record& r) noexcept;
    void tell(duration took) noexcept;

    loop_state& loop_;
    duration slow_{};
    bool begun_ = false; // or else debug mode was switched on in the middle of it
    std::int64_t began_at_ = 0;
    const char* what_ = "";
    // Copied: the task may be gone when it is told of. 0: no task.
    std::uint64_t id_ = 0;
    std::array<char, 80> name_{};
    std::source_location from_;
};

// While one of these lives on a loop in debug mode, something runs outside of steps.
class slow_section {
public:
    explicit slow_section(const char* what) noexcept;
    slow_section(const slow_section&) = delete;
    ~slow_section();

private:
    debug_watch* watch_ = nullptr;
};

// std::logic_error in debug mode when this thread is not the loop's. `what`: "call_soon".
void check_thread(const loop_state& l, const char* what);

} // namespace eddy::detail
