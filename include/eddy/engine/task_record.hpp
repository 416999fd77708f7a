// What stays of a task apart from its frames: a scope with an id, a state and (in the derived type) room for its
// outcome, so that finishing cannot fail. Lives until the last handle has gone; the frames go when the task ends.
#pragma once

#include <eddy/engine/scope.hpp>

#include <cstdint>
#include <source_location>

namespace eddy::engine {

struct record_kind {
    void (*start)(task_record&) noexcept;          // first step
    void (*destroy_frames)(task_record&) noexcept; // whatever is left of the frames; idempotent
    void (*dispose)(task_record&) noexcept;        // outcome, extension, memory
    bool is_coroutine = false;                     // of the C++ face (core/record.hpp)
};

struct task_record : scope {
    const record_kind* vtable = nullptr;
    void* extension = nullptr;   // name, task-locals, own exception handler: made by the call that needs it
    runnable* joiners = nullptr; // who waits for the end (waiters) or only hears of it (end_listeners), circular, FIFO
    std::uint64_t id = 0;
    std::source_location spawned_at;
};

// Hears of a task's end, without a wait of its own in a scope: one wait can be for many tasks. Off the list by then;
// the frames have gone, the outcome is there. Must not run user code.
struct end_listener : runnable { // its `kind` is null, a waiter's is not
    void (*ended)(end_listener&, task_record&) noexcept = nullptr;
};

// A scope whose tasks are its own: with_task_group, gather, race.
struct group_core : scope {
    std::uint32_t live_children = 0;
    const char* name = nullptr; // for dumps; lives as long as the group
    // A child has ended and left the tree; it may be kept by taking a reference.
    void (*child_ended)(group_core&, task_record&) noexcept = nullptr;
    group_core() noexcept { flags |= is_group; }
};

inline void retain(task_record& r) noexcept { ++r.refs; }
inline void release(task_record& r) noexcept {
    if (--r.refs == 0) r.vtable->dispose(r);
}

// `j`: a waiter or an end_listener.
void add_joiner(task_record& r, runnable& j) noexcept;
void remove_joiner(task_record& r, runnable& j) noexcept;

} // namespace eddy::engine
