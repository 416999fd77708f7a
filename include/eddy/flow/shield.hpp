// Work that outer cancellation must not interrupt.
#pragma once

#include <eddy/flow/scoped.hpp>

namespace eddy {

namespace detail {

template <class Inner>
class shield_operation final : public scope_operation<shield_operation<Inner>, Inner> {
    using base = scope_operation<shield_operation<Inner>, Inner>;

public:
    using result_type = typename Inner::result_type;
    template <class A>
    explicit shield_operation(std::in_place_t, A&& a) : base(std::in_place, std::forward<A>(a)) {
        this->scope_.flags |= engine::scope::shielded;
    }
    shield_operation(shield_operation&& o) : base(std::move(o)) { this->scope_.flags |= engine::scope::shielded; }

    engine::status state() noexcept { return this->close(); }
    result_type take() { return this->inner_.take(); }
    [[noreturn]] void fail() { this->inner_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return this->inner_.error(); }
};

} // namespace detail

// Not cancelled from outside while it runs, in place; a pending cancellation is delivered at the next checkpoint
// afterwards. Its own timeouts and scopes work. `a` is an awaitable or a callable that returns a task.
template <detail::wrappable A>
[[nodiscard]] auto shield(A&& a) {
    return detail::shield_operation<detail::inner_operation_t<A>>(std::in_place, std::forward<A>(a));
}

} // namespace eddy
