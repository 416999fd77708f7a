// WF, TO and the order of precedence D6 of docs/semantics.md.
#include <eddy/flow/timeout.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>

#include <flow/children.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

task<int> give_after(int v, duration d) {
    co_await sleep(d);
    co_return v;
}
task<> boom_after(duration d) {
    co_await sleep(d);
    throw std::runtime_error("boom");
}
// Swallows the cancellation and gives a value.
task<int> stubborn(int v) {
    try {
        co_await sleep(1h);
    } catch (const cancelled&) {
    }
    co_return v;
}
duration since(clock::time_point t) { return clock::now() - t; }
std::size_t timers() { return loop::current().statistics().timers; }

} // namespace

TEST_CASE("WF-1 in time: the value or the exception; no limit: a plain await; WF-11 TO-2 TO-3 the timer is gone") {
    eddy_test::run([]() -> task<> {
        const int v = co_await timeout(10ms, give_after(3, 5ms));
        CHECK(v == 3);
        CHECK(timers() == 0);
        const auto e = co_await error_of(timeout(10ms, boom_after(5ms)));
        CHECK(e == "boom");
        const int w = co_await timeout(duration::max(), give_after(4, 1h));
        CHECK(w == 4);
        CHECK(timers() == 0);
        co_await timeout(1s, yield());
        CHECK(timers() == 0);
    });
}

TEST_CASE("WF-2 TO-1 the time runs out: the inner task is cancelled, waited for, then timeout_error") {
    eddy_test::run([]() -> task<> {
        bool cleaned = false;
        const auto inner = [](bool* c) -> task<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled& x) {
                CHECK(x.reason().kind() == cancel_kind::timeout);
                *c = true;
            }
            co_await shield(sleep(5ms));
            *c = *c && true;
            throw cancelled();
        };
        const auto began = clock::now();
        const auto e = co_await error_of(timeout(10ms, inner(&cleaned)));
        CHECK(e == "eddy: the time limit of 0.01 s ran out");
        CHECK(cleaned);
        CHECK(since(began) == 15ms);
        CHECK(timers() == 0);
        const auto at = co_await error_of(timeout_at(clock::now() + 1ms, sleep(1s)));
        CHECK(at == "eddy: the time limit of an absolute deadline ran out");
    });
}

TEST_CASE("WF-3 TO-4 a zero or past limit: the body starts, its first checkpoint throws, try and values pass") {
    eddy_test::run([]() -> task<> {
        int reached = 0;
        const auto body = [](int* r) -> task<int> {
            *r = 1;
            co_await yield();
            *r = 2;
            co_return 1;
        };
        const auto e = co_await error_of(timeout(0ms, body(&reached)));
        CHECK(contains(e, "ran out"));
        CHECK(reached == 1);
        reached = 0;
        const auto past = co_await error_of(timeout_at(clock::now() - 1s, body(&reached)));
        CHECK(contains(past, "ran out"));
        CHECK(reached == 1);
        const auto negative = co_await error_of(timeout(-1h, body(&reached)));
        CHECK(contains(negative, "ran out"));
        const int v = co_await timeout(0ms, []() -> task<int> { co_return 5; }());
        CHECK(v == 5);
        auto done = spawn([]() -> task<int> { co_return 1; });
        co_await done;
        const auto handle = co_await error_of(timeout(0ms, done)); // a handle is a checkpoint
        CHECK(contains(handle, "ran out"));
    });
}

TEST_CASE("WF-4 TO-5 another error while it is cancelled wins over timeout_error") {
    eddy_test::run([]() -> task<> {
        const auto inner = []() -> task<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
                throw std::runtime_error("cleanup");
            }
        };
        const auto e = co_await error_of(timeout(1ms, inner()));
        CHECK(e == "cleanup");
        const auto same_tick = co_await error_of(timeout(5ms, boom_after(5ms)));
        CHECK(same_tick == "boom");
    });
}

TEST_CASE("WF-5 WF-8 a value that arrived is never thrown away") {
    eddy_test::run([]() -> task<> {
        const int v = co_await timeout(1ms, stubborn(7));
        CHECK(v == 7);
        const int same_tick = co_await timeout(5ms, give_after(8, 5ms));
        CHECK(same_tick == 8);
        auto m = co_await move_on_after(1ms, stubborn(9));
        REQUIRE(m.has_value());
        CHECK(*m == 9);
    });
}

TEST_CASE("WF-6 TO-6 cancelled from outside: the inner task is joined, then `cancelled` goes on") {
    eddy_test::run([]() -> task<> {
        bool cleaned = false;
        auto h = spawn(
            [](bool* c) -> task<> {
                co_await timeout(1h, [](bool* inner) -> task<> {
                    try {
                        co_await sleep(2h);
                    } catch (const cancelled& x) {
                        CHECK(x.reason().kind() == cancel_kind::requested);
                    }
                    co_await shield(sleep(1ms));
                    *inner = true;
                    co_await checkpoint();
                }(c));
            },
            &cleaned);
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
        CHECK(cleaned);
        CHECK(timers() == 0);
    });
}

TEST_CASE("WF-7 an outer cancel in the tick of the completion is not lost") {
    eddy_test::run([]() -> task<> {
        int got = 0;
        bool went_on = false;
        task_handle<> h = spawn(
            [](int* g, bool* w) -> task<> {
                *g = co_await timeout(1h, give_after(3, 5ms));
                co_await checkpoint();
                *w = true;
            },
            &got, &went_on);
        loop::current().call_later(5ms, [&] { h.cancel(); });
        auto o = co_await settle(h);
        CHECK(got == 3);
        CHECK(!went_on);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("WF-9 TO-10 an outer cancel outranks one's own deadline, whichever came first in the tick") {
    eddy_test::run([]() -> task<> {
        for (const bool cancel_first : {true, false}) {
            task_handle<std::string> h;
            if (cancel_first) loop::current().call_later(5ms, [&] { h.cancel(); });
            std::string seen;
            h = spawn(
                [](std::string* s) -> task<std::string> {
                    try {
                        co_await timeout(5ms, sleep(1h));
                    } catch (const cancelled&) {
                        *s = "cancelled";
                        throw;
                    } catch (const timeout_error&) {
                        *s = "timeout";
                    }
                    co_return "";
                },
                &seen);
            if (!cancel_first) {
                co_await yield();
                loop::current().call_later(5ms, [&] { h.cancel(); });
            }
            auto o = co_await settle(h);
            CHECK(seen == "cancelled");
            CHECK(h.was_cancelled());
        }
        std::string seen;
        auto pending = spawn(
            [](std::string* s) -> task<> {
                this_task::handle().cancel();
                *s = co_await error_of(timeout(0ms, sleep(1s)));
                co_await checkpoint();
            },
            &seen);
        auto o = co_await settle(pending);
        CHECK(seen == "cancelled");
        CHECK(pending.was_cancelled());
    });
}

TEST_CASE("D6 outer cancel, own deadline, error and value in one tick, in every order") {
    // A value outranks all, an error outranks a cancel, an outer cancel outranks the own deadline.
    enum class what { value, error, nothing };
    for (const what inner : {what::value, what::error, what::nothing})
        for (const bool outer : {false, true})
            for (const int first : {0, 1}) {
                CAPTURE(static_cast<int>(inner));
                CAPTURE(outer);
                CAPTURE(first);
                const std::string got = eddy_test::run([&]() -> task<std::string> {
                    task_handle<> h;
                    std::string result = "?";
                    if (outer && first == 0) loop::current().call_later(5ms, [&] { h.cancel(); });
                    const auto body = [&]() -> task<int> {
                        const duration d = inner == what::nothing ? duration(1h) : duration(5ms);
                        co_await sleep(d);
                        if (inner == what::error) throw std::runtime_error("boom");
                        co_return 1;
                    };
                    const auto main = [&]() -> task<> {
                        auto op = settle(timeout(5ms, body));
                        auto o = co_await op;
                        result = o.has_value() ? "value" : o.is_cancelled() ? "cancelled" : text_of(o.error());
                    };
                    h = spawn(main);
                    co_await yield();
                    if (outer && first == 1) loop::current().call_later(5ms, [&] { h.cancel(); });
                    co_await h;
                    co_return result;
                });
                if (inner == what::value) {
                    CHECK(got == "value");
                } else if (inner == what::error) {
                    CHECK(got == "boom");
                } else if (outer) {
                    CHECK(got == "cancelled");
                } else {
                    CHECK(contains(got, "ran out"));
                }
            }
}

TEST_CASE("TO-7 after timeout_error the task is not cancelled; TO-9 a limit works in the cleanup of another") {
    eddy_test::run([]() -> task<> {
        for (int i = 0; i < 3; ++i) {
            const auto e = co_await error_of(timeout(1ms, sleep(1s)));
            CHECK(contains(e, "ran out"));
            co_await checkpoint();
            CHECK(!this_task::cancel_requested());
        }
        std::string inside;
        const auto body = [](std::string* s) -> task<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
            }
            *s = co_await error_of(shield(timeout(3ms, sleep(1h))));
            co_await checkpoint();
        };
        const auto e = co_await error_of(timeout(1ms, body(&inside)));
        CHECK(contains(inside, "0.003 s ran out"));
        CHECK(contains(e, "0.001 s ran out"));
    });
}

TEST_CASE("TO-8 nested limits: the same deadline is the outermost's; the inner first, the outer still counts") {
    eddy_test::run([]() -> task<> {
        std::string inner;
        const auto nested = [](std::string* i, duration first, duration second) -> task<> {
            const auto middle = [](std::string* s, duration d) -> task<> {
                *s = co_await error_of(timeout(d, sleep(1h)));
                co_await sleep(1h);
            };
            co_await timeout(second, middle(i, first));
        };
        auto e = co_await error_of(nested(&inner, 5ms, 5ms));
        CHECK(inner == "cancelled");
        CHECK(contains(e, "0.005 s ran out"));
        const auto began = clock::now();
        e = co_await error_of(nested(&inner, 5ms, 8ms));
        CHECK(contains(inner, "0.005 s ran out"));
        CHECK(contains(e, "0.008 s ran out"));
        CHECK(since(began) == 8ms);
        // Both deadlines pass while the loop is busy.
        const auto busy = [](std::string* s) -> task<> {
            const auto blocks = []() -> task<> {
                static_cast<testing::virtual_loop&>(loop::current()).advance(1s);
                co_await sleep(1h);
            };
            *s = co_await error_of(timeout(5ms, blocks()));
            co_await checkpoint();
        };
        e = co_await error_of(timeout(8ms, busy(&inner)));
        CHECK(inner == "cancelled");
        CHECK(contains(e, "0.008 s ran out"));
    });
}

TEST_CASE("TO-11 TO-12 a limit is awaited once; a scope's deadline moves while it is open") {
    eddy_test::run([]() -> task<> {
        auto op = timeout(1s, give_after(1, 1ms));
        const int v = co_await op;
        CHECK(v == 1);
        bool refused = false;
        try {
            const int again = co_await op;
            CHECK(again == -1);
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    });
}

TEST_CASE("TO-13 around a group: the children are joined first, their clean-up errors surface") {
    eddy_test::run([]() -> task<> {
        int joined = 0;
        const auto body = [&](task_group& g) -> task<> {
            for (int i = 0; i < 3; ++i)
                g.spawn(
                    [](int* j) -> task<> {
                        try {
                            co_await sleep(1h);
                        } catch (const cancelled&) {
                            ++*j;
                            throw;
                        }
                    },
                    &joined);
            co_return;
        };
        auto e = co_await error_of(timeout(1ms, with_task_group(body)));
        CHECK(contains(e, "ran out"));
        CHECK(joined == 3);
        const auto bad = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> {
                try {
                    co_await sleep(1h);
                } catch (const cancelled&) {
                }
                throw std::runtime_error("cleanup");
            });
            co_return;
        };
        e = co_await error_of(timeout(1ms, with_task_group(bad)));
        CHECK(e == "cleanup");
    });
}

TEST_CASE("TO-14 the limit counts from the await, not from the making; an own cancel is no timeout") {
    eddy_test::run([]() -> task<> {
        auto op = timeout(5ms, sleep(4ms));
        co_await sleep(10ms);
        co_await op;
        const auto body = [](cancel_scope& s) -> task<> {
            s.cancel();
            const auto e = co_await error_of(timeout(1h, sleep(2h)));
            CHECK(e == "cancelled");
        };
        const bool whole = co_await with_cancel_scope(body);
        CHECK(whole);
    });
}

TEST_CASE("TO-15 X-9 a limit is kept around a loop of operations that are always ready") {
    loop l;
    const auto main = []() -> task<std::string> {
        const auto busy = []() -> task<> {
            for (;;)
                co_await checkpoint();
        };
        co_return co_await error_of(timeout(3ms, busy()));
    };
    CHECK(contains(l.run(main()), "ran out"));
    const auto yielding = []() -> task<std::string> {
        const auto busy = []() -> task<> {
            for (;;)
                co_await yield();
        };
        co_return co_await error_of(timeout(3ms, busy()));
    };
    CHECK(contains(l.run(yielding()), "ran out"));
}

TEST_CASE("X-9 a task that is always ready gives way after its budget") {
    eddy_test::run([]() -> task<> {
        int others = 0;
        auto h = spawn(
            [](int* o) -> task<> {
                for (;;) {
                    ++*o;
                    co_await yield();
                }
            },
            &others);
        for (int i = 0; i < 1280; ++i)
            co_await checkpoint();
        CHECK(others >= 10);
        CHECK(others <= 11);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(!o.has_value());
    });
}

TEST_CASE("X-3 10^4 limits that ran out leave nothing behind") {
    eddy_test::run([]() -> task<> {
        for (int i = 0; i < 10'000; ++i) {
            const bool done = co_await move_on_after(1ms, sleep_forever());
            CHECK(!done);
        }
        const auto s = loop::current().statistics();
        CHECK(s.timers == 0);
        CHECK(s.waiters == 0);
    });
}

TEST_CASE("move_on_after: void, values, move-only values and references") {
    eddy_test::run([]() -> task<> {
        static int place = 3;
        const bool in_time = co_await move_on_after(5ms, sleep(1ms));
        CHECK(in_time);
        const bool late = co_await move_on_after(1ms, sleep(5ms));
        CHECK(!late);
        auto value = co_await move_on_after(5ms, give_after(2, 1ms));
        CHECK(value.value() == 2);
        auto none = co_await move_on_at(clock::now() + 1ms, give_after(2, 5ms));
        CHECK(!none.has_value());
        auto boxed =
            co_await move_on_after(5ms, []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(1); });
        CHECK(**boxed == 1);
        auto ref = co_await move_on_after(5ms, []() -> task<int&> { co_return place; });
        CHECK(&ref->get() == &place);
        const auto e = co_await error_of(move_on_after(5ms, boom_after(1ms)));
        CHECK(e == "boom");
        // An outer cancel goes on.
        const auto body = [](cancel_scope& s) -> task<> {
            s.cancel();
            const bool x = co_await move_on_after(1h, sleep(2h));
            CHECK(!x);
            CHECK(false);
        };
        const bool whole = co_await with_cancel_scope(body);
        CHECK(!whole);
    });
}
