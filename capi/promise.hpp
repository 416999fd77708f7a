// An op that is finished from anywhere: a promise, and what is built like one.
#pragma once

#include "leaf.hpp"

#include <atomic>

namespace eddy::capi {

struct promise_op : waiting_op {
    // Whoever leaves `open` decides the outcome.
    enum class stage : unsigned char { open, being_set, set, gone };

    promise_op(eddy_loop& l, made where, eddy_done_fn f, void* u, eddy_free_fn d) noexcept
        : waiting_op(l, where), on_cancel(f), cancel_user(u), cancel_drop(d) {
        tell.promise = this;
        tell.kind = &tell_kind;
    }
    ~promise_op() { promise_op::let_go(); }

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

protected:
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
        eddy_loop& l = *self.loop;
        self.retain(); // it may drop the last reference
        ++l.callbacks;
        l.begin_call();
        try {
            f(&self, u);
        } catch (...) {
            l.say_exception("the on_cancel of a promise threw");
        }
        call_free(d, u);
        l.end_call();
        self.release();
    }
    static constexpr engine::wait_kind promise_kind{.name = "promise",
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
        if (loop->over()) {
            let_go();
            end(loop->over());
            return;
        }
        created = loop->core->cached_now();
        place.loop = loop->core;
        waiter.kind = wait_site;
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
        if (is_awaited() && wait_is_pending()) deliver_instead_of(waiter);
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
    [[nodiscard]] const char* kind_name() const noexcept override { return wait_site->name; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_PROMISE; }
    [[nodiscard]] bool is_promise() const noexcept override { return true; }
    [[nodiscard]] int wait_status() const noexcept override {
        return waiter.result == engine::status::ok ? given.status : EDDY_ECANCELED;
    }

    const engine::wait_kind* wait_site = &promise_kind;
    std::atomic<stage> at{stage::open};
    engine::waiter waiter;
    tell_node tell;
    eddy_done_fn on_cancel;
    void* cancel_user;
    eddy_free_fn cancel_drop;
};

} // namespace eddy::capi
