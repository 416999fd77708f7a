// Ops that wait in the engine by themselves, and those that embed an operation of the C++ face.
//
// The operation's wait kind is replaced by a copy that differs only in what resumes: not a coroutine but the op. So a C
// op stands in the same line as a coroutine, and is served in its turn.
#pragma once

#include "op.hpp"

#include <eddy/core/operation.hpp>

#include <optional>

namespace eddy::capi {

// An op that waits in the engine by itself.
struct waiting_op : eddy_op {
    explicit waiting_op(eddy_loop& l, made where = made::on_the_loop) noexcept : eddy_op(l, where) {
        place.flags |= engine::scope::once;
    }

protected:
    ~waiting_op() = default;
    // From the drain loop.
    static void resume(engine::runnable& r) noexcept {
        auto& w = static_cast<engine::waiter&>(r);
        engine::loop_core::begin_resume(w);
        w.where->loop->running = nullptr; // no task: `place` stands for none
        w.yield_after = false;
        static_cast<waiting_op*>(w.target)->deliver();
    }
    [[nodiscard]] bool wait_is_over() const noexcept override {
        using enum engine::wait_state;
        return wait != nullptr && (wait->state == done || (wait->state == ready && !wait->yield_after));
    }
    [[nodiscard]] bool wait_is_pending() const noexcept override {
        return wait != nullptr && wait->state == engine::wait_state::ready;
    }
    [[nodiscard]] bool yields() const noexcept override { return wait_is_pending() && wait->yield_after; }
    void cancel_wait() noexcept override { engine::cancel_scope_tree(place, engine::why::requested); }

    engine::scope place; // in no tree: an op is cancelled for itself
    engine::waiter* wait = nullptr;
};

// Leaf: an operation of the C++ face. Take: what to do with what it was granted, `void operator()(eddy_op&, Leaf&)`,
// and with one that failed, `void failed(eddy_op&, Leaf&)`.
template <class Leaf, class Take>
struct leaf_op : waiting_op {
    using take_type = Take;
    template <class... Args>
    static eddy_op* start(eddy_loop& l, Take take, Args&&... args) noexcept {
        auto* op = make<leaf_op>(l, take, std::forward<Args>(args)...);
        if (op != nullptr) op->begin_wait();
        l.touched();
        return op;
    }

    template <class... Args>
    explicit leaf_op(eddy_loop& l, Take t, Args&&... args) noexcept
        : waiting_op(l), leaf(std::in_place, std::forward<Args>(args)...), take(t) {}
    ~leaf_op() { leaf_op::let_go(); }

protected:
    static constexpr engine::wait_kind make_kind() noexcept {
        engine::wait_kind k = Leaf::kind;
        k.resume = &resume;
        return k;
    }
    static constexpr engine::wait_kind kind = make_kind();

    void begin_wait() noexcept {
        engine::loop_core& core = *loop->core;
        place.loop = &core;
        // The step that awaits it is what counts, not the call that makes it.
        const int budget = std::exchange(core.budget, engine::loop_core::await_budget);
        context c{&place};
        wait = &*leaf;
        bool finished = true;
        try {
            leaf->bind(c);
            finished = leaf->start();
            if (finished && leaf->state() == engine::status::ok) wait->state = engine::wait_state::done;
        } catch (...) {
            set_current_exception(out);
            take.failed(*this, *leaf);
            let_go();
            end(out.status);
        }
        core.budget = budget;
        if (ended) return;
        if (finished) {
            if (leaf->state() != engine::status::ok) absorb();
            return;
        }
        wait->kind = &kind;
        leaf->suspend(static_cast<waiting_op*>(this));
        enlist();
    }
    // Not const: a condition's wait has its lock back when it is asked.
    [[nodiscard]] int wait_status() const noexcept override { return status_of(const_cast<Leaf&>(*leaf).state()); }
    void absorb() noexcept override {
        const engine::status s = leaf->state();
        if (s == engine::status::ok)
            take(*this, *leaf);
        else
            take.failed(*this, *leaf);
        if (is_awaited() && wait_is_pending()) deliver_instead_of(*wait);
        const int ending = wait_status();
        let_go();
        end(ending);
    }
    void let_go() noexcept override {
        wait = nullptr;
        leaf.reset();
    }
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return kind.name; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return Take::kind; }

    std::optional<Leaf> leaf;
    [[no_unique_address]] Take take;
};

// An object that an op waits at. For functions that have nothing to say before it does.
template <class Op, class Object, class... Args>
eddy_op* start_at(Object* o, typename Op::take_type take, Args&&... args) noexcept {
    if (o == nullptr) return nullptr;
    eddy_loop& l = *o->loop;
    if (const int s = l.over(); s != EDDY_OK) return failed_op(l, s);
    l.sync();
    return Op::start(l, take, std::forward<Args>(args)...);
}

// For leaves that give nothing.
struct take_nothing {
    static constexpr std::uint32_t kind = EDDY_KIND_SYNC;
    template <class Leaf>
    void operator()(eddy_op&, Leaf&) const noexcept {}
    template <class Leaf>
    void failed(eddy_op&, Leaf&) const noexcept {}
};

} // namespace eddy::capi
