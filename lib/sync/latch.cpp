#include <eddy/sync/latch.hpp>

namespace eddy {

latch::latch(std::ptrdiff_t n) : count_(n) {
    if (n < 0) detail::throw_negative("latch", n);
}

latch::~latch() { detail::detach_waiters("a latch", {&waiters_}); }

void latch::count_down(std::ptrdiff_t k) {
    if (k < 0) detail::throw_negative("latch.count_down", k);
    if (k > count_)
        throw std::logic_error("eddy: latch.count_down(" + std::to_string(k) + ") would bring a count of " +
                               std::to_string(count_) + " below zero");
    waiters_.check_loop("latch.count_down");
    count_ -= k;
    if (count_ == 0) waiters_.finish_all(engine::status::ok);
}

latch_statistics latch::statistics() const noexcept {
    latch_statistics s;
    s.count = count_;
    s.waiters = waiters_.size();
    return s;
}

namespace detail {

bool latch_operation::attempt() {
    latch_->waiters_.check_loop(*where, kind.name);
    if (arrives_) latch_->count_down();
    return latch_->count_ == 0;
}

std::size_t latch_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    if (!is_waiting(w)) return describe_as(out, room, "%s", w.kind->name);
    return describe_as(out, room, "%s, %td to go", w.kind->name, static_cast<const latch_operation&>(w).latch_->count_);
}

} // namespace detail
} // namespace eddy
