#include <eddy/offload/offload.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>

#include "offload/gate.hpp"

#include <functional>
#include <string>
#include <unistd.h>

using namespace std::chrono_literals;
using eddy::offload;
using eddy::task;
using eddy_test::gate;
using eddy_test::hold_pool;
using eddy_test::joined;
using eddy_test::run_real;
using eddy_test::until_arrived;

TEST_CASE("TH-4 cancelled while it is queued, the function never runs and dies on the loop's thread") {
    run_real([]() -> task<void> {
        gate g;
        auto pool = eddy::spawn(hold_pool, std::ref(g));
        co_await until_arrived(g, 4);
        bool ran = false;
        std::thread::id died_on;
        struct tell {
            std::thread::id* where;
            explicit tell(std::thread::id& w) : where(&w) {}
            tell(tell&& o) noexcept : where(std::exchange(o.where, nullptr)) {}
            ~tell() {
                if (where != nullptr) *where = std::this_thread::get_id();
            }
        };
        const auto body = [](bool& r, std::thread::id& d) -> task<void> {
            auto call = offload([&r, t = tell(d)] { r = true; });
            co_await call;
        };
        auto waiting = eddy::spawn(body, std::ref(ran), std::ref(died_on));
        co_await eddy::sleep(1ms); // published by now
        auto fresh = eddy::spawn(body, std::ref(ran), std::ref(died_on));
        co_await eddy::yield(); // not published yet
        waiting.cancel();
        fresh.cancel();
        co_await joined(waiting);
        co_await joined(fresh);
        CHECK(waiting.was_cancelled());
        CHECK(fresh.was_cancelled());
        CHECK(died_on == std::this_thread::get_id());
        g.open();
        co_await pool;
        CHECK_FALSE(ran);
    });
}

TEST_CASE("TH-4 cancelled before it was awaited, the function never runs") {
    run_real([]() -> task<void> {
        bool ran = false;
        const auto body = [](bool& r) -> task<void> {
            eddy::this_task::handle().cancel();
            auto call = offload([&r] { r = true; });
            co_await call;
        };
        auto h = eddy::spawn(body, std::ref(ran));
        const auto h_ended = co_await eddy::settle(h);
        CHECK(h_ended.is_cancelled());
        CHECK_FALSE(ran);
    });
}

TEST_CASE(
    "TH-5 CA-19 cancelled while it runs: waits for the function, delivers its value, throws at the next checkpoint") {
    run_real([]() -> task<void> {
        gate g;
        int got = 0;
        bool stopped_after = false;
        const auto body = [](gate& mine, int& value, bool& ended) -> task<void> {
            auto call = offload([&mine] {
                mine.wait();
                return 5;
            });
            value = co_await call;
            try {
                co_await eddy::checkpoint();
            } catch (const eddy::cancelled&) {
                ended = true;
                throw;
            }
        };
        auto h = eddy::spawn(body, std::ref(g), std::ref(got), std::ref(stopped_after));
        co_await until_arrived(g, 1);
        h.cancel();
        co_await eddy::sleep(1ms);
        CHECK_FALSE(h.done()); // it can't be let go
        g.open();
        co_await joined(h);
        CHECK(got == 5);
        CHECK(stopped_after);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("TH-5 a deadline around a call that passes while it runs: returns when the function does, with its value") {
    run_real([]() -> task<void> {
        gate g;
        auto limited = eddy::with_cancel_scope([&g](eddy::cancel_scope& s) -> task<int> {
            const auto pass = [](gate& mine, eddy::cancel_scope& limit) -> task<void> {
                co_await until_arrived(mine, 1);
                limit.set_deadline(eddy::clock::now());
                while (!limit.cancelled())
                    co_await eddy::sleep(1ms);
                mine.open();
            };
            eddy::spawn(pass, std::ref(g), std::ref(s));
            auto call = offload([&g] {
                g.wait();
                return 3;
            });
            co_return co_await call;
        });
        const auto v = co_await limited;
        CHECK(v == 3);
    });
}

TEST_CASE("TH-5 cancelled while it runs, the exception of the function comes") {
    run_real([]() -> task<void> {
        gate g;
        const auto body = [](gate& mine) -> task<void> {
            auto call = offload([&mine] {
                mine.wait();
                throw std::runtime_error("too late to stop");
            });
            co_await call;
        };
        auto h = eddy::spawn(body, std::ref(g));
        co_await until_arrived(g, 1);
        h.cancel();
        g.open();
        const auto r = co_await eddy::settle(h);
        CHECK_THROWS_AS(r.value(), std::runtime_error);
    });
}

TEST_CASE("a function that takes a stop token is asked to stop") {
    run_real([]() -> task<void> {
        gate started;
        started.open();
        const auto body = [](gate& mine) -> task<std::string> {
            auto call = offload(
                [&mine](std::stop_token stop, std::string text) {
                    std::mutex m;
                    std::condition_variable_any cv;
                    std::unique_lock lock(m);
                    mine.wait();
                    cv.wait(lock, stop, [] { return false; });
                    return text + " stopped";
                },
                std::string("was"));
            co_return co_await call;
        };
        auto h = eddy::spawn(body, std::ref(started));
        co_await until_arrived(started, 1);
        h.cancel();
        const std::string text = co_await h;
        CHECK(text == "was stopped");
    });
}

TEST_CASE("cancelling calls in every state, thousands of times: each runs once or never") {
    run_real([]() -> task<void> {
        int delivered = 0;
        int cancelled = 0;
        int wrong = 0;
        const auto one = [](int& d, int& c, int& w) -> task<void> {
            int ran = 0;
            try {
                auto call = offload([&ran] { return ++ran; });
                const int v = co_await call;
                ++d;
                w += v != 1;
            } catch (const eddy::cancelled&) {
                ++c;
                w += ran != 0;
                throw;
            }
        };
        for (int round = 0; round < 40; ++round) {
            std::vector<eddy::task_handle<void>> all;
            for (int i = 0; i < 200; ++i)
                all.push_back(eddy::spawn(one, std::ref(delivered), std::ref(cancelled), std::ref(wrong)));
            for (int i = 0; i < round % 4; ++i)
                co_await eddy::yield();
            if (round % 5 == 0) co_await eddy::sleep(20us);
            for (std::size_t i = 0; i < all.size(); i += 2)
                all[i].cancel();
            for (auto& h : all)
                co_await joined(h);
        }
        CHECK(wrong == 0);
        CHECK(delivered >= 40 * 100);
        CHECK(cancelled > 0);
    });
}

TEST_CASE("RN-5 a function that still runs at shutdown is reported, and waited for") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const int before = dup(STDERR_FILENO);
    REQUIRE(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    gate g;
    bool returned = false;
    std::string text;
    std::thread reader([&] {
        // The function goes on when the report has been seen, and not before.
        char c = 0;
        while (text.find("can't be interrupted") == std::string::npos && read(ends[0], &c, 1) == 1)
            text += c;
        g.open();
        while (read(ends[0], &c, 1) == 1)
            text += c;
    });
    const auto main = [](gate& mine, bool& r) -> task<void> {
        const auto body = [](gate& inner, bool& back) -> task<void> {
            auto call = offload([&] {
                inner.wait();
                back = true;
            });
            co_await call;
        };
        eddy::spawn(eddy::spawn_options().name("stubborn"), body, std::ref(mine), std::ref(r));
        co_await until_arrived(mine, 1);
    };
    eddy::run(main(g, returned), eddy::run_options().shutdown_timeout(1ms));
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    reader.join();
    close(ends[0]);
    CHECK(returned);
    CHECK(text.find("stubborn") != std::string::npos);
    CHECK(text.find("offload") != std::string::npos);
}

TEST_CASE("TH-4 in simulated time too a call that is cancelled before its step never runs") {
    eddy_test::run([]() -> task<void> {
        bool ran = false;
        const auto body = [](bool& r) -> task<void> {
            auto call = offload([&r] { r = true; });
            co_await call;
        };
        auto t = eddy::spawn(body, std::ref(ran));
        co_await eddy::yield(); // its step is the next thing that is ready
        t.cancel();
        co_await joined(t);
        CHECK(t.was_cancelled());
        CHECK_FALSE(ran);
    });
}
