// A queue of one order, and its ops. Private.
#pragma once

#include "leaf.hpp"
#include "sync.hpp"

namespace eddy::capi {

inline void move_to(eddy_op& op, item&& i) noexcept {
    void* const p = i.release();
    op.out.set_value(p, i.free_function());
}

struct take_item : take_nothing {
    template <class Leaf>
    void operator()(eddy_op& op, Leaf& leaf) const noexcept {
        move_to(op, leaf.take());
    }
};

// A failed put keeps the item as its value.
struct keep_item : take_nothing {
    template <class Leaf>
    void failed(eddy_op& op, Leaf& leaf) const noexcept {
        move_to(op, std::move(leaf.item()));
    }
};

// An item that knows how it compares with others.
struct ranking {
    eddy_compare_fn compare = nullptr;
    void* user = nullptr;
    eddy_free_fn drop = nullptr;
};
class ranked_item : public item {
public:
    ranked_item(item&& i, const ranking& by) noexcept : item(std::move(i)), by_(&by) {}
    [[nodiscard]] bool before(const ranked_item& other) const noexcept {
        return by_->compare(get(), other.get(), by_->user) < 0;
    }

private:
    const ranking* by_;
};
struct by_ranking {
    bool operator()(const ranked_item& a, const ranked_item& b) const noexcept { return a.before(b); }
};

template <class Order>
struct ordered_queue final : eddy_queue {
    static constexpr bool ranked = std::is_same_v<Order, priority<by_ranking>>;
    using element = std::conditional_t<ranked, ranked_item, item>;
    using store = queue<element, Order>;
    using get_op = leaf_op<decltype(std::declval<store&>().get()), take_item>;
    using put_op = leaf_op<decltype(std::declval<store&>().put(std::declval<element>())), keep_item>;
    using all_done_op = leaf_op<decltype(std::declval<store&>().join()), take_nothing>;

    ordered_queue(eddy_loop& l, std::size_t capacity, eddy_free_fn f, const ranking& r = {}) noexcept
        : eddy_queue(l, f), order(r), items(capacity) {}

    eddy_op* put(item i) noexcept override { return put_op::start(*loop, {}, items, element_of(std::move(i))); }
    eddy_op* get() noexcept override { return get_op::start(*loop, {}, items); }
    eddy_op* join() noexcept override { return all_done_op::start(*loop, {}, items); }
    bool try_put(item& i) override {
        return put_with(i, [this](element&& e) { return items.try_put(std::move(e)); });
    }
    void force_put(item& i) override {
        put_with(i, [this](element&& e) { return items.force_put(std::move(e)); });
    }
    bool try_get(void*& pointer) override {
        auto i = items.try_get();
        if (i) pointer = i->release();
        return i.has_value();
    }
    void done() override { items.task_done(); }
    void close() override { items.close(); }
    [[nodiscard]] std::size_t size() const noexcept override { return items.size(); }
    [[nodiscard]] bool is_closed() const noexcept override { return items.closed(); }
    [[nodiscard]] queue_statistics statistics() const noexcept override { return items.statistics(); }

    const ranking order; // the items go first
    store items;

private:
    void handle(unsigned requests) noexcept override {
        if ((requests & request::finalise) == 0) return;
        const ranking r = order;
        destroy_block(this);
        call_free(r.drop, r.user);
    }
    element element_of(item&& i) const noexcept {
        if constexpr (ranked)
            return ranked_item(std::move(i), order);
        else
            return std::move(i);
    }
    // What was not put stays in `i`.
    template <class F>
    bool put_with(item& i, F f) {
        element e = element_of(std::move(i));
        bool done = false;
        try {
            done = f(std::move(e));
        } catch (...) {
            i = std::move(e);
            throw;
        }
        if (!done) i = std::move(e);
        return done;
    }
};

template <class Order, class... Args>
[[nodiscard]] int make_queue(eddy_loop* loop, eddy_queue** out, const Args&... args) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    ordered_queue<Order>* q = nullptr;
    const int status = make_object(loop, &q, args...);
    *out = q;
    return status;
}

} // namespace eddy::capi
