#include <eddy/sync/broadcast.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/no_memory.hpp"
#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<broadcast<int>>);
static_assert(std::is_nothrow_move_constructible_v<broadcast<int>::receiver>);
static_assert(!std::is_copy_constructible_v<broadcast<int>::receiver>);
static_assert(std::is_base_of_v<error, lagged>);

namespace {

using numbers = std::vector<int>;
using receiver = broadcast<int>::receiver;

task<> take_one(receiver& r, numbers& seen) {
    if (auto v = co_await r.receive(); v.has_value()) seen.push_back(*v);
}
task<> receive_all(receiver& r, numbers& seen) {
    while (auto v = co_await r.receive())
        seen.push_back(*v);
}
numbers drain(receiver& r) {
    numbers seen;
    while (auto v = r.try_receive())
        seen.push_back(*v);
    return seen;
}
// How many the next receive says it has missed; 0 when it does not.
task<std::uint64_t> missed_by(receiver& r) {
    try {
        static_cast<void>(co_await r.receive());
    } catch (const lagged& e) {
        co_return e.missed();
    }
    co_return std::uint64_t{0};
}

// Can be copied; counts.
struct copied {
    explicit copied(int v) : value(v) {}
    copied(const copied& o) : value(o.value) { ++copies; }
    copied(copied&& o) noexcept : value(std::exchange(o.value, -1)) {}
    int value;
    static inline int copies = 0;
};

} // namespace

TEST_CASE("BC-1 every receiver gets every item, in order, from its subscription on") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(8);
        CHECK(b.send(0) == 0); // nobody listens
        auto first = b.subscribe();
        CHECK(b.send(1) == 1);
        auto second = b.subscribe();
        numbers a;
        numbers c;
        auto h = spawn(receive_all, std::ref(first), std::ref(a));
        auto k = spawn(receive_all, std::ref(second), std::ref(c));
        co_await settle_all();
        CHECK(b.send(2) == 2);
        CHECK(c.empty()); // it runs later
        CHECK(b.send(3) == 2);
        co_await settle_all();
        CHECK(a == numbers{1, 2, 3});
        CHECK(c == numbers{2, 3});
        b.close();
        co_await h;
        co_await k;
    });
}

TEST_CASE("BC-1 a slow receiver is told exactly how many it missed, and goes on with the oldest that is left") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(4);
        auto slow = b.subscribe();
        for (int i = 1; i <= 4; ++i)
            b.send(i);
        const auto none = co_await missed_by(slow); // takes 1
        CHECK(none == 0);
        for (int i = 5; i <= 12; ++i)
            b.send(i);
        const auto seven = co_await missed_by(slow);
        CHECK(seven == 7); // 2 to 8
        CHECK(drain(slow) == numbers{9, 10, 11, 12});
        for (int i = 13; i <= 17; ++i)
            b.send(i);
        CHECK_THROWS_WITH_AS(static_cast<void>(slow.try_receive()),
                             "eddy: a receiver was too slow, and has missed 1 items", lagged);
        CHECK(drain(slow) == numbers{14, 15, 16, 17});
    });
}

TEST_CASE("BC-1 lagging is each receiver's own: a quick one misses nothing") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(2);
        auto quick = b.subscribe();
        auto slow = b.subscribe();
        auto slower = b.subscribe();
        for (int i = 1; i <= 6; ++i) {
            b.send(i);
            const auto v = co_await quick.receive();
            CHECK(v == i);
            if (i == 3) {
                const auto one = co_await missed_by(slow);
                CHECK(one == 1);
            }
        }
        const auto three = co_await missed_by(slow);
        CHECK(three == 3); // 2, 3, 4
        const auto four = co_await missed_by(slower);
        CHECK(four == 4);
        CHECK(drain(slow) == numbers{5, 6});
        CHECK(drain(slower) == numbers{5, 6});
    });
}

TEST_CASE("BC-1 sent more than the capacity before the waiting task runs: it lags, and says so") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(1);
        auto r = b.subscribe();
        auto h = spawn(missed_by, std::ref(r));
        co_await settle_all();
        b.send(1);
        b.send(2);
        b.send(3);
        const auto n = co_await h;
        CHECK(n == 2);
        CHECK(drain(r) == numbers{3});
        const auto nothing = co_await move_on_after(1ms, r.receive());
        CHECK(!nothing);
    });
}

TEST_CASE("close: what is left is taken, then nothing; sends are refused; destroying the broadcast is closing it") {
    for (const bool destroy : {false, true}) {
        eddy_test::run([destroy]() -> task<> {
            auto b = std::make_unique<broadcast<int>>(4);
            auto behind = b->subscribe();
            auto waits = b->subscribe();
            b->send(1);
            numbers seen;
            auto h = spawn(receive_all, std::ref(waits), std::ref(seen));
            co_await settle_all();
            if (destroy) {
                b.reset();
            } else {
                b->close();
                b->close();
                CHECK(b->closed());
                CHECK_THROWS_AS(b->send(2), queue_closed);
                auto late = b->subscribe();
                const auto none = co_await late.receive();
                CHECK(!none);
            }
            co_await h;
            CHECK(seen == numbers{1});
            const auto v = co_await behind.receive();
            CHECK(v == 1);
            const auto none = co_await behind.receive();
            CHECK(!none);
        });
    }
}

TEST_CASE("X-1 an item that was sent before the cancel is delivered; X-3 a cancelled receive has taken nothing") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(4);
        auto r = b.subscribe();
        numbers seen;
        auto h = spawn(take_one, std::ref(r), std::ref(seen));
        co_await settle_all();
        b.send(1);
        h.cancel();
        co_await h;
        CHECK(seen == numbers{1});
        auto k = spawn(take_one, std::ref(r), std::ref(seen));
        co_await settle_all();
        CHECK(b.statistics().waiters == 1);
        k.cancel();
        CHECK(b.statistics().waiters == 0);
        b.send(2);
        co_await settle_all();
        CHECK(seen == numbers{1});
        CHECK(drain(r) == numbers{2});
    });
}

TEST_CASE("X-7 a receive that was granted an item and is destroyed, or loses a race, leaves it for the next") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(4);
        auto r = b.subscribe();
        numbers seen;
        auto h = spawn(take_one, std::ref(r), std::ref(seen));
        co_await settle_all();
        b.send(1);
        destroy_task(h);
        CHECK(drain(r) == numbers{1});

        event e;
        auto body = [](receiver& mine, event& stop) -> task<> {
            auto both = race(stop.wait(), mine.receive());
            const auto first = co_await both;
            CHECK(first.index == 0);
        };
        auto k = spawn(body, std::ref(r), std::ref(e));
        co_await settle_all();
        e.set();
        b.send(2);
        co_await k;
        CHECK(drain(r) == numbers{2});
    });
}

TEST_CASE("one receive at a time: a second is an error, unless the first was cancelled") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(4);
        auto r = b.subscribe();
        numbers seen;
        auto h = spawn(take_one, std::ref(r), std::ref(seen));
        co_await settle_all();
        const auto second = co_await settle(r.receive());
        CHECK_THROWS_WITH_AS(second.value(), doctest::Contains("a second broadcast.receive on the same receiver"),
                             std::logic_error);
        b.send(1);
        co_await h;
        auto limited = timeout(1ms, r.receive());
        bool out = false;
        try {
            static_cast<void>(co_await limited);
        } catch (const timeout_error&) {
            out = true;
        }
        CHECK(out);
        b.send(2);
        const auto v = co_await r.receive(); // though `limited` is still there
        CHECK(v == 2);
    });
}

TEST_CASE("X-10 a receiver that goes ends its wait with object_destroyed, and holds no items any more") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        broadcast<int> b(4);
        auto stays = b.subscribe();
        auto r = std::make_unique<receiver>(b.subscribe());
        numbers seen;
        auto h = spawn(take_one, std::ref(*r), std::ref(seen));
        co_await settle_all();
        auto late = r->receive();
        r.reset();
        CHECK(b.statistics().receivers == 1);
        const auto ended = co_await settle(h);
        CHECK_THROWS_AS(ended.value(), object_destroyed);
        const auto never = co_await settle(std::move(late));
        CHECK_THROWS_AS(never.value(), object_destroyed);
        b.send(1);
        CHECK(b.statistics().retained == 1);
        CHECK(drain(stays) == numbers{1});
        CHECK(b.statistics().retained == 0);
    });
    CHECK(err.text().find("eddy: a receiver of a broadcast was destroyed while somebody waited") == 0);
}

TEST_CASE("a receiver that goes after it was granted an item: object_destroyed, not what others have overwritten") {
    eddy_test::run([]() -> task<> {
        broadcast<int> b(1);
        auto r = std::make_unique<receiver>(b.subscribe());
        numbers seen;
        auto h = spawn(take_one, std::ref(*r), std::ref(seen));
        co_await settle_all();
        b.send(1);
        r.reset();
        const auto ended = co_await settle(h);
        CHECK_THROWS_AS(ended.value(), object_destroyed);
        CHECK(b.statistics().retained == 0);
    });
}

TEST_CASE("an item goes with its last taker, who gets it without a copy; receivers may be moved") {
    eddy_test::run([]() -> task<> {
        copied::copies = 0;
        broadcast<copied> b(2);
        auto first = b.subscribe();
        auto second = b.subscribe();
        auto third = b.subscribe();
        b.send(copied(1));
        auto v = co_await first.receive();
        CHECK(v->value == 1);
        CHECK(copied::copies == 1);
        third = b.subscribe(); // the old one has gone, without having taken it
        auto moved = std::move(second);
        auto w = co_await moved.receive();
        CHECK(w->value == 1);
        CHECK(copied::copies == 1);
        CHECK(b.statistics().retained == 0);
        CHECK(b.statistics().receivers == 3);
        CHECK_THROWS_AS(static_cast<void>(second.receive()), std::logic_error);
        CHECK_THROWS_AS(static_cast<void>(second.try_receive()), std::logic_error);
    });
}

TEST_CASE("X-6 a broadcast of another loop's tasks is refused") {
    testing::virtual_loop one;
    broadcast<int> b(4);
    auto r = b.subscribe();
    auto other_receiver = b.subscribe();
    numbers seen;
    auto h = one.spawn(take_one, std::ref(r), std::ref(seen));
    one.settle();
    eddy_test::run([&]() -> task<> {
        const auto refused = co_await settle(other_receiver.receive());
        CHECK_THROWS_AS(refused.value(), std::logic_error);
        CHECK_THROWS_AS(b.send(1), std::logic_error);
        CHECK_THROWS_AS(b.close(), std::logic_error);
    });
    b.send(2); // no loop runs here: a callback of the host
    one.settle();
    CHECK(seen == numbers{2});
    CHECK(h.done());
}

TEST_CASE("sending and taking allocate nothing; a capacity of 0 is an error; statistics") {
    eddy_test::run([]() -> task<> {
        CHECK_THROWS_WITH_AS(broadcast<int>(0), doctest::Contains("capacity 0"), std::logic_error);
        broadcast<int> b(3);
        auto r = b.subscribe();
        auto op = r.receive();
        std::optional<int> v;
        {
            const no_memory now;
            for (int i = 0; i < 5; ++i) {
                b.send(i);
                if (i < 2) v = r.try_receive();
            }
        }
        CHECK(v == 1);
        const broadcast_statistics s = b.statistics();
        CHECK(s.capacity == 3);
        CHECK(s.retained == 3);
        CHECK(s.receivers == 1);
        CHECK(s.waiters == 0);
        CHECK(!s.closed);
        v = co_await op;
        CHECK(v == 2);
    });
}
