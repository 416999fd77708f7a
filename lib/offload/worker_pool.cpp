#include "offload/worker_pool.hpp"

#include "core/fork.hpp"
#include "core/log.hpp"
#include "offload/job_link.hpp"

#include <csignal>

namespace eddy::detail {

namespace {
constinit thread_local job_context* current_job = nullptr;
} // namespace

running_job::running_job(job_context* c) noexcept : before_(std::exchange(current_job, c)) {}
running_job::~running_job() { current_job = before_; }
job_context* running_job::current() noexcept { return current_job; }

constinit thread_local worker_pool::seat* worker_pool::here = nullptr;

worker_pool::worker_pool(plan p) : plan_(std::move(p)), born_in_(fork_generation()) {}
worker_pool::~worker_pool() = default;

bool worker_pool::is_of_this_process() const noexcept { return born_in_ == fork_generation(); }

void worker_pool::check_process(const char* what) const {
    if (!is_of_this_process())
        throw std::logic_error(std::string("eddy: ") + what + " in a child process on thread pool '" + plan_.name +
                               "', which was made before the fork and has no threads here; make a new one");
}

void worker_pool::check_usable(const char* what) {
    check_process(what);
    const std::lock_guard lock(guard_);
    if (closed_) throw closed("eddy: " + std::string(what) + " on thread pool '" + plan_.name + "', which is closed");
}

bool worker_pool::is_destroyed() noexcept {
    const std::lock_guard lock(guard_);
    return destroyed_;
}

// ---- the queue

loss worker_pool::submit(thread_job& j, as how) noexcept {
    const std::lock_guard lock(guard_);
    if (how == as::reserved) --reserved_;
    if (closed_) return destroyed_ ? loss::destroyed : loss::closed;
    if (idle_ <= queued_ && usable() < plan_.most && !add_thread() && (how == as::alone || usable() == 0))
        return loss::no_thread;
    j.queued = true;
    queue_.push_back(j);
    ++queued_;
    wake_one();
    return loss::none;
}

bool worker_pool::reserve() noexcept {
    const std::lock_guard lock(guard_);
    if (!has_room()) return false;
    ++reserved_;
    return true;
}

void worker_pool::unreserve() noexcept {
    const std::lock_guard lock(guard_);
    --reserved_;
}

bool worker_pool::take_back(thread_job& j) noexcept {
    const std::lock_guard lock(guard_);
    if (!j.queued) return false;
    job_list::unlink(j);
    j.queued = false;
    --queued_;
    return true;
}

bool worker_pool::give_up(thread_job& j) noexcept {
    if (take_back(j)) return true;
    const std::lock_guard lock(guard_);
    for (seat* s = seats_; s != nullptr; s = s->next) {
        if (s->job != &j) continue;
        s->given_up = true;
        ++abandoned_;
    }
    return false;
}

thread_job& worker_pool::pop() noexcept {
    thread_job& j = queue_.pop_front();
    j.queued = false;
    --queued_;
    return j;
}

void worker_pool::begin_simulated() noexcept {
    const std::lock_guard lock(guard_);
    ++simulated_;
}

void worker_pool::end_simulated() noexcept {
    lock_type lock(guard_);
    --simulated_;
    tell_ended(lock);
}

thread_pool_statistics worker_pool::statistics() noexcept {
    thread_pool_statistics s;
    if (!is_of_this_process()) return s; // the lock may be held by a thread that is not here
    const std::lock_guard lock(guard_);
    s.threads = threads_;
    s.busy = busy_;
    s.abandoned = abandoned_;
    const std::size_t jobs = queued_ + simulated_;
    const std::size_t load = busy_ - blocked_ + jobs;
    const std::size_t most = plan_.most + std::min(plan_.room, std::size_t(-1) - plan_.most);
    s.waiting = load > most ? std::min(load - most, jobs) : 0;
    s.queued = jobs - s.waiting;
    return s;
}

// ---- the threads

// Under the lock, which the new thread waits for.
bool worker_pool::add_thread() noexcept {
    const signals_blocked around;
    pthread_attr_t how;
    if (pthread_attr_init(&how) != 0) return false;
    if (plan_.detached) pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    if (plan_.stack != 0) pthread_attr_setstacksize(&how, plan_.stack);
    pthread_t thread;
    const int error = pthread_create(&thread, &how, &enter, this);
    pthread_attr_destroy(&how);
    if (error != 0) return false;
    ++threads_;
    ++alive_;
    ++idle_;
    return true;
}

void* worker_pool::enter(void* pool) {
    auto& self = *static_cast<worker_pool*>(pool);
    if (!self.plan_.name.empty()) pthread_setname_np(pthread_self(), self.plan_.name.substr(0, 15).c_str());
    seat mine;
    mine.pool = &self;
    here = &mine;
    self.live(mine);
    return nullptr;
}

void worker_pool::live(seat& mine) noexcept {
    around_blocking = [](bool waits) noexcept { here->pool->blocks(waits); };
    lock_type lock(guard_);
    if (!begin(lock)) {
        leave(lock);
        return;
    }
    mine.next = seats_;
    if (seats_ != nullptr) seats_->prev = &mine;
    seats_ = &mine;
    thread_job* done = nullptr;
    for (;;) {
        thread_job* const next = take_next(mine);
        if (next == nullptr && done == nullptr) {
            if (usable() > plan_.most || !wait_for_work(lock)) break;
            continue;
        }
        lock.unlock();
        // Who learns of the end finds the thread free.
        if (done != nullptr) done->how->leave(*done);
        if (next != nullptr) run_job(*next);
        lock.lock();
        if (next != nullptr) free(mine);
        done = next;
    }
    // From here on nobody counts on us.
    --threads_;
    --idle_;
    wake_one();
    if (mine.next != nullptr) mine.next->prev = mine.prev;
    (mine.prev != nullptr ? mine.prev->next : seats_) = mine.next;
    if (plan_.on_stop) {
        lock.unlock();
        try {
            plan_.on_stop();
        } catch (...) {
            report(nullptr, nullptr, "on_thread_stop of a thread pool threw", std::current_exception());
        }
        lock.lock();
    }
    leave(lock);
}

// False: this thread can't be used, and the others do the work.
bool worker_pool::begin(lock_type& lock) noexcept {
    if (!plan_.on_start) return true;
    for (;;) {
        lock.unlock();
        std::exception_ptr thrown;
        try {
            plan_.on_start();
        } catch (...) {
            thrown = std::current_exception();
        }
        lock.lock();
        if (thrown == nullptr) return true;
        if (usable() > 1 || queued_ == 0) break;
        // There is nobody else: the first job pays, the next one has its own try.
        thread_job& j = pop();
        lock.unlock();
        j.how->lose(j, loss::start, std::move(thrown));
        lock.lock();
        if (queued_ == 0) break;
    }
    --threads_;
    --idle_;
    wake_one();
    return false;
}

// The last of a thread under the lock; releases it.
void worker_pool::leave(lock_type& lock) noexcept {
    --alive_;
    if (plan_.detached) return;
    const bool join = std::exchange(has_ended_thread_, true);
    const pthread_t before = std::exchange(ended_thread_, pthread_self());
    if (alive_ == 0) gone_.notify_all();
    tell_ended(lock);
    if (join) pthread_join(before, nullptr);
}

bool worker_pool::wait_for_work(lock_type& lock) {
    const bool for_ever = plan_.linger > duration::max() / 2;
    const auto until = std::chrono::steady_clock::now() + (for_ever ? duration::zero() : plan_.linger);
    for (bool in_time = true; in_time && queued_ == 0 && !closed_;) {
        ++sleeping_;
        if (for_ever)
            work_.wait(lock);
        else
            in_time = work_.wait_until(lock, until) == std::cv_status::no_timeout;
        // Whoever is up first is the one that was called, whether it slept on for ever or its time was over.
        --(called_ != 0 ? called_ : sleeping_);
    }
    return queued_ != 0;
}

// Under the lock. One at a time: the one that is called calls the next when it finds more than one job, so that many
// jobs at once, which few threads can do, do not cost the loop a system call each.
void worker_pool::wake_one() noexcept {
    if (queued_ == 0 || sleeping_ == 0 || called_ != 0) return;
    --sleeping_;
    ++called_;
    work_.notify_one();
}

thread_job* worker_pool::take_next(seat& mine) noexcept {
    // One too many, because another has stopped waiting for its loop: the others go on.
    if (queued_ == 0 || usable() > plan_.most) return nullptr;
    --idle_;
    ++busy_;
    mine.job = &pop();
    wake_one();
    return mine.job;
}

void worker_pool::free(seat& mine) noexcept {
    mine.job = nullptr;
    --busy_;
    ++idle_;
    if (std::exchange(mine.given_up, false)) --abandoned_;
}

void worker_pool::blocks(bool begin) noexcept {
    const std::lock_guard lock(guard_);
    if (!begin) {
        --blocked_;
        return;
    }
    ++blocked_;
    // Where the system has no thread for it, those jobs wait until one of the blocked goes on.
    if (queued_ > idle_ && usable() < plan_.most) static_cast<void>(add_thread());
}

// ---- the end

// Releases the lock.
void worker_pool::tell_ended(lock_type& lock) noexcept {
    std::vector<thread_promise<void>> ended;
    if (closed_ && alive_ == 0 && queued_ == 0 && simulated_ == 0) ended.swap(to_tell_);
    lock.unlock();
    for (auto& p : ended)
        p.set_value();
}

void worker_pool::close(thread_promise<void> ended) {
    lock_type lock(guard_);
    closed_ = true;
    work_.notify_all();
    to_tell_.push_back(std::move(ended));
    tell_ended(lock);
}

void worker_pool::join_last() noexcept {
    lock_type lock(guard_);
    if (alive_ != 0 || !std::exchange(has_ended_thread_, false)) return;
    const pthread_t last = ended_thread_;
    lock.unlock();
    pthread_join(last, nullptr);
}

void worker_pool::destroy() noexcept {
    if (!is_of_this_process()) return; // its threads are the parent's
    if (here != nullptr && here->pool == this) {
        log_as(log_level::misuse, "thread pool '%s' was destroyed on one of its own threads", plan_.name.c_str());
        std::terminate();
    }
    thread_job* lost = nullptr;
    std::size_t n = 0;
    {
        const std::lock_guard lock(guard_);
        closed_ = destroyed_ = true;
        for (thread_job** last = &lost; queued_ != 0; ++n) {
            *last = &pop();
            last = &(*last)->after;
        }
        for (seat* s = seats_; s != nullptr; s = s->next)
            if (s->job != nullptr && s->job->context != nullptr) refuse_calls(*s->job->context);
    }
    work_.notify_all();
    if (n != 0) {
        loop* const l = loop::try_current();
        if (l == nullptr || !root_of(*l).has(engine::scope::cancelled))
            log_as(log_level::misuse, "thread pool '%s' was destroyed while %zu calls were queued", plan_.name.c_str(),
                   n);
    }
    while (lost != nullptr) {
        thread_job& j = *std::exchange(lost, lost->after);
        j.how->lose(j, loss::destroyed, nullptr);
    }
    {
        lock_type lock(guard_);
        gone_.wait(lock, [this] { return alive_ == 0; });
    }
    join_last();
}

void throw_lost(loss why, const worker_pool& pool) {
    const std::string name = "eddy: thread pool '" + pool.name() + "'";
    switch (why) {
    case loss::destroyed:
        throw object_destroyed(name + " was destroyed before this call had begun");
    case loss::closed:
        throw closed(name + " was closed before this call was accepted");
    default:
        throw uv_error(-EAGAIN, name + " has no thread, and none can be made");
    }
}

} // namespace eddy::detail
