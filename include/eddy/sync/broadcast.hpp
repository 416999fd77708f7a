// broadcast: every receiver gets every item, and none holds up the others.
//
//     broadcast<event> news(64);
//     auto mine = news.subscribe();
//     while (auto e = co_await mine.receive()) show(*e);
//
// A ring of the newest `capacity` items; each receiver has its own place in it, and starts with what is sent after its
// subscription. send() never waits: it overwrites the oldest item, and a receiver that had not come to it learns by the
// error `lagged` how many it has missed, and goes on with the oldest that is left. An item goes when the last receiver
// has taken it.
#pragma once

#include <eddy/sync/queue_store.hpp>
#include <eddy/sync/subscription.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace eddy {

// A receiver was too slow: so many items were overwritten before it came to them. It goes on with the oldest that is
// left.
class lagged : public error {
public:
    explicit lagged(std::uint64_t missed);
    [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

private:
    std::uint64_t missed_;
};

// What broadcast::statistics() tells.
struct broadcast_statistics {
    broadcast_statistics() = default;
    std::size_t retained = 0; // items that some receiver has still to take
    std::size_t capacity = 0;
    std::size_t receivers = 0;
    std::size_t waiters = 0; // who wait in receive
    bool closed = false;
};

namespace detail {

[[noreturn]] void throw_no_capacity();
[[noreturn]] void throw_broadcast_closed();

template <class T>
struct broadcast_reader;

// Outlives the broadcast while there are receivers.
template <class T>
class broadcast_state {
    using item_type = queue_item<T>;
    using reader = broadcast_reader<T>;

public:
    explicit broadcast_state(std::size_t capacity) : ring_(capacity) {
        if (capacity == 0) throw_no_capacity();
    }
    std::size_t send(item_type&& item) {
        if (closed_) throw_broadcast_closed();
        waiting.check_loop("broadcast.send");
        if (readers_ == 0) return 0;
        slot& s = slot_of(next_);
        [[maybe_unused]] const auto old = std::exchange(s.item, std::nullopt); // destroyed at the very end
        s.item.emplace(std::move(item));
        s.unread = readers_;
        ++next_;
        waiting.finish_all(engine::status::ok);
        return readers_;
    }
    void close() {
        if (closed_) return;
        waiting.check_loop("broadcast.close");
        end();
    }
    void end() noexcept {
        closed_ = true;
        waiting.finish_all(engine::status::ok);
    }
    void join(reader& r) noexcept {
        r.at = next_;
        ++readers_;
    }
    void leave(reader& r) noexcept {
        --readers_;
        // What is destroyed here may call us: items sent meanwhile do not count this receiver.
        for (const std::uint64_t end = next_; r.at < end; ++r.at) {
            r.at = std::max(r.at, oldest());
            if (r.at < end) one_less(slot_of(r.at));
        }
    }
    // Taken, lagging or at the end: receive has its answer.
    [[nodiscard]] bool has_news(const reader& r) const noexcept { return r.at != next_ || closed_; }
    [[nodiscard]] std::uint64_t missed(const reader& r) const noexcept { return r.at < oldest() ? oldest() - r.at : 0; }
    void catch_up(reader& r) noexcept { r.at = std::max(r.at, oldest()); }
    std::optional<T> take(reader& r) {
        std::optional<T> v;
        if (r.at == next_) return v;
        slot& s = slot_of(r.at);
        if (s.unread == 1)
            v.emplace(std::move(s.item->value()));
        else
            v.emplace(std::as_const(*s.item).value());
        ++r.at;
        one_less(s);
        return v;
    }
    [[nodiscard]] broadcast_statistics statistics() const noexcept {
        broadcast_statistics s;
        for (const slot& i : ring_)
            s.retained += i.item.has_value();
        s.capacity = ring_.size();
        s.receivers = readers_;
        s.waiters = waiting.size();
        s.closed = closed_;
        return s;
    }
    [[nodiscard]] bool closed() const noexcept { return closed_; }

    waiting_line waiting;

private:
    struct slot {
        std::optional<item_type> item;
        std::size_t unread = 0; // by so many receivers
    };
    slot& slot_of(std::uint64_t number) noexcept { return ring_[static_cast<std::size_t>(number % ring_.size())]; }
    [[nodiscard]] std::uint64_t oldest() const noexcept { return next_ < ring_.size() ? 0 : next_ - ring_.size(); }
    static void one_less(slot& s) noexcept {
        if (--s.unread != 0) return;
        [[maybe_unused]] const auto old = std::exchange(s.item, std::nullopt); // its destructor may call us
    }

    std::vector<slot> ring_;
    std::uint64_t next_ = 0; // the number of the next item
    std::size_t readers_ = 0;
    bool closed_ = false;
};

template <class T>
struct broadcast_reader : subscription {
    explicit broadcast_reader(std::shared_ptr<broadcast_state<T>> s) noexcept : state(std::move(s)) {
        state->join(*this);
    }
    waiting_line& line() noexcept { return state->waiting; }
    std::shared_ptr<broadcast_state<T>> state;
    std::uint64_t at = 0; // the number of the item that comes next
};

template <class T>
class broadcast_receive_operation;

} // namespace detail

// For the tasks of one loop: neither movable nor thread-safe. T is any copyable object type (the last receiver of an
// item gets it moved). Destroying it closes it: the receivers live on, and take what is left.
template <class T>
class broadcast {
    static_assert(std::is_object_v<T> && std::is_copy_constructible_v<T>,
                  "the items of a broadcast are copyable objects: each receiver gets one");
    static_assert(alignof(T) <= 16, "over-aligned items are not supported: box them");

public:
    using value_type = T;
    class receiver;

    // std::logic_error when `capacity` is 0; std::bad_alloc: all the room is made here.
    explicit broadcast(std::size_t capacity) : state_(std::make_shared<detail::broadcast_state<T>>(capacity)) {}
    broadcast(const broadcast&) = delete;
    broadcast& operator=(const broadcast&) = delete;
    ~broadcast() { state_->end(); }

    // Gives `v` to all receivers, and says how many they are; without any it is dropped. Never waits, no checkpoint;
    // who waits runs later. O(waiters). Throws queue_closed, std::logic_error when tasks of another loop wait, and what
    // moving a T throws; nothing was sent then.
    std::size_t send(T v) { return state_->send(detail::queue_item<T>(std::move(v))); }
    // A receiver of all that is sent from now on. std::bad_alloc.
    [[nodiscard]] receiver subscribe() { return receiver(std::make_shared<detail::broadcast_reader<T>>(state_)); }
    // No more sends. Receivers take what is left, then get nothing. Idempotent. std::logic_error when tasks of another
    // loop wait.
    void close() { state_->close(); }
    [[nodiscard]] bool closed() const noexcept { return state_->closed(); }
    // O(capacity + waiters).
    [[nodiscard]] broadcast_statistics statistics() const noexcept { return state_->statistics(); }

private:
    const std::shared_ptr<detail::broadcast_state<T>> state_;
};

// One receiver's place. Movable, also while its operation waits; may outlive the broadcast.
template <class T>
class [[nodiscard("without a receiver nothing is received")]] broadcast<T>::receiver {
public:
    receiver(receiver&&) noexcept = default;
    receiver& operator=(receiver&& o) noexcept {
        const receiver old(std::move(*this));
        reader_ = std::move(o.reader_);
        return *this;
    }
    // Who waits in receive() gets object_destroyed.
    ~receiver() {
        if (reader_ == nullptr) return;
        reader_->end("a receiver of a broadcast");
        reader_->state->leave(*reader_);
    }

    // co_await r.receive() -> std::optional<T>: the next item; empty once the broadcast is closed and all has been
    // taken. Throws `lagged` when items were overwritten before their turn; the next call gives the oldest that is
    // left. A checkpoint. Cancelled: nothing was taken. std::logic_error while another receive of this receiver waits,
    // or when tasks of another loop wait. O(1), no allocation.
    [[nodiscard]] detail::broadcast_receive_operation<T> receive() {
        return detail::broadcast_receive_operation<T>(reader("broadcast.receive"));
    }
    // The same without waiting: empty when there is nothing now. No checkpoint.
    [[nodiscard]] std::optional<T> try_receive() {
        auto r = reader("broadcast.try_receive");
        if (const std::uint64_t n = r->state->missed(*r); n != 0) {
            r->state->catch_up(*r);
            throw lagged(n);
        }
        return r->state->take(*r);
    }

private:
    friend broadcast;
    explicit receiver(std::shared_ptr<detail::broadcast_reader<T>> r) noexcept : reader_(std::move(r)) {}
    const std::shared_ptr<detail::broadcast_reader<T>>& reader(const char* what) const {
        if (reader_ == nullptr) detail::throw_moved_from(what);
        return reader_;
    }
    std::shared_ptr<detail::broadcast_reader<T>> reader_;
};

namespace detail {

// Granted, it has an item at hand and not taken: who is destroyed then leaves it for the next receive.
template <class T>
class broadcast_receive_operation final
    : public subscription_operation<broadcast_receive_operation<T>, broadcast_reader<T>> {
    using base = subscription_operation<broadcast_receive_operation, broadcast_reader<T>>;

public:
    using result_type = std::optional<T>;
    static constexpr engine::wait_kind kind{.name = "broadcast.receive",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit broadcast_receive_operation(std::shared_ptr<broadcast_reader<T>> r) noexcept : base(std::move(r)) {}
    broadcast_receive_operation(broadcast_receive_operation&&) = default;
    ~broadcast_receive_operation() = default;
    bool attempt() { return this->begin(reader().state->has_news(reader())); }
    // Overwritten since it was granted counts too: what it gets is the next item, or the number of those it missed.
    [[nodiscard]] engine::status state() const noexcept {
        const engine::status s = base::state();
        return s == engine::status::ok && missed() != 0 ? engine::status::exception : s;
    }
    [[noreturn]] void fail() {
        if (base::state() != engine::status::ok) base::fail();
        const std::uint64_t n = missed();
        this->reader_->leave(*this);
        reader().state->catch_up(reader());
        throw lagged(n);
    }
    std::optional<T> take() {
        this->reader_->leave(*this);
        return reader().state->take(reader());
    }

private:
    broadcast_reader<T>& reader() const noexcept { return *this->reader_; }
    [[nodiscard]] std::uint64_t missed() const noexcept { return reader().state->missed(reader()); }
};

} // namespace detail
} // namespace eddy
