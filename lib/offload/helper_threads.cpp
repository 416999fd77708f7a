#include "offload/helper_threads.hpp"

#include "offload/worker_pool.hpp"

#include <limits>
#include <uv.h>

namespace eddy::detail {

namespace {

worker_pool* make_helpers() {
    worker_pool::plan p;
    p.most = std::numeric_limits<std::size_t>::max();
    p.linger = std::chrono::seconds(5);
    p.detached = true;
    return new worker_pool(std::move(p));
}

// Never destroyed: a detached thread may still be here when static objects go. A child process has its own.
worker_pool& helpers() {
    static std::atomic<worker_pool*> all{nullptr};
    worker_pool* p = all.load(std::memory_order_acquire);
    if (p != nullptr && p->is_of_this_process()) [[likely]]
        return *p;
    worker_pool* const mine = make_helpers();
    if (all.compare_exchange_strong(p, mine, std::memory_order_acq_rel)) return *mine;
    delete mine; // another thread was quicker
    return *p;
}

} // namespace

loss run_on_helper(thread_job& job) noexcept {
    try {
        return helpers().submit(job, worker_pool::as::alone);
    } catch (const std::bad_alloc&) {
        return loss::no_thread;
    }
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
