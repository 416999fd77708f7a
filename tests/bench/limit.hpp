// The limit: what a hand-written event loop with C++20 coroutines on libuv costs when it does the workloads of this
// folder and nothing else. It is a yardstick and not a library: one loop a process, no names, no dumps, no handles.
//
// What it does do is real. Frames come from free lists by size class; the ready queue, the wait lists and the children
// of a group are intrusive; awaiting a child is a symmetric transfer with a hop budget; waiters are served in FIFO
// order by handing over; libuv is polled at least every 1,024 resumptions. Every operation tests the cancellation flag
// of its scope before it starts, and whatever waits can be found and aborted through that scope.
#pragma once

#include <uv.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace limit {

// ---- frames

// Free lists by multiples of 16 bytes, filled from chunks that are never given back.
class frame_pool {
public:
    void* allocate(std::size_t size) {
        const std::size_t index = (size + 15) / 16;
        if (index >= free_.size()) [[unlikely]] {
            return ::operator new(size);
        }
        if (block* const b = free_[index]; b != nullptr) [[likely]] {
            free_[index] = b->next;
            return b;
        }
        return carve(index * 16);
    }

    void release(void* memory, std::size_t size) noexcept {
        const std::size_t index = (size + 15) / 16;
        if (index >= free_.size()) [[unlikely]] {
            ::operator delete(memory);
            return;
        }
        free_[index] = ::new (memory) block{free_[index]};
    }

private:
    struct block {
        block* next;
    };
    static constexpr std::size_t chunk_size = std::size_t{1} << 18U;

    [[gnu::noinline]] void* carve(std::size_t size) {
        if (static_cast<std::size_t>(end_ - bump_) < size) {
            bump_ = static_cast<std::byte*>(::operator new(chunk_size));
            end_ = bump_ + chunk_size;
        }
        return std::exchange(bump_, bump_ + size);
    }

    std::array<block*, 64> free_{};
    std::byte* bump_ = nullptr;
    std::byte* end_ = nullptr;
};

// ---- waiters, scopes

struct cancelled {};
struct timeout_error {};

struct waiter;

// A place that can be cancelled: one flag, and the wait that is in progress below it.
struct scope {
    waiter* waiting = nullptr;
    bool is_cancelled = false;

    void cancel();
};

enum class status : std::uint8_t { granted, cancelled };

// Something suspended: linked into the ready queue or into the wait list of a primitive.
struct waiter {
    waiter* next = nullptr;
    std::coroutine_handle<> frame;
};

// A waiter that a scope can abort. `await_transform` binds it.
struct operation : waiter {
    using abort_function = void (*)(operation&);

    operation() = default;
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;

    // Tested once, before the attempt.
    bool refused() {
        if (in->is_cancelled) [[unlikely]] {
            result = status::cancelled;
            return true;
        }
        return false;
    }

    void suspend(std::coroutine_handle<> h, abort_function how) {
        frame = h;
        abort = how;
        in->waiting = this;
    }

    void check() const {
        if (result == status::cancelled) [[unlikely]] {
            throw cancelled();
        }
    }

    scope* in = nullptr;
    abort_function abort = nullptr;
    status result = status::granted;

protected:
    ~operation() = default;
};

inline void scope::cancel() {
    is_cancelled = true;
    if (waiting != nullptr) {
        auto& op = static_cast<operation&>(*waiting);
        op.abort(op);
    }
}

class ready_queue {
public:
    [[nodiscard]] bool empty() const { return head_ == nullptr; }

    void push(waiter& w) {
        w.next = nullptr;
        *tail_ = &w;
        tail_ = &w.next;
    }

    waiter* pop() {
        waiter* const w = head_;
        if (w != nullptr) {
            head_ = w->next;
            if (head_ == nullptr) {
                tail_ = &head_;
            }
        }
        return w;
    }

private:
    waiter* head_ = nullptr;
    waiter** tail_ = &head_;
};

// Waiters made ready together by timers: one entry of the ready queue for up to 14 of them, so that their frames, cold
// by then, can be fetched at once and not one after the other along the links.
struct bundle : waiter {
    std::size_t count = 0;
    std::array<waiter*, 14> members{};
};

// ---- timers

struct timer {
    void (*fire)(timer&) = nullptr;
    std::uint32_t slot = 0;
};

// A 4-ary heap of (deadline, slot); the slot holds the timer. So moving an entry touches no timer, and cancelling one
// empties its slot and leaves the entry behind: it goes when it is the last of the array, when it reaches the top, or
// when half of the entries are such ghosts and the heap is rebuilt. The four children of a node share a cache line.
class timer_heap {
public:
    timer_heap() = default;
    timer_heap(const timer_heap&) = delete;
    timer_heap& operator=(const timer_heap&) = delete;
    ~timer_heap() { std::free(memory_); }

    [[nodiscard]] bool empty() const { return live_ == 0; }

    // The earliest deadline; the heap is not empty.
    std::uint64_t top() {
        drop_ghosts();
        return entries_[0].deadline;
    }

    void add(std::uint64_t deadline, timer& t) {
        t.slot = take_slot(t);
        if (size_ == capacity_) [[unlikely]] {
            grow();
        }
        sift_up(size_++, entry{deadline, t.slot});
        ++live_;
    }

    void cancel(timer& t) {
        --live_;
        if (entries_[size_ - 1].slot == t.slot) {
            give_slot(t.slot);
            --size_;
            return;
        }
        slots_[t.slot].armed = nullptr;
        if (size_ > 2 * live_ + 64) [[unlikely]] {
            rebuild();
        }
    }

    // In batches, so that the timers are on their way into the cache while the heap is worked on. What fires may cancel
    // a timer of its own batch: that one's slot is empty by then.
    void fire(std::uint64_t now) {
        while (size_ != 0 && entries_[0].deadline <= now) {
            std::array<std::uint32_t, 14> due;
            std::size_t count = 0;
            while (count < due.size() && size_ != 0 && entries_[0].deadline <= now) {
                due[count] = entries_[0].slot;
                __builtin_prefetch(&slots_[due[count]]);
                ++count;
                pop();
            }
            for (std::size_t i = 0; i < count; ++i) {
                __builtin_prefetch(slots_[due[i]].armed);
            }
            for (std::size_t i = 0; i < count; ++i) {
                timer* const t = slots_[due[i]].armed;
                give_slot(due[i]);
                if (t != nullptr) {
                    --live_;
                    t->fire(*t);
                }
            }
        }
    }

private:
    struct entry {
        std::uint64_t deadline;
        std::uint32_t slot;
    };
    union slot {
        timer* armed;
        std::uint64_t next_free;
    };
    static constexpr std::uint64_t none = std::numeric_limits<std::uint32_t>::max();

    std::uint32_t take_slot(timer& t) {
        if (free_ == none) {
            slots_.push_back(slot{&t});
            return static_cast<std::uint32_t>(slots_.size() - 1);
        }
        const auto index = static_cast<std::uint32_t>(free_);
        free_ = slots_[index].next_free;
        slots_[index].armed = &t;
        return index;
    }

    void give_slot(std::uint32_t index) {
        slots_[index].next_free = free_;
        free_ = index;
    }

    void drop_ghosts() {
        while (slots_[entries_[0].slot].armed == nullptr) {
            give_slot(entries_[0].slot);
            pop();
        }
    }

    void sift_up(std::size_t hole, entry e) {
        while (hole != 0) {
            const std::size_t parent = (hole - 1) / 4;
            if (entries_[parent].deadline <= e.deadline) {
                break;
            }
            entries_[hole] = entries_[parent];
            hole = parent;
        }
        entries_[hole] = e;
    }

    void sift_down(std::size_t hole, entry e) {
        for (;;) {
            const std::size_t first = 4 * hole + 1;
            if (first >= size_) {
                break;
            }
            for (std::size_t line = 0; line < 4; ++line) {
                __builtin_prefetch(entries_ + 4 * first + 1 + 4 * line); // the children of the children
            }
            const std::size_t past = first + 4 < size_ ? first + 4 : size_;
            std::size_t least = first;
            for (std::size_t child = first + 1; child < past; ++child) {
                least = entries_[child].deadline < entries_[least].deadline ? child : least;
            }
            if (e.deadline <= entries_[least].deadline) {
                break;
            }
            entries_[hole] = entries_[least];
            hole = least;
        }
        entries_[hole] = e;
    }

    void pop() {
        const entry last = entries_[--size_];
        if (size_ != 0) {
            sift_down(0, last);
        }
    }

    void rebuild() {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (slots_[entries_[i].slot].armed != nullptr) {
                entries_[kept++] = entries_[i];
            } else {
                give_slot(entries_[i].slot);
            }
        }
        size_ = kept;
        for (std::size_t i = size_ / 4 + 1; i-- > 0;) {
            if (i < size_) {
                sift_down(i, entries_[i]);
            }
        }
    }

    [[gnu::noinline]] void grow() {
        // Entry 1 starts a cache line, and with it every group of four children.
        const std::size_t wanted = capacity_ == 0 ? 1024 : capacity_ * 2;
        auto* const memory = static_cast<entry*>(std::aligned_alloc(64, (wanted + 4) * sizeof(entry)));
        if (memory == nullptr) {
            std::abort();
        }
        entry* const entries = memory + 3;
        for (std::size_t i = 0; i < size_; ++i) {
            entries[i] = entries_[i];
        }
        std::free(memory_);
        memory_ = memory;
        entries_ = entries;
        capacity_ = wanted;
    }

    entry* memory_ = nullptr;
    entry* entries_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::size_t live_ = 0;
    std::vector<slot> slots_;
    std::uint64_t free_ = none;
};

// ---- the loop

class offloader;

class loop {
public:
    static constexpr int poll_budget = 1024;
    static constexpr int hop_budget = 128;

    loop() {
        uv_loop_init(&uv_);
        uv_timer_init(&uv_, &alarm_);
        uv_async_init(&uv_, &bell_, [](uv_async_t*) {}); // keeps the loop alive, so that polling is real
    }
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop() {
        uv_close(reinterpret_cast<uv_handle_t*>(&alarm_), nullptr);
        uv_close(reinterpret_cast<uv_handle_t*>(&bell_), nullptr);
        uv_run(&uv_, UV_RUN_DEFAULT);
        uv_loop_close(&uv_);
    }

    [[nodiscard]] uv_loop_t* uv() { return &uv_; }

    // Where a coroutine goes next without the ready queue: there, unless the stack has grown by the hop budget.
    std::coroutine_handle<> transfer(std::coroutine_handle<> to) {
        if (++hops_ < hop_budget) [[likely]] {
            return to;
        }
        slot_ = to;
        return std::noop_coroutine();
    }

    // Runs until `finished`.
    void run(const bool& finished) {
        now = uv_hrtime();
        for (;;) {
            for (int budget = poll_budget; budget > 0; --budget) {
                waiter* const w = ready.pop();
                if (w == nullptr) {
                    break;
                }
                if (w->frame) [[likely]] {
                    resume(*w);
                } else {
                    budget -= resume_all(static_cast<bundle&>(*w));
                }
            }
            if (finished) {
                return;
            }
            poll();
        }
    }

    // Makes a waiter ready whose timer has fired.
    void fired(waiter& w) {
        if (open_ == nullptr || open_->count == open_->members.size()) {
            open_ = ::new (frames.allocate(sizeof(bundle))) bundle;
            ready.push(*open_);
        }
        open_->members[open_->count++] = &w;
    }

    frame_pool frames;
    ready_queue ready;
    timer_heap timers;
    std::uint64_t now = 0; // read once a turn
    void (*before_poll)() = nullptr;

private:
    void resume(waiter& w) {
        hops_ = 0;
        w.frame.resume();
        while (slot_) {
            hops_ = 0;
            std::exchange(slot_, nullptr).resume();
        }
    }

    // Returns how many resumptions more than one it was.
    [[gnu::noinline]] int resume_all(bundle& b) {
        for (std::size_t i = 0; i < b.count; ++i) {
            __builtin_prefetch(b.members[i]);
        }
        for (std::size_t i = 0; i < b.count; ++i) {
            __builtin_prefetch(b.members[i]->frame.address());
        }
        for (std::size_t i = 0; i < b.count; ++i) {
            resume(*b.members[i]);
        }
        const int more = static_cast<int>(b.count) - 1;
        frames.release(&b, sizeof(bundle));
        return more;
    }

    void poll() {
        if (before_poll != nullptr) {
            before_poll();
        }
        if (!ready.empty()) {
            uv_run(&uv_, UV_RUN_NOWAIT);
        } else {
            if (!timers.empty()) {
                uv_update_time(&uv_);
                const std::uint64_t at = timers.top();
                const std::uint64_t from = uv_hrtime();
                // libuv may find the alarm due before it polls, and would then wait for ever: hence the stop.
                uv_timer_start(
                    &alarm_, [](uv_timer_t* t) { uv_stop(t->loop); }, at > from ? (at - from + 999'999) / 1'000'000 : 0,
                    0);
            }
            uv_run(&uv_, UV_RUN_ONCE);
        }
        now = uv_hrtime();
        timers.fire(now);
        open_ = nullptr;
    }

    uv_loop_t uv_{};
    uv_timer_t alarm_{};
    uv_async_t bell_{};
    bundle* open_ = nullptr;
    std::coroutine_handle<> slot_;
    int hops_ = 0;
};

inline loop the_loop;

inline void wake(operation& op) {
    op.in->waiting = nullptr;
    the_loop.ready.push(op);
}

inline void wake_cancelled(operation& op) {
    op.result = status::cancelled;
    wake(op);
}

// ---- coroutines

// What is awaited: a reference to the operation, which lives in the awaiting expression or is a named object. Not the
// reference itself: of that, GCC 12 awaits a copy.
template <class Operation>
class awaiter {
public:
    explicit awaiter(Operation& op) : op_(op) {}
    bool await_ready() { return op_.await_ready(); }
    auto await_suspend(std::coroutine_handle<> h) { return op_.await_suspend(h); }
    decltype(auto) await_resume() { return op_.await_resume(); }

private:
    Operation& op_;
};

struct promise_base {
    static void* operator new(std::size_t size) { return the_loop.frames.allocate(size); }
    static void operator delete(void* frame, std::size_t size) { the_loop.frames.release(frame, size); }

    std::suspend_always initial_suspend() noexcept { return {}; }

    template <class Operation>
    awaiter<std::remove_reference_t<Operation>> await_transform(Operation&& op) {
        op.in = in;
        return awaiter<std::remove_reference_t<Operation>>(op);
    }

    scope* in = nullptr;
};

// A child: lazy, run by whoever awaits it, its result left in its promise.
template <class T>
class [[nodiscard]] task {
public:
    struct promise_type : promise_base {
        struct final_awaiter {
            final_awaiter() = default;
            bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
                return the_loop.transfer(h.promise().parent);
            }
            void await_resume() noexcept {}
        };

        task get_return_object() { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        final_awaiter final_suspend() noexcept { return {}; }
        void return_value(T v) { value = std::move(v); }
        void unhandled_exception() { error = std::current_exception(); }

        std::coroutine_handle<> parent;
        std::exception_ptr error;
        T value{};
    };

    task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    task& operator=(task&&) = delete;
    ~task() {
        if (frame_) {
            frame_.destroy();
        }
    }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) { return start(parent, *in); }
    T await_resume() {
        promise_type& promise = frame_.promise();
        if (promise.error) [[unlikely]] {
            std::rethrow_exception(promise.error);
        }
        return std::move(promise.value);
    }

    std::coroutine_handle<> start(std::coroutine_handle<> parent, scope& inside) {
        promise_type& promise = frame_.promise();
        promise.in = &inside;
        promise.parent = parent;
        return the_loop.transfer(frame_);
    }

    scope* in = nullptr;

private:
    explicit task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}

    std::coroutine_handle<promise_type> frame_;
};

class group;

// The root of a task: its scope and its place among the children of a group are in its promise.
class [[nodiscard]] job {
public:
    struct promise_type : promise_base, waiter {
        promise_type() { in = &own; }
        promise_type(const promise_type&) = delete;
        promise_type& operator=(const promise_type&) = delete;
        inline ~promise_type();

        job get_return_object() { return job(*this); }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }

        scope own;
        group* parent = nullptr;
        promise_type* after = nullptr;
        promise_type* before = nullptr;
    };

    explicit job(promise_type& promise) : promise_(&promise) {}
    [[nodiscard]] promise_type& promise() const { return *promise_; }

private:
    promise_type* promise_;
};

// Children that are joined, and cancelled in one of two ways.
class group {
public:
    class join_operation : public operation {
    public:
        explicit join_operation(group& g) : group_(g) {}
        bool await_ready() { return group_.count_ == 0 || refused(); }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                static_cast<join_operation&>(op).group_.joiner_ = nullptr;
                wake_cancelled(op);
            });
            group_.joiner_ = this;
        }
        void await_resume() const { check(); }

    private:
        group& group_;
    };

    void spawn(job j) {
        job::promise_type& p = j.promise();
        p.parent = this;
        p.after = first_;
        if (first_ != nullptr) {
            first_->before = &p;
        }
        first_ = &p;
        ++count_;
        p.frame = std::coroutine_handle<job::promise_type>::from_promise(p);
        the_loop.ready.push(p);
    }

    [[nodiscard]] join_operation join() { return join_operation(*this); }

    // Each child's wait ends with `cancelled`.
    void cancel() {
        for (job::promise_type* p = first_; p != nullptr; p = p->after) {
            p->own.cancel();
        }
    }

    // The frames of the children, all of them suspended in an operation, are destroyed.
    void destroy() {
        while (first_ != nullptr) {
            first_->frame.destroy();
        }
    }

private:
    friend job::promise_type;

    void leave(const job::promise_type& p) {
        (p.before != nullptr ? p.before->after : first_) = p.after;
        if (p.after != nullptr) {
            p.after->before = p.before;
        }
        if (--count_ == 0 && joiner_ != nullptr) {
            wake(*std::exchange(joiner_, nullptr));
        }
    }

    job::promise_type* first_ = nullptr;
    std::size_t count_ = 0;
    operation* joiner_ = nullptr;
};

job::promise_type::~promise_type() {
    if (parent != nullptr) {
        parent->leave(*this);
    }
}

// Runs a job that sets `finished` at its end.
inline void run(job j, const bool& finished) {
    job::promise_type& p = j.promise();
    p.frame = std::coroutine_handle<job::promise_type>::from_promise(p);
    the_loop.ready.push(p);
    the_loop.run(finished);
}

// ---- yield, sleep, timeout

class yield : public operation {
public:
    yield() = default;
    bool await_ready() { return refused(); }
    void await_suspend(std::coroutine_handle<> h) {
        frame = h;
        the_loop.ready.push(*this);
    }
    void await_resume() const { check(); }
};

// Reads the clock: a deadline from the time of the turn would fire early.
class sleep : public operation, public timer {
public:
    explicit sleep(std::uint64_t nanoseconds) : delay_(nanoseconds) {}
    sleep(const sleep&) = delete;
    sleep& operator=(const sleep&) = delete;
    ~sleep() {
        if (armed_) {
            the_loop.timers.cancel(*this);
        }
    }

    bool await_ready() { return refused(); }
    void await_suspend(std::coroutine_handle<> h) {
        suspend(h, [](operation& op) {
            auto& self = static_cast<sleep&>(op);
            the_loop.timers.cancel(self);
            self.armed_ = false;
            wake_cancelled(op);
        });
        fire = [](timer& t) {
            auto& self = static_cast<sleep&>(t);
            self.armed_ = false;
            self.in->waiting = nullptr;
            the_loop.fired(self);
        };
        armed_ = true;
        the_loop.timers.add(uv_hrtime() + delay_, *this);
    }
    void await_resume() const { check(); }

private:
    std::uint64_t delay_;
    bool armed_ = false;
};

// A scope with a deadline around a child, in the frame of whoever awaits it. The deadline counts from the time of the
// turn: reading the clock would double the cost.
template <class T>
class timeout : public operation, public timer {
public:
    timeout(std::uint64_t nanoseconds, task<T> child) : delay_(nanoseconds), child_(std::move(child)) {}

    bool await_ready() { return refused(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) {
        suspend(h, [](operation& op) { static_cast<timeout&>(op).inner_.cancel(); });
        fire = [](timer& t) {
            auto& self = static_cast<timeout&>(t);
            self.expired_ = true;
            self.inner_.cancel();
        };
        the_loop.timers.add(the_loop.now + delay_, *this);
        return child_.start(h, inner_);
    }
    T await_resume() {
        check();
        in->waiting = nullptr;
        if (!expired_) [[likely]] {
            the_loop.timers.cancel(*this);
            return child_.await_resume();
        }
        try {
            return child_.await_resume();
        } catch (const cancelled&) {
            throw timeout_error();
        }
    }

private:
    std::uint64_t delay_;
    task<T> child_;
    scope inner_;
    bool expired_ = false;
};

// ---- mutex, semaphore, queue

struct listed : operation {
    listed* before = nullptr;
};

// A FIFO of operations that can leave from the middle. They share `next` with the ready queue.
class wait_list {
public:
    [[nodiscard]] bool empty() const { return first_ == nullptr; }

    void push(listed& op) {
        op.next = nullptr;
        op.before = last_;
        if (last_ != nullptr) {
            last_->next = &op;
        } else {
            first_ = &op;
        }
        last_ = &op;
    }

    void remove(listed& op) {
        auto* const after = static_cast<listed*>(op.next);
        if (op.before != nullptr) {
            op.before->next = after;
        } else {
            first_ = after;
        }
        (after != nullptr ? after->before : last_) = op.before;
    }

    listed& pop() {
        listed& op = *first_;
        first_ = static_cast<listed*>(op.next);
        (first_ != nullptr ? first_->before : last_) = nullptr;
        return op;
    }

private:
    listed* first_ = nullptr;
    listed* last_ = nullptr;
};

class mutex {
public:
    class [[nodiscard]] guard {
    public:
        explicit guard(mutex& m) : mutex_(&m) {}
        guard(guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
        guard& operator=(guard&&) = delete;
        ~guard() {
            if (mutex_ != nullptr) {
                mutex_->unlock();
            }
        }

    private:
        mutex* mutex_;
    };

    class lock_operation : public listed {
    public:
        explicit lock_operation(mutex& m) : mutex_(m) {}
        bool await_ready() { return refused() || !std::exchange(mutex_.locked_, true); }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                auto& self = static_cast<lock_operation&>(op);
                self.mutex_.waiters_.remove(self);
                wake_cancelled(op);
            });
            mutex_.waiters_.push(*this);
        }
        guard await_resume() {
            check();
            return guard(mutex_);
        }

    private:
        mutex& mutex_;
    };

    [[nodiscard]] lock_operation lock() { return lock_operation(*this); }

private:
    void unlock() {
        if (waiters_.empty()) [[likely]] {
            locked_ = false;
        } else {
            wake(waiters_.pop());
        }
    }

    wait_list waiters_;
    bool locked_ = false;
};

class semaphore {
public:
    explicit semaphore(std::ptrdiff_t permits) : permits_(permits) {}

    class [[nodiscard]] permit {
    public:
        explicit permit(semaphore& s) : semaphore_(&s) {}
        permit(permit&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
        permit& operator=(permit&&) = delete;
        ~permit() {
            if (semaphore_ != nullptr) {
                semaphore_->release();
            }
        }

    private:
        semaphore* semaphore_;
    };

    class acquire_operation : public listed {
    public:
        explicit acquire_operation(semaphore& s) : semaphore_(s) {}
        bool await_ready() {
            if (refused()) {
                return true;
            }
            if (semaphore_.permits_ == 0) {
                return false;
            }
            --semaphore_.permits_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                auto& self = static_cast<acquire_operation&>(op);
                self.semaphore_.waiters_.remove(self);
                wake_cancelled(op);
            });
            semaphore_.waiters_.push(*this);
        }
        permit await_resume() {
            check();
            return permit(semaphore_);
        }

    private:
        semaphore& semaphore_;
    };

    [[nodiscard]] acquire_operation acquire() { return acquire_operation(*this); }

private:
    void release() {
        if (waiters_.empty()) {
            ++permits_;
        } else {
            wake(waiters_.pop());
        }
    }

    wait_list waiters_;
    std::ptrdiff_t permits_;
};

// A bounded queue: items are handed straight to waiting getters, and a waiting putter's item enters when one leaves.
template <class T>
class queue {
public:
    explicit queue(std::size_t capacity) : items_(capacity) {}

    class put_operation : public listed {
    public:
        put_operation(queue& q, T item) : queue_(q), item_(std::move(item)) {}
        bool await_ready() {
            if (refused()) {
                return true;
            }
            ++queue_.unfinished_;
            if (!queue_.getters_.empty()) {
                auto& getter = static_cast<get_operation&>(queue_.getters_.pop());
                getter.item_ = std::move(item_);
                wake(getter);
                return true;
            }
            if (queue_.size_ < queue_.items_.size()) {
                queue_.append(std::move(item_));
                return true;
            }
            --queue_.unfinished_;
            return false;
        }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                auto& self = static_cast<put_operation&>(op);
                self.queue_.putters_.remove(self);
                wake_cancelled(op);
            });
            queue_.putters_.push(*this);
        }
        void await_resume() const { check(); }

    private:
        friend queue;
        queue& queue_;
        T item_;
    };

    class get_operation : public listed {
    public:
        explicit get_operation(queue& q) : queue_(q) {}
        bool await_ready() {
            if (refused()) {
                return true;
            }
            if (queue_.size_ == 0) {
                return false;
            }
            item_ = queue_.remove();
            if (!queue_.putters_.empty()) {
                auto& putter = static_cast<put_operation&>(queue_.putters_.pop());
                ++queue_.unfinished_;
                queue_.append(std::move(putter.item_));
                wake(putter);
            }
            return true;
        }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                auto& self = static_cast<get_operation&>(op);
                self.queue_.getters_.remove(self);
                wake_cancelled(op);
            });
            queue_.getters_.push(*this);
        }
        T await_resume() {
            check();
            return std::move(item_);
        }

    private:
        friend put_operation;
        queue& queue_;
        T item_{};
    };

    class join_operation : public listed {
    public:
        explicit join_operation(queue& q) : queue_(q) {}
        bool await_ready() { return refused() || queue_.unfinished_ == 0; }
        void await_suspend(std::coroutine_handle<> h) {
            suspend(h, [](operation& op) {
                auto& self = static_cast<join_operation&>(op);
                self.queue_.joiners_.remove(self);
                wake_cancelled(op);
            });
            queue_.joiners_.push(*this);
        }
        void await_resume() const { check(); }

    private:
        queue& queue_;
    };

    [[nodiscard]] put_operation put(T item) { return put_operation(*this, std::move(item)); }
    [[nodiscard]] get_operation get() { return get_operation(*this); }
    [[nodiscard]] join_operation join() { return join_operation(*this); }

    void task_done() {
        if (--unfinished_ == 0) {
            while (!joiners_.empty()) {
                wake(joiners_.pop());
            }
        }
    }

private:
    void append(T item) {
        const std::size_t at = head_ + size_++;
        items_[at < items_.size() ? at : at - items_.size()] = std::move(item);
    }

    T remove() {
        const std::size_t at = head_;
        head_ = at + 1 < items_.size() ? at + 1 : 0;
        --size_;
        return std::move(items_[at]);
    }

    std::vector<T> items_;
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    std::size_t unfinished_ = 0;
    wait_list getters_;
    wait_list putters_;
    wait_list joiners_;
};

// ---- offload

// Jobs for libuv's pool. Up to four drainers, each one `uv_work_t`, claim one job at a time from a ring and give their
// thread back after 64 jobs or a millisecond, so that files and names get their turn; what a drainer has done comes
// back in one piece when it returns.
class offloader {
public:
    struct call : operation {
        call() = default;
        void (*work)(call&) = nullptr;
    };

    static offloader& instance() {
        static offloader o;
        return o;
    }

    void submit(call& c) {
        fresh_.push(c);
        the_loop.before_poll = [] { instance().publish(); };
    }

private:
    static constexpr std::uint32_t ring_size = 2048;
    static constexpr int jobs_a_turn = 64;
    static constexpr std::uint64_t time_a_turn = 1'000'000;

    struct drainer {
        uv_work_t request{};
        ready_queue done;
        bool busy = false;
    };

    // Moves what was submitted into the ring and sets drainers to work, before the loop polls.
    void publish() {
        std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        const std::uint32_t head = head_.load(std::memory_order_acquire);
        while (tail - head < ring_size && !fresh_.empty()) {
            ring_[tail++ % ring_size].store(static_cast<call*>(fresh_.pop()), std::memory_order_relaxed);
        }
        tail_.store(tail, std::memory_order_release);
        std::uint32_t waiting = tail - head;
        for (drainer& d : drainers_) {
            if (waiting == 0) {
                break;
            }
            if (!d.busy) {
                d.busy = true;
                d.request.data = &d;
                uv_queue_work(the_loop.uv(), &d.request, &offloader::drain, &offloader::drained);
            }
            --waiting;
        }
    }

    // The slot is read before it is claimed: the loop overwrites it only once the head has passed it.
    call* claim() {
        std::uint32_t head = head_.load(std::memory_order_acquire);
        for (;;) {
            if (head == tail_.load(std::memory_order_acquire)) {
                return nullptr;
            }
            call* const c = ring_[head % ring_size].load(std::memory_order_relaxed);
            if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
                return c;
            }
        }
    }

    static void drain(uv_work_t* request) {
        auto& d = *static_cast<drainer*>(request->data);
        const std::uint64_t until = uv_hrtime() + time_a_turn;
        for (int left = jobs_a_turn; left != 0; --left) {
            call* const c = instance().claim();
            if (c == nullptr) {
                break;
            }
            c->work(*c);
            d.done.push(*c);
            if (uv_hrtime() >= until) {
                break;
            }
        }
    }

    static void drained(uv_work_t* request, int /*status*/) {
        auto& d = *static_cast<drainer*>(request->data);
        d.busy = false;
        while (!d.done.empty()) {
            wake(static_cast<call&>(*d.done.pop()));
        }
        instance().publish();
    }

    ready_queue fresh_;
    std::array<drainer, 4> drainers_;
    alignas(64) std::atomic<std::uint32_t> head_{0};
    alignas(64) std::atomic<std::uint32_t> tail_{0};
    std::array<std::atomic<call*>, ring_size> ring_{};
};

// Not cancelled: a function that runs is waited for.
template <class Function>
class offload : public offloader::call {
public:
    explicit offload(Function f) : function_(std::move(f)) {}

    bool await_ready() { return refused(); }
    void await_suspend(std::coroutine_handle<> h) {
        suspend(h, [](operation&) {});
        work = [](offloader::call& c) { static_cast<offload&>(c).function_(); };
        offloader::instance().submit(*this);
    }
    void await_resume() const { check(); }

private:
    Function function_;
};

} // namespace limit
