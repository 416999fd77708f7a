// What offload() and thread_pool share: a function on its way to another thread and back.
#pragma once

#include <eddy/core/local_values.hpp>
#include <eddy/core/promise.hpp>
#include <eddy/core/task.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <tuple>
#include <variant>

namespace eddy::detail {

class worker_pool;
struct job_link;
struct job_context;
struct offload_job;

// Why a job was taken and yet never ran.
enum class loss : std::uint8_t { none, destroyed, closed, no_thread, start };

// Work for a thread, in one list at a time.
struct thread_job;
struct thread_job_kind {
    void (*work)(thread_job&) noexcept;  // runs it, on the thread
    void (*leave)(thread_job&) noexcept; // the thread counts as free again: the last it does with the job
    // It never runs. Any thread, no lock. `thrown` only with loss::start.
    void (*lose)(thread_job&, loss why, std::exception_ptr thrown) noexcept;
};
struct thread_job {
    thread_job* after = nullptr;
    thread_job* before = nullptr;
    const thread_job_kind* how = nullptr;
    job_context* context = nullptr; // null: what it runs is not a user's function
    worker_pool* pool = nullptr;
    bool queued = false; // under the pool's lock
};

void drop_link(job_context& c) noexcept;

// What the thread that runs a job may ask and use while it does: from_thread.
struct job_context {
    job_context() noexcept = default;
    job_context(const job_context&) = delete;
    ~job_context() {
        if (link.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
            drop_link(*this);
    }

    std::atomic<job_link*> link{nullptr};           // made by the job's first call into the loop
    std::atomic<std::uint8_t> asked{0};             // who waits was cancelled: 1 + the reason
    std::atomic<bool> refused{false};               // calls into the loop fail with `closed`
    const std::shared_ptr<loop_hub>* hub = nullptr; // of the loop that sent it
    offload_job* host = nullptr;                    // null: whoever waits may give up
    local_values locals;                            // of the task that calls
};

// One more node of the ready queue: the call itself on a simulated loop, or a request to stop.
struct offload_step : engine::runnable {
    offload_job* job = nullptr;
};

// A call whose function runs in the awaiting frame, which stays meanwhile.
struct offload_job : thread_job, job_context {
    enum class stage : unsigned char { idle, reserved, fresh, published, finished };

    offload_job() noexcept {
        step.job = this;
        context = this;
        host = this;
    }

    void (*forget)(offload_job&) noexcept = nullptr; // destroys the callable, on the loop's thread
    // It is back; on the loop. Null: the waiter is granted.
    void (*back)(offload_job&) noexcept = nullptr;
    std::stop_source* stop = nullptr; // null: the function does not take a token
    engine::waiter* waits = nullptr;
    std::uint32_t slot = 0; // for lib/offload/lane.hpp
    stage at = stage::idle;
    loss lost = loss::none;
    offload_step step;
};

// libuv's pool. Throws uv_error (UV_EAGAIN) when the system has not the threads for it, std::bad_alloc.
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

// How a call went: its value (a reference as a pointer, void as nothing) or its exception.
template <class T>
class job_result {
public:
    // Runs `call` and keeps what comes of it.
    template <class Call>
    void fill(Call&& call) noexcept {
        try {
            if constexpr (std::is_void_v<T>) {
                call();
                kept_.template emplace<1>();
            } else if constexpr (std::is_lvalue_reference_v<T>) {
                kept_.template emplace<1>(std::addressof(call()));
            } else {
                kept_.template emplace<1>(call());
            }
        } catch (...) {
            kept_.template emplace<2>(std::current_exception());
        }
    }
    void fail(std::exception_ptr e) noexcept { kept_.template emplace<2>(std::move(e)); }
    [[nodiscard]] bool failed() const noexcept { return kept_.index() == 2; }
    [[nodiscard]] bool has_value() const noexcept { return kept_.index() == 1; }
    [[nodiscard]] const std::exception_ptr& error() const { return std::get<2>(kept_); }
    T take() {
        if constexpr (!std::is_void_v<T>) return stored<T>::out(std::get<1>(kept_));
    }
    [[nodiscard]] stored_t<T>& value() { return std::get<1>(kept_); }

private:
    std::variant<std::monostate, stored_t<T>, std::exception_ptr> kept_;
};

// What `try_` operations give: nothing where there was no room.
enum class when_full : bool { wait, refuse };

// Awaits a call. `Route` knows the threads: prepare (throws when they are closed), reserve, submit, abort, withdraw.
template <when_full Full, class Route, class F, class... Args>
class job_operation final : public leaf_operation<job_operation<Full, Route, F, Args...>>, private offload_job {
    using base = leaf_operation<job_operation>;
    using call = offloaded_call<F, Args...>;
    using value = typename call::result_type;

    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        auto& self = static_cast<job_operation&>(w);
        return self.route_.abort(self);
    }
    static job_operation& of(thread_job& j) noexcept {
        return static_cast<job_operation&>(static_cast<offload_job&>(j));
    }
    static void work_it(thread_job& j) noexcept {
        job_operation& self = of(j);
        self.result_.fill([&self]() -> decltype(auto) { return (*self.call_)(self.stop); });
    }
    static void lose_it(thread_job& j, loss why, std::exception_ptr thrown) noexcept {
        job_operation& self = of(j);
        if (thrown != nullptr)
            self.result_.fail(std::move(thrown));
        else
            self.lost = why;
        Route::come_back(self);
    }
    static void forget_it(offload_job& j) noexcept { of(j).call_.reset(); }
    static constexpr thread_job_kind how_it_runs{
        .work = &work_it,
        .leave = [](thread_job& j) noexcept { Route::come_back(of(j)); },
        .lose = &lose_it,
    };
    static constexpr bool refuses = Full == when_full::refuse;

public:
    using result_type = std::conditional_t<refuses, maybe<value>, value>;
    static constexpr engine::wait_kind kind{.name = Route::name,
                                            .outside = true,
                                            .pinned = true,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    template <class G, class... As>
    explicit job_operation(Route route, G&& g, As&&... as)
        : route_(std::move(route)), call_(std::in_place, std::in_place, std::forward<G>(g), std::forward<As>(as)...) {}
    job_operation(job_operation&& o)
        : base(std::move(o)), offload_job(), route_(std::move(o.route_)), call_(std::move(o.call_)),
          source_(std::move(o.source_)) {}
    ~job_operation() {
        route_.withdraw(*this);
        base::end();
    }

    bool attempt() {
        route_.prepare(*this->where->loop);
        this->how = &how_it_runs;
        this->forget = &forget_it;
        if constexpr (call::stoppable) this->stop = &source_;
        if constexpr (refuses) {
            if (!route_.reserve(*this)) {
                call_.reset();
                return true;
            }
        }
        return false;
    }
    void enqueue() noexcept { route_.submit(*this, *this); }

    [[nodiscard]] engine::status state() const noexcept {
        const bool failed = result_.failed() || this->lost != loss::none;
        return base::state() == engine::status::ok && failed ? engine::status::exception : base::state();
    }
    result_type take() {
        if constexpr (!refuses) {
            return result_.take();
        } else {
            if (!result_.has_value()) return result_type{};
            if constexpr (std::is_void_v<value>)
                return true;
            else if constexpr (std::is_reference_v<value>)
                return result_type(std::ref(result_.take()));
            else
                return result_type(result_.take());
        }
    }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::ok) {
            if (this->lost != loss::none) route_.throw_lost(this->lost);
            std::rethrow_exception(result_.error());
        }
        base::fail();
    }

private:
    [[no_unique_address]] Route route_;
    std::optional<call> call_;
    [[no_unique_address]] std::conditional_t<call::stoppable, std::stop_source, no_stop_source> source_;
    job_result<value> result_;
};

// ---- calls that whoever waits may give up

struct abandoned_job;

struct abandoned_step : engine::runnable {
    abandoned_job* job = nullptr;
};

// A call that may outlive whoever waits for it, and the loop. Shared by the waiter and the thread.
struct abandoned_job : thread_job, job_context {
    abandoned_job() noexcept {
        step.job = this;
        context = this;
    }
    virtual ~abandoned_job() = default;
    std::stop_source* stop = nullptr;
    abandoned_step step; // on a simulated loop
    std::shared_ptr<loop_hub> home;
    std::shared_ptr<worker_pool> keep_pool; // null: threads that are made for the call
    loss lost = loss::none;
};

// Runs the job on a thread of eddy's own, or (simulated time) at a later step of `l`. Throws uv_error when the system
// has no thread for it, `closed` when its pool is; then the job has been dropped.
void start_abandoned(abandoned_job& job, engine::loop_core& l);
// Nobody waits for it any more, because of what happened to `where`; on the loop.
void give_up_abandoned(abandoned_job& job, const engine::scope& where) noexcept;
[[noreturn]] void throw_lost(loss why, const worker_pool& pool);

template <class F, class... Args>
struct abandoned_call final : value_cell<typename offloaded_call<F, Args...>::result_type>, abandoned_job {
    using call = offloaded_call<F, Args...>;
    using result_type = typename call::result_type;

    template <class G, class... As>
    explicit abandoned_call(const char* name, G&& g, As&&... as)
        : value_cell<result_type>(true, name),
          call_(std::in_place, std::in_place, std::forward<G>(g), std::forward<As>(as)...) {
        how = &how_it_runs;
        if constexpr (call::stoppable) stop = &source_;
    }

    // Outlives the loop, so it is not from the loop's pool.
    static void* operator new(std::size_t size) { return ::operator new(size); }
    static void operator delete(void* p) noexcept { ::operator delete(p); }

private:
    static abandoned_call& of(thread_job& j) noexcept {
        return static_cast<abandoned_call&>(static_cast<abandoned_job&>(j));
    }
    void run_call() noexcept {
        try {
            // What the function captured is gone before anyone learns of its result.
            if constexpr (std::is_void_v<result_type>) {
                (*call_)(stop);
                call_.reset();
                this->fill();
            } else if constexpr (std::is_lvalue_reference_v<result_type>) {
                auto* r = std::addressof((*call_)(stop));
                call_.reset();
                this->fill(r);
            } else {
                result_type r = (*call_)(stop);
                call_.reset();
                this->fill(std::move(r));
            }
            filled_ = true;
        } catch (...) {
            thrown_ = std::current_exception();
        }
        call_.reset();
    }
    // The thread's reference goes; a value that nobody waits for dies on the loop, where there is one.
    void finish() noexcept {
        call_.reset();
        if (filled_)
            this->tell();
        else if (thrown_ != nullptr)
            this->set_error(std::move(thrown_));
        else
            this->give_up();
        if (pool != nullptr)
            this->release_at_home();
        else
            this->release();
    }
    static constexpr thread_job_kind how_it_runs{
        .work =
            [](thread_job& j) noexcept {
                if (!of(j).is_given_up()) of(j).run_call();
            },
        .leave = [](thread_job& j) noexcept { of(j).finish(); },
        .lose =
            [](thread_job& j, loss why, std::exception_ptr thrown) noexcept {
                of(j).thrown_ = std::move(thrown);
                of(j).lost = why;
                of(j).finish();
            },
    };

    std::optional<call> call_;
    [[no_unique_address]] std::conditional_t<call::stoppable, std::stop_source, no_stop_source> source_;
    std::exception_ptr thrown_;
    bool filled_ = false;
};

// Starts the call when it is first awaited.
template <class Site, class F, class... Args>
class abandon_operation final : public operation_tag {
    using shared = abandoned_call<F, Args...>;

public:
    using result_type = typename shared::result_type;

    template <class G, class... As>
    explicit abandon_operation(std::shared_ptr<worker_pool> pool, G&& g, As&&... as)
        : call_(new shared(Site::name, std::forward<G>(g), std::forward<As>(as)...)),
          wait_(cell_ref<value_cell<result_type>>(held())) {
        call_->pool = pool.get();
        call_->keep_pool = std::move(pool);
    }
    abandon_operation(abandon_operation&&) = default;

    void bind(context& c) { wait_.bind(c); }
    bool start() {
        abandoned_job& job = *call_;
        call_->tell_on_cancel([&job, this] { give_up_abandoned(job, *wait_.where); });
        if (wait_.start()) return true;
        if (call_->is_given_up()) return false; // cancelled before it began
        call_->retain();                        // the thread's
        start_abandoned(job, *wait_.where->loop);
        return false;
    }
    void suspend(void* frame) noexcept { wait_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return wait_.state(); }
    result_type take() { return wait_.take(); }
    [[noreturn]] void fail() {
        if (wait_.state() == engine::status::exception && call_->lost != loss::none && call_->lost != loss::start)
            throw_lost(call_->lost, *call_->keep_pool);
        wait_.fail();
    }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }

private:
    value_cell<result_type>* held() noexcept {
        call_->retain();
        return &*call_;
    }
    cell_ref<shared> call_;
    promise_operation<result_type, Site> wait_;
};

} // namespace eddy::detail
