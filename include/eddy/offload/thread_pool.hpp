// thread_pool: threads of your own for blocking and CPU-bound functions, and the queue in front of them.
//
//     thread_pool pool(4, thread_pool_options().name("resize"));
//     auto call = pool.run([&] { return shrink(picture); });
//     auto small = co_await call;
//
// Threads are made when there is work for them, and end when they have idled for a while. Calls run first come, first
// served. A call lives in the frame of the task that awaits it, so waiting for a thread costs no memory of the pool:
// run() waits as long as it takes, which is the back-pressure; try_run() refuses where the queue is full.
//
// When the task that awaits a call is cancelled:
//   - queued: the function never runs, and the await ends at once;
//   - run(f), running: the await ends when f does, with its value; the next checkpoint throws (f may refer to the
//     awaiting frame);
//   - run(f) with f(std::stop_token, …), running: the same, and f is asked to stop;
//   - run_abandon(f), running: the await ends at once. The thread counts as busy until f has returned.
// from_thread (from_thread.hpp) is how a function asks for cancellation and calls back into the loop.
//
// One pool may serve several loops: run, run_abandon, try_run, statistics and close may be called on any of them.
// Many results cost a loop one wake-up. On a loop with simulated time functions run on the loop's thread, at a later
// step; they count towards the pool's room and nothing else.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/offload/job.hpp>

#include <cstddef>
#include <ranges>
#include <string>
#include <vector>

namespace eddy {

// How a thread_pool is made. Chain the setters.
class thread_pool_options {
public:
    thread_pool_options() = default;
    // Calls that may wait while every thread is busy, before try_run() refuses; 0: none. Default: 1024.
    // std::logic_error when negative.
    thread_pool_options& queue_capacity(std::ptrdiff_t n);
    // Of the pool in messages, and of its threads for the system (the first 15 bytes). Default: "eddy-pool".
    thread_pool_options& name(std::string s) {
        name_ = std::move(s);
        return *this;
    }
    // Of each thread, in bytes; 0: the system's default. std::logic_error when the system refuses so small a stack.
    thread_pool_options& stack_size(std::size_t bytes);
    // Called on each new thread before its first function. When it throws, the thread is not used: the others do the
    // work; where there are none, the first call that waits throws that exception, and the next call has its own try.
    thread_pool_options& on_thread_start(std::function<void()> f) {
        on_start_ = std::move(f);
        return *this;
    }
    // Called on each thread before it ends, unless on_thread_start threw there. What it throws is printed.
    thread_pool_options& on_thread_stop(std::function<void()> f) {
        on_stop_ = std::move(f);
        return *this;
    }
    // How long a thread idles before it ends; duration::max(): for ever. Default: 5 s.
    template <class Rep, class Period>
    thread_pool_options& idle_timeout(std::chrono::duration<Rep, Period> d) {
        idle_timeout_ = std::max(detail::to_duration(d), duration::zero());
        return *this;
    }
    [[nodiscard]] std::ptrdiff_t queue_capacity() const noexcept { return capacity_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::size_t stack_size() const noexcept { return stack_; }
    [[nodiscard]] const std::function<void()>& on_thread_start() const noexcept { return on_start_; }
    [[nodiscard]] const std::function<void()>& on_thread_stop() const noexcept { return on_stop_; }
    [[nodiscard]] duration idle_timeout() const noexcept { return idle_timeout_; }

private:
    std::ptrdiff_t capacity_ = 1024;
    std::string name_ = "eddy-pool";
    std::size_t stack_ = 0;
    std::function<void()> on_start_;
    std::function<void()> on_stop_;
    duration idle_timeout_ = std::chrono::seconds(5);
};

// What thread_pool::statistics() tells.
struct thread_pool_statistics {
    thread_pool_statistics() = default;
    std::size_t threads = 0;   // that exist, idle ones too
    std::size_t busy = 0;      // of these, those that run a function
    std::size_t abandoned = 0; // of these, those whose function nobody waits for any more
    std::size_t queued = 0;    // calls in the queue
    std::size_t waiting = 0;   // calls that wait for room in it
};

namespace detail {

struct pool_route {
    static constexpr const char* name = "thread_pool.run";
    explicit pool_route(std::shared_ptr<worker_pool> p) noexcept : pool(std::move(p)) {}
    void prepare(engine::loop_core& l) const; // throws `closed`, std::logic_error, std::bad_alloc
    bool reserve(offload_job& job) const noexcept;
    void submit(offload_job& job, engine::waiter& w) const noexcept;
    static engine::abort_result abort(offload_job& job) noexcept;
    static void withdraw(offload_job& job) noexcept;
    static void come_back(offload_job& job) noexcept; // any thread
    [[noreturn]] void throw_lost(loss why) const { detail::throw_lost(why, *pool); }
    std::shared_ptr<worker_pool> pool;
};

struct pool_abandon_site {
    static constexpr const char* name = "thread_pool.run_abandon";
};

template <class F, class Element>
class pool_map_operation;

} // namespace detail

// Movable: a moved-from pool can only be destroyed or assigned to.
class thread_pool {
public:
    // At most `n` threads. std::logic_error when n is not positive. Makes no thread yet.
    explicit thread_pool(std::ptrdiff_t n, thread_pool_options o = {});
    thread_pool(thread_pool&&) noexcept = default;
    // Destroys the pool that was here.
    thread_pool& operator=(thread_pool&& o) noexcept;
    // Prefer to await close(). Calls that are queued end with object_destroyed, calls of running functions into their
    // loops (from_thread) with `closed`; then blocks until every function has returned and every thread has ended. A
    // function that waits for this thread in another way is waited for in vain. On a thread of the pool itself:
    // message and std::terminate.
    ~thread_pool();

    // Runs f(args...) on a thread and gives what it returns or throws; R may be void, move-only or an lvalue
    // reference. f and the arguments are moved in, as for std::thread; if f can be called with a std::stop_token in
    // front, it gets one. They are destroyed on the loop's thread, before the awaiting task goes on.
    // A checkpoint; cancelled: see above. Throws `closed` after close(), object_destroyed when the pool is destroyed
    // while the call is queued, uv_error (UV_EAGAIN) when the pool has no thread and the system makes none.
    // O(1), no allocation but the threads'.
    template <class F, class... Args>
    [[nodiscard]] auto run(F&& f, Args&&... args) {
        return detail::job_operation<detail::when_full::wait, detail::pool_route, std::decay_t<F>,
                                     std::decay_t<Args>...>(detail::pool_route(core("run")), std::forward<F>(f),
                                                            std::forward<Args>(args)...);
    }
    // The same where a thread is free or the queue has room; else f is destroyed unrun, and the await ends at once,
    // empty: gives a maybe<R> (void: true when f has run). Decided when it is awaited.
    template <class F, class... Args>
    [[nodiscard]] auto try_run(F&& f, Args&&... args) {
        return detail::job_operation<detail::when_full::refuse, detail::pool_route, std::decay_t<F>,
                                     std::decay_t<Args>...>(detail::pool_route(core("try_run")), std::forward<F>(f),
                                                            std::forward<Args>(args)...);
    }
    // The same as run(), but cancelled the await gives up at once, and the loop may end although f still runs. So f
    // must own what it uses. f and the arguments are destroyed on the thread; a result that comes too late is
    // destroyed on the loop, or on the thread if the loop has gone. Allocates.
    template <class F, class... Args>
    [[nodiscard]] auto run_abandon(F&& f, Args&&... args) {
        return detail::abandon_operation<detail::pool_abandon_site, std::decay_t<F>, std::decay_t<Args>...>(
            core("run_abandon"), std::forward<F>(f), std::forward<Args>(args)...);
    }

    // The normal end. Refuses work from now on, and waits until what was accepted has run and every thread has ended.
    // A checkpoint; cancelled while it waits, the pool stays closed, and close() may be awaited again, as often as
    // wanted and from several loops.
    [[nodiscard]] task<void> close();

    // Any thread; zeroes in a child process. O(1).
    [[nodiscard]] thread_pool_statistics statistics() const noexcept;

    [[nodiscard]] const std::shared_ptr<detail::worker_pool>& detail_core() const noexcept { return core_; }

private:
    [[nodiscard]] const std::shared_ptr<detail::worker_pool>& core(const char* what) const;
    std::shared_ptr<detail::worker_pool> core_;
};

namespace detail {

template <class R>
using range_element_t = std::remove_cvref_t<std::ranges::range_reference_t<R>>;

// The calls of one map(), and whoever awaits them all. On the loop.
struct pool_map_base {
    std::shared_ptr<worker_pool> pool;
    engine::waiter* waits = nullptr;
    std::size_t left = 0;             // not back yet
    bool ended_early = false;         // calls were taken back unrun
    std::atomic<bool> no_more{false}; // calls that a thread takes up are not made any more
    loss lost = loss::none;
    std::exception_ptr failure;

    explicit pool_map_base(std::shared_ptr<worker_pool> p) noexcept : pool(std::move(p)) {}
    // Takes back what is queued and asks the rest to stop.
    virtual void cancel_all() noexcept = 0;
    // One call is back; `error` is null when it gave a value.
    void one_back(offload_job& job, bool ran, const std::exception_ptr& error) noexcept;
    void cancel(offload_job& job) noexcept;

protected:
    ~pool_map_base() = default;
};

template <class F, class Element>
class pool_map_operation final : public leaf_operation<pool_map_operation<F, Element>>, private pool_map_base {
    using base = leaf_operation<pool_map_operation>;
    static constexpr bool takes_token = std::is_invocable_v<F&, std::stop_token, Element>;
    static_assert(takes_token || std::is_invocable_v<F&, Element>,
                  "map(pool, range, f): f can't be called with an element of the range");
    using raw_result = typename std::conditional_t<takes_token, std::invoke_result<F&, std::stop_token, Element>,
                                                   std::invoke_result<F&, Element>>::type;
    using value =
        std::conditional_t<std::is_lvalue_reference_v<raw_result>, raw_result, std::remove_cvref_t<raw_result>>;
    static_assert(!is_task<value>::value, "map(pool, range, f) runs plain functions");

    struct item final : offload_job {
        item(pool_map_operation& m, Element&& e) : map(&m), element(std::in_place, std::move(e)) {}
        item(item&& o) noexcept : map(o.map), element(std::move(o.element)) {} // while the vector grows
        pool_map_operation* map;
        std::optional<Element> element;
        job_result<value> result;
    };
    static item& of(thread_job& j) noexcept { return static_cast<item&>(static_cast<offload_job&>(j)); }
    static constexpr thread_job_kind how_it_runs{
        .work =
            [](thread_job& j) noexcept {
                item& i = of(j);
                if (i.map->no_more.load(std::memory_order_relaxed)) return;
                i.result.fill([&i]() -> decltype(auto) {
                    if constexpr (takes_token)
                        return std::invoke(i.map->f_, i.map->source_.get_token(), std::move(*i.element));
                    else
                        return std::invoke(i.map->f_, std::move(*i.element));
                });
                if (i.result.failed()) i.map->no_more.store(true, std::memory_order_relaxed);
            },
        .leave = [](thread_job& j) noexcept { pool_route::come_back(of(j)); },
        .lose =
            [](thread_job& j, loss why, std::exception_ptr thrown) noexcept {
                if (thrown != nullptr)
                    of(j).result.fail(std::move(thrown));
                else
                    of(j).lost = why;
                pool_route::come_back(of(j));
            },
    };
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        auto& self = static_cast<pool_map_operation&>(w);
        self.cancel_all();
        if (self.left != 0) return engine::abort_result::cannot;
        self.waits = nullptr;
        return engine::abort_result::gone;
    }

public:
    using result_type = std::conditional_t<std::is_void_v<value>, void, std::vector<stored_t<value>>>;
    static constexpr engine::wait_kind kind{.name = "map",
                                            .outside = true,
                                            .pinned = true,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    pool_map_operation(std::shared_ptr<worker_pool> p, F f, std::vector<Element> elements)
        : pool_map_base(std::move(p)), f_(std::move(f)), elements_(std::move(elements)) {}
    pool_map_operation(pool_map_operation&& o)
        : base(std::move(o)), pool_map_base(std::move(o.pool)), f_(std::move(o.f_)), elements_(std::move(o.elements_)) {
    }
    ~pool_map_operation() {
        if (waits != nullptr) cancel_all();
        for (item& i : items_)
            pool_route::withdraw(i);
        base::end();
    }

    bool attempt() {
        const pool_route route(pool);
        route.prepare(*this->where->loop);
        items_.reserve(elements_.size());
        for (Element& e : elements_) {
            item& i = items_.emplace_back(*this, std::move(e));
            i.how = &how_it_runs;
            i.forget = [](offload_job& j) noexcept { of(j).element.reset(); };
            i.back = [](offload_job& j) noexcept {
                item& it = of(j);
                it.map->one_back(j, it.result.has_value(), it.result.failed() ? it.result.error() : nullptr);
            };
            if constexpr (takes_token) i.stop = &source_;
        }
        elements_.clear();
        return items_.empty();
    }
    void enqueue() noexcept {
        const pool_route route(pool);
        waits = this;
        left = items_.size();
        for (item& i : items_)
            route.submit(i, *this);
    }
    [[nodiscard]] engine::status state() const noexcept {
        if (base::state() != engine::status::ok) return base::state();
        if (failure != nullptr || lost != loss::none) return engine::status::exception;
        return ended_early ? engine::status::cancelled : engine::status::ok;
    }
    result_type take() {
        if constexpr (!std::is_void_v<value>) {
            result_type all;
            all.reserve(items_.size());
            for (item& i : items_) {
                if constexpr (std::is_reference_v<value>)
                    all.push_back(std::addressof(i.result.take()));
                else
                    all.push_back(i.result.take());
            }
            return all;
        }
    }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::ok) {
            if (failure != nullptr) std::rethrow_exception(failure);
            if (lost != loss::none) detail::throw_lost(lost, *pool);
            throw_cancelled(*this->where);
        }
        base::fail();
    }

private:
    void cancel_all() noexcept override {
        no_more.store(true, std::memory_order_relaxed);
        for (item& i : items_)
            if (i.waits != nullptr) this->pool_map_base::cancel(i);
    }
    F f_;
    std::vector<Element> elements_;
    std::vector<item> items_;
    [[no_unique_address]] std::conditional_t<takes_token, std::stop_source, no_stop_source> source_;
};

} // namespace detail

// Runs f(element) for each element of the range in the pool, as many at a time as it has threads, and gives the
// results in order (a vector of R; of pointers for a reference; nothing for void). The range is moved from (copied when
// an lvalue); f is shared by the threads, so it must be safe to call at the same time. The first failure keeps the rest
// from beginning, asks what runs to stop, waits for it, and is rethrown.
// A checkpoint. Cancelled: the same, and `cancelled` is thrown if an element was left out. Allocates.
template <std::ranges::input_range R, class F>
[[nodiscard]] auto map(thread_pool& pool, R&& range, F&& f) {
    using element = detail::range_element_t<R>;
    std::vector<element> elements;
    if constexpr (std::ranges::sized_range<R>) elements.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto&& e : range) {
        // A view may show what is somebody else's.
        if constexpr ((std::is_lvalue_reference_v<R> || std::ranges::view<std::remove_cvref_t<R>>) &&
                      std::is_copy_constructible_v<element>)
            elements.push_back(e);
        else
            elements.push_back(std::move(e));
    }
    return detail::pool_map_operation<std::decay_t<F>, element>(pool.detail_core(), std::forward<F>(f),
                                                                std::move(elements));
}

} // namespace eddy
