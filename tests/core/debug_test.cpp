// Debug mode: slow steps, tasks that nobody awaits, use on another thread, the switches.
#include <eddy/core/log.hpp>
#include <eddy/core/run.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/testing/virtual_loop.hpp>

#include "support/run.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::task;
using eddy::testing::virtual_loop;

namespace {

// Takes what is logged while it lives.
class captured_log {
public:
    captured_log() {
        eddy::set_log(eddy::log_level::debug, [this](const eddy::log_record& r) {
            lines_.push_back(std::string(eddy::to_string(r.level)) + ": " + std::string(r.message));
        });
    }
    captured_log(const captured_log&) = delete;
    ~captured_log() { eddy::set_log(eddy::log_level::warning); }
    std::vector<std::string> take() { return std::exchange(lines_, {}); }

private:
    std::vector<std::string> lines_;
};

// EDDY_DEBUG while it lives; null: not set.
class debug_variable {
public:
    explicit debug_variable(const char* value) {
        if (const char* v = std::getenv("EDDY_DEBUG"); v != nullptr) before_ = v;
        set(value);
    }
    debug_variable(const debug_variable&) = delete;
    ~debug_variable() { set(before_ ? before_->c_str() : nullptr); }

private:
    static void set(const char* v) {
        if (v == nullptr)
            unsetenv("EDDY_DEBUG"); // NOLINT: one thread
        else
            setenv("EDDY_DEBUG", v, 1); // NOLINT: one thread
    }
    std::optional<std::string> before_;
};

using lines = std::vector<std::string>;
std::string here(int line) { return "debug_test.cpp:" + std::to_string(line); }

constexpr int first_await = __LINE__ + 3;
constexpr int second_await = first_await + 2;
task<void> work_and_wait(virtual_loop& l, std::chrono::milliseconds work) {
    co_await eddy::sleep(1s);
    l.advance(work); // as if it had computed for so long
    co_await eddy::sleep(1s);
}

task<void> work_to_the_end(virtual_loop& l) {
    l.advance(300ms);
    co_return;
}

} // namespace

TEST_CASE("DB-2 a slow step is told of with task, await sites and how long it took") {
    captured_log log;
    virtual_loop l;
    l.set_debug(true);
    l.spawn(eddy::spawn_options().name("reader"), work_and_wait(l, 250ms));
    l.advance(10s);
    CHECK(log.take() ==
          lines{"warning: task 'reader' #1 held the loop for 250 ms (more than 100 ms are told), from the "
                "co_await at " +
                here(first_await) + " to the one at " + here(second_await)});
    l.spawn(work_to_the_end(l));
    l.settle();
    CHECK(log.take() ==
          lines{"warning: task 'task-2' #2 held the loop for 300 ms (more than 100 ms are told), to its end"});
    eddy_test::check_empty(l);
}

TEST_CASE("DB-2 the limit is inclusive, can be set, and what is below it is not told of") {
    captured_log log;
    virtual_loop l;
    l.set_debug(true);
    l.spawn(work_and_wait(l, 99ms));
    l.advance(10s);
    CHECK(log.take().empty());
    l.spawn(work_and_wait(l, 100ms));
    l.advance(10s);
    CHECK(log.take().size() == 1);
    l.set_debug(true, 10ms);
    l.spawn(work_and_wait(l, 10ms));
    l.spawn(work_and_wait(l, 9ms));
    l.advance(10s);
    CHECK(log.take().size() == 1);
    CHECK_THROWS_WITH_AS(l.set_debug(true, -1ms), "eddy: set_debug: the limit of a step can't be negative",
                         std::logic_error);
}

TEST_CASE("DB-2 slow callbacks and posted functions are told of as such") {
    captured_log log;
    virtual_loop l;
    l.set_debug(true);
    l.call_soon([&l] { l.advance(150ms); });
    l.settle();
    CHECK(log.take() == lines{"warning: a callback (call) held the loop for 150 ms (more than 100 ms are told)"});
    l.post([&l] { l.advance(160ms); });
    l.settle();
    CHECK(log.take() == lines{"warning: a callback (post) held the loop for 160 ms (more than 100 ms are told)"});
}

TEST_CASE("DB-2 each step is measured by itself: many quick ones in a row are no slow one") {
    captured_log log;
    virtual_loop l;
    l.set_debug(true);
    for (int i = 0; i < 10; ++i)
        l.spawn(work_and_wait(l, 60ms));
    l.advance(100s);
    CHECK(log.take().empty());
    l.set_debug(false);
    l.spawn(work_and_wait(l, 1s));
    l.advance(100s);
    CHECK(log.take().empty());
}

TEST_CASE("DB-2 debug mode can be switched on and off in the middle of a step") {
    captured_log log;
    virtual_loop l;
    l.call_soon([&l] {
        l.advance(1s);
        l.set_debug(true);
    });
    l.settle();
    CHECK(log.take().empty()); // it had begun before anybody looked
    l.call_soon([&l] {
        l.advance(1s);
        l.set_debug(false);
    });
    l.settle();
    CHECK(log.take().empty());
    CHECK_FALSE(l.debug());
}

TEST_CASE("DB-2 a seeded order is kept while steps are watched, and comes back") {
    const auto order = [](bool debug) {
        eddy::testing::seed(7);
        virtual_loop l;
        eddy::testing::seed(0);
        std::string s;
        const auto add = [&](int n) {
            for (int i = 0; i < n; ++i)
                l.call_soon([&s, i] { s += static_cast<char>('a' + i); });
            l.settle();
        };
        l.set_debug(debug);
        add(10);
        l.set_debug(false);
        add(10);
        return s;
    };
    CHECK(order(true) == order(false));
    CHECK(order(true).substr(0, 10) != "abcdefghij");
}

TEST_CASE("DB-4 EDDY_DEBUG switches every new loop to debug mode, unless it is empty or 0") {
    for (const auto& [value, on] :
         {std::pair<const char*, bool>(nullptr, false), {"", false}, {"0", false}, {"1", true}}) {
        const debug_variable set(value);
        virtual_loop l;
        CHECK(l.debug() == on);
    }
}

TEST_CASE("DB-4 run_options switches debug mode, whatever EDDY_DEBUG says") {
    const auto debugging = []() -> task<bool> { co_return eddy::loop::current().debug(); };
    {
        const debug_variable off(nullptr);
        CHECK_FALSE(eddy::run(debugging()));
        CHECK(eddy::run(debugging(), eddy::run_options().debug(true)));
    }
    const debug_variable on("1");
    CHECK(eddy::run(debugging()));
    CHECK_FALSE(eddy::run(debugging(), eddy::run_options().debug(false)));
}

TEST_CASE("DB-2 a task that was dropped unawaited is told of in debug mode, with its coroutine") {
    captured_log log;
    virtual_loop l;
    const auto drop = [&l] { const task<void> t = work_to_the_end(l); };
    drop(); // not on a running loop: nobody knows whether it is meant
    l.call_soon(drop);
    l.settle();
    CHECK(log.take().empty());
    l.set_debug(true);
    l.call_soon(drop);
    l.settle();
    const lines told = log.take();
    REQUIRE(told.size() == 1);
    CHECK(told[0].find("warning: a task was dropped that nobody had awaited or spawned: the coroutine at ") == 0);
    CHECK(told[0].find("debug_test.cpp:") != std::string::npos);
}

namespace {

// What f() throws on a thread of its own.
template <class F>
std::string thrown_elsewhere(F f) {
    std::string what = "nothing";
    std::thread([&] {
        try {
            f();
        } catch (const std::logic_error& e) {
            what = e.what();
        }
    }).join();
    return what;
}

std::string elsewhere(const char* what) {
    return std::string("eddy: ") + what +
           " on another thread than the loop's; there, use loop.post(), loop.ref() or a remote task";
}

task<void> sleeper() { co_await eddy::sleep(1s); }
task<void> wait_for(eddy::event& e) { co_await e.wait(); }

} // namespace

TEST_CASE("LP-23 debug mode: calls of a loop from another thread throw, and do nothing") {
    virtual_loop l;
    l.set_debug(true);
    bool ran = false;
    const auto run = [&ran] { ran = true; };
    CHECK(thrown_elsewhere([&] { l.call_soon(run); }) == elsewhere("call_soon"));
    CHECK(thrown_elsewhere([&] { l.call_later(1s, run); }) == elsewhere("call_at"));
    CHECK(thrown_elsewhere([&] { l.spawn(work_to_the_end(l)); }) == elsewhere("spawn"));
    CHECK(thrown_elsewhere([&] { l.shutdown(); }) == elsewhere("shutdown"));
    CHECK(thrown_elsewhere([&] { static_cast<void>(l.all_tasks()); }) == elsewhere("all_tasks"));
    CHECK(thrown_elsewhere([&] { l.set_exception_handler(nullptr); }) == elsewhere("set_exception_handler"));
    CHECK(thrown_elsewhere([&] { l.set_debug(false); }) == elsewhere("set_debug"));
    l.advance(2s);
    CHECK_FALSE(ran);
    CHECK(l.debug());
    eddy_test::check_empty(l);
    // What is for other threads works there.
    CHECK(thrown_elsewhere([&] { l.post(run); }) == "nothing");
    l.settle();
    CHECK(ran);
}

TEST_CASE("LP-23 without debug mode the thread is not looked at") {
    virtual_loop l;
    l.set_debug(false);
    bool ran = false;
    CHECK(thrown_elsewhere([&] { l.call_soon([&ran] { ran = true; }); }) == "nothing");
    l.settle();
    CHECK(ran);
}

TEST_CASE("CA-23 debug mode: cancelling a task from another thread throws; it is not cancelled") {
    virtual_loop l;
    l.set_debug(true);
    auto h = l.spawn(sleeper());
    CHECK(thrown_elsewhere([&] { h.cancel(); }) == elsewhere("cancel() of a task handle"));
    l.advance(2s);
    CHECK(h.done());
    CHECK_FALSE(h.was_cancelled());
    CHECK(thrown_elsewhere([&] { CHECK_FALSE(h.cancel()); }) == "nothing"); // it has ended: nothing to be done
}

TEST_CASE("LP-23 debug mode: waking those who wait at an event from another thread throws; they wait on") {
    virtual_loop l;
    l.set_debug(true);
    eddy::event e;
    auto h = l.spawn(wait_for(e));
    l.settle();
    CHECK(thrown_elsewhere([&] { e.set(); }) == elsewhere("event.set"));
    l.settle();
    CHECK_FALSE(h.done());
    e.set(); // a callback of the host on the loop's own thread
    l.settle();
    CHECK(h.done());
}
