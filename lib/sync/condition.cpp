#include <eddy/sync/condition.hpp>

namespace eddy {

condition::condition(mutex& m) noexcept : mutex_(&m), next_(m.conditions_), link_(&m.conditions_) {
    m.conditions_ = this;
    if (next_ != nullptr) next_->link_ = &next_;
}

condition::~condition() {
    if (mutex_ == nullptr) return; // nobody can wait
    detail::announce_destroyed("a condition", {&waiters_});
    while (!waiters_.empty()) {
        auto& w = static_cast<detail::condition_waiter&>(*waiters_.pop());
        if (w.lock_again(*mutex_, engine::status::object_destroyed))
            w.where->loop->grant(w, engine::status::object_destroyed);
    }
    leave_mutex();
}

void condition::leave_mutex() noexcept {
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    mutex_ = nullptr;
}

void condition::lose_mutex() noexcept {
    leave_mutex();
    detail::detach_waiters("the mutex of a condition", {&waiters_});
}

void condition::notify(std::ptrdiff_t n) {
    if (n < 0) detail::throw_negative("condition.notify", n);
    if (mutex_ == nullptr || !mutex_->locked())
        throw std::logic_error(mutex_ == nullptr ? "eddy: condition.notify after its mutex has been destroyed"
                                                 : "eddy: condition.notify while its mutex is not locked: who waits "
                                                   "could miss it; lock the mutex, change, notify");
    waiters_.check_loop("condition.notify");
    for (; n > 0 && !waiters_.empty(); --n)
        notify_first();
}

void condition::notify_first() noexcept {
    auto& w = static_cast<detail::condition_waiter&>(*waiters_.pop());
    w.hold(*this, notified_);
    if (w.lock_again(*mutex_, engine::status::pending)) w.where->loop->grant(w, engine::status::ok);
}

condition_statistics condition::statistics() const {
    condition_statistics s;
    s.waiters = waiters_.size();
    if (mutex_ != nullptr) s.lock = mutex_->statistics();
    return s;
}

namespace detail {

void condition_waiter::check() const {
    const mutex* const m = condition_->mutex_;
    if (m == nullptr) throw std::logic_error("eddy: condition.wait after its mutex has been destroyed");
    if (guard_->held_ == nullptr)
        throw std::logic_error("eddy: condition.wait with a guard that owns no lock; it has to own the lock of the "
                               "condition's mutex");
    if (guard_->held_ != m)
        throw std::logic_error("eddy: condition.wait with a guard of another mutex than the condition's");
    condition_->waiters_.check_loop(*where, kind->name);
    m->waiters_.check_loop(*where, kind->name);
}

void condition_waiter::begin_wait() noexcept {
    mutex& m = *std::exchange(guard_->held_, nullptr);
    owner_before_ = m.owner_;
    stage_ = stage::in_line;
    condition_->waiters_.add(*this);
    m.give_back();
}

bool condition_waiter::lock_again(mutex& m, engine::status outcome) noexcept {
    stage_ = stage::locking;
    lock_ = &m;
    result = outcome;
    if (m.holder_ == nullptr) {
        m.give_to(*this, owner_of(*where));
        return true;
    }
    m.waiters_.add(*this);
    return false;
}

// The owner is who it was: the operation may have waited in a task of its own, as in a race.
void condition_waiter::own_again() noexcept {
    if (stage_ != stage::locking || is_waiting(*this) || state == engine::wait_state::aborting) return;
    stage_ = stage::over;
    mutex* const m = std::exchange(held_, nullptr);
    if (m == nullptr) { // destroyed, perhaps when it had been handed over already
        if (result == engine::status::ok) result = engine::status::object_destroyed;
        return;
    }
    if (guard_->held_ != nullptr) std::exchange(guard_->held_, nullptr)->give_back();
    m->give_to(*guard_, owner_before_);
}

// The lock is held by whoever is in the way here, or by this, or the mutex is gone and nobody waits.
void condition_waiter::pass_on() noexcept {
    condition* const c = owner();
    if (c == nullptr) return;
    let_go();
    if (!c->waiters_.empty()) c->notify_first();
}

engine::abort_result condition_waiter::abort_it(engine::waiter& w) noexcept {
    auto& self = static_cast<condition_waiter&>(w);
    if (self.stage_ == stage::in_line) {
        self.unlink();
        return self.lock_again(*self.condition_->mutex_, engine::status::cancelled) ? engine::abort_result::gone
                                                                                    : engine::abort_result::later;
    }
    // It goes on to wait for the lock; what it was told is for somebody else.
    if (self.result == engine::status::pending) self.result = engine::status::cancelled;
    self.pass_on();
    return engine::abort_result::later;
}

std::size_t condition_waiter::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& self = static_cast<const condition_waiter&>(w);
    const bool parked = is_waiting(w) || w.state == engine::wait_state::aborting;
    if (!parked || self.stage_ != stage::locking) return describe_as(out, room, "%s", w.kind->name);
    // The condition may be gone, not so the mutex in whose line this stands.
    return describe_lock("condition.wait, locking again: mutex.lock", *w.where, self.lock_->owner(), out, room);
}

bool condition_tester::waits_on() noexcept {
    if (yield_after) return false; // it ended where it began
    own_again();
    if (result != engine::status::ok) return false;
    try {
        if (test_(*this)) return false;
        if (owner() != nullptr) check();
    } catch (...) {
        failure_ = std::current_exception();
        result = engine::status::exception;
    }
    if (owner() == nullptr && failure_ == nullptr)
        result = engine::status::object_destroyed; // nobody is left to notify it
    else if (failure_ == nullptr && !where->loop->enter(*where, *kind))
        result = engine::status::cancelled;
    if (result != engine::status::ok) {
        pass_on();
        return false;
    }
    let_go();
    result = engine::status::pending;
    begin_wait();
    where->loop->park(*this);
    return true;
}

void resume_tested(engine::runnable& r) noexcept {
    auto& w = static_cast<condition_tester&>(r);
    engine::loop_core::begin_resume(w);
    if (w.waits_on()) return;
    std::coroutine_handle<>::from_address(w.target).resume();
}

} // namespace detail
} // namespace eddy
