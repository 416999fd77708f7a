#include <eddy/bulk/retry.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/flow/shield.hpp>

#include "bulk/support.hpp"
#include "support/run.hpp"

#include <memory>
#include <string>
#include <vector>

using namespace eddy_test;
using namespace std::chrono_literals;
using eddy::exponential;
using eddy::retry;
using eddy::retry_policy;
using eddy::spawn;
using eddy::task;

namespace {

// Fails the first `failures` times, and notes when it was tried.
struct unreliable {
    explicit unreliable(int n) : failures(n) {}
    task<std::string> operator()() {
        tried.push_back(since_start());
        co_await eddy::checkpoint();
        if (static_cast<int>(tried.size()) <= failures)
            throw std::runtime_error("failure " + std::to_string(tried.size()));
        co_return "value";
    }
    int failures;
    std::vector<eddy::duration> tried;
};

retry_policy steady(std::size_t attempts) { return retry_policy().attempts(attempts).backoff(exponential(1s, 1h, 0)); }

} // namespace

TEST_CASE("the first success is given, and the delays double up to the longest") {
    eddy_test::run([]() -> task<void> {
        unreliable u(5);
        auto op = retry([&] { return u(); }, retry_policy().attempts(9).backoff(exponential(1s, 5s, 0)));
        std::string v = co_await op;
        CHECK(v == "value");
        CHECK(u.tried == std::vector<eddy::duration>{0s, 1s, 3s, 7s, 12s, 17s});
    });
}

TEST_CASE("what needs no second attempt is given at once") {
    eddy_test::run([]() -> task<void> {
        std::string v = co_await retry(unreliable(0));
        CHECK(v == "value");
        CHECK(since_start() == 0s);
    });
}

TEST_CASE("the last error is thrown when the attempts are used up") {
    eddy_test::run([]() -> task<void> {
        unreliable u(100);
        std::string text;
        try {
            co_await retry([&] { return u(); }, steady(3));
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "failure 3");
        CHECK(u.tried == std::vector<eddy::duration>{0s, 1s, 3s});
        // The default: three attempts.
        unreliable v(100);
        CHECK_THROWS_AS(co_await retry([&] { return v(); }), std::runtime_error);
        CHECK(v.tried.size() == 3);
    });
}

TEST_CASE("one attempt is no retry, and asks nobody") {
    eddy_test::run([]() -> task<void> {
        unreliable u(1);
        int asked = 0;
        auto policy = steady(1).retry_if([&](std::exception_ptr) { return ++asked > 0; });
        CHECK_THROWS_AS(co_await retry([&] { return u(); }, policy), std::runtime_error);
        CHECK(u.tried.size() == 1);
        CHECK(asked == 0);
    });
}

TEST_CASE("retry_if decides, and sees the error") {
    eddy_test::run([]() -> task<void> {
        unreliable u(100);
        std::vector<std::string> seen;
        auto policy = steady(10).retry_if([&](std::exception_ptr e) {
            seen.push_back(text_of(e));
            return seen.size() < 3;
        });
        CHECK_THROWS_WITH(co_await retry([&] { return u(); }, policy), "failure 3");
        CHECK(seen == std::vector<std::string>{"failure 1", "failure 2", "failure 3"});
        auto broken = steady(10).retry_if([](std::exception_ptr) -> bool { throw std::domain_error("no idea"); });
        CHECK_THROWS_AS(co_await retry([&] { return u(); }, broken), std::domain_error);
    });
}

TEST_CASE("an attempt that takes too long is cancelled and counts as failed") {
    eddy_test::run([]() -> task<void> {
        int tries = 0;
        int cleaned = 0;
        auto slow = [&]() -> task<int> {
            ++tries;
            try {
                if (tries < 3) co_await eddy::sleep(1h);
            } catch (const eddy::cancelled&) {
                ++cleaned;
                throw;
            }
            co_return tries;
        };
        int v = co_await retry(slow, steady(5).attempt_timeout(10s));
        CHECK(v == 3);
        CHECK(cleaned == 2);
        CHECK(since_start() == 10s + 1s + 10s + 2s);
        tries = -100;
        CHECK_THROWS_AS(co_await retry(slow, steady(2).attempt_timeout(10s)), eddy::timeout_error);
        CHECK(tries == -98);
    });
}

TEST_CASE("no attempt begins that the enclosing time limit would not let begin") {
    eddy_test::run([]() -> task<void> {
        unreliable u(100);
        // Attempts at 0, 1, 3 and 7 s; the next would be at 15.
        CHECK_THROWS_WITH(co_await eddy::timeout(15s, retry([&] { return u(); }, steady(10))), "failure 4");
        CHECK(since_start() == 7s);
        CHECK(u.tried.size() == 4);
        // A limit further out counts as well, and one behind a shield does not.
        unreliable v(3);
        auto inner = [&] { return retry([&] { return v(); }, steady(10)); };
        CHECK_THROWS_WITH(co_await eddy::timeout(2s, eddy::timeout(1h, inner())), "failure 2");
        CHECK(since_start() == 8s);
        unreliable w(3);
        auto shielded = eddy::shield(retry([&] { return w(); }, steady(10)));
        auto limited = eddy::timeout(2s, std::move(shielded));
        std::string text = co_await limited;
        CHECK(text == "value");
        CHECK(w.tried.size() == 4);
    });
}

TEST_CASE("cancelling in an attempt ends it, and it is not tried again") {
    eddy_test::run([]() -> task<void> {
        int tries = 0;
        auto hang = [&]() -> task<void> {
            ++tries;
            co_await eddy::sleep_forever();
        };
        auto t = spawn([&]() -> task<void> { co_await retry(hang, steady(10)); });
        co_await eddy::sleep(1s);
        t.cancel();
        co_await eddy::sleep(1h);
        CHECK(t.was_cancelled());
        CHECK(tries == 1);
    });
}

TEST_CASE("cancelling between attempts ends it at once") {
    eddy_test::run([]() -> task<void> {
        unreliable u(100);
        auto t = spawn([&]() -> task<void> { co_await retry([&] { return u(); }, steady(10)); });
        co_await eddy::sleep(2s); // between the attempts at 1 and 3 s
        t.cancel();
        co_await eddy::yield();
        co_await eddy::yield();
        CHECK(t.was_cancelled());
        CHECK(u.tried.size() == 2);
    });
}

TEST_CASE("an attempt that turns a cancellation into an error is not followed by another") {
    eddy_test::run([]() -> task<void> {
        int tries = 0;
        auto converts = [&]() -> task<void> {
            ++tries;
            try {
                co_await eddy::sleep(1h);
            } catch (const eddy::cancelled&) {
                throw std::runtime_error("gave up");
            }
        };
        auto t = spawn([&]() -> task<void> { co_await retry(converts, steady(10)); });
        co_await eddy::sleep(1s);
        t.cancel();
        co_await eddy::sleep(1s);
        CHECK(t.was_cancelled());
        CHECK(tries == 1);
    });
}

TEST_CASE("a function that throws before it gives a task has failed too") {
    eddy_test::run([]() -> task<void> {
        int tries = 0;
        auto f = [&]() -> task<int> {
            if (++tries < 3) throw std::runtime_error("not yet");
            return []() -> task<int> { co_return 7; }();
        };
        int v = co_await retry(f, steady(5));
        CHECK(v == 7);
    });
}

TEST_CASE("the function is kept, may own things, and may give any awaitable") {
    eddy_test::run([]() -> task<void> {
        auto op = retry([left = std::make_unique<int>(3)]() -> task<std::unique_ptr<int>> {
            if (--*left > 0) throw std::runtime_error("not yet");
            co_return std::make_unique<int>(5);
        });
        std::unique_ptr<int> v = co_await op;
        CHECK(*v == 5);
        auto h = spawn([]() -> task<int> { co_return 9; });
        int nine = co_await retry([&]() -> auto& { return h; });
        CHECK(nine == 9);
        co_await retry([] { return eddy::sleep(1ms); }, steady(2).attempt_timeout(1s));
        int x = 1;
        int& same = co_await retry([&]() -> task<int&> { co_return x; });
        CHECK(&same == &x);
    });
}

TEST_CASE("an operation that has been awaited can't be awaited again") {
    eddy_test::run([]() -> task<void> {
        auto op = retry(unreliable(0));
        co_await op;
        CHECK_THROWS_AS(co_await op, std::logic_error);
    });
}

TEST_CASE("delays: doubled, spread by the jitter, never above the longest, never overflowing") {
    const eddy::backoff b = exponential(100ms, 30s);
    CHECK(b.delay(1, 0) == 50ms);
    CHECK(b.delay(1, 0.5) == 100ms);
    CHECK(b.delay(1, 1) == 150ms);
    CHECK(b.delay(4, 0.5) == 800ms);
    CHECK(b.delay(9, 0.5) == 25600ms);
    CHECK(b.delay(9, 1) == 30s);
    CHECK(b.delay(10, 0.5) == 30s);
    CHECK(b.delay(10, 0) == 15s);
    CHECK(b.delay(std::size_t(-1), 1) == 30s);
    CHECK(exponential(1s, eddy::duration::max()).delay(1000, 0.5) == eddy::duration::max());
    CHECK(exponential(-1s, 1s).delay(5, 0.5) == 0s);
}

TEST_CASE("jitter spreads, and is the same on each simulated run") {
    auto tries = [](std::size_t n) {
        return eddy_test::run([n]() -> task<std::vector<eddy::duration>> {
            std::vector<eddy::duration> first;
            std::vector<unreliable> all(n, unreliable(1));
            std::vector<eddy::task_handle<void>> handles;
            for (auto& u : all)
                handles.push_back(spawn([&u]() -> task<void> {
                    co_await retry([&] { return u(); }, retry_policy().backoff(exponential(1s, 1h)));
                }));
            for (auto& h : handles)
                co_await h;
            for (auto& u : all)
                first.push_back(u.tried.at(1));
            co_return first;
        });
    };
    const auto once = tries(200);
    CHECK(once == tries(200));
    std::size_t low = 0;
    for (const eddy::duration d : once) {
        CHECK(d >= 500ms);
        CHECK(d <= 1500ms);
        low += d < 1s;
    }
    CHECK(low > 60);
    CHECK(low < 140);
}

TEST_CASE("bad numbers are named") {
    CHECK(refusal([] { retry_policy().attempts(0); }) == "eddy: retry_policy: attempts(0) would never try at all");
    CHECK(refusal([] { (void)exponential(1s, 2s, 1.5); }).find("1.5") != std::string::npos);
    CHECK(refusal([] { (void)exponential(1s, 2s, -0.5); }).find("-0.5") != std::string::npos);
}
