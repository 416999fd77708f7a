// What stays of a task apart from its frames: a scope with a state and (in the derived type) its number and room for
// its outcome, so that finishing cannot fail. Lives until the last handle has gone; the frames go when the task ends.
#pragma once

#include <eddy/engine/scope.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <source_location>

namespace eddy::engine {

// A kind of task. As a wait_kind it is that of the start: `resume` takes the first step, and calls begin_task() first.
struct record_kind : wait_kind {
    void (*destroy_frames)(task_record&) noexcept = nullptr; // whatever is left of the frames; idempotent
    void (*dispose)(task_record&) noexcept = nullptr;        // outcome, extension, memory
    bool is_coroutine = false;                               // of the C++ face (core/record.hpp)
};

// What few tasks have, made by the call that needs it; core/record.hpp adds to it.
struct record_extension {
    runnable* joiners = nullptr;
};

struct task_record : scope {
    // Most tasks have neither: one word.
    [[nodiscard]] bool has_more() const noexcept { return more_ != 0; }
    // Who waits for the end (waiters) or only hears of it (end_listeners), circular, FIFO.
    [[nodiscard]] runnable* joiners() const noexcept {
        return is_extended() ? extended().joiners : reinterpret_cast<runnable*>(more_);
    }
    void set_joiners(runnable* first) noexcept {
        if (is_extended())
            extended().joiners = first;
        else
            more_ = reinterpret_cast<std::uintptr_t>(first);
    }
    [[nodiscard]] record_extension* extension() const noexcept { return is_extended() ? &extended() : nullptr; }
    // It had none.
    void set_extension(record_extension& x) noexcept {
        x.joiners = joiners();
        more_ = reinterpret_cast<std::uintptr_t>(&x) + 1;
    }
    // Nobody waits any more.
    void drop_extension() noexcept { more_ = 0; }

    [[nodiscard]] const record_kind& kind() const noexcept {
        return static_cast<const record_kind&>(*(has(unstarted) ? start.kind : live.kind));
    }

private:
    [[nodiscard]] bool is_extended() const noexcept { return (more_ & 1) != 0; }
    [[nodiscard]] record_extension& extended() const noexcept {
        return *reinterpret_cast<record_extension*>(more_ - 1);
    }
    std::uintptr_t more_ = 0; // the joiners, or the extension + 1

public:
    std::source_location spawned_at;
};

// The task whose first step is due: from here on its record is a scope like others.
inline task_record& begin_task(runnable& start) noexcept {
    // `start` is the union member of the record's scope.
    auto* s = reinterpret_cast<scope*>(reinterpret_cast<char*>(&start) - offsetof(scope, start));
    const wait_kind* const kind = start.kind;
    s->flags &= ~std::uint32_t{scope::unstarted};
    ::new (&s->live) scope_body{};
    s->live.kind = kind;
    return static_cast<task_record&>(*s);
}

// Hears of a task's end, without a wait of its own in a scope: one wait can be for many tasks. Off the list by then;
// the frames have gone, the outcome is there. Must not run user code.
struct end_listener : runnable { // its `kind` is null, a waiter's is not
    void (*ended)(end_listener&, task_record&) noexcept = nullptr;
};

// A scope whose tasks are its own: with_task_group, gather, race.
struct group_core : scope {
    std::uint32_t live_children = 0;
    const char* name = nullptr; // for dumps; lives as long as the group
    bool hears_all = false;     // of each child; else only of the last, and of those that failed or were cancelled
    // A child has ended and left the tree; it may be kept by taking a reference.
    void (*child_ended)(group_core&, task_record&) noexcept = nullptr;
    group_core() noexcept { flags |= is_group; }
};

inline void retain(task_record& r) noexcept { ++r.refs; }
inline void release(task_record& r) noexcept {
    if (--r.refs == 0) r.kind().dispose(r);
}

// `j`: a waiter or an end_listener.
void add_joiner(task_record& r, runnable& j) noexcept;
void remove_joiner(task_record& r, runnable& j) noexcept;

} // namespace eddy::engine
