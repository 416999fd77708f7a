// Async context managers: a resource whose close() is awaited on every path.
#pragma once

#include <eddy/flow/finally.hpp>

namespace eddy {

// Something with `close() -> task<void>`.
template <class R>
concept async_closable = requires(R& r) {
    { r.close() } -> std::same_as<task<void>>;
};

namespace detail {

template <class R, class B>
class with_call {
    static constexpr bool awaited = !async_closable<R>;
    template <class X>
    struct yielded {
        using type = X;
    };
    template <wrappable X>
    requires(!async_closable<X>)
    struct yielded<X> {
        using type = typename inner_operation_t<X>::result_type;
    };
    using resource = std::remove_cvref_t<typename yielded<R>::type>;
    static_assert(async_closable<resource>, "with() needs a resource that has close() -> task<void>");
    using T = task_result_t<B&, resource&>;

public:
    with_call(R r, B b) : resource_(std::move(r)), body_(std::move(b)) {}
    task<T> operator()() { return run(resource_, body_); }

private:
    static task<T> run(R& given, B& body) {
        if constexpr (awaited) {
            resource r = co_await std::move(given);
            auto op = body_then_close(r, body);
            co_return co_await std::move(op);
        } else {
            auto op = body_then_close(given, body);
            co_return co_await std::move(op);
        }
    }
    static task<T> body_then_close(resource& r, B& body) {
        auto call = [&] { return std::invoke(body, r); };
        auto settled = settle(call);
        outcome<T> result = co_await settled;
        const std::exception_ptr cancellation = cancellation_of(result, running_scope());
        auto close = [&] { return r.close(); };
        auto shielded = shield(close);
        auto closed = settle(std::move(shielded));
        outcome<void> end = co_await closed;
        if constexpr (std::is_void_v<T>)
            conclude(result, cancellation, end.error());
        else
            co_return conclude(result, cancellation, end.error());
    }
    R resource_;
    B body_;
};

} // namespace detail

// `resource` is a value with close(), or an awaitable that gives one. Runs `body(resource&) -> task<T>`, then awaits
// close(), shielded, on value, exception and cancellation. An error of the body outranks one of close(), which then
// goes to the exception handler.
template <class R, class B>
[[nodiscard]] auto with(R&& resource, B&& body) {
    using call = detail::with_call<std::decay_t<R>, std::decay_t<B>>;
    return detail::call_operation<call>(
        call(std::decay_t<R>(std::forward<R>(resource)), std::decay_t<B>(std::forward<B>(body))));
}

} // namespace eddy
