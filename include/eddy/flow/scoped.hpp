// What timeouts, shields and cancel scopes share: an operation that opens a scope around an inner one.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/core/task.hpp>

#include <string>

namespace eddy::detail {

// A scope with a deadline. Lives in the operation that opens it.
class timed_scope : public engine::scope, public engine::timer {
public:
    timed_scope() noexcept {
        fire = [](engine::timer& t) noexcept {
            auto& s = static_cast<timed_scope&>(t);
            engine::cancel_scope_tree(s, engine::why::timeout);
        };
    }
    ~timed_scope() {
        leave();
        drop_text();
    }

    // From here on what `c` awaits is inside this scope.
    void enter(context& c) noexcept {
        context_ = &c;
        engine::open_scope(*this, *c.where);
        if (loop->running == c.where) loop->running = this;
        c.where = this;
    }
    // Idempotent. The parent stays readable: what ended inside still asks who cancelled it.
    void leave() noexcept {
        if (!is_open()) return;
        if (armed()) loop->disarm(*this);
        engine::unlink_scope(*this);
        context_->where = parent;
        if (loop->running == this) loop->running = parent;
    }

    // False when out of memory. A deadline that has passed cancels at once.
    [[nodiscard]] bool set_deadline(std::int64_t t) noexcept {
        deadline_ = t;
        if (!is_open()) return true;
        loop->disarm(*this);
        flags = t == engine::never ? flags & ~std::uint32_t{timed} : flags | timed;
        if (t == engine::never) return true;
        if (t <= loop->cached_now()) {
            engine::cancel_scope_tree(*this, engine::why::timeout);
            return true;
        }
        return loop->arm(*this, t, true); // what completes at the very deadline has come in time
    }
    [[nodiscard]] std::int64_t deadline_ns() const noexcept { return deadline_; }

    bool cancel_with(const cancel_reason& r) noexcept;

    // Its own cancellation, and no outer one, ended what was inside.
    [[nodiscard]] bool ended_by_own(engine::status inner) const noexcept {
        return inner == engine::status::cancelled && has(requested) && !parent->has(cancelled);
    }

private:
    void drop_text() noexcept;
    context* context_ = nullptr;
    std::int64_t deadline_ = engine::never;
};

// The nearest deadline from `s` upwards; engine::never when there is none.
std::int64_t effective_deadline(const engine::scope& s) noexcept;

// Derived has: `bool opened()` (called with the scope open; false: out of memory), and what operations have.
template <class Derived, class Inner>
class scope_operation : public operation_tag {
public:
    template <class A>
    explicit scope_operation(std::in_place_t, A&& a) : inner_(inner_operation<A>::make(std::forward<A>(a))) {}
    scope_operation(scope_operation&& o) : inner_(std::move(o.inner_)) {
        if (o.context_ != nullptr) throw_awaited_twice("scope");
    }

    void bind(context& c) {
        if (context_ != nullptr) throw_awaited_twice("scope");
        context_ = &c;
    }
    bool start() {
        scope_.enter(*context_);
        try {
            self().before();
            inner_.bind(*context_);
            if (inner_.start()) return finish();
        } catch (...) {
            scope_.leave();
            throw;
        }
        // The inner operation has begun, and may have children: it has to be waited for in any case.
        if (!self().opened()) [[unlikely]]
            result_ = engine::status::no_memory;
        return false;
    }
    auto suspend(void* frame) noexcept {
        if constexpr (transferring<Inner>) {
            const std::coroutine_handle<> next = inner_.suspend(frame);
            give_up_without_memory();
            return next;
        } else {
            inner_.suspend(frame);
            give_up_without_memory();
        }
    }

protected:
    // What the inner operation ended with; closes the scope.
    engine::status close() noexcept {
        if (scope_.is_open()) finish();
        return result_;
    }
    bool finish() noexcept {
        const bool gave_up = result_ == engine::status::no_memory;
        result_ = inner_.state();
        if (gave_up && scope_.ended_by_own(result_)) result_ = engine::status::no_memory;
        scope_.leave();
        return true;
    }
    void before() noexcept {}
    bool opened() noexcept { return true; }

    timed_scope scope_;
    Inner inner_; // after the scope: destroyed while it is still there
    engine::status result_ = engine::status::pending;
    context* context_ = nullptr;

private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }
    // Once it waits, so that the cancellation finds it.
    void give_up_without_memory() noexcept {
        if (result_ == engine::status::no_memory) [[unlikely]]
            engine::cancel_scope_tree(scope_, engine::why::requested);
    }
};

// A `maybe` that holds what `op` gives.
template <class T, class Op>
maybe<T> some_from(Op& op) {
    if constexpr (std::is_void_v<T>) {
        op.take();
        return true;
    } else if constexpr (std::is_reference_v<T>) {
        return maybe<T>(std::ref(op.take()));
    } else {
        return maybe<T>(op.take());
    }
}

} // namespace eddy::detail
