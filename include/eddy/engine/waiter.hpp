// The unit the engine speaks in: something that waits and can be resumed.
//
// A waiter lives where the wait lives, in a coroutine's frame or in an eddy_op. It is granted or cancelled, whichever
// is first, exactly once (*grant before resume*): what it was granted survives a later cancel. Waking never runs it; it
// moves the waiter into the ready queue.
#pragma once

#include <eddy/engine/status.hpp>

#include <cstddef>
#include <cstdint>

namespace eddy::engine {

struct runnable;
struct waiter;
struct scope;

enum class abort_result : std::uint8_t {
    gone,   // let go at once; the waiter may be resumed as cancelled
    later,  // will be granted when the operation has let go of its memory
    cannot, // goes on; the cancellation waits for the next checkpoint
};

// Static data of a kind of wait; its address is also the identity of the await site in sweeps and coverage.
struct wait_kind {
    const char* name = "";                             // "queue.get"
    bool outside = false;                              // what wakes it is not in this loop: no deadlock while it waits
    bool pinned = false;                               // while it waits its frame can't be destroyed
    abort_result (*abort)(waiter&) noexcept = nullptr; // nullptr: unlink, gone
    std::size_t (*describe)(const waiter&, char* out, std::size_t room) noexcept = nullptr; // nullptr: the name
    void (*resume)(runnable&) noexcept = nullptr;                                           // from the drain loop only
};

// A node of the ready queue or of a primitive's wait list, never of both.
struct runnable {
    runnable* next = nullptr;
    runnable* prev = nullptr;
    const wait_kind* kind = nullptr;

    [[nodiscard]] bool linked() const noexcept { return next != nullptr; }
    void unlink() noexcept {
        prev->next = next;
        next->prev = prev;
        next = prev = nullptr;
    }
};

enum class wait_state : std::uint8_t { idle, waiting, aborting, ready, done };

struct waiter : runnable {
    scope* where = nullptr; // the scope it waits in
    void* target = nullptr; // for kind->resume: the suspended frame, the op
    status result = status::pending;
    wait_state state = wait_state::idle;
    bool yield_after = false; // completed at once, but its task has to give way first
};

// Intrusive circular FIFO. Not movable: nodes point at it.
class runnable_list {
public:
    runnable_list() noexcept { head_.next = head_.prev = &head_; }
    runnable_list(const runnable_list&) = delete;
    runnable_list& operator=(const runnable_list&) = delete;

    [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
    [[nodiscard]] runnable* front() const noexcept { return empty() ? nullptr : head_.next; }
    [[nodiscard]] runnable* after(const runnable* n) const noexcept { return n->next == &head_ ? nullptr : n->next; }

    void push_back(runnable& n) noexcept { insert_before(head_, n); }
    void push_front(runnable& n) noexcept { insert_before(*head_.next, n); }
    static void insert_before(runnable& at, runnable& n) noexcept {
        n.prev = at.prev;
        n.next = &at;
        at.prev->next = &n;
        at.prev = &n;
    }
    runnable* pop_front() noexcept {
        runnable* n = head_.next;
        head_.next = n->next;
        n->next->prev = &head_;
        n->next = n->prev = nullptr;
        return n;
    }
    // O(n); statistics, tests and the seeded scheduler only.
    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t n = 0;
        for (runnable* r = head_.next; r != &head_; r = r->next)
            ++n;
        return n;
    }

private:
    runnable head_;
};

} // namespace eddy::engine
