// Queues that are destroyed, shared between loops, or used without end.
#include <eddy/sync/queue.hpp>

#include <eddy/flow/settle.hpp>

#include "sync/queue_support.hpp"

#include <array>
#include <string>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("X-9 one who gets and puts without end lets others run, and an item that was due is not lost") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        q.try_put(1);
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        int rounds = 0;
        while (!other) {
            const int v = co_await q.get();
            co_await q.put(v);
            ++rounds;
        }
        CHECK(rounds <= 65);
        co_await h;
        // Destroyed where it gave way, with the item in hand.
        auto greedy = spawn(
            [](queue<int>& mine) -> task<> {
                for (;;) {
                    const int v = co_await mine.get();
                    mine.try_put(v);
                }
            },
            std::ref(q));
        co_await yield();
        CHECK(q.empty());
        destroy_task(greedy);
        CHECK(drain(q) == numbers{1});
    });
}

TEST_CASE("X-10 a queue that is destroyed ends every kind of wait") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto q = std::make_unique<queue<counted>>(1);
        std::vector<task_handle<>> all;
        auto put = [](queue<counted>& mine) -> task<> { co_await mine.put(counted(2)); };
        auto join = [](queue<counted>& mine) -> task<> { co_await mine.join(); };
        q->try_put(counted(1));
        all.push_back(spawn(put, std::ref(*q)));
        all.push_back(spawn(join, std::ref(*q)));
        auto other = std::make_unique<queue<counted>>();
        auto get = [](queue<counted>& mine) -> task<> { auto v = co_await mine.get(); };
        auto next = [](queue<counted>& mine) -> task<> { auto v = co_await mine.next(); };
        auto take = [](queue<counted>& mine) -> task<> { auto v = co_await mine.take(); };
        all.push_back(spawn(get, std::ref(*other)));
        all.push_back(spawn(next, std::ref(*other)));
        all.push_back(spawn(take, std::ref(*other)));
        co_await settle_all();
        q.reset();
        other.reset();
        CHECK(contains(dump_text(), "ready (was: queue.join)\n")); // no look at what is gone
        const std::array<const char*, 5> names{"queue.put", "queue.join", "queue.get", "queue.next", "queue.take"};
        for (std::size_t i = 0; i < all.size(); ++i) {
            auto o = co_await settle(all[i]);
            CHECK(holds<object_destroyed>(o.error()));
            CHECK(contains(text_of(o.error()),
                           std::string(names[i]) + " of task '" + all[i].name() + "' at queue_end_test.cpp:"));
        }
    });
    CHECK(counted::alive() == 0);
    const std::string text = err.text();
    CHECK(contains(text, "eddy: a queue was destroyed while somebody waited for it: queue.put of task "));
    CHECK(contains(text, "eddy: a queue was destroyed while somebody waited for it: queue.get of task "));
    CHECK(contains(text, " and 2 more\n"));
}

TEST_CASE("X-10 what was handed out when the queue goes is the getter's, or goes with its frame") {
    eddy_test::run([]() -> task<> {
        auto q = std::make_unique<queue<counted>>();
        int got = 0;
        auto get = [](queue<counted>& mine, int& out) -> task<> {
            auto v = co_await mine.get();
            out = v.value;
        };
        auto a = spawn(get, std::ref(*q), std::ref(got));
        auto b = spawn(get, std::ref(*q), std::ref(got));
        co_await settle_all();
        q->try_put(counted(1));
        q->try_put(counted(2));
        q.reset();
        destroy_task(b);
        co_await a;
        CHECK(got == 1);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("X-10 the commonest program: the queue dies with the main task, the workers are left over") {
    captured_stderr err;
    int ended = 0;
    {
        testing::virtual_loop l;
        told failures(l);
        l.run([](int& n) -> task<> {
            queue<int> q;
            for (int i = 0; i < 2; ++i) {
                spawn(
                    [](queue<int>& mine, int& count) -> task<> {
                        const at_end note([&count] { ++count; });
                        while (auto v = co_await mine.next()) {
                        }
                    },
                    std::ref(q), std::ref(n));
            }
            co_await q.put(1);
            co_await settle_all();
        }(ended));
        l.settle();
        CHECK(ended == 2);
        CHECK(failures.lines.size() == 2);
        check_empty(l);
    }
    CHECK(contains(err.text(), "a queue was destroyed"));
}

TEST_CASE("X-6 a queue that tasks of one loop wait for is refused to another loop") {
    queue<int> empty;
    queue<int> full(1);
    full.try_put(1);
    testing::virtual_loop a;
    testing::virtual_loop b;
    numbers seen;
    a.spawn(get_one, std::ref(empty), std::ref(seen));
    a.spawn(put_one, std::ref(full), 2);
    a.settle();
    b.run([](queue<int>& e, queue<int>& f) -> task<> {
        auto get = co_await settle(e.get());
        CHECK(holds<std::logic_error>(get.error()));
        auto put = co_await settle(e.put(5));
        CHECK(holds<std::logic_error>(put.error()));
        CHECK_THROWS_AS(e.try_put(5), std::logic_error);
        CHECK_THROWS_AS(e.close(), std::logic_error);
        auto blocked = co_await settle(f.put(6));
        CHECK(holds<std::logic_error>(blocked.error()));
        auto got = co_await settle(f.get());
        CHECK(holds<std::logic_error>(got.error()));
        auto joined = co_await settle(f.join());
        CHECK(holds<std::logic_error>(joined.error()));
        CHECK_THROWS_AS(static_cast<void>(f.try_get()), std::logic_error);
        CHECK_THROWS_AS(f.shutdown(), std::logic_error);
        CHECK_THROWS_AS(f.close(), std::logic_error);
    }(empty, full));
    CHECK(!empty.closed());
    CHECK(!full.closed());
    CHECK(empty.statistics().getters == 1);
    CHECK(full.statistics().putters == 1);
    CHECK(full.size() == 1);
    CHECK(empty.try_put(7)); // outside of any loop
    CHECK(full.try_get() == 1);
    a.settle();
    CHECK(seen == numbers{7});
    auto joiner = a.spawn([](queue<int>& q) -> task<> { co_await q.join(); }, std::ref(full));
    a.settle();
    b.run([](queue<int>& f) -> task<> {
        auto v = co_await f.get();
        CHECK(v == 2);
        CHECK_THROWS_AS(f.task_done(), std::logic_error);
    }(full));
    full.task_done();
    full.task_done();
    a.settle();
    CHECK(joiner.done());
}
