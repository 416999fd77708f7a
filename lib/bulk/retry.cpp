#include <eddy/bulk/retry.hpp>

#include "core/state.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>

namespace eddy {

backoff::backoff(duration first, duration max, double jitter) : first_(first), max_(max), jitter_(jitter) {
    if (!(jitter >= 0 && jitter <= 1))
        throw std::logic_error("eddy: exponential: the jitter is a share from 0 to 1, not " + std::to_string(jitter));
}

duration backoff::delay(std::size_t failures, double random) const noexcept {
    const int doublings = static_cast<int>(std::min<std::size_t>(failures == 0 ? 0 : failures - 1, 64));
    const auto longest = static_cast<double>(max_.count());
    const double middle = std::min(std::ldexp(static_cast<double>(first_.count()), doublings), longest);
    const double spread = middle * (1 - jitter_ + 2 * jitter_ * random);
    // Compared as a double: the longest duration has no exact one.
    return spread >= longest ? max_ : duration(static_cast<std::int64_t>(spread));
}

retry_policy& retry_policy::attempts(std::size_t n) {
    if (n == 0) throw std::logic_error("eddy: retry_policy: attempts(0) would never try at all");
    attempts_ = n;
    return *this;
}

namespace detail {

namespace {

std::uint64_t seed_of(loop_state& l) {
    // A simulated run is the same every time: each retry differs by its task and by when it began.
    if (l.sim != nullptr) {
        const engine::task_record* r = l.running == nullptr ? nullptr : engine::task_of(*l.running);
        return (r == nullptr ? 0 : detail::number_of(*r)) * 0x9e3779b97f4a7c15u ^ static_cast<std::uint64_t>(l.now());
    }
    static const std::uint64_t base = [] {
        std::random_device device;
        return std::uint64_t{device()} << 32 | device();
    }();
    static std::atomic<std::uint64_t> count{0};
    return base + count.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15u;
}

} // namespace

delay_random::delay_random() : state_(seed_of(loop::current().detail_state())) {}

// splitmix64 (Steele, Lea, Flood 2014); of which 53 bits make a double below 1.
double delay_random::next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

std::optional<clock::time_point> next_attempt(const retry_policy& policy, std::size_t failures,
                                              const std::exception_ptr& error, delay_random& random) {
    if (failures >= policy.attempts()) return std::nullopt;
    if (policy.retry_if() && !policy.retry_if()(error)) return std::nullopt;
    const duration delay = policy.backoff().delay(failures, random.next());
    const clock::time_point again(duration(saturating_add(clock::now().time_since_epoch().count(), delay)));
    if (again >= current_deadline()) return std::nullopt;
    return again;
}

} // namespace detail
} // namespace eddy
