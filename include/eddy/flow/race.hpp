// The first of several things: this library's `select`.
//
//     auto op = eddy::race(queue.get(), stop.wait());
//     auto first = co_await op;           // first.index, first.value
//
// race() is over when one has ended, first_success() when one has succeeded or all have failed.
#pragma once

#include <eddy/flow/exception_group.hpp>
#include <eddy/flow/gather.hpp>

#include <variant>

namespace eddy {

// Which was first, and what it gave.
template <class V>
struct race_result {
    race_result(std::size_t i, V v) : index(i), value(std::move(v)) {}
    std::size_t index;
    V value;
};

namespace detail {

class race_group : public child_group {
public:
    race_group() noexcept {
        first_done = &on_first_done;
        hears_all = true;
    }
    any_task_handle winner;
    bool only_success = false; // first_success(): a failure does not win
    std::size_t failures = 0;  // of those that a cancellation did not end
    // Operations (not tasks): a loser that was granted something in the winner's tick is undone, not resumed.
    // All of them, also those that have ended: taking each off would make large races quadratic.
    std::vector<any_task_handle> undoable;

private:
    static void on_first_done(child_group& g, engine::task_record& r) noexcept;
    void end_losers() noexcept;
};

template <class A>
constexpr bool is_undoable = !is_task<std::remove_cvref_t<A>>::value && awaitable<A>;

enum class race_mode : unsigned char { first_end, first_success };

template <race_mode Mode, class Derived>
class race_operation_base : public children_operation<Derived, race_group> {
    using base = children_operation<Derived, race_group>;

public:
    static constexpr const char* what = Mode == race_mode::first_end ? "race" : "first_success";
    explicit race_operation_base(const std::source_location& at) noexcept : base(at) { set_mode(); }
    race_operation_base(race_operation_base&& o) : base(std::move(o)) { set_mode(); }
    engine::status state() noexcept {
        this->finish();
        if (all_failed()) return engine::status::exception;
        if (!this->children_.winner.valid()) return engine::status::cancelled;
        const engine::status st = slot_of(*this->children_.winner.detail_record()).st;
        return st == engine::status::ok ? st : engine::status::exception; // cancelled by itself: task_cancelled
    }
    [[noreturn]] void fail() {
        if (all_failed())
            throw exception_group("all of first_success failed", static_cast<Derived*>(this)->errors_in_order());
        if (this->children_.winner.valid())
            std::rethrow_exception(exception_of(*this->children_.winner.detail_record()));
        this->throw_outer();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(static_cast<Derived&>(*this)); }

protected:
    template <class T, class A>
    task_handle<T> add(A&& a) {
        auto h = spawn_handle<T>(this->children_, std::forward<A>(a), this->at_);
        if constexpr (is_undoable<A>) this->children_.undoable.emplace_back(*h.detail_record());
        return h;
    }

private:
    void set_mode() noexcept { this->children_.only_success = Mode == race_mode::first_success; }
    [[nodiscard]] bool all_failed() const noexcept {
        return this->children_.failures == static_cast<const Derived*>(this)->size();
    }
};

template <race_mode Mode, class... As>
class race_operation final : public race_operation_base<Mode, race_operation<Mode, As...>> {
    using base = race_operation_base<Mode, race_operation<Mode, As...>>;
    using value_type = std::variant<stored_t<child_result_t<As>>...>;

public:
    using result_type = race_result<value_type>;
    template <class... Us>
    explicit race_operation(const std::source_location& at, Us&&... as)
        : base(at), awaitables_(std::forward<Us>(as)...) {}
    race_operation(race_operation&& o) : base(std::move(o)), awaitables_(std::move(o.awaitables_)) {}
    void spawn_all() {
        this->children_.undoable.reserve(sizeof...(As));
        spawn_each(std::index_sequence_for<As...>{});
    }
    result_type take() { return pick(std::index_sequence_for<As...>{}); }
    [[nodiscard]] static constexpr std::size_t size() noexcept { return sizeof...(As); }
    [[nodiscard]] std::vector<std::exception_ptr> errors_in_order() const {
        return std::apply(
            [](const auto&... h) {
                std::vector<std::exception_ptr> all;
                all.reserve(sizeof...(As));
                (all.push_back(exception_of(*h.detail_record())), ...);
                return all;
            },
            handles_);
    }

private:
    template <std::size_t... I>
    void spawn_each(std::index_sequence<I...>) {
        ((std::get<I>(handles_) = this->template add<child_result_t<As>>(std::forward<As>(std::get<I>(awaitables_)))),
         ...);
    }
    template <std::size_t... I>
    result_type pick(std::index_sequence<I...>) {
        std::optional<result_type> r;
        const auto look = [&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
            auto& h = std::get<N>(handles_);
            if (r.has_value() || h.detail_record() != this->children_.winner.detail_record()) return;
            if constexpr (std::is_reference_v<std::tuple_element_t<N, std::tuple<child_result_t<As>...>>>)
                r.emplace(N, value_type(std::in_place_index<N>, std::addressof(value_of(h))));
            else
                r.emplace(N, value_type(std::in_place_index<N>, value_of(h)));
        };
        (look(std::integral_constant<std::size_t, I>{}), ...);
        return std::move(*r);
    }
    std::tuple<As...> awaitables_;
    std::tuple<task_handle<child_result_t<As>>...> handles_;
};

template <race_mode Mode, class A>
class race_range_operation final : public race_operation_base<Mode, race_range_operation<Mode, A>> {
    using base = race_operation_base<Mode, race_range_operation<Mode, A>>;
    using T = child_result_t<A>;

public:
    using result_type = race_result<stored_t<T>>;
    race_range_operation(const std::source_location& at, std::vector<A> as) : base(at), awaitables_(std::move(as)) {
        if (awaitables_.empty())
            throw std::logic_error(std::string("eddy: ") + base::what +
                                   " of an empty range: nothing could ever be first");
    }
    race_range_operation(race_range_operation&& o) : base(std::move(o)), awaitables_(std::move(o.awaitables_)) {}
    void spawn_all() {
        this->children_.undoable.reserve(awaitables_.size());
        handles_.reserve(awaitables_.size());
        for (A& a : awaitables_)
            handles_.push_back(this->template add<T>(std::move(a)));
    }
    result_type take() {
        std::size_t i = 0;
        while (handles_[i].detail_record() != this->children_.winner.detail_record())
            ++i;
        if constexpr (std::is_reference_v<T>)
            return result_type(i, std::addressof(value_of(handles_[i])));
        else
            return result_type(i, value_of(handles_[i]));
    }
    [[nodiscard]] std::size_t size() const noexcept { return awaitables_.size(); }
    [[nodiscard]] std::vector<std::exception_ptr> errors_in_order() const {
        std::vector<std::exception_ptr> all;
        all.reserve(handles_.size());
        for (const auto& h : handles_)
            all.push_back(exception_of(*h.detail_record()));
        return all;
    }

private:
    std::vector<A> awaitables_;
    std::vector<task_handle<T>> handles_;
};

} // namespace detail

// Runs all at once; the first to end decides: its value with its index, or its exception. The others are cancelled and
// awaited. An operation that loses in the winner's tick loses nothing: the item, lock or permit goes back; a *task*
// that loses may have done its work. Takes what gather() takes. Always gives way once. The value is a variant,
// std::monostate for void, a pointer for a reference.
template <class... As>
requires(sizeof...(As) > 0 && (detail::wrappable<As &&> && ...))
[[nodiscard]] auto race(As&&... as) {
    return detail::race_operation<detail::race_mode::first_end, std::decay_t<As>...>(std::source_location::current(),
                                                                                     std::forward<As>(as)...);
}
// The same for a range of one type: {index, T value}. An empty range is std::logic_error.
template <detail::awaitable_range R>
[[nodiscard]] auto race(R&& range) {
    return detail::race_range_operation<detail::race_mode::first_end, detail::element_t<R>>(
        std::source_location::current(), detail::elements(std::forward<R>(range)));
}

// Runs all at once; the first to succeed decides: its value with its index, as race() gives it. The others are
// cancelled and awaited. A failure (also the task_cancelled of one that somebody else cancelled) does not win and
// cancels nobody; when all have failed, an exception_group holds what they threw, in the order of the arguments. With a
// success the failures before it are dropped; one that comes later, out of a loser's clean-up, goes to the exception
// handler. Cancelled from outside: all are joined, then `cancelled` is thrown. Takes what gather() takes. Always gives
// way once.
template <class... As>
requires(sizeof...(As) > 0 && (detail::wrappable<As &&> && ...))
[[nodiscard]] auto first_success(As&&... as) {
    return detail::race_operation<detail::race_mode::first_success, std::decay_t<As>...>(
        std::source_location::current(), std::forward<As>(as)...);
}
// The same for a range of one type: {index, T value}. An empty range is std::logic_error.
template <detail::awaitable_range R>
[[nodiscard]] auto first_success(R&& range) {
    return detail::race_range_operation<detail::race_mode::first_success, detail::element_t<R>>(
        std::source_location::current(), detail::elements(std::forward<R>(range)));
}

} // namespace eddy
