#include <eddy/offload/offload.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/sync/event.hpp>

#include "offload/gate.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <uv.h>

using eddy::offload;
using eddy::task;
using eddy_test::gate;
using eddy_test::run_real;
using eddy_test::twice;
using eddy_test::until_arrived;

TEST_CASE("libuv's own requests get their turn while calls keep coming") {
    eddy::loop l;
    const auto main = [](eddy::loop& mine, std::chrono::microseconds length, int requests) -> task<void> {
        bool end = false;
        const auto busy = [](bool& stop, std::chrono::microseconds takes) -> task<void> {
            const auto f = [takes] {
                const auto until = std::chrono::steady_clock::now() + takes;
                while (std::chrono::steady_clock::now() < until) {
                }
            };
            while (!stop)
                co_await offload(f);
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 500; ++i)
            all.push_back(eddy::spawn(busy, std::ref(end), length));
        for (int i = 0; i < requests; ++i) {
            eddy::promise<int> done;
            uv_fs_t request;
            request.data = &done;
            uv_fs_stat(mine.uv(), &request, "/", [](uv_fs_t* r) {
                static_cast<eddy::promise<int>*>(r->data)->set_value(static_cast<int>(r->result));
            });
            const int result = co_await done.get();
            CHECK(result == 0);
            uv_fs_req_cleanup(&request);
        }
        end = true;
        for (auto& h : all)
            co_await h;
    };
    l.run(main(l, std::chrono::microseconds(0), 50));
    l.run(main(l, std::chrono::microseconds(200), 5)); // the threads' queue is never empty
    eddy_test::check_empty(l);
}

TEST_CASE("TH-11 a call that is queued when the last thread begins to wait for the loop is run") {
    run_real([]() -> task<void> {
        const auto ref = eddy::loop::current().ref();
        eddy::event came;
        gate g;
        const auto wait_for = [](eddy::event& e) -> task<void> { co_await e.wait(); };
        const auto block = [](eddy::loop_ref r, gate& mine, eddy::event& e, auto w) -> task<void> {
            auto call = offload([r, &mine, &e, w] {
                auto remote = r.spawn(w, std::ref(e));
                mine.wait(); // the loop has nothing to do any more when we begin to block
                remote.get();
            });
            co_await call;
        };
        const auto last = [](eddy::event& e) -> task<void> {
            auto call = offload([] {});
            co_await call;
            e.set();
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 4; ++i)
            all.push_back(eddy::spawn(block, ref, std::ref(g), std::ref(came), wait_for));
        all.push_back(eddy::spawn(last, std::ref(came)));
        co_await until_arrived(g, 4);
        g.open();
        for (auto& h : all)
            co_await h;
        CHECK(came.is_set());
    });
}

TEST_CASE("TH-11 threads that wait for the loop, which waits for threads: four nested users") {
    struct nested {
        static task<int> level(int depth, eddy::loop_ref ref) {
            if (depth == 0) co_return 1;
            auto call = offload([depth, ref] { return ref.spawn(&nested::level, depth - 1, ref).get() + 1; });
            co_return co_await call;
        }
    };
    // 4 x 3 calls block at a time, on a pool of 4 threads.
    run_real([]() -> task<void> {
        const auto ref = eddy::loop::current().ref();
        std::vector<eddy::task_handle<int>> users;
        for (int i = 0; i < 4; ++i)
            users.push_back(eddy::spawn(nested::level(4, ref)));
        for (auto& u : users) {
            const int v = co_await u;
            CHECK(v == 5);
        }
        const int deep = co_await nested::level(20, ref);
        CHECK(deep == 21);
    });
}

TEST_CASE("many loops on many threads share the pool") {
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&sum] {
            const auto main = [](std::atomic<int>& s) -> task<void> {
                const auto often = [](std::atomic<int>& to) -> task<void> {
                    for (int k = 0; k < 20; ++k) {
                        auto call = offload([&to] { to.fetch_add(1); });
                        co_await call;
                    }
                };
                std::vector<eddy::task_handle<void>> all;
                for (int n = 0; n < 50; ++n)
                    all.push_back(eddy::spawn(often, std::ref(s)));
                for (auto& h : all)
                    co_await h;
            };
            for (int round = 0; round < 3; ++round)
                eddy::run(main(sum));
        });
    for (auto& t : threads)
        t.join();
    CHECK(sum == 4 * 3 * 50 * 20);
}

TEST_CASE("an adopted loop: calls come back while the host's uv_run drives") {
    uv_loop_t host;
    REQUIRE(uv_loop_init(&host) == 0);
    int sum = 0;
    {
        eddy::loop l(&host);
        const auto often = [](int& s) -> task<void> {
            for (int i = 0; i < 100; ++i)
                s += co_await offload(twice, 1);
        };
        for (int i = 0; i < 5; ++i)
            l.spawn(often, std::ref(sum));
        uv_run(&host, UV_RUN_DEFAULT);
        eddy_test::check_empty(l);
    }
    uv_run(&host, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&host) == 0);
    CHECK(sum == 1000);
}

TEST_CASE("on simulated time a call runs inline at a later step, in the seeded order") {
    const auto order = [](std::uint64_t seed) {
        eddy::testing::seed(seed);
        std::string seen;
        eddy_test::run([&]() -> task<void> {
            const auto loop_thread = std::this_thread::get_id();
            const auto one = [](std::string& s, char name) -> task<void> {
                auto call = offload([&s, name] { s += name; });
                co_await call;
            };
            auto asks = offload([] { return std::this_thread::get_id(); });
            const auto where = co_await asks;
            CHECK(where == loop_thread);
            std::vector<eddy::task_handle<void>> all;
            for (char c = 'a'; c <= 'h'; ++c)
                all.push_back(eddy::spawn(one, std::ref(seen), c));
            CHECK(seen.empty());
            for (auto& h : all)
                co_await h;
        });
        eddy::testing::seed(0);
        return seen;
    };
    CHECK(order(0) == "abcdefgh");
    CHECK(order(7) == order(7));
    CHECK(order(7) != order(8));
}

TEST_CASE("on simulated time: exceptions, cancelling before the step, and from inside the function") {
    eddy_test::run([]() -> task<void> {
        auto failing = offload([]() -> int { throw std::runtime_error("inline"); });
        const auto r = co_await eddy::settle(std::move(failing));
        CHECK_THROWS_AS(r.value(), std::runtime_error);

        bool ran = false;
        const auto body = [](bool& b) -> task<void> {
            auto call = offload([&b] { b = true; });
            co_await call;
        };
        auto early = eddy::spawn(body, std::ref(ran));
        co_await eddy::yield();
        early.cancel();
        const auto early_ended = co_await eddy::settle(early);
        CHECK(early_ended.is_cancelled());
        CHECK_FALSE(ran);

        eddy::any_task_handle self;
        const auto cancels = [](eddy::any_task_handle& h) -> task<int> {
            h = eddy::this_task::handle();
            auto call = offload([&h](std::stop_token) {
                h.cancel();
                return 4;
            });
            co_return co_await call;
        };
        auto inside = eddy::spawn(cancels, std::ref(self));
        const int v = co_await inside;
        CHECK(v == 4);
    });
}

TEST_CASE("a call whose step is still ready when its loop goes") {
    auto kept = std::make_shared<int>(0);
    {
        eddy::testing::virtual_loop l;
        const auto body = [](std::shared_ptr<int> mine) -> task<void> {
            auto call = offload([mine] { ++*mine; });
            co_await call;
        };
        auto h = l.spawn(body, kept);
        const auto main = []() -> task<void> { co_return; };
        l.run(main());
    }
    CHECK(kept.use_count() == 1);
}
