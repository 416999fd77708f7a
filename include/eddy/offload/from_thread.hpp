// from_thread: what the function of a job (offload, offload_abandon, thread_pool) may ask of the loop that sent it.
//
//     auto call = pool.run([&] {
//         for (const auto& file : files) {
//             from_thread::check_cancelled();           // throws `cancelled` when the awaiting task was cancelled
//             convert(file);
//             from_thread::post([&] { ++converted; });  // on the loop's thread
//         }
//         return from_thread::run(upload, result);      // a coroutine, on the loop, awaited by this thread
//     });
//
// Everything happens under the scopes of the task that awaits the job: when it is cancelled, so is what run() waits
// for, and what post() has sent does not run any more. What was sent runs before the await of the job ends, or never:
// it may refer to the awaiting coroutine's variables.
//
// On a thread that runs no job each of these throws std::logic_error; so does run() where a loop runs on this thread,
// which would wait for itself. On a loop with simulated time jobs run on the loop's thread: there run() can't be used.
#pragma once

#include <eddy/core/remote.hpp>
#include <eddy/offload/job.hpp>

#include <memory>
#include <string>

namespace eddy {

namespace detail {

// Something on its way from a job's thread to the loop. Destroyed unrun when the loop can't run it any more.
struct link_entry {
    link_entry() noexcept = default;
    link_entry(const link_entry&) = delete;
    virtual ~link_entry() = default;
    virtual void run(engine::scope& under) noexcept = 0;
    link_entry* next = nullptr;
};

// The link of the job that runs on this thread. Throws std::logic_error, `closed`, `cancelled`.
std::shared_ptr<job_link> link_here(const char* what, bool blocking);
bool send_entry(job_link& l, std::unique_ptr<link_entry> e);
// Waits for the task. Throws `closed` when it can't be waited for any more.
void wait_here(job_link& l, remote_state_base& s);
// The task was cancelled: throws `closed` or `cancelled` where that is why.
void explain_cancelled(job_link& l);
void report_posted(std::exception_ptr e) noexcept;

// A call that gives a task on the loop.
template <class T, class Spawn>
class run_entry final : public link_entry {
public:
    run_entry(Spawn s, std::shared_ptr<remote_state<T>> state) : spawn_(std::move(s)), state_(std::move(state)) {}
    ~run_entry() override {
        if (state_ == nullptr) return;
        state_->result = outcome<T>::of_cancelled({});
        state_->finish();
    }
    void run(engine::scope& under) noexcept override {
        auto state = std::move(state_);
        try {
            watch<T>(task_handle<T>(spawn_(under)), state, false);
        } catch (...) {
            state->result = outcome<T>::of_error(std::current_exception());
            state->finish();
        }
    }

private:
    Spawn spawn_;
    std::shared_ptr<remote_state<T>> state_;
};

template <class F>
class post_entry final : public link_entry {
public:
    explicit post_entry(F f) : f_(std::move(f)) {}
    void run(engine::scope&) noexcept override {
        try {
            std::move(f_)();
        } catch (...) {
            report_posted(std::current_exception());
        }
    }

private:
    F f_;
};

// `spawn`: scope& -> the record of a task<T>.
template <class T, class Spawn>
T run_on_host(Spawn spawn) {
    const std::shared_ptr<job_link> link = link_here("run", true);
    auto state = std::make_shared<remote_state<T>>();
    // Refused: the entry is destroyed, and says so.
    send_entry(*link, std::make_unique<run_entry<T, Spawn>>(std::move(spawn), state));
    wait_here(*link, *state);
    if (state->result->is_cancelled()) explain_cancelled(*link);
    return state->take().value();
}

// A plain function, as a coroutine.
template <class R, class F, class... Args>
task<R> call_in_task(F f, Args... args) {
    co_return std::invoke(std::move(f), std::move(args)...);
}

} // namespace detail

namespace from_thread {

// Runs the task on the loop that sent this job, and blocks this thread until it has ended; gives its value or throws
// its exception. While it blocks, another thread may take this one's place in its pool, so that nested use does not
// deadlock. Throws `cancelled` when the task that awaits the job is (the task is cancelled with it, and has ended);
// `task_cancelled` when only the task was; `closed` when the loop has ended or the pool is being destroyed.
template <class T>
T run(task<T> t) {
    return detail::run_on_host<T>([t = std::move(t)](engine::scope& under) mutable -> engine::task_record& {
        return detail::spawn_record<T>(under, std::move(t), nullptr, std::source_location());
    });
}
// The same for a coroutine function, which is called on the loop; f and the arguments live as long as the task.
template <class F, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
decltype(auto) run(F&& f, Args&&... args) {
    using T = detail::task_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    return detail::run_on_host<T>(
        [f = std::decay_t<F>(std::forward<F>(f)), ... args = std::decay_t<Args>(std::forward<Args>(args))](
            engine::scope& under) mutable -> engine::task_record& {
            return detail::spawn_call(under, nullptr, {}, std::move(f), std::move(args)...);
        });
}
// And for a plain function, which is run on the loop as a task.
template <class F, class... Args>
requires(!detail::task_function<std::decay_t<F>, std::decay_t<Args>...> &&
         std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>)
decltype(auto) run(F&& f, Args&&... args) {
    using raw = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    using R = std::conditional_t<std::is_lvalue_reference_v<raw>, raw, std::remove_cvref_t<raw>>;
    return from_thread::run(detail::call_in_task<R, std::decay_t<F>, std::decay_t<Args>...>(
        std::forward<F>(f), std::forward<Args>(args)...)); // qualified: eddy::run is near
}

// Runs `f()` on the loop soon, in the order of posting, and does not wait for it. False when the loop has ended, the
// pool is being destroyed or the awaiting task was cancelled: then `f` has been destroyed, here. When that happens
// later, `f` is destroyed on the loop. What it throws goes to the exception handler. std::bad_alloc.
template <class F>
bool post(F&& f) {
    static_assert(std::is_invocable_v<std::decay_t<F>>, "from_thread::post(f): f is called without arguments");
    static_assert(!detail::task_function<std::decay_t<F>>, "from_thread::post(f) takes a plain function; run() a task");
    auto entry = std::make_unique<detail::post_entry<std::decay_t<F>>>(std::decay_t<F>(std::forward<F>(f)));
    std::shared_ptr<detail::job_link> link;
    try {
        link = detail::link_here("post", false);
    } catch (const closed&) {
        return false;
    } catch (const cancelled&) {
        return false;
    }
    return detail::send_entry(*link, std::move(entry));
}

// The task that awaits this job has been cancelled, or has given up. One relaxed load.
[[nodiscard]] bool cancel_requested();
// Throws `cancelled` then: let it leave the function, and the await of the job throws it.
void check_cancelled();

} // namespace from_thread

} // namespace eddy
