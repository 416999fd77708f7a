// loop_thread: a loop on a background thread of its own, for programs that are not built around one.
//
//     loop_thread io(loop_thread_options().name("io"));
//     remote_task<std::string> page = io.submit(fetch, "example.org");
//     …
//     std::string text = page.get();
//
// The loop runs, idle or not, until close() or the destructor, which cancel its tasks, wait for them and join.
// All members may be used on any thread, but for the destructor and moves, as with any object.
#pragma once

#include <eddy/core/remote.hpp>

#include <memory>
#include <string>

namespace eddy {

// How a loop_thread is made. Chain the setters.
class loop_thread_options {
public:
    loop_thread_options() = default;
    // Of the thread, for the system (the first 15 bytes). Default: "eddy-loop".
    loop_thread_options& name(std::string s) {
        name_ = std::move(s);
        return *this;
    }
    // As run_options::shutdown_timeout: how long tasks may take after they were cancelled. Default: 5 s.
    template <class Rep, class Period>
    loop_thread_options& shutdown_timeout(std::chrono::duration<Rep, Period> d) {
        shutdown_timeout_ = detail::to_duration(d);
        return *this;
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] duration shutdown_timeout() const noexcept { return shutdown_timeout_; }

private:
    std::string name_ = "eddy-loop";
    duration shutdown_timeout_ = std::chrono::seconds(5);
};

namespace detail {
struct loop_thread_state;
}

class loop_thread {
public:
    // The loop runs when this returns. Throws std::system_error when the system makes no thread, and what loop()
    // throws. The thread has every signal blocked.
    explicit loop_thread(loop_thread_options o = {});
    loop_thread(loop_thread&&) noexcept;
    loop_thread& operator=(loop_thread&& o) noexcept;
    // close(). On the loop's own thread: message and std::terminate.
    ~loop_thread();

    // Spawns on the loop. Dropping the remote_task does not stop the task. Throws `closed` after close(). Prefer
    // (f, args…): a coroutine lambda that captures, called on the spot, leaves its captures behind.
    template <class T>
    remote_task<T> submit(task<T> t) {
        return open("submit").spawn(std::move(t));
    }
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    auto submit(F&& f, Args&&... args) {
        return open("submit").spawn(std::decay_t<F>(std::forward<F>(f)),
                                    std::decay_t<Args>(std::forward<Args>(args))...);
    }
    // May outlive this object.
    [[nodiscard]] loop_ref ref() const;

    // Cancels every task, waits until all have ended, and ends the thread. What does not end within shutdown_timeout is
    // reported and destroyed; a function that runs in offload() is waited for. Idempotent. std::logic_error on the
    // loop's own thread.
    void close();

private:
    [[nodiscard]] loop_ref open(const char* what) const;
    std::unique_ptr<detail::loop_thread_state> state_;
};

} // namespace eddy
