// The log: levels, sinks, what happens to a sink that throws or replaces itself.
#include <eddy/core/log.hpp>
#include <eddy/core/loop.hpp>
#include <eddy/testing/virtual_loop.hpp>

#include "support/stderr.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using eddy_test::captured_stderr;

namespace {

// Restores what there is from the start, also where a check throws.
struct log_guard {
    log_guard() = default;
    log_guard(const log_guard&) = delete;
    ~log_guard() { eddy::set_log(eddy::log_level::warning); }
};

// Something that eddy logs as an error.
void fail_in_callback(const char* text) {
    eddy::testing::virtual_loop l;
    l.call_soon([text] { throw std::runtime_error(text); });
    l.settle();
}

} // namespace

TEST_CASE("log: the sink gets level and text, without prefix and newline; standard error nothing") {
    const log_guard guard;
    std::vector<std::string> lines;
    eddy::set_log(eddy::log_level::debug, [&lines](const eddy::log_record& r) {
        lines.push_back(std::string(eddy::to_string(r.level)) + "|" + std::string(r.message));
    });
    captured_stderr err;
    fail_in_callback("no luck");
    CHECK(lines == std::vector<std::string>{"error|a callback threw: no luck"});
    CHECK(err.text().empty());
}

TEST_CASE("log: without a sink a record is one line on standard error") {
    captured_stderr err;
    fail_in_callback("no luck");
    CHECK(err.text() == "eddy: a callback threw: no luck\n");
}

TEST_CASE("log: records above the level are dropped, with and without a sink") {
    const log_guard guard;
    int calls = 0;
    captured_stderr err;
    eddy::set_log(eddy::log_level::misuse, [&calls](const eddy::log_record&) { ++calls; });
    fail_in_callback("an error");
    CHECK(calls == 0);
    eddy::set_log(eddy::log_level::error, [&calls](const eddy::log_record&) { ++calls; });
    fail_in_callback("an error");
    CHECK(calls == 1);
    eddy::set_log(eddy::log_level::off);
    fail_in_callback("an error");
    CHECK(calls == 1);
    CHECK(err.text().empty());
}

TEST_CASE("log: a sink that throws loses no message, and neither does its caller notice") {
    const log_guard guard;
    eddy::set_log(eddy::log_level::debug, [](const eddy::log_record&) { throw 7; });
    captured_stderr err;
    fail_in_callback("no luck");
    CHECK(err.text() == "eddy: a callback threw: no luck\neddy: the log's sink threw an exception\n");
}

TEST_CASE("log: a sink may replace itself, and lives until its call has ended") {
    const log_guard guard;
    auto alive = std::make_shared<int>(0);
    eddy::set_log(eddy::log_level::debug, [alive](const eddy::log_record&) {
        eddy::set_log(eddy::log_level::error);
        ++*alive; // its captures are still there
    });
    fail_in_callback("one");
    CHECK(*alive == 1);
    CHECK(alive.use_count() == 1); // gone with its only call
}

TEST_CASE("log: what is no level is a logic_error that says so, and changes nothing") {
    const log_guard guard;
    CHECK_THROWS_WITH_AS(eddy::set_log(static_cast<eddy::log_level>(6)),
                         "eddy: set_log(6): a level is off (0) to debug (5)", std::logic_error);
    captured_stderr err;
    fail_in_callback("still told");
    CHECK(err.text() == "eddy: a callback threw: still told\n");
    CHECK(eddy::to_string(static_cast<eddy::log_level>(6)) == "unknown");
    for (const auto& [level, name] :
         {std::pair(eddy::log_level::off, "off"), std::pair(eddy::log_level::misuse, "misuse"),
          std::pair(eddy::log_level::warning, "warning"), std::pair(eddy::log_level::info, "info"),
          std::pair(eddy::log_level::debug, "debug")})
        CHECK(eddy::to_string(level) == name);
}

TEST_CASE("log: sinks are replaced while other threads log") {
    const log_guard guard;
    std::atomic<int> told{0};
    std::vector<std::thread> threads;
    eddy::set_log(eddy::log_level::debug, [&told](const eddy::log_record&) { ++told; });
    for (int t = 0; t < 2; ++t)
        threads.emplace_back([] {
            for (int i = 0; i < 50; ++i)
                fail_in_callback("from a thread");
        });
    for (int i = 0; i < 50; ++i)
        eddy::set_log(eddy::log_level::debug, [&told](const eddy::log_record&) { ++told; });
    for (std::thread& t : threads)
        t.join();
    CHECK(told == 100);
}
