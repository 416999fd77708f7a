// How a process_pool works.
#pragma once

#include <eddy/core/clock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eddy {

// A piece of what a worker printed, as it came: lines may be cut anywhere.
class worker_output {
public:
    worker_output(int pid, bool is_error, std::string_view text) noexcept
        : text_(text), pid_(pid), is_error_(is_error) {}
    // The worker's process id.
    [[nodiscard]] int pid() const noexcept { return pid_; }
    // True: from its standard error.
    [[nodiscard]] bool is_error() const noexcept { return is_error_; }
    // Valid during the call.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

private:
    std::string_view text_;
    int pid_;
    bool is_error_;
};

// Chain the setters; everything is owned. Bad values are a std::logic_error of process_pool's constructor.
class process_pool_options {
public:
    enum class output_kind : unsigned char { inherit, discard, handler };

    process_pool_options() = default;

    // A worker is replaced after this many jobs: for functions that leak. 0, the default: never.
    process_pool_options& max_tasks_per_worker(std::size_t n) noexcept {
        max_tasks_ = n;
        return *this;
    }
    // How long one job may run, from when a worker gets it. Then the worker is killed and replaced, and run() throws
    // timeout_error. duration::max(), the default: for ever.
    template <class Rep, class Period>
    process_pool_options& job_timeout(std::chrono::duration<Rep, Period> d) noexcept {
        job_timeout_ = detail::to_duration(d);
        return *this;
    }
    // A worker that has had nothing to do for this long is ended; the next job starts another one when it needs it.
    // duration::max(), the default: they stay.
    template <class Rep, class Period>
    process_pool_options& idle_timeout(std::chrono::duration<Rep, Period> d) noexcept {
        idle_timeout_ = detail::to_duration(d);
        return *this;
    }
    // How long a worker may take from its start to process_worker_main(), before it is killed and counted as dead at
    // its start. Default: 30 s.
    template <class Rep, class Period>
    process_pool_options& start_timeout(std::chrono::duration<Rep, Period> d) noexcept {
        start_timeout_ = detail::to_duration(d);
        return *this;
    }

    // Where standard output and error of the workers lead. Their standard input is the null device.
    // To those of this process; the default.
    process_pool_options& inherit_output() noexcept {
        output_ = output_kind::inherit;
        return *this;
    }
    // Nowhere.
    process_pool_options& discard_output() noexcept {
        output_ = output_kind::discard;
        return *this;
    }
    // To f, on the loop's thread, from a callback of the loop. A worker flushes after each job, and what it has printed
    // before it died comes before its job fails. What f throws goes to the loop's exception handler. The workers wait
    // for nobody but the loop: a worker that prints is held up only while the loop is.
    process_pool_options& on_output(std::function<void(const worker_output&)> f) {
        handler_ = std::move(f);
        output_ = output_kind::handler;
        return *this;
    }

    // One more variable of the workers' environment, which else is this process's.
    process_pool_options& variable(std::string name, std::string value) {
        variables_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    // Bytes that the arguments, or the result, of one job may have. Default: 1 GiB.
    process_pool_options& max_message_size(std::uint64_t bytes) noexcept {
        max_message_size_ = bytes;
        return *this;
    }

    [[nodiscard]] std::size_t max_tasks_per_worker() const noexcept { return max_tasks_; }
    [[nodiscard]] duration job_timeout() const noexcept { return job_timeout_; }
    [[nodiscard]] duration idle_timeout() const noexcept { return idle_timeout_; }
    [[nodiscard]] duration start_timeout() const noexcept { return start_timeout_; }
    [[nodiscard]] output_kind output() const noexcept { return output_; }
    [[nodiscard]] const std::function<void(const worker_output&)>& output_handler() const noexcept { return handler_; }
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& variables() const noexcept {
        return variables_;
    }
    [[nodiscard]] std::uint64_t max_message_size() const noexcept { return max_message_size_; }

private:
    std::size_t max_tasks_ = 0;
    duration job_timeout_ = duration::max();
    duration idle_timeout_ = duration::max();
    duration start_timeout_ = std::chrono::seconds(30);
    std::function<void(const worker_output&)> handler_;
    std::vector<std::pair<std::string, std::string>> variables_;
    std::uint64_t max_message_size_ = std::uint64_t{1} << 30;
    output_kind output_ = output_kind::inherit;
};

} // namespace eddy
