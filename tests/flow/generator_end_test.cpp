// How a generator ends before its body does: destroyed, closed, in use.
#include <eddy/flow/generator.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

#include <flow/children.hpp>
#include <support/check.hpp>
#include <support/run.hpp>
#include <support/stderr.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("leaving early runs destructors, at once") {
    eddy_test::run([]() -> task<> {
        bool ended = false;
        {
            auto gen = slow_count(3, &ended);
            auto v = co_await gen.next();
            CHECK(*v == 1);
            CHECK(!ended);
        }
        CHECK(ended);
        ended = false;
        {
            auto unstarted = slow_count(3, &ended);
        }
        CHECK(!ended); // its body never began
        auto a = slow_count(3, &ended);
        co_await a.next();
        a = count_to(1);
        CHECK(ended);
        auto w = co_await a.next();
        CHECK(*w == 1);
    });
}

TEST_CASE("close() unwinds the body where it stands, and awaits what it awaits on the way") {
    eddy_test::run([]() -> task<> {
        std::string log;
        const auto body = [](std::string* l) -> generator<int> {
            std::exception_ptr why;
            try {
                co_yield 1;
                *l += "went on ";
            } catch (const cancelled& c) {
                *l += c.reason().text() + "; ";
                why = std::current_exception();
            }
            co_await sleep(5ms);
            *l += "cleaned";
            if (why) std::rethrow_exception(why);
        };
        {
            auto gen = body(&log);
            co_await gen.next();
            const auto began = clock::now();
            co_await gen.close();
            CHECK(clock::now() - began == 5ms);
            CHECK(log == "the generator was closed; cleaned");
            auto w = co_await gen.next();
            CHECK(!w.has_value());
            co_await gen.close(); // idempotent
        }
        // Not started, ended, moved from: nothing to do.
        log.clear();
        auto fresh = body(&log);
        co_await fresh.close();
        CHECK(log.empty());
        auto done = count_to(0);
        co_await done.next();
        co_await done.close();
        // Never awaited: destructors only.
        bool ended = false;
        auto counting = slow_count(3, &ended);
        co_await counting.next();
        {
            auto closing = counting.close();
            CHECK(!ended);
        }
        CHECK(ended);
        auto after = co_await counting.next();
        CHECK(!after.has_value());
    });
}

TEST_CASE(
    "close(): the body's exception comes out; going on to co_yield is misuse; cancelled from outside it ends so") {
    eddy_test::run([]() -> task<> {
        const auto fails = []() -> generator<int> {
            try {
                co_yield 1;
            } catch (const cancelled&) {
                throw std::runtime_error("flush failed");
            }
        };
        auto a = fails();
        co_await a.next();
        auto o = co_await settle(a.close());
        CHECK(text_of(o.error()) == "flush failed");
        const auto stubborn = []() -> generator<counted> {
            for (;;) {
                try {
                    co_yield counted(1);
                } catch (const cancelled&) {
                }
            }
        };
        auto b = stubborn();
        auto w = co_await b.next();
        auto p = co_await settle(b.close());
        CHECK(holds<std::logic_error>(p.error()));
        CHECK(contains(text_of(p.error()), "went on to co_yield"));
        const auto slow = []() -> generator<int> {
            try {
                co_yield 1;
            } catch (const cancelled&) {
            }
            co_await sleep(1h);
        };
        auto c = slow();
        co_await c.next();
        auto q = co_await settle(timeout(1ms, c.close()));
        CHECK(holds<timeout_error>(q.error()));
        co_await checkpoint();
    });
}

TEST_CASE("with(): the generator is closed, shielded, on every way out") {
    eddy_test::run([]() -> task<> {
        std::string log;
        const auto lines = [](std::string* l) -> generator<int> {
            try {
                for (int i = 0;; ++i)
                    co_yield i;
            } catch (const cancelled&) {
            }
            co_await sleep(1ms);
            *l += "closed ";
        };
        const auto first_two = [](generator<int>& g) -> task<int> {
            auto a = co_await g.next();
            auto b = co_await g.next();
            co_return *a + *b;
        };
        auto op = with(lines(&log), first_two);
        const int sum = co_await op;
        CHECK(sum == 1);
        CHECK(log == "closed ");
        const auto waits = [](generator<int>& g) -> task<> {
            co_await g.next();
            co_await sleep_forever();
        };
        auto limited = move_on_after(1ms, with(lines(&log), waits));
        const bool whole = co_await limited;
        CHECK(!whole);
        CHECK(log == "closed closed ");
    });
}

TEST_CASE("destroyed while another task awaits its next(): a message, and the value is delivered") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        bool ended = false;
        auto gen = std::make_unique<generator<int>>(slow_count(5, &ended));
        int got = 0;
        const auto ask = [](generator<int>* g, int* v) -> task<> {
            auto x = co_await g->next();
            *v = x.value_or(-1);
        };
        auto h = spawn(ask, gen.get(), &got);
        co_await yield();
        gen.reset();
        CHECK(!ended);
        co_await h;
        CHECK(got == 1);
        CHECK(ended);
    });
    CHECK(contains(err.text(), "a generator was destroyed while its next() was awaited"));
}
