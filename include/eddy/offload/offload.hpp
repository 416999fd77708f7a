// offload: blocking and CPU-bound functions on other threads, awaited like anything else.
//
//     auto call = offload([&] { return checksum(file); });
//     auto sum = co_await call;
//
// offload() uses libuv's pool (UV_THREADPOOL_SIZE threads, 4 by default), which file and DNS requests share. So that
// they get their turn, eddy hands a thread back to libuv after a millisecond or 64 calls, and asks for it again. A call
// that blocks for long holds one of those few threads all the time: use offload_abandon(), which has threads of its
// own, for calls that may hang.
//
// On a loop with simulated time the function runs on the loop's thread, at a later step.
#pragma once

#include <eddy/core/local_values.hpp>
#include <eddy/core/promise.hpp>
#include <eddy/core/task.hpp>

#include <functional>
#include <optional>
#include <stop_token>
#include <tuple>
#include <variant>

namespace eddy {

namespace detail {

struct offload_job;

// One more node of the ready queue: the call itself on a simulated loop, or a request to stop.
struct offload_step : engine::runnable {
    offload_job* job = nullptr;
};

// What the pool knows of a call. Lives in the awaiting frame, which stays while the function runs.
struct offload_job {
    enum class stage : unsigned char { idle, fresh, published, finished };

    offload_job() noexcept { step.job = this; }
    offload_job(const offload_job&) = delete;

    void (*run)(offload_job&) noexcept = nullptr;    // on the pool's thread
    void (*forget)(offload_job&) noexcept = nullptr; // destroys the callable, on the loop's thread
    std::stop_source* stop = nullptr;                // null: the function does not take a token
    engine::waiter* waits = nullptr;
    local_values locals; // of the task that calls
    // For lib/offload/lane.hpp.
    offload_job* after = nullptr;
    offload_job* before = nullptr;
    std::uint32_t slot = 0;
    stage at = stage::idle;
    offload_step step;
};

// Throws uv_error (UV_EAGAIN) when the system has not the threads for libuv's pool, std::bad_alloc.
void prepare_offload(engine::loop_core& l);
void submit_offload(offload_job& job, engine::waiter& w) noexcept;
engine::abort_result abort_offload(offload_job& job) noexcept;
// The operation is destroyed while it waits: takes the call back, or waits until the function has returned.
void withdraw_offload(offload_job& job) noexcept;

// The function and its arguments, and how to call them.
template <class F, class... Args>
class offloaded_call {
    static constexpr bool takes_token = std::is_invocable_v<F, std::stop_token, Args...>;
    static_assert(
        takes_token || std::is_invocable_v<F, Args...>,
        "offload(f, args...): f can't be called with these arguments (they are moved in, as for std::thread)");
    using raw_result = typename std::conditional_t<takes_token, std::invoke_result<F, std::stop_token, Args...>,
                                                   std::invoke_result<F, Args...>>::type;

public:
    static constexpr bool stoppable = takes_token;
    using result_type =
        std::conditional_t<std::is_lvalue_reference_v<raw_result>, raw_result, std::remove_cvref_t<raw_result>>;
    static_assert(!is_task<result_type>::value, "offload() runs plain functions; a coroutine belongs on the loop");

    template <class G, class... As>
    explicit offloaded_call(std::in_place_t, G&& g, As&&... as)
        : f_(std::forward<G>(g)), args_(std::forward<As>(as)...) {}

    raw_result operator()([[maybe_unused]] const std::stop_source* stop) {
        return std::apply(
            [&](Args&... as) -> raw_result {
                if constexpr (takes_token)
                    return std::invoke(std::move(f_), stop->get_token(), std::move(as)...);
                else
                    return std::invoke(std::move(f_), std::move(as)...);
            },
            args_);
    }

private:
    [[no_unique_address]] F f_;
    [[no_unique_address]] std::tuple<Args...> args_;
};

struct no_stop_source {};

template <class F, class... Args>
class offload_operation final : public leaf_operation<offload_operation<F, Args...>>, private offload_job {
    using base = leaf_operation<offload_operation<F, Args...>>;
    using call = offloaded_call<F, Args...>;
    using value = stored_t<typename call::result_type>;

    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        return abort_offload(static_cast<offload_operation&>(w));
    }
    static void run_it(offload_job& job) noexcept {
        auto& self = static_cast<offload_operation&>(job);
        try {
            if constexpr (std::is_void_v<typename call::result_type>) {
                (*self.call_)(self.stop);
                self.result_.template emplace<1>();
            } else if constexpr (std::is_lvalue_reference_v<typename call::result_type>) {
                self.result_.template emplace<1>(std::addressof((*self.call_)(self.stop)));
            } else {
                self.result_.template emplace<1>((*self.call_)(self.stop));
            }
        } catch (...) {
            self.result_.template emplace<2>(std::current_exception());
        }
    }
    static void forget_it(offload_job& job) noexcept { static_cast<offload_operation&>(job).call_.reset(); }

public:
    using result_type = typename call::result_type;
    static constexpr engine::wait_kind kind{.name = "offload",
                                            .outside = true,
                                            .pinned = true,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    template <class G, class... As>
    explicit offload_operation(std::in_place_t, G&& g, As&&... as)
        : call_(std::in_place, std::in_place, std::forward<G>(g), std::forward<As>(as)...) {}
    offload_operation(offload_operation&& o)
        : base(std::move(o)), offload_job(), call_(std::move(o.call_)), source_(std::move(o.source_)) {}
    ~offload_operation() {
        withdraw_offload(*this);
        base::end();
    }

    bool attempt() {
        prepare_offload(*this->where->loop);
        this->offload_job::run = &run_it;
        this->forget = &forget_it;
        if constexpr (call::stoppable) this->stop = &source_;
        return false;
    }
    void enqueue() noexcept { submit_offload(*this, *this); }

    [[nodiscard]] engine::status state() const noexcept {
        return base::state() == engine::status::ok && result_.index() == 2 ? engine::status::exception : base::state();
    }
    result_type take() {
        if constexpr (!std::is_void_v<result_type>) return stored<result_type>::out(std::get<1>(result_));
    }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::ok) std::rethrow_exception(std::get<2>(result_));
        base::fail();
    }

private:
    std::optional<call> call_;
    [[no_unique_address]] std::conditional_t<call::stoppable, std::stop_source, no_stop_source> source_;
    std::variant<std::monostate, value, std::exception_ptr> result_;
};

// ---- offload_abandon

struct offload_abandon_wait {
    static constexpr const char* name = "offload_abandon";
};

// Work for a thread of eddy's own.
struct helper_job {
    helper_job* next_job = nullptr;
    void (*run_job)(helper_job&) noexcept = nullptr;
};

struct abandoned_job;

struct abandoned_step : engine::runnable {
    abandoned_job* job = nullptr;
};

// A call that may outlive whoever waits for it, and the loop. Shared by the waiter and the helper thread.
struct abandoned_job : helper_job {
    abandoned_job() noexcept { step.job = this; }
    abandoned_job(const abandoned_job&) = delete;
    virtual ~abandoned_job() = default;
    virtual void run() noexcept = 0;  // on the helper thread, or on a simulated loop's; drops its reference
    virtual void drop() noexcept = 0; // instead of run()
    std::stop_source* stop = nullptr;
    local_values locals; // of the task that calls
    abandoned_step step; // on a simulated loop
};

// Runs the job on a thread of eddy's own, or (simulated time) at a later step of `l`. Throws uv_error when the system
// has no thread for it; then the job has been dropped.
void start_abandoned(abandoned_job& job, engine::loop_core& l);
// Nobody waits for it any more; on the loop.
void give_up_abandoned(abandoned_job& job) noexcept;

template <class F, class... Args>
struct abandoned_call final : value_cell<typename offloaded_call<F, Args...>::result_type>, abandoned_job {
    using call = offloaded_call<F, Args...>;
    using result_type = typename call::result_type;

    template <class G, class... As>
    explicit abandoned_call(std::in_place_t, G&& g, As&&... as)
        : value_cell<result_type>(true, offload_abandon_wait::name),
          call_(std::in_place, std::in_place, std::forward<G>(g), std::forward<As>(as)...) {
        if constexpr (call::stoppable) stop = &source_;
    }
    void run() noexcept override {
        if (!this->is_given_up()) run_call();
        finish();
    }
    void drop() noexcept override { finish(); }

    // Outlives the loop, so it is not from the loop's pool.
    static void* operator new(std::size_t size) { return ::operator new(size); }
    static void operator delete(void* p) noexcept { ::operator delete(p); }

private:
    void run_call() noexcept {
        std::exception_ptr thrown;
        try {
            // What the function captured is gone before anyone learns of its result.
            if constexpr (std::is_void_v<result_type>) {
                (*call_)(stop);
                call_.reset();
                this->set();
            } else if constexpr (std::is_lvalue_reference_v<result_type>) {
                auto* r = std::addressof((*call_)(stop));
                call_.reset();
                this->set(r);
            } else {
                result_type r = (*call_)(stop);
                call_.reset();
                this->set(std::move(r));
            }
            return;
        } catch (...) {
            thrown = std::current_exception();
        }
        call_.reset();
        this->set_error(std::move(thrown));
    }
    void finish() noexcept {
        call_.reset();
        this->give_up();
        this->release();
    }
    std::optional<call> call_;
    [[no_unique_address]] std::conditional_t<call::stoppable, std::stop_source, no_stop_source> source_;
};

// Starts the call when it is first awaited.
template <class F, class... Args>
class offload_abandon_operation final : public operation_tag {
    using shared = abandoned_call<F, Args...>;

public:
    using result_type = typename shared::result_type;

    template <class G, class... As>
    explicit offload_abandon_operation(std::in_place_t, G&& g, As&&... as)
        : call_(new shared(std::in_place, std::forward<G>(g), std::forward<As>(as)...)),
          wait_(cell_ref<value_cell<result_type>>(held())) {}
    offload_abandon_operation(offload_abandon_operation&&) = default;

    void bind(context& c) { wait_.bind(c); }
    bool start() {
        abandoned_job& job = *call_;
        call_->tell_on_cancel([&job] { give_up_abandoned(job); });
        if (wait_.start()) return true;
        call_->retain(); // the thread's
        start_abandoned(job, *wait_.where->loop);
        return false;
    }
    void suspend(void* frame) noexcept { wait_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return wait_.state(); }
    result_type take() { return wait_.take(); }
    [[noreturn]] void fail() { wait_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return wait_.error(); }

private:
    value_cell<result_type>* held() noexcept {
        call_->retain();
        return &*call_;
    }
    cell_ref<shared> call_;
    promise_operation<result_type, offload_abandon_wait> wait_;
};

} // namespace detail

// Runs f(args...) on libuv's pool and gives what it returns or throws; R may be void, move-only or an lvalue reference.
// f and the arguments are moved in, as for std::thread; the function runs once. If f can be called with a
// std::stop_token in front, it gets one.
//
// A checkpoint. Cancelled while it is queued: f never runs. Cancelled while it runs: stop is requested, and the await
// goes on until f has returned (what it captured by reference may live in the caller's frame); its result is delivered,
// and the next checkpoint throws. So timeout(d, offload(f)) returns when f does.
// f and the arguments are destroyed on the loop's thread, before the awaiting task goes on. f must not use the loop or
// its tasks, but for loop_ref: spawn(...).get() from there waits for the loop. Throws uv_error (UV_EAGAIN) when there
// are no threads for libuv's pool (libuv itself would abort). A pending call counts as woken from outside.
template <class F, class... Args>
[[nodiscard]] auto offload(F&& f, Args&&... args) {
    return detail::offload_operation<std::decay_t<F>, std::decay_t<Args>...>(std::in_place, std::forward<F>(f),
                                                                             std::forward<Args>(args)...);
}

// The same on a thread of eddy's own (not one of libuv's), for calls that may hang: cancelled, the await gives up at
// once, and run() returns although f still runs. So f must own what it uses. When it is given up before a thread has
// picked it up, f never runs; while it runs, stop is requested. f and the arguments are destroyed on that thread, and
// so is a result that comes too late. As many threads as there are calls at a time; idle ones end after five seconds.
// Throws uv_error (UV_EAGAIN) when the system has no more threads. A checkpoint.
template <class F, class... Args>
[[nodiscard]] auto offload_abandon(F&& f, Args&&... args) {
    return detail::offload_abandon_operation<std::decay_t<F>, std::decay_t<Args>...>(std::in_place, std::forward<F>(f),
                                                                                     std::forward<Args>(args)...);
}

} // namespace eddy
