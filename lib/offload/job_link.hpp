// The calls that a running job makes into the loop which sent it: from_thread.
//
// Made by the job's first such call. The thread adds entries, and one mail node brings them to the loop, in order; what
// an entry spawns is a child of the link, which is a scope under that of the task that awaits the job. A job comes back
// to its loop after all entries it has sent, and its await ends after all children have. So an entry runs while the
// task waits, or never.
//
// A job that may be given up (offload_abandon) has its link under the root of the loop; giving up cancels it.
#pragma once

#include <eddy/offload/from_thread.hpp>

#include "core/state.hpp"

namespace eddy::detail {

struct job_link final : engine::mail, engine::group_core, std::enable_shared_from_this<job_link> {
    job_link(job_context& c, std::shared_ptr<loop_hub> h) noexcept;
    ~job_link();

    // ---- the thread of the job
    // Throws `closed`, cancelled, when calls are not possible any more.
    void check(const char* what);
    // False: the loop takes nothing any more; the entry has been destroyed.
    bool send(std::unique_ptr<link_entry> e);
    void drop_entries() noexcept;

    // ---- any thread
    // Calls fail with `closed`; runs no user code.
    void refuse() noexcept;

    // ---- the loop's thread
    // The function has returned. False: entries are under way or children live; then the link finishes the job.
    bool settle() noexcept;
    // Whoever waited has gone.
    void give_up() noexcept;
    // The frame of the host goes, whatever still runs.
    void orphan() noexcept;

    job_context* const context; // valid while the job's thread is in a call, and (host) until it has come back
    const std::shared_ptr<loop_hub> hub;
    offload_job* host;
    std::shared_ptr<job_link> owned; // the context's reference

    std::mutex guard;
    remote_state_base* waiting = nullptr; // the call that the thread is in
    bool refused = false;

private:
    void bring() noexcept;
    void run_entries(link_entry* first) noexcept;
    link_entry* take_entries() noexcept;
    void open() noexcept;
    void close() noexcept;
    [[nodiscard]] bool is_cancelled() const noexcept;

    link_entry* first_ = nullptr;
    link_entry** last_ = &first_;
    bool mailed_ = false;
    std::shared_ptr<job_link> in_box_;
    // The loop's thread.
    std::shared_ptr<job_link> while_open_;
    const bool can_be_given_up_;
    bool given_up_ = false;
    bool finishing_ = false;
};

// On the loop: the job is back. Its await ends, at once or when what it has sent is done.
void finish_job(offload_job& job) noexcept;
// Calls of this job into its loop fail from now on, and one that blocks is ended.
void refuse_calls(job_context& c) noexcept;
// On the loop: the function is to learn of a cancellation of `where`.
void ask_job(job_context& c, const engine::scope& where) noexcept;

} // namespace eddy::detail
