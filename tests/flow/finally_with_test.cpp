#include <eddy/flow/finally.hpp>
#include <eddy/flow/with.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

struct file {
    std::vector<std::string>* log;
    const char* fails = nullptr;
    task<> close() {
        co_await sleep(1ms);
        log->push_back("closed");
        if (fails != nullptr) throw std::runtime_error(fails);
    }
};
static_assert(async_closable<file>);

task<file> open(std::vector<std::string>* log) {
    co_await sleep(1ms);
    log->push_back("opened");
    co_return file{log};
}

} // namespace

TEST_CASE("finally: the cleanup runs after a value, an exception and a cancellation, shielded") {
    eddy_test::run([]() -> task<> {
        int cleaned = 0;
        const auto cleanup = [&]() -> task<> {
            co_await sleep(1ms);
            ++cleaned;
        };
        const auto gives = []() -> task<int> { co_return 5; };
        const int v = co_await finally(gives, cleanup);
        CHECK(v == 5);
        CHECK(cleaned == 1);
        const auto fails = []() -> task<> {
            co_await yield();
            throw std::runtime_error("body");
        };
        auto op = settle(finally(fails, cleanup));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "body");
        CHECK(cleaned == 2);
        std::string reason;
        const auto waits = []() -> task<> { co_await sleep_forever(); };
        const auto outer = [&]() -> task<> {
            try {
                co_await finally(waits, cleanup);
            } catch (const cancelled& c) {
                reason = c.reason().text();
                throw;
            }
        };
        auto h = spawn(outer);
        co_await yield();
        h.cancel(cancel_reason(cancel_kind::requested, "why"));
        auto end = co_await settle(h);
        CHECK(cleaned == 3);
        CHECK(reason == "why");
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("finally: both fail, the body's error wins and the cleanup's goes to the exception handler") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto fails = []() -> task<int> {
            throw std::runtime_error("body");
            co_return 0;
        };
        const auto cleanup = []() -> task<> {
            throw std::runtime_error("cleanup");
            co_return;
        };
        auto op = settle(finally(fails, cleanup));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "body");
        CHECK(t.lines == std::vector<std::string>{"a cleanup failed after its body had|task-1|cleanup"});
        const auto gives = []() -> task<int> { co_return 5; };
        auto only = settle(finally(gives, cleanup));
        auto p = co_await only;
        CHECK(text_of(p.error()) == "cleanup");
        CHECK(t.lines.size() == 1);
    });
}

TEST_CASE("finally: when the grace runs out the cleanup is cancelled; timeout_error, or the handler after a failure") {
    eddy_test::run([]() -> task<> {
        told t;
        bool stopped_cleanup = false;
        const auto cleanup = [&]() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
                stopped_cleanup = true;
                throw;
            }
        };
        const auto gives = []() -> task<> { co_return; };
        const auto began = clock::now();
        auto op = settle(finally(gives, cleanup, 5ms));
        auto o = co_await op;
        CHECK(holds<timeout_error>(o.error()));
        CHECK(stopped_cleanup);
        CHECK(clock::now() - began == 5ms);
        const auto fails = []() -> task<> {
            throw std::runtime_error("body");
            co_return;
        };
        auto second = settle(finally(fails, cleanup, 5ms));
        auto p = co_await second;
        CHECK(text_of(p.error()) == "body");
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "ran out"));
        const auto quick = []() -> task<> { co_await sleep(1ms); };
        co_await finally(gives, quick, 5ms);
    });
}

TEST_CASE("finally: callables that own what they use, and ones that throw instead of making a task") {
    eddy_test::run([]() -> task<> {
        int cleaned = 0;
        auto one = std::make_unique<int>(1);
        auto two = std::make_unique<int>(2);
        auto body = [p = std::move(one)]() -> task<int> {
            co_await yield();
            co_return *p;
        };
        auto cleanup = [p = std::move(two), &cleaned]() -> task<> {
            co_await yield();
            cleaned += *p;
        };
        auto op = finally(std::move(body), std::move(cleanup));
        const int v = co_await op;
        CHECK(v == 1);
        CHECK(cleaned == 2);
        const auto throws = []() -> task<> { throw std::runtime_error("no task"); };
        const auto cleans = [&]() -> task<> {
            ++cleaned;
            co_return;
        };
        auto bad = settle(finally(throws, cleans));
        auto o = co_await bad;
        CHECK(text_of(o.error()) == "no task");
        CHECK(cleaned == 3);
    });
}

TEST_CASE("with: a value or an awaitable that gives one is closed after value, exception and cancellation") {
    eddy_test::run([]() -> task<> {
        std::vector<std::string> log;
        const auto reads = [&](file&) -> task<int> {
            log.push_back("body");
            co_return 3;
        };
        const int v = co_await with(open(&log), reads);
        CHECK(v == 3);
        CHECK(log == std::vector<std::string>{"opened", "body", "closed"});
        log.clear();
        const auto fails = [](file&) -> task<> {
            co_await yield();
            throw std::runtime_error("body");
        };
        auto op = settle(with(open(&log), fails));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "body");
        CHECK(log == std::vector<std::string>{"opened", "closed"});
        log.clear();
        const auto waits = [](file&) -> task<> { co_await sleep_forever(); };
        const auto outer = [&]() -> task<> {
            file f{&log};
            auto inner = with(std::move(f), waits);
            co_await inner;
        };
        auto h = spawn(outer);
        co_await yield();
        h.cancel();
        auto end = co_await settle(h);
        CHECK(log == std::vector<std::string>{"closed"});
        CHECK(h.was_cancelled());
        log.clear();
        const auto throws = [](file&) -> task<> { throw std::runtime_error("no task"); };
        auto sync = settle(with(open(&log), throws));
        auto s = co_await sync;
        CHECK(text_of(s.error()) == "no task");
        CHECK(log == std::vector<std::string>{"opened", "closed"});
    });
}

TEST_CASE("with: both fail, the body wins; cancelled while opening, nothing is closed") {
    eddy_test::run([]() -> task<> {
        told t;
        std::vector<std::string> log;
        const auto fails = [](file&) -> task<> {
            throw std::runtime_error("body");
            co_return;
        };
        file f{&log, "close"};
        auto op = settle(with(std::move(f), fails));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "body");
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "|close"));
        log.clear();
        const auto outer = [&]() -> task<> {
            const auto body = [](file&) -> task<> { co_return; };
            co_await with(open(&log), body);
        };
        auto h = spawn(outer);
        co_await yield();
        h.cancel();
        auto end = co_await settle(h);
        CHECK(log.empty());
        CHECK(h.was_cancelled());
    });
}
