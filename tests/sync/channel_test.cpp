// Channels between the tasks of one loop.
#include <eddy/sync/channel.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/channel_support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<channel<int>>);
static_assert(std::is_same_v<decltype(std::declval<channel<int>&>().receive())::result_type, std::optional<int>>);
static_assert(std::is_void_v<decltype(std::declval<channel<int>&>().send(1))::result_type>);
static_assert(std::is_same_v<decltype(std::declval<channel<int>&>().receive_blocking()), std::optional<int>>);

TEST_CASE("MC-1 capacity 0: a send completes when its item is received, not before") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        auto sender = spawn(send_one, std::ref(c), 1);
        co_await settle_all();
        CHECK(!sender.done());
        CHECK(c.size() == 0);
        CHECK(c.statistics().senders == 1);
        const auto first = co_await c.receive();
        CHECK(first == 1);
        co_await sender;

        // The receiver first: the send does not wait.
        numbers seen;
        auto receiver = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await settle_all();
        CHECK(c.statistics().receivers == 1);
        co_await c.send(2);
        CHECK(seen.empty()); // it runs later
        co_await receiver;
        CHECK(seen == numbers{2});
    });
}

TEST_CASE("MC-1 capacity 0: try_send and try_receive need a partner that waits") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        CHECK(!c.try_send(1));
        CHECK(!c.try_receive());
        auto sender = spawn(send_one, std::ref(c), 2);
        co_await settle_all();
        CHECK(c.try_receive() == 2);
        CHECK(c.statistics().senders == 0);
        co_await sender;
        numbers seen;
        auto receiver = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await settle_all();
        CHECK(c.try_send(3));
        CHECK(!c.try_send(4));
        co_await receiver;
        CHECK(seen == numbers{3});
    });
}

TEST_CASE("QU-4 a full channel holds senders back; their items come in by turns") {
    eddy_test::run([]() -> task<> {
        channel<int> c(2);
        numbers sent;
        auto send = [](channel<int>& mine, int v, numbers& log) -> task<> {
            co_await mine.send(v);
            log.push_back(v);
        };
        std::vector<task_handle<>> senders;
        for (int i = 1; i <= 5; ++i)
            senders.push_back(spawn(send, std::ref(c), i, std::ref(sent)));
        co_await settle_all();
        CHECK(sent == numbers{1, 2});
        CHECK(c.size() == 2);
        CHECK(c.capacity() == 2);
        CHECK(c.statistics().senders == 3);
        for (int i = 1; i <= 5; ++i) {
            const auto v = co_await c.receive();
            CHECK(v == i);
            CHECK(c.size() <= 2);
            co_await settle_all();
            CHECK(sent.size() == static_cast<std::size_t>(std::min(5, i + 2)));
        }
    });
}

TEST_CASE("QU-11 MC-7 X-5 an item that was handed over is not for those who come in between; receivers take turns") {
    eddy_test::run([]() -> task<> {
        channel<int> c(4);
        numbers a;
        numbers b;
        auto first = spawn(receive_one, std::ref(c), std::ref(a));
        auto second = spawn(receive_one, std::ref(c), std::ref(b));
        co_await settle_all();
        CHECK(c.try_send(1));
        CHECK(!c.try_receive()); // it is the first receiver's, which has not run
        CHECK(c.try_send(2));
        CHECK(!c.try_receive());
        co_await settle_all();
        CHECK(a == numbers{1});
        CHECK(b == numbers{2});
    });
}

TEST_CASE("X-5 room that was made is the waiting sender's, not for those who come in between") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        CHECK(c.try_send(1));
        auto waits = spawn(send_one, std::ref(c), 2);
        co_await settle_all();
        CHECK(c.try_receive() == 1);
        CHECK(!c.try_send(3));
        CHECK(c.try_receive() == 2);
        CHECK(c.try_send(3));
        co_await waits;
        CHECK(drain(c) == numbers{3});
    });
}

TEST_CASE("MC-2 close ends the waits of all receivers and senders, and what comes later fails at once") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        auto idle = [](channel<int>& mine) -> task<bool> {
            auto v = co_await mine.receive();
            co_return v.has_value();
        };
        auto a = spawn(idle, std::ref(c));
        auto b = spawn(idle, std::ref(c));
        co_await settle_all();
        CHECK(!c.closed());
        c.close();
        c.close();
        CHECK(c.closed());
        CHECK(c.statistics().receivers == 0);
        const bool first = co_await a;
        const bool second = co_await b;
        CHECK(!first);
        CHECK(!second);
        CHECK(!c.try_send(1));
        const auto refused = co_await settle(c.send(1));
        CHECK_THROWS_WITH_AS(refused.value(), "eddy: channel.send: the channel is closed", queue_closed);
        const auto none = co_await c.receive();
        CHECK(!none);

        channel<int> full(1);
        CHECK(full.try_send(1));
        auto op = full.send(2);
        auto waits = spawn([](decltype(op)& mine) -> task<> { co_await mine; }, std::ref(op));
        co_await settle_all();
        full.close();
        const auto ended = co_await settle(waits);
        CHECK_THROWS_AS(ended.value(), queue_closed);
        CHECK(op.item() == 2);
        CHECK(drain(full) == numbers{1});
    });
}

TEST_CASE("MC-3 what was sent before close is received; then the channel is drained") {
    eddy_test::run([]() -> task<> {
        channel<int> c(4);
        numbers seen;
        auto waits = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await settle_all();
        co_await c.send(1); // assigned to who waits
        co_await c.send(2);
        c.close();
        co_await waits;
        CHECK(seen == numbers{1});
        const auto last = co_await c.receive();
        CHECK(last == 2);
        const auto none = co_await c.receive();
        CHECK(!none);
        CHECK(!c.try_receive());
    });
}

TEST_CASE("MC-4 nothing about an item makes it no item: zero, empty pointers and optionals") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        co_await c.send(0);
        const auto zero = co_await c.receive();
        REQUIRE(zero.has_value());
        CHECK(*zero == 0);
        channel<std::unique_ptr<int>> pointers(1);
        co_await pointers.send(nullptr);
        auto null = co_await pointers.receive();
        REQUIRE(null.has_value());
        CHECK(*null == nullptr);
        channel<std::optional<int>> optionals(1);
        co_await optionals.send(std::optional<int>());
        auto empty = co_await optionals.receive();
        REQUIRE(empty.has_value());
        CHECK(!empty->has_value());
    });
}

TEST_CASE("MC-5 in a scope that is cancelled neither send nor receive does anything") {
    eddy_test::run([]() -> task<> {
        channel<int> c(2);
        CHECK(c.try_send(1));
        auto body = [](channel<int>& mine) -> task<> {
            this_task::handle().cancel();
            const auto put = co_await settle(mine.send(2));
            CHECK(put.is_cancelled());
            const auto got = co_await settle(mine.receive());
            CHECK(got.is_cancelled());
        };
        const auto ended = co_await settle(spawn(body, std::ref(c)));
        CHECK(ended.is_cancelled() == false); // it ended by itself, with a value
        CHECK(drain(c) == numbers{1});
    });
}

TEST_CASE("MC-7 several senders and receivers: every item once, those of one sender in order") {
    for (const std::size_t capacity : {0u, 1u, 7u}) {
        eddy_test::run([capacity]() -> task<> {
            channel<int> c(capacity);
            auto produce = [](channel<int>& mine, int from) -> task<> {
                for (int i = 0; i < 300; ++i)
                    co_await mine.send(from * 1000 + i);
            };
            auto consume = [](channel<int>& mine, numbers& log) -> task<> {
                while (auto v = co_await mine.receive())
                    log.push_back(*v);
            };
            numbers seen[3];
            std::vector<task_handle<>> consumers;
            std::vector<task_handle<>> producers;
            for (numbers& s : seen)
                consumers.push_back(spawn(consume, std::ref(c), std::ref(s)));
            for (int i = 0; i < 4; ++i)
                producers.push_back(spawn(produce, std::ref(c), i));
            for (auto& p : producers)
                co_await p;
            c.close();
            for (auto& h : consumers)
                co_await h;
            numbers all;
            for (const numbers& s : seen) {
                CHECK(s.size() > 20); // nobody starves
                CHECK(in_order_by_sender(s));
                all.insert(all.end(), s.begin(), s.end());
            }
            std::sort(all.begin(), all.end());
            CHECK(all.size() == 1200);
            CHECK(std::unique(all.begin(), all.end()) == all.end());
        });
    }
}

TEST_CASE("X-9 a channel that is always ready makes its task give way") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        int turns = 0;
        while (!other && turns < 1000) {
            co_await c.send(turns);
            auto v = co_await c.receive();
            CHECK(v == turns);
            ++turns;
        }
        CHECK(turns < 1000);
        CHECK(turns > 32);
        co_await h;
    });
}

TEST_CASE("a receive and a send in one race, for the same channel: nothing is lost") {
    eddy_test::run([]() -> task<> {
        channel<int> c(0);
        auto both = race(c.receive(), c.send(1));
        const auto first = co_await both;
        // The send is received by its rival; whichever counts, there is no second item, and nobody waits.
        if (first.index == 1)
            CHECK(drain(c) == numbers{1});
        else
            CHECK(drain(c).empty());
        CHECK(c.statistics().senders == 0);
        CHECK(c.statistics().receivers == 0);
    });
}

TEST_CASE("IN-1 a dump names the wait; statistics tell the rest") {
    eddy_test::run([]() -> task<> {
        channel<int> c(1);
        auto a = spawn([](channel<int>& mine) -> task<> { static_cast<void>(co_await mine.receive()); }, std::ref(c));
        co_await settle_all();
        CHECK(dump_text().find("channel.receive") != std::string::npos);
        const channel_statistics s = c.statistics();
        CHECK(s.receivers == 1);
        CHECK(s.senders == 0);
        CHECK(s.size == 0);
        CHECK(s.capacity == 1);
        CHECK(!s.closed);
        a.cancel();
        CHECK(c.statistics().receivers == 0);
        const auto ended = co_await settle(a);
        CHECK(ended.is_cancelled());
    });
}

TEST_CASE("an unbounded channel is one of the greatest capacity") {
    channel<int> c(std::numeric_limits<std::size_t>::max());
    for (int i = 0; i < 1000; ++i)
        CHECK(c.try_send(i));
    CHECK(c.size() == 1000);
    CHECK(drain(c).size() == 1000);
}
