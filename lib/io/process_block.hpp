// A child process as the loop sees it: its handles, what came out of it, and who waits for it.
#pragma once

#include <eddy/io/process.hpp>

#include "io/descriptor.hpp"
#include "io/output_sink.hpp"
#include "io/uv_block.hpp"

namespace eddy::detail {

struct process_block final : uv_block {
    // The reading end of a pipe that the child writes to.
    class output_pipe {
    public:
        explicit output_pipe(const stdio& how) noexcept : sink(how) {}
        // The pipe that libuv polls; the child's end goes to `child_end`. A negative libuv error when it can't be made.
        int open(process_block& b, unique_fd& child_end) noexcept;
        // Idempotent.
        void close(process_block& b) noexcept;
        [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(fd_); }
        // Takes what is in the pipe by now, and closes it: its end was not waited for.
        void give_up(process_block& b) noexcept;
        output_sink sink;

    private:
        void on_readable(process_block& b, int error) noexcept;
        // Reads once. False: the end has come, or there is nothing to read now; `again` says which.
        bool read(std::size_t most, bool& again) noexcept;
        uv_poll_t poll_;
        unique_fd fd_;
    };

    process_block(loop& l, uv_loop_t* uv, const process_options& o) noexcept

        : uv_block(l, uv), out(o.out()), err(o.err()), grace(o.grace()), drain_timeout(o.drain_timeout()),
          own_group(!o.same_group()) {}

    // A negative libuv error; then every handle has been closed again.
    int spawn(uv_process_options_t& how, const process_options& o) noexcept;
    // Does what kill(2) does: 0 or a negative libuv error.
    [[nodiscard]] int signal(int signum) const noexcept;
    // SIGTERM now, SIGKILL after the grace. Idempotent; no effect after the exit.
    void begin_termination() noexcept;
    // Its owner has gone: nobody can ask for anything any more.
    void leave() noexcept;
    // Throws std::logic_error when `where` is of another loop.
    void check_loop(const engine::scope& where, const char* what) const;
    [[nodiscard]] std::size_t describe(const char* what, char* text, std::size_t room) const noexcept;
    [[nodiscard]] process_result take_result();

    output_pipe out;
    output_pipe err;
    engine::runnable_list exit_waiters;
    engine::runnable_list finish_waiters;
    exit_status status;
    int pid = 0;
    bool exited = false;   // and reaped
    bool finished = false; // and both outputs have ended, or were given up

private:
    void let_go() noexcept override;
    void on_exit(int code, int signum) noexcept;
    void on_timer() noexcept;
    void output_ended() noexcept;
    void start_timer(duration d) noexcept;

    uv_process_t child_;
    uv_timer_t timer_; // the grace; after the exit the drain timeout
    duration grace;
    duration drain_timeout;
    bool own_group;
    bool terminating_ = false;
    bool drained_ = true;
    bool taken_ = false;
};

} // namespace eddy::detail
