// What other threads may do with a loop and its tasks.
#pragma once

#include <eddy/core/loop.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace eddy {

namespace detail {

struct loop_hub;

// Shared by a task and its remote handles; outlives both.
struct remote_state_base : engine::mail, std::enable_shared_from_this<remote_state_base> {
    std::mutex guard;
    std::condition_variable ended_cv;
    bool ended = false;
    bool let_go = false; // guarded: a wait that may be given up is over
    cancel_reason reason;
    bool cancel_asked = false; // guarded
    std::shared_ptr<loop_hub> hub;
    engine::task_record* record = nullptr;     // loop thread only; null until started, and after the end
    std::shared_ptr<remote_state_base> mailed; // keeps us alive while the node is in the box

    void ask_cancel(cancel_reason why);
    void finish() noexcept;
    // std::logic_error on the loop's own thread: it would wait for itself.
    void wait();
    // For a thread that runs a job of the loop's. False: release_waiter() ended it first.
    [[nodiscard]] bool wait_unless_released();
    void release_waiter() noexcept;
    bool wait_for(duration d);
    [[nodiscard]] bool is_done();
};

template <class T>
struct remote_state : remote_state_base {
    std::optional<outcome<T>> result; // written before `ended`; empty again once it was taken

    // After wait(). A cancellation can be had often, all else once: the loop must not be the one that lets go of an
    // exception which another thread looks at.
    outcome<T> take() {
        const std::lock_guard lock(guard);
        if (!result) throw std::logic_error("eddy: remote_task::get() has given the result away already");
        if (result->is_cancelled()) return outcome<T>::of_error(result->error());
        outcome<T> taken = std::move(*result);
        result.reset();
        return taken;
    }
};

bool post_to_hub(loop_hub& hub, std::function<void()> f);
void adopt_remote(remote_state_base& s, engine::task_record& r) noexcept;

} // namespace detail

// A task on another thread's loop. Copyable, any thread, outlives the loop.
template <class T>
class remote_task {
public:
    using result_type = T;
    remote_task() noexcept = default;

    // Blocks until the task has ended; gives its value or throws what it threw, once (then std::logic_error);
    // `task_cancelled`, as often as asked, when it was cancelled. std::logic_error on the loop's own thread while the
    // task runs.
    T get() {
        check("get");
        state_->wait();
        return state_->take().value();
    }
    // True when the task ended within `d`; it goes on otherwise.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) {
        check("wait_for");
        return state_->wait_for(detail::to_duration(d));
    }
    // Asks the task to end; wakes its loop.
    void cancel(cancel_reason reason = {}) {
        check("cancel");
        state_->ask_cancel(std::move(reason));
    }
    [[nodiscard]] bool done() const {
        check("done");
        return state_->is_done();
    }
    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

    explicit remote_task(std::shared_ptr<detail::remote_state<T>> s) noexcept : state_(std::move(s)) {}

private:
    void check(const char* function) const {
        if (state_ == nullptr) throw std::logic_error(std::string("eddy: ") + function + "() of an empty remote_task");
    }
    std::shared_ptr<detail::remote_state<T>> state_;
};

// A loop as other threads see it: copyable, any thread, outlives the loop.
class loop_ref {
public:
    loop_ref() noexcept = default;

    // As loop::post. False once the loop is closing: `f` has been destroyed.
    bool post(std::function<void()> f) const;
    // The loop's run() returns at the end of its tick.
    void stop() const;
    [[nodiscard]] class keep_alive keep_alive() const;
    // Spawns on the loop. When it is closing, the task is destroyed and get() throws `closed`.
    template <class T>
    remote_task<T> spawn(task<T> t) const;
    template <class T>
    remote_task<T> spawn(spawn_options o, task<T> t) const;
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    auto spawn(F f, Args... args) const;
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    auto spawn(spawn_options o, F f, Args... args) const;

    explicit loop_ref(std::shared_ptr<detail::loop_hub> hub) noexcept : hub_(std::move(hub)) {}

private:
    template <class T, class Spawn>
    remote_task<T> spawn_with(Spawn s) const;
    std::shared_ptr<detail::loop_hub> hub_;
};

namespace detail {

// A move-only callable in a std::function, which wants copyable ones.
template <class F>
std::function<void()> shared_callable(F f) {
    return [p = std::make_shared<F>(std::move(f))] { (*p)(); };
}

// Told when the record ends: a joiner that is no coroutine.
template <class T>
struct remote_watcher final : engine::waiter {
    task_handle<T> handle;
    std::shared_ptr<remote_state<T>> state;
    bool shared = false; // others may await the task too: its value is copied
    engine::scope place; // a wait needs a scope; shielded, for nobody cancels a watcher

    static void on_end(engine::runnable& r) noexcept {
        auto& self = static_cast<remote_watcher&>(r);
        engine::loop_core::begin_resume(self);
        std::unique_ptr<remote_watcher> owner(&self);
        self.deliver();
        engine::unlink_scope(self.place);
    }
    static constexpr engine::wait_kind kind_of{.name = "remote task",
                                               .outside = true,
                                               .pinned = false,
                                               .abort = nullptr,
                                               .describe = nullptr,
                                               .resume = &on_end};

    // Handles see a shared one too; remote() does not compile for values that can't be copied.
    stored_t<T> value_of(stored_t<T>& v) {
        if constexpr (std::is_copy_constructible_v<stored_t<T>>)
            if (shared) return v;
        return std::move(v);
    }

    void deliver() noexcept {
        engine::task_record& r = *handle.detail_record();
        result_slot& s = slot_of(r);
        r.flags |= engine::scope::observed;
        try {
            if (s.st == engine::status::cancelled)
                state->result = outcome<T>::of_cancelled(reason_of(r));
            else if (s.st != engine::status::ok)
                state->result = outcome<T>::of_error(shared ? s.error : std::exchange(s.error, nullptr));
            else if constexpr (std::is_void_v<T>)
                state->result = outcome<T>::of_value({});
            else
                state->result = outcome<T>::of_value(value_of(static_cast<value_slot<T>&>(s).value));
        } catch (...) {
            state->result = outcome<T>::of_error(std::current_exception());
        }
        state->finish();
    }
};

template <class T>
void watch(task_handle<T> h, std::shared_ptr<remote_state<T>> s, bool shared) {
    auto w = std::make_unique<remote_watcher<T>>();
    w->shared = shared;
    engine::task_record& r = *h.detail_record();
    adopt_remote(*s, r);
    w->handle = std::move(h);
    w->state = std::move(s);
    if (r.has(engine::scope::finished)) {
        w->deliver();
        return;
    }
    w->kind = &remote_watcher<T>::kind_of;
    w->place.flags |= engine::scope::shielded;
    engine::open_scope(w->place, r.loop->root);
    w->where = &w->place;
    engine::add_joiner(r, *w);
    r.loop->park(*w);
    w.release(); // owns itself until the task ends
}

} // namespace detail

template <class T, class Spawn>
remote_task<T> loop_ref::spawn_with(Spawn s) const {
    auto state = std::make_shared<detail::remote_state<T>>();
    state->hub = hub_;
    // Should the loop refuse or drop the call, whoever waits learns it.
    struct call {
        Spawn s;
        std::shared_ptr<detail::remote_state<T>> state;
        bool done = false;
        call(Spawn s_, std::shared_ptr<detail::remote_state<T>> st) : s(std::move(s_)), state(std::move(st)) {}
        call(call&& o) noexcept : s(std::move(o.s)), state(std::move(o.state)), done(o.done) {}
        ~call() {
            if (state == nullptr || done) return;
            state->result = outcome<T>::of_error(
                std::make_exception_ptr(closed("eddy: the loop was closed before the task could start")));
            state->finish();
        }
        void operator()() {
            done = true;
            std::exception_ptr thrown;
            try {
                detail::watch<T>(s(loop::current()), state, false);
                return;
            } catch (...) {
                thrown = std::current_exception();
            }
            state->result = outcome<T>::of_error(std::move(thrown));
            state->finish();
        }
    };
    std::function<void()> f = detail::shared_callable(call(std::move(s), state));
    if (hub_ != nullptr) post(std::move(f));
    return remote_task<T>(std::move(state));
}

template <class T>
remote_task<T> loop_ref::spawn(task<T> t) const {
    return spawn_with<T>([t = std::move(t)](loop& l) mutable { return l.spawn(std::move(t)); });
}
template <class T>
remote_task<T> loop_ref::spawn(spawn_options o, task<T> t) const {
    return spawn_with<T>(
        [o = std::move(o), t = std::move(t)](loop& l) mutable { return l.spawn(std::move(o), std::move(t)); });
}
template <class F, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
auto loop_ref::spawn(F f, Args... args) const {
    using T = detail::task_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    return spawn_with<T>([f = std::move(f), ... args = std::move(args)](loop& l) mutable {
        return l.spawn(std::move(f), std::move(args)...);
    });
}
template <class F, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
auto loop_ref::spawn(spawn_options o, F f, Args... args) const {
    using T = detail::task_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    return spawn_with<T>([o = std::move(o), f = std::move(f), ... args = std::move(args)](loop& l) mutable {
        return l.spawn(std::move(o), std::move(f), std::move(args)...);
    });
}

namespace detail {
std::shared_ptr<loop_hub> hub_of(engine::loop_core& l) noexcept;
}

template <class T>
remote_task<T> task_handle<T>::remote() const {
    static_assert(std::is_copy_constructible_v<detail::stored_t<T>>, "remote() needs a copyable T: handles see it too");
    if (record_ == nullptr) throw std::logic_error("eddy: remote() of an empty task_handle");
    auto state = std::make_shared<detail::remote_state<T>>();
    state->hub = detail::hub_of(*record_->loop);
    detail::watch<T>(*this, state, true);
    return remote_task<T>(std::move(state));
}

} // namespace eddy
