// eddy_loop: running, closing, callbacks.
#include "embed.hpp"
#include "task.hpp"

#include "core/state.hpp"

#include <cstdlib>
#include <thread>

namespace engine = eddy::engine;
using eddy::capi::call_free;
using eddy::capi::soon_call;

namespace eddy::capi {

// Finishes when the last task has.
struct shutdown_op final : settled_op {
    using settled_op::settled_op;
    ~shutdown_op() { shutdown_op::let_go(); }
    void begin() noexcept {
        if (loop->running_tasks == 0) {
            settle(EDDY_OK);
            return;
        }
        enlist();
        next = std::exchange(loop->shutdowns, this);
    }
    [[nodiscard]] shutdown_op* next_waiting() const noexcept { return next; }
    void over() noexcept { settle(EDDY_OK); }

private:
    void cancel_wait() noexcept override {
        if (settled) return;
        let_go();
        settle(EDDY_ECANCELED);
    }
    void let_go() noexcept override {
        for (shutdown_op** at = &loop->shutdowns; *at != nullptr; at = &(*at)->next)
            if (*at == this) {
                *at = next;
                return;
            }
    }
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return "loop.shutdown"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_COMBINED; }

    shutdown_op* next = nullptr;
};

} // namespace eddy::capi

eddy_loop::eddy_loop(eddy::loop& l, std::unique_ptr<eddy::loop> owned) noexcept
    : own(std::move(owned)), cpp(&l), core(&l.detail_state()), borrowed(own == nullptr), identity(&l), stoppable(core) {
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
    eddy::capi::remember(*this);
}

eddy_loop::~eddy_loop() {
    std::free(name);
    static_cast<void>(own.release()); // there is one in a forked child only, which must not touch it
}

// Not while another loop runs here: the primitives would refuse.
void eddy_loop::deliver_mail() noexcept {
    const eddy::loop* const here = eddy::loop::try_current();
    if (here == nullptr || here == identity.load(std::memory_order_relaxed)) box.deliver();
}

void eddy_loop::settle_young() noexcept {
    for (unsigned i = 0; i < young_count; ++i)
        if (young[i] != nullptr) std::exchange(young[i], nullptr)->pin_young();
    young_count = 0;
}

void eddy_loop::task_ended() noexcept {
    if (--running_tasks != 0) return;
    while (shutdowns != nullptr) {
        eddy::capi::shutdown_op& op = *shutdowns;
        shutdowns = op.next_waiting();
        op.over();
    }
}

void eddy_loop::last_pin() noexcept {
    pin();
    if (over() == EDDY_OK) close_now(0, true);
    if (pins.fetch_sub(1, std::memory_order_acq_rel) == 1) drop_shell();
}

// ---- closing

// False when nothing of ours runs.
bool eddy_loop::cancel_all() noexcept {
    bool any = false;
    for (eddy_op* op = ops; op != nullptr; op = op->next_listed())
        if (op->is_running_task() || op->is_held_by_worker()) {
            any = true;
            op->cancel(false);
        }
    if (borrowed) return any;
    engine::cancel_scope_tree(core->root, engine::why::shutdown); // tasks of the C++ face
    return any || core->live_tasks != 0;
}

bool eddy_loop::has_unfinished() noexcept {
    if (running_tasks != 0 || (!borrowed && core->live_tasks != 0)) return true;
    return has_code_at_workers();
}

bool eddy_loop::has_code_at_workers() const noexcept {
    for (const eddy_op* op = ops; op != nullptr; op = op->next_listed())
        if (op->is_held_by_worker()) return true;
    return false;
}

// False when not all of it has ended.
bool eddy_loop::run_down(std::int64_t deadline) noexcept {
    for (bool any = cancel_all(); any;) {
        core->drain();
        core->clear_stop();
        any = has_unfinished();
        if (!any || core->is_stuck() || core->now() >= deadline) return !any;
        core->poll_once(deadline);
    }
    return true;
}

// Every op ends, no callback is called, every drop is.
void eddy_loop::end_all() noexcept {
    ending = true;
    engine::pool* const before = engine::exchange_current_pool(&core->memory());
    while (ops != nullptr)
        ops->close();
    while (calls != nullptr)
        eddy::capi::forget_call(*calls);
    unhandled.clear();
    if (end_status == EDDY_OK) {
        end_status = EDDY_ECLOSED;
        shells.fetch_add(static_cast<std::size_t>(std::exchange(own_shells, 0)), std::memory_order_relaxed);
    }
    engine::exchange_current_pool(before);
}

int eddy_loop::close(std::uint64_t grace) noexcept {
    if (over() != EDDY_OK) return over();
    if (is_busy()) return EDDY_ESTATE;
    if (adopted) {
        // Its host runs it.
        if (eddy::detail::loop_state::of(*core).uv->host_is_polling()) return EDDY_ESTATE;
        sync();
        closing = true;
        if (cancel_all()) {
            touched();
            return EDDY_EBUSY;
        }
    }
    pin();
    const int status = close_now(grace, false);
    unpin();
    return status;
}

int eddy_loop::close_now(std::uint64_t grace, bool wait_for_workers) noexcept {
    sync();
    closing = true;
    running = true;
    bool in_time = true;
    if (!adopted) {
        const auto d = static_cast<std::int64_t>(std::min<std::uint64_t>(grace, INT64_MAX));
        in_time = run_down(eddy::detail::saturating_add(core->now(), eddy::duration(d)));
        if (!wait_for_workers && has_code_at_workers()) {
            running = false;
            return EDDY_EBUSY;
        }
    }
    sync();
    end_all();
    close_ends();
    own.reset();
    core = nullptr;
    cpp = nullptr;
    running = false;
    return in_time ? EDDY_OK : EDDY_ETIMEDOUT;
}

// What was asked for meanwhile is handled here; afterwards each thread is on its own.
void eddy_loop::close_ends() noexcept {
    eddy::capi::forget(*this);
    box.close();
    stoppable.store(nullptr);
    while (stoppers.load() != 0)
        std::this_thread::yield();
    if (relay_.posted.load()) core->drain();
    eddy::capi::close_embedding(*this);
    identity.store(nullptr);
}

namespace eddy::capi {

void forget_call(soon_call& c) noexcept {
    if (c.linked()) c.unlink();
    if (c.link != nullptr) { // it has come
        *c.link = c.next_call;
        if (c.next_call != nullptr) c.next_call->link = c.link;
    }
    const eddy_free_fn drop = c.drop;
    void* const user = c.user;
    engine::deallocate(&c, sizeof(soon_call));
    call_free(drop, user);
}

namespace {

void run_call(engine::runnable& r) noexcept {
    auto& c = static_cast<soon_call&>(r);
    eddy_loop& l = *c.loop;
    l.core->running = nullptr;
    ++l.callbacks;
    l.begin_call();
    try {
        c.fn(c.user);
    } catch (...) {
        l.say_exception("a callback of eddy_call_soon threw");
    }
    forget_call(c);
    l.end_call();
}

constexpr engine::wait_kind call_kind{
    .name = "call", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run_call};

// On the loop: behind everything that is ready.
void enter(soon_call& c) noexcept {
    eddy_loop& l = *c.loop;
    c.kind = &call_kind;
    c.next_call = l.calls;
    c.link = &l.calls;
    if (c.next_call != nullptr) c.next_call->link = &c.next_call;
    l.calls = &c;
    l.core->make_ready(c);
}

// For the time of one run.
class run_guard {
public:
    explicit run_guard(eddy_loop& l) noexcept : loop_(l) {
        l.pin();
        l.running = true;
        l.unseen_by_uv = false;
        l.sync();
    }
    run_guard(const run_guard&) = delete;
    ~run_guard() {
        loop_.running = false;
        if (loop_.host != nullptr) loop_.tell_host();
        loop_.unpin();
    }

private:
    eddy_loop& loop_;
};

int refusal(const eddy_loop* l) noexcept {
    if (l == nullptr) return EDDY_EINVAL;
    if (l->over() != EDDY_OK) return l->over();
    if (l->is_busy()) return l->misused(EDDY_ESTATE, "a loop was run inside a callback or step");
    return l->adopted && detail::loop_state::of(*l->core).uv->host_is_polling() ? EDDY_ESTATE : EDDY_OK;
}

bool has_work(const eddy_loop& l) noexcept {
    return l.core->is_pending() || l.core->waits_outside() || waits_for_descriptors(l);
}

} // namespace

eddy_loop* borrow(eddy::loop& l) {
    auto* const c = new eddy_loop(l, nullptr);
    const detail::loop_state& s = l.detail_state();
    c->adopted = s.uv != nullptr && s.uv->adopted();
    return c;
}

void close_with_loop(eddy_loop& l) noexcept {
    if (l.over() != EDDY_OK) return;
    l.pin();
    l.close_now(0, true);
    l.unpin();
}

} // namespace eddy::capi

using eddy::capi::has_work;
using eddy::capi::refusal;
using eddy::capi::run_guard;

// ---- the C functions

int eddy_loop_run(eddy_loop* loop, int mode) noexcept {
    if (const int s = refusal(loop); s != EDDY_OK) return s;
    if (mode < EDDY_RUN_DEFAULT || mode > EDDY_RUN_NOWAIT)
        return loop->misused(EDDY_EINVAL, "eddy_loop_run: no such mode");
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
    return has_work(*loop) ? 1 : 0;
}

int eddy_loop_run_until(eddy_loop* loop, eddy_op* op, std::uint64_t timeout) noexcept {
    if (const int s = refusal(loop); s != EDDY_OK) return s;
    if (op == nullptr) return EDDY_ENOMEM;
    if (op->loop != loop) return loop->misused(EDDY_EINVAL, "eddy_loop_run_until: another loop's op");
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

namespace {

// Any thread. No lock: this may be a signal handler.
template <class F>
void with_core(eddy_loop* loop, F f) noexcept {
    if (loop == nullptr) return;
    loop->stoppers.fetch_add(1);
    if (engine::loop_core* const core = loop->stoppable.load(); core != nullptr) f(*core);
    loop->stoppers.fetch_sub(1);
}

} // namespace

void eddy_loop_stop(eddy_loop* loop) noexcept {
    with_core(loop, [](engine::loop_core& core) { core.stop(); });
}

void eddy_loop_hold(eddy_loop* loop) noexcept {
    with_core(loop, [](engine::loop_core& core) { core.box().hold(); });
}

void eddy_loop_release(eddy_loop* loop) noexcept {
    with_core(loop, [](engine::loop_core& core) { core.box().let_go(); });
}

int eddy_loop_close(eddy_loop* loop, std::uint64_t grace) noexcept {
    return loop == nullptr ? EDDY_EINVAL : loop->close(grace);
}

std::uint64_t eddy_loop_now(const eddy_loop* loop) noexcept {
    return loop == nullptr || loop->over() != EDDY_OK ? 0 : static_cast<std::uint64_t>(loop->core->now());
}

int eddy_loop_alive(const eddy_loop* loop) noexcept {
    if (loop == nullptr || loop->over() != EDDY_OK) return 0;
    const_cast<eddy_loop*>(loop)->sync();
    return has_work(*loop) ? 1 : 0;
}

eddy_op* eddy_loop_shutdown(eddy_loop* loop) noexcept {
    if (loop == nullptr) return nullptr;
    if (const int s = loop->over(); s != EDDY_OK) return eddy::capi::failed_op(*loop, s);
    loop->sync();
    loop->closing = true;
    for (eddy_op* op = loop->ops; op != nullptr; op = op->next_listed())
        if (op->is_running_task()) op->cancel(false);
    auto* const op = eddy::capi::make<eddy::capi::shutdown_op>(*loop);
    if (op != nullptr) op->begin();
    loop->touched();
    return op;
}

namespace {

// Null: out of memory, and dropped.
soon_call* new_call(eddy_loop* loop, void* block, eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    if (block == nullptr) {
        call_free(drop, user);
        return nullptr;
    }
    auto* const c = ::new (block) soon_call;
    c->loop = loop;
    c->fn = fn;
    c->user = user;
    c->drop = drop;
    return c;
}

} // namespace

int eddy_call_soon(eddy_loop* loop, eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    int status = loop == nullptr || fn == nullptr ? EDDY_EINVAL : loop->over();
    if (status == EDDY_OK && loop->closing) status = EDDY_ECLOSED;
    if (status != EDDY_OK) {
        if (loop != nullptr) loop->misused(status, "eddy_call_soon without a function");
        call_free(drop, user);
        return status;
    }
    loop->sync();
    soon_call* const c = new_call(loop, eddy::capi::allocate_on(*loop, sizeof(soon_call)), fn, user, drop);
    if (c == nullptr) return EDDY_ENOMEM;
    eddy::capi::enter(*c);
    loop->touched();
    return EDDY_OK;
}

int eddy_call_soon_threadsafe(eddy_loop* loop, eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    if (loop == nullptr || fn == nullptr) {
        call_free(drop, user);
        return EDDY_EINVAL;
    }
    // This thread's memory.
    soon_call* const c = new_call(loop, engine::allocate(sizeof(soon_call)), fn, user, drop);
    if (c == nullptr) return EDDY_ENOMEM;
    c->deliver = [](engine::mail& m) noexcept { eddy::capi::enter(static_cast<soon_call&>(m)); };
    c->discard = [](engine::mail& m) noexcept { eddy::capi::forget_call(static_cast<soon_call&>(m)); };
    if (loop->box.post(*c)) return EDDY_OK;
    eddy::capi::forget_call(*c);
    return EDDY_ECLOSED;
}
