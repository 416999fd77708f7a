// eddy_op: anything that finishes later, as C sees it.
//
// Three moments: the wait ends (granted, or cancelled); the op is *delivered* to its consumer from the drain loop, one
// trip through the ready queue later; the outcome is *looked at*, by delivery or by eddy_op_status(), whichever is
// first. Until then what was granted stays inside the operation, whose destructor gives it back.
#pragma once

#include "internal.hpp"

#include <cstring>
#include <exception>
#include <new>
#include <utility>

namespace eddy::capi {

// A copied message. Without memory for it there is none.
class text {
public:
    text() noexcept = default;
    text(const text&) = delete;
    text(text&& o) noexcept : chars_(std::exchange(o.chars_, nullptr)) {}
    text& operator=(text&& o) noexcept {
        std::swap(chars_, o.chars_);
        return *this;
    }
    ~text() { clear(); }
    void set(const char* s) noexcept {
        clear();
        if (s == nullptr || *s == '\0') return;
        const std::size_t length = std::strlen(s);
        chars_ = static_cast<char*>(engine::allocate(block_for(length)));
        if (chars_ != nullptr) std::memcpy(chars_, s, length + 1);
    }
    [[nodiscard]] const char* c_str() const noexcept { return chars_ == nullptr ? "" : chars_; }

private:
    void clear() noexcept {
        if (chars_ != nullptr) engine::deallocate(chars_, block_for(std::strlen(chars_)));
        chars_ = nullptr;
    }
    // A block of the pool has room for a link at least.
    static std::size_t block_for(std::size_t length) noexcept { return length < 16 ? 16 : length + 1; }
    char* chars_ = nullptr;
};

// What an op ends with. Owns the value.
struct outcome {
    int status = EDDY_OK;
    std::int64_t number = 0;
    void* value = nullptr;
    eddy_free_fn value_free = nullptr;
    text message;

    outcome() noexcept = default;
    outcome(const outcome&) = delete;
    ~outcome() { free_value(value_free, std::exchange(value, nullptr)); }
    void set_value(void* v, eddy_free_fn f) noexcept {
        void* const old = std::exchange(value, v);
        free_value(std::exchange(value_free, f), old);
    }
    void set(int s, const char* m) noexcept {
        status = s;
        message.set(m);
    }
    void take_from(outcome& o) noexcept {
        status = o.status;
        number = o.number;
        message = std::move(o.message);
        set_value(std::exchange(o.value, nullptr), o.value_free);
    }
};

[[nodiscard]] int status_of(engine::status s) noexcept;
// What an exception is in C; what() becomes the message. Called inside a handler.
void set_current_exception(outcome& o) noexcept;
// Memory for an op of type T; null when there is none.
template <class T, class... Args>
[[nodiscard]] T* make(Args&&... args) noexcept {
    static_assert(alignof(T) <= 16);
    void* block = engine::allocate(sizeof(T));
    return block == nullptr ? nullptr : ::new (block) T(std::forward<Args>(args)...);
}
template <class T>
void destroy_block(T* op) noexcept {
    op->~T();
    engine::deallocate(op, sizeof(T));
}

} // namespace eddy::capi

struct eddy_op : eddy::capi::loop_object {
    explicit eddy_op(eddy_loop& l) noexcept;

    // ---- outcome
    // Finished, whether or not anybody has looked.
    [[nodiscard]] bool is_done() const noexcept { return ended || wait_is_over(); }
    // Looks: the outcome is in `out` when this is true.
    bool look() noexcept {
        if (!ended && wait_is_over()) absorb();
        if (ended && !looked) {
            looked = true;
            was_looked_at();
        }
        return ended;
    }
    // The outcome is settled. A cancellation that a deadline asked for is a timeout.
    void end(int status) noexcept;
    // A finished op that nobody has looked at is made one that was cancelled. False when it can't be.
    bool undo() noexcept;

    // ---- cancelling
    void cancel(bool by_deadline) noexcept;
    void set_deadline(std::int64_t when) noexcept;

    // ---- the consumer
    void consume_by(eddy_task& t) noexcept;
    void consume_by(eddy_done_fn fn, void* user, eddy_free_fn drop) noexcept;
    [[nodiscard]] bool has_consumer() const noexcept { return task != nullptr || fn != nullptr; }
    // For good: an op has at most one consumer.
    [[nodiscard]] bool is_consumed() const noexcept { return consumed; }
    // The end of an op without a wait of its own, or of one that was looked at before, is told from the ready queue.
    void deliver_later() noexcept;
    // From the drain loop. The op may be gone afterwards.
    void deliver() noexcept;
    // A trip through the ready queue is on its way, at the end of which deliver() is called.
    [[nodiscard]] bool delivery_pending() const noexcept { return delivery.linked() || wait_is_pending(); }

    // ---- ends
    // The loop closes: no callback any more.
    void close() noexcept;
    void enlist() noexcept;
    void delist() noexcept;

    // Giving way is part of it, though it is done (a sleep of no length).
    [[nodiscard]] virtual bool yields() const noexcept { return false; }
    // "queue.get", for dumps.
    [[nodiscard]] virtual const char* kind_name() const noexcept = 0;
    [[nodiscard]] virtual bool is_promise() const noexcept { return false; }
    [[nodiscard]] virtual bool is_running_task() const noexcept { return false; }
    [[nodiscard]] eddy_op* next_listed() const noexcept { return next_op; }

    eddy::capi::outcome out;
    bool ended = false;
    bool looked = false;
    bool cancel_asked = false;
    bool timed_out = false;
    bool no_deadline = false; // there was no memory for its deadline
    bool is_cancelling = false;
    bool consumed = false;

    eddy_task* task = nullptr; // consumer
    eddy_done_fn fn = nullptr; // consumer
    void* user = nullptr;
    eddy_free_fn drop = nullptr;

protected:
    ~eddy_op() = default;
    void handle(unsigned requests) noexcept override;

    // The wait has an outcome that nobody has taken.
    [[nodiscard]] virtual bool wait_is_over() const noexcept { return false; }
    // It is in the ready queue.
    [[nodiscard]] virtual bool wait_is_pending() const noexcept { return false; }
    // wait_is_over(): moves the outcome to `out` and calls end().
    virtual void absorb() noexcept {}
    // Ends the wait where it stands, gives back what it was granted.
    virtual void let_go() noexcept {}
    // Asks what it stands for to end early.
    virtual void cancel_wait() noexcept = 0;
    virtual void was_looked_at() noexcept {}
    // The loop closes, and it has not finished.
    virtual void abort() noexcept;
    // The last reference has gone. Leaves cancel; tasks go on.
    virtual void abandon() noexcept;
    virtual void destroy() noexcept = 0;

    // Where `w` is in the ready queue, the delivery is from now on.
    void deliver_instead_of(eddy::engine::waiter& w) noexcept;

private:
    struct delivery_node : eddy::engine::runnable {
        eddy_op* op = nullptr;
    };
    struct deadline_timer : eddy::engine::timer {
        eddy_op* op = nullptr;
    };
    void drop_deadline() noexcept {
        if (deadline.armed()) loop->core->disarm(deadline);
    }
    void report_unseen() noexcept;
    // What a promise was given can't be given back, only destroyed or reported.
    void settle_if_promise() noexcept;
    static void resume_delivery(eddy::engine::runnable& r) noexcept;
    static void deadline_passed(eddy::engine::timer& t) noexcept;

    delivery_node delivery;
    deadline_timer deadline;
    eddy_op* next_op = nullptr; // in loop->ops
    eddy_op** op_link = nullptr;
    eddy_op* next_cancel = nullptr;
};

namespace eddy::capi {

// An op that has failed from the start; null without memory for it.
[[nodiscard]] eddy_op* failed_op(eddy_loop& l, int status, const char* message = nullptr) noexcept;

} // namespace eddy::capi
