// queue: hands items from tasks to tasks, in order, and holds producers back when it is full.
//
// Two lines of waiters, and at most one of them is ever occupied: getters wait only while the queue is empty, putters
// only while it is full. An item goes straight to the getter that has waited longest, into that getter's own operation;
// taking an item from a full queue lets the first putter's item in. So items and turns are given away at once, the
// tasks merely run later, and nobody who comes in between can take them (no barging, try_put and try_get included).
//
// Cancelling: a put that throws has not put anything, and its item is still in the operation. A get that was handed an
// item returns it, even if it was cancelled since. An item that was handed over to an operation which is destroyed
// before the task took it goes to the next getter, or back to its place in the order, be the queue full or not.
#pragma once

#include <eddy/sync/queue_store.hpp>
#include <eddy/sync/waiting.hpp>

#include <vector>

namespace eddy {

// What queue::statistics() tells.
struct queue_statistics {
    queue_statistics() = default;
    std::size_t size = 0;
    std::size_t capacity = 0;   // 0: unbounded
    std::size_t unfinished = 0; // items that were put and for which nobody has called task_done()
    std::size_t getters = 0;    // who wait in get, next and take
    std::size_t putters = 0;    // who wait in put
    std::size_t joiners = 0;    // who wait in join
    bool closed = false;
};

namespace detail {
template <class Q, int What>
class queue_get_operation;
template <class Q>
class queue_put_operation;
template <class Q>
class queue_join_operation;
[[noreturn]] void throw_too_many_done(std::size_t unfinished, std::size_t others);
} // namespace detail

// For the tasks of one loop: neither movable nor thread-safe (between threads use a channel). T is any movable object
// type; Order is fifo, lifo or priority<Compare>. Destroyed while tasks wait for it, it ends their waits with
// object_destroyed and destroys the items it has.
template <class T, class Order = fifo>
class queue {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>, "the items of a queue are movable objects");
    static_assert(alignof(T) <= 16, "over-aligned items are not supported: box them");
    enum : int { get_item, next_item, take_job };

public:
    using value_type = T;
    // An item in hand, from take(). Its destructor calls task_done().
    class job;

    // At most `capacity` items; 0: no limit. An item that comes back (see above) may exceed it.
    explicit queue(std::size_t capacity = 0) noexcept : capacity_(capacity) {}
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;
    ~queue() {
        closed_ = true; // should the destructor of an item come back to us
        detail::detach_waiters("a queue", {&getters_, &putters_, &joiners_});
    }

    // All of these are checkpoints that wait their turn, first come first served. When they throw (cancelled,
    // object_destroyed, queue_closed, std::bad_alloc) nothing was put or taken. std::logic_error when tasks of another
    // loop wait here. O(1), priority: O(log n).

    // co_await q.put(v): waits while the queue is full; queue_closed once it is closed, also for those who wait then.
    // A put that threw still has its item: `auto op = q.put(std::move(v));` and afterwards `op.item()`.
    [[nodiscard]] detail::queue_put_operation<queue> put(T v) {
        return detail::queue_put_operation<queue>(*this, std::move(v));
    }
    // co_await q.get() -> T: waits while the queue is empty; queue_closed once it is closed and empty.
    [[nodiscard]] detail::queue_get_operation<queue, get_item> get() noexcept {
        return detail::queue_get_operation<queue, get_item>(*this);
    }
    // co_await q.next() -> std::optional<T>: as get(), but empty once the queue is closed and empty:
    // while (auto v = co_await q.next()).
    [[nodiscard]] detail::queue_get_operation<queue, next_item> next() noexcept {
        return detail::queue_get_operation<queue, next_item>(*this);
    }
    // co_await q.take() -> job: as get(), and task_done() is called when the job is destroyed.
    [[nodiscard]] detail::queue_get_operation<queue, take_job> take() noexcept {
        return detail::queue_get_operation<queue, take_job>(*this);
    }
    // co_await q.join(): until for every item that was put task_done() has been called; at once when it has. A
    // checkpoint.
    [[nodiscard]] detail::queue_join_operation<queue> join() noexcept {
        return detail::queue_join_operation<queue>(*this);
    }

    // No checkpoints, never wait. False: full or closed, and `v` is untouched.
    bool try_put(T&& v) { return try_put_item(std::move(v)); }
    // The same, but a full queue takes it too: for what can't wait and must not be lost.
    bool force_put(T&& v) { return put_item(std::move(v)); }
    bool try_put(const T& v) requires std::is_copy_constructible_v<T>
    {
        return try_put_item(v);
    }
    // Nothing when the queue is empty.
    [[nodiscard]] std::optional<T> try_get();

    // One item that was taken by get(), next() or try_get() has been dealt with; the last one lets join() go.
    // std::logic_error, and no change, when more are reported than were taken so (jobs report by themselves).
    void task_done() {
        if (const std::size_t others = store_.size() + granted_ + jobs_; unfinished_ == others) [[unlikely]]
            detail::throw_too_many_done(unfinished_, others);
        joiners_.check_loop("queue.task_done");
        finished(1);
    }
    // No more puts: they throw queue_closed, those that wait too. Gets drain what is left. Idempotent.
    void close();
    // close(), and takes out what is left, in the order in which it would have been got; unfinished() falls by as many.
    std::vector<T> shutdown();

    [[nodiscard]] std::size_t size() const noexcept { return store_.size(); }
    [[nodiscard]] bool empty() const noexcept { return store_.size() == 0; }
    // put() would wait. Never, when there is no limit.
    [[nodiscard]] bool full() const noexcept { return capacity_ != 0 && store_.size() >= capacity_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t unfinished() const noexcept { return unfinished_; }
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    // O(waiters).
    [[nodiscard]] queue_statistics statistics() const noexcept;

private:
    template <class Q, int What>
    friend class detail::queue_get_operation;
    friend detail::queue_put_operation<queue>;
    friend detail::queue_join_operation<queue>;
    using item_type = detail::queue_item<T>;
    using holding = detail::holding<queue>;

    // What get, next and take have in common: it waits, and has room for the item it is handed.
    struct receiver : engine::waiter, holding {
        std::optional<item_type> item;
        std::uint64_t number = 0;

        [[nodiscard]] bool has_item() const noexcept { return this->owner() != nullptr; }
        void receive(queue& q, std::uint64_t n, item_type&& i) noexcept {
            number = n;
            item.emplace(std::move(i));
            this->hold(q, q.holders_);
            ++q.granted_;
        }
        // Taken: from now on the item is the task's.
        void settle() noexcept {
            if (queue* const q = this->owner(); q != nullptr) {
                this->let_go();
                --q->granted_;
            }
        }
    };
    using sender = detail::queue_put_operation<queue>;

    // The attempts. True: done, or the operation's `result` says why not.
    bool receive_now(receiver& r);
    bool send_now(sender& s);
    template <class V>
    bool try_put_item(V&& v) {
        return !full() && put_item(std::forward<V>(v));
    }
    template <class V>
    bool put_item(V&& v);
    // Checked beforehand: somebody waits; for a putter there is room.
    void give_to_getter(std::uint64_t number, item_type&& item) noexcept;
    void take_from_putter() noexcept;
    // Room for everything that may have to be stored: what is, what was handed out and may come back, and one more.
    void make_room() { store_.reserve(store_.size() + granted_ + 1); }
    void give_back(receiver& r) noexcept;
    void check_wait(const engine::scope& where, const char* what) const {
        for (const detail::waiting_line* line : {&getters_, &putters_, &joiners_})
            line->check_loop(where, what);
    }
    void finished(std::size_t n) noexcept {
        unfinished_ -= n;
        if (unfinished_ == 0) joiners_.finish_all(engine::status::ok);
    }

    std::size_t capacity_;
    detail::queue_store<T, Order> store_;
    std::size_t granted_ = 0; // items handed to operations that have not taken them
    std::size_t jobs_ = 0;    // items in jobs, which report by themselves
    std::size_t unfinished_ = 0;
    std::uint64_t next_number_ = 0;
    bool closed_ = false;
    detail::waiting_line getters_;
    detail::waiting_line putters_;
    detail::waiting_line joiners_;
    detail::holding_list<queue> holders_; // operations that were handed an item, and jobs
};

template <class T, class Order>
class [[nodiscard("the destructor of a job calls task_done()")]] queue<T, Order>::job : private detail::holding<queue> {
public:
    job(job&&) noexcept = default;
    job& operator=(job&&) = delete;
    ~job() {
        if (queue* const q = this->owner(); q != nullptr) {
            this->let_go();
            --q->jobs_;
            q->finished(1);
        }
    }
    T& operator*() noexcept { return item_.value(); }
    const T& operator*() const noexcept { return item_.value(); }
    T* operator->() noexcept { return std::addressof(item_.value()); }
    const T* operator->() const noexcept { return std::addressof(item_.value()); }

private:
    template <class Q, int What>
    friend class detail::queue_get_operation;
    job(queue* q, item_type&& item) noexcept : item_(std::move(item)) {
        if (q == nullptr) return;
        this->hold(*q, q->holders_);
        ++q->jobs_;
    }
    item_type item_;
};

} // namespace eddy

#include <eddy/sync/queue_operations.hpp>
