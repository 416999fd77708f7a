// The first of several things: this library's `select`.
//
//     auto op = eddy::race(queue.get(), stop.wait());
//     auto first = co_await op;           // first.index, first.value
#pragma once

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
    race_group() noexcept { first_done = &on_first_done; }
    any_task_handle winner;
    // Operations (not tasks): a loser that was granted something in the winner's tick is undone, not resumed.
    std::vector<engine::task_record*> undoable;

private:
    static void on_first_done(child_group& g, engine::task_record& r) noexcept;
};

template <class A>
constexpr bool is_undoable = !is_task<std::remove_cvref_t<A>>::value && awaitable<A>;

template <class Derived>
class race_operation_base : public children_operation<Derived, race_group> {
    using base = children_operation<Derived, race_group>;

public:
    static constexpr const char* what = "race";
    using base::base;
    engine::status state() noexcept {
        this->finish();
        if (!this->children_.winner.valid()) return engine::status::cancelled;
        const engine::status st = slot_of(*this->children_.winner.detail_record()).st;
        return st == engine::status::ok ? st : engine::status::exception; // cancelled by itself: task_cancelled
    }
    [[noreturn]] void fail() {
        if (this->children_.winner.valid())
            std::rethrow_exception(exception_of(*this->children_.winner.detail_record()));
        this->throw_outer();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(static_cast<Derived&>(*this)); }

protected:
    template <class T, class A>
    task_handle<T> add(A&& a) {
        auto h = spawn_handle<T>(this->children_, std::forward<A>(a), this->at_);
        if constexpr (is_undoable<A>) this->children_.undoable.push_back(h.detail_record());
        return h;
    }
};

template <class... As>
class race_operation final : public race_operation_base<race_operation<As...>> {
    using base = race_operation_base<race_operation<As...>>;
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

template <class A>
class race_range_operation final : public race_operation_base<race_range_operation<A>> {
    using base = race_operation_base<race_range_operation<A>>;
    using T = child_result_t<A>;

public:
    using result_type = race_result<stored_t<T>>;
    race_range_operation(const std::source_location& at, std::vector<A> as) : base(at), awaitables_(std::move(as)) {
        if (awaitables_.empty()) throw std::logic_error("eddy: race of an empty range: nothing could ever be first");
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
    return detail::race_operation<std::decay_t<As>...>(std::source_location::current(), std::forward<As>(as)...);
}
// The same for a range of one type: {index, T value}. An empty range is std::logic_error.
template <detail::awaitable_range R>
[[nodiscard]] auto race(R&& range) {
    return detail::race_range_operation<detail::element_t<R>>(std::source_location::current(),
                                                              detail::elements(std::forward<R>(range)));
}

} // namespace eddy
