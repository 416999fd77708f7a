// What becomes of the items of a queue: jobs, returns to their place, types.
#include <eddy/sync/queue.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/sync/event.hpp>

#include "sync/queue_support.hpp"

#include <array>
#include <deque>
#include <string>

using namespace eddy;
using namespace eddy_test;

namespace {

// Moving it may throw: the queue keeps it in a box.
struct fickle {
    explicit fickle(int v) : value(v) {}
    fickle(fickle&& o) noexcept(false) : value(o.value) {
        if (fuse > 0 && --fuse == 0) throw std::runtime_error("moved");
        o.value = -1;
    }
    int value;
    static inline int fuse = 0;
};
static_assert(!std::is_nothrow_move_constructible_v<fickle>);

} // namespace

TEST_CASE("take: the job's destructor reports it, however the task ends") {
    eddy_test::run([]() -> task<> {
        queue<counted> q;
        for (int i = 0; i < 4; ++i)
            q.try_put(counted(i));
        auto work = [](queue<counted>& mine, int how) -> task<> {
            auto j = co_await mine.take();
            CHECK((*j).value == how);
            CHECK(j->value == how);
            auto moved = std::move(j);
            CHECK(moved->value == how);
            if (how == 1) throw std::runtime_error("inside");
            if (how > 1) co_await sleep(1h);
        };
        for (int how = 0; how < 4; ++how) {
            auto h = spawn(work, std::ref(q), how);
            co_await settle_all();
            if (how == 2) h.cancel();
            if (how == 3) destroy_task(h);
            auto o = co_await settle(h);
            CHECK(q.unfinished() == static_cast<std::size_t>(3 - how));
        }
        co_await q.join();
        // What is in a job is not anybody else's to report.
        q.try_put(counted(9));
        auto j = co_await q.take();
        CHECK_THROWS_WITH_AS(q.task_done(), doctest::Contains("1 not taken yet or in a job"), std::logic_error);
        CHECK(q.unfinished() == 1);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("a job outlives its queue") {
    eddy_test::run([]() -> task<> {
        auto q = std::make_unique<queue<int>>();
        q->try_put(4);
        auto j = co_await q->take();
        auto op = q->take();
        q->try_put(5);
        context c = here();
        op.bind(c);
        const bool ready = op.start();
        CHECK(ready);
        q.reset();
        CHECK(*j == 4);
        auto second = op.take();
        CHECK(*second == 5);
    });
}

TEST_CASE("what comes back finds its place in the order: fifo") {
    eddy_test::run([]() -> task<> {
        queue<int> q(2);
        numbers seen;
        std::vector<task_handle<>> getters;
        for (int i = 0; i < 6; ++i)
            getters.push_back(spawn(get_one, std::ref(q), std::ref(seen)));
        co_await settle_all();
        for (int i = 1; i <= 8; ++i)
            CHECK(q.try_put(i));
        CHECK(q.full());
        // Handed out 1 to 6; 3, 1, 6 and 4 come back, in that order, although the queue is full.
        for (const int i : {3, 1, 6, 4})
            destroy_task(getters[static_cast<std::size_t>(i - 1)]);
        CHECK(q.size() == 6);
        CHECK(q.full());
        auto putter = spawn(put_one, std::ref(q), 9);
        co_await settle_all();
        CHECK(seen == numbers{2, 5});
        // The putter waits until there is room within the capacity.
        for (const int i : {1, 3, 4, 6}) {
            CHECK(!putter.done());
            auto v = i < 4 ? q.try_get() : std::optional<int>();
            if (!v) v = co_await q.get();
            CHECK(v == i);
            co_await settle_all();
        }
        CHECK(!putter.done());
        CHECK(drain(q) == numbers{7, 8, 9});
        co_await putter;
    });
}

TEST_CASE("what comes back finds its place in the order: lifo") {
    eddy_test::run([]() -> task<> {
        queue<int, lifo> q;
        numbers seen;
        auto get = [](queue<int, lifo>& mine, numbers& log) -> task<> { log.push_back(co_await mine.get()); };
        auto a = spawn(get, std::ref(q), std::ref(seen));
        auto b = spawn(get, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(1);
        q.try_put(2);
        q.try_put(3);
        q.try_put(4);
        destroy_task(a);
        destroy_task(b);
        CHECK(drain(q) == numbers{4, 3, 2, 1});
    });
}

TEST_CASE("what comes back finds its place in the order: priority, and among equal ones") {
    struct by_tens {
        bool operator()(int x, int y) const { return x / 10 < y / 10; }
    };
    using ordered = queue<int, priority<by_tens>>;
    eddy_test::run([]() -> task<> {
        ordered q;
        numbers seen;
        auto get = [](ordered& mine, numbers& log) -> task<> { log.push_back(co_await mine.get()); };
        auto a = spawn(get, std::ref(q), std::ref(seen));
        auto b = spawn(get, std::ref(q), std::ref(seen));
        co_await settle_all();
        for (const int v : {11, 12, 13, 5, 14})
            q.try_put(v);
        destroy_task(b);
        destroy_task(a);
        CHECK(drain(q) == numbers{5, 11, 12, 13, 14});
    });
}

TEST_CASE("there is room for all that may come back, also when the queue has grown to the last place") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto a = spawn(get_one, std::ref(q), std::ref(seen));
        auto b = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        for (int i = 1; i <= 10; ++i)
            CHECK(q.try_put(i)); // two handed out, eight kept
        destroy_task(a);
        destroy_task(b);
        CHECK(drain(q) == numbers{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    });
}

TEST_CASE("an item that was handed over and may still come back is nobody's to report as done") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        CHECK(q.try_put(1));
        CHECK_THROWS_AS(q.task_done(), std::logic_error);
        CHECK(q.unfinished() == 1);
        co_await getter;
        q.task_done();
        CHECK(q.unfinished() == 0);
    });
}

TEST_CASE("what comes back goes to the getter that waits") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto a = spawn(get_one, std::ref(q), std::ref(seen));
        auto b = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(1);
        destroy_task(a);
        CHECK(q.empty());
        co_await b;
        CHECK(seen == numbers{1});
    });
}

TEST_CASE("on a closed queue it goes to a later get, and join still counts it") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto a = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        q.try_put(1);
        q.close();
        auto none = co_await q.next();
        CHECK(!none.has_value());
        destroy_task(a);
        CHECK(q.unfinished() == 1);
        auto v = co_await q.get();
        CHECK(v == 1);
        q.task_done();
        co_await q.join();
    });
}

TEST_CASE("a loser of race that was given an item in the winner's turn loses nothing") {
    for (const bool event_first : {true, false}) {
        eddy_test::run([&]() -> task<> {
            queue<int> q;
            event e;
            int index = -1;
            int item = 0;
            auto h = spawn(
                [](queue<int>& mine, event& other, int& which, int& got) -> task<> {
                    auto r = co_await race(other.wait(), mine.get());
                    which = static_cast<int>(r.index);
                    if (r.index == 1) got = std::get<1>(r.value);
                },
                std::ref(q), std::ref(e), std::ref(index), std::ref(item));
            co_await settle_all();
            if (event_first) e.set();
            q.try_put(7);
            if (!event_first) e.set();
            co_await h;
            CHECK(index == (event_first ? 0 : 1));
            if (index == 0) {
                auto back = q.try_get();
                CHECK(back == 7);
            } else {
                CHECK(item == 7);
                CHECK(q.empty());
            }
        });
    }
}

TEST_CASE("types whose move may throw are kept in boxes: nothing is lost when it does") {
    eddy_test::run([]() -> task<> {
        queue<fickle> q(1);
        fickle::fuse = 0;
        co_await q.put(fickle(1));
        // The item is taken only when the move out of the queue has succeeded.
        auto failing = [](queue<fickle>& mine, int what) -> task<> {
            fickle::fuse = 1;
            if (what == 0) static_cast<void>(co_await mine.get());
            if (what == 1) static_cast<void>(co_await mine.next());
            if (what == 2) static_cast<void>(mine.try_get());
        };
        for (int what = 0; what < 3; ++what) {
            auto o = co_await settle(failing(q, what));
            CHECK(text_of(o.error()) == "moved");
            CHECK(q.size() == 1);
            CHECK(q.unfinished() == 1);
        }
        fickle::fuse = 0;
        auto j = co_await q.take();
        CHECK(j->value == 1);
        // Nor is it put when moving it in fails.
        fickle two(2);
        fickle::fuse = 1;
        CHECK_THROWS_AS(q.try_put(std::move(two)), std::runtime_error);
        CHECK(two.value == 2); // NOLINT: untouched
        CHECK(q.empty());
        CHECK(q.unfinished() == 1);
        CHECK(q.try_put(std::move(two)));
        CHECK(q.try_get()->value == 2);
        q.task_done();
    });
}

TEST_CASE("any movable object can be an item") {
    eddy_test::run([]() -> task<> {
        queue<std::unique_ptr<std::string>> q;
        co_await q.put(std::make_unique<std::string>("text"));
        auto p = co_await q.get();
        CHECK(*p == "text");
        queue<std::deque<int>> d; // its move may throw in libstdc++
        const std::deque<int> some(3, 7);
        CHECK(d.try_put(some));
        co_await d.put(some);
        auto got = co_await d.get();
        CHECK(got == some);
        queue<std::array<char, 300>, lifo> big;
        const std::array<char, 300> block{};
        co_await big.put(block);
        auto same = co_await big.get();
        CHECK(same == block);
        struct by_size {
            bool operator()(const std::string& a, const std::string& b) const { return a.size() < b.size(); }
        };
        queue<std::string, priority<by_size>> names;
        for (const char* s : {"three", "a", "to", "b"})
            co_await names.put(s);
        auto first = co_await names.get();
        auto second = co_await names.get();
        CHECK(first + second == "ab");
    });
}

TEST_CASE("the ring grows while it is wrapped round") {
    eddy_test::run([]() -> task<> {
        queue<counted> q;
        int in = 0;
        int out = 0;
        for (int round = 1; round < 40; ++round) {
            for (int i = 0; i < round; ++i)
                co_await q.put(counted(in++));
            for (int i = 0; i < round / 2; ++i) {
                auto v = co_await q.get();
                CHECK(v.value == out++);
            }
        }
        CHECK(q.size() == static_cast<std::size_t>(in - out));
        while (auto v = q.try_get())
            CHECK(v->value == out++);
        CHECK(out == in);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("X-8 an item's destructor may call back into its queue") {
    struct echo {
        explicit echo(queue<int>& q) : target(&q) {}
        echo(echo&& o) noexcept : target(std::exchange(o.target, nullptr)) {}
        ~echo() {
            if (target != nullptr) target->try_put(1);
        }
        queue<int>* target;
    };
    eddy_test::run([]() -> task<> {
        queue<int> log;
        {
            queue<echo> q(1);
            co_await q.put(echo(log));
            auto blocked = spawn([](queue<echo>& mine, queue<int>& l) -> task<> { co_await mine.put(echo(l)); },
                                 std::ref(q), std::ref(log));
            co_await settle_all();
            blocked.cancel();
            co_await settle_all();
            CHECK(log.size() == 1);
            {
                auto item = co_await q.get();
            }
            CHECK(log.size() == 2);
            co_await q.put(echo(log));
        }
        CHECK(log.size() == 3);
    });
}

TEST_CASE("operations can be moved until they are awaited") {
    eddy_test::run([]() -> task<> {
        queue<std::unique_ptr<int>> q;
        auto put = q.put(std::make_unique<int>(1));
        auto moved = std::move(put);
        co_await moved;
        auto get = q.get();
        auto other = std::move(get);
        auto v = co_await other;
        CHECK(*v == 1);
        auto join = q.join();
        auto later = std::move(join);
        q.task_done();
        co_await later;
        CHECK_THROWS_AS(decltype(moved)(std::move(moved)), std::logic_error);
        CHECK_THROWS_AS(decltype(other)(std::move(other)), std::logic_error);
    });
}
