// channel: hands items from tasks and threads to tasks and threads; the one primitive here that any thread may use.
//
//     channel<frame> frames(16);
//     std::thread camera([&] { while (running()) frames.send_blocking(grab()); frames.close(); });
//     while (auto f = co_await frames.receive()) show(*f);
//
// One lock, the items, and two lines: receivers wait only while it is empty, senders only while it is full. The
// operations of all loops and the threads that block stand in the same lines, first come first served: an item goes
// straight to the receiver that has waited longest, and taking one from a full channel lets the first sender's in.
// Nobody who comes in between can take what was given (no barging), and the items of one sender keep their order.
// With capacity 0 there is no place for items: a send completes when a receive takes its item.
//
// Cancelling: a send that throws has sent nothing, and its item is still in the operation. A receive that was assigned
// an item returns it, even if it is cancelled before its loop has heard of it. An item that was assigned to an
// operation which is destroyed before the task took it goes to the next receiver, or back to its place in the order, be
// the channel full or not. So each item that was sent is received once, or is still in the channel when that is
// destroyed.
#pragma once

#include <eddy/sync/channel_core.hpp>
#include <eddy/sync/queue_store.hpp>

#include <cstdint>
#include <optional>

namespace eddy {

namespace detail {

template <class T>
struct channel_receiver : channel_party {
    std::optional<queue_item<T>> item; // assigned, and not taken
    std::uint64_t number = 0;
};
template <class T>
struct channel_sender : channel_party {
    queue_item<T>* item = nullptr;
};

template <class T>
class channel_state final : public channel_core {
    using item_type = queue_item<T>;
    using receiver = channel_receiver<T>;
    using sender = channel_sender<T>;

public:
    using channel_core::channel_core;

    // False: it waits in line. True: p.outcome tells. std::bad_alloc, and nothing has happened.
    bool send(sender& s) {
        const lock held = locked();
        if (send_now(s)) return true;
        line_up(s, senders_);
        return false;
    }
    bool receive(receiver& r) {
        const lock held = locked();
        if (receive_now(r)) return true;
        line_up(r, receivers_);
        return false;
    }
    void send_blocking(sender& s) {
        lock held = locked();
        if (!send_now(s)) block(s, senders_, held);
    }
    void receive_blocking(receiver& r) {
        lock held = locked();
        if (!receive_now(r)) block(r, receivers_, held);
    }
    bool try_send(T&& v) {
        const lock held = locked();
        if (closed_ || (receivers_.empty() && full())) return false;
        make_room();
        item_type item(std::move(v));
        put(std::move(item));
        return true;
    }
    std::optional<T> try_receive() {
        std::optional<T> result;
        const lock held = locked();
        if (store_.size() != 0) {
            result.emplace(std::move(store_.front().item.value()));
            store_.pop();
            admit();
        } else if (!senders_.empty()) {
            result.emplace(std::move(first_sender().item->value()));
            ++next_number_;
            settle_first(senders_, engine::status::ok);
        }
        return result;
    }
    // The item is the receiver's for good.
    void taken() noexcept { granted_.fetch_sub(1, std::memory_order_relaxed); }
    // Its receiver goes and has not taken it. With the channel gone the item goes with the receiver.
    void give_back(receiver& r) noexcept {
        const lock held = locked();
        taken();
        if (destroyed_) return;
        if (receivers_.empty())
            store_.put_back(r.number, std::move(*r.item));
        else
            assign_first(r.number, std::move(*r.item));
    }

    // The channel is destroyed: its waits end, and its items go, on this thread, outside the lock.
    void end() noexcept {
        detach();
        for (std::optional<item_type> last;; last.reset()) {
            const lock held = locked();
            if (store_.size() == 0) return;
            last.emplace(std::move(store_.front().item));
            store_.pop();
        }
    }

    [[nodiscard]] channel_statistics statistics() const noexcept {
        const lock held = locked();
        channel_statistics s;
        s.size = store_.size();
        s.capacity = capacity_;
        s.senders = senders_.size();
        s.receivers = receivers_.size();
        s.closed = closed_;
        return s;
    }
    [[nodiscard]] std::size_t size() const noexcept {
        const lock held = locked();
        return store_.size();
    }

private:
    // All of these under the lock.
    [[nodiscard]] bool full() const noexcept { return store_.size() >= capacity_; }
    // Room for everything that may have to be stored: what is, what was assigned and may come back, and one more.
    void make_room() { store_.reserve(store_.size() + granted_.load(std::memory_order_relaxed) + 1); }
    sender& first_sender() noexcept { return static_cast<sender&>(*senders_.front()); }

    bool send_now(sender& s) {
        if (closed_) [[unlikely]] {
            s.outcome = ended();
            return true;
        }
        if (receivers_.empty() && full()) return false;
        make_room();
        put(std::move(*s.item));
        s.outcome = engine::status::ok;
        return true;
    }
    bool receive_now(receiver& r) {
        if (store_.size() != 0) [[likely]] {
            if (!senders_.empty()) make_room();
            assign(r, store_.front().number, std::move(store_.front().item));
            store_.pop();
            admit();
        } else if (!senders_.empty()) {
            make_room();
            assign(r, next_number_++, std::move(*first_sender().item));
            settle_first(senders_, engine::status::ok);
        } else if (closed_) {
            r.outcome = ended();
            return true;
        } else {
            return false;
        }
        r.outcome = engine::status::ok;
        return true;
    }
    [[nodiscard]] engine::status ended() const noexcept {
        return destroyed_ ? engine::status::object_destroyed : engine::status::closed;
    }
    // There is room, or somebody waits for it.
    void put(item_type&& item) noexcept {
        if (receivers_.empty())
            store_.push(next_number_++, std::move(item));
        else
            assign_first(next_number_++, std::move(item));
    }
    // An item has gone: the first sender's comes in.
    void admit() noexcept {
        if (senders_.empty() || full()) return;
        store_.push(next_number_++, std::move(*first_sender().item));
        settle_first(senders_, engine::status::ok);
    }
    void assign(receiver& r, std::uint64_t number, item_type&& item) noexcept {
        r.number = number;
        r.item.emplace(std::move(item));
        granted_.fetch_add(1, std::memory_order_relaxed);
    }
    void assign_first(std::uint64_t number, item_type&& item) noexcept {
        assign(static_cast<receiver&>(*receivers_.front()), number, std::move(item));
        settle_first(receivers_, engine::status::ok);
    }

    queue_store<T, fifo> store_;
    std::uint64_t next_number_ = 0;
    std::atomic<std::size_t> granted_{0}; // items assigned to receivers that have not taken them; rises under the lock
};

template <class T>
class channel_send_operation;
template <class T>
class channel_receive_operation;

} // namespace detail

// May be used by any thread, but for its construction and destruction; neither copyable nor movable. T is any movable
// object type; it is moved, and what was moved from destroyed, under the channel's lock: there it must not use the
// channel. A wait for a channel counts as
// woken from outside: no deadlock is reported meanwhile. Destroyed while somebody waits for it, it ends those waits
// with object_destroyed and destroys the items it has; nobody may start to use it then. A loop may end while its tasks
// wait.
template <class T>
class channel {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>, "the items of a channel are movable objects");
    static_assert(alignof(T) <= 16, "over-aligned items are not supported: box them");

public:
    using value_type = T;

    // At most `capacity` items wait in it (room is made as it fills); 0: a send waits until its item is received. Items
    // that come back, see above, may exceed it. std::bad_alloc.
    explicit channel(std::size_t capacity) : state_(new detail::channel_state<T>(capacity)) {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;
    ~channel() { state_->end(); }

    // Checkpoints that wait their turn. When they throw (cancelled, object_destroyed, queue_closed, std::bad_alloc)
    // nothing was sent or received. O(1) and an allocation where a loop waits here for the first time.

    // co_await c.send(v): waits while the channel is full; queue_closed once it is closed, also for those who wait
    // then. A send that threw still has its item: `auto op = c.send(std::move(v));` and afterwards `op.item()`.
    [[nodiscard]] detail::channel_send_operation<T> send(T v) {
        return detail::channel_send_operation<T>(state_, std::move(v));
    }
    // co_await c.receive() -> std::optional<T>: waits while it is empty; empty once it is closed and drained:
    // while (auto v = co_await c.receive()).
    [[nodiscard]] detail::channel_receive_operation<T> receive() noexcept {
        return detail::channel_receive_operation<T>(state_);
    }

    // The same for threads without a loop: they block, in line with the operations. std::logic_error on a thread whose
    // loop is running (it would stand still, perhaps for ever). They can't be cancelled: close() ends their wait.
    // An item that is not sent (queue_closed, object_destroyed, std::bad_alloc) is destroyed.
    void send_blocking(T v);
    [[nodiscard]] std::optional<T> receive_blocking();

    // Any thread, never wait for an item or room, no checkpoints. False: full or closed, and `v` is untouched;
    // with capacity 0: nobody waits to receive.
    bool try_send(T&& v) { return state_->try_send(std::move(v)); }
    bool try_send(const T& v) requires std::is_copy_constructible_v<T>
    {
        return state_->try_send(T(v)); // copied outside the lock
    }
    // Nothing when the channel is empty; with capacity 0: when nobody waits to send.
    [[nodiscard]] std::optional<T> try_receive() { return state_->try_receive(); }

    // No more sends: they throw queue_closed, those that wait too. Receives drain what is left. Any thread. Idempotent,
    // allocates nothing.
    void close() noexcept { state_->close(); }

    // Any thread; what other threads do may have overtaken the answer.
    [[nodiscard]] std::size_t size() const noexcept { return state_->size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return state_->capacity(); }
    [[nodiscard]] bool closed() const noexcept { return state_->closed(); }
    // O(waiters), under the lock: all figures are of one moment.
    [[nodiscard]] channel_statistics statistics() const noexcept { return state_->statistics(); }

private:
    const detail::cell_ref<detail::channel_state<T>> state_;
};

} // namespace eddy

#include <eddy/sync/channel_operations.hpp>
