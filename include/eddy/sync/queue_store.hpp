// What a queue keeps its items in: one store for each order.
//
// Every item has a number, counted up in the order of putting. It makes the priority order stable, and it is how an
// item that was handed out and not taken finds its place again. Room is made beforehand (reserve), where failing is
// possible; nothing else here allocates or throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace eddy {

// Orders of a queue.
struct fifo {}; // first in, first out
struct lifo {}; // last in, first out
// The smallest by C first; equal ones first in, first out. C must not throw.
template <class C = std::less<>>
struct priority {};

namespace detail {

// Moves inside a queue must not fail, for they happen where nobody could be told: types whose move may throw are boxed.
template <class T>
class boxed_item {
public:
    explicit boxed_item(T&& v) : p_(std::make_unique<T>(std::move(v))) {}
    explicit boxed_item(const T& v) : p_(std::make_unique<T>(v)) {}
    T& value() noexcept { return *p_; }
    const T& value() const noexcept { return *p_; }

private:
    std::unique_ptr<T> p_;
};
template <class T>
class plain_item {
public:
    explicit plain_item(T&& v) noexcept : v_(std::move(v)) {}
    explicit plain_item(const T& v) : v_(v) {}
    T& value() noexcept { return v_; }
    const T& value() const noexcept { return v_; }

private:
    T v_;
};
template <class T>
using queue_item = std::conditional_t<std::is_nothrow_move_constructible_v<T>, plain_item<T>, boxed_item<T>>;

template <class T>
struct queue_cell {
    std::uint64_t number;
    queue_item<T> item;
};

// Raw room for cells; who lives in it is the store's business.
template <class T>
class cell_room {
public:
    using cell = queue_cell<T>;
    cell_room() noexcept = default;
    cell_room(const cell_room&) = delete;
    cell_room& operator=(const cell_room&) = delete;
    ~cell_room() {
        if (cells_ != nullptr) std::allocator<cell>().deallocate(cells_, size_);
    }
    explicit cell_room(std::size_t n) : cells_(std::allocator<cell>().allocate(n)), size_(n) {}
    void swap(cell_room& o) noexcept {
        std::swap(cells_, o.cells_);
        std::swap(size_, o.size_);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    cell* operator[](std::size_t i) noexcept { return cells_ + i; }
    // The next power of two that holds `n`.
    static std::size_t size_for(std::size_t n, std::size_t now) noexcept {
        std::size_t size = now < 8 ? 8 : now;
        while (size < n)
            size *= 2;
        return size;
    }

private:
    cell* cells_ = nullptr;
    std::size_t size_ = 0;
};

// Moves the cell at `from` into the raw cell at `to`.
template <class T>
void relocate(queue_cell<T>* to, queue_cell<T>* from) noexcept {
    ::new (static_cast<void*>(to)) queue_cell<T>(std::move(*from));
    std::destroy_at(from);
}

template <class T, class Order>
class queue_store;

// A ring. Numbers rise from the front to the back.
template <class T>
class queue_store<T, fifo> {
    using item_type = queue_item<T>;

public:
    ~queue_store() {
        for (std::size_t i = 0; i < size_; ++i)
            std::destroy_at(at(i));
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void reserve(std::size_t n) {
        if (n <= room_.size()) [[likely]]
            return;
        cell_room<T> bigger(cell_room<T>::size_for(n, room_.size()));
        for (std::size_t i = 0; i < size_; ++i)
            relocate(bigger[i], at(i));
        room_.swap(bigger);
        head_ = 0;
    }
    void push(std::uint64_t number, item_type&& item) noexcept {
        ::new (static_cast<void*>(at(size_))) queue_cell<T>{number, std::move(item)};
        ++size_;
    }
    queue_cell<T>& front() noexcept { return *at(0); }
    void pop() noexcept {
        std::destroy_at(at(0));
        ++head_;
        --size_;
    }
    // What was popped and not taken: in front of all, in order with others that came back. O(those).
    void put_back(std::uint64_t number, item_type&& item) noexcept {
        --head_;
        std::size_t i = 0;
        for (; i < size_ && at(i + 1)->number < number; ++i)
            relocate(at(i), at(i + 1));
        ::new (static_cast<void*>(at(i))) queue_cell<T>{number, std::move(item)};
        ++size_;
    }

private:
    queue_cell<T>* at(std::size_t i) noexcept { return room_[(head_ + i) & (room_.size() - 1)]; }
    cell_room<T> room_;
    std::size_t head_ = 0; // counts on without end; taken modulo the room
    std::size_t size_ = 0;
};

// A stack. Numbers rise from the bottom to the top.
template <class T>
class queue_store<T, lifo> {
    using item_type = queue_item<T>;

public:
    ~queue_store() {
        for (std::size_t i = 0; i < size_; ++i)
            std::destroy_at(room_[i]);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void reserve(std::size_t n) {
        if (n <= room_.size()) [[likely]]
            return;
        cell_room<T> bigger(cell_room<T>::size_for(n, room_.size()));
        for (std::size_t i = 0; i < size_; ++i)
            relocate(bigger[i], room_[i]);
        room_.swap(bigger);
    }
    void push(std::uint64_t number, item_type&& item) noexcept {
        ::new (static_cast<void*>(room_[size_])) queue_cell<T>{number, std::move(item)};
        ++size_;
    }
    queue_cell<T>& front() noexcept { return *room_[size_ - 1]; }
    void pop() noexcept { std::destroy_at(room_[--size_]); }
    // Below whatever has been put since. O(those).
    void put_back(std::uint64_t number, item_type&& item) noexcept {
        std::size_t i = size_++;
        for (; i > 0 && room_[i - 1]->number > number; --i)
            relocate(room_[i], room_[i - 1]);
        ::new (static_cast<void*>(room_[i])) queue_cell<T>{number, std::move(item)};
    }

private:
    cell_room<T> room_;
    std::size_t size_ = 0;
};

// A binary heap over (value, number).
template <class T, class C>
class queue_store<T, priority<C>> {
    using item_type = queue_item<T>;

public:
    ~queue_store() {
        for (std::size_t i = 0; i < size_; ++i)
            std::destroy_at(room_[i]);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void reserve(std::size_t n) {
        if (n <= room_.size()) [[likely]]
            return;
        cell_room<T> bigger(cell_room<T>::size_for(n, room_.size()));
        for (std::size_t i = 0; i < size_; ++i)
            relocate(bigger[i], room_[i]);
        room_.swap(bigger);
    }
    // O(log n).
    void push(std::uint64_t number, item_type&& item) noexcept {
        queue_cell<T> c{number, std::move(item)};
        std::size_t i = size_++;
        for (; i > 0; i = (i - 1) / 2) {
            queue_cell<T>* const up = room_[(i - 1) / 2];
            if (!before(c, *up)) break;
            relocate(room_[i], up);
        }
        ::new (static_cast<void*>(room_[i])) queue_cell<T>(std::move(c));
    }
    queue_cell<T>& front() noexcept { return *room_[0]; }
    // O(log n).
    void pop() noexcept {
        std::destroy_at(room_[0]);
        if (--size_ == 0) return;
        queue_cell<T>* const last = room_[size_];
        std::size_t hole = 0;
        for (;;) {
            std::size_t down = 2 * hole + 1;
            if (down >= size_) break;
            if (down + 1 < size_ && before(*room_[down + 1], *room_[down])) ++down;
            if (!before(*room_[down], *last)) break;
            relocate(room_[hole], room_[down]);
            hole = down;
        }
        relocate(room_[hole], last);
    }
    // Its number keeps it before those that are equal and were put later.
    void put_back(std::uint64_t number, item_type&& item) noexcept { push(number, std::move(item)); }

private:
    bool before(const queue_cell<T>& a, const queue_cell<T>& b) const noexcept {
        if (compare_(a.item.value(), b.item.value())) return true;
        if (compare_(b.item.value(), a.item.value())) return false;
        return a.number < b.number;
    }
    cell_room<T> room_;
    std::size_t size_ = 0;
    [[no_unique_address]] C compare_;
};

} // namespace detail
} // namespace eddy
