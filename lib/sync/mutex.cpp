#include <eddy/sync/mutex.hpp>

#include <eddy/core/loop.hpp>

#include <limits>

namespace eddy {

mutex::~mutex() {
    if (holder_ != nullptr) holder_->held_ = nullptr;
    detail::detach_waiters("a mutex", {&waiters_});
}

std::optional<mutex::guard> mutex::try_lock() {
    std::optional<guard> result;
    if (holder_ != nullptr) return result;
    result.emplace();
    give_to(*result, detail::running_task());
    return result;
}

void mutex::serve_next() noexcept {
    auto& next = static_cast<detail::lock_operation&>(*waiters_.pop());
    give_to(next, detail::owner_of(*next.where));
    next.where->loop->grant(next, engine::status::ok);
}

// The running task is the owner: its record exists.
void mutex::refuse_owner() const {
    throw std::logic_error("eddy: task '" + detail::name_of(*owner_) +
                           "' locks a mutex that it holds already: it would wait for itself for ever");
}

// The owner may have ended, so it is looked for among the living, in at most `most` places.
const engine::task_record* mutex::find_owner(const engine::scope& root, std::size_t most) const noexcept {
    if (holder_ == nullptr || owner_ == nullptr) return nullptr;
    for (const engine::scope* s = &root; s != nullptr && most-- > 0; s = engine::next_in_tree(*s, root, true))
        if (s == owner_) return owner_;
    return nullptr;
}

mutex_statistics mutex::statistics() const {
    mutex_statistics s;
    s.locked = locked();
    s.waiters = waiters_.size();
    loop* const l = loop::try_current();
    if (l == nullptr) return s;
    const auto* const owner = find_owner(detail::root_of(*l), std::numeric_limits<std::size_t>::max());
    if (owner != nullptr) s.owner = detail::name_of(*owner);
    return s;
}

std::size_t mutex::describe(const engine::scope& where, char* out, std::size_t room) const noexcept {
    // A dump asks once for every waiter: not more than a look at each.
    constexpr std::size_t most = 1000;
    const engine::task_record* const owner = find_owner(where.loop->root, most);
    if (owner == nullptr) return detail::describe_as(out, room, "mutex.lock");
    std::size_t n = detail::describe_as(out, room, "mutex.lock held by '");
    n += detail::describe_name(*owner, out + n, room - n);
    return n + detail::describe_as(out + n, room - n, "'");
}

void mutex::guard::unlock() {
    if (held_ == nullptr)
        throw std::logic_error(
            "eddy: unlock() of a guard that owns no lock: unlocked already, moved from, or its mutex is gone");
    std::exchange(held_, nullptr)->give_back();
}

} // namespace eddy
