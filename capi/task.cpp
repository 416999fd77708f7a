#include "task.hpp"

#include <eddy/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>

namespace engine = eddy::engine;
using eddy::capi::call_free;
using eddy::capi::failed_op;
using eddy::capi::free_value;
using eddy::capi::task_op;

namespace {

task_op& op_of(engine::task_record& r) noexcept { return static_cast<task_op&>(*static_cast<eddy_task&>(r).op); }

// ---- waits

engine::abort_result interrupt_await(engine::waiter& w) noexcept {
    auto& t = *static_cast<eddy_task*>(w.target);
    t.asked = true;
    t.awaited->cancel(false);
    return engine::abort_result::later; // the op finishes in its own time
}

std::size_t describe_await(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& t = *static_cast<const eddy_task*>(w.target);
    const int n = std::snprintf(out, room, "eddy_await of %s", t.awaited->kind_name());
    return n < 0 || room == 0 ? 0 : std::min(static_cast<std::size_t>(n), room - 1);
}

void resume_task(engine::runnable& r) noexcept {
    auto& w = static_cast<engine::waiter&>(r);
    engine::loop_core::begin_resume(w);
    static_cast<eddy_task*>(w.target)->run();
}

constexpr engine::wait_kind await_kind{.name = "eddy_await",
                                       .outside = false,
                                       .pinned = false,
                                       .abort = &interrupt_await,
                                       .describe = &describe_await,
                                       .resume = &resume_task};
constexpr engine::wait_kind yield_kind{
    .name = "yield", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &resume_task};
// Another thread may hold a waker.
constexpr engine::wait_kind park_kind{
    .name = "park", .outside = true, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &resume_task};

void tell_task(eddy_op& op) noexcept { op.consumer.task->op_finished(op); }

// ---- the record

void begin_task(engine::runnable& start) noexcept {
    auto& t = static_cast<eddy_task&>(engine::begin_task(start));
    if (t.has(engine::scope::requested)) {
        t.fail(EDDY_ECANCELED, nullptr); // without having been called
        t.loop->finish_later(t);
        return;
    }
    t.run();
}

// What C++ code that holds a handle sees.
void tell_cpp(eddy_task& t) noexcept {
    const eddy::capi::outcome& o = t.op->out;
    if (o.status >= 0) {
        t.slot.st = engine::status::ok;
    } else if (o.status == EDDY_ECANCELED || t.has(engine::scope::abandoned)) {
        t.slot.st = engine::status::cancelled;
        t.flags |= engine::scope::ended_cancelled;
    } else {
        t.slot.st = engine::status::exception;
        t.flags |= engine::scope::failed;
        try {
            std::string what = eddy_errname(o.status);
            if (*o.message.c_str() != '\0') what.append(": ").append(o.message.c_str());
            t.slot.error = std::make_exception_ptr(eddy::error(what));
        } catch (...) {
            t.slot.error = std::current_exception();
        }
    }
}

// What is left of a task at its end, or where it stands.
void end_task(engine::task_record& r) noexcept {
    auto& t = static_cast<eddy_task&>(r);
    if (t.step == nullptr) return;
    t.step = nullptr;
    engine::loop_core::abandon(t.wait);
    eddy_op* const awaited = std::exchange(t.awaited, nullptr);
    if (awaited != nullptr && awaited->told == &tell_task && awaited->consumer.task == &t) awaited->told = nullptr;
    call_free(std::exchange(t.drop, nullptr), t.state);
    eddy_unref(awaited);
    if (t.has(engine::scope::abandoned)) t.fail(EDDY_ECLOSED, nullptr);
    tell_cpp(t);
    op_of(t).finished();
}

void dispose_task(engine::task_record& r) noexcept {
    if (r.extension() != nullptr || r.has(engine::scope::failed)) eddy::detail::about_to_dispose(r);
    task_op& op = op_of(r);
    const std::size_t size = task_op::block_size(op.extra);
    op.~task_op();
    engine::deallocate(&op, size);
}

constexpr engine::record_kind task_kind{
    {.name = "start", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &begin_task},
    &end_task,
    &dispose_task,
    false};

} // namespace

// ---- the op of a task

namespace eddy::capi {

void task_op::finished() noexcept {
    end(out.status);
    if (is_awaited() && !loop->over()) deliver_later();
    loop->task_ended();
    release();
}

void task_op::abort() noexcept {
    task_.flags |= engine::scope::abandoned;
    loop->core->finish(task_);
}

void task_op::abandon() noexcept {
    if (!report_unseen()) return;
    was_looked_at(); // reported, or no error
    delist();
    engine::release(task_);
}

void task_op::was_named() noexcept {
    try {
        eddy::detail::extension_of(task_).name = name.c_str();
    } catch (...) {
        // no memory: dumps call it by its number
    }
}

const eddy_op* task_op::awaited_op() const noexcept {
    const bool waits = !ended && task_.awaited != nullptr && task_.wait.kind == &await_kind &&
                       task_.wait.state != engine::wait_state::done && task_.wait.state != engine::wait_state::idle;
    return waits ? task_.awaited : nullptr;
}

const char* task_op::waiting_for() const noexcept {
    if (ended) return "";
    if (const eddy_op* const op = awaited_op(); op != nullptr) return op->kind_name();
    using enum engine::wait_state;
    return task_.wait.state == waiting || task_.wait.state == ready ? task_.wait.kind->name : "";
}

} // namespace eddy::capi

// ---- running

void eddy_task::fail(int status, const char* message) noexcept {
    op->out.set_value(nullptr, nullptr);
    op->out.number = 0;
    op->out.set(status, message);
}

void eddy_task::run() noexcept {
    eddy_loop& l = *op->loop;
    loop->running = this;
    l.current = this;
    in_step = true;
    awaiting = false;
    ++steps;
    ++l.steps;
    l.begin_call();
    int how = EDDY_STEP_DONE;
    try {
        how = step(this, state);
    } catch (...) {
        fail(EDDY_EEXCEPTION, nullptr);
        eddy::capi::set_current_exception(op->out);
        op->out.status = EDDY_EEXCEPTION;
        how = EDDY_STEP_DONE;
    }
    l.end_call();
    in_step = false;
    l.current = nullptr;
    const auto refuse = [&](int status, const char* why) { fail(l.misused(status, why), why); };
    switch (how) {
    case EDDY_STEP_DONE:
        break;
    case EDDY_STEP_WAIT:
        if (awaiting) return begin_wait();
        refuse(EDDY_ESTATE, "the step function returned EDDY_STEP_WAIT without an eddy_await that said so");
        break;
    case EDDY_STEP_YIELD:
        if (!awaiting) return give_way(yield_kind);
        refuse(EDDY_ESTATE, "the step function returned EDDY_STEP_YIELD after an eddy_await that said EDDY_STEP_WAIT");
        break;
    case EDDY_STEP_PARK:
        if (!awaiting) return park();
        refuse(EDDY_ESTATE, "the step function returned EDDY_STEP_PARK after an eddy_await that said EDDY_STEP_WAIT");
        break;
    default:
        refuse(EDDY_EINVAL, "the step function returned none of EDDY_STEP_DONE, EDDY_STEP_WAIT, EDDY_STEP_YIELD and "
                            "EDDY_STEP_PARK");
    }
    loop->finish_later(*this);
}

void eddy_task::give_way(const engine::wait_kind& kind) noexcept {
    wait.kind = &kind;
    wait.where = this;
    wait.target = this;
    wait.result = engine::status::ok;
    loop->park_granted(wait);
}

void eddy_task::park() noexcept {
    const bool at_once = std::exchange(woken, false) || has(engine::scope::interrupt);
    flags &= ~std::uint32_t{engine::scope::interrupt};
    if (at_once) return give_way(park_kind);
    wait.kind = &park_kind;
    wait.where = this;
    wait.target = this;
    wait.result = engine::status::pending;
    loop->park(wait);
}

void eddy_task::wake() noexcept {
    if (wait.kind == &park_kind && wait.state == engine::wait_state::waiting)
        loop->grant(wait, engine::status::ok);
    else
        woken = true;
}

void eddy_task::begin_wait() noexcept {
    wait.kind = &await_kind;
    wait.where = this;
    wait.target = this;
    wait.result = engine::status::pending;
    loop->park(wait);
    if (yielding || !has(engine::scope::interrupt)) return;
    flags &= ~std::uint32_t{engine::scope::interrupt};
    wait.state = engine::wait_state::aborting;
    static_cast<void>(interrupt_await(wait));
}

void eddy_task::op_finished(eddy_op& o) noexcept {
    loop->grant(wait, engine::status::ok);
    wait.unlink();
    engine::loop_core::begin_resume(wait);
    bool request = std::exchange(asked, false) || has(engine::scope::interrupt);
    flags &= ~std::uint32_t{engine::scope::interrupt};
    if (request && std::exchange(yielding, false) && o.can_be_undone() && o.undo()) {
        request = false;
    } else {
        o.look();
        if (o.out.status == EDDY_ECANCELED) request = false;
    }
    if (request) flags |= engine::scope::interrupt; // for the next await
    yielding = false;
    run();
}

// ---- the C functions

namespace {

eddy_op* spawn(eddy_loop* l, eddy_step_fn step, void* state, eddy_free_fn drop, const void* init,
               std::size_t size) noexcept {
    const int refused = l == nullptr || step == nullptr ? EDDY_EINVAL
                        : l->over() != EDDY_OK          ? l->over()
                        : l->closing                    ? EDDY_ECLOSED
                                                        : EDDY_OK;
    if (refused != EDDY_OK) {
        call_free(drop, state);
        return l == nullptr ? nullptr : failed_op(*l, refused);
    }
    l->sync();
    void* const block =
        size > SIZE_MAX - sizeof(task_op) ? nullptr : eddy::capi::allocate_on(*l, task_op::block_size(size));
    if (block == nullptr) {
        call_free(drop, state);
        return nullptr;
    }
    auto* op = ::new (block) task_op(*l, size);
    eddy_task& t = op->task_;
    if (size != 0) {
        state = op->room();
        if (init != nullptr)
            std::memcpy(state, init, size);
        else
            std::memset(state, 0, size);
    }
    t.step = step;
    t.state = state;
    t.drop = drop;
    t.flags |= engine::scope::once;
    op->refs.store(2, std::memory_order_relaxed); // one is the task's own, while it runs
    op->unpin();
    op->enlist();
    ++l->running_tasks;
    eddy::detail::set_number(t.slot, *l->core);
    l->core->adopt(t, l->core->root, task_kind);
    if (t.has(engine::scope::cancelled)) { // inherited; a step function is told once
        t.flags &= ~std::uint32_t{engine::scope::cancelled};
        t.flags |= engine::scope::requested;
    }
    engine::retain(t); // the op's
    l->touched();
    return op;
}

} // namespace

eddy_op* eddy_spawn(eddy_loop* loop, eddy_step_fn step, void* state, eddy_free_fn drop) noexcept {
    return spawn(loop, step, state, drop, nullptr, 0);
}

eddy_op* eddy_spawn_copy(eddy_loop* loop, eddy_step_fn step, const void* init, std::size_t size) noexcept {
    return spawn(loop, step, nullptr, nullptr, init, size);
}

int eddy_await(eddy_task* task, eddy_op* op, std::uint32_t point) noexcept {
    if (task == nullptr || !task->in_step || task->awaiting) {
        if (task != nullptr) task->op->loop->misused(EDDY_ESTATE, "eddy_await outside of a step, or twice in one");
        eddy_unref(op);
        return EDDY_ESTATE;
    }
    eddy_loop& l = *task->op->loop;
    l.sync();
    eddy_unref(std::exchange(task->awaited, nullptr));
    task->point = point;
    if (op == nullptr) return EDDY_STEP_READY;
    int status = eddy::capi::check_consumable(l, *op);
    if (status == EDDY_OK && op == task->op) status = EDDY_EINVAL;
    if (status != EDDY_OK) [[unlikely]] {
        const char* wrong = op->loop != &l   ? "an op of another loop was awaited"
                            : op == task->op ? "a task awaits itself"
                                             : "the op has a consumer already";
        eddy_unref(op);
        task->awaited = failed_op(l, status, wrong);
        return EDDY_STEP_READY;
    }
    task->awaited = op;
    static_cast<void>(l.core->enter(*task, await_kind)); // budget and hooks
    op->consume_by(&tell_task).task = task;
    if (op->is_done() && l.core->budget_left()) {
        op->told = nullptr;
        op->look();
        return EDDY_STEP_READY;
    }
    task->awaiting = true;
    task->yielding = op->is_done() || op->yields();
    if (op->is_done() && !op->delivery_pending()) op->deliver_later();
    return EDDY_STEP_WAIT;
}

std::uint32_t eddy_task_point(const eddy_task* task) noexcept { return task == nullptr ? 0 : task->point; }

void eddy_task_set_point(eddy_task* task, std::uint32_t point) noexcept {
    if (task != nullptr) task->point = point;
}

eddy_op* eddy_task_awaited(const eddy_task* task) noexcept { return task == nullptr ? nullptr : task->awaited; }
int eddy_task_status(const eddy_task* task) noexcept { return eddy_op_status(eddy_task_awaited(task)); }
void* eddy_task_take(eddy_task* task) noexcept { return eddy_op_take(eddy_task_awaited(task)); }
std::int64_t eddy_task_number(const eddy_task* task) noexcept { return eddy_op_number(eddy_task_awaited(task)); }

int eddy_return(eddy_task* task, void* value, eddy_free_fn value_free) noexcept {
    if (task == nullptr) {
        free_value(value_free, value);
    } else {
        task->fail(EDDY_OK, nullptr);
        task->op->out.set_value(value, value_free);
    }
    return EDDY_STEP_DONE;
}

int eddy_return_number(eddy_task* task, std::int64_t number) noexcept {
    eddy_return(task, nullptr, nullptr);
    if (task != nullptr) task->op->out.number = number;
    return EDDY_STEP_DONE;
}

int eddy_fail(eddy_task* task, int status, const char* message) noexcept {
    return eddy_fail_with(task, status, message, nullptr, nullptr);
}

int eddy_fail_with(eddy_task* task, int status, const char* message, void* value, eddy_free_fn value_free) noexcept {
    if (task == nullptr) {
        free_value(value_free, value);
    } else {
        task->fail(status < 0 ? status : EDDY_EINVAL, message);
        task->op->out.set_value(value, value_free);
    }
    return EDDY_STEP_DONE;
}

int eddy_propagate(eddy_task* task) noexcept {
    if (task == nullptr) return EDDY_STEP_DONE;
    eddy_op* const from = task->awaited;
    if (from == nullptr)
        task->fail(EDDY_ENOMEM, nullptr);
    else if (!from->look())
        task->fail(EDDY_ESTATE, "eddy_propagate of an op that has not finished");
    else
        task->op->out.take_from(from->out);
    return EDDY_STEP_DONE;
}

int eddy_task_cancelled(const eddy_task* task) noexcept {
    return task != nullptr && task->has(engine::scope::requested) ? 1 : 0;
}

void eddy_task_uncancel(eddy_task* task) noexcept {
    if (task != nullptr) task->flags &= ~(std::uint32_t{engine::scope::requested} | engine::scope::interrupt);
}

eddy_op* eddy_task_op(const eddy_task* task) noexcept { return task == nullptr ? nullptr : task->op; }
eddy_loop* eddy_task_loop(const eddy_task* task) noexcept { return task == nullptr ? nullptr : task->op->loop; }
eddy_task* eddy_task_current(const eddy_loop* loop) noexcept { return loop == nullptr ? nullptr : loop->current; }

// ---- wakers

struct eddy_waker final : eddy::capi::loop_object {
    eddy_waker(eddy_loop& l, task_op& t) noexcept : loop_object(l), of(&t) { t.retain(); }
    ~eddy_waker() { of->release(); }
    void handle(unsigned requests) noexcept override {
        if ((requests & request::wake) != 0 && of->is_running_task() && !loop->over()) {
            of->task_.wake();
            loop->touched();
        }
        if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
    }
    task_op* of;
};

eddy_waker* eddy_task_waker(eddy_task* task) noexcept {
    return task == nullptr ? nullptr : eddy::capi::make<eddy_waker>(*task->op->loop, static_cast<task_op&>(*task->op));
}

void eddy_waker_wake(eddy_waker* waker) noexcept {
    if (waker != nullptr) waker->ask(eddy_waker::request::wake);
}
