#include <eddy/offload/from_thread.hpp>

#include "offload/job_link.hpp"
#include "offload/worker_pool.hpp"

namespace eddy {

namespace detail {

namespace {
job_context& context_here(const char* what) {
    job_context* const c = running_job::current();
    if (c != nullptr) return *c;
    throw std::logic_error(std::string("eddy: from_thread::") + what +
                           (loop::try_current() != nullptr
                                ? "() on the thread of a loop; it is for functions that offload or a thread_pool runs"
                                : "() on a thread that runs no job of a loop; other threads use a loop_ref"));
}
} // namespace

std::shared_ptr<job_link> link_here(const char* what, bool blocking) {
    job_context& c = context_here(what);
    if (blocking && loop::try_current() != nullptr)
        throw std::logic_error(std::string("eddy: from_thread::") + what +
                               "() where a loop runs on this thread: it would wait for itself");
    job_link* l = c.link.load();
    if (l == nullptr) {
        auto made = std::make_shared<job_link>(c, *c.hub);
        l = made.get();
        l->owned = std::move(made);
        c.link.store(l);
        if (c.refused.load()) l->refuse(); // see refuse_calls()
    }
    l->check(what);
    return l->shared_from_this();
}

bool send_entry(job_link& l, std::unique_ptr<link_entry> e) { return l.send(std::move(e)); }

void wait_here(job_link& l, remote_state_base& s) {
    {
        const std::lock_guard lock(l.guard);
        l.waiting = &s;
        if (l.refused) s.release_waiter();
    }
    const bool ended = s.wait_unless_released();
    {
        const std::lock_guard lock(l.guard);
        l.waiting = nullptr;
    }
    if (ended) return;
    l.drop_entries();
    throw closed("eddy: the pool of this job is being destroyed, and from_thread::run() can't wait any longer");
}

void explain_cancelled(job_link& l) {
    // The task has been cancelled with ours, though its loop may have ended by now as well.
    from_thread::check_cancelled();
    l.check("run");
}

void report_posted(std::exception_ptr e) noexcept {
    loop* const l = loop::try_current();
    report(l == nullptr ? nullptr : &l->detail_state(), nullptr, "a function that a job had posted threw",
           std::move(e));
}

} // namespace detail

bool from_thread::cancel_requested() {
    return detail::context_here("cancel_requested").asked.load(std::memory_order_relaxed) != 0;
}

void from_thread::check_cancelled() {
    const auto asked = detail::context_here("check_cancelled").asked.load(std::memory_order_relaxed);
    if (asked != 0) throw cancelled(cancel_reason(static_cast<cancel_kind>(asked - 1)));
}

} // namespace eddy
