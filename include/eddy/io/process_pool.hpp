// Worker processes: for work that needs the processor, and for code that may crash.
//
//     double crunch(const std::vector<double>& v) { … }
//     EDDY_PROCESS_FUNCTION(crunch)
//     …
//     eddy::process_pool pool(4);
//     double sum = co_await pool.run(crunch, numbers);
//
// A worker is this program started again (never a bare fork, which copies locks that other threads hold). It talks to
// the pool over a socket of its own, so whatever it prints harms nobody, and it holds one job at a time: when it dies,
// the pool knows exactly which job died with it, and no other is touched. Jobs wait in one line, first come first
// served; workers are started when there is a job for them, and the one that was used last is used first.
//
// A job's operation lives in the frame that awaits it, with the arguments as bytes. A worker is told to stop in one
// way only: SIGKILL to its process group. So a cancelled job ends when its worker has been reaped, and nothing of it
// runs on. Every worker is reaped by the loop, also when the pool, or the whole loop, goes first.
#pragma once

#include <eddy/core/operation.hpp>
#include <eddy/io/process_function.hpp>
#include <eddy/io/process_pool_options.hpp>
#include <eddy/sync/waiting.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace eddy {

// The worker died while it ran the job: by a signal, or because the function ended the process.
class worker_died : public error {
public:
    worker_died(const std::string& what, int pid, int exit_code, int term_signal)
        : error(what), pid_(pid), exit_code_(exit_code), term_signal_(term_signal) {}
    // The code it ended with; 0 when a signal ended it.
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
    // The signal that ended it; 0 when none did.
    [[nodiscard]] int term_signal() const noexcept { return term_signal_; }
    // The process that died.
    [[nodiscard]] int pid() const noexcept { return pid_; }

private:
    int pid_;
    int exit_code_;
    int term_signal_;
};

// The function threw an exception in the worker. what() is its text; empty when it is no std::exception.
class remote_error : public error {
public:
    remote_error(std::string type_name, const std::string& what) : error(what), type_name_(std::move(type_name)) {}
    // The exception's type, as in the source: "std::out_of_range".
    [[nodiscard]] const std::string& type_name() const noexcept { return type_name_; }

private:
    std::string type_name_;
};

// A worker sent bytes that are no answer, or closed its connection. It has been killed and is replaced.
class worker_protocol_error : public error {
public:
    using error::error;
};

// What process_pool::statistics() tells.
struct process_pool_statistics {
    process_pool_statistics() = default;
    // Now.
    std::size_t workers = 0;  // processes that have not been reaped
    std::size_t starting = 0; // of these: not ready yet
    std::size_t idle = 0;     // of these: waiting for a job
    std::size_t running = 0;  // jobs that a worker has
    std::size_t queued = 0;   // jobs that wait for a worker
    // Since the beginning. Jobs that have ended are succeeded + threw + died + timed_out + cancelled + refused.
    std::uint64_t succeeded = 0;
    std::uint64_t threw = 0;     // remote_error
    std::uint64_t died = 0;      // worker_died while it ran, and worker_protocol_error
    std::uint64_t timed_out = 0; // job_timeout
    std::uint64_t cancelled = 0; // or destroyed, while queued or running
    std::uint64_t refused = 0;   // no worker could be started; the pool was destroyed
    std::uint64_t workers_started = 0;
    std::uint64_t workers_failed = 0; // died by themselves: at their start, idle, or with a job
};

namespace detail {

struct pool_core;
struct pool_worker;

class pool_reference {
public:
    pool_reference() noexcept = default;
    explicit pool_reference(pool_core& c) noexcept;
    pool_reference(const pool_reference& o) noexcept;
    pool_reference(pool_reference&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
    pool_reference& operator=(pool_reference o) noexcept {
        std::swap(core_, o.core_);
        return *this;
    }
    ~pool_reference();
    [[nodiscard]] pool_core* get() const noexcept { return core_; }
    pool_core* operator->() const noexcept { return core_; }

private:
    pool_core* core_ = nullptr;
};

// A job, in the operation that awaits it.
struct pool_job : engine::waiter {
    enum class end : unsigned char {
        none,
        value,
        threw,
        died,          // code_a: exit code, code_b: signal
        died_at_start, // the same
        start_failed,  // code_a: libuv's number
        timed_out,
        protocol, // text
        cancelled,
        destroyed,
    };
    pool_job() noexcept = default;
    pool_job(pool_reference p, const process_function* f, std::vector<std::byte>&& b) noexcept
        : pool(std::move(p)), function(f), message(std::move(b)) {}
    pool_job(pool_job&&) noexcept = default;

    // On the loop: keeps the result that the bytes are. False: they are none.
    using accept_function = bool (*)(pool_job&, std::span<const std::byte>) noexcept;

    pool_reference pool;
    const process_function* function = nullptr;
    std::vector<std::byte> message; // arguments with their header; then, for threw, the answer
    accept_function accept = nullptr;
    pool_worker* worker = nullptr;
    end ended = end::none;
    int code_a = 0;
    int code_b = 0;
    int pid = 0;
    const char* text = nullptr;
};

// The parts of run() that do not depend on the function's type.
std::vector<std::byte> begin_frame(std::size_t index);
const process_function& check_function(pool_core& core, void (*address)(), const char* type, std::size_t& index);
void check_frame(const pool_core& core, const process_function& f, std::size_t size);
void check_pool_job(pool_job& job);
void queue_pool_job(pool_job& job) noexcept;
void leave_pool_job(pool_job& job) noexcept;
engine::abort_result abort_pool_job(pool_job& job) noexcept;
std::size_t describe_pool_job(const pool_job& job, char* out, std::size_t room) noexcept;
[[noreturn]] void throw_pool_job(const pool_job& job);

template <class R>
class pool_run_operation final : public sync_operation<pool_run_operation<R>, pool_job> {
    using base = sync_operation<pool_run_operation<R>, pool_job>;
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        return abort_pool_job(static_cast<pool_run_operation&>(w));
    }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        return describe_pool_job(static_cast<const pool_run_operation&>(w), out, room);
    }
    static bool accept_it(pool_job& job, std::span<const std::byte> answer) noexcept {
        try {
            byte_reader in(answer);
            if constexpr (!std::is_void_v<R>) static_cast<pool_run_operation&>(job).result_.emplace(in.get<R>());
            in.finish();
            return true;
        } catch (...) {
            return false;
        }
    }

public:
    using result_type = R;
    static constexpr engine::wait_kind kind{.name = "process_pool.run",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    pool_run_operation(pool_reference p, const process_function* f, std::vector<std::byte>&& b) noexcept {
        this->pool = std::move(p);
        this->function = f;
        this->message = std::move(b);
        this->accept = &accept_it;
    }
    pool_run_operation(pool_run_operation&& o) : base(std::move(o)) {
        this->pool = std::move(o.pool);
        this->function = o.function;
        this->message = std::move(o.message);
        this->accept = o.accept;
    }
    ~pool_run_operation() {
        leave_pool_job(*this);
        base::end();
    }
    bool attempt() {
        check_pool_job(*this);
        return false;
    }
    void enqueue() noexcept { queue_pool_job(*this); }
    R take() {
        if constexpr (!std::is_void_v<R>) return *std::move(result_);
    }
    [[noreturn]] void fail() {
        if (base::state() == engine::status::exception) throw_pool_job(*this);
        base::fail();
    }

private:
    std::optional<std::conditional_t<std::is_void_v<R>, std::monostate, R>> result_;
};

class pool_close_operation final : public sync_operation<pool_close_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "process_pool.close",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    explicit pool_close_operation(pool_reference p) noexcept : pool_(std::move(p)) {}
    pool_close_operation(pool_close_operation&&) = default;
    ~pool_close_operation() { end(); }
    bool attempt();
    void enqueue() noexcept;
    void take() noexcept {}

private:
    pool_reference pool_;
};

} // namespace detail

// Up to n worker processes. For the tasks of one loop at a time; it may be made before the loop and outlive it. Not
// movable.
//
// A program that has one begins its main() with process_worker_main(argc, argv).
//
// Destroying it kills its workers at once, without waiting for their end: the loop reaps them. Operations that wait for
// it end with object_destroyed. The orderly end is close().
class process_pool {
public:
    // Starts nothing yet. std::logic_error when n is not from 1 to 1024, for bad options, and when main() did not begin
    // with process_worker_main().
    explicit process_pool(std::ptrdiff_t n, process_pool_options options = {});
    process_pool(const process_pool&) = delete;
    process_pool& operator=(const process_pool&) = delete;
    ~process_pool();

    // co_await pool.run(function, arguments...) -> what the function returns. The function is a free one with an
    // EDDY_PROCESS_FUNCTION line. The arguments are converted to its parameters' types and turned into bytes by this
    // call, before anything is awaited; std::string_view and std::span<const T> parameters are sent as what they look
    // at. The call throws std::logic_error for a function without such a line, std::length_error when the arguments
    // are longer than max_message_size(), and what serializers throw.
    //
    // A checkpoint. Cancelled while queued, the function never runs. Cancelled while it runs, the worker is killed and
    // replaced, and the await ends as cancelled when the worker has been reaped. Once the answer has come it is
    // delivered, and the cancellation waits for the next checkpoint.
    // A job runs at most once: where its worker was dead before it got the job, another one gets it.
    //
    // Throws remote_error for what the function throws; worker_died when the worker dies of a signal, abort() or
    // exit(), or when workers die again and again before they are ready (a program whose start-up code fails);
    // timeout_error after job_timeout(); worker_protocol_error when what comes back is no answer; uv_error when no
    // worker can be started (EAGAIN, EMFILE, ENOMEM); `closed` after close(); std::logic_error on loops with simulated
    // time, and while the pool works for another loop.
    template <class R, class... P>
    [[nodiscard]] detail::pool_run_operation<R> run(R (*function)(P...), const std::remove_cvref_t<P>&... arguments) {
        std::size_t index = 0;
        const detail::process_function& f = detail::check_function(*core_.get(), reinterpret_cast<void (*)()>(function),
                                                                   typeid(R(*)(P...)).name(), index);
        std::vector<std::byte> frame = detail::begin_frame(index);
        byte_writer out(frame);
        (detail::write_argument(out, arguments), ...);
        detail::check_frame(*core_.get(), f, frame.size());
        return detail::pool_run_operation<R>(core_, &f, std::move(frame));
    }

    // No more jobs from now on: run() throws `closed`. Waits until those that were accepted have ended, lets the
    // workers end by themselves (a second; then they are killed), and waits until they have been reaped. Any number
    // may wait, also again. A checkpoint; cancelling it only stops the waiting.
    [[nodiscard]] detail::pool_close_operation close() noexcept;

    // O(workers + queued jobs).
    [[nodiscard]] process_pool_statistics statistics() const noexcept;

private:
    detail::pool_reference core_;
};

} // namespace eddy
