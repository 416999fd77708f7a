// eddy_loop: running, closing, callbacks.
#include "op.hpp"

#include "task.hpp"

#include "core/state.hpp"

#include <thread>

namespace engine = eddy::engine;
using eddy::capi::call_free;
using eddy::capi::soon_call;

eddy_loop::eddy_loop(eddy::loop& l, std::unique_ptr<eddy::loop> owned) noexcept
    : own(std::move(owned)), cpp(&l), core(&l.detail_state()), identity(&l), stoppable(core) {
    relay_.loop = this;
    relay_.deliver = [](engine::mail& m) noexcept {
        auto& r = static_cast<relay_mail&>(m);
        r.posted.store(false);
        r.loop->box.deliver();
    };
    relay_.discard = [](engine::mail& m) noexcept { static_cast<relay_mail&>(m).posted.store(false); };
    box.open({this, [](void* self) noexcept {
                  auto& me = *static_cast<eddy_loop*>(self);
                  if (!me.relay_.posted.exchange(true) && !me.core->box().post(me.relay_)) me.relay_.posted = false;
              }});
}

void eddy_loop::last_pin() noexcept {
    pin();
    if (!closed) close_now(0);
    if (pins.fetch_sub(1, std::memory_order_acq_rel) == 1) drop_shell();
}

// ---- closing

// False when there is no task of ours.
bool eddy_loop::cancel_all() noexcept {
    if (own != nullptr) {
        engine::cancel_scope_tree(core->root, engine::why::shutdown);
        return core->live_tasks != 0;
    }
    bool any = false;
    for (eddy_op* op = ops; op != nullptr; op = op->next_listed())
        if (op->is_running_task()) {
            any = true;
            op->cancel(false);
        }
    return any;
}

// False when not all tasks have ended.
bool eddy_loop::run_down(std::int64_t deadline) noexcept {
    const auto tasks_left = [this] {
        if (own != nullptr) return core->live_tasks != 0;
        for (eddy_op* op = ops; op != nullptr; op = op->next_listed())
            if (op->is_running_task()) return true;
        return false;
    };
    for (bool any = cancel_all(); any;) {
        core->drain();
        core->clear_stop();
        any = tasks_left();
        if (!any || core->is_stuck() || core->now() >= deadline) return !any;
        core->poll_once(deadline);
    }
    return true;
}

void eddy_loop::end_all() noexcept {
    closed = true;
    engine::pool* const before = engine::exchange_current_pool(&core->memory());
    while (ops != nullptr)
        ops->close();
    while (calls != nullptr)
        eddy::capi::forget_call(*calls);
    engine::exchange_current_pool(before);
}

int eddy_loop::close(std::uint64_t grace) noexcept {
    if (closed) return EDDY_ECLOSED;
    if (is_busy()) return EDDY_ESTATE;
    pin();
    const int status = close_now(grace);
    unpin();
    return status;
}

int eddy_loop::close_now(std::uint64_t grace) noexcept {
    sync();
    closing = true;
    running = true;
    const auto d = static_cast<std::int64_t>(std::min<std::uint64_t>(grace, INT64_MAX));
    const bool in_time = run_down(eddy::detail::saturating_add(core->now(), eddy::duration(d)));
    sync();
    end_all();
    // What was asked for meanwhile is handled here; afterwards each thread is on its own.
    box.close();
    stoppable.store(nullptr);
    while (stoppers.load() != 0)
        std::this_thread::yield();
    if (relay_.posted.load()) core->drain();
    identity.store(nullptr);
    own.reset();
    core = nullptr;
    cpp = nullptr;
    running = false;
    return in_time ? EDDY_OK : EDDY_ETIMEDOUT;
}

namespace eddy::capi {

void forget_call(soon_call& c) noexcept {
    if (c.linked()) c.unlink();
    *c.link = c.next_call;
    if (c.next_call != nullptr) c.next_call->link = c.link;
    const eddy_free_fn drop = c.drop;
    void* const user = c.user;
    engine::deallocate(&c, sizeof(soon_call));
    call_free(drop, user);
}

namespace {

void run_call(engine::runnable& r) noexcept {
    auto& c = static_cast<soon_call&>(r);
    engine::loop_core& core = *c.loop->core;
    core.running = nullptr;
    try {
        c.fn(c.user);
    } catch (...) {
        detail::report(&detail::loop_state::of(core), nullptr, "a callback of eddy_call_soon threw",
                       std::current_exception());
    }
    forget_call(c);
}

constexpr engine::wait_kind call_kind{
    .name = "call", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run_call};

// For the time of one run.
class run_guard {
public:
    explicit run_guard(eddy_loop& l) noexcept : loop_(l) {
        l.pin();
        l.running = true;
        l.sync();
    }
    run_guard(const run_guard&) = delete;
    ~run_guard() {
        loop_.running = false;
        loop_.unpin();
    }

private:
    eddy_loop& loop_;
};

int refusal(const eddy_loop* l) noexcept {
    if (l == nullptr) return EDDY_EINVAL;
    if (l->closed) return EDDY_ECLOSED;
    return l->is_busy() ? EDDY_ESTATE : EDDY_OK;
}

bool has_work(engine::loop_core& core) noexcept { return core.is_pending() || core.waits_outside(); }

} // namespace

eddy_loop* borrow(eddy::loop& l) { return new eddy_loop(l, nullptr); }

} // namespace eddy::capi

using eddy::capi::has_work;
using eddy::capi::refusal;
using eddy::capi::run_guard;

// ---- the C functions

int eddy_loop_new(const eddy_loop_opts* opts, eddy_loop** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (opts != nullptr) return EDDY_ENOTSUP;
    try {
        auto own = std::make_unique<eddy::loop>();
        eddy::loop& l = *own;
        *out = new eddy_loop(l, std::move(own));
        return EDDY_OK;
    } catch (const eddy::uv_error& e) {
        return e.code().value();
    } catch (const std::bad_alloc&) {
        return EDDY_ENOMEM;
    } catch (...) {
        return EDDY_EEXCEPTION;
    }
}

int eddy_loop_run(eddy_loop* loop, int mode) noexcept {
    if (const int s = refusal(loop); s != EDDY_OK) return s;
    if (mode < EDDY_RUN_DEFAULT || mode > EDDY_RUN_NOWAIT) return EDDY_EINVAL;
    const run_guard guard(*loop);
    engine::loop_core& core = *loop->core;
    switch (mode) {
    case EDDY_RUN_DEFAULT:
        do {
            core.drain();
            if (core.stopping() || core.is_stuck()) break;
            core.poll_once();
        } while (!core.stopping());
        break;
    case EDDY_RUN_ONCE:
        if (!core.is_stuck()) core.poll_once();
        core.drain();
        break;
    default: {
        // Until it is quiet; tasks that never are get a fair number of turns.
        constexpr int most = 100;
        int turns = 0;
        do {
            core.io().poll(0);
            core.drain();
        } while ((core.has_ready() || core.box().has_mail()) && !core.stopping() && ++turns < most);
    }
    }
    core.clear_stop();
    return has_work(core) ? 1 : 0;
}

int eddy_loop_run_until(eddy_loop* loop, eddy_op* op, std::uint64_t timeout) noexcept {
    if (const int s = refusal(loop); s != EDDY_OK) return s;
    if (op == nullptr) return EDDY_ENOMEM;
    if (op->loop != loop) return EDDY_EINVAL;
    const run_guard guard(*loop);
    engine::loop_core& core = *loop->core;
    const auto d = static_cast<std::int64_t>(std::min<std::uint64_t>(timeout, INT64_MAX));
    const std::int64_t limit =
        timeout == EDDY_FOREVER ? engine::never : eddy::detail::saturating_add(core.now(), eddy::duration(d));
    op->retain(); // its consumer may be done with it before we are
    int answer = EDDY_PENDING;
    while (!op->is_done()) {
        core.drain();
        if (op->is_done()) break;
        if (core.stopping()) {
            answer = EDDY_ECANCELED;
            break;
        }
        if (core.is_stuck()) {
            answer = EDDY_EDEADLK;
            break;
        }
        if (limit != engine::never && core.now() >= limit) break;
        core.poll_once(limit);
    }
    core.clear_stop();
    if (op->look()) answer = op->out.status;
    op->release();
    return answer;
}

void eddy_loop_stop(eddy_loop* loop) noexcept {
    if (loop == nullptr) return;
    // No lock: this may be a signal handler.
    loop->stoppers.fetch_add(1);
    if (engine::loop_core* const core = loop->stoppable.load(); core != nullptr) core->stop();
    loop->stoppers.fetch_sub(1);
}

int eddy_loop_close(eddy_loop* loop, std::uint64_t grace) noexcept {
    return loop == nullptr ? EDDY_EINVAL : loop->close(grace);
}

std::uint64_t eddy_loop_now(const eddy_loop* loop) noexcept {
    return loop == nullptr || loop->closed ? 0 : static_cast<std::uint64_t>(loop->core->now());
}

int eddy_loop_alive(const eddy_loop* loop) noexcept {
    if (loop == nullptr || loop->closed) return 0;
    const_cast<eddy_loop*>(loop)->sync();
    return has_work(*loop->core) ? 1 : 0;
}

int eddy_call_soon(eddy_loop* loop, eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    int status = EDDY_OK;
    soon_call* c = nullptr;
    if (loop == nullptr || fn == nullptr) {
        status = EDDY_EINVAL;
    } else if (loop->closing) {
        status = EDDY_ECLOSED;
    } else {
        loop->sync();
        void* const block = engine::allocate(sizeof(soon_call));
        if (block == nullptr)
            status = EDDY_ENOMEM;
        else
            c = ::new (block) soon_call;
    }
    if (c == nullptr) {
        call_free(drop, user);
        return status;
    }
    c->kind = &eddy::capi::call_kind;
    c->loop = loop;
    c->fn = fn;
    c->user = user;
    c->drop = drop;
    c->next_call = loop->calls;
    c->link = &loop->calls;
    if (c->next_call != nullptr) c->next_call->link = &c->next_call;
    loop->calls = c;
    loop->core->make_ready(*c);
    loop->touched();
    return EDDY_OK;
}
