// condition: waiting, with a lock put down meanwhile, until somebody says that what the lock guards has changed.
//
// A wait has two stages: first its waiter stands in the condition's line, then, notified or cancelled, in the mutex's;
// it ends when it is handed the lock. So whatever way a wait ends, by returning or by throwing, its guard owns the lock
// again, and the second stage is not cancelled, however often somebody tries: cancelling only changes how it will end.
// A notification belongs to whoever was notified until its wait returns. If the wait ends in another way (it throws, it
// lost a race, its frame is destroyed), the notification moves on to the next in line. It can then wake somebody for
// whom there is nothing to do, so waits belong in a loop, or are given the predicate.
#pragma once

#include <eddy/sync/mutex.hpp>

#include <concepts>
#include <exception>
#include <limits>
#include <type_traits>

namespace eddy {

// What condition::statistics() tells. Right at once, also after a cancel.
struct condition_statistics {
    condition_statistics() = default;
    std::size_t waiters = 0; // who wait for a notification; who has had one and waits for the lock counts there
    mutex_statistics lock;   // of the mutex; as if unlocked when that has been destroyed
};

namespace detail {
class condition_wait_operation;
template <class Pred>
class condition_test_operation;
} // namespace detail

// Not thread-safe, not movable: for the tasks of one loop. Several conditions may share a mutex. Destroyed while tasks
// wait, it ends their waits with object_destroyed, once each has the lock again. When its mutex is destroyed first, the
// waits end with object_destroyed too, and their guards own nothing, because nothing is left to own.
class condition {
public:
    // `m` is the lock of all who use this condition.
    explicit condition(mutex& m) noexcept;
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;
    ~condition();

    // co_await c.wait(guard). Unlocks, waits until it is notified, and locks again in its turn. A checkpoint. `guard`
    // must outlive the wait; it owns the lock when the wait has returned, or has thrown (cancelled, object_destroyed),
    // which may take as long as others hold the lock. Cancelled after it was notified, but before it was handed the
    // lock, it throws, and the notification goes to the next. What it was notified of may be over by the time it has
    // the lock: call it in a loop. std::logic_error when `guard` owns nothing or the lock of another mutex, or when
    // tasks of another loop wait. O(1), no allocation.
    [[nodiscard]] detail::condition_wait_operation wait(mutex::guard& guard) noexcept;
    // The same until pred() is true; at once when it is true already. A checkpoint. `pred` is kept by value, runs on
    // the loop with the lock held, and must not unlock. What it throws ends the wait; the guard owns the lock.
    template <class Pred>
    requires std::predicate<std::decay_t<Pred>&>
    [[nodiscard]] auto wait(mutex::guard& guard, Pred&& pred) {
        return detail::condition_test_operation<std::decay_t<Pred>>(*this, guard, std::forward<Pred>(pred));
    }

    // Wakes the one who has waited longest, or all, or n; nobody when nobody waits: a notification is not remembered.
    // They run later, each once it has the lock. std::logic_error when the mutex is not locked (by whomever), when n is
    // negative, or when those who wait belong to another loop than the one that runs here. O(how many are woken), no
    // allocation.
    void notify_one() { notify(1); }
    void notify_all() { notify(std::numeric_limits<std::ptrdiff_t>::max()); }
    void notify(std::ptrdiff_t n);

    // O(waiters).
    [[nodiscard]] condition_statistics statistics() const;

private:
    friend detail::condition_waiter;
    friend mutex;

    void notify_first() noexcept;
    void lose_mutex() noexcept;
    void leave_mutex() noexcept;

    mutex* mutex_; // null: it has been destroyed
    condition* next_;
    condition** link_; // what points here
    detail::waiting_line waiters_;
    detail::holding_list<condition> notified_;
};

namespace detail {

// The two stages of a wait. It is a holding of the condition while it has a notification that is not used up.
class condition_waiter : public lock_waiter, public holding<condition> {
protected:
    enum class stage : unsigned char { before, in_line, locking, over };

    condition_waiter() noexcept = default;
    ~condition_waiter() = default;

    void wait_for(condition& c, mutex::guard& g) noexcept {
        condition_ = &c;
        guard_ = &g;
    }
    void wait_as(const condition_waiter& other) noexcept { wait_for(*other.condition_, *other.guard_); }
    // std::logic_error when this wait can't begin.
    void check() const;
    // Puts the lock down and stands in line.
    void begin_wait() noexcept;
    // The guard owns the lock, if this had been handed it.
    void own_again() noexcept;
    // The notification moves on, if this has one.
    void pass_on() noexcept;
    // What a destructor does after end().
    void undo() noexcept {
        own_again(); // who lost a race goes on without this wait, but with its guard
        pass_on();
    }

    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

    condition* condition_ = nullptr;
    mutex::guard* guard_ = nullptr;

private:
    friend eddy::condition;
    // True: has the lock at once.
    bool lock_again(mutex& m, engine::status outcome) noexcept;

    const engine::task_record* owner_before_ = nullptr; // as mutex::owner_
    const mutex* lock_ = nullptr;                       // in whose line it stands
    stage stage_ = stage::before;
};

class condition_wait_operation final : public sync_operation<condition_wait_operation, condition_waiter> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "condition.wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    condition_wait_operation(condition& c, mutex::guard& g) noexcept { wait_for(c, g); }
    condition_wait_operation(condition_wait_operation&& other) : sync_operation(std::move(other)) { wait_as(other); }
    ~condition_wait_operation() {
        end();
        undo();
    }
    bool attempt() {
        check();
        return false;
    }
    void enqueue() noexcept { begin_wait(); }
    engine::status state() noexcept {
        own_again();
        return result;
    }
    void take() noexcept { let_go(); }
};

// A wait that, each time it has been notified and has the lock, looks whether it is over, before its task is resumed.
class condition_tester : public condition_waiter {
protected:
    condition_tester() noexcept = default;
    ~condition_tester() = default;
    bool (*test_)(condition_tester&) = nullptr; // may throw
    std::exception_ptr failure_;

private:
    friend void resume_tested(engine::runnable& r) noexcept;
    // True: not over, and it waits again.
    bool waits_on() noexcept;
};

void resume_tested(engine::runnable& r) noexcept;

template <class Pred>
class condition_test_operation final : public sync_operation<condition_test_operation<Pred>, condition_tester> {
    using base = sync_operation<condition_test_operation, condition_tester>;
    static bool test_it(condition_tester& w) {
        return static_cast<bool>(static_cast<condition_test_operation&>(w).pred_());
    }

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "condition.wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &condition_waiter::abort_it,
                                            .describe = &condition_waiter::describe_it,
                                            .resume = &resume_tested};

    template <class F>
    condition_test_operation(condition& c, mutex::guard& g, F&& pred) : pred_(std::forward<F>(pred)) {
        this->wait_for(c, g);
        this->test_ = &test_it;
    }
    condition_test_operation(condition_test_operation&& other) : base(std::move(other)), pred_(std::move(other.pred_)) {
        this->wait_as(other);
        this->test_ = &test_it;
    }
    ~condition_test_operation() {
        this->end();
        this->undo();
    }
    bool attempt() {
        this->check();
        return static_cast<bool>(pred_());
    }
    void enqueue() noexcept { this->begin_wait(); }
    engine::status state() noexcept {
        this->own_again();
        return this->result;
    }
    void take() noexcept { this->let_go(); }
    [[noreturn]] void fail() {
        if (this->failure_ != nullptr) std::rethrow_exception(this->failure_);
        base::fail();
    }

private:
    Pred pred_;
};

} // namespace detail

inline detail::condition_wait_operation condition::wait(mutex::guard& guard) noexcept { return {*this, guard}; }

} // namespace eddy
