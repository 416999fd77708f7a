// Time limits.
//
// A time limit cancels what it surrounds and waits for it to end. It cannot stop a running function: timeout(d,
// offload(f)) returns when f does. A value that arrived is never thrown away; an outer cancellation outranks the limit.
#pragma once

#include <eddy/flow/scoped.hpp>

namespace eddy {

namespace detail {

// Holds how long or until when.
class time_limit {
public:
    explicit time_limit(duration d) noexcept : after_(d) {}
    explicit time_limit(clock::time_point t) noexcept : deadline_(t.time_since_epoch().count()), absolute_(true) {}
    // Has it passed before anything began?
    [[nodiscard]] bool is_past(engine::loop_core& l) const noexcept {
        return absolute_ ? deadline_ <= l.cached_now() : after_ <= duration::zero();
    }
    // A relative limit counts from here: the clock is not read for what completes at once.
    [[nodiscard]] std::int64_t deadline(engine::loop_core& l) const noexcept {
        if (absolute_) return deadline_;
        return after_ == duration::max() ? engine::never : saturating_add(l.now(), after_);
    }
    [[nodiscard]] std::string text() const;

private:
    duration after_{};
    std::int64_t deadline_ = engine::never;
    bool absolute_ = false;
};

template <class Derived, class Inner>
class limited_operation : public scope_operation<Derived, Inner> {
    using base = scope_operation<Derived, Inner>;

public:
    template <class A>
    limited_operation(time_limit l, A&& a) : base(std::in_place, std::forward<A>(a)), limit_(l) {}
    limited_operation(limited_operation&&) = default;

protected:
    friend base;
    void before() noexcept {
        if (limit_.is_past(*this->scope_.loop)) engine::cancel_scope_tree(this->scope_, engine::why::timeout);
    }
    bool opened() noexcept {
        return this->scope_.has(engine::scope::requested) ||
               this->scope_.set_deadline(limit_.deadline(*this->scope_.loop));
    }
    time_limit limit_;
};

template <class Inner>
class timeout_operation final : public limited_operation<timeout_operation<Inner>, Inner> {
    using base = limited_operation<timeout_operation<Inner>, Inner>;

public:
    using result_type = typename Inner::result_type;
    using base::base;
    timeout_operation(timeout_operation&&) = default;

    engine::status state() noexcept {
        const engine::status s = this->close();
        return this->scope_.ended_by_own(s) ? engine::status::timed_out : s;
    }
    result_type take() { return this->inner_.take(); }
    [[noreturn]] void fail() {
        if (state() == engine::status::timed_out)
            throw timeout_error("eddy: the time limit of " + this->limit_.text() + " ran out");
        if (this->result_ == engine::status::no_memory) throw std::bad_alloc();
        this->inner_.fail();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }
};

template <class Inner>
class move_on_operation final : public limited_operation<move_on_operation<Inner>, Inner> {
    using base = limited_operation<move_on_operation<Inner>, Inner>;

public:
    using inner_result = typename Inner::result_type;
    using result_type = maybe<inner_result>;
    using base::base;
    move_on_operation(move_on_operation&&) = default;

    engine::status state() noexcept {
        const engine::status s = this->close();
        return this->scope_.ended_by_own(s) ? engine::status::ok : s;
    }
    result_type take() {
        if (this->result_ != engine::status::ok) return result_type{};
        return some_from<inner_result>(this->inner_);
    }
    [[noreturn]] void fail() {
        if (this->result_ == engine::status::no_memory) throw std::bad_alloc();
        this->inner_.fail();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }
};

} // namespace detail

// Cancels `a` when `d` is over and, once it has ended, throws timeout_error; gives its value when that came first. `a`
// is an awaitable or a callable that returns a task (kept alive). Counts from the await. Zero or negative: `a` starts,
// and its first checkpoint throws. duration::max(): no limit.
template <class Rep, class Period, detail::wrappable A>
[[nodiscard]] auto timeout(std::chrono::duration<Rep, Period> d, A&& a) {
    return detail::timeout_operation<detail::inner_operation_t<A>>(detail::time_limit(detail::to_duration(d)),
                                                                   std::forward<A>(a));
}
// The same with a point in time.
template <detail::wrappable A>
[[nodiscard]] auto timeout_at(clock::time_point t, A&& a) {
    return detail::timeout_operation<detail::inner_operation_t<A>>(detail::time_limit(t), std::forward<A>(a));
}
// As timeout(), but gives a `maybe`: empty (false for void) when the time ran out.
template <class Rep, class Period, detail::wrappable A>
[[nodiscard]] auto move_on_after(std::chrono::duration<Rep, Period> d, A&& a) {
    return detail::move_on_operation<detail::inner_operation_t<A>>(detail::time_limit(detail::to_duration(d)),
                                                                   std::forward<A>(a));
}
template <detail::wrappable A>
[[nodiscard]] auto move_on_at(clock::time_point t, A&& a) {
    return detail::move_on_operation<detail::inner_operation_t<A>>(detail::time_limit(t), std::forward<A>(a));
}

} // namespace eddy
