// eddy_queue: what all orders have in common.
#include "ordered_queue.hpp"

using eddy::capi::call;
using eddy::capi::enter;
using eddy::capi::failed_op;
using eddy::capi::item;
using eddy::capi::ordered_queue;

namespace {

// A put from another thread, on its way.
struct posted_item final : eddy::engine::mail {
    posted_item(eddy_queue& q, void* p) noexcept : queue(&q), i(p, q.item_free) {
        q.retain();
        deliver = [](eddy::engine::mail& m) noexcept { static_cast<posted_item&>(m).arrive(); };
        discard = [](eddy::engine::mail& m) noexcept { static_cast<posted_item&>(m).go(); };
    }
    void arrive() noexcept {
        try {
            queue->force_put(i);
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

eddy::queue<item>& eddy::capi::queue_of(eddy_queue* q) noexcept { return static_cast<ordered_queue<fifo>&>(*q).items; }

bool eddy_queue::tell(eddy_sync_stats& to) const {
    const eddy::queue_statistics s = statistics();
    to.flags = s.closed ? EDDY_SYNC_CLOSED : 0;
    to.count = s.size;
    to.limit = s.capacity;
    to.waiting = s.getters;
    to.waiting_writers = s.putters;
    to.waiting_joins = s.joiners;
    to.unfinished = s.unfinished;
    return true;
}

int eddy_queue_new(eddy_loop* loop, std::size_t capacity, eddy_free_fn item_free, eddy_queue** out) noexcept {
    return eddy::capi::make_queue<eddy::fifo>(loop, out, capacity, item_free);
}

int eddy_queue_new_opts(eddy_loop* loop, const eddy_queue_opts* opts, eddy_queue** out) noexcept {
    eddy_queue_opts o{};
    int status = EDDY_OK;
    if (opts != nullptr) status = eddy::capi::read_struct(opts, &o, sizeof o);
    if (status == EDDY_ETOOBIG) { // these are there
        o.user = opts->user;
        o.drop = opts->drop;
    }
    if (status == EDDY_OK && o.order > EDDY_QUEUE_PRIORITY) status = EDDY_EINVAL;
    if (status == EDDY_OK && (o.order == EDDY_QUEUE_PRIORITY) != (o.compare != nullptr)) status = EDDY_EINVAL;
    if (status == EDDY_OK && o.capacity > SIZE_MAX) status = EDDY_EINVAL;
    if (status != EDDY_OK) {
        if (out != nullptr) *out = nullptr;
        if (loop != nullptr) loop->misused(status, "eddy_queue_new_opts");
    } else {
        const auto capacity = static_cast<std::size_t>(o.capacity);
        const eddy::capi::ranking by{o.compare, o.user, o.drop};
        switch (o.order) {
        case EDDY_QUEUE_LIFO:
            status = eddy::capi::make_queue<eddy::lifo>(loop, out, capacity, o.item_free, by);
            break;
        case EDDY_QUEUE_PRIORITY:
            status =
                eddy::capi::make_queue<eddy::priority<eddy::capi::by_ranking>>(loop, out, capacity, o.item_free, by);
            break;
        default:
            status = eddy::capi::make_queue<eddy::fifo>(loop, out, capacity, o.item_free, by);
        }
    }
    if (status != EDDY_OK) eddy::capi::call_free(o.drop, o.user);
    return status;
}

eddy_op* eddy_queue_put(eddy_queue* queue, void* pointer) noexcept {
    if (queue == nullptr) return nullptr;
    eddy_loop& l = *queue->loop;
    item mine(pointer, queue->item_free); // freed here when there is no memory for the op
    if (!l.over()) {
        l.sync();
        return queue->put(std::move(mine));
    }
    eddy_op* const op = failed_op(l, l.over());
    if (op != nullptr) eddy::capi::move_to(*op, std::move(mine));
    return op;
}

eddy_op* eddy_queue_get(eddy_queue* queue) noexcept {
    if (queue == nullptr) return nullptr;
    const int s = enter(queue);
    return s == EDDY_OK ? queue->get() : failed_op(*queue->loop, s);
}

int eddy_queue_try_put(eddy_queue* queue, void* pointer) noexcept {
    if (const int s = enter(queue); s != EDDY_OK) return s;
    item i(pointer, queue->item_free);
    bool taken = false;
    const int status = call(*queue, EDDY_ESTATE, [&] { taken = queue->try_put(i); });
    static_cast<void>(i.release()); // put, or still the caller's
    if (status != EDDY_OK || taken) return status;
    return queue->is_closed() ? EDDY_ECLOSED : EDDY_EAGAIN;
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
    if (const int s = enter(queue); s != EDDY_OK) return s;
    bool taken = false;
    const int status = call(*queue, EDDY_ESTATE, [&] { taken = queue->try_get(*out); });
    if (status != EDDY_OK || taken) return status;
    return queue->is_closed() ? EDDY_ECLOSED : EDDY_EAGAIN;
}

void eddy_queue_close(eddy_queue* queue) noexcept {
    if (enter(queue) != EDDY_OK) return;
    queue->closed.store(true, std::memory_order_relaxed);
    // On another loop than its own it would throw: overlapping calls, which are not allowed.
    static_cast<void>(call(*queue, EDDY_ESTATE, [queue] { queue->close(); }));
}

std::size_t eddy_queue_size(const eddy_queue* queue) noexcept {
    if (queue == nullptr) return 0;
    static_cast<void>(enter(queue));
    return queue->size();
}

int eddy_queue_done(eddy_queue* queue) noexcept {
    if (const int s = enter(queue); s != EDDY_OK) return s;
    return call(*queue, EDDY_ESTATE, [queue] { queue->done(); });
}

eddy_op* eddy_queue_join(eddy_queue* queue) noexcept {
    if (queue == nullptr) return nullptr;
    const int s = enter(queue);
    return s == EDDY_OK ? queue->join() : failed_op(*queue->loop, s);
}
