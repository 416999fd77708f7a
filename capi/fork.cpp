// fork(): the child has a copy of every loop, and shares descriptors with its parent. Nothing of a loop may be used
// there: what is written into its epoll set or eventfd arrives at the parent. A list of all loops lets the child mark
// its copies.
#include "embed.hpp"

#include "core/state.hpp"

#include <mutex>
#include <pthread.h>
#include <uv.h>

namespace eddy::capi {

namespace {

std::mutex guard;
eddy_loop* all = nullptr;

void in_child() noexcept {
    for (eddy_loop* l = all; l != nullptr; l = l->next_loop) {
        l->end_status = EDDY_EFORKED;
        l->shells.fetch_add(static_cast<std::size_t>(std::exchange(l->own_shells, 0)), std::memory_order_relaxed);
    }
    guard.unlock();
}

} // namespace

void remember(eddy_loop& l) noexcept {
    static const int registered = pthread_atfork([] { guard.lock(); }, [] { guard.unlock(); }, &in_child);
    static_cast<void>(registered);
    const std::lock_guard lock(guard);
    l.next_loop = all;
    l.loop_link = &all;
    if (all != nullptr) all->loop_link = &l.next_loop;
    all = &l;
}

void forget(eddy_loop& l) noexcept {
    const std::lock_guard lock(guard);
    if (l.loop_link == nullptr) return;
    *l.loop_link = l.next_loop;
    if (l.next_loop != nullptr) l.next_loop->loop_link = l.loop_link;
    l.loop_link = nullptr;
}

// What the parent still uses is let be: libuv gives the copy an epoll set and a doorbell of its own first.
void abandon_forked(eddy_loop& l) noexcept {
    detail::loop_state& state = detail::loop_state::of(*l.core);
    bool clean = true;
    if (state.uv != nullptr && !l.adopted) clean = uv_loop_fork(state.uv->uv()) == 0;
    // The thread that ran it is not in this process: it would be waited for without end.
    const auto held = [&l] {
        for (eddy_op* op = l.ops; op != nullptr; op = op->next_listed())
            if (op->is_held_by_worker()) return op;
        return static_cast<eddy_op*>(nullptr);
    };
    for (eddy_op* op = held(); op != nullptr; op = held())
        op->delist();
    l.end_all();
    l.close_ends();
    // So are the requests that libuv's pool had of us.
    if (!clean || state.offload != nullptr)
        static_cast<void>(l.own.release());
    else
        l.own.reset();
    l.core = nullptr;
    l.cpp = nullptr;
}

} // namespace eddy::capi

void eddy_loop_abandon(eddy_loop* loop) noexcept {
    if (loop == nullptr) return;
    if (loop->over() == EDDY_EFORKED && loop->core != nullptr)
        eddy::capi::abandon_forked(*loop);
    else
        static_cast<void>(loop->close(0));
    loop->release();
}
