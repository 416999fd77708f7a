// eddy_offload: the C++ face's offload() and offload_abandon(), with a C function.
//
// A call that is waited for lives in its op, and so does what the code sees (eddy_work). A call that may be abandoned
// has that in a block of its own, which comes home by mail: `drop` and the result's destructor run on the loop, however
// late the code returns; should the loop be closed by then, where it returns.
#include "pool.hpp"

#include "leaf.hpp"

#include "core/state.hpp"

#include <eddy/offload/offload.hpp>

#include <atomic>

using eddy::capi::call_free;

// What offloaded code sees.
struct eddy_work {
    eddy_work(eddy_work_fn f, void* u, eddy_free_fn d) noexcept : fn(f), user(u), drop(d) {}
    eddy_work(const eddy_work&) = delete;

    // On the worker.
    void run() noexcept {
        int status = EDDY_OK;
        try {
            status = fn(this, user);
            if (status > 0) out.message.set("the offloaded function returned neither EDDY_OK nor an error");
        } catch (...) {
            eddy::capi::set_current_exception(out);
            status = EDDY_EEXCEPTION;
        }
        out.status = status > 0 ? EDDY_EINVAL : status;
    }
    // On the loop: it will not be used again.
    void finish() noexcept { call_free(std::exchange(drop, nullptr), user); }

    std::atomic<bool> cancelled{false};
    eddy::capi::outcome out;
    const eddy_work_fn fn;
    void* const user;
    eddy_free_fn drop;
};

namespace eddy::capi {
namespace {

// ---- waited for

class work_call {
public:
    explicit work_call(eddy_work& w) noexcept : work_(&w) {}
    work_call(work_call&& o) noexcept : work_(std::exchange(o.work_, nullptr)) {}
    ~work_call() {
        if (work_ != nullptr) work_->finish();
    }
    void operator()() noexcept { work_->run(); }

private:
    eddy_work* work_;
};

template <class Route>
using awaited_job = eddy::detail::job_operation<eddy::detail::when_full::wait, Route, work_call>;

template <class Route>
struct take_outcome {
    static constexpr std::uint32_t kind = EDDY_KIND_WORK;
    eddy_work* work;
    void operator()(eddy_op& op, awaited_job<Route>&) const noexcept { op.out.take_from(work->out); }
    // It never ran: its pool has no thread.
    void failed(eddy_op& op, awaited_job<Route>& leaf) const noexcept {
        if (leaf.state() != engine::status::exception) return;
        try {
            leaf.fail();
        } catch (...) {
            set_current_exception(op.out);
        }
    }
};

// Before the leaf, which uses it.
struct with_work {
    pool_ref pool;
    eddy_work work;
};

template <class Route>
struct offload_op final : private with_work, leaf_op<awaited_job<Route>, take_outcome<Route>> {
    using base = leaf_op<awaited_job<Route>, take_outcome<Route>>;
    offload_op(eddy_loop& l, eddy_pool* p, Route route, eddy_work_fn f, void* u, eddy_free_fn d)
        : with_work{pool_ref(p), {f, u, d}},
          base(l, take_outcome<Route>{&(with_work::work)}, std::move(route), work_call(with_work::work)) {}
    ~offload_op() { base::let_go(); }
    void begin() noexcept {
        ++this->loop->at_workers;
        base::begin_wait();
    }

private:
    [[nodiscard]] int wait_status() const noexcept override {
        const engine::status s = this->leaf->state();
        if (s == engine::status::ok) return work.out.status;
        if (s != engine::status::exception) return status_of(s);
        outcome why;
        try {
            const_cast<awaited_job<Route>&>(*this->leaf).fail();
        } catch (...) {
            set_current_exception(why);
        }
        return why.status;
    }
    [[nodiscard]] bool is_held_by_worker() const noexcept override {
        const engine::waiter* const w = this->wait;
        return w != nullptr && (w->state == engine::wait_state::waiting || w->state == engine::wait_state::aborting);
    }
    void cancel_wait() noexcept override {
        work.cancelled.store(true, std::memory_order_relaxed);
        base::cancel_wait();
    }
    void let_go() noexcept override {
        if (this->wait != nullptr) --this->loop->at_workers;
        base::let_go();
    }
    // Code that runs can't be let go of without waiting for it: it goes on, and nobody is told.
    void abandon() noexcept override {
        if (is_held_by_worker() && !this->loop->over()) {
            this->cancel(false);
            if (is_held_by_worker()) {
                this->refs.store(1, std::memory_order_relaxed);
                this->told = &eddy_op::tell_nobody;
                return;
            }
        }
        base::abandon();
    }
    void destroy() noexcept override { destroy_block(this); }
};

template <class Route>
eddy_op* awaitable(eddy_loop& l, eddy_pool* pool, Route route, eddy_work_fn fn, void* user,
                   eddy_free_fn drop) noexcept {
    auto* const op = make<offload_op<Route>>(l, pool, std::move(route), fn, user, drop);
    if (op == nullptr) {
        call_free(drop, user);
        return nullptr;
    }
    op->begin();
    l.touched();
    return op;
}

// ---- not waited for

struct abandon_op;

struct abandoned_work final : eddy::detail::abandoned_job, engine::mail {
    abandoned_work(eddy_loop& l, abandon_op& o, eddy_pool* p, eddy_work_fn f, void* u, eddy_free_fn d) noexcept
        : mine(p), work(f, u, d), loop(&l), op(&o) {
        l.keep_shell();
        if (p != nullptr) {
            pool = p->threads.get();
            keep_pool = p->threads;
        }
        how = &how_it_runs;
        deliver = [](engine::mail& m) noexcept { static_cast<abandoned_work&>(m).come_home(); };
        discard = deliver;
    }
    ~abandoned_work() override {
        work.finish();
        loop->drop_shell();
    }
    void come_home() noexcept;

    const pool_ref mine;
    eddy_work work;
    eddy_loop* const loop;
    abandon_op* op; // the loop's; null: nobody waits
    bool is_home = false;

private:
    static abandoned_work& of(eddy::detail::thread_job& j) noexcept {
        return static_cast<abandoned_work&>(static_cast<eddy::detail::abandoned_job&>(j));
    }
    // From a thread of eddy's own, or a simulated loop.
    void go_home() noexcept {
        if (!loop->box.post(*this)) come_home();
    }
    // It never ran, and that is what its op says.
    void was_lost(eddy::detail::loss why, const std::exception_ptr& thrown) noexcept {
        using enum eddy::detail::loss;
        if (why == none) return; // nobody waits, or the op knows
        try {
            if (thrown != nullptr) std::rethrow_exception(thrown);
            eddy::detail::throw_lost(why, *keep_pool);
        } catch (...) {
            set_current_exception(work.out);
        }
    }
    static const eddy::detail::thread_job_kind how_it_runs;
};

constexpr eddy::detail::thread_job_kind abandoned_work::how_it_runs{
    .work =
        [](eddy::detail::thread_job& j) noexcept {
            if (!of(j).work.cancelled.load(std::memory_order_relaxed)) of(j).work.run();
        },
    .leave = [](eddy::detail::thread_job& j) noexcept { of(j).go_home(); },
    .lose =
        [](eddy::detail::thread_job& j, eddy::detail::loss why, std::exception_ptr thrown) noexcept {
            of(j).was_lost(why, thrown);
            of(j).go_home();
        },
};

struct abandon_op final : waiting_op {
    explicit abandon_op(eddy_loop& l) noexcept : waiting_op(l) {}
    ~abandon_op() { abandon_op::let_go(); }

    void begin(abandoned_work& j) noexcept {
        job = &j;
        place.loop = loop->core;
        waiter.kind = &kind;
        waiter.where = &place;
        waiter.target = static_cast<waiting_op*>(this);
        wait = &waiter;
        loop->core->park(waiter);
        enlist();
        ++loop->at_workers;
        try {
            eddy::detail::start_abandoned(j, *loop->core);
        } catch (...) {
            // It comes home by mail all the same, and is dropped there.
            outcome o;
            set_current_exception(o);
            out.take_from(o);
            let_go();
            end(out.status);
        }
    }
    void work_done() noexcept {
        if (waiter.state != engine::wait_state::waiting) return;
        loop->core->grant(waiter, engine::status::ok);
        loop->touched();
    }

private:
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        auto& self = *static_cast<abandon_op*>(static_cast<waiting_op*>(w.target));
        self.give_up();
        return engine::abort_result::gone;
    }
    static constexpr engine::wait_kind kind{.name = "offload",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume};
    void give_up() noexcept {
        abandoned_work* const j = std::exchange(job, nullptr);
        if (j == nullptr) return;
        j->op = nullptr;
        j->work.cancelled.store(true, std::memory_order_relaxed);
        if (j->is_home)
            delete j;
        else
            eddy::detail::give_up_abandoned(*j, place);
    }
    [[nodiscard]] int wait_status() const noexcept override {
        return waiter.result == engine::status::ok ? job->work.out.status : EDDY_ECANCELED;
    }
    void absorb() noexcept override {
        const int ending = wait_status();
        if (waiter.result == engine::status::ok) out.take_from(job->work.out);
        if (is_awaited() && wait_is_pending()) deliver_instead_of(waiter);
        let_go();
        end(ending);
    }
    void let_go() noexcept override {
        if (wait != nullptr) --loop->at_workers;
        engine::loop_core::abandon(waiter);
        wait = nullptr;
        give_up();
    }
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return kind.name; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_WORK; }

    engine::waiter waiter;
    abandoned_work* job = nullptr;
};

// On the loop, or anywhere once that is closed: then nobody waits.
void abandoned_work::come_home() noexcept {
    is_home = true;
    if (op != nullptr)
        op->work_done();
    else
        delete this;
}

eddy_op* abandonable(eddy_loop& l, eddy_pool* pool, eddy_work_fn fn, void* user, eddy_free_fn drop) noexcept {
    auto* const op = make<abandon_op>(l);
    auto* const job = op == nullptr ? nullptr : new (std::nothrow) abandoned_work(l, *op, pool, fn, user, drop);
    if (job == nullptr) {
        call_free(drop, user);
        if (op != nullptr) op->release();
        return nullptr;
    }
    op->begin(*job);
    l.touched();
    return op;
}

} // namespace
} // namespace eddy::capi

eddy_op* eddy_offload(eddy_loop* loop, eddy_pool* pool, eddy_work_fn fn, void* user, eddy_free_fn drop,
                      std::uint32_t flags) noexcept {
    if (loop == nullptr) {
        call_free(drop, user);
        return nullptr;
    }
    int s = loop->over();
    if (s == EDDY_OK) {
        loop->sync();
        if (fn == nullptr)
            s = EDDY_EINVAL;
        else if ((flags & ~std::uint32_t{EDDY_WORK_ABANDON}) != 0)
            s = EDDY_ETOOBIG;
    }
    if (s != EDDY_OK) {
        call_free(drop, user);
        return eddy::capi::failed_op(*loop, s);
    }
    if ((flags & EDDY_WORK_ABANDON) != 0) return eddy::capi::abandonable(*loop, pool, fn, user, drop);
    if (pool == nullptr) return eddy::capi::awaitable(*loop, pool, eddy::detail::libuv_route(), fn, user, drop);
    return eddy::capi::awaitable(*loop, pool, eddy::detail::pool_route(pool->threads), fn, user, drop);
}

int eddy_work_cancelled(const eddy_work* work) noexcept {
    return work != nullptr && work->cancelled.load(std::memory_order_relaxed) ? 1 : 0;
}

void eddy_work_set(eddy_work* work, void* value, eddy_free_fn value_free, std::int64_t number) noexcept {
    if (work == nullptr) {
        eddy::capi::free_value(value_free, value);
        return;
    }
    work->out.set_value(value, value_free);
    work->out.number = number;
}

void eddy_work_set_message(eddy_work* work, const char* message) noexcept {
    if (work != nullptr) work->out.message.set(message);
}
