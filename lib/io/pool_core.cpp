#include "io/pool_core.hpp"

#include "io/pool_worker.hpp"

#include <algorithm>

namespace eddy::detail {

void start_uv_timer(uv_timer_t& t, duration d, uv_timer_cb f) noexcept {
    if (d == duration::max()) return;
    const std::int64_t n = std::max<std::int64_t>(d.count(), 0);
    uv_update_time(t.loop);
    uv_timer_start(&t, f, static_cast<std::uint64_t>(n / 1'000'000 + (n % 1'000'000 != 0 ? 1 : 0)), 0);
}

// ---- the pause

pool_timer::pool_timer(loop& l, uv_loop_t* u, pool_core& c) noexcept : uv_block(l, u), core_of_pool(&c) {
    uv_timer_init(u, &handle);
    opened(handle);
}

void pool_timer::start(duration d) noexcept {
    start_uv_timer(handle, d, [](uv_timer_t* t) {
        if (pool_core* const c = of<pool_timer>(t).core_of_pool; c != nullptr) {
            const pool_reference keep(*c);
            c->on_timer();
        }
    });
}

void pool_timer::leave() noexcept {
    core_of_pool = nullptr;
    close(handle);
    release();
}

void pool_timer::let_go() noexcept {
    forget_loop();
    if (core_of_pool != nullptr) core_of_pool->lose_timer();
}

// ---- the pool

pool_core::pool_core(std::size_t n, process_pool_options o)
    : options(std::move(o)), table(process_function_table::make()), limit(n) {
    workers.reserve(n);
    idle.reserve(n);
}

pool_core::~pool_core() = default;

void pool_core::lose_timer() noexcept {
    bound_ = nullptr;
    pausing_ = false;
    std::exchange(timer_, nullptr)->leave();
}

void pool_core::bind(const engine::scope& where, const char* what) {
    if (bound_ == where.loop) return;
    if (!workers.empty() || queued != 0)
        throw std::logic_error(std::string("eddy: process_pool.") + what +
                               " on another loop than the one that the pool works for");
    loop& l = loop::current();
    uv_loop_t* const uv = l.uv();
    auto* const t = new pool_timer(l, uv, *this);
    if (t == nullptr) throw std::bad_alloc();
    t->retain();
    if (timer_ != nullptr) lose_timer();
    timer_ = t;
    bound_ = where.loop;
}

void pool_core::settle() noexcept {
    dispatch();
    if (!closed || queued != 0) return;
    while (!idle.empty())
        idle.back()->leave();
    if (workers.empty()) closers.finish_all(engine::status::ok);
}

void pool_core::dispatch() noexcept {
    while (queued != 0) {
        if (!idle.empty()) {
            pool_worker& w = *idle.back();
            idle.pop_back();
            auto& job = static_cast<pool_job&>(*queue.front());
            if (!w.give(job)) continue; // it was dead: the next one
            job.unlink();
            --queued;
            continue;
        }
        if (pausing_ || workers.size() >= limit || starting >= queued) return;
        if (!start_worker()) return;
    }
}

bool pool_core::start_worker() noexcept {
    loop_state& l = loop_state::of(*bound_);
    auto* const w = new pool_worker(*l.self, l.uv->uv(), *this);
    int e = UV_ENOMEM;
    if (w != nullptr) {
        w->retain();
        e = w->spawn();
        if (e != 0) w->release();
    }
    if (e != 0) {
        start_failed(e, 0, 0);
        return false;
    }
    workers.push_back(w);
    ++starting;
    ++totals.workers_started;
    return true;
}

void pool_core::conclude(pool_job& job, pool_job::end how, engine::status result) noexcept {
    using end = pool_job::end;
    switch (how) {
    case end::value:
        ++totals.succeeded;
        break;
    case end::threw:
        ++totals.threw;
        break;
    case end::timed_out:
        ++totals.timed_out;
        break;
    case end::cancelled:
        ++totals.cancelled;
        break;
    case end::died:
    case end::protocol:
        ++totals.died;
        break;
    case end::none:
    case end::died_at_start:
    case end::start_failed:
    case end::destroyed:
        ++totals.refused;
        break;
    }
    job.worker = nullptr;
    job.ended = how;
    job.where->loop->grant(job, result);
}

void pool_core::fail_queue(pool_job::end how, int code_a, int code_b, int pid, const char* text) noexcept {
    while (queued != 0) {
        auto& job = static_cast<pool_job&>(*queue.pop());
        --queued;
        job.code_a = code_a;
        job.code_b = code_b;
        job.pid = pid;
        job.text = text;
        conclude(job, how, engine::status::exception);
    }
}

void pool_core::break_down(const char* why) noexcept {
    broken = why;
    fail_queue(pool_job::end::protocol, 0, 0, 0, why);
}

void pool_core::remove_idle(pool_worker& w) noexcept { std::erase(idle, &w); }

void pool_core::remove(pool_worker& w) noexcept {
    remove_idle(w);
    std::erase(workers, &w);
    w.pool = nullptr;
    w.release();
}

void pool_core::start_failed(int code_a, int code_b, int pid) noexcept {
    failed_a_ = code_a;
    failed_b_ = code_b;
    failed_pid_ = pid;
    ++failed_starts_;
    constexpr duration first = std::chrono::milliseconds(10);
    constexpr duration longest = std::chrono::seconds(1);
    pausing_ = true;
    if (timer_ != nullptr) timer_->start(std::min(longest, first * (1 << std::min(failed_starts_ - 1, 10u))));
}

void pool_core::on_timer() noexcept {
    pausing_ = false;
    // While others work the jobs will have their turn.
    if (failed_starts_ >= most_failed_starts && workers.size() == starting) {
        if (failed_a_ < 0)
            fail_queue(pool_job::end::start_failed, failed_a_, 0, 0, nullptr);
        else
            fail_queue(pool_job::end::died_at_start, failed_a_, failed_b_, failed_pid_, nullptr);
    }
    settle();
}

void pool_core::abandon() noexcept {
    closed = gone = true;
    // Jobs that workers have end as those in the line do, and are told of in the same message.
    for (pool_worker* const w : workers)
        if (pool_job* const job = std::exchange(w->job, nullptr); job != nullptr) {
            job->worker = nullptr;
            if (job->state == engine::wait_state::aborting) {
                conclude(*job, pool_job::end::cancelled, engine::status::cancelled);
            } else {
                queue.add(*job);
                ++queued;
            }
        }
    totals.refused += std::exchange(queued, 0);
    detach_waiters("a process_pool", {&queue, &closers});
    while (!workers.empty())
        workers.back()->lose_pool();
    if (timer_ != nullptr) lose_timer();
}

} // namespace eddy::detail
