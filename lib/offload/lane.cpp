#include "offload/lane.hpp"

#include "core/fork.hpp"
#include "core/uv_pool.hpp"
#include "offload/helper_threads.hpp"
#include "offload/job_link.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace eddy::detail {

namespace {

constexpr unsigned calls_a_turn = 64;
constexpr std::int64_t ns_a_turn = 1'000'000;
// A call that took longer is no longer one of many: its result is announced at once.
constexpr std::int64_t ns_of_quick_call = 20'000;

std::int64_t time_now() noexcept { return static_cast<std::int64_t>(uv_hrtime()); }

// What this thread works for, and whether it is one of libuv's.
thread_local offload_lane* working_for = nullptr;
thread_local bool is_helper = false;

void help_all() noexcept {
    lane_registry& all = lanes_of_process();
    const std::lock_guard lock(all.guard);
    // Backwards: a lane that goes when we let go of it is taken out, and moves only those behind it.
    for (std::size_t i = all.lanes.size(); i-- > 0;)
        if (auto keep = std::static_pointer_cast<offload_lane>(all.lanes[i]->returns::weak_from_this().lock());
            keep != nullptr)
            keep->help();
}

void on_blocking(bool begin) noexcept {
    if (is_helper) {
        working_for->helper_blocks(begin);
    } else if (!begin) {
        lanes_of_process().blocked.fetch_sub(1);
    } else if (lanes_of_process().blocked.fetch_add(1) + 1 >= uv_pool_size()) {
        help_all();
    }
}

// While this thread runs calls of a lane.
class at_work {
public:
    at_work(offload_lane& lane, bool helper) noexcept {
        working_for = &lane;
        is_helper = helper;
    }
    ~at_work() {
        around_blocking = before_; // a helper is a thread of a pool, which is told otherwise
        working_for = nullptr;
    }
    at_work(const at_work&) = delete;

private:
    const blocking_function before_ = std::exchange(around_blocking, &on_blocking);
};

} // namespace

lane_registry& lanes_of_process() { return of_this_process<lane_registry>(); }

offload_lane::offload_lane(loop_state& l) : returns(l.hub), loop_(&l), uv_(l.uv->uv()) {
    fire = [](engine::timer& t) noexcept { static_cast<offload_lane&>(t).bring_home(); };
    lane_registry& all = lanes_of_process();
    const std::lock_guard lock(all.guard);
    all.lanes.push_back(this);
}

offload_lane::~offload_lane() {
    if (hub_->born_in != fork_generation()) return; // stands in the parent's
    lane_registry& all = lanes_of_process();
    const std::lock_guard lock(all.guard);
    std::erase(all.lanes, this);
}

offload_lane::drainer* offload_lane::spare_drainer() noexcept {
    for (auto& d : drainers_)
        if (d->lane == nullptr) return d.get();
    try {
        add_drainer();
        return drainers_.back().get();
    } catch (const std::bad_alloc&) {
        return nullptr; // those there are do all; there is one at least
    }
}

void offload_lane::submit(drainer& d) noexcept {
    d.lane = keep();
    d.request.data = &d;
    ++in_flight_;
    uv_queue_work(
        uv_, &d.request,
        [](uv_work_t* r) {
            auto& mine = *static_cast<drainer*>(r->data);
            mine.lane->work(mine);
        },
        [](uv_work_t* r, int) {
            auto& mine = *static_cast<drainer*>(r->data);
            const std::shared_ptr<offload_lane> lane = std::move(mine.lane);
            --lane->in_flight_;
            mine.done.collect(lane->delivering_);
            if (lane->loop_ == nullptr) return;
            lane->publish();
            lane->deliver();
        });
}

void offload_lane::push(offload_job& job) noexcept {
    job.at = offload_job::stage::fresh;
    fresh_.push_back(job);
    if (++fresh_count_ == calls_a_turn) publish();
}

void offload_lane::publish() noexcept {
    std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // A slot is free when its call has been taken out, which may be later than the head has passed it.
    while (fresh_count_ != 0 && tail - head_.load(std::memory_order_acquire) < ring_size &&
           ring_[tail % ring_size].load(std::memory_order_acquire) == nullptr) {
        auto& job = static_cast<offload_job&>(fresh_.pop_front());
        --fresh_count_;
        ++outstanding_;
        job.at = offload_job::stage::published;
        job.slot = tail % ring_size;
        ring_[job.slot].store(&job, std::memory_order_release);
        tail_.store(++tail);
    }
    // Worth a timer only where results can be batched. Without one each is announced.
    if (outstanding_ > 1 && !armed()) {
        const std::int64_t until = loop_->now() + ns_a_turn;
        if (loop_->arm(*this, until)) watch_until_.store(until);
    }
    // Many quick calls: drainers stand in libuv's queue beyond its threads, which else would sleep and be woken for
    // each.
    unsigned most = uv_pool_size();
    if (quick_.load(std::memory_order_relaxed)) most += std::min((tail - head_.load()) / calls_a_turn, most);
    while (has_queued() && in_flight_ < most && in_flight_ < outstanding_) {
        drainer* d = spare_drainer();
        if (d == nullptr) break;
        submit(*d);
    }
    if (lanes_of_process().blocked.load() >= uv_pool_size()) [[unlikely]]
        help();
}

bool offload_lane::take_back(offload_job& job) noexcept {
    if (job.at == offload_job::stage::fresh) {
        job_list::unlink(job);
        --fresh_count_;
    } else if (job.at == offload_job::stage::published) {
        offload_job* expected = &job;
        if (!ring_[job.slot].compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel)) return false;
        --outstanding_;
    } else {
        return false;
    }
    job.at = offload_job::stage::idle;
    return true;
}

void offload_lane::withdraw(offload_job& job) noexcept {
    if (take_back(job)) return;
    // The frame goes while the function runs in it: nobody but a pinned wait's destroyer comes here, and rarely.
    for (collect_all(); job.at != offload_job::stage::finished; collect_all())
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    job_list::unlink(job);
    --outstanding_;
    job.at = offload_job::stage::idle;
}

void offload_lane::collect_all() noexcept {
    for (auto& d : drainers_)
        d->done.collect(delivering_);
    helpers_done_.collect(delivering_);
}

void offload_lane::deliver() noexcept {
    if (delivering_.empty()) return;
    while (!delivering_.empty()) {
        auto& job = static_cast<offload_job&>(delivering_.pop_front());
        --outstanding_;
        job.at = offload_job::stage::idle;
        finish_job(job);
    }
    if (outstanding_ == 0 && armed()) {
        loop_->disarm(*this);
        watch_until_.store(0);
    }
    notice(*loop_->self);
}

// The pointer is taken out of the slot, so nothing is lost or run twice when several pass the same one.
offload_job* offload_lane::claim() noexcept {
    std::uint32_t at = head_.load(std::memory_order_acquire);
    while (at != tail_.load(std::memory_order_acquire)) {
        if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
        if (offload_job* job = ring_[at % ring_size].exchange(nullptr, std::memory_order_acq_rel); job != nullptr)
            return job;
        at = head_.load(std::memory_order_acquire); // it was taken back
    }
    return nullptr;
}

void offload_lane::work(drainer& d) noexcept {
    const at_work here(*this, false);
    const std::int64_t began = time_now();
    std::int64_t before = began;
    for (unsigned n = 1; offload_job* job = claim(); ++n) {
        run_job(*job);
        d.done.push(*job);
        const std::int64_t now = time_now();
        if (n == calls_a_turn || now - began >= ns_a_turn) {
            quick_.store(n == calls_a_turn, std::memory_order_relaxed);
            return; // the return delivers
        }
        if (!has_queued()) return;
        if (now - before >= ns_of_quick_call || now >= watch_until_.load()) announce();
        before = now;
    }
}

void offload_lane::work_as_helper() noexcept {
    const at_work here(*this, true);
    for (;;) {
        while (offload_job* job = claim()) {
            run_job(*job);
            helpers_done_.push(*job);
            announce();
        }
        const std::lock_guard lock(helpers_guard_);
        if (has_queued()) continue; // published since, by one who counted on us
        --helpers_;
        return;
    }
}

void offload_lane::close(bool own_loop) noexcept {
    if (armed()) loop_->disarm(*this);
    loop_ = nullptr;
    for (auto& d : drainers_)
        if (d->lane != nullptr) uv_cancel(reinterpret_cast<uv_req_t*>(&d->request));
    // An adopted loop is turned by its host. There are no calls any more, so drainers that run come back at once.
    while (own_loop && in_flight_ != 0)
        uv_run(uv_, UV_RUN_ONCE);
}

constexpr thread_job_kind offload_lane::helping{
    .work = [](thread_job& j) noexcept { static_cast<helper&>(j).lane->work_as_helper(); },
    .leave = [](thread_job& j) noexcept { delete static_cast<helper*>(&j); },
    .lose = [](thread_job& j, loss, std::exception_ptr) noexcept { delete static_cast<helper*>(&j); },
};

void offload_lane::help() noexcept {
    {
        const std::lock_guard lock(helpers_guard_);
        if (!has_queued() || helpers_ != helpers_blocked_ || lanes_of_process().blocked.load() < uv_pool_size()) return;
        ++helpers_;
    }
    if (auto* h = new (std::nothrow) helper; h != nullptr) {
        h->lane = keep();
        h->how = &helping;
        if (run_on_helper(*h) == loss::none) return;
        delete h;
    }
    // No thread for it: the calls wait until one of those that block goes on.
    const std::lock_guard lock(helpers_guard_);
    --helpers_;
}

void offload_lane::helper_blocks(bool begin) noexcept {
    {
        const std::lock_guard lock(helpers_guard_);
        helpers_blocked_ = begin ? helpers_blocked_ + 1 : helpers_blocked_ - 1;
    }
    if (begin) help_all();
}

} // namespace eddy::detail
