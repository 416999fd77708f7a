#include <eddy/offload/offload.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "offload/gate.hpp"

#include <csignal>
#include <future>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::offload_abandon;
using eddy::task;

namespace {

// A function that owns what it waits for, as offload_abandon wants it.
class latch {
public:
    [[nodiscard]] std::function<void()> waiting() const {
        return [future = future_] { future.wait(); };
    }
    void open() { promise_->set_value(); }

private:
    std::shared_ptr<std::promise<void>> promise_ = std::make_shared<std::promise<void>>();
    std::shared_future<void> future_ = promise_->get_future().share();
};

// Waits until only `n` owners are left: the thread has let go.
template <class T>
void until_owned_by(const std::shared_ptr<T>& p, long n) {
    while (p.use_count() != n)
        std::this_thread::yield();
}

} // namespace

TEST_CASE("TH-1 offload_abandon gives values and exceptions of every kind") {
    const auto main = []() -> task<void> {
        auto plain = offload_abandon([](int a) { return a + 1; }, 4);
        const int v = co_await plain;
        CHECK(v == 5);
        auto moved = co_await offload_abandon([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3));
        CHECK(*moved == 3);
        static int x = 0;
        int& y = co_await offload_abandon([]() -> int& { return x; });
        CHECK(&y == &x);
        co_await offload_abandon([] {});
        auto failing = offload_abandon([] { throw std::runtime_error("gone wrong"); });
        const auto r = co_await eddy::settle(std::move(failing));
        CHECK_THROWS_AS(r.value(), std::runtime_error);
    };
    eddy::run(main());
}

TEST_CASE("TH-5 cancelled while it runs, the await gives up at once") {
    latch hang;
    const auto main = [](latch& mine) -> task<void> {
        auto call = offload_abandon(mine.waiting());
        const bool done = co_await eddy::move_on_after(1ms, std::move(call));
        CHECK_FALSE(done);
    };
    eddy::run(main(hang));
    hang.open();
}

TEST_CASE("TH-6 an abandoned call that ends after its loop touches nothing of it; its late result is destroyed") {
    latch hang;
    auto result = std::make_shared<int>(7);
    auto captured = std::make_shared<std::atomic<int>>(0);
    const auto main = [](latch& mine, std::shared_ptr<int> r, std::shared_ptr<std::atomic<int>> c) -> task<void> {
        auto call = offload_abandon([wait = mine.waiting(), r = std::move(r), c = std::move(c)] {
            wait();
            ++*c;
            return r;
        });
        const auto none = co_await eddy::move_on_after(1ms, std::move(call));
        CHECK_FALSE(none.has_value());
    };
    {
        eddy::loop l;
        l.run(main(hang, result, captured));
        eddy_test::check_empty(l);
    }
    hang.open();
    until_owned_by(captured, 1);
    until_owned_by(result, 1);
    CHECK(*captured <= 1); // it may have been given up before a thread came to it
}

TEST_CASE("TH-6 a failing abandoned call that nobody waits for is not reported") {
    latch hang;
    auto captured = std::make_shared<int>(0);
    const auto main = [](latch& mine, std::shared_ptr<int> c) -> task<void> {
        auto call = offload_abandon([wait = mine.waiting(), c = std::move(c)] {
            wait();
            throw std::runtime_error("nobody wants to know");
        });
        const bool done = co_await eddy::move_on_after(1ms, std::move(call));
        CHECK_FALSE(done);
    };
    eddy::run(main(hang, captured));
    hang.open();
    until_owned_by(captured, 1);
}

TEST_CASE("abandoned calls do not use libuv's pool: more of them hang than it has threads") {
    std::vector<latch> hangs(12);
    const auto main = [](std::vector<latch>& mine) -> task<void> {
        const auto one = [](latch& l) -> task<void> {
            auto call = offload_abandon(l.waiting());
            co_await eddy::move_on_after(1ms, std::move(call));
        };
        std::vector<eddy::task_handle<void>> all;
        for (auto& l : mine)
            all.push_back(eddy::spawn(one, std::ref(l)));
        for (auto& h : all)
            co_await h;
        const int v = co_await eddy::offload([] { return 1; });
        CHECK(v == 1);
    };
    eddy::run(main(hangs));
    for (auto& l : hangs)
        l.open();
}

TEST_CASE("giving up asks the function to stop") {
    auto stopped = std::make_shared<std::promise<bool>>();
    auto started = std::make_shared<std::promise<void>>();
    auto is_stopped = stopped->get_future();
    auto is_started = started->get_future();
    const auto main = [](auto end, auto begin, std::future<void>& began) -> task<void> {
        const auto body = [](auto e, auto b) -> task<void> {
            auto call = offload_abandon([e, b](std::stop_token token) {
                b->set_value();
                while (!token.stop_requested())
                    std::this_thread::yield();
                e->set_value(true);
            });
            co_await call;
        };
        auto h = eddy::spawn(body, end, begin);
        while (began.wait_for(0s) != std::future_status::ready)
            co_await eddy::sleep(1ms);
        h.cancel();
        const auto h_ended = co_await eddy::settle(h);
        CHECK(h_ended.is_cancelled());
    };
    eddy::run(main(stopped, started, is_started));
    CHECK(is_stopped.get());
}

TEST_CASE("TH-4 cancelled before it was awaited, the function never runs") {
    auto ran = std::make_shared<bool>(false);
    const auto main = [](std::shared_ptr<bool> r) -> task<void> {
        auto scope = eddy::with_cancel_scope([r](eddy::cancel_scope& s) -> task<void> {
            s.cancel();
            auto call = offload_abandon([r] { *r = true; });
            co_await call;
        });
        const bool completed = co_await scope;
        CHECK_FALSE(completed);
    };
    eddy::run(main(ran));
    until_owned_by(ran, 1);
    CHECK_FALSE(*ran);
}

TEST_CASE("TH-18 what an abandoned call captured goes before its result is seen") {
    const auto main = []() -> task<void> {
        auto kept = std::make_shared<int>(2);
        auto call = offload_abandon([kept] { return *kept; });
        const int v = co_await call;
        CHECK(v == 2);
        CHECK(kept.use_count() == 1);
    };
    eddy::run(main());
}

TEST_CASE("eddy's own threads block every signal") {
    const auto main = []() -> task<void> {
        auto call = offload_abandon([] {
            sigset_t now;
            pthread_sigmask(SIG_BLOCK, nullptr, &now);
            return sigismember(&now, SIGINT) == 1 && sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGCHLD) == 1;
        });
        const bool blocked = co_await call;
        CHECK(blocked);
    };
    eddy::run(main());
    sigset_t mine;
    pthread_sigmask(SIG_BLOCK, nullptr, &mine);
    CHECK(sigismember(&mine, SIGTERM) == 0);
}

TEST_CASE("on simulated time an abandoned call runs inline at a later step, or never") {
    eddy_test::run([]() -> task<void> {
        const int v = co_await offload_abandon([] { return 6; });
        CHECK(v == 6);
        auto kept = std::make_shared<bool>(false);
        const auto body = [](std::shared_ptr<bool> b) -> task<void> {
            auto call = offload_abandon([b] { *b = true; });
            co_await call;
        };
        auto h = eddy::spawn(body, kept);
        co_await eddy::yield();
        h.cancel();
        const auto h_ended = co_await eddy::settle(h);
        CHECK(h_ended.is_cancelled());
        CHECK_FALSE(*kept);
        CHECK(kept.use_count() == 1);
    });
}

TEST_CASE("thousands of abandoned calls, half of them cancelled") {
    const auto main = []() -> task<void> {
        int delivered = 0;
        int cancelled = 0;
        const auto one = [](int& d, int& c) -> task<void> {
            try {
                auto call = offload_abandon([] { return std::make_unique<int>(1); });
                auto r = co_await call;
                d += *r;
            } catch (const eddy::cancelled&) {
                ++c;
                throw;
            }
        };
        for (int round = 0; round < 50; ++round) {
            std::vector<eddy::task_handle<void>> all;
            for (int i = 0; i < 20; ++i)
                all.push_back(eddy::spawn(one, std::ref(delivered), std::ref(cancelled)));
            for (int i = 0; i <= round % 3; ++i)
                co_await eddy::yield();
            for (std::size_t i = 0; i < all.size(); i += 2)
                all[i].cancel();
            for (auto& h : all)
                co_await eddy_test::joined(h);
        }
        CHECK(delivered >= 500);
        CHECK(delivered + cancelled <= 1000);
    };
    eddy::run(main());
}
