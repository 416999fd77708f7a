// once_value: a value that is made when it is first needed, by one task, however many need it.
//
//     once_value<connection> shared;
//     connection& c = co_await shared.get_or_init([] { return connect("db"); });
//
// Whoever comes first runs its function, the others wait for it in line. When that fails or is cancelled, the exception
// is its caller's alone, and the next in line runs its own function. A mutex is the line: who holds it initialises.
#pragma once

#include <eddy/core/sleep.hpp>
#include <eddy/core/task.hpp>
#include <eddy/sync/mutex.hpp>

#include <functional>
#include <optional>

namespace eddy {

template <class T>
class once_value;

namespace detail {

[[noreturn]] void throw_once_gone();

// Told, while the function runs, when its once_value is destroyed.
template <class T>
class once_making {
public:
    explicit once_making(once_value<T>& o) noexcept : owner_(&o) { o.making_ = this; }
    once_making(const once_making&) = delete;
    ~once_making() {
        if (owner_ != nullptr) owner_->making_ = nullptr;
    }
    void check() const {
        if (owner_ == nullptr) throw_once_gone();
    }

private:
    friend once_value<T>;
    once_value<T>* owner_;
};

template <class T, class F>
class once_call {
    using result = std::add_lvalue_reference_t<T>; // void stays void

public:
    once_call(once_value<T>& o, F f) : once_(&o), f_(std::move(f)) {}
    task<result> operator()() { return run(*once_, f_); }

private:
    static task<result> run(once_value<T>& o, F& f) {
        if (o.value_.has_value()) {
            co_await checkpoint();
        } else {
            const auto turn = co_await o.turn_.lock();
            if (!o.value_.has_value()) {
                const once_making<T> making(o);
                if constexpr (std::is_void_v<T>) {
                    co_await std::invoke(f);
                    making.check();
                    o.value_.emplace();
                } else {
                    auto made = co_await std::invoke(f);
                    making.check();
                    o.value_.emplace(std::move(made));
                }
            }
        }
        if constexpr (!std::is_void_v<T>) co_return *o.value_;
    }
    once_value<T>* once_;
    F f_;
};

} // namespace detail

// For the tasks of one loop: neither movable nor thread-safe. T is void or a movable object type. Destroyed while tasks
// wait for it or one makes the value, it ends their calls with object_destroyed; references to the value end with it.
template <class T = void>
class once_value {
    static_assert(std::is_void_v<T> || (std::is_object_v<T> && std::is_move_constructible_v<T>),
                  "a once_value holds a movable object, or nothing (void)");

public:
    using value_type = T;

    once_value() noexcept = default;
    once_value(const once_value&) = delete;
    once_value& operator=(const once_value&) = delete;
    ~once_value() {
        if (making_ != nullptr) making_->owner_ = nullptr;
    }

    // co_await o.get_or_init(f) -> T& (void: nothing). f() -> task<T> is run when there is no value and nobody else is
    // making one; it is kept alive by the operation. A checkpoint. Throws what f throws; cancelled while f runs: so is
    // f, and the next in line makes the value. std::logic_error when f asks for the value that it is to make, or when
    // tasks of another loop wait.
    template <class F>
    requires detail::task_function<std::decay_t<F>&>
    [[nodiscard]] auto get_or_init(F&& f) {
        static_assert(std::is_same_v<detail::task_result_t<std::decay_t<F>&>, T>,
                      "get_or_init(f): f returns a task of the very type of the value");
        using call = detail::once_call<T, std::decay_t<F>>;
        return detail::call_operation<call>(call(*this, std::decay_t<F>(std::forward<F>(f))));
    }
    // The value, or null. No checkpoint.
    [[nodiscard]] std::add_pointer_t<T> get() noexcept requires(!std::is_void_v<T>)
    {
        return value_.has_value() ? std::addressof(*value_) : nullptr;
    }
    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }

private:
    template <class, class>
    friend class detail::once_call;
    friend detail::once_making<T>;

    std::optional<detail::stored_t<T>> value_;
    detail::once_making<T>* making_ = nullptr;
    mutex turn_;
};

} // namespace eddy
