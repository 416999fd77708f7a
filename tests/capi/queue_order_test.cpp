// eddy_queue_new_opts: orders; figures of what is waited at.
#include "fixture.hpp"

#include <array>

using namespace eddy_test;

namespace {

int compare_ints(const void* a, const void* b, void* user) {
    ++*static_cast<int*>(user);
    return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

struct wanted : eddy_queue_opts {
    explicit wanted(std::uint32_t o) : eddy_queue_opts() {
        EDDY_INIT(static_cast<eddy_queue_opts*>(this));
        order = o;
    }
};

int take(eddy_queue* q) {
    void* item = nullptr;
    return eddy_queue_try_get(q, &item) == EDDY_OK ? *static_cast<int*>(item) : -1;
}

} // namespace

TEST_CASE("queue: last in first out, and by priority with equal ones in order; undone items find their place") {
    c_loop l;
    std::array<int, 5> numbers{3, 1, 2, 1, 5};
    int compared = 0;
    dropped() = 0;
    wanted lifo(EDDY_QUEUE_LIFO);
    lifo.item_free = &count_drop;
    eddy_queue* made = nullptr;
    REQUIRE(eddy_queue_new_opts(l, &lifo, &made) == EDDY_OK);
    held stack(made);
    wanted smallest(EDDY_QUEUE_PRIORITY);
    smallest.compare = &compare_ints;
    smallest.user = &compared;
    smallest.drop = &count_drop;
    smallest.capacity = 5;
    REQUIRE(eddy_queue_new_opts(l, &smallest, &made) == EDDY_OK);
    held heap(made);
    for (int& n : numbers) {
        held put(eddy_queue_put(stack, &n));
        CHECK(eddy_op_status(put) == EDDY_OK);
        CHECK(eddy_queue_try_put(heap, &n) == EDDY_OK);
    }
    CHECK(compared > 0);
    CHECK(eddy_queue_try_put(heap, numbers.data()) == EDDY_EAGAIN);
    {
        held top(eddy_queue_get(stack)); // nobody looks
        held least(eddy_queue_get(heap));
        CHECK(take(stack) == 1);
        CHECK(take(heap) == 1);
    }
    l.settle();
    for (const int n : {5, 2, 1, 3, -1})
        CHECK(take(stack) == n);
    held first(eddy_queue_put(heap, &numbers[0])); // back to five: 1 2 3 3 5
    CHECK(eddy_op_status(first) == EDDY_OK);
    held more(eddy_queue_put(heap, &numbers[4]));
    CHECK(eddy_op_status(more) == EDDY_PENDING);
    void* item = nullptr;
    REQUIRE(eddy_queue_try_get(heap, &item) == EDDY_OK);
    CHECK(item == &numbers[1]); // the first of the two ones came back to the front
    CHECK(l.until(more) == EDDY_OK);
    for (const int n : {2, 3, 3, 5, 5, -1})
        CHECK(take(heap) == n);
    static int left = 7;
    CHECK(eddy_queue_try_put(stack, &left) == EDDY_OK);
    CHECK(eddy_queue_put_threadsafe(stack, &left) == EDDY_OK);
    l.settle();
    CHECK(eddy_queue_size(stack) == 2);
    CHECK(dropped() == 0);
    stack.drop();
    heap.drop();
    l.settle();
    CHECK(dropped() == 3); // two items, and the user of the comparison
}

TEST_CASE("queue of an order: what is wrong with the options") {
    c_loop l;
    int user = 0;
    eddy_queue* q = nullptr;
    dropped() = 0;
    wanted o(3);
    o.drop = &count_drop;
    CHECK(eddy_queue_new_opts(l, &o, &q) == EDDY_EINVAL);
    o.order = EDDY_QUEUE_PRIORITY;
    CHECK(eddy_queue_new_opts(l, &o, &q) == EDDY_EINVAL); // without a comparison
    o.order = EDDY_QUEUE_FIFO;
    o.compare = &compare_ints;
    o.user = &user;
    CHECK(eddy_queue_new_opts(l, &o, &q) == EDDY_EINVAL); // for nothing
    o.order = EDDY_QUEUE_PRIORITY;
    CHECK(eddy_queue_new_opts(nullptr, &o, &q) == EDDY_EINVAL);
    CHECK(eddy_queue_new_opts(l, &o, nullptr) == EDDY_EINVAL);
    CHECK(dropped() == 5);
    struct {
        eddy_queue_opts known;
        std::uint64_t unknown;
    } longer{o, 1};
    longer.known.size = sizeof longer;
    CHECK(eddy_queue_new_opts(l, &longer.known, &q) == EDDY_ETOOBIG);
    CHECK(dropped() == 6);
    o.size = 0;
    CHECK(eddy_queue_new_opts(l, &o, &q) == EDDY_EINVAL); // nothing is known of it
    CHECK(dropped() == 6);
    CHECK(q == nullptr);
    longer.unknown = 0;
    CHECK(eddy_queue_new_opts(l, &longer.known, &q) == EDDY_OK);
    eddy_unref(q);
    CHECK(eddy_queue_new_opts(l, nullptr, &q) == EDDY_OK);
    eddy_unref(q);
    l.settle();
    CHECK(dropped() == 7);
}

TEST_CASE("figures: who waits where, and nothing for what is no place to wait") {
    c_loop l;
    held q(new_queue(l, 1));
    static int item;
    held get(eddy_queue_get(q));
    eddy_sync_stats s;
    EDDY_INIT(&s);
    CHECK(eddy_sync_get_stats(q, &s) == EDDY_OK);
    CHECK(s.waiting == 1);
    CHECK(s.limit == 1);
    for (int i = 0; i < 3; ++i)
        eddy_unref(eddy_op_shield(eddy_queue_put(q, &item)));
    held all(eddy_queue_join(q));
    CHECK(eddy_sync_get_stats(q, &s) == EDDY_OK);
    CHECK(s.count == 1);
    CHECK(s.waiting == 0);
    CHECK(s.waiting_writers == 1);
    CHECK(s.waiting_joins == 1);
    CHECK(s.unfinished == 2);
    CHECK(l.until(get) == EDDY_OK);
    eddy_queue_close(q);
    CHECK(eddy_sync_get_stats(q, &s) == EDDY_OK);
    CHECK(s.flags == EDDY_SYNC_CLOSED);
    l.settle();
    eddy_sem* sem = nullptr;
    REQUIRE(eddy_sem_new(l, 3, &sem) == EDDY_OK);
    CHECK(eddy_sem_try_acquire(sem, 2) == EDDY_OK);
    held wait(eddy_sem_acquire(sem, 2));
    CHECK(eddy_sync_get_stats(sem, &s) == EDDY_OK);
    CHECK(s.count == 1);
    CHECK(s.limit == 3);
    CHECK(s.waiting == 1);
    eddy_event* e = nullptr;
    REQUIRE(eddy_event_new(l, &e) == EDDY_OK);
    eddy_event_set(e);
    CHECK(eddy_sync_get_stats(e, &s) == EDDY_OK);
    CHECK(s.flags == EDDY_SYNC_SET);
    CHECK(eddy_sync_get_stats(static_cast<eddy_loop*>(l), &s) == EDDY_EINVAL);
    CHECK(eddy_sync_get_stats(static_cast<eddy_op*>(wait), &s) == EDDY_EINVAL);
    s.size = 0;
    CHECK(eddy_sync_get_stats(e, &s) == EDDY_EINVAL);
    eddy_unref(sem);
    eddy_unref(e);
    CHECK(l.until(wait) == EDDY_ECLOSED);
}
