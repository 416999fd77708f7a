#include "offload/job_link.hpp"

#include "offload/worker_pool.hpp"

namespace eddy::detail {

job_link::job_link(job_context& c, std::shared_ptr<loop_hub> h) noexcept
    : context(&c), hub(std::move(h)), host(c.host), can_be_given_up_(c.host == nullptr) {
    deliver = [](engine::mail& m) noexcept { static_cast<job_link&>(m).bring(); };
    discard = [](engine::mail& m) noexcept {
        auto& self = static_cast<job_link&>(m);
        const std::shared_ptr<job_link> keep = std::move(self.in_box_);
        self.refuse();
        self.drop_entries();
    };
    child_ended = [](engine::group_core& g, engine::task_record&) noexcept {
        auto& self = static_cast<job_link&>(g);
        if (self.live_children == 0) self.close();
    };
}

job_link::~job_link() { drop_entries(); }

// ---- the thread

void job_link::check(const char* what) {
    {
        const std::lock_guard lock(guard);
        if (refused)
            throw closed(std::string("eddy: from_thread::") + what + "(): the pool of this job is being destroyed");
    }
    if (hub->box.closed())
        throw closed(std::string("eddy: from_thread::") + what + "(): the loop that sent this job has ended");
    from_thread::check_cancelled();
}

bool job_link::send(std::unique_ptr<link_entry> e) {
    bool first = false;
    {
        const std::lock_guard lock(guard);
        if (refused) return false;
        *last_ = e.release();
        last_ = &(*last_)->next;
        first = !std::exchange(mailed_, true);
        if (first) in_box_ = shared_from_this();
    }
    if (!first || hub->box.post(*this)) return true;
    const std::shared_ptr<job_link> keep = std::move(in_box_);
    drop_entries();
    return false;
}

link_entry* job_link::take_entries() noexcept {
    const std::lock_guard lock(guard);
    link_entry* all = std::exchange(first_, nullptr);
    last_ = &first_;
    return all;
}

void job_link::drop_entries() noexcept {
    for (link_entry* e = take_entries(); e != nullptr;)
        delete std::exchange(e, e->next);
}

void job_link::refuse() noexcept {
    const std::lock_guard lock(guard);
    refused = true;
    if (waiting != nullptr) waiting->release_waiter();
}

// ---- the loop

bool job_link::is_cancelled() const noexcept {
    if (can_be_given_up_) return given_up_;
    return host == nullptr || host->waits->where->has(engine::scope::cancelled);
}

void job_link::bring() noexcept {
    const std::shared_ptr<job_link> keep = std::move(in_box_);
    bool drop = is_cancelled() || eddy::loop::current().detail_state().closed;
    link_entry* first = nullptr;
    {
        const std::lock_guard lock(guard);
        mailed_ = false;
        drop = drop || refused;
        first = std::exchange(first_, nullptr);
        last_ = &first_;
    }
    while (first != nullptr) {
        const std::unique_ptr<link_entry> e(std::exchange(first, first->next));
        // What one entry did may have cancelled those behind it.
        if (drop || is_cancelled()) continue;
        open();
        e->run(*this);
    }
    if (live_children == 0) close();
}

void job_link::open() noexcept {
    if (is_open()) return;
    while_open_ = shared_from_this();
    flags &= ~(std::uint32_t{engine::scope::cancelled | engine::scope::requested} | (7u << engine::scope::why_shift));
    engine::open_scope(*this, host != nullptr ? *host->waits->where : eddy::loop::current().detail_state().root);
}

// Nothing runs in it.
void job_link::close() noexcept {
    const std::shared_ptr<job_link> keep = std::move(while_open_);
    if (is_open()) engine::unlink_scope(*this);
    if (!finishing_) return;
    finishing_ = false;
    offload_job& job = *std::exchange(host, nullptr);
    finish_job(job);
}

bool job_link::settle() noexcept {
    {
        const std::lock_guard lock(guard);
        finishing_ = mailed_;
    }
    if (live_children != 0) {
        finishing_ = true;
        engine::cancel_scope_tree(*this, engine::why::requested);
    }
    return !finishing_;
}

void job_link::give_up() noexcept {
    given_up_ = true;
    if (is_open()) engine::cancel_scope_tree(*this, engine::why::requested);
}

void job_link::orphan() noexcept {
    host = nullptr;
    finishing_ = false;
    if (!is_open()) return;
    engine::loop_core& l = *loop;
    engine::cancel_scope_tree(*this, engine::why::requested);
    engine::unlink_scope(*this);
    engine::open_scope(*this, l.root);
}

void drop_link(job_context& c) noexcept {
    job_link* const l = c.link.exchange(nullptr);
    const std::shared_ptr<job_link> keep = std::move(l->owned);
    l->host = nullptr;
}

void finish_job(offload_job& job) noexcept {
    if (job_link* const l = job.link.load(); l != nullptr) [[unlikely]] {
        if (!l->settle()) return;
        drop_link(job);
    }
    job.forget(job);
    if (job.back != nullptr) {
        job.back(job);
        return;
    }
    engine::waiter& w = *std::exchange(job.waits, nullptr);
    w.where->loop->grant(w, engine::status::ok);
}

// Against link_here(), which publishes the link and then looks at `refused`: one of the two sees the other.
void refuse_calls(job_context& c) noexcept {
    c.refused.store(true);
    if (job_link* const l = c.link.load(); l != nullptr) l->refuse();
}

void ask_job(job_context& c, const engine::scope& where) noexcept {
    const engine::scope* by = engine::cancelling_scope(where);
    const auto reason = by == nullptr ? engine::why::requested : by->reason();
    c.asked.store(static_cast<std::uint8_t>(1 + static_cast<unsigned>(reason)));
}

} // namespace eddy::detail
