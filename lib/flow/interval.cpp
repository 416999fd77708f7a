#include <eddy/flow/interval.hpp>

namespace eddy {

interval::interval(duration period, missed m, int) : period_(period), missed_(m), next_(clock::now()) {
    if (period <= duration::zero()) throw std::logic_error("eddy: an interval needs a period above zero");
}

clock::time_point interval::advance() noexcept {
    const clock::time_point due = next_;
    const clock::time_point now = clock::now();
    switch (missed_) {
    case missed::burst:
        next_ = due + period_;
        break;
    case missed::delay:
        next_ = now + period_;
        break;
    case missed::skip:
        next_ = due + period_ * ((now - due) / period_ + 1);
        break;
    }
    return due;
}

} // namespace eddy
