// offload: blocking and CPU-bound functions on other threads, awaited like anything else.
//
//     auto call = offload([&] { return checksum(file); });
//     auto sum = co_await call;
//
// offload() uses libuv's pool (4 threads, or run_options::uv_threadpool_size()), which file and DNS requests share. So
// that they get their turn, eddy hands a thread back to libuv after a millisecond or 64 calls, and asks for it again. A
// call that blocks for long holds one of those few threads all the time: use offload_abandon(), which has threads of
// its own, for calls that may hang.
//
// On a loop with simulated time the function runs on the loop's thread, at a later step.
#pragma once

#include <eddy/offload/job.hpp>

namespace eddy {

namespace detail {

struct libuv_route {
    static constexpr const char* name = "offload";
    static void prepare(engine::loop_core& l) { prepare_offload(l); }
    static bool reserve(offload_job&) noexcept { return true; }
    static void submit(offload_job& job, engine::waiter& w) noexcept { submit_offload(job, w); }
    static engine::abort_result abort(offload_job& job) noexcept { return abort_offload(job); }
    static void withdraw(offload_job& job) noexcept { withdraw_offload(job); }
    static void come_back(offload_job&) noexcept {}                          // the lane fetches it
    [[noreturn]] static void throw_lost(loss) noexcept { std::terminate(); } // nothing is lost there
};

struct offload_abandon_wait {
    static constexpr const char* name = "offload_abandon";
};

} // namespace detail

// Runs f(args...) on libuv's pool and gives what it returns or throws; R may be void, move-only or an lvalue reference.
// f and the arguments are moved in, as for std::thread; the function runs once. If f can be called with a
// std::stop_token in front, it gets one.
//
// A checkpoint. Cancelled while it is queued: f never runs. Cancelled while it runs: stop is requested, and the await
// goes on until f has returned (what it captured by reference may live in the caller's frame); its result is delivered,
// and the next checkpoint throws. So timeout(d, offload(f)) returns when f does.
// f and the arguments are destroyed on the loop's thread, before the awaiting task goes on. f must not use the loop or
// its tasks, but for from_thread and loop_ref. Throws uv_error (UV_EAGAIN) when there
// are no threads for libuv's pool (libuv itself would abort). A pending call counts as woken from outside.
template <class F, class... Args>
[[nodiscard]] auto offload(F&& f, Args&&... args) {
    return detail::job_operation<detail::when_full::wait, detail::libuv_route, std::decay_t<F>, std::decay_t<Args>...>(
        detail::libuv_route(), std::forward<F>(f), std::forward<Args>(args)...);
}

// The same on a thread of eddy's own (not one of libuv's), for calls that may hang: cancelled, the await gives up at
// once, and run() returns although f still runs. So f must own what it uses. When it is given up before a thread has
// picked it up, f never runs; while it runs, stop is requested. f and the arguments are destroyed on that thread, and
// so is a result that comes too late. As many threads as there are calls at a time; idle ones end after five seconds.
// Throws uv_error (UV_EAGAIN) when the system has no more threads. A checkpoint.
template <class F, class... Args>
[[nodiscard]] auto offload_abandon(F&& f, Args&&... args) {
    return detail::abandon_operation<detail::offload_abandon_wait, std::decay_t<F>, std::decay_t<Args>...>(
        nullptr, std::forward<F>(f), std::forward<Args>(args)...);
}

} // namespace eddy
