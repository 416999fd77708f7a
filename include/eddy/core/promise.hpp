// promise and thread_promise: how callbacks become something to await.
//
//     promise<int> p;
//     start_request([&p](int result) { p.set_value(result); });
//     p.on_cancel([] { stop_request(); });
//     int result = co_await p.get();
//
// Promise and waiter share one block and either may go first. One wait at a time: a wait that was cancelled leaves the
// promise as it is, so that a value which comes later is kept for a later get(), or destroyed with the last of the two.
// A value that was set before the wait was cancelled is delivered; the next checkpoint throws.
#pragma once

#include <eddy/core/operation.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <new>

namespace eddy {

namespace detail {

struct loop_hub;

enum class cell_stage : unsigned char { empty, value, error, broken, taken };

// What a promise and its waiter share, but for the value. thread_promise: any thread holds `guard` while it looks at
// the fields; the mailbox of the loop is locked inside it. The mail node is posted once at most: a value is set once.
struct promise_cell : engine::mail {
    promise_cell(bool any_thread, const char* what) noexcept;
    promise_cell(const promise_cell&) = delete;
    virtual ~promise_cell();

    void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    // ---- the side that sets
    // Throws std::logic_error when it was set before, or (promise) on a foreign thread.
    std::unique_lock<std::mutex> begin_set(const char* function);
    // Wakes whoever waits.
    void end_set(std::unique_lock<std::mutex> lock, cell_stage s) noexcept;
    void set_error(std::exception_ptr e);
    void tell_on_cancel(std::function<void()> f);
    // The promise was destroyed.
    void give_up() noexcept;
    [[nodiscard]] bool is_set() noexcept;
    // A wait for it was cancelled.
    [[nodiscard]] bool is_given_up() noexcept;
    // release(), and if that is the end of a value which nobody waits for any more, on the loop that waited, while
    // there is one. For cells that are waited for once.
    void release_at_home() noexcept;

    // ---- the side that waits, on its loop
    // True when there is something to take. Throws std::logic_error for a second waiter, a second take, another loop.
    bool look(engine::waiter& w);
    void wait(engine::waiter& w) noexcept;
    engine::abort_result abort(engine::waiter& w) noexcept;
    // The wait ended otherwise.
    void forget(engine::waiter& w) noexcept;
    void tell_cancelled() noexcept;
    [[nodiscard]] engine::status settled() const noexcept {
        return stage_ == cell_stage::value ? engine::status::ok : engine::status::exception;
    }
    [[noreturn]] void fail();
    [[nodiscard]] std::unique_lock<std::mutex> lock() noexcept;

    static void* operator new(std::size_t size);
    static void operator delete(void* p, std::size_t size) noexcept { engine::deallocate(p, size); }

protected:
    cell_stage stage_ = cell_stage::empty;
    bool given_up_ = false; // a wait was cancelled: an exception need not be reported
    bool mailed_ = false;   // the node has been posted

private:
    void wake() noexcept;

    std::atomic<std::size_t> refs_{1};
    const bool any_thread_;
    const char* const what_;
    std::mutex guard_;
    engine::waiter* waiting_ = nullptr;
    engine::waiter* next_ = nullptr;    // has looked, and will wait
    engine::loop_core* home_ = nullptr; // promise: the only loop it may be used on
    std::shared_ptr<loop_hub> hub_;     // thread_promise: the loop that waits
    std::exception_ptr error_;
    std::function<void()> on_cancel_;
};

template <class T>
struct value_cell : promise_cell {
    value_cell(bool any_thread, const char* what) noexcept : promise_cell(any_thread, what) {}
    ~value_cell() override {
        if (stage_ == cell_stage::value) std::destroy_at(&value_);
    }
    template <class... V>
    void set(V&&... v) {
        auto held = begin_set("set_value");
        ::new (static_cast<void*>(&value_)) stored_t<T>(std::forward<V>(v)...);
        end_set(std::move(held), cell_stage::value);
    }
    // set() in two steps, for who has something to do between them: nobody sees the value before tell().
    template <class... V>
    void fill(V&&... v) {
        ::new (static_cast<void*>(&value_)) stored_t<T>(std::forward<V>(v)...);
    }
    void tell() noexcept { end_set(lock(), cell_stage::value); }
    T take() {
        const auto held = lock();
        struct leave {
            value_cell& c;
            ~leave() {
                c.stage_ = cell_stage::taken;
                std::destroy_at(&c.value_);
            }
        } at_end{*this};
        return stored<T>::out(value_);
    }

private:
    static_assert(alignof(stored_t<T>) <= 16, "over-aligned values are misplaced in coroutine frames: box them");
    union {
        stored_t<T> value_;
    };
};

// Holds one reference.
template <class Cell>
class cell_ref {
public:
    cell_ref() noexcept = default;
    explicit cell_ref(Cell* owned) noexcept : cell_(owned) {}
    cell_ref(const cell_ref& o) noexcept : cell_(o.cell_) {
        if (cell_ != nullptr) cell_->retain();
    }
    cell_ref(cell_ref&& o) noexcept : cell_(std::exchange(o.cell_, nullptr)) {}
    cell_ref& operator=(cell_ref o) noexcept {
        std::swap(cell_, o.cell_);
        return *this;
    }
    ~cell_ref() {
        if (cell_ != nullptr) cell_->release();
    }
    Cell* operator->() const noexcept { return cell_; }
    Cell& operator*() const noexcept { return *cell_; }
    explicit operator bool() const noexcept { return cell_ != nullptr; }

private:
    Cell* cell_ = nullptr;
};

struct promise_wait {
    static constexpr const char* name = "promise";
};
struct thread_promise_wait {
    static constexpr const char* name = "thread_promise";
};

// Waits for a cell. `Site` names the wait.
template <class T, class Site>
class promise_operation : public leaf_operation<promise_operation<T, Site>> {
    using base = leaf_operation<promise_operation<T, Site>>;
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        return static_cast<promise_operation&>(w).cell_->abort(w);
    }
    // Who sets the promise learns of the cancellation here, and not inside cancel(): no user code runs there.
    static void resume_it(engine::runnable& r) noexcept {
        auto& self = static_cast<promise_operation&>(r);
        engine::loop_core::begin_resume(self);
        if (self.result == engine::status::cancelled) self.cell_->tell_cancelled();
        resume_address(self.target);
    }

public:
    using result_type = T;
    static constexpr engine::wait_kind kind{.name = Site::name,
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_it};

    explicit promise_operation(cell_ref<value_cell<T>> c) noexcept : cell_(std::move(c)) {}
    promise_operation(promise_operation&&) = default;
    ~promise_operation() {
        using enum engine::wait_state;
        const engine::wait_state was = this->engine::waiter::state;
        if (was == waiting || was == aborting || (was == idle && this->where != nullptr)) cell_->forget(*this);
        if (was == waiting || (was == ready && this->result == engine::status::cancelled)) cell_->tell_cancelled();
        base::end(); // a value that nobody took stays in the cell
    }

    bool start() {
        const bool finished = base::start();
        if (this->result == engine::status::cancelled) cell_->tell_cancelled();
        return finished;
    }
    bool attempt() { return cell_->look(*this); }
    void enqueue() noexcept { cell_->wait(*this); }
    [[nodiscard]] engine::status state() const noexcept {
        return base::state() == engine::status::ok ? cell_->settled() : base::state();
    }
    T take() { return cell_->take(); }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::ok) cell_->fail();
        base::fail();
    }

private:
    cell_ref<value_cell<T>> cell_;
};

[[noreturn]] void throw_empty_promise(const char* function);

template <class T, bool AnyThread, class Site>
class promise_handle {
public:
    using result_type = T;

    // std::bad_alloc.
    promise_handle() : cell_(new value_cell<T>(AnyThread, Site::name)) {}
    promise_handle(promise_handle&&) noexcept = default;
    promise_handle& operator=(promise_handle&& o) noexcept {
        if (this != &o) {
            if (cell_) cell_->give_up();
            cell_ = std::move(o.cell_);
        }
        return *this;
    }
    ~promise_handle() {
        if (cell_) cell_->give_up();
    }

    // Gives the value (none for void, an lvalue for T&) to whoever waits, or keeps it until somebody does. The waiter
    // runs later, never inside this call. Whether its wait was cancelled meanwhile does not matter here. Throws
    // std::logic_error when the promise was set before, and what T's constructor throws (then nothing was set).
    template <class U = T>
    requires(std::is_object_v<T> && std::is_constructible_v<T, U &&>)
    void set_value(U&& v) {
        keep("set_value")->set(std::forward<U>(v));
    }
    template <class U = T>
    requires std::is_lvalue_reference_v<U>
    void set_value(std::type_identity_t<U> v) {
        keep("set_value")->set(std::addressof(v));
    }
    void set_value() requires std::is_void_v<T>
    {
        keep("set_value")->set();
    }
    // The waiter gets this exception. One that nobody waits for is reported to the exception handler when the promise
    // goes, unless a wait for it had been cancelled. std::logic_error: set before, or `e` is null.
    void set_exception(std::exception_ptr e) { keep("set_exception")->set_error(std::move(e)); }

    // `f` is called once, on the loop, when a wait for this promise is cancelled (or its frame destroyed), before the
    // waiting task goes on: stop what would set the promise. It may set it; the value is then kept. What it throws goes
    // to the exception handler. Replaces an earlier one; destroyed uncalled by what sets the promise.
    void on_cancel(std::function<void()> f) { keep("on_cancel")->tell_on_cancel(std::move(f)); }

    // Waits for the value and takes it: once. A checkpoint. Throws what set_exception gave; `broken_promise` when the
    // promise is destroyed unset; std::logic_error while another wait goes on, when the value has been taken, and for a
    // promise of another loop. May outlive the promise. Cancelled: nothing is lost, see above.
    [[nodiscard]] promise_operation<T, Site> get() const { return promise_operation<T, Site>(keep("get")); }

    // It was set, whether or not the value has been taken.
    [[nodiscard]] bool is_set() const { return keep("is_set")->is_set(); }
    // False when moved from.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(cell_); }

private:
    // A reference of its own: setting may wake the task that destroys this promise.
    cell_ref<value_cell<T>> keep(const char* function) const {
        if (!cell_) throw_empty_promise(function);
        return cell_;
    }
    cell_ref<value_cell<T>> cell_;
};

} // namespace detail

// Bridges a callback of this thread. Belongs to one loop: the one it was made on, else the one that first waits for it;
// set_* on that loop's thread, inside or outside of its tasks (a libuv callback). Movable, not copyable. T may be void,
// move-only or an lvalue reference. A wait for it counts as woken from outside: no deadlock is reported meanwhile.
// Everything is O(1); setting does not allocate.
template <class T = void>
class promise : public detail::promise_handle<T, false, detail::promise_wait> {
public:
    promise() = default;
};

// The same for callbacks of other threads: set_value, set_exception, on_cancel, is_set and the destructor may be used
// on any thread (one at a time for the destructor and moves, as with any object). Setting wakes the loop that waits,
// does not allocate, and is safe after that loop has gone. A value that nobody takes is destroyed on whichever thread
// lets go last.
template <class T = void>
class thread_promise : public detail::promise_handle<T, true, detail::thread_promise_wait> {
public:
    thread_promise() = default;
};

} // namespace eddy
