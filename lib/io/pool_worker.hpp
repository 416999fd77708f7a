// One worker process as its pool sees it: its connection, what it prints, the job that it has.
#pragma once

#include "io/descriptor.hpp"
#include "io/frame.hpp"
#include "io/pool_core.hpp"

namespace eddy::detail {

struct pool_worker final : uv_block {
    enum class phase : unsigned char {
        starting, // until its hello
        idle,
        busy,
        leaving, // has been told that there is nothing more to do
        hung_up, // its end of the connection is closed: it is dead or will be
        dying,   // we have killed it
    };

    pool_worker(loop& l, uv_loop_t* u, pool_core& p) noexcept;

    // 0 or a negative libuv number; then every handle has been closed again.
    int spawn() noexcept;
    // Hands it the job. False: the worker was dead already, and has seen nothing of the job.
    bool give(pool_job& j) noexcept;
    // Nothing more to do: it is to end by itself.
    void leave() noexcept;
    void kill() noexcept;
    // Its job has gone, or is to go; the worker with it.
    void kill_for(pool_job::end why) noexcept;
    // The pool has gone.
    void lose_pool() noexcept;

    pool_core* pool; // null: that has gone
    pool_job* job = nullptr;
    phase at = phase::starting;
    int pid = 0;

private:
    // What it prints, where the pool wants to see it.
    struct output_pipe {
        struct step : engine::runnable {
            output_pipe* of = nullptr;
        };
        int open(pool_worker& w, unique_fd& child_end) noexcept;
        // Idempotent.
        void shut() noexcept;
        // The worker has ended: what is there is told, then it is shut.
        void finish() noexcept;
        // Tells the handler what is there, from the drain loop.
        void read() noexcept;
        pool_worker* worker = nullptr;
        pool_reference pool; // while it is open
        unique_fd fd;
        uv_poll_t poll;
        step ready;
        bool is_error = false;
        bool is_last = false;
    };
    static const engine::wait_kind output_kind;

    int open_link(unique_fd& child_end) noexcept;
    int start_process(int child_end, unique_fd (&outputs)[2]);
    void close_link() noexcept;
    void watch() noexcept;
    void set_timer(duration d) noexcept;
    // Sends what can be sent; a negative libuv number when it can't.
    int send() noexcept;
    void receive(int most) noexcept;
    void on_link(int status, int events) noexcept;
    void on_frame() noexcept;
    void on_hello() noexcept;
    void on_answer(frame_type type) noexcept;
    void on_hang_up() noexcept;
    void on_timer() noexcept;
    void on_exit(int code, int signum) noexcept;
    void after_job() noexcept;
    void bad(const char* why) noexcept;
    void let_go() noexcept override;

    frame_decoder decoder_;
    unique_fd link_;
    uv_process_t child_;
    uv_poll_t link_poll_;
    uv_timer_t timer_;
    output_pipe out_;
    output_pipe err_;
    int watched_ = 0;
    std::uint64_t job_id_ = 0;
    std::size_t sent_ = 0;
    std::size_t jobs_ = 0;
    pool_job::end verdict_ = pool_job::end::died;
    const char* text_ = nullptr;
    bool exited_ = false;
    bool ours_ = false; // that it ends is our doing
};

} // namespace eddy::detail
