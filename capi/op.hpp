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
// Memory of the loop, whether it drains or not. By its owner.
[[nodiscard]] inline void* allocate_on(eddy_loop& l, std::size_t size) noexcept {
    if (l.over() || l.core->draining()) return engine::allocate(size);
    return l.core->memory().allocate(size);
}
// Memory for an object of type T; null when there is none.
template <class T, class... Args>
[[nodiscard]] T* make(eddy_loop& l, Args&&... args) noexcept {
    static_assert(alignof(T) <= 16);
    void* block = allocate_on(l, sizeof(T));
    return block == nullptr ? nullptr : ::new (block) T(l, std::forward<Args>(args)...);
}
template <class T>
void destroy_block(T* op) noexcept {
    op->T::~T();
    engine::deallocate(op, sizeof(T));
}

} // namespace eddy::capi

struct eddy_op : eddy::capi::loop_object {
    explicit eddy_op(eddy_loop& l, made where = made::on_the_loop) noexcept;

    // ---- outcome
    // Finished, whether or not anybody has looked.
    [[nodiscard]] bool is_done() const noexcept { return ended || wait_is_over(); }
    // Looks: the outcome is in `out` when this is true.
    bool look() noexcept {
        if (!ended && wait_is_over()) look_at_all();
        if (ended && !looked) {
            looked = true;
            was_looked_at();
        }
        return ended;
    }
    // is_done(): the status that look() would find, without looking.
    [[nodiscard]] int peek() const noexcept { return ended ? out.status : final_status(wait_status()); }
    // The outcome is settled.
    void end(int status) noexcept;
    // A finished op that nobody has looked at is made one that was cancelled. False when it can't be.
    bool undo() noexcept;

    // ---- cancelling
    void cancel(bool by_deadline) noexcept;
    void set_deadline(std::int64_t when) noexcept;
    [[nodiscard]] std::uint64_t deadline_time() const noexcept {
        return deadline.armed() ? static_cast<std::uint64_t>(loop->core->deadline_of(deadline)) : EDDY_FOREVER;
    }

    // ---- the consumer: at most one, for good. It is told once, from the drain loop; the reference is its own.
    using told_function = void (*)(eddy_op&) noexcept;
    union consumer_data {
        eddy_task* task;
        struct {
            eddy_done_fn fn;
            void* user;
            eddy_free_fn drop;
        } call;
        struct {
            void* parent;
            eddy_op* next; // a group's members
            eddy_op** link;
        } part;
    };
    consumer_data& consume_by(told_function f) noexcept {
        told = f;
        consumed = true;
        unpin();
        return consumer;
    }
    void consume_by(eddy_done_fn fn, void* user, eddy_free_fn drop) noexcept;
    [[nodiscard]] bool is_consumed() const noexcept { return consumed; }
    // Somebody is to be told.
    [[nodiscard]] bool is_awaited() const noexcept { return told != nullptr || joins != nullptr; }
    // Nobody is interested any more; who was drops its reference. What it stands for goes on.
    void leave_alone() noexcept;
    // The same as consumer: keeps the op going until it has finished.
    static void tell_nobody(eddy_op& op) noexcept;
    // The end of an op without a wait of its own, or of one that was looked at before, is told from the ready queue.
    void deliver_later() noexcept;
    // From the drain loop. The op may be gone afterwards.
    void deliver() noexcept;
    // A trip through the ready queue is on its way, at the end of which deliver() is called.
    [[nodiscard]] bool delivery_pending() const noexcept { return delivery.linked() || wait_is_pending(); }

    // ---- ends
    // The loop closes: no callback any more.
    void close() noexcept;
    // An error that nobody has looked at, to be told to the hook.
    void report_later() noexcept;
    void enlist() noexcept;
    void delist() noexcept;

    // Giving way is part of it, though it is done (a sleep of no length).
    [[nodiscard]] virtual bool yields() const noexcept { return false; }
    // False: a task that is cancelled takes what it awaited all the same.
    [[nodiscard]] virtual bool can_be_undone() const noexcept { return true; }
    // "queue.get", for dumps.
    [[nodiscard]] virtual const char* kind_name() const noexcept = 0;
    // EDDY_KIND_…
    [[nodiscard]] virtual std::uint32_t kind_number() const noexcept { return EDDY_KIND_SYNC; }
    [[nodiscard]] virtual bool is_promise() const noexcept { return false; }
    [[nodiscard]] virtual bool is_running_task() const noexcept { return false; }
    // Code of the program runs for it, on another thread, and uses its memory.
    [[nodiscard]] virtual bool is_held_by_worker() const noexcept { return false; }
    // The parts of a gather or race.
    [[nodiscard]] virtual std::size_t part_count() const noexcept { return 0; }
    [[nodiscard]] virtual eddy_op* part(std::size_t) const noexcept { return nullptr; }
    // Tasks: times resumed, and what is awaited.
    [[nodiscard]] virtual std::uint64_t steps() const noexcept { return 0; }
    [[nodiscard]] virtual const eddy_op* awaited_op() const noexcept { return nullptr; }
    [[nodiscard]] virtual const char* waiting_for() const noexcept { return is_done() ? "" : kind_name(); }
    // The name is in the tasks' tree too.
    virtual void was_named() noexcept {}
    [[nodiscard]] eddy_op* next_listed() const noexcept { return next_op; }

    eddy::capi::outcome out;
    bool ended = false;
    bool looked = false;
    bool cancel_asked = false;
    bool timed_out = false;
    bool no_deadline = false; // there was no memory for its deadline
    bool is_cancelling = false;
    bool consumed = false;

    told_function told = nullptr; // the consumer, until it has been told
    consumer_data consumer;
    eddy_op* joins = nullptr; // who else wants to hear: eddy_op_join
    eddy::capi::text name;
    std::uint64_t id = 0; // given when first asked for
    std::int64_t created;

protected:
    ~eddy_op() = default;
    void handle(unsigned requests) noexcept override;

    // The wait has an outcome that nobody has taken.
    [[nodiscard]] virtual bool wait_is_over() const noexcept { return false; }
    // wait_is_over(): what absorb() would end it with.
    [[nodiscard]] virtual int wait_status() const noexcept { return EDDY_OK; }
    // It is in the ready queue.
    [[nodiscard]] virtual bool wait_is_pending() const noexcept { return false; }
    // wait_is_over(): moves the outcome to `out` and calls end().
    virtual void absorb() noexcept {}
    // wait_is_over(): the next finished op that must be looked at before.
    [[nodiscard]] virtual eddy_op* unlooked_part() noexcept { return nullptr; }
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
    // The last reference has gone. False: the hook for unhandled errors gets the op, and it comes back.
    bool report_unseen() noexcept;
    void drop_deadline() noexcept {
        if (deadline.armed()) loop->core->disarm(deadline);
    }

private:
    void look_at_all() noexcept;
    struct delivery_node : eddy::engine::runnable {
        eddy_op* op = nullptr;
    };
    struct deadline_timer : eddy::engine::timer {
        eddy_op* op = nullptr;
    };
    // A cancellation that a deadline asked for is a timeout.
    [[nodiscard]] int final_status(int s) const noexcept {
        return s != EDDY_ECANCELED ? s : no_deadline ? EDDY_ENOMEM : timed_out ? EDDY_ETIMEDOUT : EDDY_ECANCELED;
    }
    [[nodiscard]] bool is_unseen_error() const noexcept;
    // What a promise was given can't be given back, only destroyed or reported.
    void settle_if_promise() noexcept;
    static void resume_delivery(eddy::engine::runnable& r) noexcept;
    static void deadline_passed(eddy::engine::timer& t) noexcept;
    static void tell_call(eddy_op& op) noexcept;
    static void tell_unhandled(eddy_op& op) noexcept;

    delivery_node delivery;
    deadline_timer deadline;
    eddy_op* next_op = nullptr; // in loop->ops
    eddy_op** op_link = nullptr;
    eddy_op* next_cancel = nullptr; // of those that are being cancelled, or looked at
};

namespace eddy::capi {

// An op that has failed from the start; null without memory for it.
[[nodiscard]] eddy_op* failed_op(eddy_loop& l, int status, const char* message = nullptr) noexcept;

// An op that our own code finishes.
struct settled_op : eddy_op {
    using eddy_op::eddy_op;

protected:
    ~settled_op() = default;
    [[nodiscard]] bool wait_is_over() const noexcept final { return settled; }
    [[nodiscard]] int wait_status() const noexcept override { return settled_with; }
    void absorb() noexcept override { end(settled_with); }
    // Told to its consumer later.
    void settle(int status) noexcept {
        settled = true;
        settled_with = status;
        drop_deadline();
        if (is_awaited() && !delivery_pending()) deliver_later();
        loop->touched();
    }
    bool settled = false;
    int settled_with = EDDY_OK;
};

// The op finishes with its outcome for who joined it.
void tell_joins(eddy_op& op) noexcept;
// An error that nobody will see, without its op.
void report_moved(eddy_loop& l, outcome& o) noexcept;
// All references that a failed combination was given: cancelled, but for those that have a consumer already.
void cancel_and_release(eddy_op* const* ops, std::size_t n) noexcept;
// What is wrong with an op that is to be consumed on `l`: EDDY_OK, EDDY_EINVAL, EDDY_EBUSY.
[[nodiscard]] int check_consumable(const eddy_loop& l, const eddy_op& op) noexcept;

} // namespace eddy::capi
