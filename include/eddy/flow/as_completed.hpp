// Outcomes in the order in which tasks end.
//
//     auto ends = as_completed(handles);
//     while (auto r = co_await ends.next())
//         use(r->handle().name(), r->value());    // or r->error(), r->is_cancelled()
#pragma once

#include <eddy/flow/completions.hpp>
#include <eddy/flow/wait.hpp>

namespace eddy {

// What as_completed() gives. Move-only, loop-bound. It owns the handles, not the tasks: destroying it, or leaving the
// loop over it early and coming back, changes nothing for them. A next() in progress keeps what it needs.
template <class Handle>
class completion_stream {
    struct source {
        using T = typename Handle::result_type;
        static_assert(
            std::is_void_v<T> || std::is_reference_v<T> || std::is_copy_constructible_v<T>,
            "other handles see the value too, so it is copied: use a range of any_task_handle, or a task_set");
        using completion_type = completion<T, Handle>;
        static completion_type from(engine::task_record& r) {
            Handle h(r);
            auto o = h.outcome();
            return completion_type(std::move(h), std::move(o));
        }
    };

public:
    explicit completion_stream(const std::vector<Handle>& handles) : line_(std::make_shared<detail::completions>()) {
        std::vector<engine::task_record*> records;
        records.reserve(handles.size());
        for (const Handle& h : handles)
            records.push_back(h.detail_record());
        for (const std::size_t i : detail::first_of_each(records, "as_completed()"))
            line_->add(detail::completion_entry::make(), *records[i]);
    }

    // Waits for the next task to end; gives its outcome and handle, and marks a failure as received. Empty when all
    // have been given. A checkpoint. Cancelled: the tasks go on, and nothing is lost: the next next() gives it. Several
    // may wait at once, first come first served, each gets another. O(1). std::logic_error from another loop.
    [[nodiscard]] auto next() noexcept { return detail::next_completion<source>(line_, "as_completed().next"); }

    // Tasks that have not been given yet.
    [[nodiscard]] std::size_t size() const noexcept { return line_->size(); }

private:
    std::shared_ptr<detail::completions> line_;
};

// The ends of tasks, in order: those that have ended already in the order of the handles, the others as they end.
// `handles`: a range of task_handle<T>, or of any_task_handle for tasks of several types (without their values);
// copied. One task twice counts once; an empty range is at its end. Owns and cancels nothing. For a time limit put
// timeout() around next(). O(n) in all. std::logic_error: an empty handle, a running task of another loop.
template <detail::handle_range R>
[[nodiscard]] auto as_completed(R&& handles) {
    using H = std::remove_cvref_t<std::ranges::range_reference_t<R>>;
    return completion_stream<H>(detail::handles_of(std::forward<R>(handles)));
}

} // namespace eddy
