#include <eddy/flow/generator.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

#include <flow/children.hpp>
#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>
#include <sstream>

using namespace eddy;
using namespace eddy_test;

namespace {

generator<counted> counted_values(counted first) {
    co_yield std::move(first);
    for (int i = 0; i < 3; ++i) {
        counted c(i);
        co_await sleep(1ms);
        co_yield std::move(c);
        co_await yield();
    }
}

} // namespace

TEST_CASE("values come in order, then nothing, for ever") {
    eddy_test::run([]() -> task<> {
        auto gen = count_to(3);
        int sum = 0;
        while (auto v = co_await gen.next())
            sum = sum * 10 + *v;
        CHECK(sum == 123);
        for (int i = 0; i < 3; ++i) {
            auto v = co_await gen.next();
            CHECK(!v.has_value());
        }
        auto none = count_to(0);
        auto v = co_await none.next();
        CHECK(!v.has_value());
        static_assert(std::is_same_v<decltype(v), std::optional<int>>);
        static_assert(!std::is_copy_constructible_v<generator<int>> &&
                      std::is_nothrow_move_constructible_v<generator<int>>);
    });
}

TEST_CASE("the body awaits whatever a task may, and runs only while it is asked") {
    eddy_test::run([]() -> task<> {
        int steps = 0;
        const auto body = [](int* n) -> generator<int> {
            ++*n;
            co_await sleep(2ms);
            co_yield 1;
            ++*n;
            auto both = gather(sleep(1ms), sleep(3ms));
            co_await both;
            const auto group = [](task_group& g) -> task<int> {
                g.spawn([]() -> task<> { co_await sleep(4ms); });
                co_return 2;
            };
            auto op = with_task_group(group);
            const int v = co_await op;
            co_yield v;
            ++*n;
        };
        auto gen = body(&steps);
        co_await sleep(1ms);
        CHECK(steps == 0);
        const auto began = clock::now();
        auto a = co_await gen.next();
        CHECK(*a == 1);
        CHECK(clock::now() - began == 2ms);
        co_await sleep(1h);
        CHECK(steps == 1);
        auto b = co_await gen.next();
        CHECK(*b == 2);
        CHECK(clock::now() - began == 1h + 9ms);
        auto c = co_await gen.next();
        CHECK(!c.has_value());
        CHECK(steps == 3);
    });
}

TEST_CASE("move-only values, copies of lvalues, conversions; no value is copied twice or leaked") {
    eddy_test::run([]() -> task<> {
        auto gen = counted_values(counted(9));
        std::string seen;
        while (auto v = co_await gen.next())
            seen += std::to_string(v->value);
        CHECK(seen == "9012");
        const auto words = []() -> generator<std::string> {
            const std::string mine = "one";
            co_yield mine;
            co_yield "two";
            CHECK(mine == "one");
        };
        auto text = words();
        auto a = co_await text.next();
        auto b = co_await text.next();
        CHECK(*a + *b == "onetwo");
        const auto boxes = []() -> generator<std::unique_ptr<int>> { co_yield std::make_unique<int>(3); };
        auto box = boxes();
        auto p = co_await box.next();
        CHECK(**p == 3);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("an exception of the body comes out of next(), and the generator has ended") {
    eddy_test::run([]() -> task<> {
        const auto body = [](bool* gone) -> generator<int> {
            const at_end says([gone] { *gone = true; });
            co_yield 1;
            co_await sleep(1ms);
            throw std::runtime_error("broken");
        };
        bool gone = false;
        auto gen = body(&gone);
        auto a = co_await gen.next();
        CHECK(*a == 1);
        auto o = co_await settle(gen.next());
        CHECK(text_of(o.error()) == "broken");
        CHECK(gone);
        auto b = co_await gen.next();
        CHECK(!b.has_value());
        // What copying a value throws comes out of its co_yield.
        struct picky {
            picky() = default;
            picky(const picky&) { throw std::runtime_error("no copies"); }
            picky(picky&&) noexcept {}
        };
        const auto copies = []() -> generator<picky> {
            const picky p;
            bool thrown = false;
            try {
                co_yield p;
            } catch (const std::runtime_error&) {
                thrown = true;
            }
            if (thrown) co_yield picky();
        };
        auto pickies = copies();
        auto c = co_await pickies.next();
        CHECK(c.has_value());
    });
}

TEST_CASE("a million values that are there at once need no stack") {
    eddy_test::run([]() -> task<> {
        auto gen = count_to(1'000'000);
        long sum = 0;
        while (auto v = co_await gen.next())
            sum += *v;
        CHECK(sum == 500'000'500'000L);
    });
}

TEST_CASE("the body runs in the scopes of whoever awaits next(): cancelled inside, it has ended") {
    eddy_test::run([]() -> task<> {
        bool ended = false;
        auto gen = slow_count(3, &ended);
        auto a = co_await move_on_after(10ms, gen.next());
        CHECK(a.value().value() == 1);
        CHECK(!ended);
        auto b = co_await move_on_after(100us, gen.next());
        CHECK(!b.has_value());
        CHECK(ended);
        auto c = co_await gen.next();
        CHECK(!c.has_value());
        co_await checkpoint();
        // The task that asks is cancelled.
        bool unwound = false;
        auto other = slow_count(3, &unwound);
        const auto ask = [](generator<int>& g) -> task<int> {
            auto v = co_await g.next();
            co_return v.value_or(0);
        };
        auto h = spawn(ask, std::ref(other));
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
        CHECK(unwound);
        auto d = co_await other.next();
        CHECK(!d.has_value());
        // A loser of a race is cancelled, too.
        auto third = slow_count(3);
        auto r = co_await race(third.next(), sleep(100us));
        CHECK(r.index == 1);
        auto e = co_await third.next();
        CHECK(!e.has_value());
    });
}

TEST_CASE("next() is no checkpoint by itself; a body that swallows its cancellation goes on to its value") {
    eddy_test::run([]() -> task<> {
        auto gen = count_to(2);
        const auto stubborn = []() -> generator<int> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
            }
            co_yield 7;
        };
        auto late = stubborn();
        int sum = 0;
        const auto ask = [&]() -> task<> {
            this_task::handle().cancel();
            auto a = co_await gen.next();
            auto b = co_await late.next();
            sum = a.value_or(0) + b.value_or(0);
            co_await checkpoint();
            sum = 0;
        };
        auto h = spawn(ask);
        auto o = co_await settle(h);
        CHECK(sum == 8);
        CHECK(h.was_cancelled());
        auto c = co_await gen.next();
        CHECK(*c == 2);
    });
}

TEST_CASE("several tasks take turns: the body runs in the scopes of each of them") {
    eddy_test::run([]() -> task<> {
        const auto ids = []() -> generator<std::uint64_t> {
            for (;;) {
                co_await yield();
                co_yield this_task::id();
            }
        };
        auto gen = ids();
        const auto ask = [](generator<std::uint64_t>& g) -> task<bool> {
            auto v = co_await g.next();
            co_return *v == this_task::id();
        };
        for (int i = 0; i < 3; ++i) {
            auto h = spawn(ask, std::ref(gen));
            const bool mine = co_await h;
            CHECK(mine);
        }
    });
}

TEST_CASE("one next() at a time; awaited once; movable until then") {
    eddy_test::run([]() -> task<> {
        auto gen = slow_count(2);
        const auto ask = [](generator<int>& g) -> task<int> {
            auto v = co_await g.next();
            co_return *v;
        };
        auto h = spawn(ask, std::ref(gen));
        co_await yield();
        auto busy = co_await settle(gen.next());
        CHECK(contains(text_of(busy.error()), "another next() of the generator is in progress"));
        CHECK_THROWS_AS(static_cast<void>(gen.close()), std::logic_error);
        auto moved = std::move(gen); // in the middle: the operation belongs to the body
        const int a = co_await h;
        CHECK(a == 1);
        auto op = moved.next();
        auto op2 = std::move(op);
        auto b = co_await op2;
        CHECK(*b == 2);
        CHECK_THROWS_AS((void)[&] { auto again = std::move(op2); }(), std::logic_error);
        auto gone = co_await gen.next(); // NOLINT: moved from on purpose
        CHECK(!gone.has_value());
        // A body that asks itself.
        generator<int>* self = nullptr;
        const auto snake = [](generator<int>** me) -> generator<int> {
            auto v = co_await (*me)->next();
            co_yield v.value_or(0);
        };
        auto bites = snake(&self);
        self = &bites;
        auto o = co_await settle(bites.next());
        CHECK(holds<std::logic_error>(o.error()));
    });
}

TEST_CASE("a dump shows the lines through the body") {
    eddy_test::run([]() -> task<> {
        auto gen = slow_count(1);
        const auto ask = [](generator<int>& g) -> task<> { co_await g.next(); };
        auto h = spawn(ask, std::ref(gen));
        co_await yield();
        std::ostringstream out;
        loop::current().dump_tasks(out);
        CHECK(contains(out.str(), "sleep"));
        CHECK(contains(out.str(), "at children.hpp:"));       // the body
        CHECK(contains(out.str(), "at generator_test.cpp:")); // who asks
        co_await h;
    });
}

TEST_CASE("disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        auto gen = counted_values(counted(5));
        int sum = 0;
        while (auto v = co_await gen.next())
            sum += v->value;
        CHECK(sum == 8);
        auto limited = counted_values(counted(5));
        auto first = co_await timeout(5ms, limited.next());
        auto raced = race(limited.next(), sleep(5ms));
        auto r = co_await raced;
        const auto body = [](generator<counted>& g) -> task<> {
            while (auto v = co_await g.next())
                co_await checkpoint();
        };
        auto whole = with(counted_values(counted(1)), body);
        co_await whole;
        co_await limited.close();
    };
    sweep(program, 15);
}
