#include <eddy/core/record.hpp>
#include <eddy/core/task.hpp>
#include <eddy/core/task_handle.hpp>

#include "core/state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <typeinfo>

namespace eddy::detail {

void throw_frameless(bool moved_from) {
    if (moved_from)
        throw std::logic_error("eddy: an empty task can't be awaited or spawned: it was moved from, or awaited before");
    throw std::bad_alloc();
}

void bad_coroutine_frame(const std::source_location& at) noexcept {
    std::fprintf(
        stderr,
        "eddy: the coroutine at %s:%u was miscompiled: the compiler (GCC before 12.4) hands out a frame that was "
        "never allocated. Usual cause: `if (co_await x)` or `while (co_await x)`. Write `bool ok = co_await x;` "
        "first, or use GCC 13 or clang. See docs/compilers.md.\n",
        at.file_name(), static_cast<unsigned>(at.line()));
    std::abort();
}

void store_current_exception(result_slot& slot) noexcept {
    std::exception_ptr e = std::current_exception();
    bool is_cancelled = false;
#if defined(__GLIBCXX__)
    // Rethrowing only to learn the type would double the cost of every cancellation.
    const std::type_info* type = e.__cxa_exception_type();
    is_cancelled = type != nullptr && *type == typeid(cancelled);
#else
    try {
        std::rethrow_exception(e);
    } catch (const cancelled&) {
        is_cancelled = true;
    } catch (...) {
    }
#endif
    // Also `cancelled` is kept: finding out its reason anew at each level would cost the square of the depth.
    slot.error = std::move(e);
    slot.st = is_cancelled ? engine::status::cancelled : engine::status::exception;
}

void destroy_chain(result_slot& top, engine::waiter* leaf) noexcept {
    void* frame = leaf != nullptr ? leaf->target : top.child;
    // Leaf first, and each frame cut off from its owner before it goes: no recursion however deep the chain.
    while (frame != nullptr) {
        result_slot* slot = std::coroutine_handle<promise_base>::from_address(frame).promise().slot;
        slot->child = nullptr;
        std::coroutine_handle<>::from_address(frame).destroy();
        if (slot == &top) break;
        frame = slot->parent();
    }
}

task_extension& extension_of(engine::task_record& r) {
    task_extension* x = find_extension(r);
    if (x == nullptr) {
        x = new task_extension;
        r.set_extension(*x);
    }
    return *x;
}

std::string name_of(const engine::task_record& r) {
    const task_extension* x = find_extension(r);
    return x != nullptr && !x->name.empty() ? x->name : "task-" + std::to_string(number_of(r));
}

cancel_reason reason_of(const engine::task_record& r) {
    const auto kind = static_cast<cancel_kind>(r.reason());
    const task_extension* x = find_extension(r);
    return x == nullptr ? cancel_reason(kind) : cancel_reason(kind, x->cancel_text);
}

bool cancel_task(engine::task_record& r, const cancel_reason& reason) noexcept {
    if (r.has(engine::scope::finished)) return false;
    if (!r.has(engine::scope::requested) && !reason.text().empty()) {
        try {
            extension_of(r).cancel_text = reason.text();
        } catch (const std::bad_alloc&) {
            // The reason stays without its text.
        }
    }
    engine::cancel_scope_tree(r, static_cast<engine::why>(reason.kind()));
    return true;
}

bool cancel_by_handle(engine::task_record& r, const cancel_reason& reason) {
    if (r.has(engine::scope::finished)) return false; // its loop may have gone
    check_thread(loop_state::of(*r.loop), "cancel() of a task handle");
    return cancel_task(r, reason);
}

std::exception_ptr exception_of(engine::task_record& r) {
    result_slot& s = slot_of(r);
    r.flags |= engine::scope::observed;
    if (s.st == engine::status::cancelled) return std::make_exception_ptr(task_cancelled(reason_of(r), name_of(r)));
    return s.error;
}

void apply(engine::task_record& r, const spawn_options& o) {
    if (!o.name().empty()) extension_of(r).name = o.name();
    if (o.exception_handler()) extension_of(r).handler = o.exception_handler();
}

const engine::task_record& record_of_start(const engine::runnable& start) noexcept {
    // `start` is the union member of the record's scope.
    const auto* s =
        reinterpret_cast<const engine::scope*>(reinterpret_cast<const char*>(&start) - offsetof(engine::scope, start));
    return static_cast<const engine::task_record&>(*s);
}

void begin_record(engine::runnable& start) noexcept {
    engine::task_record& r = engine::begin_task(start);
    engine::loop_core& l = *r.loop;
    l.running = &r;
    if (r.has(engine::scope::cancelled)) {
        // Never ran: the frame, and with it the arguments, goes without having been entered.
        slot_of(r).st = engine::status::cancelled;
        l.finish_later(r);
        return;
    }
    resume_address(slot_of(r).child);
}

namespace {

// The frames of a task that failed, was cancelled or is destroyed where it stands.
void destroy_ended_frames(engine::task_record& r, result_slot& top) noexcept;

// Handles may keep the record for long; the values are the task's, and go with it.
void drop_locals(engine::task_record& r) noexcept {
    if (task_extension* const x = find_extension(r); x != nullptr) const local_values dead = std::move(x->locals);
}

} // namespace

void destroy_record_frames(engine::task_record& r) noexcept {
    result_slot& top = slot_of(r);
    if (top.st == engine::status::ok && top.child != nullptr) [[likely]] {
        std::coroutine_handle<>::from_address(std::exchange(top.child, nullptr)).destroy();
        if (r.has_more()) [[unlikely]]
            drop_locals(r);
        return;
    }
    destroy_ended_frames(r, top);
}

namespace {

void destroy_ended_frames(engine::task_record& r, result_slot& top) noexcept {
    if (top.child != nullptr) {
        engine::scope* s = &r;
        while (s->live.first_child != nullptr)
            s = s->live.first_child;
        engine::waiter* leaf = r.has(engine::scope::abandoned) ? s->live.wait : nullptr;
        destroy_chain(top, leaf);
    }
    if (top.st == engine::status::pending) top.st = engine::status::cancelled;
    if (top.st == engine::status::cancelled) {
        top.error = nullptr;
        r.flags |= engine::scope::ended_cancelled;
        if (!r.has(engine::scope::requested)) {
            // The reason of whoever cancelled from above.
            if (const engine::scope* by = engine::cancelling_scope(r); by != nullptr) {
                r.flags |= static_cast<std::uint32_t>(by->reason()) << engine::scope::why_shift;
            } else if (!r.has(engine::scope::abandoned)) {
                top.st = engine::status::exception;
                top.error = std::make_exception_ptr(std::logic_error(
                    "eddy: task '" + name_of(r) + "' threw eddy::cancelled, but nobody had cancelled it"));
                r.flags &= ~std::uint32_t{engine::scope::ended_cancelled};
            }
        }
    }
    if (top.st == engine::status::exception) r.flags |= engine::scope::failed;
    drop_locals(r);
}

} // namespace

void finish_record(void* root) noexcept {
    auto& r = static_cast<engine::task_record&>(*static_cast<engine::scope*>(root));
    engine::loop_core& l = *r.loop;
    l.running = &r; // destructors in the frame are part of the task
    destroy_record_frames(r);
    l.running = nullptr;
    l.leave(r);
}

void about_to_dispose(engine::task_record& r) noexcept {
    if (r.has(engine::scope::failed) && !r.has(engine::scope::observed))
        report(is_alive(r.loop) ? &loop_state::of(*r.loop) : nullptr, &r, "a task failed and nobody awaited it",
               slot_of(r).error);
    delete find_extension(r);
    r.drop_extension();
}

std::size_t describe_join(const engine::task_record& awaited, char* out, std::size_t room) noexcept {
    const int n = std::snprintf(out, room, "task %llu '%s'", static_cast<unsigned long long>(number_of(awaited)),
                                name_of(awaited).c_str());
    return n < 0 ? 0 : std::min(static_cast<std::size_t>(n), room == 0 ? 0 : room - 1);
}

} // namespace eddy::detail
