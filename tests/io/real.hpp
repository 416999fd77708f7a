// Runs a test's coroutine on a real loop, and checks that no task, handle, descriptor or zombie is left behind.
#pragma once

#include <eddy/core/run.hpp>
#include <eddy/io/process_options.hpp>

#include "support/check.hpp"
#include "support/run.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <utility>

namespace eddy_test {

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Neither running nor waiting to be reaped.
inline bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

class nothing_left {
public:
    nothing_left() {
        std::make_unique<eddy::loop>().reset(); // libuv keeps two descriptors of a process's first loop
        before_ = open_descriptors();
    }
    nothing_left(const nothing_left&) = delete;
    ~nothing_left() {
        CHECK(open_descriptors() == before_);
        CHECK_FALSE(has_children());
    }

private:
    std::size_t before_ = 0;
};

// f() -> task<void>
template <class F>
void run_real(F f) {
    const nothing_left checked;
    eddy::loop l;
    auto body = [&f]() -> eddy::task<void> { co_await f(); };
    l.run(body());
    l.run(); // what was closed goes in the loop's next turns
    check_empty(l);
}

inline eddy::process_options shell(std::string script) {
    std::vector<std::string> arguments;
    arguments.emplace_back("-c");
    arguments.push_back(std::move(script));
    return eddy::process_options("sh", std::move(arguments));
}

class stopwatch {
public:
    [[nodiscard]] std::chrono::nanoseconds elapsed() const { return std::chrono::steady_clock::now() - begin_; }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The text of the exception that f() throws.
template <class E, class F>
std::string text_of(F f) {
    try {
        f();
    } catch (const E& e) {
        return e.what();
    }
    return "no exception";
}

} // namespace eddy_test
