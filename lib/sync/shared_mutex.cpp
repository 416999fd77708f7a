#include <eddy/sync/shared_mutex.hpp>

namespace eddy {

shared_mutex::~shared_mutex() { detail::detach_waiters("a shared_mutex", {&waiters_}); }

std::optional<shared_mutex::guard> shared_mutex::try_lock() {
    std::optional<guard> result;
    if (!take(false, detail::running_task())) return result;
    result.emplace();
    result->hold(*this, holders_);
    return result;
}

std::optional<shared_mutex::shared_guard> shared_mutex::try_lock_shared() {
    std::optional<shared_guard> result;
    if (!take(true, nullptr)) return result;
    result.emplace();
    result->hold(*this, holders_);
    return result;
}

void shared_mutex::serve() noexcept {
    while (!waiters_.empty()) {
        auto& w = static_cast<detail::shared_mutex_waiter&>(*waiters_.front());
        if (!admits(w.shared_)) return;
        w.unlink();
        let_in(w.shared_, detail::owner_of(*w.where));
        w.hold(*this, holders_);
        w.where->loop->grant(w, engine::status::ok);
    }
}

void shared_mutex::check_wait(const engine::scope& where, const char* what) const {
    waiters_.check_loop(where, what);
    if (owner() != nullptr && owner() == detail::owner_of(where)) detail::throw_locks_again("a shared_mutex", *owner());
}

shared_mutex_statistics shared_mutex::statistics() const {
    shared_mutex_statistics s;
    s.locked = inside_ == by_writer;
    s.readers = s.locked ? 0 : static_cast<std::size_t>(inside_);
    s.owner = detail::name_of_owner(owner());
    for (const engine::runnable* r = waiters_.front(); r != nullptr; r = waiters_.after(r))
        ++(static_cast<const detail::shared_mutex_waiter*>(r)->shared_ ? s.waiting_readers : s.waiting_writers);
    return s;
}

namespace detail {

engine::abort_result shared_mutex_waiter::abort_it(engine::waiter& w) noexcept {
    w.unlink();
    static_cast<shared_mutex_waiter&>(w).mutex_->serve(); // it may have been in the way
    return engine::abort_result::gone;
}

std::size_t shared_mutex_waiter::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    if (!is_waiting(w)) return describe_as(out, room, "%s", w.kind->name);
    const shared_mutex& m = *static_cast<const shared_mutex_waiter&>(w).mutex_;
    return describe_lock(w.kind->name, *w.where, m.owner(), out, room);
}

void shared_mutex_waiter::undo(bool was_waiting) noexcept {
    if (was_waiting) mutex_->serve();
    shared_mutex* const m = owner();
    if (m == nullptr) return;
    let_go();
    m->give_back(shared_);
}

} // namespace detail
} // namespace eddy
