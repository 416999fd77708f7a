// loop: what runs tasks.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/core/error_context.hpp>
#include <eddy/core/task_handle.hpp>

#include <algorithm>
#include <iosfwd>
#include <memory>
#include <optional>
#include <vector>

struct uv_loop_s;

namespace eddy {

class loop;
class loop_ref;
namespace detail {
struct run_access;
}
template <class T>
class remote_task;

namespace detail {
struct loop_state;
struct timer_call;

[[noreturn]] void throw_no_loop(const char* what);
// The scope that loose tasks of a loop belong to.
engine::scope& root_of(loop& l) noexcept;
// Called after work was added from outside a drain: an adopted loop must learn of it.
void notice(loop& l) noexcept;
void check_open(loop& l, const char* what);
void post_function(loop& l, void* f);
} // namespace detail

// A callback put off by call_later or call_at. Dropping the handle does not cancel it. Loop thread only.
class timer_handle {
public:
    timer_handle() noexcept = default;
    // The callback will not run, and what it captured is destroyed now. No effect when it has run. Idempotent.
    void cancel() noexcept;
    // It has neither run nor been cancelled.
    [[nodiscard]] bool pending() const noexcept;

private:
    friend class loop;
    explicit timer_handle(std::shared_ptr<detail::timer_call> c) noexcept : call_(std::move(c)) {}
    std::shared_ptr<detail::timer_call> call_;
};

// Keeps a loop from ending, and from being declared deadlocked, while another thread means to post to it. Movable; may
// be destroyed on any thread, also after the loop.
class [[nodiscard]] keep_alive {
public:
    keep_alive() noexcept = default;
    keep_alive(keep_alive&&) noexcept = default;
    keep_alive& operator=(keep_alive&& o) noexcept;
    ~keep_alive();

private:
    friend class loop;
    friend class loop_ref;
    explicit keep_alive(std::shared_ptr<void> hub) noexcept : hub_(std::move(hub)) {}
    std::shared_ptr<void> hub_;
};

// How run() runs. Chain the setters.
class run_options {
public:
    run_options() = default;
    // The first SIGINT cancels the main task, the second ends the process. Main thread only. Default: true.
    run_options& handle_sigint(bool on) noexcept {
        handle_sigint_ = on;
        return *this;
    }
    // How long leftovers may take after they were cancelled, before they are reported and destroyed. Default: 5 s.
    template <class Rep, class Period>
    run_options& shutdown_timeout(std::chrono::duration<Rep, Period> d) {
        shutdown_timeout_ = detail::to_duration(d);
        return *this;
    }
    // Threads of libuv's pool, which offload(), files and DNS share: 1 to 1024, else std::logic_error. By default
    // as many as UV_THREADPOOL_SIZE says in the environment, or 4. libuv counts them once, so run() makes them before
    // it does anything else, and sets UV_THREADPOOL_SIZE, for child processes too: call it while no other thread looks
    // at the environment. run() throws std::logic_error when the pool has another size and has started (by an earlier
    // run(), or by libuv elsewhere in the program), uv_error (UV_EAGAIN) when the system has not so many threads.
    run_options& uv_threadpool_size(std::ptrdiff_t n);
    // Debug mode (loop::set_debug), on or off whatever EDDY_DEBUG says. Default: as EDDY_DEBUG says.
    run_options& debug(bool on) noexcept {
        debug_ = on;
        return *this;
    }
    [[nodiscard]] bool handle_sigint() const noexcept { return handle_sigint_; }
    [[nodiscard]] duration shutdown_timeout() const noexcept { return shutdown_timeout_; }
    [[nodiscard]] std::optional<bool> debug() const noexcept { return debug_; }
    [[nodiscard]] std::ptrdiff_t uv_threadpool_size() const noexcept { return uv_threads_; }

private:
    bool handle_sigint_ = true;
    std::optional<bool> debug_;
    duration shutdown_timeout_ = std::chrono::seconds(5);
    std::ptrdiff_t uv_threads_ = 0;
};

// Live figures of a loop; all zero when its tasks have ended, but for the totals.
using loop_statistics = engine::loop_statistics;

// Neither movable nor thread-safe; what other threads may do is post(), ref() and what ref() gives.
class loop {
public:
    // A fresh uv_loop_t. Throws uv_error when the system refuses (descriptors, memory, epoll watches).
    loop();
    // Runs on a loop that the program already has: its uv_run drives eddy. The loop stays open and usable; it must live
    // until this object is gone and has been turned once more.
    explicit loop(uv_loop_s* adopted);
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    // Own loop: cancels what still runs, waits for it (run_options' default limit) and closes. Adopted loop with live
    // tasks: message and std::terminate; call shutdown() first.
    virtual ~loop();

    // The loop that runs on this thread; throws no_running_loop / gives nullptr outside.
    [[nodiscard]] static loop& current();
    [[nodiscard]] static loop* try_current() noexcept;

    // Runs the task to its end and gives its value or throws its exception. Tasks it left behind stay.
    // std::logic_error when the loop runs already; `stopped` when stop() ended it (the task is cancelled and joined);
    // deadlock_error when nothing can ever wake the task.
    template <class T>
    T run(task<T> main);
    // Runs until nothing is left, or stop().
    void run();
    // run() returns at the end of the current tick. Loop thread; from elsewhere ref().stop().
    void stop() noexcept;

    // The libuv loop underneath. std::logic_error on a simulated loop.
    [[nodiscard]] uv_loop_s* uv();
    // Reads the clock.
    [[nodiscard]] clock::time_point now() noexcept;

    // As the free spawn(), for use outside coroutines.
    template <class T>
    task_handle<T> spawn(task<T> t, std::source_location at = std::source_location::current());
    template <class T>
    task_handle<T> spawn(spawn_options o, task<T> t);
    template <class F>
    requires detail::task_function<std::decay_t<F>>
    auto spawn(F&& f, std::source_location at = std::source_location::current());
    template <class F, class Arg, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>
    auto spawn(F&& f, Arg&& arg, Args&&... args);
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    auto spawn(spawn_options o, F&& f, Args&&... args);

    // Any thread: runs `f` on the loop soon, in the order of posting. False when the loop is closing; then `f` has been
    // destroyed. An exception that leaves `f` goes to the exception handler.
    bool post(std::function<void()> f);
    // Any thread, also after the loop has gone.
    [[nodiscard]] loop_ref ref() noexcept;
    [[nodiscard]] class keep_alive keep_alive();

    // Runs `f` in the next tick, after everything that is ready.
    void call_soon(std::function<void()> f);
    // Runs `f` once the time has come; zero, negative and past: in a later tick.
    template <class Rep, class Period>
    timer_handle call_later(std::chrono::duration<Rep, Period> d, std::function<void()> f) {
        using D = std::chrono::duration<Rep, Period>;
        return call_after(d < d.zero() ? -detail::to_duration(-std::max(d, -D::max())) : detail::to_duration(d),
                          std::move(f));
    }
    timer_handle call_at(clock::time_point t, std::function<void()> f);

    // Called for every exception that nobody will receive; returns the handler before. Null restores the default, one
    // line in the log (log.hpp), which is standard error unless set_log() says otherwise.
    exception_handler set_exception_handler(exception_handler f);

    // Debug mode, also switched on by the environment variable EDDY_DEBUG (set, and not to 0) for every loop that is
    // made. It logs (log.hpp) steps that held the loop for `slow_step` or longer, with the task and the co_await lines
    // between which it did, and tasks that were dropped before anybody had awaited or spawned them; what belongs to the
    // loop's thread is a std::logic_error on others: spawn, call_soon, call_later, call_at, cancel of a handle, waking
    // those who wait at a primitive. Costs two looks at the clock for a step; nothing when it is off. Loop thread only.
    // std::logic_error when `slow_step` is negative; std::bad_alloc.
    void set_debug(bool on, duration slow_step = std::chrono::milliseconds(100));
    [[nodiscard]] bool debug() const noexcept;

    // Live tasks in order of creation.
    [[nodiscard]] std::vector<any_task_handle> all_tasks();
    // A tree of tasks: id, name, state, what each waits for and the co_await lines that led there.
    void dump_tasks(std::ostream& out);
    [[nodiscard]] loop_statistics statistics() noexcept;

    // Cancels every task; `done` is called on the loop when the last has ended. For adopted loops.
    void shutdown(std::function<void()> done = nullptr);

    [[nodiscard]] detail::loop_state& detail_state() noexcept { return *state_; }

protected:
    friend detail::run_access;
    explicit loop(std::unique_ptr<detail::loop_state> state);
    timer_handle call_after(duration d, std::function<void()> f);
    // Runs until `main` has finished; throws what run(task) throws for the loop's own reasons.
    void run_record(engine::task_record& main);
    std::unique_ptr<detail::loop_state> state_;
};

namespace detail {
struct run_access {
    // std::logic_error when a loop runs on this thread.
    static void check_outside();
    // What run_options::uv_threadpool_size() asks for.
    static void start_pool(const run_options& o);
    // Runs `main` on a fresh loop: SIGINT, deadlock, leftovers. Throws for the loop's own reasons.
    static void run_main_record(loop& l, engine::task_record& main, const run_options& o);
    static engine::task_record& prepare(engine::task_record& r) noexcept {
        engine::retain(r);
        r.flags |= engine::scope::observed;
        return r;
    }
};

// What a finished main task gives to whoever ran it.
template <class T>
T result_of_main(engine::task_record& r) {
    auto& s = slot_of(r);
    if (s.st == engine::status::cancelled) throw task_cancelled(reason_of(r), name_of(r));
    if (s.st == engine::status::exception) std::rethrow_exception(s.error);
    if constexpr (!std::is_void_v<T>) return stored<T>::out(static_cast<value_slot<T>&>(s).value);
}

struct record_guard {
    explicit record_guard(engine::task_record& r) noexcept : record(r) {}
    record_guard(const record_guard&) = delete;
    ~record_guard() { engine::release(record); }
    engine::task_record& record;
};
} // namespace detail

template <class T>
T loop::run(task<T> main) {
    detail::check_open(*this, "run");
    detail::record_guard r(detail::run_access::prepare(
        detail::spawn_record<T>(detail::root_of(*this), std::move(main), nullptr, std::source_location::current())));
    run_record(r.record);
    return detail::result_of_main<T>(r.record);
}

template <class T>
task_handle<T> loop::spawn(task<T> t, std::source_location at) {
    detail::check_open(*this, "spawn");
    task_handle<T> h(detail::spawn_record<T>(detail::root_of(*this), std::move(t), nullptr, at));
    detail::notice(*this);
    return h;
}
template <class T>
task_handle<T> loop::spawn(spawn_options o, task<T> t) {
    detail::check_open(*this, "spawn");
    task_handle<T> h(detail::spawn_record<T>(detail::root_of(*this), std::move(t), &o, o.at()));
    detail::notice(*this);
    return h;
}
template <class F>
requires detail::task_function<std::decay_t<F>>
auto loop::spawn(F&& f, std::source_location at) {
    detail::check_open(*this, "spawn");
    task_handle<detail::task_result_t<std::decay_t<F>>> h(
        detail::spawn_call(detail::root_of(*this), nullptr, at, std::forward<F>(f)));
    detail::notice(*this);
    return h;
}
template <class F, class Arg, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>
auto loop::spawn(F&& f, Arg&& arg, Args&&... args) {
    detail::check_open(*this, "spawn");
    auto& r = detail::spawn_call(detail::root_of(*this), nullptr, {}, std::forward<F>(f), std::forward<Arg>(arg),
                                 std::forward<Args>(args)...);
    task_handle<detail::task_result_t<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>> h(r);
    detail::notice(*this);
    return h;
}
template <class F, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
auto loop::spawn(spawn_options o, F&& f, Args&&... args) {
    detail::check_open(*this, "spawn");
    auto& r = detail::spawn_call(detail::root_of(*this), &o, o.at(), std::forward<F>(f), std::forward<Args>(args)...);
    task_handle<detail::task_result_t<std::decay_t<F>, std::decay_t<Args>...>> h(r);
    detail::notice(*this);
    return h;
}

// Starts a background task on the running loop, in the next tick. Throws no_running_loop outside; std::bad_alloc.
// It belongs to the loop: prefer a task group where you can. A coroutine lambda that captures must be passed itself
// (f, args…), not called on the spot: its captures would dangle.
template <class T>
task_handle<T> spawn(task<T> t, std::source_location at = std::source_location::current()) {
    return loop::current().spawn(std::move(t), at);
}
template <class T>
task_handle<T> spawn(spawn_options o, task<T> t) {
    return loop::current().spawn(std::move(o), std::move(t));
}
template <class F>
requires detail::task_function<std::decay_t<F>>
auto spawn(F&& f, std::source_location at = std::source_location::current()) {
    return loop::current().spawn(std::forward<F>(f), at);
}
// With arguments the spawn site is not known; spawn_options() knows it.
template <class F, class Arg, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>
auto spawn(F&& f, Arg&& arg, Args&&... args) {
    return loop::current().spawn(std::forward<F>(f), std::forward<Arg>(arg), std::forward<Args>(args)...);
}
template <class F, class... Args>
requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
auto spawn(spawn_options o, F&& f, Args&&... args) {
    return loop::current().spawn(std::move(o), std::forward<F>(f), std::forward<Args>(args)...);
}

} // namespace eddy
