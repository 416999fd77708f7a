#include "offload/helper_threads.hpp"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <new>
#include <pthread.h>
#include <uv.h>

namespace eddy::detail {

namespace {

constexpr auto linger = std::chrono::seconds(5);

struct helpers {
    std::mutex guard;
    std::condition_variable work;
    helper_job* first = nullptr;
    helper_job** last = &first;
    unsigned queued = 0;
    unsigned idle = 0; // waiting, or woken and not there yet
};

// Never destroyed: a detached thread may still be here when static objects go.
helpers& all() noexcept {
    alignas(helpers) static std::byte room[sizeof(helpers)];
    static helpers& h = *::new (static_cast<void*>(room)) helpers;
    return h;
}

helper_job* pop(helpers& h) noexcept {
    helper_job* job = h.first;
    h.first = job->next_job;
    if (h.first == nullptr) h.last = &h.first;
    --h.queued;
    return job;
}

// A job is queued only where an idle thread (or, at its start, a new one) is sure to look for it: leaving and queueing
// are decided under the same lock.
void* helper_main(void*) {
    helpers& h = all();
    std::unique_lock lock(h.guard);
    for (;;) {
        if (!h.work.wait_for(lock, linger, [&h] { return h.queued != 0; })) {
            --h.idle;
            return nullptr;
        }
        helper_job* job = pop(h);
        --h.idle;
        lock.unlock();
        job->run_job(*job);
        lock.lock();
        ++h.idle;
    }
}

// Signals belong to the program's threads.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t every;
        sigfillset(&every);
        pthread_sigmask(SIG_SETMASK, &every, &before_);
    }
    ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;

private:
    sigset_t before_;
};

bool make_helper() noexcept {
    const signals_blocked around;
    pthread_attr_t how;
    if (pthread_attr_init(&how) != 0) return false;
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const int error = pthread_create(&thread, &how, &helper_main, nullptr);
    pthread_attr_destroy(&how);
    return error == 0;
}

} // namespace

int run_on_helper(helper_job& job) noexcept {
    helpers& h = all();
    const std::lock_guard lock(h.guard);
    if (h.idle <= h.queued) {
        if (!make_helper()) return UV_EAGAIN; // it waits for our lock
        ++h.idle;
    }
    job.next_job = nullptr;
    *h.last = &job;
    h.last = &job.next_job;
    ++h.queued;
    h.work.notify_one();
    return 0;
}

int probe_threads(unsigned n, unsigned long stack) noexcept {
    struct gate {
        std::mutex guard;
        std::condition_variable opened;
        bool open = false;
    } g;
    // More than a program will ask for in earnest; libuv allows 1024.
    constexpr unsigned most = 1024;
    pthread_t threads[most];
    if (n > most) n = most;
    const signals_blocked around;
    pthread_attr_t how;
    if (pthread_attr_init(&how) != 0) return UV_EAGAIN;
    if (stack != 0) pthread_attr_setstacksize(&how, stack);
    unsigned made = 0;
    // All at the same time, for that is how libuv will have them.
    const auto wait = [](void* p) -> void* {
        auto& mine = *static_cast<gate*>(p);
        std::unique_lock lock(mine.guard);
        mine.opened.wait(lock, [&mine] { return mine.open; });
        return nullptr;
    };
    while (made < n && pthread_create(&threads[made], &how, wait, &g) == 0)
        ++made;
    pthread_attr_destroy(&how);
    {
        const std::lock_guard lock(g.guard);
        g.open = true;
    }
    g.opened.notify_all();
    for (unsigned i = 0; i < made; ++i)
        pthread_join(threads[i], nullptr);
    return made == n ? 0 : UV_EAGAIN;
}

} // namespace eddy::detail
