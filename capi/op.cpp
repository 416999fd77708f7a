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

eddy_op* failed_op(eddy_loop& l, int status, const char* message) noexcept {
    auto* op = make<finished_op>(l);
    if (op == nullptr) return nullptr;
    op->out.message.set(message);
    op->end(status);
    return op;
}

} // namespace eddy::capi

eddy_op::eddy_op(eddy_loop& l) noexcept : loop_object(l) {
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
}

// ---- outcome

void eddy_op::end(int status) noexcept {
    if (status == EDDY_ECANCELED) status = no_deadline ? EDDY_ENOMEM : timed_out ? EDDY_ETIMEDOUT : EDDY_ECANCELED;
    out.status = status;
    ended = true;
    drop_deadline();
    if (!has_consumer()) delist();
}

bool eddy_op::undo() noexcept {
    if (looked || !is_done()) return false;
    settle_if_promise();
    timed_out = no_deadline = false;
    if (ended) {
        report_unseen();
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
    if (loop->closed || is_done()) return;
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

void eddy_op::consume_by(eddy_task& t) noexcept {
    task = &t;
    consumed = true;
    unpin();
}

void eddy_op::consume_by(eddy_done_fn f, void* u, eddy_free_fn d) noexcept {
    fn = f;
    user = u;
    drop = d;
    consumed = true;
    unpin();
}

void eddy_op::deliver_later() noexcept {
    enlist();
    loop->core->make_ready(delivery);
}

void eddy_op::deliver_instead_of(engine::waiter& w) noexcept { engine::runnable_list::insert_before(w, delivery); }

void eddy_op::resume_delivery(engine::runnable& r) noexcept { static_cast<delivery_node&>(r).op->deliver(); }

void eddy_op::deliver() noexcept {
    drop_deadline();
    if (eddy_task* const t = std::exchange(task, nullptr)) {
        delist();
        t->op_finished(*this);
        return;
    }
    if (fn == nullptr) return;
    look();
    delist();
    eddy_loop& l = *loop;
    const eddy_done_fn f = std::exchange(fn, nullptr);
    try {
        f(this, user);
    } catch (...) {
        eddy::detail::report(&eddy::detail::loop_state::of(*l.core), nullptr, "a callback of an eddy_op threw",
                             std::current_exception());
    }
    call_free(drop, user);
    release();
}

// ---- ends

void eddy_op::enlist() noexcept {
    if (op_link != nullptr) return;
    next_op = loop->ops;
    op_link = &loop->ops;
    if (next_op != nullptr) next_op->op_link = &next_op;
    loop->ops = this;
}

void eddy_op::delist() noexcept {
    if (op_link == nullptr) return;
    *op_link = next_op;
    if (next_op != nullptr) next_op->op_link = op_link;
    next_op = nullptr;
    op_link = nullptr;
}

void eddy_op::abort() noexcept {
    let_go();
    end(EDDY_ECLOSED);
}

void eddy_op::close() noexcept {
    task = nullptr; // which is ended for itself
    if (!ended) {
        if (wait_is_over())
            absorb();
        else
            abort();
    }
    if (delivery.linked()) delivery.unlink();
    delist();
    if (std::exchange(fn, nullptr) == nullptr) return;
    call_free(drop, user);
    release();
}

void eddy_op::report_unseen() noexcept {
    if (!ended || looked || out.status >= 0) return;
    if (out.status == EDDY_ECANCELED || out.status == EDDY_ETIMEDOUT || out.status == EDDY_ECLOSED) return;
    try {
        std::string what = eddy_errname(out.status);
        if (*out.message.c_str() != '\0') what.append(": ").append(out.message.c_str());
        eddy::detail::report(loop->closed ? nullptr : &eddy::detail::loop_state::of(*loop->core), nullptr,
                             "an operation failed and nobody looked at it", std::make_exception_ptr(eddy::error(what)));
    } catch (...) {
        std::fputs("eddy: an operation failed and nobody looked at it\n", stderr);
    }
}

void eddy_op::settle_if_promise() noexcept {
    if (is_promise() && !ended && wait_is_over()) absorb();
}

void eddy_op::abandon() noexcept {
    settle_if_promise();
    report_unseen();
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
    if (!o->loop->closed) o->loop->sync();
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
    if (op == nullptr || after == EDDY_FOREVER || op->loop->closed) return op;
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
    } else if (op->loop->closed) {
        status = EDDY_ECLOSED;
    } else {
        op->loop->sync();
        if (fn == nullptr)
            status = EDDY_EINVAL;
        else if (op->is_consumed())
            status = EDDY_EBUSY;
    }
    if (status != EDDY_OK) {
        call_free(drop, user);
        eddy_unref(op);
        return status;
    }
    op->consume_by(fn, user, drop);
    if (op->is_done() && !op->delivery_pending()) op->deliver_later();
    op->loop->touched();
    return EDDY_OK;
}
