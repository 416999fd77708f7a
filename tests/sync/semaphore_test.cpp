#include <eddy/sync/semaphore.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

#include <limits>

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<semaphore> && !std::is_copy_constructible_v<semaphore::permit>);
static_assert(std::is_nothrow_move_constructible_v<semaphore::permit>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<semaphore&>().acquire())>, semaphore::permit>);

namespace {

using order = std::vector<int>;
constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();

// Takes k, notes id and keeps them until the event of the test: `turns` yields.
task<> use(semaphore& s, std::ptrdiff_t k, int id, order& seen, int turns) {
    const auto p = co_await s.acquire(k);
    seen.push_back(id);
    for (int i = 0; i < turns; ++i)
        co_await yield();
}
task<> keep(semaphore& s, std::ptrdiff_t k, int id, order& seen) {
    const auto p = co_await s.acquire(k);
    seen.push_back(id);
    co_await sleep(1h);
}

} // namespace

TEST_CASE("SM-1 negative counts are errors that name the value; none to begin with is allowed") {
    CHECK(contains(refusal([] { semaphore s(-3); }), "semaphore(-3)"));
    CHECK(contains(refusal([] { semaphore s(-4, bounded); }), "semaphore(-4)"));
    semaphore none(0);
    CHECK(none.available() == 0);
    auto p = none.try_acquire();
    CHECK(!p.has_value());
    CHECK(contains(refusal([&] { none.release(-1); }), "semaphore.release(-1)"));
    CHECK(contains(refusal([&] { none.resize(-2); }), "semaphore.resize(-2)"));
    CHECK(contains(refusal([&] { auto op = none.acquire(-5); }), "semaphore.acquire(-5)"));
    CHECK(contains(refusal([&] { auto q = none.try_acquire(-6); }), "semaphore.try_acquire(-6)"));
    CHECK(none.available() == 0);
}

TEST_CASE("SM-2 acquiring takes, the permit gives back") {
    eddy_test::run([]() -> task<> {
        semaphore s(3);
        {
            auto p = co_await s.acquire(2);
            CHECK(p.count() == 2);
            CHECK(s.available() == 1);
            CHECK(s.statistics().held == 2);
            CHECK(s.statistics().total == 3);
            auto q = s.try_acquire();
            CHECK(q.has_value());
            auto r = s.try_acquire();
            CHECK(!r.has_value());
            p.release();
            CHECK(p.count() == 0);
            CHECK(s.available() == 2);
            CHECK_THROWS_AS(p.release(), std::logic_error);
            CHECK_THROWS_AS(p.forget(), std::logic_error);
        }
        CHECK(s.available() == 3);
        CHECK(s.statistics().held == 0);
    });
}

TEST_CASE("SM-2 SM-4 SM-11 X-5 who comes late waits behind a big request, though there would be enough") {
    eddy_test::run([]() -> task<> {
        semaphore s(3);
        order seen;
        auto p = co_await s.acquire(2);
        auto big = spawn(use, std::ref(s), 3, 1, std::ref(seen), 1);
        co_await settle_all();
        CHECK(s.available() == 1);
        auto none = s.try_acquire();
        CHECK(!none.has_value());
        auto small = spawn(use, std::ref(s), 1, 2, std::ref(seen), 1);
        co_await settle_all();
        CHECK(seen.empty());
        CHECK(s.statistics().waiters == 2);
        p.release();
        // Handed over: nobody can come in between, nor the one who gave it back.
        CHECK(s.available() == 0);
        auto again = s.try_acquire();
        CHECK(!again.has_value());
        auto mine = co_await s.acquire();
        CHECK(seen == order{1, 2});
    });
}

TEST_CASE("SM-3 SM-5 every release goes to the waiters, in order, as many as it serves") {
    eddy_test::run([]() -> task<> {
        semaphore s(0);
        order seen;
        std::vector<task_handle<>> all;
        for (int i = 1; i <= 4; ++i)
            all.push_back(spawn(keep, std::ref(s), 1, i, std::ref(seen)));
        co_await settle_all();
        s.release();
        s.release();
        CHECK(s.available() == 0);
        CHECK(s.statistics().waiters == 2);
        co_await settle_all();
        CHECK(seen == order{1, 2});
        s.release(5);
        CHECK(s.available() == 3);
        co_await settle_all();
        CHECK(seen == order{1, 2, 3, 4});
        for (auto& h : all)
            h.cancel();
        co_await settle_all();
        CHECK(s.available() == 7);
    });
}

TEST_CASE("SM-4 release and acquire again does not overtake") {
    eddy_test::run([]() -> task<> {
        semaphore s(1);
        order seen;
        auto twice = [](semaphore& mine, int id, order& log) -> task<> {
            for (int i = 1; i <= 2; ++i) {
                const auto p = co_await mine.acquire();
                log.push_back(10 * id + i);
                co_await yield();
            }
        };
        auto a = spawn(twice, std::ref(s), 1, std::ref(seen));
        auto b = spawn(twice, std::ref(s), 2, std::ref(seen));
        co_await settle_all();
        CHECK(seen == order{11, 21, 12, 22});
    });
}

TEST_CASE("SM-6 X-11 cancelled waiters are skipped, and gone at once") {
    eddy_test::run([]() -> task<> {
        semaphore s(0);
        order seen;
        std::vector<task_handle<>> all;
        for (int i = 1; i <= 3; ++i)
            all.push_back(spawn(use, std::ref(s), 1, i, std::ref(seen), 1));
        co_await settle_all();
        all[0].cancel();
        all[1].cancel();
        CHECK(s.statistics().waiters == 1);
        s.release();
        co_await settle_all();
        CHECK(seen == order{3});
        CHECK(s.available() == 1);
    });
}

TEST_CASE("SM-7 SM-8 granted, then destroyed: the permits go to the next, or back") {
    eddy_test::run([]() -> task<> {
        semaphore s(0);
        order seen;
        auto first = spawn(use, std::ref(s), 2, 1, std::ref(seen), 1);
        auto second = spawn(use, std::ref(s), 1, 2, std::ref(seen), 1);
        co_await settle_all();
        s.release(2);
        CHECK(s.statistics().held == 2);
        destroy_task(first);
        CHECK(s.statistics().held == 1);
        CHECK(s.available() == 1);
        destroy_task(second);
        CHECK(s.available() == 2);
        CHECK(s.statistics().held == 0);
        CHECK(seen.empty());
        auto p = co_await timeout(1s, s.acquire(2));
        CHECK(p.count() == 2);
    });
}

TEST_CASE("a big waiter that leaves lets those behind it go, whichever way it leaves") {
    eddy_test::run([]() -> task<> {
        for (int how = 0; how < 3; ++how) {
            semaphore s(2);
            order seen;
            auto big = spawn(
                [](semaphore& mine, int way) -> task<> {
                    if (way == 2) {
                        auto none = co_await move_on_after(1s, mine.acquire(3));
                        CHECK(!none.has_value());
                    } else {
                        auto never = co_await mine.acquire(3);
                    }
                },
                std::ref(s), how);
            auto a = spawn(use, std::ref(s), 1, 1, std::ref(seen), 1);
            auto b = spawn(use, std::ref(s), 1, 2, std::ref(seen), 1);
            co_await settle_all();
            CHECK(seen.empty());
            if (how == 0) big.cancel();
            if (how == 1) destroy_task(big);
            if (how == 2) co_await sleep(2s);
            co_await settle_all();
            CHECK(seen == order{1, 2});
            CHECK(s.available() == 2);
            CHECK(s.statistics().waiters == 0);
        }
    });
}

TEST_CASE("SM-9 unbounded: releasing beyond the size is allowed; bounded: an error that leaves the value") {
    semaphore s(1);
    s.release(2);
    CHECK(s.available() == 3);
    semaphore b(2, bounded);
    CHECK(
        contains(refusal([&] { b.release(); }), "semaphore.release(1) would bring a bounded semaphore of 2 to 2 + 1"));
    CHECK(b.available() == 2);
    // Permits give back what they hold: that is counted.
    auto p = b.try_acquire();
    CHECK(!refusal([&] { b.release(); }).empty());
    CHECK(b.available() == 1);
    p->forget();
    CHECK(b.available() == 1);
    CHECK(b.statistics().held == 0);
    b.release();
    CHECK(b.available() == 2);
    b.release(0);
    CHECK(b.available() == 2);
}

TEST_CASE("SM-10 overflow is an error and changes nothing") {
    semaphore s(most - 1);
    s.release();
    CHECK(contains(refusal([&] { s.release(); }), "semaphore.release(1): the count would overflow"));
    CHECK(s.available() == most);
    // Also what permits still hold counts: they could not give it back.
    auto p = s.try_acquire(5);
    CHECK(!refusal([&] { s.release(3); }).empty());
    CHECK(s.available() == most - 5);
    p.reset();
    CHECK(s.available() == most);
    semaphore t(1);
    t.release();
    CHECK(contains(refusal([&] { t.resize(most); }), "overflow"));
    CHECK(t.available() == 2);
    CHECK(t.statistics().total == 1);
}

TEST_CASE("SM-13 permits: moved, assigned, forgotten") {
    semaphore s(5);
    auto p = s.try_acquire(2);
    semaphore::permit q = std::move(*p);
    CHECK(p->count() == 0);
    CHECK(q.count() == 2);
    auto r = s.try_acquire(1);
    q = std::move(*r); // gives its two back
    CHECK(q.count() == 1);
    CHECK(s.available() == 4);
    auto& same = q;
    q = std::move(same);
    CHECK(q.count() == 1);
    q.forget();
    CHECK(q.count() == 0);
    CHECK(s.available() == 4);
    q = semaphore::permit();
    CHECK(s.available() == 4);
    CHECK(s.statistics().held == 0);
}

TEST_CASE("acquire(0) does not wait, and try_acquire(0) neither") {
    eddy_test::run([]() -> task<> {
        semaphore s(0);
        order seen;
        auto h = spawn(use, std::ref(s), 1, 1, std::ref(seen), 0);
        co_await settle_all();
        auto p = co_await s.acquire(0);
        CHECK(p.count() == 0);
        auto q = s.try_acquire(0);
        CHECK(q.has_value());
        s.release();
        co_await h;
    });
}

TEST_CASE("CL-2 CL-3 a bigger size lets waiters go; a smaller one owes what is in use") {
    eddy_test::run([]() -> task<> {
        semaphore s(0);
        order seen;
        std::vector<task_handle<>> all;
        for (int i = 1; i <= 4; ++i)
            all.push_back(spawn(keep, std::ref(s), 1, i, std::ref(seen)));
        co_await settle_all();
        s.resize(3);
        co_await settle_all();
        CHECK(seen == order{1, 2, 3});
        s.resize(1);
        CHECK(s.available() == -2);
        CHECK(s.statistics().held == 3);
        all[0].cancel();
        all[1].cancel();
        co_await settle_all();
        CHECK(s.available() == 0);
        CHECK(seen == order{1, 2, 3});
        all[2].cancel();
        co_await settle_all();
        CHECK(seen == order{1, 2, 3, 4});
        all[3].cancel();
        co_await settle_all();
        CHECK(s.available() == 1);
        // A bounded one's bound moves with its size, and what it owes counts.
        semaphore b(3, bounded);
        auto p = co_await b.acquire(3);
        b.resize(1);
        CHECK(!refusal([&] { b.release(); }).empty());
        p.release();
        CHECK(b.available() == 1);
        CHECK(!refusal([&] { b.release(); }).empty());
        b.resize(2);
        CHECK(b.available() == 2);
    });
}

TEST_CASE("X-7 the permit goes back on return, exception, cancellation and when its frame is destroyed") {
    eddy_test::run([]() -> task<> {
        semaphore s(2);
        auto hold = [](semaphore& mine, int how) -> task<> {
            const auto p = co_await mine.acquire(2);
            if (how == 1) throw std::runtime_error("inside");
            if (how > 1) co_await sleep(1h);
        };
        for (int how = 0; how < 4; ++how) {
            auto h = spawn(hold, std::ref(s), how);
            co_await settle_all();
            if (how == 2) h.cancel();
            if (how == 3) destroy_task(h);
            auto o = co_await settle(h);
            CHECK(s.available() == 2);
        }
    });
}

TEST_CASE("X-9 LK-15 a free permit costs no turn, but 128 in a row do") {
    eddy_test::run([]() -> task<> {
        semaphore s(1);
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        int rounds = 0;
        while (!other) {
            auto p = co_await s.acquire();
            ++rounds;
        }
        CHECK(rounds > 100);
        CHECK(rounds <= 129);
        CHECK(s.available() == 1);
        co_await h;
    });
}

TEST_CASE("a permit that was granted at once and not taken goes back") {
    eddy_test::run([]() -> task<> {
        semaphore s(2);
        context c = here();
        {
            auto op = s.acquire(2);
            auto moved = std::move(op);
            moved.bind(c);
            const bool ready = moved.start();
            CHECK(ready);
            CHECK(s.available() == 0);
        }
        CHECK(s.available() == 2);
        CHECK(s.statistics().held == 0);
        // A turn was due: granted, and destroyed before it ran.
        auto h = spawn(
            [](semaphore& mine) -> task<> {
                for (;;)
                    auto p = co_await mine.acquire();
            },
            std::ref(s));
        co_await yield();
        CHECK(s.statistics().held == 1);
        destroy_task(h);
        CHECK(s.available() == 2);
        co_return;
    });
}

TEST_CASE("X-10 a semaphore that is destroyed ends the waits; permits that are left hold nothing") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto s = std::make_unique<semaphore>(2);
        order seen;
        auto p = co_await s->acquire();
        auto q = co_await s->acquire();
        auto moved = std::move(q);
        auto granted = spawn(use, std::ref(*s), 1, 1, std::ref(seen), 0);
        auto h = spawn(use, std::ref(*s), 2, 2, std::ref(seen), 0);
        co_await settle_all();
        moved.release();
        s.reset();
        CHECK(contains(dump_text(), "ready (was: semaphore.acquire(2))")); // no look at what is gone
        CHECK(p.count() == 0);
        CHECK_THROWS_AS(p.release(), std::logic_error);
        auto o = co_await settle(h);
        CHECK(holds<object_destroyed>(o.error()));
        CHECK(contains(text_of(o.error()), "semaphore.acquire of task '"));
        co_await granted; // had been granted: an empty permit, and no harm
        CHECK(seen == order{1});
    });
    CHECK(contains(err.text(), "eddy: a semaphore was destroyed while somebody waited for it: semaphore.acquire of"));
}

TEST_CASE("X-6 a semaphore that tasks of one loop wait for is refused to another loop") {
    semaphore s(0);
    testing::virtual_loop a;
    testing::virtual_loop b;
    order seen;
    a.spawn(use, std::ref(s), 1, 1, std::ref(seen), 0);
    a.settle();
    b.run([](semaphore& mine) -> task<> {
        auto o = co_await settle(mine.acquire());
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(contains(refusal([&] { mine.release(); }), "semaphore.release from another loop"));
        CHECK(contains(refusal([&] { mine.resize(4); }), "semaphore.resize from another loop"));
    }(s));
    CHECK(s.available() == 0);
    CHECK(s.statistics().waiters == 1);
    s.release();
    a.settle();
    CHECK(seen == order{1});
    b.run(use(s, 1, 2, seen, 0));
    CHECK(seen == order{1, 2});
}

TEST_CASE("a dump says how many are asked for and how many there are") {
    eddy_test::run([]() -> task<> {
        semaphore s(2);
        order seen;
        auto h = spawn(use, std::ref(s), 3, 1, std::ref(seen), 0);
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for semaphore.acquire(3), 2 available\n"));
        h.cancel();
        char tiny[5];
        CHECK(detail::describe_as(tiny, sizeof tiny, "%s", "longer") == 4);
        CHECK(detail::describe_as(tiny, 0, "%s", "longer") == 0);
    });
}
