// AC of docs/semantics.md.
#include <eddy/flow/as_completed.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

template <class R> concept is_taken = requires(R r) { as_completed(r); };

} // namespace

TEST_CASE("AC-1 outcomes come in the order of the ends; those of one tick in the order in which they ended") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({3, 1, 2});
        auto ends = as_completed(all);
        std::string order;
        while (auto r = co_await ends.next())
            order += std::to_string(r->value());
        CHECK(order == "123");
        auto none = co_await ends.next();
        CHECK(!none.has_value());
        // Many in one tick, all of them before anybody asks.
        std::vector<task_handle<int>> tied;
        for (int i = 9; i > 0; --i)
            tied.push_back(spawn(give(i, 1)));
        auto tied_ends = as_completed(tied);
        co_await sleep(2ms);
        order.clear();
        while (auto r = co_await tied_ends.next())
            order += std::to_string(r->value());
        CHECK(order == "987654321");
    });
}

TEST_CASE("AC-1 the order holds whatever order the loop runs its ready tasks in") {
    for (std::uint64_t n = 1; n <= 20; ++n) {
        testing::seed(n);
        eddy_test::run([]() -> task<> {
            std::string ended;
            const auto work = [](std::string* log, char me) -> task<char> {
                co_await yield();
                log->push_back(me);
                co_return me;
            };
            std::vector<task_handle<char>> all;
            for (char c = 'a'; c < 'h'; ++c)
                all.push_back(spawn(work, &ended, c));
            auto ends = as_completed(all);
            std::string seen;
            while (auto r = co_await ends.next())
                seen.push_back(r->value());
            CHECK(seen == ended);
        });
        testing::seed(0);
    }
}

TEST_CASE("AC-2 each comes with the handle it was given as; values, failures and cancellations as outcomes") {
    eddy_test::run([]() -> task<> {
        const auto fails = []() -> task<int> {
            co_await sleep(2ms);
            throw std::runtime_error("broken");
        };
        told t;
        {
            std::vector<task_handle<int>> all{spawn(give(1, 1)), spawn(fails), spawn(give(3, 9))};
            all[2].cancel();
            auto ends = as_completed(all);
            auto a = co_await ends.next();
            CHECK(a->is_cancelled());
            CHECK(a->handle() == all[2]);
            auto b = co_await ends.next();
            CHECK(b->value() == 1);
            CHECK(b->handle() == all[0]);
            std::optional<outcome<int>> c = co_await ends.next();
            CHECK(text_of(c->error()) == "broken");
        }
        CHECK(t.lines.empty()); // the failure was received
        static int place = 4;
        const auto ref = []() -> task<int&> { co_return place; };
        std::vector<task_handle<int&>> refs{spawn(ref)};
        auto ref_ends = as_completed(refs);
        auto d = co_await ref_ends.next();
        CHECK(&d->value() == &place);
        const auto boxed = []() -> task<std::unique_ptr<int>> { co_return nullptr; };
        std::vector<any_task_handle> mixed{spawn(boxed), spawn(give(1, 1))};
        auto mixed_ends = as_completed(mixed);
        auto e = co_await mixed_ends.next();
        CHECK(e->has_value());
        CHECK(e->handle() == mixed[0]);
        auto f = co_await mixed_ends.next();
        CHECK(f->has_value());
    });
}

TEST_CASE("AC-3 one task twice comes once") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 2});
        std::vector<task_handle<int>> twice{all[0], all[1], all[0]};
        auto ends = as_completed(twice);
        CHECK(ends.size() == 2);
        int n = 0;
        while (auto r = co_await ends.next())
            ++n;
        CHECK(n == 2);
    });
}

TEST_CASE("AC-6 AC-8 leaving the loop, a time limit and a cancelled consumer lose nothing; the tasks go on") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 5, 6, 7});
        auto ends = as_completed(all);
        while (auto r = co_await ends.next()) {
            CHECK(r->value() == 1);
            break;
        }
        auto late = co_await move_on_after(1ms, ends.next());
        CHECK(!late.has_value());
        const auto consume = [&]() -> task<> { co_await ends.next(); };
        auto h = spawn(consume);
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
        CHECK(!all[1].done());
        // Granted in the tick in which it loses a race: back in front.
        auto raced = race(sleep_until(clock::now() + 3ms), ends.next());
        auto r = co_await raced;
        CHECK(ends.size() == 3 - r.index);
        std::string order;
        while (auto next = co_await ends.next())
            order += std::to_string(next->value());
        CHECK(order == (r.index == 0 ? "567" : "67"));
        // Destroying the stream leaves no listener.
        auto more = spawn_giving({1});
        {
            auto dropped = as_completed(more);
            CHECK(more[0].detail_record()->joiners() != nullptr);
        }
        CHECK(more[0].detail_record()->joiners() == nullptr);
        const int v = co_await more[0];
        CHECK(v == 1);
    });
}

TEST_CASE("AC-8 a result that was granted and not taken goes back to its place") {
    eddy_test::run([]() -> task<> {
        std::vector<task_handle<int>> all;
        for (int i = 1; i <= 3; ++i)
            all.push_back(spawn(give(i, 1)));
        auto ends = as_completed(all);
        const auto consume = [&]() -> task<> {
            co_await ends.next();
            CHECK(false);
        };
        any_task_handle loser = spawn(consume);
        co_await yield();
        co_await sleep(1ms); // armed after theirs, so it is over after them, in the same tick
        // The first end has granted it; before it runs, its frames are destroyed.
        engine::task_record& l = *loser.detail_record();
        REQUIRE(l.wait()->state == engine::wait_state::ready);
        l.flags |= engine::scope::abandoned;
        l.loop->finish(l);
        CHECK(ends.size() == 3);
        std::string order;
        while (auto r = co_await ends.next())
            order += std::to_string(r->value());
        CHECK(order == "123");
    });
}

TEST_CASE("AC-7 several wait at once: each gets another result, first come first served, the rest the end") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 2, 3});
        auto ends = as_completed(all);
        std::string log;
        const auto consume = [](completion_stream<task_handle<int>>* e, std::string* l, char me) -> task<> {
            auto r = co_await e->next();
            *l += me;
            *l += r.has_value() ? std::to_string(r->value()) : "-";
        };
        std::vector<any_task_handle> consumers;
        for (char c = 'a'; c < 'f'; ++c)
            consumers.push_back(spawn(consume, &ends, &log, c));
        auto w = co_await wait(consumers);
        CHECK(log == "a1b2c3d-e-");
    });
}

TEST_CASE("AC-9 one handle instead of a range does not compile; an empty handle and a foreign loop are refused") {
    static_assert(!is_taken<task_handle<int>>);
    static_assert(is_taken<std::vector<task_handle<int>>>);
    eddy_test::run([]() -> task<> {
        CHECK_THROWS_AS(static_cast<void>(as_completed(std::vector<any_task_handle>(1))), std::logic_error);
        auto none = as_completed(std::vector<any_task_handle>());
        auto r = co_await none.next();
        CHECK(!r.has_value());
        testing::virtual_loop other;
        {
            std::vector<any_task_handle> foreign{other.spawn(give(1, 1))};
            CHECK_THROWS_AS(static_cast<void>(as_completed(foreign)), std::logic_error);
        }
        other.advance(1s);
    });
}

TEST_CASE("AC-10 the work for n tasks grows as n, and what has ended comes in the order given") {
    eddy_test::run([]() -> task<> {
        // Ticks, resumptions and blocks: none of them grows with the square.
        const auto cost = [](int n) -> task<std::uint64_t> {
            std::vector<task_handle<int>> all;
            for (int i = 0; i < n; ++i)
                all.push_back(spawn(give(i, n - i)));
            auto ends = as_completed(all);
            const auto before = loop::current().statistics().resumptions;
            int seen = 0;
            while (auto r = co_await ends.next())
                seen += r->value() == n - 1 - seen ? 1 : 0;
            CHECK(seen == n);
            // All of them ended already: as they were given.
            auto again = as_completed(all);
            for (int i = 0; i < n; ++i) {
                auto r = co_await again.next();
                CHECK(r->value() == i);
            }
            co_return loop::current().statistics().resumptions - before;
        };
        const auto small = co_await cost(100);
        const auto large = co_await cost(1000);
        CHECK(large < small * 15);
    });
}

TEST_CASE("a next() in progress outlives its stream") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1});
        auto ends = std::make_unique<completion_stream<task_handle<int>>>(all);
        int got = 0;
        const auto consume = [&]() -> task<> {
            auto op = ends->next();
            auto r = co_await op;
            got = r->value();
        };
        auto h = spawn(consume);
        co_await yield();
        ends.reset();
        co_await h;
        CHECK(got == 1);
    });
}

TEST_CASE("as_completed disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        std::vector<any_task_handle> all;
        const at_end cancels([&] {
            for (auto& h : all)
                h.cancel();
        });
        const auto work = [](counted c, int ms) -> task<int> {
            co_await sleep(1ms * ms);
            co_return c.value;
        };
        for (int i = 0; i < 4; ++i)
            all.push_back(spawn(work, counted(i), i / 2));
        auto ends = as_completed(all);
        auto raced = race(ends.next(), ends.next(), sleep(5ms));
        auto first = co_await raced;
        CHECK(first.index < 2);
        auto limited = timeout(1s, ends.next());
        auto second = co_await limited;
        while (auto r = co_await ends.next())
            CHECK(r->handle().done());
    };
    sweep(program, 10);
}
