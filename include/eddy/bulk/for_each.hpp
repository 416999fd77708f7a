// A task for every item of a source, so many at a time.
//
//     auto all = for_each(urls, fetch, for_each_options().concurrency(8));
//     co_await all;
//
// The source is read lazily: the next item is taken when a place is free, so it may be endless, and no more than
// `concurrency` items are alive. Items start in the order of the source.
#pragma once

#include <eddy/flow/task_group.hpp>
#include <eddy/sync/semaphore.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <vector>

namespace eddy {

// What a failing item means for the others.
enum class on_error {
    stop,    // the first failure cancels the rest and is thrown
    collect, // all run; the failures are in the result
    skip,    // all run; each failure is told to the exception handler when it happens, and counted
};

// How for_each() goes about it. Chain the setters.
class for_each_options {
public:
    for_each_options() = default;
    // At most so many items at a time. Default: 16. std::logic_error for 0.
    for_each_options& concurrency(std::size_t n);
    // Default: stop.
    for_each_options& on_error(eddy::on_error e) noexcept {
        on_error_ = e;
        return *this;
    }
    // Called after each item that succeeded or failed, with how many have by now. What it throws ends the for_each.
    for_each_options& progress(std::function<void(std::size_t)> f) {
        progress_ = std::move(f);
        return *this;
    }

    [[nodiscard]] std::size_t concurrency() const noexcept { return concurrency_; }
    [[nodiscard]] eddy::on_error on_error() const noexcept { return on_error_; }
    [[nodiscard]] const std::function<void(std::size_t)>& progress() const noexcept { return progress_; }

private:
    std::size_t concurrency_ = 16;
    eddy::on_error on_error_ = eddy::on_error::stop;
    std::function<void(std::size_t)> progress_;
};

// What came of a for_each().
class for_each_result {
public:
    // An item that failed.
    struct failure {
        failure(std::size_t i, std::exception_ptr e) : index(i), error(std::move(e)) {}
        std::size_t index; // its place in the source, from 0
        std::exception_ptr error;
    };

    for_each_result() = default;
    std::size_t succeeded = 0;
    std::size_t failed = 0;
    std::vector<failure> failures; // on_error::collect only; in the order of failing
};

namespace detail {

// Something with `next()`, an awaitable that gives an optional item: a queue, a generator.
template <class S>
concept async_source = requires(S& s) {
    requires awaitable<decltype(s.next())>;
    { static_cast<bool>(std::declval<await_result_t<decltype(s.next())>&>()) };
    { *std::declval<await_result_t<decltype(s.next())>&>() };
};

// Where items come from: `T` is the source, or a reference to one that somebody else keeps.
template <class T>
class range_source {
    using range = std::remove_reference_t<T>;
    static constexpr bool stays = std::ranges::forward_range<range> && // an element outlives the step to the next
                                  std::is_lvalue_reference_v<std::ranges::range_reference_t<range>>;
    static constexpr bool owned = !std::is_reference_v<T> && !std::ranges::view<range> && stays;

public:
    // A range that is ours gives its elements away; of others the task gets a reference, or the value where there is no
    // element to refer to.
    using item = std::conditional_t<
        owned, std::ranges::range_rvalue_reference_t<range>,
        std::conditional_t<stays, std::ranges::range_reference_t<range>, std::ranges::range_value_t<range>>>;
    static constexpr bool waits = false;

    explicit range_source(T&& r) : range_(std::forward<T>(r)) {}
    void begin() { at_.emplace(std::ranges::begin(range_)); }
    [[nodiscard]] bool at_end() { return *at_ == std::ranges::end(range_); }
    item get() {
        if constexpr (owned)
            return std::ranges::iter_move(*at_);
        else
            return **at_;
    }
    void step() { ++*at_; }

private:
    T range_;
    std::optional<std::ranges::iterator_t<range>> at_;
};

template <class T>
class awaited_source {
    using source = std::remove_reference_t<T>;

public:
    using optional = await_result_t<decltype(std::declval<source&>().next())>;
    using item = std::remove_cvref_t<decltype(*std::declval<optional&>())>;
    static constexpr bool waits = true;

    explicit awaited_source(T&& s) : source_(std::forward<T>(s)) {}
    auto next() { return source_.next(); }

private:
    T source_;
};

template <class S>
struct source_of;
template <class S>
requires async_source<std::remove_reference_t<S>>
struct source_of<S> {
    using type = awaited_source<S>;
};
template <class S>
requires(!async_source<std::remove_reference_t<S>> && std::ranges::input_range<S>)
struct source_of<S> {
    using type = range_source<S>;
};

// The part that is the same for all items and sources.
class for_each_tally {
public:
    explicit for_each_tally(for_each_options o) : options(std::move(o)) {}
    void succeeded();
    // An item failed: rethrows with on_error::stop.
    void failed(std::size_t index, std::exception_ptr e);

    for_each_options options;
    for_each_result result;
};

template <class Source, class F>
class for_each_call {
    using item = typename Source::item;

public:
    template <class S>
    for_each_call(S&& s, F f, for_each_options o)
        : source_(std::forward<S>(s)), f_(std::move(f)), tally_(std::move(o)) {}
    task<for_each_result> operator()() { return run(*this); }

private:
    static task<for_each_result> run(for_each_call& self) {
        // Outlives the group, whose items hold its permits.
        semaphore places(static_cast<std::ptrdiff_t>(self.tally_.options.concurrency()));
        auto group = with_task_group([&](task_group& g) { return feed(self, g, places); });
        co_await group;
        co_return std::move(self.tally_.result);
    }

    // Spawns an item whenever there is a place.
    static task<void> feed(for_each_call& self, task_group& g, semaphore& places) {
        if constexpr (!Source::waits) self.source_.begin();
        for (std::size_t index = 0;; ++index) {
            semaphore::permit place = co_await places.acquire();
            if constexpr (Source::waits) {
                auto found = co_await self.source_.next();
                if (!found) co_return;
                g.spawn(one(self, *std::move(found), index, std::move(place)));
            } else {
                if (self.source_.at_end()) co_return;
                g.spawn(one(self, self.source_.get(), index, std::move(place)));
                self.source_.step();
            }
        }
    }

    // The place is a parameter: it is free again when the frame has gone, and the item with it, however the task ends.
    static task<void> one(for_each_call& self, item it, std::size_t index, semaphore::permit) {
        std::exception_ptr error;
        try {
            co_await std::invoke(self.f_, std::forward<item>(it));
        } catch (const cancelled&) {
            throw;
        } catch (...) {
            error = std::current_exception();
        }
        if (error == nullptr)
            self.tally_.succeeded();
        else
            self.tally_.failed(index, std::move(error));
    }

    Source source_;
    F f_;
    for_each_tally tally_;
};

template <class S, class F>
concept for_each_function = std::is_invocable_v<F&, typename source_of<S>::type::item&&> &&
                            awaitable<std::invoke_result_t<F&, typename source_of<S>::type::item&&>>;

} // namespace detail

// Runs f(item) for every item of `source`, at most options.concurrency() at a time, and gives a for_each_result when
// all have ended.
//
// `source` is a range (an lvalue is used where it is and must live until the end; an rvalue is moved in, and f gets its
// elements as rvalues), or has next(), which is awaited and gives an optional: a queue, a generator. (Items of a queue
// need their task_done() only where somebody joins it.) `f` returns a task or another awaitable, whose value is
// dropped; it is kept, and may be called again while earlier calls still run.
//
// A checkpoint for each item. Cancelled, it cancels the items that run, waits for them, and throws `cancelled`. Items
// that were cancelled count neither as succeeded nor as failed. What the source throws, or progress(), ends it as a
// failure does with on_error::stop: the rest is cancelled and joined, then it is rethrown.
template <class S, class F>
requires detail::for_each_function<S, std::decay_t<F>>
[[nodiscard]] auto for_each(S&& source, F&& f, for_each_options options = for_each_options()) {
    using call = detail::for_each_call<typename detail::source_of<S>::type, std::decay_t<F>>;
    return detail::call_operation<call>(call(std::forward<S>(source), std::forward<F>(f), std::move(options)));
}

} // namespace eddy
