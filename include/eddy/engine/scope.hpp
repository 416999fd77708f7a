// The tree of scopes: what is cancelled together.
//
// A task is a scope, a group is a scope, and so is each timeout, shield or cancel scope that a task opens. Cancelling
// marks the subtree and aborts the waits in it; new scopes inherit the mark unless they are shielded. A scope has at
// most one wait in progress, because only the innermost scope of a task is active.
#pragma once

#include <eddy/engine/waiter.hpp>

#include <cstdint>

namespace eddy::engine {

class loop_core;
struct task_record;

// The part of a scope that exists once it runs; before that a task's record is a runnable in the ready queue.
struct scope_body {
    scope* first_child = nullptr;
    waiter* wait = nullptr;
    union {
        void* text = nullptr;  // reason text of the cancellation (core/error.cpp), or null
        const wait_kind* kind; // of a task, instead: its record_kind
    };
};

struct scope {
    enum flag : std::uint32_t {
        cancelled = 1u << 0, // by itself or from above: every checkpoint throws
        requested = 1u << 1, // by itself
        shielded = 1u << 2,  // not cancelled from above
        once = 1u << 3,      // a request interrupts one await (C), not every one (C++)
        interrupt = 1u << 4, // once: the next unfinished await is to be interrupted
        is_task = 1u << 5,
        is_group = 1u << 6,
        is_root = 1u << 7,
        unstarted = 1u << 8, // `start` is the live member of the union
        finished = 1u << 9,
        failed = 1u << 10, // task: ended with an exception
        ended_cancelled = 1u << 11,
        observed = 1u << 12,  // task: somebody received the outcome
        timed = 1u << 13,     // has a deadline (timed_scope)
        abandoned = 1u << 14, // task: frames are being destroyed
        watched = 1u << 15,   // somebody wants to hear of its cancellation and its end (stop tokens)
    };
    static constexpr std::uint32_t why_shift = 24;

    scope* next = nullptr; // siblings, circular
    scope* prev = nullptr;
    scope* parent = nullptr;
    loop_core* loop = nullptr;
    std::uint32_t flags = 0;
    std::uint32_t refs = 0; // tasks: handles and the task itself
    union {
        scope_body live;
        runnable start;
    };

    scope() noexcept : live() {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    [[nodiscard]] bool has(flag f) const noexcept { return (flags & f) != 0; }
    [[nodiscard]] bool has_any(std::uint32_t of) const noexcept { return (flags & of) != 0; }
    [[nodiscard]] bool is_open() const noexcept { return next != nullptr; }
    [[nodiscard]] why reason() const noexcept { return static_cast<why>((flags >> why_shift) & 7u); }
    [[nodiscard]] scope* first_child() const noexcept { return has(unstarted) ? nullptr : live.first_child; }
    [[nodiscard]] waiter* wait() const noexcept { return has(unstarted) ? nullptr : live.wait; }
    [[nodiscard]] scope* next_sibling() const noexcept { return next == parent->live.first_child ? nullptr : next; }
};

// Makes `s` the last child of `parent`; inherits its cancellation unless shielded.
inline void open_scope(scope& s, scope& parent) noexcept {
    s.parent = &parent;
    s.loop = parent.loop;
    if (!s.has(scope::shielded)) s.flags |= parent.flags & scope::cancelled;
    scope* first = parent.live.first_child;
    if (first == nullptr) {
        s.next = s.prev = &s;
        parent.live.first_child = &s;
    } else {
        s.next = first;
        s.prev = first->prev;
        first->prev->next = &s;
        first->prev = &s;
    }
}

// Tells the loop's watcher that `s` was cancelled or (closing) ends.
void tell_watcher(scope& s, bool closing) noexcept;

// Takes `s` out of the tree. Its children must be gone.
inline void unlink_scope(scope& s) noexcept {
    if (s.has(scope::watched)) [[unlikely]]
        tell_watcher(s, true);
    if (s.next == &s) {
        s.parent->live.first_child = nullptr;
    } else {
        if (s.parent->live.first_child == &s) s.parent->live.first_child = s.next;
        s.next->prev = s.prev;
        s.prev->next = s.next;
    }
    s.next = s.prev = nullptr;
}

// Owner thread. Idempotent: the first reason wins. Allocation-free, runs no user code, never recurses.
// False when `s` had been asked before or has finished.
bool cancel_scope_tree(scope& s, why reason) noexcept;

// The scope that decides how far an exception `cancelled` travels from `s`: the outermost cancelled one that no shield
// separates from it; nullptr when none is cancelled.
const scope* cancelling_scope(const scope& s) noexcept;

// The task that `s` belongs to; nullptr for the root.
task_record* task_of(scope& s) noexcept;

// Pre-order successor of `s` inside the tree under `top`; nullptr at the end.
scope* next_in_tree(const scope& s, const scope& top, bool into_children) noexcept;

} // namespace eddy::engine
