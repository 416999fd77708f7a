// What a primitive must do, as plain values: no coroutines, no waiters, no loop. Written from docs/semantics.md, not
// from the code. A model is told what happens, and says who is served by it, in which order, and with what.
//
// A new primitive needs: a model, a subject (the real one, behind the same operations), and the programs of its worlds;
// event_test.cpp is the smallest example.
#pragma once

#include <eddy/core/loop.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace eddy_model {

// One operation of a task. `arg` is the primitive's own; `value` is a number of its own in an execution, for items.
struct op {
    int kind = 0;
    int arg = 0;
    int value = 0;
};
inline constexpr int yield_op = 0; // the same for all primitives: gives way

// How an operation ends: a value that is not negative, or one of these.
enum ended : int {
    was_cancelled = -1,
    was_closed = -2,
    was_misuse = -3,
    was_timed_out = -4,
    was_destroyed = -5, // the primitive is gone
    was_empty = -6,     // nothing to try_get
    was_broken = -7,    // the barrier is
};

// Whose waits end, in this order, and how.
using woken = std::vector<std::pair<int, int>>;
using figures = std::array<long, 6>;

class model {
public:
    model() = default;
    model(const model&) = delete;
    virtual ~model() = default;
    // Task `who` begins an operation: how it ends at once, or nothing when it waits.
    virtual std::optional<int> start(int who, const op& o, woken& w) = 0;
    // A wait ends before it was served: cancelled, timed out, or its frame destroyed.
    virtual void leave(int who, woken& w) = 0;
    // An operation was served, and its frame is destroyed before the task ran on.
    virtual void undo(int who, woken& w) = 0;
    // An operation was served, and the task has run on.
    virtual void taken(int) {}
    // The task has ended: what it holds goes back.
    virtual void drop(int who, woken& w) = 0;
    // The primitive is destroyed: everybody's wait ends, in the order of `w`.
    virtual void destroy(woken& w) = 0;
    // What statistics() is to tell.
    [[nodiscard]] virtual figures numbers() const = 0;
    // What must hold at any time; nullptr when it does.
    [[nodiscard]] virtual const char* broken() const = 0;
    // When all tasks have ended: what is still in it, in order.
    virtual std::vector<int> left() { return {}; }
};

class world;

// The real primitive.
class subject {
public:
    subject() = default;
    subject(const subject&) = delete;
    virtual ~subject() = default;
    // Spawns task number `me`: it does what world::next_op says until world::wants_more says no.
    virtual eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) = 0;
    [[nodiscard]] virtual figures numbers() const = 0;
    virtual std::vector<int> left() { return {}; }
};

struct program {
    std::array<op, 3> ops{};
    int size = 0;
};

// Everything about a primitive that its worlds are made of.
struct primitive {
    std::string name;
    std::vector<std::string> op_names; // by kind
    std::vector<bool> checkpoint;      // by kind: it throws in a task that was cancelled
    int configurations = 1;            // capacity, order, size …
    std::size_t cost = 1; // executions a scenario, beside others'; a prime: so many times fewer are sampled
    std::unique_ptr<model> (*make_model)(int configuration) = nullptr;
    std::unique_ptr<subject> (*make_subject)(int configuration) = nullptr;
    std::vector<program> first, second;           // of 3 and 2 tasks, two operations each
    std::vector<program> first_long, second_long; // of 2 and 2 tasks, three operations each
    std::vector<op> any;                          // what random tasks do
};

// All programs of `n` of these operations.
inline std::vector<program> all_programs(const std::vector<op>& ops, int n) {
    std::vector<program> found;
    found.emplace_back();
    for (int i = 0; i < n; ++i) {
        std::vector<program> longer;
        for (const program& p : found)
            for (const op& o : ops) {
                longer.push_back(p);
                longer.back().ops[static_cast<std::size_t>(i)] = o;
                longer.back().size = i + 1;
            }
        found = std::move(longer);
    }
    return found;
}

inline program make_program(std::initializer_list<op> ops) {
    program p;
    for (const op& o : ops)
        p.ops[static_cast<std::size_t>(p.size++)] = o;
    return p;
}

// Takes `who` out of a line of tasks, or of pairs that begin with a task.
template <class Line>
bool remove_from(Line& line, int who) {
    for (auto it = line.begin(); it != line.end(); ++it) {
        int in_line = 0;
        if constexpr (requires { it->first; })
            in_line = it->first;
        else
            in_line = *it;
        if (in_line != who) continue;
        line.erase(it);
        return true;
    }
    return false;
}
template <class Line>
auto pop_front(Line& line) {
    auto v = line.front();
    line.erase(line.begin());
    return v;
}

} // namespace eddy_model
