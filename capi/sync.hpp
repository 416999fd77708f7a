// eddy_queue, eddy_mutex, eddy_sem and eddy_event: the primitives of the C++ face, counted.
#pragma once

#include "internal.hpp"

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

struct eddy_queue final : eddy::capi::loop_object {
    eddy_queue(eddy_loop& l, std::size_t capacity, eddy_free_fn f) noexcept
        : loop_object(l), items(capacity), item_free(f) {}
    void handle(unsigned requests) noexcept override;

    eddy::queue<eddy::capi::item> items;
    eddy_free_fn item_free;
    std::atomic<bool> closed{false}; // for other threads
};

struct eddy_mutex final : eddy::capi::loop_object {
    explicit eddy_mutex(eddy_loop& l) noexcept : loop_object(l) {}
    void handle(unsigned requests) noexcept override;

    eddy::mutex::guard held; // what C code has locked; the mutex goes first, and ends who waits
    eddy::mutex lock;
};

struct eddy_sem final : eddy::capi::loop_object {
    eddy_sem(eddy_loop& l, std::ptrdiff_t n) : loop_object(l), permits(n) {}
    void handle(unsigned requests) noexcept override;

    eddy::semaphore permits;
};

struct eddy_event final : eddy::capi::loop_object {
    explicit eddy_event(eddy_loop& l) noexcept : loop_object(l) {}
    void handle(unsigned requests) noexcept override;

    eddy::event flag;
};

namespace eddy::capi {

// What an exception of a primitive is, for functions that return a status. Called inside a handler; `misuse`: what a
// std::logic_error says here.
[[nodiscard]] int current_status(int misuse) noexcept;

// For tests: what is behind the C objects, to be used from coroutines of the same loop.
[[nodiscard]] inline eddy::queue<item>& queue_of(eddy_queue* q) noexcept { return q->items; }
[[nodiscard]] inline eddy::mutex& mutex_of(eddy_mutex* m) noexcept { return m->lock; }
[[nodiscard]] inline eddy::semaphore& semaphore_of(eddy_sem* s) noexcept { return s->permits; }
[[nodiscard]] inline eddy::event& event_of(eddy_event* e) noexcept { return e->flag; }

} // namespace eddy::capi
