// eddy_task: a step function as a task of the engine.
//
// Its record is that of a C++ task without a coroutine, so that it stands in the same tree, is cancelled and dumped
// with the others, and can be joined by them. Delivery of a cancellation is *once*: it interrupts the current await,
// else the next that has not finished; when the awaited op succeeds all the same, it moves on.
#pragma once

#include "op.hpp"

#include <eddy/core/record.hpp>

struct eddy_task final : eddy::detail::record<void> {
    // The awaited op has its turn: goes on in its place, without a trip through the ready queue of its own.
    void op_finished(eddy_op& o) noexcept;
    // Calls the step function and does what it says.
    void run() noexcept;
    void fail(int status, const char* message) noexcept;
    // Goes on, or will not park when it wants to. On the loop; not when it has ended.
    void wake() noexcept;

    eddy_op* op = nullptr; // stands for this task; one block with it
    eddy_step_fn step = nullptr;
    void* state = nullptr;
    eddy_free_fn drop = nullptr;
    eddy_op* awaited = nullptr; // a reference is ours
    eddy::engine::waiter wait;
    std::uint32_t point = 0;
    bool in_step = false;
    bool awaiting = false; // this step has begun an await
    bool yielding = false; // of an op that had finished: only to give way
    bool asked = false;    // the await was asked to end
    bool woken = false;    // before it parked
    std::uint64_t steps = 0;

private:
    void begin_wait() noexcept;
    void give_way(const eddy::engine::wait_kind& kind) noexcept;
    void park() noexcept;
};

namespace eddy::capi {

struct task_op final : eddy_op {
    explicit task_op(eddy_loop& l, std::size_t state_size) noexcept : eddy_op(l), extra(state_size) { task_.op = this; }
    ~task_op() = default;

    // The task's own reference goes; its op is told.
    void finished() noexcept;
    [[nodiscard]] static std::size_t block_size(std::size_t state_size) noexcept {
        return sizeof(task_op) + state_size;
    }
    [[nodiscard]] void* room() noexcept { return reinterpret_cast<char*>(this) + sizeof(task_op); }
    [[nodiscard]] const char* kind_name() const noexcept override { return "task"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_TASK; }
    [[nodiscard]] bool is_running_task() const noexcept override { return !ended; }
    [[nodiscard]] std::uint64_t steps() const noexcept override { return task_.steps; }
    [[nodiscard]] const eddy_op* awaited_op() const noexcept override;
    [[nodiscard]] const char* waiting_for() const noexcept override;

    eddy_task task_;
    const std::size_t extra; // bytes of state behind this block

private:
    void cancel_wait() noexcept override { engine::cancel_scope_tree(task_, engine::why::requested); }
    void was_looked_at() noexcept override { task_.flags |= engine::scope::observed; }
    void abort() noexcept override;
    void abandon() noexcept override;
    void destroy() noexcept override {}
    void was_named() noexcept override;
};

} // namespace eddy::capi
