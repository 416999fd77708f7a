// Programs: start one, wait for its end and for its output, end it.
//
// A program is started in a session and group of its own, and signals go to the group. Its exit and the end of its
// output are two events: a grandchild may hold the pipe open for hours. It is reaped by the loop, whether somebody
// waits or not: no zombie is left, also when the wait is cancelled, the frame destroyed, or the loop closed.
#pragma once

#include <eddy/core/operation.hpp>
#include <eddy/io/captured_output.hpp>
#include <eddy/io/process_options.hpp>

#include <optional>
#include <string>

namespace eddy {

// How a program ended.
class exit_status {
public:
    exit_status() noexcept = default;
    // Either a code with signal 0, or the signal that ended it.
    exit_status(int code, int signum) noexcept : code_(code), signal_(signum) {}

    // It ended by itself, with code().
    [[nodiscard]] bool exited() const noexcept { return signal_ == 0; }
    // 0 to 255; 0 also when a signal ended it.
    [[nodiscard]] int code() const noexcept { return code_; }
    // The signal that ended it; 0 when none did.
    [[nodiscard]] int signal() const noexcept { return signal_; }
    // exited() with code 0.
    [[nodiscard]] bool success() const noexcept { return signal_ == 0 && code_ == 0; }

    friend bool operator==(const exit_status&, const exit_status&) noexcept = default;

private:
    int code_ = 0;
    int signal_ = 0;
};

// "exit 3", "SIGKILL". Any thread.
[[nodiscard]] std::string to_string(const exit_status& s);

// A program that has ended, and what it wrote. Move-only.
class process_result {
public:
    process_result() noexcept = default;

    exit_status status;
    captured_output out;
    captured_output err;
    // False: output was still held open by somebody else after the drain timeout, and was not waited for any longer;
    // out.truncated() or err.truncated() says which.
    bool drained = true;
};

class process;

namespace detail {

struct process_block;
class run_process_operation;

// A counted reference to the block that holds a process's handles. The block lives until the last of its references has
// gone and libuv has let go of its handles.
class process_reference {
public:
    process_reference() noexcept = default;
    explicit process_reference(process_block& b) noexcept;
    process_reference(const process_reference& o) noexcept;
    process_reference(process_reference&& o) noexcept : block_(std::exchange(o.block_, nullptr)) {}
    process_reference& operator=(process_reference o) noexcept {
        std::swap(block_, o.block_);
        return *this;
    }
    ~process_reference();
    [[nodiscard]] process_block* get() const noexcept { return block_; }
    process_block* operator->() const noexcept { return block_; }
    explicit operator bool() const noexcept { return block_ != nullptr; }

private:
    process_block* block_ = nullptr;
};

// exited() and terminate().
class process_exit_operation final : public leaf_operation<process_exit_operation> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = exit_status;
    static constexpr engine::wait_kind kind{.name = "process.exited",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    process_exit_operation(process_reference b, bool terminate) noexcept
        : block_(std::move(b)), terminate_(terminate) {}
    process_exit_operation(process_exit_operation&&) = default;
    ~process_exit_operation() { end(); }
    bool start();
    bool attempt();
    void enqueue() noexcept;
    exit_status take();

private:
    process_reference block_;
    bool terminate_;
};

// finished().
class process_finish_operation final : public leaf_operation<process_finish_operation> {
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = process_result;
    static constexpr engine::wait_kind kind{.name = "process.finished",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    explicit process_finish_operation(process_reference b) noexcept : block_(std::move(b)) {}
    process_finish_operation(process_finish_operation&&) = default;
    ~process_finish_operation() { end(); }
    bool attempt();
    void enqueue() noexcept;
    process_result take();

private:
    process_reference block_;
};

} // namespace detail

// A program that was started, or has ended. Move-only; loop thread only, but it may be destroyed after its loop.
//
// Destroying it never blocks. A child that still runs then gets SIGTERM, and SIGKILL after the grace; the loop reaps it
// in the background, and a loop that is destroyed waits for that. Operations that wait for the process end with
// object_destroyed.
class process {
public:
    // Starts the program on the running loop. What is used besides the program's own needs: one descriptor for each
    // captured stream until its end. Not a checkpoint; returns once the program has been executed or could not be.
    // Throws uv_error with the program's name in the text (ENOENT: no such program, EACCES, E2BIG: arguments too long,
    // ENOENT or ENOTDIR with the directory's name for a bad cwd, EMFILE, EAGAIN: too many processes …); then nothing
    // is left of it. std::logic_error for bad options and on loops with simulated time; no_running_loop; bad_alloc.
    [[nodiscard]] static process start(const process_options& options);

    process(process&& other) noexcept = default;
    // Ends the process it held as the destructor does.
    process& operator=(process&& other) noexcept;
    ~process();

    // Its process id, which is also its group's id unless same_group(true). Stays known after its end.
    [[nodiscard]] int pid() const noexcept;

    // It has ended and been reaped.
    [[nodiscard]] bool done() const noexcept;

    // Sends a signal to its group (same_group(true): to it alone). False when it has been reaped. uv_error when the
    // system refuses (EPERM, EINVAL for an unknown number).
    bool kill(int signum);

    // Waits until it has ended and has been reaped. Any number may wait, also after the end. A checkpoint; cancelling
    // it only stops the waiting.
    [[nodiscard]] detail::process_exit_operation exited() const noexcept;

    // Waits until it has ended and its output has too (see drain_timeout), and gives both. The result can be taken
    // once; awaiting it again is a std::logic_error. A checkpoint; cancelling it only stops the waiting and loses
    // nothing: call it again.
    [[nodiscard]] detail::process_finish_operation finished() const noexcept;

    // SIGTERM to its group; SIGKILL if it has not ended after the grace; waits until it has been reaped. At once when
    // it has ended already. Shielded, because clean-up is what it is for: it does all this in a cancelled scope too,
    // and the cancellation waits for the next checkpoint. The output of what was ended comes from finished(),
    // afterwards.
    [[nodiscard]] detail::process_exit_operation terminate() noexcept;

private:
    friend detail::run_process_operation;
    explicit process(detail::process_reference b) noexcept : block_(std::move(b)) {}
    void leave() noexcept;
    detail::process_reference block_;
};

namespace detail {

// Starts in start(), and owns the process until it has finished.
class run_process_operation final : public leaf_operation<run_process_operation> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = process_result;
    static constexpr engine::wait_kind kind{.name = "run_process",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    explicit run_process_operation(process_options o) : options_(std::move(o)) {}
    run_process_operation(run_process_operation&&) = default;
    ~run_process_operation() { end(); }
    bool attempt() noexcept;
    void enqueue() noexcept;
    process_result take();
    [[noreturn]] void fail();

private:
    [[nodiscard]] process_block& block() const noexcept { return *process_->block_.get(); }
    process_options options_;
    std::optional<process> process_;
    std::exception_ptr error_;
};

} // namespace detail

// Runs a program:
//
//     process_options o("git", {"status", "--short"}); // on a line of its own: GCC 12 takes no {…} beside co_await
//     o.out(stdio::capture());
//     auto op = run_process(o);
//     process_result r = co_await op;
//
// Starts it and waits until it has ended and its output has too. Throws what process::start() throws.
// A checkpoint. Cancelling it (a timeout, a failing sibling, Ctrl-C) sends SIGTERM to the group, after the grace
// SIGKILL, and ends as cancelled when the program has been reaped; its output is gone then. Where the output of a
// program that ran out of time is wanted, use process::start(), finished() and terminate().
[[nodiscard]] inline detail::run_process_operation run_process(process_options options) {
    return detail::run_process_operation(std::move(options));
}

} // namespace eddy
