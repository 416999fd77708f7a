#include <eddy/sync/mutex.hpp>

#include <eddy/sync/condition.hpp>

namespace eddy {

mutex::~mutex() {
    if (holder_ != nullptr) holder_->held_ = nullptr;
    detail::detach_waiters("a mutex", {&waiters_});
    while (conditions_ != nullptr)
        conditions_->lose_mutex();
}

std::optional<mutex::guard> mutex::try_lock() {
    std::optional<guard> result;
    if (holder_ != nullptr) return result;
    result.emplace();
    give_to(*result, detail::running_task());
    return result;
}

void mutex::serve_next() noexcept {
    auto& next = static_cast<detail::lock_waiter&>(*waiters_.pop());
    give_to(next, detail::owner_of(*next.where));
    next.where->loop->grant(next, next.result == engine::status::pending ? engine::status::ok : next.result);
}

mutex_statistics mutex::statistics() const {
    mutex_statistics s;
    s.locked = locked();
    s.waiters = waiters_.size();
    s.owner = detail::name_of_owner(owner());
    return s;
}

void mutex::guard::unlock() {
    if (held_ == nullptr) detail::throw_owns_no_lock();
    std::exchange(held_, nullptr)->give_back();
}

} // namespace eddy
