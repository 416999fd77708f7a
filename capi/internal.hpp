// The loop behind an eddy_loop, and doors between the two faces for tests. Private.
#pragma once

#include "object.hpp"

#include <eddy/core/loop.hpp>
#include <eddy/engine/loop_core.hpp>

#include <memory>

namespace eddy::capi {
// A callback put off by eddy_call_soon. Made of the loop's memory.
struct soon_call : engine::runnable {
    eddy_loop* loop = nullptr;
    eddy_call_fn fn = nullptr;
    void* user = nullptr;
    eddy_free_fn drop = nullptr;
    soon_call* next_call = nullptr;
    soon_call** link = nullptr; // what points at this one
};
// Takes it out of everything; drops.
void forget_call(soon_call& c) noexcept;
} // namespace eddy::capi

struct eddy_loop final : eddy::capi::object {
    // Borrowed: somebody else owns and destroys `l`, after this was closed.
    eddy_loop(eddy::loop& l, std::unique_ptr<eddy::loop> owned) noexcept;

    // ---- called first by everything that runs on the loop
    // What other threads asked for, and this one before: a thread sees its own calls in order.
    void sync() noexcept {
        if (box.has_mail()) [[unlikely]]
            box.deliver();
    }
    // Called last by what may have made something ready from outside: an adopted uv_loop_t has to learn of it.
    void touched() noexcept {
        if (!core->draining()) eddy::detail::notice(*cpp);
    }
    // This thread is inside this loop's drain.
    [[nodiscard]] bool is_here() const noexcept {
        const eddy::loop* l = eddy::loop::try_current();
        return l != nullptr && l == identity.load(std::memory_order_relaxed);
    }
    // Nothing may run this loop now: it runs, or this thread runs another one.
    [[nodiscard]] bool is_busy() const noexcept {
        return running || core->draining() || eddy::loop::try_current() != nullptr;
    }

    void pin() noexcept { pins.fetch_add(1, std::memory_order_relaxed); }
    void unpin() noexcept {
        if (pins.fetch_sub(1, std::memory_order_acq_rel) == 1) last_pin();
    }
    void keep_shell() noexcept { shells.fetch_add(1, std::memory_order_relaxed); }
    void drop_shell() noexcept {
        if (shells.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    int close(std::uint64_t grace) noexcept;

    std::unique_ptr<eddy::loop> own;
    eddy::loop* cpp;
    eddy::engine::loop_core* core; // null once closed
    eddy::engine::mailbox box;     // requests to our objects; not the loop's own, whose mail may run user code
    eddy_op* ops = nullptr;        // that have something in the loop
    eddy::capi::soon_call* calls = nullptr;
    eddy_op* to_cancel = nullptr; // cancelling is a loop over this list, however deep tasks await each other
    bool cancelling = false;
    eddy_task* current = nullptr;
    bool running = false;
    bool closing = false; // no new tasks
    bool closed = false;

    std::atomic<const eddy::loop*> identity;
    std::atomic<eddy::engine::loop_core*> stoppable; // null once closed
    std::atomic<unsigned> stoppers{0};               // threads inside eddy_loop_stop
    std::atomic<std::size_t> pins{1};                // one for all of the program's references to the loop
    std::atomic<std::size_t> shells{1};              // one for the pins

private:
    // Tells the loop's own mailbox that ours has mail.
    struct relay_mail : eddy::engine::mail {
        eddy_loop* loop = nullptr;
        std::atomic<bool> posted{false};
    };

    void last_released() noexcept override { unpin(); }
    void last_pin() noexcept;
    int close_now(std::uint64_t grace) noexcept;
    bool cancel_all() noexcept;
    bool run_down(std::int64_t deadline) noexcept;
    void end_all() noexcept;

    relay_mail relay_;
};

namespace eddy::capi {

// For tests: C objects on a loop of the C++ face (one with simulated time). eddy_loop_close() before `l` ends.
[[nodiscard]] eddy_loop* borrow(eddy::loop& l);
// What is behind the C objects.
[[nodiscard]] inline eddy::loop& loop_of(eddy_loop* l) noexcept { return *l->cpp; }

} // namespace eddy::capi
