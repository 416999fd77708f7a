#include <eddy/engine/loop_core.hpp>

#include <new>
#include <utility>

namespace eddy::engine {

loop_core::loop_core(driver& d, pool& memory, mailbox& box) noexcept : driver_(&d), pool_(&memory), box_(&box) {
    root.loop = this;
    root.flags |= scope::is_root;
    now_ = driver_->now();
}

loop_core::~loop_core() = default;

bool loop_core::abandon_slow(waiter& w) noexcept {
    const wait_state was = w.state;
    loop_core& l = *w.where->loop;
    if (w.where->live.wait == &w) w.where->live.wait = nullptr;
    if (w.linked()) w.unlink();
    w.state = wait_state::done;
    if (was == wait_state::ready) return w.result == status::ok;
    --l.waits_;
    l.outside_ -= w.kind->outside;
    return false;
}

bool loop_core::enter_slow(scope& s, const wait_kind& site) noexcept {
    if (hooks_ != nullptr && hooks_->at_await != nullptr) {
        switch (hooks_->at_await(hooks_->user, site, s)) {
        case at_await_action::go:
            break;
        case at_await_action::yield:
            budget = 0;
            break;
        case at_await_action::cancel:
            if (task_record* t = task_of(s)) cancel_scope_tree(*t, why::requested);
            break;
        case at_await_action::timeout:
            if (!s.has(scope::shielded)) cancel_scope_tree(s, why::timeout); // a shield has no deadline of its own
            break;
        }
    }
    return !s.has(scope::cancelled);
}

// The heap's memory is the loop's, and counted as such, whoever makes it grow.
bool loop_core::arm_from_outside(timer& t, std::int64_t deadline, bool last) noexcept {
    pool* const before = exchange_current_pool(pool_);
    const bool armed = timers_.arm(t, deadline, last);
    exchange_current_pool(before);
    return armed;
}

// From the drain loop, which runs nothing else: outside of the task there is no other.
void loop_core::finish_thunk(void* record) noexcept {
    auto& r = *static_cast<task_record*>(record);
    r.loop->end_task(r, nullptr);
}

void loop_core::finish(task_record& r) noexcept {
    if (r.has(scope::unstarted)) {
        if (r.start.linked()) r.start.unlink();
        begin_task(r.start);
    }
    end_task(r, running != nullptr && task_of(*running) == &r ? nullptr : running);
}

void loop_core::end_task(task_record& r, scope* outside) noexcept {
    // The frame first: what it owned is gone before anyone learns that the task has ended.
    running = &r; // destructors in it are part of the task, whoever ends it
    r.kind().destroy_frames(r);
    running = outside;
    leave(r);
}

void loop_core::tell_last_task() noexcept {
    if (live_tasks != 0 || on_last_task == nullptr) return;
    const auto f = on_last_task;
    on_last_task = nullptr;
    f(*this);
}

void loop_core::wake_joiners(task_record& r) noexcept {
    while (runnable* const j = r.joiners()) {
        remove_joiner(r, *j);
        if (j->kind == nullptr) [[unlikely]] {
            auto& listener = static_cast<end_listener&>(*j);
            listener.ended(listener, r);
        } else {
            grant(static_cast<waiter&>(*j), status::ok);
        }
    }
}

runnable* loop_core::pick() noexcept {
    if (hooks_->pick == nullptr) return current_->pop_front();
    std::size_t skip = hooks_->pick(hooks_->user, current_->size());
    // The hook may cancel (sweeps do), and what lets go of its wait leaves the list.
    runnable* r = current_->front();
    if (r == nullptr) return nullptr;
    while (skip-- > 0)
        if (runnable* n = current_->after(r); n != nullptr) r = n;
    r->unlink();
    return r;
}

[[gnu::always_inline]] inline void loop_core::run_one(runnable& r) noexcept {
    budget = await_budget;
    hops = 0;
    r.kind->resume(r);
    while (void (*const next)(void*) noexcept = after_.run) {
        after_.run = nullptr;
        hops = 0;
        next(after_.argument);
    }
}

void loop_core::run_hooked() noexcept {
    runnable* const r = pick();
    if (r == nullptr) return;
    if (watch_ != nullptr) watch_->begins(*watch_, *r);
    run_one(*r);
    if (watch_ != nullptr) watch_->ended(*watch_);
}

void loop_core::refresh_clock() noexcept {
    since_clock_ = 0;
    now_ = driver_->now();
    while (timer* t = timers_.pop_due(now_))
        t->fire(*t);
}

void loop_core::run_tick() noexcept {
    if (box_->has_mail()) [[unlikely]]
        box_->deliver();
    ++ticks_;
    std::swap(current_, ready_); // the old tick's list is empty
    runnable_list& now = *current_;
    while (!now.empty()) {
        if (hooks_ == nullptr) [[likely]]
            run_one(*now.pop_front());
        else
            run_hooked();
        if (++since_clock_ >= clock_budget) [[unlikely]] {
            resumptions_ += since_clock_;
            since_poll_ += since_clock_;
            refresh_clock();
        }
    }
    running = nullptr;
}

void loop_core::tick() noexcept {
    pool* const before = exchange_current_pool(pool_);
    draining_ = true;
    if (around_drain_ != nullptr) around_drain_(around_user_, true);
    refresh_clock();
    run_tick();
    draining_ = false;
    if (around_drain_ != nullptr) around_drain_(around_user_, false);
    exchange_current_pool(before);
}

void loop_core::drain() noexcept {
    if (draining_) return;
    pool* const before = exchange_current_pool(pool_);
    draining_ = true;
    if (around_drain_ != nullptr) around_drain_(around_user_, true);
    resumptions_ += since_clock_;
    refresh_clock();
    since_poll_ = 0;
    const std::int64_t began = now_;
    // Mail first: a program that only posts has nothing ready yet.
    do
        run_tick();
    while (!ready_->empty() && !stopping() && since_poll_ + since_clock_ < poll_budget && now_ - began < poll_interval);
    if (box_->has_mail()) box_->deliver();
    draining_ = false;
    if (around_drain_ != nullptr) around_drain_(around_user_, false);
    exchange_current_pool(before);
    driver_->settle(next_deadline(), !ready_->empty(), is_pending());
}

void loop_core::turn() noexcept {
    drain();
    if (stopping()) return;
    poll_once();
}

void loop_core::poll_once(std::int64_t limit) noexcept {
    if (!ready_->empty() || box_->has_mail()) {
        driver_->poll(0);
        return;
    }
    const std::int64_t next = next_deadline();
    driver_->poll(next < limit ? next : limit);
}

void loop_core::stop() noexcept {
    stop_.store(true, std::memory_order_relaxed);
    driver_->wake();
}

bool loop_core::is_stuck() noexcept {
    return ready_->empty() && !box_->has_mail() && timers_.empty() && outside_ == 0 && box_->holds() == 0 &&
           !driver_->has_outside_work();
}

bool loop_core::is_pending() const noexcept {
    return live_tasks != 0 || !ready_->empty() || !timers_.empty() || box_->holds() != 0 || box_->has_mail();
}

namespace {
bool pool_fault(void* hooks_pointer, std::size_t size) noexcept {
    const auto* h = static_cast<const hooks*>(hooks_pointer);
    return h->fault(h->user, size);
}
} // namespace

const hooks loop_core::no_hooks;

void loop_core::watch_steps(step_watch* w) noexcept {
    watch_ = w;
    if (w != nullptr && hooks_ == nullptr) hooks_ = &no_hooks;
    if (w == nullptr && hooks_ == &no_hooks) hooks_ = nullptr;
}

void loop_core::set_hooks(const hooks* h) noexcept {
    hooks_ = h != nullptr || watch_ == nullptr ? h : &no_hooks;
    if (h != nullptr && h->fault != nullptr)
        pool_->set_fault(&pool_fault, const_cast<hooks*>(h));
    else
        pool_->set_fault(nullptr, nullptr);
}

loop_statistics loop_core::statistics() noexcept {
    loop_statistics s;
    s.tasks = live_tasks;
    s.waiters = waits_;
    s.timers = timers_.size();
    s.ready = ready_->size() + current_->size();
    s.frames = pool_->live_blocks();
    s.bytes = pool_->live_bytes();
    if (timers_.bytes() != 0) {
        s.frames -= 1;
        s.bytes -= timers_.bytes();
    }
    s.resumptions = resumptions_ + since_clock_;
    s.ticks = ticks_;
    return s;
}

} // namespace eddy::engine
