// Channels between loops and threads.
#include <eddy/sync/channel.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/run.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/offload/offload.hpp>

#include "sync/channel_support.hpp"

#include <array>
#include <atomic>
#include <thread>

using namespace eddy;
using namespace eddy_test;

namespace {

// Joins at the end.
class joined {
public:
    template <class F>
    explicit joined(F f) : thread_(std::move(f)) {}
    joined(joined&&) noexcept = default;
    ~joined() {
        if (thread_.joinable()) thread_.join();
    }

private:
    std::thread thread_;
};

// Until so many wait: what a thread does next is seen by no other sign.
template <class T>
void wait_for_waiters(channel<T>& c, std::size_t receivers, std::size_t senders = 0) {
    for (;;) {
        const channel_statistics s = c.statistics();
        if (s.receivers == receivers && s.senders == senders) return;
        std::this_thread::yield();
    }
}

struct totals {
    std::atomic<long> sum{0};
    std::atomic<long> count{0};
    void add(int v) {
        sum += v;
        ++count;
    }
};

task<> receive_all(channel<int>& c, totals& got) {
    while (auto v = co_await c.receive())
        got.add(*v);
}
void receive_all_blocking(channel<int>& c, totals& got) {
    while (auto v = c.receive_blocking())
        got.add(*v);
}

} // namespace

TEST_CASE("a thread sends to a task, and a task to a thread") {
    channel<std::unique_ptr<int>> there(2);
    channel<std::unique_ptr<int>> back(2);
    const joined doubler([&] {
        while (auto v = there.receive_blocking())
            back.send_blocking(std::make_unique<int>(**v * 2));
        back.close();
    });
    const auto main = [](auto& to, auto& from) -> task<> {
        for (int i = 0; i < 100; ++i) {
            co_await to.send(std::make_unique<int>(i));
            auto v = co_await from.receive();
            CHECK(**v == 2 * i);
        }
        to.close();
        auto none = co_await from.receive();
        CHECK(!none);
    };
    eddy::run(main(there, back));
}

TEST_CASE("MC-1 capacity 0 between threads: send_blocking returns when its item has been received") {
    channel<int> c(0);
    std::atomic<bool> sent{false};
    joined sender([&] {
        c.send_blocking(1);
        sent = true;
    });
    wait_for_waiters(c, 0, 1);
    CHECK(!sent);
    CHECK(c.receive_blocking() == 1);
}

TEST_CASE("blocking on a thread whose loop is running is an error; beside a loop that does not run it is none") {
    channel<int> c(2);
    loop idle;
    c.send_blocking(1);
    CHECK(c.receive_blocking() == 1);
    eddy_test::run([&c]() -> task<> {
        CHECK_THROWS_WITH_AS(c.send_blocking(1), doctest::Contains("channel.send_blocking() on a thread whose loop"),
                             std::logic_error);
        CHECK_THROWS_AS(static_cast<void>(c.receive_blocking()), std::logic_error);
        CHECK(c.size() == 0);
        co_return;
    });
}

TEST_CASE("MC-7 tasks of two loops and threads that block stand in one line, and are served in its order") {
    channel<int> c(1);
    std::array<std::atomic<int>, 4> got{};
    const auto receive = [](channel<int>& mine, std::atomic<int>& into) -> task<> {
        auto v = co_await mine.receive();
        into = v.value();
    };
    std::vector<joined> threads;
    threads.emplace_back([&] { eddy::run(receive(c, got[0])); });
    wait_for_waiters(c, 1);
    threads.emplace_back([&] { got[1] = c.receive_blocking().value(); });
    wait_for_waiters(c, 2);
    threads.emplace_back([&] { eddy::run(receive(c, got[2])); });
    wait_for_waiters(c, 3);
    threads.emplace_back([&] { got[3] = c.receive_blocking().value(); });
    wait_for_waiters(c, 4);
    for (int i = 1; i <= 4; ++i)
        CHECK(c.try_send(i));
    CHECK(!c.try_receive());
    threads.clear();
    for (int i = 0; i < 4; ++i)
        CHECK(got[static_cast<std::size_t>(i)] == i + 1);
}

TEST_CASE("X-10 MC-2 close and destruction end the waits of loops and threads alike") {
    for (const bool destroy : {false, true}) {
        const captured_stderr quiet;
        auto c = std::make_unique<channel<int>>(1);
        std::atomic<int> ended{0};
        const auto receive = [](channel<int>& mine, std::atomic<int>& n, bool thrown) -> task<> {
            const auto v = co_await settle(mine.receive());
            if (thrown)
                CHECK_THROWS_AS(v.value(), object_destroyed);
            else
                CHECK(!v.value().has_value());
            ++n;
        };
        {
            joined loop_there([&, &mine = *c] { eddy::run(receive(mine, ended, destroy)); });
            joined thread([&, &mine = *c] {
                if (destroy)
                    CHECK_THROWS_AS(static_cast<void>(mine.receive_blocking()), object_destroyed);
                else
                    CHECK(!mine.receive_blocking());
                ++ended;
            });
            wait_for_waiters(*c, 2);
            if (destroy)
                c.reset();
            else
                c->close();
        }
        CHECK(ended == 2);
    }
}

TEST_CASE("a send_blocking that waits when the channel is closed throws queue_closed") {
    channel<int> c(1);
    c.send_blocking(1);
    joined sender([&] { CHECK_THROWS_AS(c.send_blocking(2), queue_closed); });
    wait_for_waiters(c, 0, 1);
    c.close();
    CHECK(c.receive_blocking() == 1);
    CHECK(!c.receive_blocking());
    CHECK_THROWS_AS(c.send_blocking(3), queue_closed);
}

TEST_CASE("MC-6 a receiver that is cancelled before its loop has seen the grant gets the item") {
    const auto main = []() -> task<> {
        channel<int> c(1);
        numbers seen;
        auto h = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await eddy::yield();
        std::thread([&c] { CHECK(c.try_send(1)); }).join(); // the mail is in the box, and we have not looked
        CHECK(c.size() == 0);
        CHECK(seen.empty());
        h.cancel();
        co_await h;
        CHECK(seen == numbers{1});
    };
    eddy::run(main());
}

TEST_CASE("MC-6 a receiver that is destroyed before its loop has seen the grant gives the item to its place") {
    const auto main = []() -> task<> {
        channel<int> c(2);
        numbers seen;
        auto h = spawn(receive_one, std::ref(c), std::ref(seen));
        co_await eddy::yield();
        std::thread([&c] {
            CHECK(c.try_send(1));
            CHECK(c.try_send(2));
        }).join();
        CHECK(c.size() == 1);
        destroy_task(h);
        CHECK(drain(c) == numbers{1, 2});
        co_await eddy::yield(); // the mail comes, and finds nobody
    };
    eddy::run(main());
}

TEST_CASE("a receive that has lost a race before its loop saw the grant gives the item back") {
    const auto main = []() -> task<> {
        channel<int> c(1);
        channel<int> other(1);
        auto body = [](channel<int>& a, channel<int>& b) -> task<> {
            auto both = race(a.receive(), b.receive());
            const auto first = co_await both;
            CHECK(first.index == 0);
        };
        auto h = spawn(body, std::ref(other), std::ref(c));
        co_await settle_all();
        // Granted here, so it is resumed in the next tick; then its rival, whose mail comes only after that.
        CHECK(other.try_send(7));
        std::thread([&c] { CHECK(c.try_send(1)); }).join();
        co_await h;
        CHECK(drain(c) == numbers{1});
    };
    eddy::run(main());
}

TEST_CASE("a loop that ends while its tasks wait leaves the line, and what it was given goes to others") {
    channel<int> c(1);
    numbers seen;
    {
        testing::virtual_loop l;
        auto h = l.spawn(receive_one, std::ref(c), std::ref(seen));
        auto stays = l.spawn(receive_one, std::ref(c), std::ref(seen));
        l.settle();
        CHECK(c.statistics().receivers == 2);
        std::thread([&c] { CHECK(c.try_send(1)); }).join();
        destroy_task(h);
        // To the second, whose loop is closed without turning again but to end its tasks.
        CHECK(c.statistics().receivers == 0);
        destroy_task(stays);
    }
    CHECK(seen.empty());
    CHECK(c.statistics().receivers == 0);
    CHECK(c.receive_blocking() == 1);
    const auto wait = [](channel<int>& mine) -> task<> {
        auto v = spawn([](channel<int>& d) -> task<> { static_cast<void>(co_await d.receive()); }, std::ref(mine));
        co_await eddy::yield();
        CHECK(mine.statistics().receivers == 1);
    };
    for (int i = 0; i < 3; ++i) // the ways to loops that have gone are used again
        eddy::run(wait(c));
    CHECK(c.statistics().receivers == 0);
    CHECK(c.try_send(2));
    CHECK(drain(c) == numbers{2});
}

TEST_CASE("offloaded functions that block on a channel do not starve those that would feed them") {
    const auto main = []() -> task<> {
        channel<int> c(0);
        std::vector<task_handle<int>> takers;
        const auto take = [](channel<int>& mine) -> task<int> {
            auto op = offload([](channel<int>& d) { return d.receive_blocking().value(); }, std::ref(mine));
            co_return co_await op;
        };
        for (int i = 0; i < 12; ++i) // more than libuv has threads
            takers.push_back(spawn(take, std::ref(c)));
        co_await eddy::yield();
        for (int i = 0; i < 12; ++i) {
            auto give = offload([](channel<int>& d, int v) { d.send_blocking(v); }, std::ref(c), i);
            co_await give;
        }
        int sum = 0;
        for (auto& h : takers)
            sum += co_await h;
        CHECK(sum == 66);
    };
    eddy::run(main());
}

TEST_CASE("MC-7 a hundred thousand items from four threads and two loops to two loops and two threads") {
    for (const std::size_t capacity : {0u, 1u, 64u}) {
        channel<int> c(capacity);
        totals got;
        constexpr int each = 16'666;
        const auto produce = [](channel<int>& mine) -> task<> {
            for (int i = 1; i <= each; ++i)
                co_await mine.send(i);
        };
        {
            std::vector<joined> receivers;
            receivers.emplace_back([&] { eddy::run(receive_all(c, got)); });
            receivers.emplace_back([&] { eddy::run(receive_all(c, got)); });
            receivers.emplace_back([&] { receive_all_blocking(c, got); });
            receivers.emplace_back([&] { receive_all_blocking(c, got); });
            {
                std::vector<joined> senders;
                for (int t = 0; t < 4; ++t)
                    senders.emplace_back([&] {
                        for (int i = 1; i <= each; ++i)
                            if (!c.try_send(i)) c.send_blocking(i);
                    });
                for (int t = 0; t < 2; ++t)
                    senders.emplace_back([&] { eddy::run(produce(c)); });
            }
            c.close();
        }
        CHECK(got.count == 6L * each);
        CHECK(got.sum == 6L * each * (each + 1) / 2);
        CHECK(c.size() == 0);
    }
}

TEST_CASE("close races with senders: what was sent without an error is received, the rest is not") {
    for (int round = 0; round < 50; ++round) {
        channel<int> c(static_cast<std::size_t>(round % 3));
        totals sent;
        totals got;
        const auto produce = [](channel<int>& mine, totals& log) -> task<> {
            for (int i = 1;; ++i) {
                const auto o = co_await settle(mine.send(i));
                if (!o.has_value()) co_return;
                log.add(i);
            }
        };
        {
            std::vector<joined> all;
            all.emplace_back([&] { eddy::run(receive_all(c, got)); });
            all.emplace_back([&] { receive_all_blocking(c, got); });
            all.emplace_back([&] { eddy::run(produce(c, sent)); });
            all.emplace_back([&] {
                try {
                    for (int i = 1;; ++i) {
                        c.send_blocking(i);
                        sent.add(i);
                    }
                } catch (const queue_closed&) {
                }
            });
            while (got.count < 20)
                std::this_thread::yield();
            c.close();
        }
        CHECK(sent.count == got.count);
        CHECK(sent.sum == got.sum);
    }
}

TEST_CASE("MC-6 cancelling races with sending and receiving: every item that was sent is received once") {
    channel<int> c(1);
    totals sent;
    totals got;
    constexpr int rounds = 4'000;
    std::atomic<int> still_sending{2};
    // Both lose their waits again and again, to a cancellation or to the destruction of the frame.
    const auto produce = [](channel<int>& mine, totals& log, std::atomic<int>& left) -> task<> {
        for (int i = 1; i <= rounds; ++i) {
            auto h = spawn(
                [](channel<int>& d, int v, totals& t) -> task<> {
                    co_await d.send(v);
                    t.add(v);
                },
                std::ref(mine), i, std::ref(log));
            co_await eddy::yield();
            if (i % 3 != 0) h.cancel();
            static_cast<void>(co_await settle(h));
        }
        if (--left == 0) mine.close();
    };
    const auto consume = [](channel<int>& mine, totals& log) -> task<> {
        for (int i = 0; !mine.closed() || mine.size() != 0; ++i) {
            auto h = spawn(
                [](channel<int>& d, totals& t) -> task<> {
                    auto v = co_await d.receive();
                    if (v) t.add(*v);
                },
                std::ref(mine), std::ref(log));
            co_await eddy::yield();
            if (i % 3 == 0) h.cancel();
            if (i % 3 == 1) destroy_task(h);
            static_cast<void>(co_await settle(h));
        }
    };
    {
        std::vector<joined> all;
        all.emplace_back([&] { eddy::run(produce(c, sent, still_sending)); });
        all.emplace_back([&] { eddy::run(produce(c, sent, still_sending)); });
        all.emplace_back([&] { eddy::run(consume(c, got)); });
        all.emplace_back([&] { receive_all_blocking(c, got); });
    }
    for (const int v : drain(c)) // given back after the last had looked
        got.add(v);
    CHECK(sent.count == got.count);
    CHECK(sent.sum == got.sum);
}
