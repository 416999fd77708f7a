// eddy_queue, eddy_mutex, eddy_sem and eddy_event: the primitives of the C++ face, counted. The others have a file
// each.
#pragma once

#include "op.hpp"

#include <eddy/sync/event.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>

namespace eddy::capi {

// What a C queue carries: a pointer, and what frees it should nobody take it.
class item {
public:
    item(void* p, eddy_free_fn f) noexcept : pointer_(p), free_(f) {}
    item(item&& o) noexcept : pointer_(std::exchange(o.pointer_, nullptr)), free_(o.free_) {}
    item& operator=(item&& o) noexcept {
        std::swap(pointer_, o.pointer_);
        std::swap(free_, o.free_);
        return *this;
    }
    ~item() { free_value(free_, pointer_); }
    [[nodiscard]] void* get() const noexcept { return pointer_; }
    [[nodiscard]] void* release() noexcept { return std::exchange(pointer_, nullptr); }
    [[nodiscard]] eddy_free_fn free_function() const noexcept { return free_; }

private:
    void* pointer_;
    eddy_free_fn free_;
};

} // namespace eddy::capi

// Of one order or another: ordered_queue.hpp.
struct eddy_queue : eddy::capi::loop_object {
    eddy_queue(eddy_loop& l, eddy_free_fn f) noexcept : loop_object(l), item_free(f) {}

    // The op of a put or get; null without memory for it, and then the item is freed.
    virtual eddy_op* put(eddy::capi::item i) noexcept = 0;
    virtual eddy_op* get() noexcept = 0;
    virtual eddy_op* join() noexcept = 0;
    // False: full, or closed. Throw as those of the C++ face do.
    virtual bool try_put(eddy::capi::item& i) = 0;
    virtual bool try_get(void*& pointer) = 0;
    virtual void force_put(eddy::capi::item& i) = 0;
    virtual void done() = 0;
    virtual void close() = 0;
    [[nodiscard]] virtual std::size_t size() const noexcept = 0;
    [[nodiscard]] virtual bool is_closed() const noexcept = 0;
    [[nodiscard]] virtual eddy::queue_statistics statistics() const noexcept = 0;
    bool tell(eddy_sync_stats& to) const override;

    eddy_free_fn item_free;
    std::atomic<bool> closed{false}; // for other threads

protected:
    ~eddy_queue() = default;
};

struct eddy_mutex final : eddy::capi::loop_object {
    explicit eddy_mutex(eddy_loop& l) noexcept : loop_object(l) {}
    void handle(unsigned requests) noexcept override;
    bool tell(eddy_sync_stats& to) const override;

    eddy::mutex::guard held; // what C code has locked; the mutex goes first, and ends who waits
    eddy::mutex lock;
};

struct eddy_sem final : eddy::capi::loop_object {
    eddy_sem(eddy_loop& l, std::ptrdiff_t n) : loop_object(l), permits(n) {}
    void handle(unsigned requests) noexcept override;
    bool tell(eddy_sync_stats& to) const override;

    eddy::semaphore permits;
};

struct eddy_event final : eddy::capi::loop_object {
    explicit eddy_event(eddy_loop& l) noexcept : loop_object(l) {}
    void handle(unsigned requests) noexcept override;
    bool tell(eddy_sync_stats& to) const override;

    eddy::event flag;
};

namespace eddy::capi {

// What an exception of a primitive is, for functions that return a status. Called inside a handler; `misuse`: what a
// std::logic_error says here.
[[nodiscard]] int current_status(int misuse) noexcept;

// What is wrong with an object that a function is about to use: EDDY_OK, and what others asked of it has been done.
[[nodiscard]] inline int enter(const loop_object* o) noexcept {
    if (o == nullptr) return EDDY_EINVAL;
    if (const int s = o->loop->over(); s != EDDY_OK) return s;
    o->loop->sync();
    return EDDY_OK;
}
// Calls into a primitive. What it throws becomes a status, misuse (a std::logic_error) that one.
template <class F>
int call(const loop_object& o, int misuse, F f) noexcept {
    int status = EDDY_OK;
    try {
        f();
    } catch (...) {
        status = current_status(misuse);
    }
    o.loop->touched();
    return o.loop->misused(status, "an object was used in a way that it can't be");
}
// An object can't be made so.
[[nodiscard]] inline int impossible(const eddy_loop* loop, const char* what) noexcept {
    return loop == nullptr ? EDDY_EINVAL : loop->misused(EDDY_EINVAL, what);
}
// For those that make an object.
template <class T, class... Args>
[[nodiscard]] int make_object(eddy_loop* loop, T** out, Args&&... args) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    *out = make<T>(*loop, std::forward<Args>(args)...);
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

// For tests: what is behind the C objects, to be used from coroutines of the same loop.
[[nodiscard]] eddy::queue<item>& queue_of(eddy_queue* q) noexcept; // first in, first out
[[nodiscard]] inline eddy::mutex& mutex_of(eddy_mutex* m) noexcept { return m->lock; }
[[nodiscard]] inline eddy::semaphore& semaphore_of(eddy_sem* s) noexcept { return s->permits; }
[[nodiscard]] inline eddy::event& event_of(eddy_event* e) noexcept { return e->flag; }

// try_lock of a mutex whose lock, taken by C code, is kept in `held`.
template <class Mutex>
int try_hold(Mutex* mutex) noexcept {
    if (const int s = enter(mutex); s != EDDY_OK) return s;
    bool locked = false;
    const int status = call(*mutex, EDDY_ESTATE, [&] {
        auto g = mutex->lock.try_lock();
        locked = g.has_value();
        if (locked) mutex->held = std::move(*g);
    });
    return status == EDDY_OK && !locked ? EDDY_EAGAIN : status;
}

} // namespace eddy::capi
