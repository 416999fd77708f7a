// A value, an exception, or "cancelled": how something ended, as a value.
#pragma once

#include <eddy/core/error.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace eddy {

namespace detail {
// How a T is kept: void as nothing, a reference as a pointer.
template <class T>
struct stored {
    using type = T;
    static T&& out(T& t) noexcept { return std::move(t); }
    static const T& look(const T& t) noexcept { return t; }
};
template <class T>
struct stored<T&> {
    using type = T*;
    static T& out(T* p) noexcept { return *p; }
    static T& look(T* p) noexcept { return *p; }
};
template <>
struct stored<void> {
    using type = std::monostate;
    static void out(std::monostate) noexcept {}
    static void look(std::monostate) noexcept {}
};
template <class T>
using stored_t = typename stored<T>::type;
// void becomes std::monostate where a value is needed.
template <class T>
using regular_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
} // namespace detail

// Not thread-safe; copyable when T is.
template <class T>
class [[nodiscard]] outcome {
public:
    static outcome of_value(detail::stored_t<T> v) { return outcome(std::in_place_index<0>, std::move(v)); }
    static outcome of_error(std::exception_ptr e) { return outcome(std::in_place_index<1>, std::move(e)); }
    static outcome of_cancelled(cancel_reason r) { return outcome(std::in_place_index<2>, std::move(r)); }

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] bool is_cancelled() const noexcept { return state_.index() == 2; }

    // The value. Without one: rethrows the exception; `task_cancelled` when cancelled.
    decltype(auto) value() const& {
        check();
        return detail::stored<T>::look(std::get<0>(state_));
    }
    decltype(auto) value() && {
        check();
        return detail::stored<T>::out(std::get<0>(state_));
    }

    // The exception; for a cancelled outcome one that holds `task_cancelled`; null when there is a value.
    [[nodiscard]] std::exception_ptr error() const {
        if (state_.index() == 1) return std::get<1>(state_);
        if (state_.index() == 2) return std::make_exception_ptr(task_cancelled(std::get<2>(state_)));
        return nullptr;
    }

private:
    template <std::size_t I, class V>
    outcome(std::in_place_index_t<I> i, V&& v) : state_(i, std::forward<V>(v)) {}
    void check() const {
        if (state_.index() != 0) [[unlikely]]
            std::rethrow_exception(error());
    }
    std::variant<detail::stored_t<T>, std::exception_ptr, cancel_reason> state_;
};

// bool for void, optional for values, optional<reference_wrapper> for references: "it may not have happened".
template <class T>
using maybe = std::conditional_t<
    std::is_void_v<T>, bool,
    std::conditional_t<std::is_reference_v<T>, std::optional<std::reference_wrapper<std::remove_reference_t<T>>>,
                       std::optional<detail::regular_t<std::remove_reference_t<T>>>>>;

} // namespace eddy
