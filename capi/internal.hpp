// The loop behind an eddy_loop, and doors between the two faces for tests. Private.
#pragma once

#include "object.hpp"

#include <eddy/core/loop.hpp>
#include <eddy/engine/loop_core.hpp>

#include <array>
#include <exception>
#include <memory>
#include <utility>

namespace eddy::capi {
// A callback put off by eddy_call_soon, or by its sibling from another thread: then it comes by mail first.
struct soon_call : engine::runnable, engine::mail {
    eddy_loop* loop = nullptr;
    eddy_call_fn fn = nullptr;
    void* user = nullptr;
    eddy_free_fn drop = nullptr;
    soon_call* next_call = nullptr;
    soon_call** link = nullptr; // what points at this one
};
// Takes it out of everything; drops.
void forget_call(soon_call& c) noexcept;

// (fn, user, drop) of the program.
template <class Fn>
struct hook {
    Fn fn = nullptr;
    void* user = nullptr;
    eddy_free_fn drop = nullptr;
    void clear() noexcept {
        fn = nullptr;
        call_free(std::exchange(drop, nullptr), user);
    }
};

void abandon_forked(eddy_loop& l) noexcept;
void close_with_loop(eddy_loop& l) noexcept;
struct host_link; // embed.cpp
struct fd_table;  // fd.cpp
struct shutdown_op;
struct outcome;

// Where log records go.
void log(int level, const eddy_loop* l, const char* message, std::uint64_t op_id) noexcept;
} // namespace eddy::capi

struct eddy_loop final : eddy::capi::object {
    // Borrowed: somebody else owns and destroys `l`, after this was closed.
    eddy_loop(eddy::loop& l, std::unique_ptr<eddy::loop> owned) noexcept;
    ~eddy_loop();

    // ---- called first by everything that runs on the loop
    // What other threads asked for, and this one before: a thread sees its own calls in order.
    void sync() noexcept {
        if (box.has_mail()) [[unlikely]]
            deliver_mail();
    }
    // Called last by what may have made something ready from outside: an adopted uv_loop_t has to learn of it.
    void touched() noexcept {
        if (core->draining()) return;
        eddy::detail::notice(*cpp);
        if (host != nullptr) [[unlikely]]
            tell_host();
    }
    // The host that waits for us learns until when it may.
    void tell_host() noexcept;
    // It has to run us, whatever the calendar says: libuv takes up new descriptors when it runs.
    void must_turn() noexcept {
        unseen_by_uv = true;
        touched();
    }
    // Closed, or forked away: what every function answers then. EDDY_OK: neither.
    [[nodiscard]] int over() const noexcept { return end_status; }
    // Around each call into the program: what was made there and is still the program's keeps the loop open.
    void begin_call() noexcept { calling = true; }
    void end_call() noexcept {
        calling = false;
        if (young_count != 0) [[unlikely]]
            settle_young();
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
    // A step function has ended.
    void task_ended() noexcept;

    // ---- what nobody will look at
    [[nodiscard]] bool has_unhandled_hook() const noexcept { return unhandled.fn != nullptr && !ending; }
    void say_unhandled(const eddy::capi::outcome& o, const char* op_name, std::uint64_t op_id) noexcept;
    // Gives `status`, where that is not the end of the process (EDDY_LOOP_ABORT_MISUSE). `what` may be null.
    int misused(int status, const char* what = nullptr) const noexcept {
        if ((flags & EDDY_LOOP_ABORT_MISUSE) != 0) [[unlikely]]
            abort_if_misuse(status, what);
        return status;
    }
    // An exception left a callback. Called inside a handler.
    void say_exception(const char* what) noexcept;

    std::unique_ptr<eddy::loop> own;
    eddy::loop* cpp;
    eddy::engine::loop_core* core; // null once closed
    eddy::engine::mailbox box;     // requests to our objects; not the loop's own, whose mail may run user code
    eddy_op* ops = nullptr;        // that have something in the loop
    std::size_t op_count = 0;      // of those
    std::size_t running_tasks = 0; // step functions
    std::size_t at_workers = 0;    // offloaded and not back
    std::uint64_t steps = 0;
    std::uint64_t callbacks = 0;
    eddy::capi::soon_call* calls = nullptr;
    eddy_op* to_cancel = nullptr; // cancelling is a loop over this list, however deep tasks await each other
    bool cancelling = false;
    eddy_task* current = nullptr;
    bool running = false;
    bool closing = false; // no new tasks
    bool ending = false;  // no callbacks either
    int end_status = EDDY_OK;
    const bool borrowed;
    bool adopted = false;
    bool unseen_by_uv = false;
    std::uint32_t flags = 0; // EDDY_LOOP_…
    char* name = nullptr;    // malloc
    eddy::capi::hook<eddy_done_fn> unhandled;
    eddy::capi::shutdown_op* shutdowns = nullptr;
    std::unique_ptr<eddy::capi::host_link> host;
    std::unique_ptr<eddy::capi::fd_table> fds;
    eddy_loop* next_loop = nullptr; // of this process
    eddy_loop** loop_link = nullptr;
    bool calling = false; // inside a step or callback

    // Owner: objects made on the loop's side, less those destroyed there, while the loop is open.
    std::ptrdiff_t own_shells = 0;
    // Made in this step or callback, and not consumed yet.
    std::array<eddy::capi::loop_object*, 8> young{};
    unsigned young_count = 0;

    std::atomic<const eddy::loop*> identity;
    std::atomic<eddy::engine::loop_core*> stoppable; // null once closed
    std::atomic<unsigned> stoppers{0};               // threads inside eddy_loop_stop, _hold, _release
    std::atomic<std::size_t> pins{1};                // one for all of the program's references to the loop
    std::atomic<std::size_t> shells{1};              // one for the pins

private:
    // Tells the loop's own mailbox that ours has mail.
    struct relay_mail : eddy::engine::mail {
        eddy_loop* loop = nullptr;
        std::atomic<bool> posted{false};
    };

    void abort_if_misuse(int status, const char* what) const noexcept;
    void deliver_mail() noexcept;
    void settle_young() noexcept;
    void last_released() noexcept override { unpin(); }
    friend void eddy::capi::abandon_forked(eddy_loop& l) noexcept;
    friend void eddy::capi::close_with_loop(eddy_loop& l) noexcept;
    void last_pin() noexcept;
    int close_now(std::uint64_t grace, bool wait_for_workers) noexcept;
    void close_ends() noexcept;
    bool cancel_all() noexcept;
    bool run_down(std::int64_t deadline) noexcept;
    bool has_unfinished() noexcept;
    bool has_code_at_workers() const noexcept;
    void end_all() noexcept;

    relay_mail relay_;
};

namespace eddy::capi {

// C objects on a loop of the C++ face. eddy_loop_close() before `l` ends.
[[nodiscard]] eddy_loop* borrow(eddy::loop& l);
// That loop ends: what is left of its C objects ends first.
void close_with_loop(eddy_loop& l) noexcept;
// What is behind the C objects.
[[nodiscard]] inline eddy::loop& loop_of(eddy_loop* l) noexcept { return *l->cpp; }

// Structs that begin with their size. EDDY_EINVAL, EDDY_ETOOBIG.
[[nodiscard]] int read_struct(const void* from, void* to, std::size_t known) noexcept;
[[nodiscard]] int write_struct(void* to, const void* from, std::size_t known) noexcept;

// Every loop of the process, for fork().
void remember(eddy_loop& l) noexcept;
void forget(eddy_loop& l) noexcept;

} // namespace eddy::capi
