#include "op.hpp"

#include "task.hpp"

#include <eddy/core/error.hpp>

#include "core/state.hpp"

namespace engine = eddy::engine;
using eddy::capi::call_free;

namespace eddy::capi {

int status_of(engine::status s) noexcept {
    return s == engine::status::object_destroyed ? EDDY_ECLOSED : static_cast<int>(s);
}

void set_current_exception(outcome& o) noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        o.set(EDDY_ENOMEM, nullptr);
    } catch (const eddy::uv_error& e) {
        o.set(e.code().value(), e.what());
    } catch (const std::logic_error& e) {
        o.set(EDDY_EINVAL, e.what());
    } catch (const std::exception& e) {
        o.set(EDDY_EEXCEPTION, e.what());
    } catch (...) {
        o.set(EDDY_EEXCEPTION, "an exception that is no std::exception");
    }
}

namespace {

struct finished_op final : eddy_op {
    using eddy_op::eddy_op;
    void cancel_wait() noexcept override {}
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return "nothing"; }
};

} // namespace

void report_moved(eddy_loop& l, outcome& o) noexcept {
    finished_op* const op = l.has_unhandled_hook() ? make<finished_op>(l) : nullptr;
    if (op == nullptr) {
        l.say_unhandled(o, "", 0);
        return;
    }
    op->out.take_from(o);
    op->end(op->out.status);
    op->looked = true;
    op->unpin();
    op->report_later();
}

int check_consumable(const eddy_loop& l, const eddy_op& op) noexcept {
    return op.loop != &l ? EDDY_EINVAL : op.is_consumed() ? EDDY_EBUSY : EDDY_OK;
}

void cancel_and_release(eddy_op* const* ops, std::size_t n) noexcept {
    if (ops == nullptr) return;
    for (std::size_t i = 0; i < n; ++i) {
        if (ops[i] == nullptr) continue;
        if (!ops[i]->is_consumed()) eddy_op_cancel(ops[i]);
        ops[i]->release();
    }
}

eddy_op* failed_op(eddy_loop& l, int status, const char* message) noexcept {
    static_cast<void>(l.misused(status, message));
    auto* op = make<finished_op>(l);
    if (op == nullptr) return nullptr;
    op->out.message.set(message);
    op->end(status);
    return op;
}

} // namespace eddy::capi

eddy_op::eddy_op(eddy_loop& l, made where) noexcept : loop_object(l, where) {
    static constexpr engine::wait_kind delivery_kind{.name = "delivery",
                                                     .outside = false,
                                                     .pinned = false,
                                                     .abort = nullptr,
                                                     .describe = nullptr,
                                                     .resume = &resume_delivery};
    delivery.op = this;
    delivery.kind = &delivery_kind;
    deadline.op = this;
    deadline.fire = &deadline_passed;
    created = where == made::anywhere || l.over() ? 0 : l.core->cached_now();
}

// ---- outcome

void eddy_op::end(int status) noexcept {
    out.status = final_status(status);
    ended = true;
    drop_deadline();
    if (!is_awaited()) delist();
}

// Down to the parts and up again, however deep they are: a loop over what is linked by next_cancel.
void eddy_op::look_at_all() noexcept {
    eddy_op* at = this;
    for (;;) {
        if (!at->ended) {
            if (eddy_op* const part = at->unlooked_part(); part != nullptr) {
                part->next_cancel = at;
                at = part;
                continue;
            }
            at->absorb();
        }
        if (at == this) return;
        at->looked = true;
        at->was_looked_at();
        at = at->next_cancel;
    }
}

bool eddy_op::undo() noexcept {
    if (looked || !is_done()) return false;
    settle_if_promise();
    timed_out = no_deadline = false;
    if (ended) {
        if (is_unseen_error()) eddy::capi::report_moved(*loop, out);
        out.set_value(nullptr, nullptr);
        out.number = 0;
    } else {
        let_go();
    }
    out.message.set(nullptr);
    end(EDDY_ECANCELED);
    looked = true;
    return true;
}

// ---- cancelling

void eddy_op::cancel(bool by_deadline) noexcept {
    if (loop->over() || is_done()) return;
    if (by_deadline) {
        if (cancel_asked) return;
        timed_out = true;
    }
    cancel_asked = true;
    if (is_cancelling) return;
    is_cancelling = true;
    next_cancel = std::exchange(loop->to_cancel, this);
    if (loop->cancelling) return;
    loop->cancelling = true;
    while (eddy_op* const op = loop->to_cancel) {
        loop->to_cancel = op->next_cancel;
        op->is_cancelling = false;
        op->cancel_wait();
    }
    loop->cancelling = false;
    loop->touched();
}

void eddy_op::deadline_passed(engine::timer& t) noexcept { static_cast<deadline_timer&>(t).op->cancel(true); }

void eddy_op::set_deadline(std::int64_t when) noexcept {
    engine::loop_core& core = *loop->core;
    if (is_done()) return;
    if (deadline.armed()) {
        if (core.deadline_of(deadline) <= when) return;
        core.disarm(deadline);
    }
    if (core.arm(deadline, when, true)) return; // what finishes at the very deadline has come in time
    no_deadline = true;
    cancel(false);
}

// ---- the consumer

void eddy_op::consume_by(eddy_done_fn f, void* u, eddy_free_fn d) noexcept { consume_by(&tell_call).call = {f, u, d}; }

void eddy_op::tell_call(eddy_op& op) noexcept {
    const auto [f, user, drop] = op.consumer.call;
    eddy_loop& l = *op.loop;
    op.look();
    ++l.callbacks;
    l.begin_call();
    try {
        f(&op, user);
    } catch (...) {
        l.say_exception("a callback of an eddy_op threw");
    }
    call_free(drop, user);
    l.end_call();
    op.release();
}

void eddy_op::tell_nobody(eddy_op& op) noexcept { op.release(); }

void eddy_op::leave_alone() noexcept {
    if (told == nullptr) // it has been told
        release();
    else
        told = &tell_nobody;
}

void eddy_op::deliver_later() noexcept {
    enlist();
    loop->core->make_ready(delivery);
}

void eddy_op::deliver_instead_of(engine::waiter& w) noexcept { engine::runnable_list::insert_before(w, delivery); }

void eddy_op::resume_delivery(engine::runnable& r) noexcept { static_cast<delivery_node&>(r).op->deliver(); }

void eddy_op::deliver() noexcept {
    drop_deadline();
    if (joins != nullptr) eddy::capi::tell_joins(*this);
    const told_function f = std::exchange(told, nullptr);
    if (f != nullptr || ended) delist();
    if (f != nullptr) f(*this);
}

// ---- ends

void eddy_op::enlist() noexcept {
    if (op_link != nullptr) return;
    next_op = loop->ops;
    op_link = &loop->ops;
    if (next_op != nullptr) next_op->op_link = &next_op;
    loop->ops = this;
    ++loop->op_count;
}

void eddy_op::delist() noexcept {
    if (op_link == nullptr) return;
    *op_link = next_op;
    if (next_op != nullptr) next_op->op_link = op_link;
    next_op = nullptr;
    op_link = nullptr;
    --loop->op_count;
}

void eddy_op::abort() noexcept {
    let_go();
    end(EDDY_ECLOSED);
}

void eddy_op::close() noexcept {
    const told_function f = std::exchange(told, nullptr); // tasks and combinations are ended for themselves
    if (!ended) {
        if (wait_is_over())
            absorb();
        else
            abort();
    }
    if (delivery.linked()) delivery.unlink();
    delist();
    if (f == &tell_call) {
        call_free(consumer.call.drop, consumer.call.user);
        release();
    } else if (f == &tell_nobody || f == &tell_unhandled) {
        release();
    }
}

bool eddy_op::is_unseen_error() const noexcept {
    return ended && !looked && out.status < 0 && out.status != EDDY_ECANCELED && out.status != EDDY_ETIMEDOUT &&
           out.status != EDDY_ECLOSED;
}

bool eddy_op::report_unseen() noexcept {
    if (!is_unseen_error()) return true;
    looked = true;
    was_looked_at();
    if (!loop->has_unhandled_hook()) {
        loop->say_unhandled(out, name.c_str(), id);
        return true;
    }
    refs.store(1, std::memory_order_relaxed); // the hook's
    told = &tell_unhandled;
    deliver_later();
    return false;
}

void eddy_op::report_later() noexcept {
    told = &tell_unhandled;
    deliver_later();
}

void eddy_op::tell_unhandled(eddy_op& op) noexcept {
    eddy_loop& l = *op.loop;
    const auto hook = l.unhandled;
    if (hook.fn == nullptr) {
        l.say_unhandled(op.out, op.name.c_str(), op.id);
    } else {
        ++l.callbacks;
        l.begin_call();
        try {
            hook.fn(&op, hook.user);
        } catch (...) {
            l.say_exception("the hook for unhandled errors threw");
        }
        l.end_call();
    }
    op.release();
}

void eddy_op::settle_if_promise() noexcept {
    if (is_promise() && !ended && wait_is_over()) absorb();
}

void eddy_op::abandon() noexcept {
    settle_if_promise();
    if (!report_unseen()) return;
    drop_deadline();
    delist();
    destroy();
}

void eddy_op::handle(unsigned requests) noexcept {
    if ((requests & request::cancel) != 0) cancel(false);
    if ((requests & request::finalise) != 0) abandon();
}

// ---- the C functions

namespace {

// Looking does not change what an op is to its users.
eddy_op* looked_at(const eddy_op* op) noexcept {
    auto* o = const_cast<eddy_op*>(op);
    if (!o->loop->over()) o->loop->sync();
    o->look();
    return o;
}

} // namespace

int eddy_op_status(const eddy_op* op) noexcept {
    if (op == nullptr) return EDDY_ENOMEM;
    const eddy_op* const o = looked_at(op);
    return o->ended ? o->out.status : EDDY_PENDING;
}

const char* eddy_op_message(const eddy_op* op) noexcept {
    if (op == nullptr) return "";
    const eddy_op* const o = looked_at(op);
    return o->ended ? o->out.message.c_str() : "";
}

void* eddy_op_value(const eddy_op* op) noexcept {
    if (op == nullptr) return nullptr;
    const eddy_op* const o = looked_at(op);
    return o->ended ? o->out.value : nullptr;
}

void* eddy_op_take(eddy_op* op) noexcept {
    if (op == nullptr) return nullptr;
    eddy_op* const o = looked_at(op);
    return o->ended ? std::exchange(o->out.value, nullptr) : nullptr;
}

std::int64_t eddy_op_number(const eddy_op* op) noexcept {
    if (op == nullptr) return 0;
    const eddy_op* const o = looked_at(op);
    return o->ended ? o->out.number : 0;
}

eddy_loop* eddy_op_loop(const eddy_op* op) noexcept { return op == nullptr ? nullptr : op->loop; }

void eddy_op_cancel(eddy_op* op) noexcept {
    if (op != nullptr) op->ask(eddy_op::request::cancel);
}

eddy_op* eddy_op_timeout(eddy_op* op, std::uint64_t after) noexcept {
    if (op == nullptr || after == EDDY_FOREVER || op->loop->over()) return op;
    op->loop->sync();
    const auto d = static_cast<std::int64_t>(std::min<std::uint64_t>(after, INT64_MAX));
    op->set_deadline(eddy::detail::saturating_add(op->loop->core->now(), eddy::duration(d)));
    op->loop->touched();
    return op;
}

int eddy_op_then(eddy_op* op, eddy_done_fn fn, void* user, eddy_free_fn drop) noexcept {
    int status = EDDY_OK;
    if (op == nullptr) {
        status = EDDY_ENOMEM;
    } else if (op->loop->over()) {
        status = op->loop->over();
    } else {
        op->loop->sync();
        if (fn == nullptr)
            status = EDDY_EINVAL;
        else if (op->is_consumed())
            status = EDDY_EBUSY;
    }
    if (status != EDDY_OK) {
        if (op != nullptr) op->loop->misused(status, "eddy_op_then");
        call_free(drop, user);
        eddy_unref(op);
        return status;
    }
    op->consume_by(fn, user, drop);
    if (op->is_done() && !op->delivery_pending()) op->deliver_later();
    op->loop->touched();
    return EDDY_OK;
}
