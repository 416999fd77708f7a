// Waiting for several tasks without owning them.
//
//     auto r = co_await wait(handles, wait_for::first_completed, 5s);
//     // r.done, r.pending
//
// One wait in the caller's scope, and a listener on each task that has not ended. The listeners live in the operation
// and leave with it: a thousand waits leave no trace on a task that outlives them. Nothing is cancelled.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/core/task_handle.hpp>

#include <memory>
#include <optional>
#include <ranges>
#include <vector>

namespace eddy {

// What wait() waits for.
enum class wait_for : unsigned char {
    all,             // every task has ended
    first_completed, // one has
    first_exception, // one has failed (one that was cancelled has not), or all have ended
};

// Which tasks have ended and which have not, each in the order of the handles.
template <class Handle>
struct wait_result {
    wait_result() = default;
    std::vector<Handle> done;
    std::vector<Handle> pending;
};

namespace detail {

// The wait of wait(): knows records, not handles.
class wait_leaf final : public leaf_operation<wait_leaf>, private engine::timer {
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    wait_leaf(eddy::wait_for how, std::optional<duration> limit) noexcept : how_(how), limit_(limit) {}
    wait_leaf(wait_leaf&& o) : leaf_operation(std::move(o)), how_(o.how_), limit_(o.limit_) {}
    ~wait_leaf();

    // Before start(): refuses what can't be waited for. Whoever calls keeps the records alive.
    void listen_to(const std::vector<engine::task_record*>& records);
    bool attempt();
    void enqueue() noexcept;
    void take() noexcept {}

private:
    struct member : engine::end_listener {
        member() noexcept = default;
        engine::task_record* record = nullptr;
        wait_leaf* owner = nullptr;
    };
    static void on_end(engine::end_listener& l, engine::task_record& r) noexcept;
    // This task has ended: is that enough?
    [[nodiscard]] bool is_enough(const engine::task_record& r) const noexcept;
    void leave() noexcept;

    std::unique_ptr<member[]> members_; // those that had not ended
    std::size_t count_ = 0;
    std::size_t alive_ = 0;
    bool enough_ = false;
    eddy::wait_for how_;
    std::optional<duration> limit_;
};

[[noreturn]] void throw_wait_for_nothing();
// The places of the records that have not come before. std::logic_error for a null (an empty handle).
std::vector<std::size_t> first_of_each(const std::vector<engine::task_record*>& records, const char* what);

template <class Handle>
class wait_operation final : public operation_tag {
public:
    using result_type = wait_result<Handle>;
    wait_operation(std::vector<Handle> handles, eddy::wait_for how, std::optional<duration> limit)
        : handles_(std::move(handles)), leaf_(how, limit) {
        if (handles_.empty()) throw_wait_for_nothing();
        std::vector<Handle> unique;
        for (const std::size_t i : first_of_each(records(), "wait"))
            unique.push_back(std::move(handles_[i]));
        handles_ = std::move(unique);
    }
    wait_operation(wait_operation&& o) : handles_(unless_awaited(o)), leaf_(std::move(o.leaf_)) {}

    void bind(context& c) { leaf_.bind(c); }
    bool start() {
        leaf_.listen_to(records());
        return leaf_.start();
    }
    void suspend(void* frame) noexcept { leaf_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return leaf_.state(); }
    // Who has ended by now, also where nobody was told yet.
    result_type take() {
        result_type r;
        for (Handle& h : handles_)
            (h.done() ? r.done : r.pending).push_back(std::move(h));
        return r;
    }
    [[noreturn]] void fail() { leaf_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return leaf_.error(); }

private:
    static std::vector<Handle>&& unless_awaited(wait_operation& o) {
        if (o.leaf_.where != nullptr) throw_awaited_twice("wait");
        return std::move(o.handles_);
    }
    [[nodiscard]] std::vector<engine::task_record*> records() const {
        std::vector<engine::task_record*> all;
        all.reserve(handles_.size());
        for (const Handle& h : handles_)
            all.push_back(h.detail_record());
        return all;
    }
    std::vector<Handle> handles_;
    wait_leaf leaf_; // after the handles: it listens to what they keep alive
};

template <class X>
struct is_task_handle : std::false_type {};
template <class T>
struct is_task_handle<task_handle<T>> : std::true_type {};

template <class R>
concept handle_range =
    std::ranges::input_range<R> && is_task_handle<std::remove_cvref_t<std::ranges::range_reference_t<R>>>::value;

template <handle_range R>
auto handles_of(R&& range) {
    std::vector<std::remove_cvref_t<std::ranges::range_reference_t<R>>> all;
    if constexpr (std::ranges::sized_range<R>) all.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (const auto& h : range)
        all.push_back(h);
    return all;
}

} // namespace detail

// Waits until the tasks have done what `how` says, or until `limit` is over, and gives who has ended and who has not:
// wait_result{done, pending}, vectors of the handles in the order given. `handles`: a range of task_handle<T>, or of
// any_task_handle for tasks of several types; copied. One task twice counts once.
// Cancels nothing. Throws nothing of the tasks': their outcomes stay in the handles, and a failure that nobody looks at
// there goes to the exception handler as ever. A limit that runs out is no error; zero or negative gives way once.
// A checkpoint, also when nothing has to be waited for. Cancelled: the tasks go on. O(n) once, O(1) for each end.
// std::logic_error: an empty range, an empty handle, a running task of another loop, the awaiting task itself.
template <detail::handle_range R>
[[nodiscard]] auto wait(R&& handles, wait_for how = wait_for::all, std::optional<duration> limit = std::nullopt) {
    using H = std::remove_cvref_t<std::ranges::range_reference_t<R>>;
    return detail::wait_operation<H>(detail::handles_of(std::forward<R>(handles)), how, limit);
}
template <detail::handle_range R, class Rep, class Period>
[[nodiscard]] auto wait(R&& handles, wait_for how, std::chrono::duration<Rep, Period> limit) {
    return wait(std::forward<R>(handles), how, std::optional<duration>(detail::to_duration(limit)));
}

} // namespace eddy
