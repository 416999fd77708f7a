#include <eddy/sync/barrier.hpp>

namespace eddy {

barrier::barrier(std::ptrdiff_t n) : parties_(static_cast<std::size_t>(n)) {
    if (n < 1)
        throw std::logic_error("eddy: barrier(" + std::to_string(n) +
                               "): it takes at least 1 task to complete a round");
}

barrier::~barrier() { detail::detach_waiters("a barrier", {&waiters_}); }

void barrier::complete() noexcept {
    arrived_ = 0;
    for (std::size_t i = 0; !waiters_.empty(); ++i) {
        static_cast<detail::barrier_operation&>(*waiters_.front()).index_ = i;
        waiters_.finish_first(engine::status::ok);
    }
}

void barrier::abort() {
    waiters_.check_loop("barrier.abort");
    broken_ = true;
    arrived_ = 0;
    waiters_.finish_all(engine::status::broken);
}

void barrier::reset() {
    waiters_.check_loop("barrier.reset");
    broken_ = false;
    arrived_ = 0;
    waiters_.finish_all(engine::status::broken);
}

barrier_statistics barrier::statistics() const noexcept {
    barrier_statistics s;
    s.parties = parties_;
    s.waiters = arrived_;
    s.broken = broken_;
    return s;
}

namespace detail {

bool barrier_operation::attempt() {
    if (barrier_->broken_) {
        result = engine::status::broken;
        return true;
    }
    barrier_->waiters_.check_loop(*where, kind.name);
    if (barrier_->arrived_ + 1 < barrier_->parties_) return false;
    index_ = barrier_->arrived_;
    barrier_->complete();
    return true;
}

engine::abort_result barrier_operation::abort_it(engine::waiter& w) noexcept {
    w.unlink();
    --static_cast<barrier_operation&>(w).barrier_->arrived_;
    return engine::abort_result::gone;
}

std::size_t barrier_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    if (!is_waiting(w)) return describe_as(out, room, "%s", w.kind->name);
    const barrier& b = *static_cast<const barrier_operation&>(w).barrier_;
    return describe_as(out, room, "%s, %zu of %zu have arrived", w.kind->name, b.arrived_, b.parties_);
}

} // namespace detail
} // namespace eddy
