// What a channel is made of, but for its items: the lock, the two lines, and the ways to the threads that wait.
//
// A *party* is one send or receive that waits, an operation of some loop or a thread that blocks. Whoever ends its
// wait, on whichever thread, decides the outcome under the lock (from then on nobody can take it away) and then has it
// told: a blocked thread by its condition variable, an operation by way of its loop's *port*, which has one mail node
// however many parties it has news for. So a wake-up allocates nothing, and rings a loop once for many.
#pragma once

#include <eddy/core/promise.hpp>
#include <eddy/sync/waiting.hpp>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace eddy {

// What channel::statistics() tells.
struct channel_statistics {
    channel_statistics() = default;
    std::size_t size = 0;
    std::size_t capacity = 0;  // 0: every send waits for its receive
    std::size_t senders = 0;   // who wait in send and send_blocking
    std::size_t receivers = 0; // who wait in receive and receive_blocking
    bool closed = false;
};

namespace detail {

struct channel_port;

// The lock of the channel guards all of it, but for what is said to be the owner's: the thread that waits.
struct channel_party : engine::waiter {
    enum class place : unsigned char { none, line, port };
    place at = place::none;
    engine::status outcome = engine::status::pending;
    channel_port* port = nullptr;
    std::condition_variable* blocked = nullptr; // instead of a port
    bool shared = false;                        // the owner's: other threads may know of this party
};

class channel_core {
public:
    using lock = std::unique_lock<std::mutex>;

    explicit channel_core(std::size_t capacity) noexcept;
    channel_core(const channel_core&) = delete;
    virtual ~channel_core();

    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    // ---- the owner of a party
    // An operation that has joined a line will be parked.
    void about_to_park(channel_party& p) noexcept;
    // For wait_kind::abort: what has been decided stands, and is delivered at once.
    engine::abort_result abort(channel_party& p) noexcept;
    // The operation is destroyed: out of everything.
    void withdraw(channel_party& p) noexcept;

    // ---- any thread
    void close() noexcept;
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool closed() const noexcept;

protected:
    [[nodiscard]] lock locked() const noexcept { return lock(guard_); }

    // All of these under the lock.
    // std::bad_alloc where this loop has not waited here before.
    void line_up(channel_party& p, engine::runnable_list& line);
    // Returns when the wait has ended, and without the lock.
    void block(channel_party& p, engine::runnable_list& line, lock& held) noexcept;
    // Decides the outcome of the first in a line, and has it told.
    channel_party& settle_first(engine::runnable_list& line, engine::status outcome) noexcept;
    void settle_all(engine::status outcome) noexcept;
    // The object goes, its operations may stay: ends all waits and says so on standard error.
    void detach() noexcept;

    mutable std::mutex guard_; // the mailboxes' are locked inside it
    const std::size_t capacity_;
    engine::runnable_list senders_;   // only while the channel is full
    engine::runnable_list receivers_; // only while it is empty, and nobody waits to send
    bool closed_ = false;
    bool destroyed_ = false;

private:
    channel_port& port_of(engine::loop_core& l);
    static void deliver(channel_port& p) noexcept;
    static void grant(channel_party& p) noexcept;
    void announce(channel_port& p) noexcept;

    std::atomic<std::size_t> refs_{1};
    std::unique_ptr<channel_port> ports_; // one for each loop that waits here, or did
};

// std::logic_error on a thread that runs a loop. `what`: "channel.send_blocking".
void check_may_block(const char* what);
[[noreturn]] void throw_channel_ended(engine::status outcome, const char* what);

} // namespace detail
} // namespace eddy
