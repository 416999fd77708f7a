#include <eddy/bulk/rate_limiter.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace eddy {

namespace detail {

engine::abort_result rate_acquire_operation::abort_it(engine::waiter& w) noexcept {
    auto& self = static_cast<rate_acquire_operation&>(w);
    self.unlink();
    self.phase_ = phase::over;
    self.limiter_->serve(); // the next may have become the first
    return engine::abort_result::gone;
}

std::size_t rate_acquire_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& self = static_cast<const rate_acquire_operation&>(w);
    return describe_as(out, room, "rate_limiter.acquire(%zu)", self.count_);
}

rate_acquire_operation::~rate_acquire_operation() {
    if (phase_ == phase::granted) limiter_->granted_ = nullptr;
    const bool is_gone = result == engine::status::object_destroyed;
    const bool pass_on = phase_ == phase::granted || (phase_ == phase::waiting && !is_gone);
    end();
    if (pass_on) limiter_->serve();
}

bool rate_acquire_operation::attempt() {
    engine::loop_core& l = *where->loop;
    rate_limiter& r = *limiter_;
    const bool contended = r.granted_ != nullptr || !r.waiting_.empty();
    if (contended && r.loop_ != &l) throw_other_loop(kind.name);
    r.loop_ = &l;
    phase_ = phase::waiting;
    if (contended) return false;
    const std::int64_t now = l.now();
    r.adopt_clock(now);
    const std::int64_t at = r.earliest(count_);
    if (at <= now) {
        phase_ = phase::granted;
        r.granted_ = this;
        return true;
    }
    // Armed here, where running out of memory can still be told.
    l.disarm(r.turn_);
    if (l.arm(r.turn_, at)) return false;
    phase_ = phase::over;
    result = engine::status::no_memory;
    return true;
}

void rate_acquire_operation::enqueue() noexcept { limiter_->waiting_.add(*this); }

void rate_acquire_operation::take() noexcept {
    if (phase_ != phase::granted) return; // the limiter has gone since
    phase_ = phase::over;
    limiter_->granted_ = nullptr;
    limiter_->spend(count_, where->loop->now());
    limiter_->serve();
}

} // namespace detail

rate_limiter::rate_limiter(std::size_t permits, duration per, std::size_t burst, int) : burst_(burst) {
    if (permits == 0) throw std::logic_error("eddy: a rate_limiter of 0 permits would never let anyone pass");
    if (burst == 0) throw std::logic_error("eddy: a rate_limiter with a burst of 0 would never let anyone pass");
    if (per <= duration::zero()) throw std::logic_error("eddy: a rate_limiter needs a period longer than 0");
    const auto length = static_cast<std::uint64_t>(per.count());
    const std::uint64_t spacing = length / permits + (length % permits != 0);
    constexpr std::uint64_t limit = std::uint64_t{1} << 61; // 73 years: sums with clock readings stay in range
    if (spacing > limit / burst)
        throw std::logic_error("eddy: rate_limiter: it would take more than 70 years to fill a bucket of " +
                               std::to_string(burst) + " tokens");
    spacing_ = static_cast<std::int64_t>(spacing);
    full_at_ = INT64_MIN / 2;
    turn_.limiter = this;
    turn_.fire = [](engine::timer& t) noexcept { static_cast<turn&>(t).limiter->serve(); };
}

rate_limiter::~rate_limiter() {
    using phase = detail::rate_acquire_operation::phase;
    if (turn_.armed()) loop_->disarm(turn_);
    if (granted_ != nullptr) granted_->phase_ = phase::over;
    detail::detach_waiters("rate_limiter", {&waiting_});
}

bool rate_limiter::try_acquire(std::size_t k) {
    check_count(k);
    if (granted_ != nullptr || !waiting_.empty()) return false;
    const std::int64_t now = clock::now().time_since_epoch().count();
    adopt_clock(now);
    if (earliest(k) > now) return false;
    spend(k, now);
    return true;
}

rate_limiter::statistics_t rate_limiter::statistics() const noexcept {
    statistics_t s;
    s.waiters = waiting_.size();
    const std::int64_t left = full_at_ - clock::now().time_since_epoch().count();
    const std::int64_t lacking = left <= 0 ? 0 : (left - 1) / spacing_ + 1;
    s.available = burst_ - std::min(burst_, static_cast<std::size_t>(lacking));
    return s;
}

void rate_limiter::check_count(std::size_t k) const {
    if (k == 0 || k > burst_)
        throw std::logic_error("eddy: rate_limiter.acquire(" + std::to_string(k) +
                               ") can never be granted: the burst is " + std::to_string(burst_));
}

// When `k` tokens will be in the bucket.
std::int64_t rate_limiter::earliest(std::size_t k) const noexcept {
    return full_at_ - static_cast<std::int64_t>(burst_ - k) * spacing_;
}

void rate_limiter::spend(std::size_t k, std::int64_t now) noexcept {
    full_at_ = std::max(full_at_, now) + static_cast<std::int64_t>(k) * spacing_;
}

// Clocks of simulated loops start anew: an empty bucket is the most that another clock's past can mean.
void rate_limiter::adopt_clock(std::int64_t now) noexcept {
    full_at_ = std::min(full_at_, now + static_cast<std::int64_t>(burst_) * spacing_);
}

void rate_limiter::serve() noexcept {
    using phase = detail::rate_acquire_operation::phase;
    if (granted_ != nullptr) return;
    if (turn_.armed()) loop_->disarm(turn_);
    while (!waiting_.empty()) {
        auto& w = static_cast<detail::rate_acquire_operation&>(*waiting_.front());
        const std::int64_t at = earliest(w.count_);
        if (at <= loop_->now()) {
            waiting_.pop();
            w.phase_ = phase::granted;
            granted_ = &w;
            loop_->grant(w, engine::status::ok);
            return;
        }
        if (loop_->arm(turn_, at)) return;
        waiting_.pop();
        w.phase_ = phase::over;
        loop_->grant(w, engine::status::no_memory);
    }
}

} // namespace eddy
