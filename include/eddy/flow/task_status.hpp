// task_group::start(): spawn a task and wait until it says that it is ready (trio's nursery.start).
//
// The child is one of the group's from its first step. Until it has called started() its failure is start()'s and not
// the group's; a listener on its record hears of its end. Giving up start() cancels the child alone, and waits for it.
#pragma once

#include <eddy/flow/group_base.hpp>

#include <functional>
#include <optional>
#include <utility>

namespace eddy {

namespace detail {

// The wait of start(), whatever the value.
struct start_waiter : engine::waiter {
    start_waiter() noexcept {
        listener.ended = &on_end;
        listener.owner = this;
        asker.kind = &asker_kind;
        asker.owner = this;
    }
    ~start_waiter() {
        leave();
        if (!decided()) child.cancel();
    }

    // The child has a say no longer: it was given up, or its word has been taken.
    [[nodiscard]] bool decided() const noexcept { return given || !child.valid() || child.done(); }
    void listen() noexcept { engine::add_joiner(*child.detail_record(), listener); }
    // started() has been called.
    void give() noexcept;
    void leave() noexcept;
    [[noreturn]] void throw_child_error();

    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

    any_task_handle child;
    bool given = false;
    bool giving_up = false;

private:
    struct end_of_child : engine::end_listener {
        start_waiter* owner = nullptr;
    };
    // Cancels the child from the drain loop: inside a walk over cancelled scopes that would recurse.
    struct cancel_child : engine::runnable {
        start_waiter* owner = nullptr;
    };
    static void on_end(engine::end_listener& l, engine::task_record& r) noexcept;
    static void ask_child(engine::runnable& r) noexcept;
    static constexpr engine::wait_kind asker_kind{.name = "cancel a starting task",
                                                  .outside = false,
                                                  .pinned = false,
                                                  .abort = nullptr,
                                                  .describe = nullptr,
                                                  .resume = &ask_child};
    end_of_child listener;
    cancel_child asker;
};

[[noreturn]] void throw_started_twice();

template <class T>
class start_waiter_of;

} // namespace detail

// What the task that start() spawns gets: how it says that it is ready. Lives as long as the task; loop thread.
template <class T = void>
class task_status {
public:
    task_status(task_status&& o) noexcept
        : waiter_(std::exchange(o.waiter_, nullptr)), called_(std::exchange(o.called_, false)) {
        if (waiter_ != nullptr) waiter_->status = this;
    }
    task_status& operator=(task_status&&) = delete;
    ~task_status() {
        if (waiter_ != nullptr) waiter_->status = nullptr;
    }

    // Gives `v` to start(), which returns; from here on the task is a child like others. A second call is
    // std::logic_error. When start() was cancelled meanwhile nothing happens: the task is being cancelled too.
    template <class U = T>
    requires(!std::is_void_v<T> && std::is_convertible_v<U &&, T>)
    void started(U&& v) {
        give([&](auto& slot) {
            if constexpr (std::is_reference_v<T>)
                slot.emplace(std::addressof(static_cast<T>(v)));
            else
                slot.emplace(std::forward<U>(v));
        });
    }
    void started() requires std::is_void_v<T>
    {
        give([](auto& slot) { slot.emplace(); });
    }

private:
    template <class>
    friend class detail::start_waiter_of;
    explicit task_status(detail::start_waiter_of<T>& w) noexcept : waiter_(&w) { w.status = this; }
    template <class Fill>
    void give(Fill fill) {
        if (called_) detail::throw_started_twice();
        if (waiter_ != nullptr && !waiter_->giving_up) {
            fill(waiter_->value);
            std::exchange(waiter_, nullptr)->take_word();
        }
        called_ = true;
    }
    detail::start_waiter_of<T>* waiter_; // null: start() has returned or gone
    bool called_ = false;
};

namespace detail {

template <class T>
class start_waiter_of : public start_waiter {
public:
    ~start_waiter_of() {
        if (status != nullptr) status->waiter_ = nullptr;
    }
    void take_word() noexcept {
        status = nullptr;
        give();
    }
    task_status<T> make_status() noexcept { return task_status<T>(*this); }
    task_status<T>* status = nullptr;
    std::optional<stored_t<T>> value;
};

// The callable of the child's record: the status lives there, as long as the child.
template <class F, class T>
class start_call {
public:
    start_call(F f, start_waiter_of<T>& w) : f_(std::move(f)), status_(w.make_status()) {}
    auto operator()() { return std::invoke(f_, status_); }

private:
    F f_;
    task_status<T> status_;
};

// T of a callable that takes a task_status<T>&.
template <class F>
struct status_value : status_value<decltype(&F::operator())> {};
template <class R, class T>
struct status_value<R (*)(task_status<T>&)> {
    using type = T;
};
template <class R, class T>
struct status_value<R (*)(task_status<T>&) noexcept> : status_value<R (*)(task_status<T>&)> {};
template <class R, class C, class T>
struct status_value<R (C::*)(task_status<T>&)> : status_value<R (*)(task_status<T>&)> {};
template <class R, class C, class T>
struct status_value<R (C::*)(task_status<T>&) const> : status_value<R (*)(task_status<T>&)> {};
template <class R, class C, class T>
struct status_value<R (C::*)(task_status<T>&) noexcept> : status_value<R (*)(task_status<T>&)> {};
template <class R, class C, class T>
struct status_value<R (C::*)(task_status<T>&) const noexcept> : status_value<R (*)(task_status<T>&)> {};
template <class F>
using status_value_t = typename status_value<F>::type;

template <class F, class T>
class start_operation final : public leaf_operation<start_operation<F, T>, start_waiter_of<T>> {
    using base = leaf_operation<start_operation<F, T>, start_waiter_of<T>>;

public:
    using result_type = T;
    static constexpr engine::wait_kind kind{.name = "start of a task",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &start_waiter::abort_it,
                                            .describe = &start_waiter::describe_it,
                                            .resume = &resume_frame};
    start_operation(child_group& g, F f, spawn_options o) : group_(&g), f_(std::move(f)), options_(std::move(o)) {}
    start_operation(start_operation&& o)
        : base(std::move(o)), group_(o.group_), f_(std::move(o.f_)), options_(std::move(o.options_)) {}
    ~start_operation() {
        this->leave();
        base::end();
    }

    bool attempt() {
        if (group_->ended) throw std::logic_error("eddy: start() in a task group that has ended");
        auto& r = spawn_call(*group_, &options_, options_.at(), start_call<F, T>(std::move(f_), *this));
        this->child = any_task_handle(r);
        return this->given; // a callable that is no coroutine may have called started() already
    }
    void enqueue() noexcept { this->listen(); }
    T take() {
        if constexpr (std::is_void_v<T>)
            return;
        else
            return stored<T>::out(*this->value);
    }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::exception) this->throw_child_error();
        base::fail();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }

private:
    child_group* group_;
    F f_;
    spawn_options options_;
};

} // namespace detail
} // namespace eddy
