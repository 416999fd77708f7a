// generator<T>: values that come one after the other, with awaits between them.
//
//     generator<std::string> lines(reader& r) {
//         while (auto line = co_await r.next())
//             co_yield *line;
//     }
//     auto gen = lines(r);
//     while (auto line = co_await gen.next())
//         use(*line);
//
// The body runs only while somebody awaits next(), in the scopes of whoever does: their time limits and cancellations
// are the body's. Nothing runs between two values, so a generator that is never asked costs nothing and needs no end.
// A value goes straight from co_yield to next(), without a trip through the ready queue; as with tasks every 128 such
// hops go through the loop, so that a million values that are there at once do not overflow the stack.
#pragma once

#include <eddy/core/task.hpp>

#include <memory>
#include <optional>

namespace eddy {

template <class T>
class generator;

namespace detail {

template <class T>
struct generator_promise;

// Where the next value goes: into the operation that asked for it. `child` is the body's frame while the body runs, and
// when it has ended; null once it has yielded.
template <class T>
struct yield_slot : result_slot {
    std::optional<T> value;
};

[[noreturn]] void throw_generator_busy(const char* what);
void tell_generator_in_use(const std::source_location& at) noexcept;

// Owns the frame of a body. The frame knows its owner, for it may go first: with a task whose frames are destroyed
// while it awaits next().
template <class T>
class generator_frame {
public:
    explicit generator_frame(generator_promise<T>* p) noexcept : promise_(p), made_(p != nullptr) { tie(); }
    generator_frame(generator_frame&& o) noexcept : promise_(std::exchange(o.promise_, nullptr)), made_(o.made_) {
        tie();
    }
    generator_frame& operator=(generator_frame&& o) noexcept {
        if (this == &o) return *this;
        drop();
        promise_ = std::exchange(o.promise_, nullptr);
        made_ = o.made_;
        tie();
        return *this;
    }
    ~generator_frame() { drop(); }

    [[nodiscard]] generator_promise<T>* promise() const noexcept { return promise_; }
    // False: there was no memory for the frame.
    [[nodiscard]] bool made() const noexcept { return made_; }
    void drop() noexcept;

private:
    friend generator_promise<T>;
    void tie() noexcept;
    generator_promise<T>* promise_;
    bool made_;
};

template <class T>
struct generator_promise final : promise_base {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a generator gives objects: yield pointers or values");
    static_assert(alignof(T) <= 16, "over-aligned values are misplaced by GCC and clang: box them");

    // Back to whoever awaits next().
    class yield_awaiter {
    public:
        explicit yield_awaiter(generator_promise& p) noexcept : promise_(p) {}
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
            result_slot& s = *std::exchange(promise_.slot, nullptr);
            s.child = nullptr;
            return transfer(*promise_.where->loop, s.parent());
        }
        void await_resume() const {
            if (promise_.closing) throw cancelled(cancel_reason(cancel_kind::requested, "the generator was closed"));
        }

    private:
        generator_promise& promise_;
    };

    generator_promise() noexcept = default;
    ~generator_promise() {
        if (owner != nullptr) owner->promise_ = nullptr;
    }

    generator<T> get_return_object(std::source_location here = std::source_location::current()) noexcept;
    static generator<T> get_return_object_on_allocation_failure() noexcept;

    // What copying the value throws comes out of this co_yield.
    template <class U = T>
    requires std::is_constructible_v<T, U&&>
    yield_awaiter yield_value(U&& v, std::source_location here = std::source_location::current()) {
        at = here;
        auto& s = static_cast<yield_slot<T>&>(*slot);
        if (!closing) s.value.emplace(std::forward<U>(v));
        s.st = engine::status::ok;
        return yield_awaiter(*this);
    }
    void return_void() noexcept { slot->st = engine::status::ok; }

    [[nodiscard]] bool running() const noexcept { return slot != nullptr; }
    [[nodiscard]] void* frame() noexcept {
        return std::coroutine_handle<generator_promise>::from_promise(*this).address();
    }

    generator_frame<T>* owner = nullptr; // null: dropped while running; who runs it destroys it
    bool started = false;
    bool closing = false; // close(): co_yield throws
};

template <class T>
void generator_frame<T>::tie() noexcept {
    if (promise_ != nullptr) promise_->owner = this;
}

template <class T>
void generator_frame<T>::drop() noexcept {
    generator_promise<T>* p = std::exchange(promise_, nullptr);
    if (p == nullptr) return;
    p->owner = nullptr;
    if (p->running())
        tell_generator_in_use(p->at); // its frame hangs in the chain of the task that awaits it, and goes with that
    else
        std::coroutine_handle<>::from_address(p->frame()).destroy();
}

// Runs a body up to its next co_yield or its end.
template <class T>
class resume_operation : public yield_slot<T>, public operation_tag {
public:
    resume_operation(generator_frame<T>& f, const char* what) noexcept : from_(&f), what_(what) {}
    resume_operation(resume_operation&& o) : from_(o.from_), what_(o.what_) {
        if (o.where_ != nullptr) throw_awaited_twice(what_);
    }
    ~resume_operation() {
        // In the middle: the body ends where it stands.
        if (this->child != nullptr) std::coroutine_handle<>::from_address(this->child).destroy();
    }

    void bind(context& c) {
        if (where_ != nullptr) throw_awaited_twice(what_);
        where_ = c.where;
    }
    bool start() {
        promise_ = from_->promise();
        if (promise_ == nullptr) {
            this->st = from_->made() ? engine::status::ok : engine::status::no_memory;
            return true;
        }
        if (promise_->running()) throw_generator_busy(what_);
        return false;
    }
    std::coroutine_handle<> suspend(void* frame) noexcept {
        this->set_parent(frame);
        this->child = promise_->frame();
        promise_->slot = this;
        promise_->where = where_;
        promise_->started = true;
        return transfer(*where_->loop, this->child);
    }
    engine::status state() noexcept {
        settle();
        return this->st;
    }
    [[noreturn, gnu::always_inline]] inline void fail() {
        settle();
        if (this->result_slot::error != nullptr)
            std::rethrow_exception(std::exchange(this->result_slot::error, nullptr));
        if (this->st == engine::status::cancelled) throw cancelled(reason_at(*where_));
        throw_status(this->st, where_);
    }
    [[nodiscard]] std::exception_ptr error() {
        settle();
        if (this->result_slot::error != nullptr) return this->result_slot::error;
        return error_by_throwing(*this);
    }

protected:
    // A body that has ended, or that nobody owns any more, goes at once, and with it what it was given.
    void settle() noexcept {
        if (promise_ == nullptr) return;
        generator_promise<T>& p = *std::exchange(promise_, nullptr);
        const bool ended = std::exchange(this->child, nullptr) != nullptr;
        if (ended || p.owner == nullptr) std::coroutine_handle<>::from_address(p.frame()).destroy();
    }
    [[nodiscard]] const engine::scope& where() const noexcept { return *where_; }

private:
    generator_frame<T>* from_;
    const char* what_;
    generator_promise<T>* promise_ = nullptr; // from start() until the body has stopped
    engine::scope* where_ = nullptr;
};

template <class T>
class next_operation final : public resume_operation<T> {
public:
    using result_type = std::optional<T>;
    explicit next_operation(generator_frame<T>& f) noexcept : resume_operation<T>(f, "generator.next") {}
    next_operation(next_operation&&) = default;
    result_type take() { return std::move(this->value); }
};

// Lets the body unwind from its co_yield.
template <class T>
class close_operation final : public resume_operation<T> {
public:
    using result_type = void;
    explicit close_operation(generator_frame<T>& f) noexcept : resume_operation<T>(f, "generator.close"), frame_(&f) {
        f.promise()->closing = true;
    }
    close_operation(close_operation&&) = default;
    engine::status state() noexcept {
        const engine::status s = resume_operation<T>::state();
        // The `cancelled` that co_yield threw has done its work; one that came from outside goes on.
        if (s == engine::status::cancelled && !this->where().has(engine::scope::cancelled)) return engine::status::ok;
        return s;
    }
    void take() {
        if (frame_->promise() == nullptr) return;
        frame_->drop();
        throw std::logic_error("eddy: a generator went on to co_yield after it had been closed: it caught `cancelled` "
                               "and did not return");
    }

private:
    generator_frame<T>* frame_;
};

template <class T>
task<void> close_generator(generator_frame<T> f) {
    if (f.promise() == nullptr || !f.promise()->started) co_return;
    close_operation<T> op(f);
    co_await op;
}

} // namespace detail

// What a coroutine with `co_yield` returns: lazily started, move-only, loop-bound. T is an object, move-only ones too;
// its alignment is at most 16. The body may await whatever a task may. Made out of memory, its next() throws
// std::bad_alloc. As with tasks the captures of a coroutine lambda live in the lambda, which has to outlive the
// generator; parameters live in the generator.
//
// Destroying it before its end runs destructors and nothing else; for a clean-up that awaits there is close(), which
// with(lines(r), body) calls. Destroying it while its next() is in progress (in another task) is misuse: one line on
// standard error says so, the body goes on to its next value, which is delivered, and ends there.
template <class T>
class [[nodiscard("a generator does nothing until its next() is awaited")]] generator {
public:
    using promise_type = detail::generator_promise<T>;
    using value_type = T;

    generator(generator&&) noexcept = default;
    generator& operator=(generator&&) noexcept = default;

    // Waits for the next value; empty when the body has ended, and ever after. What the body throws comes out, and ends
    // it. No checkpoint by itself: the body's awaits are. Cancelled inside one of them, the body unwinds and has ended,
    // and next() throws `cancelled`; a value that it yields all the same is delivered. (A loser of a race drops its
    // value, as a task does.) One next() at a time: a second one is std::logic_error. The generator stays where it is
    // until the operation has been awaited. O(1), allocates nothing.
    [[nodiscard]] detail::next_operation<T> next() noexcept { return detail::next_operation<T>(frame_); }

    // Ends it: the co_yield where the body stands throws `cancelled`, and what the body awaits while it unwinds is
    // awaited, in the scopes of whoever closes. Not started or ended: no effects. Afterwards next() is empty, also when
    // the task is destroyed unawaited, which runs destructors only. What the body throws comes out; a co_yield on the
    // way is std::logic_error. No checkpoint by itself. std::logic_error while next() is in progress.
    task<void> close() {
        if (frame_.promise() != nullptr && frame_.promise()->running()) detail::throw_generator_busy("generator.close");
        return detail::close_generator<T>(std::move(frame_));
    }

private:
    friend promise_type;
    explicit generator(promise_type* p) noexcept : frame_(p) {}
    detail::generator_frame<T> frame_;
};

namespace detail {

template <class T>
generator<T> generator_promise<T>::get_return_object(std::source_location here) noexcept {
    handle_of(*this, here);
    return generator<T>(this);
}
template <class T>
generator<T> generator_promise<T>::get_return_object_on_allocation_failure() noexcept {
    return generator<T>(nullptr);
}

} // namespace detail
} // namespace eddy
