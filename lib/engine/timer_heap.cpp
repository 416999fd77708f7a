#include <eddy/engine/pool.hpp>
#include <eddy/engine/timer_heap.hpp>

#include <cstring>

namespace eddy::engine {

namespace {
constexpr std::size_t arity = 4;
constexpr std::size_t first_capacity = 32;
constexpr std::size_t kept_capacity = 1024;
} // namespace

timer_heap::~timer_heap() { deallocate(heap_, capacity_ * sizeof(entry)); }

bool timer_heap::arm(timer& t, std::int64_t deadline, bool last) noexcept {
    disarm(t);
    if (size_ == UINT32_MAX) return false;
    if (size_ == capacity_) {
        const std::size_t grown = capacity_ == 0 ? first_capacity : capacity_ * 2;
        auto* bigger = static_cast<entry*>(allocate(grown * sizeof(entry)));
        if (bigger == nullptr) return false;
        if (size_ != 0) std::memcpy(bigger, heap_, size_ * sizeof(entry));
        deallocate(heap_, capacity_ * sizeof(entry));
        heap_ = bigger;
        capacity_ = grown;
    }
    t.order = next_order_ | (last ? 1 : 0);
    next_order_ += 2;
    sift_up(size_++, entry{deadline, &t});
    return true;
}

void timer_heap::disarm(timer& t) noexcept {
    if (t.position == 0) return;
    const std::size_t at = t.position - 1;
    t.position = 0;
    remove_at(at);
}

timer* timer_heap::pop_due(std::int64_t now) noexcept {
    if (size_ == 0 || heap_[0].deadline > now) return nullptr;
    timer* t = heap_[0].node;
    t->position = 0;
    remove_at(0);
    return t;
}

void timer_heap::remove_at(std::size_t at) noexcept {
    const entry last = heap_[--size_];
    if (at != size_) {
        if (at > 0 && before(last, heap_[(at - 1) / arity]))
            sift_up(at, last);
        else
            sift_down(at, last);
    }
    if (size_ == 0 && capacity_ > kept_capacity) {
        // An idle loop gives a large array back.
        deallocate(heap_, capacity_ * sizeof(entry));
        heap_ = nullptr;
        capacity_ = 0;
    }
}

void timer_heap::sift_up(std::size_t at, entry e) noexcept {
    while (at > 0) {
        const std::size_t up = (at - 1) / arity;
        if (!before(e, heap_[up])) break;
        place(at, heap_[up]);
        at = up;
    }
    place(at, e);
}

void timer_heap::sift_down(std::size_t at, entry e) noexcept {
    for (;;) {
        const std::size_t first = at * arity + 1;
        if (first >= size_) break;
        std::size_t least = first;
        const std::size_t end = first + arity < size_ ? first + arity : size_;
        for (std::size_t i = first + 1; i < end; ++i)
            if (before(heap_[i], heap_[least])) least = i;
        if (!before(heap_[least], e)) break;
        place(at, heap_[least]);
        at = least;
    }
    place(at, e);
}

} // namespace eddy::engine
