// Threads that are made when there is work for them, and the queue that they work off, first come first served.
//
// All is decided under one lock: a job is queued only where a thread is sure to look for it (one that idles, that has
// just been made, or that is busy and will come back), and a thread that leaves has taken itself out of that count
// under the same lock, so that no job is left to one that has gone. A job counts as running until its function has
// returned, whether or not anybody still waits for it.
//
// Lock order: the pool's, then a job_link's, then a remote_state's or a mailbox's.
#pragma once

#include <eddy/core/promise.hpp>
#include <eddy/offload/job.hpp>
#include <eddy/offload/thread_pool.hpp>

#include "core/signals_blocked.hpp"
#include "offload/returns.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <string>
#include <vector>

namespace eddy::detail {

// While it is there, from_thread speaks for this job on this thread.
class running_job {
public:
    explicit running_job(job_context* c) noexcept;
    ~running_job();
    running_job(const running_job&) = delete;
    // Null: no job runs on this thread.
    [[nodiscard]] static job_context* current() noexcept;

private:
    job_context* const before_;
};

// The function sees the values (task_local) of the task that called; what it sets is gone afterwards.
inline void run_job(thread_job& j) noexcept {
    const running_job here(j.context);
    const locals_scope locals(j.context == nullptr ? local_values() : j.context->locals);
    j.how->work(j);
}

class worker_pool : public std::enable_shared_from_this<worker_pool> {
public:
    struct plan {
        std::size_t most = 1; // threads that run at a time
        std::size_t room = 0; // jobs in the queue beyond what the threads do
        duration linger{};
        std::size_t stack = 0; // bytes; 0: the system's
        std::string name;
        std::function<void()> on_start;
        std::function<void()> on_stop;
        bool detached = false; // the threads are never joined, and the pool never destroyed
    };
    enum class as : unsigned char { usual, reserved, alone };

    explicit worker_pool(plan p);
    worker_pool(const worker_pool&) = delete;
    ~worker_pool();

    // ---- any thread
    [[nodiscard]] bool is_of_this_process() const noexcept;
    // std::logic_error in a child process.
    void check_process(const char* what) const;
    // The same; `closed` when it is.
    void check_usable(const char* what);
    // loss::none: taken. no_thread: there is none and none can be made (`alone`: none that has nothing to do).
    [[nodiscard]] loss submit(thread_job& j, as how) noexcept;
    // A place for submit(…, reserved). False: there is no room.
    [[nodiscard]] bool reserve() noexcept;
    void unreserve() noexcept;
    // False: it runs, or has run.
    bool take_back(thread_job& j) noexcept;
    // Nobody waits for it any more: never run if it is queued (true; the job is the caller's), else counted.
    bool give_up(thread_job& j) noexcept;
    // Refuses work from now on; the promise is set when what was accepted has run and the threads have ended.
    void close(thread_promise<void> ended);
    // Calls into loops fail, what is queued is lost; waits for what runs. std::terminate on one of its own threads.
    void destroy() noexcept;
    // What runs on this thread begins or ends to wait for a loop: another thread may take its place.
    void blocks(bool begin) noexcept;
    [[nodiscard]] thread_pool_statistics statistics() noexcept;
    [[nodiscard]] const std::string& name() const noexcept { return plan_.name; }
    // Jobs that a simulated loop runs itself.
    void begin_simulated() noexcept;
    void end_simulated() noexcept;
    [[nodiscard]] bool is_destroyed() noexcept;
    // Waits for the last thread, where it has told of its end, to be gone.
    void join_last() noexcept;

private:
    // What a thread is doing.
    struct seat {
        seat* next = nullptr;
        seat* prev = nullptr;
        worker_pool* pool = nullptr;
        thread_job* job = nullptr;
        bool given_up = false; // the job
    };
    using lock_type = std::unique_lock<std::mutex>;
    static thread_local seat* here;

    static void* enter(void* pool);
    void live(seat& mine) noexcept;
    bool begin(lock_type& lock) noexcept;
    void leave(lock_type& lock) noexcept;
    bool wait_for_work(lock_type& lock);
    void wake_one() noexcept;
    thread_job* take_next(seat& mine) noexcept;
    void free(seat& mine) noexcept;
    thread_job& pop() noexcept;
    bool add_thread() noexcept;
    [[nodiscard]] std::size_t usable() const noexcept { return threads_ - blocked_; }
    [[nodiscard]] bool has_room() const noexcept {
        const std::size_t load = busy_ - blocked_ + queued_ + reserved_ + simulated_;
        return load < plan_.most || load - plan_.most < plan_.room;
    }
    void tell_ended(lock_type& lock) noexcept;

    const plan plan_;
    const unsigned born_in_; // fork_generation()
    std::mutex guard_;
    std::condition_variable work_;
    std::condition_variable gone_;
    job_list queue_;
    seat* seats_ = nullptr;
    std::size_t queued_ = 0;
    std::size_t reserved_ = 0;
    std::size_t threads_ = 0;  // that look for work, or will
    std::size_t alive_ = 0;    // that have not ended
    std::size_t idle_ = 0;     // waiting, or on the way there
    std::size_t sleeping_ = 0; // of the idle, those that sleep and were not called
    std::size_t called_ = 0;   // of the idle, those that wake up
    std::size_t busy_ = 0;
    std::size_t blocked_ = 0; // of the busy
    std::size_t abandoned_ = 0;
    std::size_t simulated_ = 0;
    bool closed_ = false;
    bool destroyed_ = false;
    bool has_ended_thread_ = false;
    pthread_t ended_thread_{}; // each thread that ends joins the one before it
    std::vector<thread_promise<void>> to_tell_;
};

} // namespace eddy::detail
