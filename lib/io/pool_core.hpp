// A process_pool: its line of jobs, its workers, and when new ones are started.
#pragma once

#include <eddy/io/process_pool.hpp>

#include "io/uv_block.hpp"

namespace eddy::detail {

// What process_worker_main() was given, or null: it has not been called.
const char* worker_program_name() noexcept;

// libuv counts milliseconds, from a cached time. Does nothing for duration::max().
void start_uv_timer(uv_timer_t& t, duration d, uv_timer_cb f) noexcept;

// The pause after a worker died at its start. Has its own block, because a pool may outlive its loop.
struct pool_timer final : uv_block {
    pool_timer(loop& l, uv_loop_t* u, pool_core& c) noexcept;
    void start(duration d) noexcept;
    // Nobody waits for it any more.
    void leave() noexcept;

    uv_timer_t handle;

private:
    void let_go() noexcept override;
    pool_core* core_of_pool;
};

struct pool_core {
    // Workers that die at their start one after the other, until the jobs that wait are failed.
    static constexpr unsigned most_failed_starts = 5;

    pool_core(std::size_t n, process_pool_options o);
    pool_core(const pool_core&) = delete;
    ~pool_core();

    // Belongs to the loop of `where` from now on; std::logic_error when it is at work for another.
    void bind(const engine::scope& where, const char* what);
    // Does whatever can be done now: gives jobs to workers, starts workers, ends them after close(). Grants no job, so
    // that it may be called while one is being queued.
    void settle() noexcept;
    // Ends a job that a worker has, or that has just left the line.
    void conclude(pool_job& job, pool_job::end how, engine::status result) noexcept;
    // Everybody in the line is told the same.
    void fail_queue(pool_job::end how, int code_a, int code_b, int pid, const char* text) noexcept;
    // No worker of this program can ever be used. Static text.
    void break_down(const char* why) noexcept;
    // The worker is not there any more; it stays in memory until libuv has let go of it.
    void remove(pool_worker& w) noexcept;
    void remove_idle(pool_worker& w) noexcept;
    // A worker has answered a job: this program's workers are good for something.
    void proved() noexcept { failed_starts_ = 0; }
    // A worker ended before it had a job, or (code_a negative) could not be started at all.
    void start_failed(int code_a, int code_b, int pid) noexcept;
    void on_timer() noexcept;
    // The loop has gone.
    void lose_timer() noexcept;
    // The pool object has gone.
    void abandon() noexcept;

    process_pool_options options;
    std::shared_ptr<const process_function_table> table;
    std::size_t limit;
    waiting_line queue; // of pool_job
    std::size_t queued = 0;
    waiting_line closers;
    std::vector<pool_worker*> workers; // room for `limit` is reserved in both
    std::vector<pool_worker*> idle;    // the last one was used last
    std::size_t starting = 0;
    process_pool_statistics totals;
    std::uint64_t next_id = 0;
    unsigned references = 0;
    bool closed = false;
    bool gone = false; // abandoned
    const char* broken = nullptr;

private:
    void dispatch() noexcept;
    bool start_worker() noexcept;

    engine::loop_core* bound_ = nullptr; // valid while there is a timer
    pool_timer* timer_ = nullptr;
    unsigned failed_starts_ = 0;
    bool pausing_ = false;
    int failed_a_ = 0; // of the last failed start
    int failed_b_ = 0;
    int failed_pid_ = 0;
};

} // namespace eddy::detail
