// What the primitives of one loop have in common: their waits, and the ties to what they have handed out.
//
// A primitive keeps its waiters in an intrusive list, first come first served; a waiter lives in the operation that
// waits, so neither waiting nor waking allocates. The primitive belongs to no loop until somebody waits: then it
// belongs to the loop of those who wait, until the last of them has gone.
#pragma once

#include <eddy/core/operation.hpp>
#include <eddy/engine/task_record.hpp>

#include <cstddef>
#include <initializer_list>
#include <string>

namespace eddy::detail {

// The exception for an operation that did not succeed: for object_destroyed a text with primitive, task and line.
[[noreturn]] void throw_ended(const engine::waiter& w);
[[noreturn]] void throw_other_loop(const char* what);
// "semaphore.acquire(-1): the count can't be negative".
[[noreturn]] void throw_negative(const char* what, std::ptrdiff_t value);
// std::logic_error when a loop other than `bound` runs on this thread. `what`: "event.set".
void check_running_loop(const engine::loop_core& bound, const char* what);
// The task that runs on this thread, or null.
const engine::task_record* running_task() noexcept;
// The task that `s` is part of: usually `s` itself. Null outside of tasks.
inline const engine::task_record* owner_of(const engine::scope& s) noexcept {
    const engine::scope* at = &s;
    while (at != nullptr && !at->has(engine::scope::is_task))
        at = at->parent;
    return static_cast<const engine::task_record*>(at);
}
// `owner`, which may have ended, when it is found among the living of the loop of `root`, in at most `most` places;
// else null.
const engine::task_record* find_owner(const engine::scope& root, const engine::task_record* owner,
                                      std::size_t most) noexcept;
// The same on the loop that runs here, as its name; empty when there is none.
std::string name_of_owner(const engine::task_record* owner);
// "mutex.lock held by 'writer'".
std::size_t describe_lock(const char* what, const engine::scope& where, const engine::task_record* owner, char* out,
                          std::size_t room) noexcept;
// `owner` is the running task: its record exists. `what`: "a mutex".
[[noreturn]] void throw_locks_again(const char* what, const engine::task_record& owner);
// unlock() of a guard that has nothing.
[[noreturn]] void throw_owns_no_lock();

// As snprintf, but gives the length of what is there; for wait_kind::describe.
std::size_t describe_as(char* out, std::size_t room, const char* format, ...) noexcept
    __attribute__((format(printf, 3, 4)));
// The name of a task, without allocating.
std::size_t describe_name(const engine::task_record& r, char* out, std::size_t room) noexcept;

// The primitive that `w` is for exists: who was finished may be looked at (a dump) when it has gone.
[[nodiscard]] inline bool is_waiting(const engine::waiter& w) noexcept {
    return w.state == engine::wait_state::waiting;
}

// Those who wait, first come first served, and the loop that they belong to.
class waiting_line {
public:
    [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return list_.size(); } // O(n)
    [[nodiscard]] engine::runnable* front() const noexcept { return list_.front(); }
    [[nodiscard]] const engine::runnable* after(const engine::runnable* r) const noexcept { return list_.after(r); }
    void add(engine::waiter& w) noexcept {
        loop_ = w.where->loop;
        list_.push_back(w);
    }
    engine::runnable* pop() noexcept { return list_.pop_front(); }
    void finish_first(engine::status s) noexcept {
        auto& w = static_cast<engine::waiter&>(*list_.pop_front());
        w.where->loop->grant(w, s);
    }
    void finish_all(engine::status s) noexcept {
        while (!list_.empty())
            finish_first(s);
    }
    // std::logic_error when `where`, from which `what` is done, is on another loop than those who wait.
    void check_loop(const engine::scope& where, const char* what) const {
        if (!list_.empty() && where.loop != loop_) [[unlikely]]
            throw_other_loop(what);
    }
    // The same, for what is not awaited: another loop runs on this thread. None may: callbacks of a host.
    void check_loop(const char* what) const {
        if (!list_.empty()) check_running_loop(*loop_, what);
    }

private:
    engine::runnable_list list_;
    engine::loop_core* loop_ = nullptr; // valid while somebody waits
};

// Says in one line on standard error, except at shutdown, that `what`, "a queue", goes while somebody waits. False when
// nobody does.
bool announce_destroyed(const char* what, std::initializer_list<waiting_line*> lines) noexcept;
// Does so, and finishes all who wait with object_destroyed.
void detach_waiters(const char* what, std::initializer_list<waiting_line*> lines) noexcept;

// A leaf operation on a primitive.
template <class Derived, class Waiter = engine::waiter>
class sync_operation : public leaf_operation<Derived, Waiter> {
public:
    // Inline: each frame between a throw and its catch costs a few hundred nanoseconds.
    [[noreturn, gnu::always_inline]] inline void fail() {
        if (this->result == engine::status::cancelled) throw cancelled(reason_at(*this->where));
        throw_ended(*this);
    }

protected:
    sync_operation() = default;
    sync_operation(sync_operation&&) = default;
    ~sync_operation() = default;
};

template <class Owner>
class holding_list;

// Part of a primitive that somebody has in hand: a permit, a job, an operation that was granted something. The
// primitive knows all of these, because it may be destroyed first (a queue in the main task's frame dies before the
// leftover workers): then they hold nothing any more.
template <class Owner>
class holding {
public:
    holding& operator=(const holding&) = delete;

protected:
    holding() noexcept = default;
    // Takes the place of `other`, which holds nothing afterwards.
    holding(holding&& other) noexcept { take_place_of(other); }
    ~holding() { let_go(); }

    // Null: holds nothing.
    [[nodiscard]] Owner* owner() const noexcept { return owner_; }
    void hold(Owner& o, holding_list<Owner>& list) noexcept;
    void let_go() noexcept {
        if (owner_ == nullptr) return;
        owner_ = nullptr;
        next_->prev_ = prev_;
        prev_->next_ = next_;
    }
    void take_place_of(holding& other) noexcept {
        if (other.owner_ == nullptr) return;
        owner_ = other.owner_;
        next_ = other.next_;
        prev_ = other.prev_;
        next_->prev_ = this;
        prev_->next_ = this;
        other.owner_ = nullptr;
    }

private:
    friend holding_list<Owner>;
    Owner* owner_ = nullptr;
    holding* next_;
    holding* prev_;
};

template <class Owner>
class holding_list {
public:
    holding_list() noexcept { head_.next_ = head_.prev_ = &head_; }
    holding_list(const holding_list&) = delete;
    holding_list& operator=(const holding_list&) = delete;
    // The owner goes: nobody holds anything of it any more.
    ~holding_list() {
        for (holding<Owner>* h = head_.next_; h != &head_; h = h->next_)
            h->owner_ = nullptr;
    }

private:
    friend holding<Owner>;
    struct sentinel : holding<Owner> {};
    sentinel head_;
};

template <class Owner>
void holding<Owner>::hold(Owner& o, holding_list<Owner>& list) noexcept {
    owner_ = &o;
    next_ = list.head_.next_;
    prev_ = &list.head_;
    next_->prev_ = this;
    prev_->next_ = this;
}

} // namespace eddy::detail
