// What every counted object of the C interface has in common.
//
// References may be dropped on any thread, in any order, also after the loop was closed. The last one asks the loop to
// destroy the object: on the loop at once, from elsewhere through the loop's mailbox, after the loop was closed on the
// spot. Each object has one mailbox node, guarded by its request bits (decisions: any-thread calls).
//
// Two counts keep a loop: `pins` (the program's references to the loop and to objects that no task or callback has
// consumed) keep it open, `shells` (every object) keep its memory. Both are atomic, and an op of the steady state
// touches neither: the loop counts the shells of its own side apart while it is open, and an op is pinned only if it is
// still unconsumed when the step or callback that made it returns.
#pragma once

#include "eddy.h"

#include <eddy/engine/mailbox.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace eddy::capi {

// First in every object: eddy_ref() and eddy_unref() get a void*.
struct object {
    object() noexcept = default;
    object(const object&) = delete;
    object& operator=(const object&) = delete;

    void retain() noexcept { refs.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        // Nobody can add to the only reference there is: no locked instruction for what was never shared.
        if (refs.load(std::memory_order_acquire) == 1 || refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
            last_released();
    }

    std::atomic<std::size_t> refs{1};

    // For eddy_sync_get_stats. False: it is nothing to wait at. May throw std::bad_alloc.
    virtual bool tell(eddy_sync_stats&) const { return false; }

protected:
    ~object() = default;
    virtual void last_released() noexcept = 0; // any thread
};

// An object that belongs to a loop.
struct loop_object : object, engine::mail {
    enum request : unsigned {
        begin = 1u << 0,   // made on another thread: enter the loop
        resolve = 1u << 1, // a promise was given its outcome
        cancel = 1u << 2,
        finalise = 1u << 3, // the last reference has gone
        set = 1u << 4,      // an event
        wake = 1u << 5,     // a waker
    };

    // Any thread. Takes a shell of the loop, and a pin.
    enum class made { on_the_loop, anywhere };
    explicit loop_object(eddy_loop& l, made where = made::on_the_loop) noexcept;

    // Any thread: handles `r` on the loop, now when this is its drain.
    void ask(request r) noexcept;
    // From now on the loop owns it: it does not keep the loop open.
    void unpin() noexcept;
    // A young op is the program's after all.
    void pin_young() noexcept;

    eddy_loop* const loop;

protected:
    ~loop_object(); // gives the shell back
    void last_released() noexcept final;
    // On the loop, or anywhere when it is closed. With `finalise` the object may be gone afterwards.
    virtual void handle(unsigned requests) noexcept = 0;

private:
    void handle_pending() noexcept;
    void finalise_now() noexcept;
    std::atomic<unsigned> requests_{0};
    std::atomic<bool> pinned_{false};

protected:
    static constexpr unsigned char not_young = 0xff;
    unsigned char young_place_ = not_young; // in loop->young
};

// Calls into the program; nothing that it throws gets through.
void call_free(eddy_free_fn f, void* p) noexcept;
// For values and items: none is no value.
inline void free_value(eddy_free_fn f, void* value) noexcept {
    if (value != nullptr) call_free(f, value);
}

} // namespace eddy::capi
