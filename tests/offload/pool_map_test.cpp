#include <eddy/offload/thread_pool.hpp>

#include <eddy/offload/from_thread.hpp>

#include "offload/gate.hpp"
#include "support/check.hpp"

#include <atomic>
#include <memory>
#include <ranges>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using eddy::task;
using eddy::thread_pool;
using eddy_test::gate;
using eddy_test::holds;
using eddy_test::joined;
using eddy_test::run_real;
using eddy_test::text_of;
using eddy_test::until_arrived;

TEST_CASE("map gives results in the order of the range, whatever its kind and theirs") {
    run_real([]() -> task<void> {
        thread_pool pool(3);
        const auto squares = co_await eddy::map(pool, std::views::iota(0, 1000), [](int i) { return i * i; });
        CHECK(squares.size() == 1000);
        for (int i = 0; i < 1000; ++i)
            CHECK(squares[static_cast<std::size_t>(i)] == i * i);

        std::vector<std::string> words{"a", "bb", "ccc"};
        auto lengths = eddy::map(pool, words, [](std::string w) { return w.size(); });
        const std::vector<std::size_t> n = co_await lengths;
        CHECK(n == std::vector<std::size_t>{1, 2, 3});
        auto of_a_view = eddy::map(pool, std::views::all(words), [](std::string w) { return w + "!"; });
        const std::vector<std::string> loud = co_await of_a_view;
        CHECK(loud[2] == "ccc!");
        CHECK(words == std::vector<std::string>{"a", "bb", "ccc"});

        std::vector<std::unique_ptr<int>> owned;
        owned.push_back(std::make_unique<int>(4));
        auto passes = eddy::map(pool, std::move(owned), [](std::unique_ptr<int> p) { return p; });
        const std::vector<std::unique_ptr<int>> back = co_await passes;
        CHECK(*back[0] == 4);

        int cells[2] = {1, 2};
        auto refers = eddy::map(pool, std::views::iota(0, 2), [&cells](int i) -> int& { return cells[i]; });
        const std::vector<int*> pointers = co_await refers;
        CHECK(pointers[1] == &cells[1]);

        std::atomic<int> sum = 0;
        auto nothing = eddy::map(pool, std::vector<int>{1, 2, 3}, [&sum](int i) { sum += i; });
        co_await nothing;
        CHECK(sum == 6);
        auto empty = eddy::map(pool, std::vector<int>(), [](int i) { return i; });
        const std::vector<int> none = co_await empty;
        CHECK(none.empty());
    });
}

TEST_CASE("the first failure of a map keeps the rest from beginning, asks what runs to stop, and is rethrown") {
    run_real([]() -> task<void> {
        thread_pool pool(2);
        gate g;
        std::atomic<int> begun = 0;
        std::atomic<bool> stopped = false;
        const auto f = [&](std::stop_token stop, int i) {
            ++begun;
            g.wait(); // both threads are at work
            if (i == 0) throw std::runtime_error("the first");
            std::mutex m;
            std::condition_variable_any cv;
            std::unique_lock lock(m);
            cv.wait(lock, stop, [] { return false; });
            stopped = true;
            eddy::from_thread::check_cancelled();
        };
        const auto body = [](thread_pool& p, decltype(f)& fun) -> task<void> {
            auto all = eddy::map(p, std::views::iota(0, 100), std::ref(fun));
            co_await all;
        };
        auto h = eddy::spawn(body, std::ref(pool), std::ref(f));
        co_await until_arrived(g, 2);
        g.open();
        const auto r = co_await eddy::settle(h);
        CHECK(text_of(r.error()) == "the first");
        CHECK(begun == 2);
        CHECK(stopped);
        CHECK(pool.statistics().queued == 0);
        CHECK(pool.statistics().busy == 0);
    });
}

TEST_CASE("a map that is cancelled: what is queued never runs, what runs is waited for") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        gate g;
        std::atomic<int> begun = 0;
        const auto body = [](thread_pool& p, gate& mine, std::atomic<int>& n) -> task<int> {
            auto all = eddy::map(p, std::views::iota(0, 10), [&mine, &n](int i) {
                ++n;
                mine.wait();
                return i;
            });
            const auto values = co_await all;
            co_return static_cast<int>(values.size());
        };
        auto h = eddy::spawn(body, std::ref(pool), std::ref(g), std::ref(begun));
        co_await until_arrived(g, 1);
        h.cancel();
        co_await eddy::sleep(1ms);
        CHECK_FALSE(h.done());
        g.open();
        co_await joined(h);
        CHECK(h.was_cancelled());
        CHECK(begun == 1);
        // Where nothing was left out there is nothing to cancel.
        gate again;
        std::atomic<int> ran = 0;
        const auto whole = [](thread_pool& p, gate& mine, std::atomic<int>& n) -> task<int> {
            auto all = eddy::map(p, std::views::iota(0, 1), [&mine, &n](int i) {
                ++n;
                mine.wait();
                return i + 7;
            });
            const auto values = co_await all;
            co_return values[0];
        };
        auto w = eddy::spawn(whole, std::ref(pool), std::ref(again), std::ref(ran));
        co_await until_arrived(again, 1);
        w.cancel();
        again.open();
        const int seven = co_await w;
        CHECK(seven == 7);
        // All of it queued.
        gate last;
        auto first = eddy::spawn(whole, std::ref(pool), std::ref(last), std::ref(ran));
        co_await until_arrived(last, 1);
        auto second = eddy::spawn(whole, std::ref(pool), std::ref(last), std::ref(ran));
        co_await eddy::yield();
        second.cancel();
        co_await joined(second);
        CHECK(second.was_cancelled());
        last.open();
        co_await first;
        CHECK(ran == 2);
    });
}

TEST_CASE("a map on a pool that is closed, or that gets no thread, says so; on simulated time it runs inline") {
    run_real([]() -> task<void> {
        thread_pool none(1, eddy::thread_pool_options().stack_size(std::size_t{1} << 60));
        auto all = eddy::map(none, std::views::iota(0, 3), [](int i) { return i; });
        const auto r = co_await eddy::settle(std::move(all));
        CHECK(holds<eddy::uv_error>(r.error()));
        co_await none.close();
        auto late = eddy::map(none, std::views::iota(0, 3), [](int i) { return i; });
        const auto refused = co_await eddy::settle(std::move(late));
        CHECK(holds<eddy::closed>(refused.error()));
    });
    eddy_test::run([]() -> task<void> {
        thread_pool pool(1);
        auto all = eddy::map(pool, std::views::iota(0, 3), [](int i) { return i; });
        const std::vector<int> seen = co_await all;
        CHECK(seen == std::vector<int>{0, 1, 2});
        auto fails = eddy::map(pool, std::views::iota(0, 9), [](int i) {
            if (i == 1) throw std::runtime_error("one");
        });
        const auto r = co_await eddy::settle(std::move(fails));
        CHECK(text_of(r.error()) == "one");
    });
}
