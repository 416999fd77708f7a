// run and run_main: a loop for the length of one main task.
#pragma once

#include <eddy/core/loop.hpp>

namespace eddy {

namespace detail {
int main_status(std::exception_ptr e) noexcept;
}

// Makes a loop on this thread, runs the task and everything it spawned, closes the loop. Tasks still alive when the
// main task ends are cancelled and awaited. Gives the task's value or throws its exception; `interrupted` after SIGINT;
// `deadlock_error` when nothing can ever wake it; std::logic_error when a loop runs on this thread already, and what
// run_options::uv_threadpool_size() throws; the task has not begun then.
template <class T>
T run(task<T> main, run_options options = {}) {
    detail::run_access::check_outside();
    detail::run_access::start_pool(options);
    loop l;
    detail::record_guard r(detail::run_access::prepare(
        detail::spawn_record<T>(detail::root_of(l), std::move(main), nullptr, std::source_location::current())));
    detail::run_access::run_main_record(l, r.record, options);
    return detail::result_of_main<T>(r.record);
}

// For main(): the task's int (void: 0); an uncaught error is one line on standard error and 1; after SIGINT the process
// ends by SIGINT's default action, as the shell expects.
template <class T>
requires(std::is_same_v<T, int> || std::is_void_v<T>)
int run_main(task<T> main, run_options options = {}) noexcept {
    try {
        if constexpr (std::is_void_v<T>) {
            run(std::move(main), std::move(options));
            return 0;
        } else {
            return run(std::move(main), std::move(options));
        }
    } catch (...) {
        return detail::main_status(std::current_exception());
    }
}

} // namespace eddy
