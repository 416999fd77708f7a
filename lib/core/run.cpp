#include <eddy/core/run.hpp>

#include "core/state.hpp"
#include "core/uv_pool.hpp"

#include <csignal>
#include <cstdio>
#include <sstream>

namespace eddy {

run_options& run_options::uv_threadpool_size(std::ptrdiff_t n) {
    constexpr std::ptrdiff_t most = 1024; // libuv's
    if (n < 1 || n > most)
        throw std::logic_error("eddy: run_options::uv_threadpool_size(" + std::to_string(n) +
                               "): libuv's pool has 1 to " + std::to_string(most) + " threads");
    uv_threads_ = n;
    return *this;
}

namespace detail {

void run_access::check_outside() {
    if (loop::try_current() != nullptr)
        throw std::logic_error("eddy: run() inside a running loop; co_await the task instead");
}

void run_access::start_pool(const run_options& o) {
    if (const std::ptrdiff_t n = o.uv_threadpool_size(); n != 0) start_uv_pool(static_cast<unsigned>(n));
}

void run_access::run_main_record(loop& l, engine::task_record& main, const run_options& o) {
    loop_state& s = l.detail_state();
    if (o.debug().has_value()) l.set_debug(*o.debug());
    const sigint_guard sigint(s.io(), o.handle_sigint());
    std::exception_ptr why;
    try {
        l.run_record(main);
    } catch (...) {
        why = std::current_exception();
    }
    shut_down(s, o.shutdown_timeout());
    if (why != nullptr) std::rethrow_exception(why);
    if (sigint_guard::pending(s.io()) && main.has(engine::scope::ended_cancelled)) throw interrupted();
}

int main_status(std::exception_ptr e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (const interrupted&) {
        // The default action, so that the shell sees a program that was interrupted.
        std::fflush(nullptr);
        std::signal(SIGINT, SIG_DFL);
        std::raise(SIGINT);
        return 130;
    } catch (...) {
        try {
            std::fprintf(stderr, "eddy: the program ended with an uncaught exception: %s\n", describe(e).c_str());
        } catch (...) {
            std::fputs("eddy: the program ended with an uncaught exception\n", stderr);
        }
    }
    return 1;
}

} // namespace detail

void loop::run_record(engine::task_record& main) {
    detail::loop_state& s = *state_;
    if (s.draining() || s.running_main)
        throw std::logic_error("eddy: this loop is running already; co_await the task instead");
    if (loop::try_current() != nullptr)
        throw std::logic_error("eddy: run() inside another running loop on this thread");
    if (s.uv != nullptr && s.uv->host_is_polling())
        throw std::logic_error("eddy: loop.run() inside the host's uv_run on the same uv_loop_t");
    s.running_main = true;
    bool interrupted_once = false;
    bool was_stopped = false;
    std::string deadlock;
    while (!main.has(engine::scope::finished)) {
        if (!interrupted_once && detail::sigint_guard::pending(s.io())) {
            interrupted_once = true;
            detail::cancel_task(main, cancel_reason(cancel_kind::interrupt, "SIGINT"));
        }
        s.drain();
        detail::check_process(*s.hub, "run"); // a task forked, and came back
        if (main.has(engine::scope::finished)) break;
        if (s.stopping()) {
            s.clear_stop();
            was_stopped = true;
            detail::cancel_task(main, cancel_reason(cancel_kind::requested, "the loop was stopped"));
            continue;
        }
        if (s.is_stuck()) {
            if (!deadlock.empty()) {
                // Cancelled and still stuck (a shield): there is no other way to end it.
                detail::destroy_innermost(s, main);
                continue;
            }
            std::ostringstream text;
            text << "eddy: deadlock: the main task waits for something that can never happen\n";
            detail::dump(s, text);
            deadlock = text.str();
            detail::cancel_task(main, cancel_reason(cancel_kind::shutdown, "deadlock"));
            continue;
        }
        s.poll_once();
    }
    s.running_main = false;
    s.clear_stop(); // stop() in the last tick has done its work
    if (!deadlock.empty()) throw deadlock_error(deadlock);
    if (was_stopped) throw stopped();
}

void loop::run() {
    detail::check_open(*this, "run");
    detail::loop_state& s = *state_;
    if (s.draining() || s.running_main || loop::try_current() != nullptr)
        throw std::logic_error("eddy: loop.run() inside a running loop");
    if (s.uv != nullptr && s.uv->host_is_polling())
        throw std::logic_error("eddy: loop.run() inside the host's uv_run on the same uv_loop_t");
    s.running_main = true;
    // A stop() before run() lets one tick through, as asyncio's run_forever does.
    do {
        s.drain();
        detail::check_process(*s.hub, "run");
        if (s.stopping() || s.is_stuck()) break;
        s.poll_once();
    } while (!s.stopping());
    s.clear_stop();
    s.running_main = false;
}

} // namespace eddy
