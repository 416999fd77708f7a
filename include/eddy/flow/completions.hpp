// What as_completed() and task_set share: a line of tasks in the order in which they end.
//
// Each task has an entry: as long as it lives a listener on its record, then a node of the line. Whoever asks takes the
// first of the line, or waits, first come first served. An operation that was handed an entry and is destroyed before
// it took it puts it back in front. Who waits learns that nothing is left only when the last entry has been *taken*.
#pragma once

#include <eddy/core/task_handle.hpp>

#include <memory>
#include <optional>

namespace eddy {

// How a task ended, and which it was.
template <class T, class Handle = task_handle<T>>
class completion : public outcome<T> {
public:
    completion(Handle h, outcome<T> o) : outcome<T>(std::move(o)), handle_(std::move(h)) {}
    [[nodiscard]] const Handle& handle() const noexcept { return handle_; }

private:
    Handle handle_;
};

namespace detail {

class completions;

// A task that is waited for, or has ended and was not taken yet. Holds a reference to its record.
struct completion_entry : engine::end_listener, frame_memory {
    completion_entry() noexcept = default;
    completion_entry(const completion_entry&) = delete;
    ~completion_entry() {
        if (record != nullptr) engine::release(*record);
    }
    // Throws std::bad_alloc.
    static std::unique_ptr<completion_entry> make();

    engine::task_record* record = nullptr;
    completions* owner = nullptr;
    completion_entry* before = nullptr; // among those alive, in the order they were added
    completion_entry* after = nullptr;
};

struct completion_waiter : engine::waiter {
    completion_entry* got = nullptr; // handed over, not taken yet
};

class completions {
public:
    completions() noexcept = default;
    completions(const completions&) = delete;
    ~completions();

    // The task may have ended already. std::logic_error when it runs on another loop than those before, or than the one
    // that runs on this thread.
    void add(std::unique_ptr<completion_entry> e, engine::task_record& r);
    void cancel_all(const cancel_reason& reason) noexcept;
    // Added and not taken yet; those of them that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t alive() const noexcept { return alive_; }

    // For who asks. False: it has to wait.
    bool attempt(completion_waiter& w) noexcept;
    void wait(completion_waiter& w) noexcept { waiters_.push_back(w); }
    void check_loop(const engine::scope& where, const char* what) const;
    std::unique_ptr<completion_entry> take(completion_waiter& w) noexcept;
    void give_back(completion_waiter& w) noexcept;

private:
    static void on_end(engine::end_listener& l, engine::task_record& r) noexcept;
    bool hand_over(completion_entry& e) noexcept;
    void leave_alive(completion_entry& e) noexcept;

    engine::runnable_list ended_;
    engine::runnable_list waiters_;
    completion_entry* oldest_ = nullptr;
    completion_entry* newest_ = nullptr;
    std::size_t alive_ = 0;
    std::size_t size_ = 0;
    engine::loop_core* loop_ = nullptr; // valid while a task is alive
};

// Waits for the next entry; null when nothing is left. Keeps the line alive.
class completion_leaf final : public leaf_operation<completion_leaf, completion_waiter> {
public:
    using result_type = std::unique_ptr<completion_entry>;
    static constexpr engine::wait_kind kind{.name = "next task to end",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    completion_leaf(std::shared_ptr<completions> line, const char* what) noexcept
        : line_(std::move(line)), what_(what) {}
    completion_leaf(completion_leaf&& o) : leaf_operation(std::move(o)), line_(o.line_), what_(o.what_) {}
    ~completion_leaf() {
        end();
        if (got != nullptr) line_->give_back(*this);
    }
    bool start() {
        line_->check_loop(*where, what_);
        return leaf_operation::start();
    }
    bool attempt() noexcept { return line_->attempt(*this); }
    void enqueue() noexcept { line_->wait(*this); }
    result_type take() noexcept { return line_->take(*this); }

private:
    std::shared_ptr<completions> line_;
    const char* what_;
};

// Makes a completion of the entry. Source: `static Completion from(engine::task_record&)`.
template <class Source>
class next_completion final : public operation_tag {
public:
    using result_type = std::optional<typename Source::completion_type>;
    next_completion(std::shared_ptr<completions> line, const char* what) noexcept : leaf_(std::move(line), what) {}
    next_completion(next_completion&&) = default;
    void bind(context& c) { leaf_.bind(c); }
    bool start() { return leaf_.start(); }
    void suspend(void* frame) noexcept { leaf_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return leaf_.state(); }
    result_type take() {
        const auto entry = leaf_.take();
        if (entry == nullptr) return std::nullopt;
        return result_type(Source::from(*entry->record));
    }
    [[noreturn]] void fail() { leaf_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return leaf_.error(); }

private:
    completion_leaf leaf_;
};

} // namespace detail
} // namespace eddy
