// All of several things at once.
#pragma once

#include <eddy/flow/group_base.hpp>

#include <ranges>
#include <tuple>

namespace eddy {

namespace detail {

// The children of a gather or race, and the wait for them. Derived spawns them and makes the result.
template <class Derived, class Group = child_group>
class children_operation : public operation_tag {
public:
    explicit children_operation(const std::source_location& at) noexcept : at_(at), drain_(children_) {}
    children_operation(children_operation&& o) : at_(o.at_), drain_(children_) {
        if (o.context_ != nullptr) throw_awaited_twice(Derived::what);
    }

    void bind(context& c) {
        if (context_ != nullptr) throw_awaited_twice(Derived::what);
        context_ = &c;
    }
    bool start() {
        children_.open(*context_->where);
        try {
            static_cast<Derived*>(this)->spawn_all();
        } catch (...) {
            children_.discard_children();
            children_.close();
            throw;
        }
        if (!drain_.start()) return false;
        children_.close();
        return true;
    }
    void suspend(void* frame) noexcept { drain_.suspend(frame); }

protected:
    void finish() noexcept {
        children_.close();
        context_->where->loop->running = context_->where;
    }
    // A child was cancelled, and so are we.
    [[nodiscard]] bool outer_cancelled() const noexcept { return context_->where->has(engine::scope::cancelled); }
    [[noreturn]] void throw_outer() const { throw_cancelled(*context_->where); }

    Group children_;
    context* context_ = nullptr;
    std::source_location at_;
    drain_operation drain_;
};

template <class T>
bool has_value(const task_handle<T>& h) noexcept {
    return slot_of(*h.detail_record()).st == engine::status::ok;
}
// The value of a task that has ended with one; moved out.
template <class T>
decltype(auto) value_of(const task_handle<T>& h) {
    h.detail_record()->flags |= engine::scope::observed;
    if constexpr (std::is_void_v<T>)
        return std::monostate{};
    else
        return stored<T>::out(static_cast<value_slot<T>&>(slot_of(*h.detail_record())).value);
}
template <class T>
outcome<T> outcome_of_child(const task_handle<T>& h) {
    engine::task_record& r = *h.detail_record();
    result_slot& s = slot_of(r);
    r.flags |= engine::scope::observed;
    if (s.st == engine::status::cancelled) return outcome<T>::of_cancelled(reason_of(r));
    if (s.st != engine::status::ok) return outcome<T>::of_error(s.error);
    if constexpr (std::is_void_v<T>)
        return outcome<T>::of_value({});
    else
        return outcome<T>::of_value(std::move(static_cast<value_slot<T>&>(s).value));
}

template <class T, class A>
task_handle<T> spawn_handle(child_group& g, A&& a, const std::source_location& at) {
    return task_handle<T>(spawn_child(g, std::forward<A>(a), at));
}

enum class gather_mode : unsigned char { values, outcomes };

// A fixed number of awaitables of any types.
template <gather_mode Mode, class... As>
class gather_operation final : public children_operation<gather_operation<Mode, As...>> {
    using base = children_operation<gather_operation<Mode, As...>>;
    template <class T>
    using item = std::conditional_t<Mode == gather_mode::values, regular_t<T>, outcome<T>>;

public:
    static constexpr const char* what = "gather";
    using result_type = std::tuple<item<child_result_t<As>>...>;
    template <class... Us>
    explicit gather_operation(const std::source_location& at, Us&&... as)
        : base(at), awaitables_(std::forward<Us>(as)...) {
        this->children_.collect_only = Mode == gather_mode::outcomes;
        this->children_.needs_all = Mode == gather_mode::values;
    }
    gather_operation(gather_operation&& o) : base(std::move(o)), awaitables_(std::move(o.awaitables_)) {
        this->children_.collect_only = Mode == gather_mode::outcomes;
        this->children_.needs_all = Mode == gather_mode::values;
    }

    void spawn_all() {
        std::apply(
            [this](auto&... a) {
                [this, &a...]<std::size_t... I>(std::index_sequence<I...>) {
                    ((std::get<I>(handles_) =
                          spawn_handle<child_result_t<As>>(this->children_, std::forward<As>(a), this->at_)),
                     ...);
                }(std::index_sequence_for<As...>{});
            },
            awaitables_);
    }
    engine::status state() noexcept {
        this->finish();
        if (this->children_.first_error != nullptr) return engine::status::exception;
        const bool all = std::apply([](const auto&... h) { return (has_value(h) && ...); }, handles_);
        if (Mode == gather_mode::values) return all ? engine::status::ok : engine::status::cancelled;
        return this->outer_cancelled() ? engine::status::cancelled : engine::status::ok;
    }
    result_type take() {
        return std::apply(
            [](const auto&... h) {
                if constexpr (Mode == gather_mode::values)
                    return result_type(value_of(h)...);
                else
                    return result_type(outcome_of_child(h)...);
            },
            handles_);
    }
    [[noreturn]] void fail() {
        if (this->children_.first_error != nullptr) std::rethrow_exception(this->children_.first_error);
        this->throw_outer();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }

private:
    std::tuple<As...> awaitables_;
    std::tuple<task_handle<child_result_t<As>>...> handles_;
};

// A range of awaitables of one type.
template <gather_mode Mode, class A>
class gather_range_operation final : public children_operation<gather_range_operation<Mode, A>> {
    using base = children_operation<gather_range_operation<Mode, A>>;
    using T = child_result_t<A>;

public:
    static constexpr const char* what = "gather";
    using result_type = std::conditional_t<Mode == gather_mode::outcomes, std::vector<outcome<T>>,
                                           std::conditional_t<std::is_void_v<T>, void, std::vector<stored_t<T>>>>;
    gather_range_operation(const std::source_location& at, std::vector<A> as) : base(at), awaitables_(std::move(as)) {
        this->children_.collect_only = Mode == gather_mode::outcomes;
        this->children_.needs_all = Mode == gather_mode::values;
    }
    gather_range_operation(gather_range_operation&& o) : base(std::move(o)), awaitables_(std::move(o.awaitables_)) {
        this->children_.collect_only = Mode == gather_mode::outcomes;
        this->children_.needs_all = Mode == gather_mode::values;
    }

    void spawn_all() {
        handles_.reserve(awaitables_.size());
        for (A& a : awaitables_)
            handles_.push_back(spawn_handle<T>(this->children_, std::move(a), this->at_));
    }
    engine::status state() noexcept {
        this->finish();
        if (this->children_.first_error != nullptr) return engine::status::exception;
        if (Mode == gather_mode::outcomes)
            return this->outer_cancelled() ? engine::status::cancelled : engine::status::ok;
        for (const auto& h : handles_)
            if (!has_value(h)) return engine::status::cancelled;
        return engine::status::ok;
    }
    result_type take() {
        if constexpr (!std::is_void_v<result_type>) {
            result_type all;
            all.reserve(handles_.size());
            for (const auto& h : handles_) {
                if constexpr (Mode == gather_mode::outcomes)
                    all.push_back(outcome_of_child(h));
                else if constexpr (std::is_reference_v<T>)
                    all.push_back(std::addressof(value_of(h)));
                else
                    all.push_back(value_of(h));
            }
            return all;
        }
    }
    [[noreturn]] void fail() {
        if (this->children_.first_error != nullptr) std::rethrow_exception(this->children_.first_error);
        this->throw_outer();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }

private:
    std::vector<A> awaitables_;
    std::vector<task_handle<T>> handles_;
};

template <class R>
using element_t = std::remove_cvref_t<std::ranges::range_reference_t<R>>;

// The elements of a range, to be owned by an operation.
template <class R>
std::vector<element_t<R>> elements(R&& range) {
    std::vector<element_t<R>> all;
    if constexpr (std::ranges::sized_range<R>) all.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto&& a : range) {
        if constexpr (std::is_lvalue_reference_v<R> || !std::is_move_constructible_v<element_t<R>>)
            all.push_back(a);
        else
            all.push_back(std::move(a));
    }
    return all;
}

template <class R> concept awaitable_range = std::ranges::input_range<R> && wrappable<element_t<R>&&>;

} // namespace detail

// Runs all at once; a tuple of the results in order (std::monostate for void). The first failure cancels the rest,
// which are awaited, and is rethrown. Takes tasks (moved in), other awaitables, and callables that return tasks (kept
// alive). A checkpoint while a child lives. Allocates a task for each.
template <class... As>
requires(detail::wrappable<As &&> && ...)
[[nodiscard]] auto gather(As&&... as) {
    return detail::gather_operation<detail::gather_mode::values, std::decay_t<As>...>(std::source_location::current(),
                                                                                      std::forward<As>(as)...);
}
// The same for a range, which is moved from (copied when an lvalue): a vector of results in order, nothing for void.
template <detail::awaitable_range R>
[[nodiscard]] auto gather(R&& range) {
    return detail::gather_range_operation<detail::gather_mode::values, detail::element_t<R>>(
        std::source_location::current(), detail::elements(std::forward<R>(range)));
}

// Runs all at once and gives every outcome; a failure cancels nothing. When its own scope is cancelled it joins all,
// then throws `cancelled`.
template <class... As>
requires(detail::wrappable<As &&> && ...)
[[nodiscard]] auto gather_settled(As&&... as) {
    return detail::gather_operation<detail::gather_mode::outcomes, std::decay_t<As>...>(std::source_location::current(),
                                                                                        std::forward<As>(as)...);
}
template <detail::awaitable_range R>
[[nodiscard]] auto gather_settled(R&& range) {
    return detail::gather_range_operation<detail::gather_mode::outcomes, detail::element_t<R>>(
        std::source_location::current(), detail::elements(std::forward<R>(range)));
}

} // namespace eddy
