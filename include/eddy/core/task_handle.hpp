// task_handle<T>: a reference to a spawned task.
#pragma once

#include <eddy/core/record.hpp>

#include <optional>

namespace eddy {

template <class T>
class remote_task;

namespace detail {

// What every handle can do, whatever the task gives.
class handle_base {
public:
    // The task has ended.
    [[nodiscard]] bool done() const noexcept { return record_ != nullptr && record_->has(engine::scope::finished); }
    // It ended because it was cancelled.
    [[nodiscard]] bool was_cancelled() const noexcept {
        return record_ != nullptr && record_->has(engine::scope::ended_cancelled);
    }
    // Asks the task to end: its next checkpoint, or the one it waits in, throws `cancelled`. Takes effect later, never
    // before this returns. False when the task has ended. Idempotent; the first reason wins. Loop thread only
    // (debug mode: std::logic_error elsewhere).
    bool cancel(const cancel_reason& reason = {}) { return record_ != nullptr && cancel_by_handle(*record_, reason); }
    [[nodiscard]] std::string name() const { return record_ == nullptr ? std::string() : name_of(*record_); }
    // Unique in its loop, counted from 1; 0 for an empty handle.
    [[nodiscard]] std::uint64_t id() const noexcept { return record_ == nullptr ? 0 : number_of(*record_); }
    // Replaces what is told when this task fails and nobody receives the exception.
    void set_exception_handler(eddy::exception_handler f) {
        if (record_ != nullptr) extension_of(*record_).handler = std::move(f);
    }
    // False for a handle that was moved from or default-made.
    [[nodiscard]] bool valid() const noexcept { return record_ != nullptr; }
    friend bool operator==(const handle_base& a, const handle_base& b) noexcept { return a.record_ == b.record_; }

    [[nodiscard]] engine::task_record* detail_record() const noexcept { return record_; }

protected:
    handle_base() noexcept = default;
    explicit handle_base(engine::task_record& r) noexcept : record_(&r) { engine::retain(r); }
    handle_base(const handle_base& o) noexcept : record_(o.record_) {
        if (record_ != nullptr) engine::retain(*record_);
    }
    handle_base(handle_base&& o) noexcept : record_(std::exchange(o.record_, nullptr)) {}
    handle_base& operator=(const handle_base& o) noexcept { return *this = handle_base(o); }
    handle_base& operator=(handle_base&& o) noexcept {
        std::swap(record_, o.record_);
        return *this;
    }
    ~handle_base() {
        if (record_ != nullptr) engine::release(*record_);
    }
    engine::task_record* record_ = nullptr;
};

std::size_t describe_join(const engine::task_record& awaited, char* out, std::size_t room) noexcept;

// Waits for the end of a task. `Take`: the value is moved out (last handle only).
template <class T, bool Take>
class join_operation : public leaf_operation<join_operation<T, Take>>, private handle_base {
    using base = leaf_operation<join_operation<T, Take>>;
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        engine::remove_joiner(*static_cast<join_operation&>(w).record_, w);
        return engine::abort_result::gone;
    }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        return describe_join(*static_cast<const join_operation&>(w).record_, out, room);
    }

public:
    using result_type = std::conditional_t<Take || !std::is_object_v<T>, T, std::add_lvalue_reference_t<const T>>;
    static constexpr engine::wait_kind kind{.name = "task",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    explicit join_operation(const handle_base& h) : handle_base(h) {}
    explicit join_operation(handle_base&& h) noexcept : handle_base(std::move(h)) {} // its reference counts no more
    join_operation(join_operation&&) = default;
    ~join_operation() {
        if (this->engine::waiter::state == engine::wait_state::waiting) engine::remove_joiner(*record_, *this);
        base::end();
    }

    bool start() {
        if (record_ == nullptr) throw std::logic_error("eddy: an empty task_handle was awaited");
        if (engine::task_of(*this->where) == record_)
            throw std::logic_error("eddy: task '" + name_of(*record_) + "' awaits itself");
        if (!record_->has(engine::scope::finished) && record_->loop != this->where->loop) [[unlikely]]
            throw std::logic_error("eddy: task '" + name_of(*record_) +
                                   "' runs on another loop; remote() gives a handle for that");
        return base::start();
    }
    bool attempt() noexcept { return record_->has(engine::scope::finished); }
    void enqueue() noexcept { engine::add_joiner(*record_, *this); }

    [[nodiscard]] engine::status state() const noexcept {
        if (base::state() != engine::status::ok) return base::state();
        const engine::status st = slot_of(*record_).st;
        return st == engine::status::ok ? st : engine::status::exception;
    }
    result_type take() {
        record_->flags |= engine::scope::observed;
        if constexpr (!std::is_void_v<T>) {
            auto& v = static_cast<value_slot<T>&>(slot_of(*record_)).value;
            if constexpr (!Take) {
                return stored<T>::look(v);
            } else {
                if (record_->refs != 1)
                    throw std::logic_error("eddy: co_await std::move(handle) of task '" + name_of(*record_) +
                                           "' needs the last handle to it");
                return stored<T>::out(v);
            }
        }
    }
    [[noreturn]] void fail() {
        if (base::state() != engine::status::ok) base::fail();
        std::rethrow_exception(exception_of(*record_));
    }
    [[nodiscard]] std::exception_ptr error() {
        return base::state() != engine::status::ok ? base::error() : exception_of(*record_);
    }
    // For settle().
    [[nodiscard]] bool awaited_was_cancelled() const noexcept { return was_cancelled(); }
    [[nodiscard]] cancel_reason awaited_reason() const { return reason_of(*record_); }
};

} // namespace detail

// Copyable reference to a spawned task; loop thread only (remote() converts it for other threads). Dropping it does not
// stop the task. `co_await h` gives `const T&` or rethrows, as often as wanted and to as many as want it;
// `co_await std::move(h)` gives T and needs the last handle. Awaiting is a checkpoint, also when the task has ended;
// cancelling the await leaves the task running. A task that was cancelled gives `task_cancelled`.
// task_handle<void> can refer to a task of any type.
template <class T = void>
class task_handle : public detail::handle_base {
public:
    using result_type = T;
    template <class A>
    using operation_for =
        detail::join_operation<T, std::is_rvalue_reference_v<A> && !std::is_const_v<std::remove_reference_t<A>> &&
                                      std::is_object_v<T>>;

    task_handle() noexcept = default;
    explicit task_handle(engine::task_record& r) noexcept : handle_base(r) {}
    template <class U>
    requires(std::is_void_v<T> && !std::is_void_v<U>)
    task_handle(const task_handle<U>& other) noexcept : handle_base(other) {}

    // The same task for other threads; include eddy/core/remote.hpp. T must be copyable: handles here see the value
    // too.
    [[nodiscard]] remote_task<T> remote() const;

    // How the task ended; std::logic_error when it has not. T must be copyable.
    [[nodiscard]] eddy::outcome<T> outcome() const {
        if (!done()) throw std::logic_error("eddy: task '" + name() + "' has not ended: it has no outcome yet");
        auto& s = detail::slot_of(*record_);
        record_->flags |= engine::scope::observed;
        if (s.st == engine::status::cancelled) return eddy::outcome<T>::of_cancelled(detail::reason_of(*record_));
        if (s.st != engine::status::ok) return eddy::outcome<T>::of_error(s.error);
        if constexpr (std::is_void_v<T>)
            return eddy::outcome<T>::of_value({});
        else
            return eddy::outcome<T>::of_value(static_cast<detail::value_slot<T>&>(s).value);
    }
};

using any_task_handle = task_handle<void>;

} // namespace eddy
