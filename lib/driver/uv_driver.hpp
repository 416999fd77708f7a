// eddy on libuv: a loop of its own, or one that the program already runs.
#pragma once

#include <eddy/engine/driver.hpp>

#include <atomic>
#include <uv.h>

namespace eddy::engine {
class loop_core;
}

namespace eddy::driver {

class uv_driver final : public engine::driver {
public:
    // `adopted` is null for a loop of our own. A negative libuv error in `error` when the world would not let us have
    // one; libuv itself would have aborted the process in most of those cases.
    static uv_driver* make(uv_loop_t* adopted, int& error) noexcept;

    // Closes our handles. An own loop is run until they are gone and closed; an adopted one is left running and frees
    // the block in its next turn.
    void close() noexcept;

    // From now on the host's uv_run drains `core`.
    void attach(engine::loop_core& core) noexcept;

    // Told on any thread, also in signal handlers, whenever somebody wakes the loop: a host may not watch its
    // descriptor.
    struct wake_listener {
        void* user = nullptr;
        void (*woken)(void* user) noexcept = nullptr;
    };
    void listen(const wake_listener* l) noexcept { listener_.store(l, std::memory_order_release); }

    [[nodiscard]] uv_loop_t* uv() noexcept { return loop_; }
    [[nodiscard]] bool adopted() const noexcept { return adopted_; }
    // Somebody's uv_run on this loop is between prepare and check: running it again would be re-entry.
    [[nodiscard]] bool host_is_polling() const noexcept { return host_polling_; }

    std::int64_t now() noexcept override;
    void poll(std::int64_t deadline) noexcept override;
    void wake() noexcept override;
    bool has_outside_work() noexcept override;
    void settle(std::int64_t next_deadline, bool ready, bool pending) noexcept override;

private:
    uv_driver() = default;
    ~uv_driver() override = default;
    int open(uv_loop_t* adopted) noexcept;
    void arm(std::int64_t deadline) noexcept;
    static void on_turn(uv_handle_t* h) noexcept;
    static void on_closed(uv_handle_t* h);
    static void on_timer(uv_timer_t* t);

    uv_loop_t own_;
    uv_loop_t* loop_ = nullptr;
    uv_timer_t timer_;
    uv_async_t async_;
    uv_prepare_t prepare_;
    uv_check_t check_;
    uv_idle_t idle_;
    engine::loop_core* core_ = nullptr;
    std::int64_t armed_for_ = engine::never;
    std::atomic<const wake_listener*> listener_{nullptr};
    int open_handles_ = 0;
    bool adopted_ = false;
    bool polling_ = false;
    bool host_polling_ = false;
    bool referenced_ = false;
};

} // namespace eddy::driver
