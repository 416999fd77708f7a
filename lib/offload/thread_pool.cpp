#include <eddy/offload/thread_pool.hpp>

#include "core/fork.hpp"
#include "offload/job_link.hpp"
#include "offload/simulated.hpp"
#include "offload/worker_pool.hpp"

#include <thread>

namespace eddy {

thread_pool_options& thread_pool_options::queue_capacity(std::ptrdiff_t n) {
    if (n < 0)
        throw std::logic_error("eddy: thread_pool_options::queue_capacity(" + std::to_string(n) + "): less than none");
    capacity_ = n;
    return *this;
}

thread_pool_options& thread_pool_options::stack_size(std::size_t bytes) {
    pthread_attr_t how;
    if (pthread_attr_init(&how) != 0) throw std::bad_alloc();
    const int error = bytes == 0 ? 0 : pthread_attr_setstacksize(&how, bytes);
    pthread_attr_destroy(&how);
    if (error != 0)
        throw std::logic_error("eddy: thread_pool_options::stack_size(" + std::to_string(bytes) +
                               "): the system wants more for a thread");
    stack_ = bytes;
    return *this;
}

namespace {

detail::worker_pool::plan plan_of(std::ptrdiff_t n, thread_pool_options& o) {
    if (n < 1) throw std::logic_error("eddy: a thread_pool of " + std::to_string(n) + " threads; it needs one");
    detail::worker_pool::plan p;
    p.most = static_cast<std::size_t>(n);
    p.room = static_cast<std::size_t>(o.queue_capacity());
    p.linger = o.idle_timeout();
    p.stack = o.stack_size();
    p.name = o.name();
    p.on_start = o.on_thread_start();
    p.on_stop = o.on_thread_stop();
    return p;
}

task<void> close_pool(std::shared_ptr<detail::worker_pool> core) {
    core->check_process("close()");
    thread_promise<void> ended;
    auto wait = ended.get();
    core->close(std::move(ended));
    co_await wait;
    core->join_last();
}

} // namespace

thread_pool::thread_pool(std::ptrdiff_t n, thread_pool_options o)
    : core_(std::make_shared<detail::worker_pool>(plan_of(n, o))) {}

thread_pool& thread_pool::operator=(thread_pool&& o) noexcept {
    if (this != &o) {
        const thread_pool old(std::move(*this));
        core_ = std::move(o.core_);
    }
    return *this;
}

thread_pool::~thread_pool() {
    if (core_ != nullptr) core_->destroy();
}

const std::shared_ptr<detail::worker_pool>& thread_pool::core(const char* what) const {
    if (core_ == nullptr)
        throw std::logic_error(std::string("eddy: ") + what + "() of a thread_pool that was moved from");
    return core_;
}

task<void> thread_pool::close() { return close_pool(core("close")); }

thread_pool_statistics thread_pool::statistics() const noexcept {
    return core_ == nullptr ? thread_pool_statistics() : core_->statistics();
}

namespace detail {

// ---- run, try_run

void pool_route::prepare(engine::loop_core& l) const {
    pool->check_usable("run()");
    static_cast<void>(pool_returns::of(loop_state::of(l)));
}

bool pool_route::reserve(offload_job& job) const noexcept {
    if (!pool->reserve()) return false;
    job.pool = pool.get();
    job.at = offload_job::stage::reserved;
    return true;
}

void pool_route::submit(offload_job& job, engine::waiter& w) const noexcept {
    loop_state& l = loop_state::of(*w.where->loop);
    job.waits = &w;
    job.pool = pool.get();
    job.hub = &l.hub;
    job.locals = captured_locals();
    const bool reserved = job.at == offload_job::stage::reserved;
    job.at = offload_job::stage::published;
    if (l.uv == nullptr) {
        if (reserved) pool->unreserve();
        simulate(job, l);
        return;
    }
    const loss lost = pool->submit(job, reserved ? worker_pool::as::reserved : worker_pool::as::usual);
    if (lost != loss::none) job.how->lose(job, lost, nullptr);
}

namespace {
// Out of the queue, unrun.
bool take_back_from_pool(offload_job& job) noexcept {
    const bool real = loop_state::of(*job.waits->where->loop).uv != nullptr;
    if (real ? !job.pool->take_back(job) : !take_back_simulated(job)) return false;
    job.at = offload_job::stage::idle;
    job.waits = nullptr;
    return true;
}
} // namespace

engine::abort_result pool_route::abort(offload_job& job) noexcept {
    if (take_back_from_pool(job)) return engine::abort_result::gone;
    ask_to_stop(job, *job.waits->where);
    return engine::abort_result::cannot;
}

void pool_route::withdraw(offload_job& job) noexcept {
    if (job.at == offload_job::stage::reserved) job.pool->unreserve();
    if (job.waits != nullptr && !take_back_from_pool(job)) {
        // The frame goes while the function runs in it: nobody but a pinned wait's destroyer comes here, and rarely.
        loop_state& l = loop_state::of(*job.waits->where->loop);
        if (job.stop != nullptr) job.stop->request_stop();
        refuse_calls(job);
        if (l.uv != nullptr && job.at == offload_job::stage::published) {
            pool_returns& back = pool_returns::of(l);
            for (back.collect(); job.at != offload_job::stage::finished; back.collect())
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            job_list::unlink(job);
        }
        if (job_link* const link = job.link.load(); link != nullptr) link->orphan();
        job.waits = nullptr;
    }
    if (job.step.linked()) job.step.unlink();
}

void pool_route::come_back(offload_job& job) noexcept {
    // It may be the last that its loop waits for: what we push it on has to stay until we are done. Kept from one call
    // to the next, which mostly comes from the same loop.
    static thread_local std::shared_ptr<returns> home;
    const std::shared_ptr<returns>& returned = loop_state::of(*job.waits->where->loop).returned;
    if (home != returned) home = returned;
    static_cast<pool_returns&>(*home).push(job);
}

// ---- map

void pool_map_base::cancel(offload_job& job) noexcept {
    if (!take_back_from_pool(job)) {
        ask_to_stop(job, *job.waits->where);
        return;
    }
    ended_early = true;
    --left;
    job.forget(job);
}

void pool_map_base::one_back(offload_job& job, bool ran, const std::exception_ptr& error) noexcept {
    job.waits = nullptr;
    --left;
    const bool failed = error != nullptr || job.lost != loss::none;
    if (!ran && !failed) ended_early = true;
    if (failed && failure == nullptr && lost == loss::none) {
        failure = error;
        if (error == nullptr) lost = job.lost;
        cancel_all();
    }
    if (left != 0) return;
    engine::waiter& w = *std::exchange(waits, nullptr);
    w.where->loop->grant(w, engine::status::ok);
}

} // namespace detail
} // namespace eddy
