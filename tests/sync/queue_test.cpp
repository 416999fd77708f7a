#include <eddy/sync/queue.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/queue_support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<queue<int>>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<queue<counted>&>().get())>, counted>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<queue<counted>&>().next())>, std::optional<counted>>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<queue<counted>&>().take())>, queue<counted>::job>);
static_assert(!std::is_copy_constructible_v<queue<int>::job> && !std::is_move_assignable_v<queue<int>::job>);

TEST_CASE("QU-1 first in first out, last in first out, smallest first; equal ones in the order of putting") {
    eddy_test::run([]() -> task<> {
        queue<int> f;
        queue<int, lifo> l;
        queue<int, priority<>> p;
        queue<int, priority<std::greater<>>> g;
        for (const int v : {3, 1, 2, 5, 4, 0, 9, 7, 8, 6, 11, 10}) {
            co_await f.put(v);
            co_await l.put(v);
            co_await p.put(v);
            co_await g.put(v);
        }
        CHECK(drain(f) == numbers{3, 1, 2, 5, 4, 0, 9, 7, 8, 6, 11, 10});
        CHECK(drain(l) == numbers{10, 11, 6, 8, 7, 9, 0, 4, 5, 2, 1, 3});
        CHECK(drain(p) == numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
        CHECK(drain(g) == numbers{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0});

        struct by_tens {
            bool operator()(int a, int b) const { return a / 10 < b / 10; }
        };
        queue<int, priority<by_tens>> stable;
        for (const int v : {31, 10, 32, 11, 33, 12, 20, 13, 34, 14, 15})
            stable.try_put(v);
        CHECK(drain(stable) == numbers{10, 11, 12, 13, 14, 15, 20, 31, 32, 33, 34});
    });
}

TEST_CASE("QU-2 without a capacity it is never full") {
    queue<int> q;
    CHECK(q.capacity() == 0);
    CHECK(q.empty());
    for (int i = 0; i < 1000; ++i) {
        CHECK(!q.full());
        CHECK(q.try_put(i));
    }
    CHECK(q.size() == 1000);
    for (int i = 0; i < 1000; ++i)
        CHECK(q.try_get() == i);
    CHECK(q.empty());
}

TEST_CASE("QU-3 try_put on a full queue and try_get on an empty one say so") {
    queue<std::unique_ptr<int>> q(1);
    CHECK(!q.try_get().has_value());
    CHECK(q.try_put(std::make_unique<int>(1)));
    CHECK(q.full());
    auto kept = std::make_unique<int>(2);
    CHECK(!q.try_put(std::move(kept)));
    CHECK(*kept == 2); // NOLINT: untouched
    q.close();
    CHECK(**q.try_get() == 1);
    CHECK(!q.try_put(std::move(kept)));
    CHECK(*kept == 2); // NOLINT: untouched
}

TEST_CASE("QU-4 get waits for a put, put waits for room, and order survives the waiting putters") {
    eddy_test::run([]() -> task<> {
        queue<int> q(2);
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        CHECK(!getter.done());
        co_await q.put(0);
        co_await getter;
        std::vector<task_handle<>> putters;
        for (int i = 1; i <= 5; ++i)
            putters.push_back(spawn(put_one, std::ref(q), i));
        co_await settle_all();
        CHECK(q.statistics().putters == 3);
        CHECK(q.size() == 2);
        for (int i = 1; i <= 5; ++i) {
            auto v = co_await q.get();
            CHECK(v == i);
            CHECK(q.size() <= 2);
        }
        CHECK(seen == numbers{0});
        CHECK(q.unfinished() == 6);
    });
}

TEST_CASE("QU-5 a getter that was cancelled is not given anything") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers a;
        numbers b;
        auto first = spawn(get_one, std::ref(q), std::ref(a));
        auto second = spawn(get_one, std::ref(q), std::ref(b));
        co_await settle_all();
        first.cancel();
        CHECK(q.statistics().getters == 1);
        co_await q.put(1);
        co_await settle_all();
        CHECK(a.empty());
        CHECK(b == numbers{1});
    });
}

TEST_CASE("QU-6 put, then the getter that was given the item goes: the item is first again") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(1);
        q.try_put(2);
        CHECK(q.size() == 1);
        destroy_task(getter);
        CHECK(q.size() == 2);
        CHECK(q.unfinished() == 2);
        CHECK(drain(q) == numbers{1, 2});
        // Cancelled, it still gets it: completed wins.
        getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(3);
        getter.cancel();
        co_await getter;
        CHECK(seen == numbers{3});
    });
}

TEST_CASE("QU-7 two puts, three getters, the first goes: both items reach the others") {
    eddy_test::run([]() -> task<> {
        for (const bool cancel : {true, false}) {
            queue<int> q;
            numbers a;
            numbers b;
            numbers c;
            auto first = spawn(get_one, std::ref(q), std::ref(a));
            auto second = spawn(get_one, std::ref(q), std::ref(b));
            auto third = spawn(get_one, std::ref(q), std::ref(c));
            co_await settle_all();
            if (cancel) first.cancel();
            q.try_put(1);
            q.try_put(2);
            if (!cancel) destroy_task(first);
            co_await settle_all();
            CHECK(a.empty());
            CHECK(b == numbers{cancel ? 1 : 2});
            CHECK(c == numbers{cancel ? 2 : 1});
        }
    });
}

TEST_CASE("QU-8 a put that was cancelled or refused has not put, and still has its item") {
    eddy_test::run([]() -> task<> {
        queue<counted> q(1);
        CHECK(q.try_put(counted(1)));
        auto putter = [](queue<counted>& mine, int v, int& left) -> task<> {
            auto op = mine.put(counted(v));
            auto failed = std::exception_ptr();
            try {
                co_await op;
            } catch (...) {
                failed = std::current_exception();
            }
            left = op.item().value;
            if (failed != nullptr) std::rethrow_exception(failed);
        };
        int left = 0;
        int other = 0;
        auto h = spawn(putter, std::ref(q), 7, std::ref(left));
        auto next = spawn(putter, std::ref(q), 8, std::ref(other));
        co_await settle_all();
        h.cancel();
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(left == 7);
        CHECK(q.unfinished() == 1);
        CHECK(q.try_get()->value == 1);
        co_await next;
        CHECK(other == -1); // it is in the queue
        CHECK(q.size() == 1);
        CHECK(q.try_get()->value == 8);
        q.close();
        auto closed = spawn(putter, std::ref(q), 9, std::ref(left));
        auto o = co_await settle(closed);
        CHECK(holds<queue_closed>(o.error()));
        CHECK(left == 9);
        CHECK(q.empty());
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("QU-9 QU-10 several gets in one turn let several putters in, and never too many") {
    eddy_test::run([]() -> task<> {
        queue<int> q(3);
        std::vector<task_handle<>> putters;
        for (int i = 1; i <= 8; ++i)
            putters.push_back(spawn(put_one, std::ref(q), i));
        co_await settle_all();
        for (int i = 1; i <= 3; ++i) {
            CHECK(q.try_get() == i);
            CHECK(q.size() == 3);
        }
        CHECK(q.statistics().putters == 2);
        co_await settle_all();
        CHECK(drain(q) == numbers{4, 5, 6, 7, 8});
    });
}

TEST_CASE("QU-11 X-5 neither try_put overtakes a putter that waits, nor try_get a getter that was served") {
    eddy_test::run([]() -> task<> {
        queue<int> q(1);
        q.try_put(1);
        auto putter = spawn(put_one, std::ref(q), 2);
        co_await settle_all();
        CHECK(q.try_get() == 1);
        CHECK(!q.try_put(3)); // the room is the putter's, though it has not run
        auto late = spawn(put_one, std::ref(q), 4);
        co_await settle_all();
        CHECK(drain(q) == numbers{2, 4});
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(5);
        CHECK(!q.try_get().has_value());
        co_await getter;
        CHECK(seen == numbers{5});
    });
}

TEST_CASE("QU-12 join waits until every item has been dealt with; task_done beyond that is an error") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        co_await q.join(); // nothing was put
        CHECK_THROWS_AS(q.task_done(), std::logic_error);
        co_await q.put(1);
        co_await q.put(2);
        // Nothing has been taken yet.
        CHECK_THROWS_WITH_AS(q.task_done(), doctest::Contains("2 unfinished"), std::logic_error);
        bool joined = false;
        auto h = spawn(
            [](queue<int>& mine, bool& flag) -> task<> {
                co_await mine.join();
                flag = true;
            },
            std::ref(q), std::ref(joined));
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for queue.join, 2 unfinished\n"));
        CHECK(q.statistics().joiners == 1);
        auto a = co_await q.get();
        auto b = co_await q.get();
        CHECK(a + b == 3);
        CHECK(q.unfinished() == 2);
        q.task_done();
        co_await settle_all();
        CHECK(!joined);
        q.task_done();
        co_await h;
        CHECK(joined);
        CHECK_THROWS_AS(q.task_done(), std::logic_error);
        CHECK(q.unfinished() == 0);
    });
    queue<int, lifo> l;
    queue<int, priority<>> p;
    l.try_put(1);
    p.try_put(1);
    CHECK(l.try_get() == 1);
    CHECK(p.try_get() == 1);
    l.task_done();
    p.task_done();
    CHECK_THROWS_AS(l.task_done(), std::logic_error);
    CHECK_THROWS_AS(p.task_done(), std::logic_error);
}

TEST_CASE("QU-13 join wakes when the count was zero, even if something was put in the same turn") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        q.try_put(1);
        auto h = spawn([](queue<int>& mine) -> task<> { co_await mine.join(); }, std::ref(q));
        co_await settle_all();
        CHECK(q.try_get() == 1);
        q.task_done();
        q.try_put(2);
        co_await settle_all();
        CHECK(h.done());
        CHECK(q.unfinished() == 1);
    });
}

TEST_CASE("QU-14 close: puts fail, those that wait too; gets drain what is left; join is as before") {
    eddy_test::run([]() -> task<> {
        queue<int> q(2);
        q.try_put(1);
        q.try_put(2);
        auto blocked = spawn(put_one, std::ref(q), 3);
        auto joiner = spawn([](queue<int>& mine) -> task<> { co_await mine.join(); }, std::ref(q));
        co_await settle_all();
        CHECK(!q.closed());
        q.close();
        q.close();
        CHECK(q.closed());
        CHECK(q.statistics().closed);
        auto refused = co_await settle(blocked);
        CHECK(holds<queue_closed>(refused.error()));
        auto again = co_await settle(q.put(4));
        CHECK(holds<queue_closed>(again.error()));
        CHECK(!q.try_put(5));
        auto a = co_await q.get();
        auto b = co_await q.next();
        CHECK(a == 1);
        CHECK(b == 2);
        auto got = co_await settle(q.get());
        CHECK(holds<queue_closed>(got.error()));
        auto taken = co_await settle(q.take());
        CHECK(holds<queue_closed>(taken.error()));
        auto none = co_await q.next();
        CHECK(!none.has_value());
        CHECK(!joiner.done());
        q.task_done();
        q.task_done();
        co_await joiner;
        CHECK(q.unfinished() == 0);
    });
}

TEST_CASE("QU-14 close ends the gets that wait on an empty queue") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        auto loop_over = spawn(
            [](queue<int>& mine, numbers& log) -> task<> {
                while (auto v = co_await mine.next())
                    log.push_back(*v);
                log.push_back(-1);
            },
            std::ref(q), std::ref(seen));
        auto taker = spawn([](queue<int>& mine) -> task<> { auto j = co_await mine.take(); }, std::ref(q));
        co_await settle_all();
        CHECK(q.statistics().getters == 3);
        q.close();
        auto o = co_await settle(getter);
        CHECK(holds<queue_closed>(o.error()));
        auto t = co_await settle(taker);
        CHECK(holds<queue_closed>(t.error()));
        co_await loop_over;
        CHECK(seen == numbers{-1});
    });
}

TEST_CASE("QU-15 shutdown gives back what is left, in order; join waits for what was taken before") {
    eddy_test::run([]() -> task<> {
        queue<int, priority<>> q;
        for (const int v : {5, 1, 4, 2, 3})
            q.try_put(v);
        auto mine = co_await q.get();
        CHECK(mine == 1);
        auto joiner = spawn([](queue<int, priority<>>& j) -> task<> { co_await j.join(); }, std::ref(q));
        co_await settle_all();
        auto left = q.shutdown();
        CHECK(left == numbers{2, 3, 4, 5});
        CHECK(q.empty());
        CHECK(q.unfinished() == 1);
        co_await settle_all();
        CHECK(!joiner.done());
        q.task_done();
        co_await joiner;
        CHECK(q.shutdown().empty());
        // Nothing taken: then join goes at once.
        queue<int> other;
        other.try_put(1);
        auto waits = spawn([](queue<int>& j) -> task<> { co_await j.join(); }, std::ref(other));
        co_await settle_all();
        CHECK(other.shutdown() == numbers{1});
        co_await waits;
    });
}

TEST_CASE("QU-16 shutdown from a getter's own turn, beside a cancelled waiter") {
    eddy_test::run([]() -> task<> {
        queue<int> q(1);
        numbers seen;
        auto first = spawn(
            [](queue<int>& mine, numbers& log) -> task<> {
                log.push_back(co_await mine.get());
                auto rest = mine.shutdown();
                CHECK(rest.empty());
                rest = mine.shutdown();
                CHECK(rest.empty());
            },
            std::ref(q), std::ref(seen));
        auto second = spawn(get_one, std::ref(q), std::ref(seen));
        auto third = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(1);
        third.cancel();
        auto o = co_await settle(second);
        CHECK(holds<queue_closed>(o.error()));
        co_await settle_all();
        CHECK(third.was_cancelled());
        CHECK(seen == numbers{1});
    });
}

TEST_CASE("QU-17 items that are dropped are destroyed once") {
    eddy_test::run([]() -> task<> {
        {
            queue<counted> q;
            queue<counted, lifo> l;
            queue<counted, lifo> kept;
            co_await kept.put(counted(1));
            for (int i = 0; i < 20; ++i) {
                co_await q.put(counted(i));
                co_await l.put(counted(i));
            }
            auto one = co_await q.get();
            CHECK(one.value == 0);
            auto left = l.shutdown();
            CHECK(left.size() == 20);
            CHECK(left.front().value == 19);
        }
        CHECK(counted::alive() == 0);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("QU-18 X-3 gets that time out leave nothing") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        const auto before = loop::current().statistics();
        for (int i = 0; i < 100'000; ++i) {
            auto none = co_await move_on_after(1ms, q.get());
            CHECK(!none.has_value());
        }
        CHECK(q.statistics().getters == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
    });
}
