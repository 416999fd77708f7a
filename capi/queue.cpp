#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::failed_op;
using eddy::capi::item;
using eddy::capi::leaf_op;
using eddy::capi::take_nothing;

namespace {

using items = eddy::queue<item>;
using get_operation = decltype(std::declval<items&>().get());
using put_operation = decltype(std::declval<items&>().put(std::declval<item>()));
using join_operation = decltype(std::declval<items&>().join());

void move_to(eddy_op& op, item&& i) noexcept {
    void* const p = i.release();
    op.out.set_value(p, i.free_function());
}

struct take_item : take_nothing {
    void operator()(eddy_op& op, get_operation& leaf) const noexcept { move_to(op, leaf.take()); }
    void failed(eddy_op&, get_operation&) const noexcept {}
};

// A failed put keeps the item as its value.
struct keep_item : take_nothing {
    void operator()(eddy_op&, put_operation&) const noexcept {}
    void failed(eddy_op& op, put_operation& leaf) const noexcept { move_to(op, std::move(leaf.item())); }
};

using get_op = leaf_op<get_operation, take_item>;
using put_op = leaf_op<put_operation, keep_item>;
using all_done_op = leaf_op<join_operation, take_nothing>;

// A put from another thread, on its way.
struct posted_item final : eddy::engine::mail {
    posted_item(eddy_queue& q, void* p) noexcept : queue(&q), i(p, q.item_free) {
        q.retain();
        deliver = [](eddy::engine::mail& m) noexcept { static_cast<posted_item&>(m).arrive(); };
        discard = [](eddy::engine::mail& m) noexcept { static_cast<posted_item&>(m).go(); };
    }
    void arrive() noexcept {
        try {
            static_cast<void>(queue->items.force_put(std::move(i)));
        } catch (...) {
            // no memory for the queue to grow: the item is freed with us
        }
        go();
    }
    void go() noexcept {
        eddy_queue* const q = queue;
        eddy::capi::destroy_block(this);
        q->release();
    }

    eddy_queue* queue;
    item i;
};

} // namespace

void eddy_queue::handle(unsigned requests) noexcept {
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

int eddy_queue_new(eddy_loop* loop, std::size_t capacity, eddy_free_fn item_free, eddy_queue** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    *out = eddy::capi::make<eddy_queue>(*loop, capacity, item_free);
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

eddy_op* eddy_queue_put(eddy_queue* queue, void* pointer) noexcept {
    if (queue == nullptr) return nullptr;
    eddy_loop& l = *queue->loop;
    item mine(pointer, queue->item_free); // freed here when there is no memory for the op
    if (!l.over()) {
        l.sync();
        return put_op::start(l, {}, queue->items, std::move(mine));
    }
    eddy_op* const op = failed_op(l, l.over());
    if (op != nullptr) move_to(*op, std::move(mine));
    return op;
}

eddy_op* eddy_queue_get(eddy_queue* queue) noexcept {
    if (queue == nullptr) return nullptr;
    if (const int s = queue->loop->over(); s != EDDY_OK) return failed_op(*queue->loop, s);
    queue->loop->sync();
    return get_op::start(*queue->loop, {}, queue->items);
}

int eddy_queue_try_put(eddy_queue* queue, void* pointer) noexcept {
    if (queue == nullptr) return EDDY_EINVAL;
    if (const int s = queue->loop->over(); s != EDDY_OK) return s;
    queue->loop->sync();
    item i(pointer, queue->item_free);
    int status = EDDY_OK;
    try {
        if (!queue->items.try_put(std::move(i))) status = queue->items.closed() ? EDDY_ECLOSED : EDDY_EAGAIN;
    } catch (...) {
        status = eddy::capi::current_status(EDDY_ESTATE);
    }
    static_cast<void>(i.release()); // put, or still the caller's
    queue->loop->touched();
    return status;
}

int eddy_queue_put_threadsafe(eddy_queue* queue, void* pointer) noexcept {
    if (queue == nullptr) return EDDY_EINVAL;
    if (queue->closed.load(std::memory_order_relaxed)) return EDDY_ECLOSED;
    void* const block = eddy::engine::allocate(sizeof(posted_item)); // of this thread
    if (block == nullptr) return EDDY_ENOMEM;
    auto* const p = ::new (block) posted_item(*queue, pointer);
    if (queue->loop->box.post(*p)) return EDDY_OK;
    static_cast<void>(p->i.release());
    p->go();
    return EDDY_ECLOSED;
}

int eddy_queue_try_get(eddy_queue* queue, void** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (queue == nullptr) return EDDY_EINVAL;
    if (const int s = queue->loop->over(); s != EDDY_OK) return s;
    queue->loop->sync();
    int status = EDDY_OK;
    try {
        auto i = queue->items.try_get();
        if (i)
            *out = i->release();
        else
            status = queue->items.closed() ? EDDY_ECLOSED : EDDY_EAGAIN;
    } catch (...) {
        status = eddy::capi::current_status(EDDY_ESTATE);
    }
    queue->loop->touched();
    return status;
}

void eddy_queue_close(eddy_queue* queue) noexcept {
    if (queue == nullptr || queue->loop->over()) return;
    queue->loop->sync();
    queue->closed.store(true, std::memory_order_relaxed);
    try {
        queue->items.close();
    } catch (...) {
        static_cast<void>(eddy::capi::current_status(
            EDDY_ESTATE)); // on another loop than its own: overlapping calls, which are not allowed
    }
    queue->loop->touched();
}

std::size_t eddy_queue_size(const eddy_queue* queue) noexcept {
    if (queue == nullptr) return 0;
    if (!queue->loop->over()) queue->loop->sync();
    return queue->items.size();
}

int eddy_queue_done(eddy_queue* queue) noexcept {
    if (queue == nullptr) return EDDY_EINVAL;
    if (const int s = queue->loop->over(); s != EDDY_OK) return s;
    queue->loop->sync();
    int status = EDDY_OK;
    try {
        queue->items.task_done();
    } catch (...) {
        status = eddy::capi::current_status(EDDY_ESTATE);
    }
    queue->loop->touched();
    return status;
}

eddy_op* eddy_queue_join(eddy_queue* queue) noexcept {
    if (queue == nullptr) return nullptr;
    if (const int s = queue->loop->over(); s != EDDY_OK) return failed_op(*queue->loop, s);
    queue->loop->sync();
    return all_done_op::start(*queue->loop, {}, queue->items);
}
