// What eddy throws.
//
// `cancelled` is no error and does not derive from std::exception: `catch (const std::exception&)` never swallows it.
// Misuse that can be seen is a std::logic_error; running out of memory is std::bad_alloc.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace eddy {

// Why a scope was cancelled.
enum class cancel_kind : unsigned char { requested, timeout, sibling_failed, shutdown, interrupt };

// "requested", "timeout", … Static text. Any thread.
[[nodiscard]] std::string_view to_string(cancel_kind k) noexcept;

// A kind and an optional text for people. The first reason given to a scope wins.
class cancel_reason {
public:
    cancel_reason(cancel_kind kind = cancel_kind::requested, std::string_view text = {}) : kind_(kind), text_(text) {}
    [[nodiscard]] cancel_kind kind() const noexcept { return kind_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    cancel_kind kind_;
    std::string text_;
};

// Thrown by every checkpoint inside a cancelled scope. Catch it to clean up, then rethrow or return; a task that
// swallows it is stopped again at its next checkpoint.
class cancelled final {
public:
    explicit cancelled(cancel_reason reason = {}) : reason_(std::move(reason)) {}
    [[nodiscard]] const cancel_reason& reason() const noexcept { return reason_; }

private:
    cancel_reason reason_;
};

// Base of eddy's errors.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A timeout() ran out.
class timeout_error : public error {
public:
    using error::error;
    timeout_error() : error("eddy: the time limit ran out") {}
};

// The awaited task was cancelled by somebody else (you were not).
class task_cancelled : public error {
public:
    explicit task_cancelled(cancel_reason reason, std::string_view task_name = {});
    [[nodiscard]] const cancel_reason& reason() const noexcept { return reason_; }

private:
    cancel_reason reason_;
};

// with_task_group: the group was cancelled and its body produced no value.
class cancelled_group : public error {
public:
    cancelled_group() : error("eddy: the task group was cancelled before its body gave a value") {}
};

// put() on a closed queue, get() on a closed and empty one; send() on a closed channel.
class queue_closed : public error {
public:
    using error::error;
    queue_closed() : error("eddy: the queue is closed") {}
};

// The object that was waited on has been destroyed.
class object_destroyed : public error {
public:
    using error::error;
};

// A barrier that was aborted, or reset while one waited there.
class broken_barrier : public error {
public:
    broken_barrier() : error("eddy: the barrier is broken: it was aborted, or reset while tasks waited") {}
};

// A promise was destroyed without a value.
class broken_promise : public error {
public:
    broken_promise() : error("eddy: the promise was destroyed before it was given a value") {}
};

// The main task can never be woken again. what() holds the task dump.
class deadlock_error : public error {
public:
    using error::error;
};

// No loop is running on this thread.
class no_running_loop : public error {
public:
    explicit no_running_loop(std::string_view what);
};

// The main task was ended by SIGINT.
class interrupted : public error {
public:
    interrupted() : error("eddy: interrupted (SIGINT)") {}
};

// loop.run(task) was ended by stop().
class stopped : public error {
public:
    stopped() : error("eddy: the loop was stopped before the task had ended") {}
};

// A pool, channel or loop that accepts no more work.
class closed : public error {
public:
    using error::error;
};

// An error that libuv or the operating system reported; code().category() is uv_category().
class uv_error : public std::system_error {
public:
    // `code` is libuv's (negative) number.
    uv_error(int code, const std::string& what);
};

// Category "uv": values are libuv's negative error numbers; equivalent to the generic category's errno values.
[[nodiscard]] const std::error_category& uv_category() noexcept;

} // namespace eddy
