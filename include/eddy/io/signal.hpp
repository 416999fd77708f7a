// Signals that arrive at this process, as something to wait for.
#pragma once

#include <eddy/core/operation.hpp>

#include <initializer_list>
#include <string>

namespace eddy {

// "SIGTERM"; "SIGRTMIN+2" and "signal 77" for numbers without a name of their own. Any thread.
[[nodiscard]] std::string signal_name(int signum);

namespace detail {

struct signal_block;

class signal_reference {
public:
    signal_reference() noexcept = default;
    explicit signal_reference(signal_block& b) noexcept;
    signal_reference(const signal_reference& o) noexcept;
    signal_reference(signal_reference&& o) noexcept : block_(std::exchange(o.block_, nullptr)) {}
    signal_reference& operator=(signal_reference o) noexcept {
        std::swap(block_, o.block_);
        return *this;
    }
    ~signal_reference();
    [[nodiscard]] signal_block* get() const noexcept { return block_; }
    signal_block* operator->() const noexcept { return block_; }

private:
    signal_block* block_ = nullptr;
};

class signal_operation final : public leaf_operation<signal_operation> {
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = int;
    static constexpr engine::wait_kind kind{.name = "signal",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    explicit signal_operation(signal_reference b) noexcept : block_(std::move(b)) {}
    signal_operation(signal_operation&&) = default;
    ~signal_operation();
    bool attempt();
    void enqueue() noexcept;
    int take() noexcept;

private:
    friend signal_block;
    signal_reference block_;
    int signum_ = 0; // what it was granted
};

} // namespace detail

// Watches some signals from its construction to its destruction: they do not have their default action meanwhile.
// Move-only; loop thread only. Operations that wait when it is destroyed end with object_destroyed.
//
// Each arrival is given to one next(), first come, first served; what arrives while nobody waits is kept and counted
// for each number, so that none is lost between two calls, and the number that has waited longest is given first. (The
// kernel itself merges signals of one number that arrive faster than they are handled.) Watching keeps no loop alive by
// itself. To watch SIGINT, run with run_options().handle_sigint(false): otherwise run() and this set both want it, and
// the set wins until it is destroyed, when the default action is back.
class signal_set {
public:
    // Starts watching on the running loop. std::logic_error for numbers that can't be watched (SIGKILL, SIGSTOP, what
    // is no signal), for an empty list, and on loops with simulated time; no_running_loop; uv_error; std::bad_alloc.
    signal_set(std::initializer_list<int> signums);
    signal_set(signal_set&& other) noexcept = default;
    signal_set& operator=(signal_set&& other) noexcept;
    ~signal_set();

    // The number of the next signal. A checkpoint; cancelling it loses no signal.
    [[nodiscard]] detail::signal_operation next() const noexcept;

    // Arrived and not yet given to anybody.
    [[nodiscard]] std::size_t pending() const noexcept;

private:
    void leave() noexcept;
    detail::signal_reference block_;
};

} // namespace eddy
