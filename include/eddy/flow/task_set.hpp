// Tasks that are started one by one and collected in the order in which they end (tokio's JoinSet).
//
//     task_set<page> fetches;
//     for (const auto& url : first_urls)
//         fetches.spawn(fetch, url);
//     while (auto r = co_await fetches.next())
//         if (r->has_value()) fetches.spawn(fetch, r->value().link);
//
// A failure is an outcome like another and cancels nobody; for all-or-nothing there is with_task_group(). The tasks are
// the loop's, like spawned ones, not children of the scope that spawned them: what holds them together is the set.
// Destroying it cancels them and does not wait; with(task_set<T>(), body) cancels them and waits, on every way out.
#pragma once

#include <eddy/core/loop.hpp>
#include <eddy/flow/completions.hpp>
#include <eddy/flow/gather.hpp>

namespace eddy {

// Move-only, loop-bound. T: what the tasks give; may be void, move-only, a reference.
template <class T = void>
class task_set {
    struct source {
        using completion_type = completion<T, any_task_handle>;
        // Moved out: nobody else has a handle that could look at the value.
        static completion_type from(engine::task_record& r) {
            return completion_type(any_task_handle(r), detail::outcome_of_child(task_handle<T>(r)));
        }
    };

public:
    task_set() : line_(std::make_shared<detail::completions>()) {}
    task_set(task_set&&) noexcept = default;
    task_set& operator=(task_set&& o) noexcept {
        if (this != &o) {
            cancel();
            line_ = std::move(o.line_);
        }
        return *this;
    }
    // Cancels what is alive and does not wait: the tasks end by themselves, at the latest with the loop. Outcomes that
    // nobody took are dropped; failures among them go to the exception handler.
    ~task_set() { cancel(); }

    // As the free spawn(), in its four forms. The handle is for cancel(), done() and name(); the value comes out of
    // next().
    any_task_handle spawn(task<T> t, std::source_location at = std::source_location::current()) {
        return add([&] { return eddy::spawn(std::move(t), at); });
    }
    any_task_handle spawn(spawn_options o, task<T> t) {
        return add([&] { return eddy::spawn(std::move(o), std::move(t)); });
    }
    template <class F>
    requires detail::task_function<std::decay_t<F>>
    any_task_handle spawn(F&& f, std::source_location at = std::source_location::current()) {
        return add([&] { return eddy::spawn(std::forward<F>(f), at); });
    }
    template <class F, class Arg, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>
    any_task_handle spawn(F&& f, Arg&& arg, Args&&... args) {
        return add(
            [&] { return eddy::spawn(std::forward<F>(f), std::forward<Arg>(arg), std::forward<Args>(args)...); });
    }
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    any_task_handle spawn(spawn_options o, F&& f, Args&&... args) {
        return add([&] { return eddy::spawn(std::move(o), std::forward<F>(f), std::forward<Args>(args)...); });
    }

    // Waits for the next task to end; gives its outcome and handle. Empty when there is none: more may be spawned after
    // that, and while others wait. A checkpoint. Cancelled: the tasks go on, and no outcome is lost. Several may wait,
    // first come first served. O(1). std::logic_error from another loop.
    [[nodiscard]] auto next() noexcept { return detail::next_completion<source>(line_, "task_set.next"); }

    // Asks all that are alive to end; what has ended keeps its outcome. next() gives them all. Loop thread.
    void cancel(const cancel_reason& reason = {}) noexcept {
        if (line_ != nullptr) line_->cancel_all(reason);
    }
    // Forgets the tasks, which go on as spawned ones do. Outcomes that nobody took are dropped.
    void detach() { line_ = std::make_shared<detail::completions>(); }
    // Cancels all and waits until they have ended; their outcomes are dropped. For with(). A checkpoint when cancelled
    // from outside, or while a task lives.
    task<void> close() { return close_line(line_); }

    // Tasks whose outcome has not been given out; those of them that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return line_->size(); }
    [[nodiscard]] std::size_t alive() const noexcept { return line_->alive(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

private:
    template <class Spawn>
    any_task_handle add(Spawn spawn) {
        auto entry = detail::completion_entry::make(); // first: what has been spawned is in the set
        task_handle<T> h = spawn();
        line_->add(std::move(entry), *h.detail_record());
        return h;
    }
    static task<void> close_line(std::shared_ptr<detail::completions> line) {
        line->cancel_all({});
        while (line->size() != 0) {
            detail::completion_leaf end(line, "task_set.close");
            auto dropped = co_await end;
        }
    }
    std::shared_ptr<detail::completions> line_;
};

} // namespace eddy
