// Promises: ops that the program finishes, on any thread.
#include "leaf.hpp"

#include "core/state.hpp"

namespace engine = eddy::engine;
using eddy::capi::call_free;
using eddy::capi::free_value;

namespace eddy::capi {
namespace {

struct promise_op final : waiting_op {
    // Whoever leaves `open` decides the outcome.
    enum class stage : unsigned char { open, being_set, set, gone };

    promise_op(eddy_loop& l, eddy_done_fn f, void* u, eddy_free_fn d) noexcept
        : waiting_op(l), on_cancel(f), cancel_user(u), cancel_drop(d) {
        tell.promise = this;
        tell.kind = &tell_kind;
    }
    ~promise_op() { let_go(); }

    // Any thread; `given` is filled by whoever got true, who then calls publish().
    bool claim() noexcept {
        auto expected = stage::open;
        return at.compare_exchange_strong(expected, stage::being_set, std::memory_order_acq_rel);
    }
    void publish() noexcept {
        at.store(stage::set, std::memory_order_release);
        ask(request::resolve);
    }
    outcome given;

private:
    struct tell_node : engine::runnable {
        promise_op* promise = nullptr;
    };

    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        auto& self = *static_cast<promise_op*>(static_cast<waiting_op*>(w.target));
        if (self.on_cancel != nullptr && self.at.load(std::memory_order_acquire) == stage::open) {
            self.loop->core->make_ready(self.tell); // its answer ends the wait
            return engine::abort_result::later;
        }
        auto expected = stage::open;
        if (!self.at.compare_exchange_strong(expected, stage::gone, std::memory_order_acq_rel))
            return engine::abort_result::later; // the outcome is on its way
        return engine::abort_result::gone;
    }
    static void tell_now(engine::runnable& r) noexcept {
        promise_op& self = *static_cast<tell_node&>(r).promise;
        engine::loop_core& core = *self.loop->core;
        core.running = nullptr;
        const eddy_done_fn f = std::exchange(self.on_cancel, nullptr);
        void* const u = self.cancel_user;
        const eddy_free_fn d = std::exchange(self.cancel_drop, nullptr);
        self.retain(); // it may drop the last reference
        try {
            f(&self, u);
        } catch (...) {
            eddy::detail::report(&eddy::detail::loop_state::of(core), nullptr, "the on_cancel of a promise threw",
                                 std::current_exception());
        }
        call_free(d, u);
        self.release();
    }
    static constexpr engine::wait_kind kind{.name = "promise",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume};
    static constexpr engine::wait_kind tell_kind{.name = "cancelled promise",
                                                 .outside = false,
                                                 .pinned = false,
                                                 .abort = nullptr,
                                                 .describe = nullptr,
                                                 .resume = &tell_now};

    void begin_wait() noexcept {
        if (loop->closed) {
            abort();
            return;
        }
        place.loop = loop->core;
        waiter.kind = &kind;
        waiter.where = &place;
        waiter.target = static_cast<waiting_op*>(this);
        wait = &waiter;
        loop->core->park(waiter);
        enlist();
    }
    void handle(unsigned requests) noexcept override {
        if ((requests & request::begin) != 0) begin_wait();
        using enum engine::wait_state;
        if ((requests & request::resolve) != 0 && (waiter.state == waiting || waiter.state == aborting)) {
            loop->core->grant(waiter, engine::status::ok);
            loop->touched();
        }
        eddy_op::handle(requests);
    }
    void absorb() noexcept override {
        const bool was_set = waiter.result == engine::status::ok;
        if (was_set) out.take_from(given);
        if (has_consumer() && wait_is_pending()) deliver_instead_of(waiter);
        let_go();
        end(was_set ? out.status : EDDY_ECANCELED);
    }
    void let_go() noexcept override {
        engine::loop_core::abandon(waiter);
        wait = nullptr;
        auto expected = stage::open;
        at.compare_exchange_strong(expected, stage::gone, std::memory_order_acq_rel);
        if (tell.linked()) tell.unlink();
        on_cancel = nullptr;
        call_free(std::exchange(cancel_drop, nullptr), cancel_user);
    }
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return kind.name; }
    [[nodiscard]] bool is_promise() const noexcept override { return true; }

    std::atomic<stage> at{stage::open};
    engine::waiter waiter;
    tell_node tell;
    eddy_done_fn on_cancel;
    void* cancel_user;
    eddy_free_fn cancel_drop;
};

int settle(eddy_op* op, int status, const char* message, void* value, eddy_free_fn value_free,
           std::int64_t number) noexcept {
    int answer = EDDY_OK;
    if (op != nullptr && !op->is_promise())
        answer = EDDY_EINVAL;
    else if (op == nullptr || !static_cast<promise_op*>(op)->claim())
        answer = EDDY_ESTATE;
    if (answer != EDDY_OK) {
        free_value(value_free, value);
        return answer;
    }
    auto& p = *static_cast<promise_op*>(op);
    p.given.set(status, message);
    p.given.number = number;
    p.given.set_value(value, value_free);
    p.publish();
    return EDDY_OK;
}

} // namespace
} // namespace eddy::capi

eddy_op* eddy_promise(eddy_loop* loop, eddy_done_fn on_cancel, void* user, eddy_free_fn drop) noexcept {
    eddy::capi::promise_op* op = nullptr;
    if (loop != nullptr) op = eddy::capi::make<eddy::capi::promise_op>(*loop, on_cancel, user, drop);
    if (op == nullptr)
        call_free(drop, user);
    else
        op->ask(eddy_op::request::begin);
    return op;
}

int eddy_promise_resolve(eddy_op* op, void* value, eddy_free_fn value_free, std::int64_t number) noexcept {
    return eddy::capi::settle(op, EDDY_OK, nullptr, value, value_free, number);
}

int eddy_promise_reject(eddy_op* op, int status, const char* message, void* value, eddy_free_fn value_free) noexcept {
    if (status < 0) return eddy::capi::settle(op, status, message, value, value_free, 0);
    free_value(value_free, value);
    return EDDY_EINVAL;
}
