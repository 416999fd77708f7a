// Timers of a loop: a 4-ary heap keyed by (deadline, order of arming).
//
// Cancelling is a removal, costs no libuv call, and time can be virtual. Keys lie in the array, so that sifting does
// not touch the timers themselves. The heap holds no clock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eddy::engine {

struct timer {
    void (*fire)(timer&) noexcept = nullptr; // from the drain loop, after the timer has left the heap
    std::uint32_t order = 0;                 // lowest bit: last among equals; the rest wraps: compared by difference
    std::uint32_t position = 0;              // 1-based place in the heap; 0: not armed

    [[nodiscard]] bool armed() const noexcept { return position != 0; }
};

class timer_heap {
public:
    timer_heap() noexcept = default;
    timer_heap(const timer_heap&) = delete;
    timer_heap& operator=(const timer_heap&) = delete;
    ~timer_heap();

    // False when out of memory; then nothing has changed. O(log n). Equal deadlines fire in the order of arming, but
    // all that are `last` after all that are not.
    [[nodiscard]] bool arm(timer& t, std::int64_t deadline, bool last = false) noexcept;
    // No effect when not armed. O(log n), no allocation.
    void disarm(timer& t) noexcept;

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::int64_t next_deadline() const noexcept { return heap_[0].deadline; }
    [[nodiscard]] std::int64_t deadline_of(const timer& t) const noexcept { return heap_[t.position - 1].deadline; }

    // Removes and returns the first timer due at `now`, or nullptr.
    timer* pop_due(std::int64_t now) noexcept;

    [[nodiscard]] std::size_t bytes() const noexcept { return capacity_ * sizeof(entry); }

private:
    struct entry {
        std::int64_t deadline;
        timer* node;
    };
    static bool before(const entry& a, const entry& b) noexcept {
        if (a.deadline != b.deadline) return a.deadline < b.deadline;
        const std::uint32_t x = a.node->order;
        const std::uint32_t y = b.node->order;
        return ((x ^ y) & 1) != 0 ? (x & 1) == 0 : static_cast<std::int32_t>(x - y) < 0;
    }
    void place(std::size_t at, const entry& e) noexcept {
        heap_[at] = e;
        e.node->position = static_cast<std::uint32_t>(at + 1);
    }
    void sift_up(std::size_t at, entry e) noexcept;
    void sift_down(std::size_t at, entry e) noexcept;
    void remove_at(std::size_t at) noexcept;

    entry* heap_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::uint32_t next_order_ = 0;
};

} // namespace eddy::engine
