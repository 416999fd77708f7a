#include "pool.hpp"

#include "sync.hpp"

#include <pthread.h>
#include <thread>

namespace eddy::capi {
namespace {

// The pool whose thread this is.
thread_local const eddy_pool* here EDDY_DETAIL_TLS = nullptr;

eddy::detail::worker_pool::plan plan_of(const eddy_pool_opts& o, const eddy_pool& self) {
    eddy::thread_pool_options checked;
    checked.stack_size(static_cast<std::size_t>(o.stack_size)); // may throw
    eddy::detail::worker_pool::plan p;
    p.most = o.threads != 0 ? o.threads : std::max(1u, std::thread::hardware_concurrency());
    p.room = o.queue_limit != 0 ? o.queue_limit : PTRDIFF_MAX;
    p.stack = checked.stack_size();
    p.name = o.name != nullptr ? o.name : checked.name();
    p.linger = o.idle_timeout == 0          ? checked.idle_timeout()
               : o.idle_timeout > INT64_MAX ? eddy::duration::max()
                                            : eddy::duration(static_cast<std::int64_t>(o.idle_timeout));
    p.on_start = [start = o.thread_start, user = o.user, &self] {
        here = &self;
        if (start != nullptr) start(user);
    };
    if (o.thread_stop != nullptr) p.on_stop = [stop = o.thread_stop, user = o.user] { stop(user); };
    return p;
}

// Joins the threads.
void* end_pool(void* pool) noexcept {
    auto* const p = static_cast<eddy_pool*>(pool);
    void* const user = p->user;
    const eddy_free_fn drop = p->drop;
    delete p;
    call_free(drop, user);
    return nullptr;
}

} // namespace
} // namespace eddy::capi

eddy_pool::eddy_pool(const eddy_pool_opts& o)
    : user(o.user), drop(o.drop), threads(std::make_shared<eddy::detail::worker_pool>(eddy::capi::plan_of(o, *this))) {}

eddy_pool::~eddy_pool() { threads->destroy(); }

// The threads are joined, which one of them can't do: abandoned code has come back after its loop was closed.
void eddy_pool::last_released() noexcept {
    if (eddy::capi::here != this) {
        static_cast<void>(eddy::capi::end_pool(this));
        return;
    }
    const eddy::detail::signals_blocked around;
    pthread_t thread;
    if (pthread_create(&thread, nullptr, &eddy::capi::end_pool, this) == 0)
        pthread_detach(thread);
    else
        eddy::capi::log(EDDY_LOG_ERROR, nullptr, "a thread pool is lost: there is no thread to wait for its threads",
                        0);
}

int eddy_pool_new(const eddy_pool_opts* opts, eddy_pool** out) noexcept {
    eddy_pool_opts o{};
    int status = out == nullptr ? EDDY_EINVAL : EDDY_OK;
    if (out != nullptr) *out = nullptr;
    if (opts != nullptr) {
        const int read = eddy::capi::read_struct(opts, &o, sizeof o);
        if (read == EDDY_ETOOBIG) { // these are there
            o.user = opts->user;
            o.drop = opts->drop;
        }
        if (status == EDDY_OK) status = read;
        if (status == EDDY_OK && o.flags != 0) status = EDDY_ETOOBIG;
        if (status == EDDY_OK && o.stack_size > SIZE_MAX) status = EDDY_EINVAL;
    }
    if (status == EDDY_OK) {
        try {
            *out = new eddy_pool(o);
            return EDDY_OK;
        } catch (...) {
            status = eddy::capi::current_status(EDDY_EINVAL);
        }
    }
    eddy::capi::call_free(o.drop, o.user);
    return status;
}

int eddy_pool_get_stats(const eddy_pool* pool, eddy_pool_stats* out) noexcept {
    if (pool == nullptr || out == nullptr) return EDDY_EINVAL;
    const eddy::thread_pool_statistics now = pool->threads->statistics();
    eddy_pool_stats s{};
    s.threads = now.threads;
    s.busy = now.busy;
    s.abandoned = now.abandoned;
    s.queued = now.queued;
    s.waiting = now.waiting;
    return eddy::capi::write_struct(out, &s, sizeof s);
}
