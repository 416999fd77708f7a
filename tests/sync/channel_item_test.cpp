// What becomes of the items of a channel when those who send or receive them are cancelled or destroyed.
#include <eddy/sync/channel.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/channel_support.hpp"
#include "sync/no_memory.hpp"

#include <new>

using namespace eddy;
using namespace eddy_test;

namespace {

// Moving it may throw: the channel keeps it in a box.
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

// Sends its number to a channel when it is destroyed.
struct echo {
    echo(channel<int>& c, int v) noexcept : to(&c), value(v) {}
    echo(echo&& o) noexcept : to(std::exchange(o.to, nullptr)), value(o.value) {}
    ~echo() {
        if (to != nullptr) to->try_send(value);
    }
    channel<int>* to;
    int value;
};

} // namespace

TEST_CASE("QU-5 X-3 X-11 a receiver that is cancelled leaves the line at once, and alone") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        numbers a;
        numbers b;
        auto first = spawn(receive_one, std::ref(c), std::ref(a));
        auto second = spawn(receive_one, std::ref(c), std::ref(b));
        co_await settle_all();
        first.cancel();
        CHECK(c.statistics().receivers == 1);
        co_await c.send(1);
        co_await settle_all();
        CHECK(first.was_cancelled());
        CHECK(a.empty());
        CHECK(b == numbers{1});
        CHECK(second.done());
    });
}

TEST_CASE("MC-6 QU-6 X-1 an item assigned to a receiver that is then cancelled is delivered to it") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        numbers seen;
        auto body = [](channel<int>& mine, numbers& log) -> task<> {
            log.push_back((co_await mine.receive()).value());
            co_await checkpoint();
            log.push_back(-1);
        };
        auto h = spawn(body, std::ref(c), std::ref(seen));
        co_await settle_all();
        CHECK(c.try_send(1));
        h.cancel();
        CHECK(c.try_send(2)); // for who comes later
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(seen == numbers{1});
        CHECK(drain(c) == numbers{2});
    });
}

TEST_CASE("MC-6 an item assigned to a receiver whose frame is destroyed goes to the next, or back to its place") {
    eddy_test::run([]() -> task<> {
        channel<int> c(2);
        numbers seen;
        std::vector<task_handle<>> receivers;
        for (int i = 0; i < 3; ++i)
            receivers.push_back(spawn(receive_one, std::ref(c), std::ref(seen)));
        co_await settle_all();
        CHECK(c.try_send(1));
        CHECK(c.try_send(2));
        destroy_task(receivers[0]); // its 1 goes to the third
        CHECK(c.statistics().receivers == 0);
        CHECK(c.try_send(3));
        CHECK(c.try_send(4));
        CHECK(c.size() == 2);
        auto waits = spawn(send_one, std::ref(c), 5);
        co_await eddy::yield(); // the receivers have run when we go on
        CHECK(seen == numbers{2, 1});
        CHECK(drain(c) == numbers{3, 4, 5});
        co_await waits;
    });
}

TEST_CASE("what comes back finds its place in the order, be the channel full or not; the senders wait for room") {
    eddy_test::run([]() -> task<> {
        channel<int> c(2);
        numbers seen;
        std::vector<task_handle<>> receivers;
        for (int i = 0; i < 6; ++i)
            receivers.push_back(spawn(receive_one, std::ref(c), std::ref(seen)));
        co_await settle_all();
        for (int i = 1; i <= 8; ++i)
            CHECK(c.try_send(i));
        for (const int i : {3, 1, 6, 4})
            destroy_task(receivers[static_cast<std::size_t>(i - 1)]);
        CHECK(c.size() == 6);
        CHECK(!c.try_send(9));
        auto waits = spawn(send_one, std::ref(c), 9);
        co_await settle_all();
        CHECK(seen == numbers{2, 5});
        for (const int i : {1, 3, 4, 6}) {
            CHECK(c.statistics().senders == 1);
            const auto v = co_await c.receive();
            CHECK(v == i);
        }
        CHECK(c.statistics().senders == 1); // 7 and 8: still full
        CHECK(drain(c) == numbers{7, 8, 9});
        co_await waits;
    });
}

TEST_CASE(
    "capacity 0: an item whose receiver was destroyed is kept, though its send is over; it is the next received") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        numbers seen;
        auto receiver = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await settle_all();
        co_await c.send(1);
        destroy_task(receiver);
        CHECK(c.size() == 1);
        auto waits = spawn(send_one, std::ref(c), 2);
        co_await settle_all();
        CHECK(!waits.done());
        CHECK(drain(c) == numbers{1, 2});
        co_await waits;
    });
}

TEST_CASE("QU-8 a sender that is cancelled has sent nothing, has its item, and its turn goes on") {
    eddy_test::run([]() -> task<> {
        channel<counted> c(1);
        CHECK(c.try_send(counted(1)));
        auto op = c.send(counted(2));
        auto first = spawn([](decltype(op)& mine) -> task<> { co_await mine; }, std::ref(op));
        auto second = spawn([](channel<counted>& mine) -> task<> { co_await mine.send(counted(3)); }, std::ref(c));
        co_await settle_all();
        first.cancel();
        CHECK(c.statistics().senders == 1);
        co_await settle_all();
        CHECK(first.was_cancelled());
        CHECK(op.item().value == 2);
        const auto a = c.try_receive();
        const auto b = c.try_receive();
        const auto none = c.try_receive();
        CHECK(a->value == 1);
        CHECK(b->value == 3);
        CHECK(!none);
        co_await second;
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("X-2 a sender whose item was taken before it was cancelled has sent it: never both") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        bool completed = false;
        auto body = [](channel<int>& mine, bool& done) -> task<> {
            co_await mine.send(1);
            done = true;
            co_await checkpoint();
        };
        auto h = spawn(body, std::ref(c), std::ref(completed));
        co_await settle_all();
        CHECK(c.try_receive() == 1);
        h.cancel();
        co_await settle_all();
        CHECK(completed);
        CHECK(h.was_cancelled());
        CHECK(drain(c).empty());
    });
}

TEST_CASE("X-7 a sender whose frame is destroyed where it waits has sent nothing") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        CHECK(c.try_send(1));
        auto h = spawn(send_one, std::ref(c), 2);
        auto r = spawn(send_one, std::ref(c), 3);
        co_await settle_all();
        destroy_task(h);
        CHECK(c.statistics().senders == 1);
        CHECK(drain(c) == numbers{1, 3});
        co_await r;
    });
}

TEST_CASE("a receive that loses a race in the winner's tick gives its item back") {
    eddy_test::run([]() -> task<> {
        channel<int> c(2);
        event e;
        auto body = [](channel<int>& mine, event& stop) -> task<> {
            auto both = race(stop.wait(), mine.receive());
            const auto first = co_await both;
            CHECK(first.index == 0);
        };
        auto h = spawn(body, std::ref(c), std::ref(e));
        co_await settle_all();
        e.set();
        CHECK(c.try_send(1));
        CHECK(c.size() == 0);
        co_await h;
        CHECK(drain(c) == numbers{1});
    });
}

TEST_CASE("QU-18 receives that time out leave nothing, and lose nothing that came in time") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        for (int i = 0; i < 100; ++i) {
            const auto none = co_await move_on_after(1ms, c.receive());
            CHECK(!none);
        }
        CHECK(c.statistics().receivers == 0);
        auto send = [](channel<int>& mine) -> task<> {
            co_await sleep(1ms);
            co_await mine.send(1);
        };
        auto h = spawn(send, std::ref(c));
        const auto v = co_await move_on_after(1ms, c.receive());
        co_await h;
        const auto left = drain(c);
        CHECK((v.has_value() ? 1u : 0u) + left.size() == 1);
    });
}

TEST_CASE("X-10 destroyed while tasks wait: object_destroyed, items destroyed once, one line") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto c = std::make_unique<channel<counted>>(1);
        auto send = [](channel<counted>& mine, int v) -> task<> { co_await mine.send(counted(v)); };
        CHECK(c->try_send(counted(1)));
        auto a = spawn(send, std::ref(*c), 2);
        auto b = spawn(send, std::ref(*c), 3);
        co_await settle_all();
        auto late = c->receive();
        const int before = counted::alive();
        c.reset();
        CHECK(counted::alive() == before - 1); // those that wait keep theirs
        const auto first = co_await settle(a);
        CHECK_THROWS_WITH_AS(first.value(), doctest::Contains("channel.send of task"), object_destroyed);
        const auto second = co_await settle(b);
        CHECK_THROWS_AS(second.value(), object_destroyed);
        const auto third = co_await settle(std::move(late));
        CHECK_THROWS_WITH_AS(third.value(), "eddy: channel.receive: the channel has been destroyed", object_destroyed);
    });
    CHECK(counted::alive() == 0);
    CHECK(err.text() == "eddy: a channel was destroyed while somebody waited for it: 0 to receive, 2 to send\n");
}

TEST_CASE("an item that was assigned outlives its channel, and goes with the operation") {
    eddy_test::run([]() -> task<> {
        auto c = std::make_unique<channel<counted>>(1);
        auto receive = [](channel<counted>& mine, int& got) -> task<> {
            auto v = co_await mine.receive();
            got = v->value;
        };
        int a = 0;
        int b = 0;
        auto first = spawn(receive, std::ref(*c), std::ref(a));
        auto second = spawn(receive, std::ref(*c), std::ref(b));
        co_await settle_all();
        CHECK(c->try_send(counted(1)));
        CHECK(c->try_send(counted(2)));
        c.reset();
        destroy_task(second);
        CHECK(counted::alive() == 1);
        co_await first;
        CHECK(a == 1);
        CHECK(b == 0);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("QU-17 the items that are left are destroyed with the channel, and may use other channels then") {
    channel<int> told(4);
    {
        channel<echo> c(2);
        c.try_send(echo(told, 1));
        c.try_send(echo(told, 2));
        c.try_send(echo(told, 3)); // full: stays with the caller
    }
    CHECK(drain(told) == numbers{3, 1, 2});
}

TEST_CASE("items whose move may throw: it goes back when it does") {
    eddy_test::run([]() -> task<> {
        channel<fickle> c(2);
        CHECK(c.try_send(fickle(1)));
        auto op = c.receive();
        fickle::fuse = 1;
        const auto refused = co_await settle(std::move(op));
        CHECK_THROWS_AS(refused.value(), std::runtime_error);
        CHECK(c.size() == 1);
        fickle::fuse = 1;
        CHECK_THROWS_AS(static_cast<void>(c.try_receive()), std::runtime_error);
        fickle::fuse = 1;
        fickle two(2);
        CHECK_THROWS_AS(c.try_send(std::move(two)), std::runtime_error);
        CHECK(c.size() == 1);
        auto v = co_await c.receive();
        CHECK(v->value == 1);
    });
    channel<fickle> c(1);
    CHECK(c.try_send(fickle(3)));
    fickle::fuse = 1;
    CHECK_THROWS_AS(static_cast<void>(c.receive_blocking()), std::runtime_error);
    CHECK(c.receive_blocking()->value == 3);
}

TEST_CASE("a wait that is decided before it is parked, and whose mail has come by then, is woken all the same") {
    // As the C face may do it: begun in one call, parked in another.
    eddy_test::run([]() -> task<> {
        static int resumed;
        resumed = 0;
        static constexpr engine::wait_kind mine{.name = "by hand",
                                                .outside = true,
                                                .pinned = false,
                                                .abort = nullptr,
                                                .describe = nullptr,
                                                .resume = [](engine::runnable& r) noexcept {
                                                    engine::loop_core::begin_resume(static_cast<engine::waiter&>(r));
                                                    ++resumed;
                                                }};
        channel<int> c(1);
        engine::scope place;
        engine::open_scope(place, loop::current().detail_state().root);
        context here;
        here.where = &place;
        {
            auto op = c.receive();
            op.bind(here);
            const bool ready = op.start();
            CHECK(!ready);
            CHECK(c.try_send(7));
            co_await settle_all(); // the mail comes, and passes over what is not parked
            CHECK(resumed == 0);
            static_cast<engine::waiter&>(op).kind = &mine;
            op.suspend(nullptr);
            co_await settle_all();
            CHECK(resumed == 1);
            CHECK(op.take() == 7);
            auto dropped = c.receive();
            dropped.bind(here);
            const bool again = dropped.start();
            CHECK(!again);
            CHECK(c.try_send(8));
        }
        engine::unlink_scope(place);
        CHECK(drain(c) == numbers{8});
    });
}

TEST_CASE("a send that finds no memory has sent nothing and has its item; ends and returns need none") {
    eddy_test::run([]() -> task<> {
        channel<int> c(100);
        numbers seen;
        std::vector<task_handle<>> receivers;
        for (int i = 0; i < 8; ++i)
            receivers.push_back(spawn(receive_one, std::ref(c), std::ref(seen)));
        co_await settle_all();
        for (int i = 1; i <= 8; ++i)
            CHECK(c.try_send(i)); // room for 8 that may come back
        auto op = c.send(9);
        bool refused = false;
        {
            const no_memory now;
            try {
                co_await op;
            } catch (const std::bad_alloc&) {
                refused = true;
            }
        }
        CHECK(refused);
        CHECK(op.item() == 9);
        co_await settle_all();
        CHECK(seen.size() == 8);
    });
    eddy_test::run([]() -> task<> {
        channel<int> c(8);
        numbers seen;
        std::vector<task_handle<>> receivers;
        for (int i = 0; i < 8; ++i)
            receivers.push_back(spawn(receive_one, std::ref(c), std::ref(seen)));
        co_await settle_all();
        for (int i = 1; i <= 8; ++i)
            CHECK(c.try_send(i));
        auto waits = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await eddy::yield();
        co_await settle_all();
        CHECK(c.statistics().receivers == 1);
        CHECK(seen.size() == 8);
        {
            const no_memory now;
            c.close();
        }
        co_await waits;
    });
}

TEST_CASE("the first wait of a loop needs memory: without it the receive fails, and the channel is as before") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        auto op = c.receive();
        bool refused = false;
        {
            const no_memory now;
            try {
                static_cast<void>(co_await op);
            } catch (const std::bad_alloc&) {
                refused = true;
            }
        }
        CHECK(refused);
        CHECK(c.statistics().receivers == 0);
        CHECK(c.try_send(1));
        CHECK(drain(c) == numbers{1});
    });
}
