#include <eddy/sync/semaphore.hpp>

#include <string>

namespace eddy {

namespace detail {

namespace {

std::ptrdiff_t not_negative(const char* what, std::ptrdiff_t n) {
    if (n < 0) throw_negative(what, n);
    return n;
}

[[noreturn]] void throw_overflow(const char* what, std::ptrdiff_t value) {
    throw std::logic_error(std::string("eddy: ") + what + "(" + std::to_string(value) + "): the count would overflow");
}

} // namespace
} // namespace detail

semaphore::semaphore(std::ptrdiff_t n) : available_(detail::not_negative("semaphore", n)), total_(n), bounded_(false) {}
semaphore::semaphore(std::ptrdiff_t n, bounded_t)
    : available_(detail::not_negative("semaphore", n)), total_(n), bounded_(true) {}

semaphore::~semaphore() { detail::detach_waiters("a semaphore", {&waiters_}); }

std::optional<semaphore::permit> semaphore::try_acquire(std::ptrdiff_t k) {
    if (k < 0) detail::throw_negative("semaphore.try_acquire", k);
    std::optional<permit> result;
    if (!take(k)) return result;
    result.emplace();
    result->hold(*this, holders_);
    result->count_ = k;
    return result;
}

void semaphore::release(std::ptrdiff_t k) {
    if (k < 0) detail::throw_negative("semaphore.release", k);
    // available_ may be negative, held_ never is; together they are at most `most`.
    const std::ptrdiff_t now = available_ + held_;
    if (bounded_ && k > total_ - now)
        throw std::logic_error("eddy: semaphore.release(" + std::to_string(k) +
                               ") would bring a bounded semaphore of " + std::to_string(total_) + " to " +
                               std::to_string(now) + " + " + std::to_string(k));
    if (now > most - k) detail::throw_overflow("semaphore.release", k);
    waiters_.check_loop("semaphore.release");
    available_ += k;
    serve();
}

void semaphore::resize(std::ptrdiff_t n) {
    if (n < 0) detail::throw_negative("semaphore.resize", n);
    const std::ptrdiff_t change = n - total_;
    if (change > 0 && available_ + held_ > most - change) detail::throw_overflow("semaphore.resize", n);
    waiters_.check_loop("semaphore.resize");
    total_ = n;
    available_ += change;
    serve();
}

semaphore_statistics semaphore::statistics() const noexcept {
    semaphore_statistics s;
    s.total = total_;
    s.available = available_;
    s.held = held_;
    s.waiters = waiters_.size();
    return s;
}

void semaphore::permit::release() {
    if (owner() == nullptr)
        throw std::logic_error(
            "eddy: release() of a permit that holds nothing: released, forgotten or moved from already, or "
            "its semaphore is gone");
    end();
}

void semaphore::permit::forget() {
    semaphore* const s = owner();
    if (s == nullptr)
        throw std::logic_error(
            "eddy: forget() of a permit that holds nothing: released, forgotten or moved from already, or "
            "its semaphore is gone");
    let_go();
    s->held_ -= count_;
}

} // namespace eddy
