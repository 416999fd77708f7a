// Cancel scopes and shields: CS and SH of docs/semantics.md.
#include <eddy/flow/cancel_scope.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {
testing::virtual_loop& here() { return static_cast<testing::virtual_loop&>(loop::current()); }
} // namespace

TEST_CASE("CS-1 CS-2 the exception travels to the outermost cancelled scope; an uncancelled one swallows nothing") {
    eddy_test::run([]() -> task<> {
        std::string path;
        const auto outer = [&](cancel_scope& a) -> task<> {
            const auto middle = [&](cancel_scope&) -> task<> {
                const auto inner = [&](cancel_scope& c) -> task<> {
                    c.cancel();
                    a.cancel(cancel_reason(cancel_kind::requested, "outer"));
                    try {
                        co_await sleep(1h);
                    } catch (const cancelled& x) {
                        CHECK(x.reason().text() == "outer");
                        throw;
                    }
                };
                try {
                    const bool done = co_await with_cancel_scope(inner);
                    CHECK(!done);
                    path += "inner caught,";
                } catch (const cancelled&) {
                    path += "through inner,";
                    throw;
                }
            };
            try {
                const bool done = co_await with_cancel_scope(middle);
                CHECK(!done);
                path += "middle caught,";
            } catch (const cancelled&) {
                path += "through middle,";
                throw;
            }
        };
        const bool done = co_await with_cancel_scope(outer);
        CHECK(!done);
        CHECK(path == "through inner,through middle,");
        co_await checkpoint();
    });
}

TEST_CASE("CS-3 cancelled, but left without a checkpoint: nothing is thrown and the value is kept") {
    eddy_test::run([]() -> task<> {
        const auto body = [](cancel_scope& s) -> task<int> {
            s.cancel();
            CHECK(s.cancelled());
            co_return 4;
        };
        const auto v = co_await with_cancel_scope(body);
        CHECK(v == 4);
        co_await checkpoint();
    });
}

TEST_CASE("CS-4 CS-11 a deadline in the past: the first checkpoint throws, cancelled() is true and stays") {
    eddy_test::run([]() -> task<> {
        bool reached = false;
        const auto body = [&](cancel_scope& s) -> task<> {
            s.set_deadline(clock::now() - 1ms);
            CHECK(s.cancelled());
            s.set_deadline(clock::time_point::max());
            CHECK(s.cancelled());
            CHECK(s.reason()->kind() == cancel_kind::timeout);
            co_await checkpoint();
            reached = true;
        };
        const bool done = co_await with_cancel_scope(body);
        CHECK(!done);
        CHECK(!reached);
    });
}

TEST_CASE(
    "CS-5 SH-8 a shield keeps outer cancels out, not its own limit, nor inner ones; they are delivered after it") {
    eddy_test::run([]() -> task<> {
        bool whole = false;
        std::string own;
        bool after = false;
        auto h = spawn(
            [](bool* w, std::string* o, bool* a) -> task<> {
                co_await shield([](bool* x) -> task<> {
                    co_await sleep(10ms);
                    *x = true;
                }(w));
                auto limited = settle(shield(timeout(1ms, sleep(1h))));
                auto out = co_await limited;
                *o = text_of(out.error());
                co_await checkpoint();
                *a = true;
            },
            &whole, &own, &after);
        co_await sleep(1ms);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(whole);
        CHECK(contains(own, "ran out"));
        CHECK(!after);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("CS-6 after a shielded inner scope the outer cancellation is delivered again") {
    eddy_test::run([]() -> task<> {
        int delivered = 0;
        const auto body = [&](cancel_scope& s) -> task<> {
            s.cancel();
            for (int i = 0; i < 3; ++i) {
                try {
                    co_await checkpoint();
                } catch (const cancelled&) {
                    ++delivered;
                }
                co_await shield(sleep(1ms));
                const auto nested = []() -> task<> { co_await shield(yield()); };
                co_await shield(nested);
            }
            co_await checkpoint();
        };
        const bool done = co_await with_cancel_scope(body);
        CHECK(!done);
        CHECK(delivered == 3);
    });
}

TEST_CASE("CS-7 a shielded host, a cancelled group inside: the children are cancelled") {
    eddy_test::run([]() -> task<> {
        int cancelled_children = 0;
        const auto group = [&](task_group& g) -> task<> {
            for (int i = 0; i < 2; ++i)
                g.spawn(
                    [](int* n) -> task<> {
                        try {
                            co_await sleep_forever();
                        } catch (const cancelled&) {
                            ++*n;
                            throw;
                        }
                    },
                    &cancelled_children);
            co_await yield();
            g.cancel();
        };
        auto op = shield(with_task_group(group));
        co_await op;
        CHECK(cancelled_children == 2);
    });
}

TEST_CASE("CS-8 TO-11 a deadline moves both ways; a passed one is seen at a bare checkpoint") {
    eddy_test::run([]() -> task<> {
        const auto began = clock::now();
        const auto later = [&](cancel_scope& s) -> task<> {
            s.set_deadline(began + 5ms);
            CHECK(s.deadline() == began + 5ms);
            s.set_deadline(began + 20ms);
            co_await sleep(10ms);
            s.set_deadline(began + 12ms);
            co_await sleep(1h);
        };
        const bool done = co_await with_cancel_scope(later);
        CHECK(!done);
        CHECK(clock::now() - began == 12ms);
        const auto off = [](cancel_scope& s) -> task<> {
            s.set_deadline(clock::now() + 1ms);
            s.set_deadline(clock::time_point::max());
            co_await sleep(10ms);
        };
        const bool whole = co_await with_cancel_scope(off);
        CHECK(whole);
        CHECK(loop::current().statistics().timers == 0);
        const auto bare = [](cancel_scope& s) -> task<> {
            s.set_deadline(clock::now() + 1ms);
            here().advance(1s);
            for (int i = 0; i < 100'000; ++i)
                co_await checkpoint();
            CHECK(false);
        };
        const bool bare_done = co_await with_cancel_scope(bare);
        CHECK(!bare_done);
    });
}

TEST_CASE("CS-12 one cancel reaches all descendants; cancelling a child leaves the host alone") {
    eddy_test::run([]() -> task<> {
        int reached = 0;
        const auto group = [&](task_group& g) -> task<> {
            struct tree {
                static task<> grow(int* n, int depth) {
                    const auto inner = [n, depth](task_group& below) -> task<> {
                        if (depth > 0)
                            for (int i = 0; i < 2; ++i)
                                below.spawn(grow(n, depth - 1));
                        try {
                            co_await sleep_forever();
                        } catch (const cancelled&) {
                            ++*n;
                            throw;
                        }
                    };
                    co_await with_task_group(inner);
                }
            };
            auto a = g.spawn(tree::grow(&reached, 2));
            auto b = g.spawn(tree::grow(&reached, 2));
            for (int i = 0; i < 6; ++i)
                co_await yield();
            a.cancel();
            auto o = co_await settle(a);
            CHECK(!o.has_value());
            CHECK(reached == 7);
            CHECK(!b.done());
            g.cancel();
        };
        co_await with_task_group(group);
        CHECK(reached == 14);
    });
}

TEST_CASE("CS-13 no busy loop while a cancelled scope waits for a shielded child") {
    eddy_test::run([]() -> task<> {
        const auto group = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_await shield(sleep(1h)); });
            co_await yield();
            g.cancel();
        };
        const auto before = loop::current().statistics();
        co_await with_task_group(group);
        const auto after = loop::current().statistics();
        CHECK(after.ticks - before.ticks <= 6);
        CHECK(after.resumptions - before.resumptions <= 8);
    });
}

TEST_CASE("reasons: the first one wins, its text arrives; effective deadlines end at a shield") {
    eddy_test::run([]() -> task<> {
        CHECK(current_deadline() == clock::time_point::max());
        const auto begin = clock::now();
        const auto body = [&](cancel_scope& outer) -> task<> {
            CHECK(!outer.reason().has_value());
            outer.set_deadline(begin + 5s);
            const auto inner = [&](cancel_scope& s) -> task<> {
                s.set_deadline(begin + 9s);
                CHECK(s.deadline() == begin + 9s);
                CHECK(s.effective_deadline() == begin + 5s);
                CHECK(current_deadline() == begin + 5s);
                co_return;
            };
            co_await with_cancel_scope(inner);
            const auto shielded = [&]() -> task<> {
                CHECK(current_deadline() == clock::time_point::max());
                co_return;
            };
            co_await shield(shielded);
            outer.cancel(cancel_reason(cancel_kind::shutdown, "enough"));
            outer.cancel(cancel_reason(cancel_kind::requested, "more"));
            CHECK(outer.reason()->kind() == cancel_kind::shutdown);
            CHECK(outer.reason()->text() == "enough");
            try {
                co_await checkpoint();
            } catch (const cancelled& c) {
                CHECK(c.reason().text() == "enough");
                throw;
            }
        };
        const bool done = co_await with_cancel_scope(body);
        CHECK(!done);
    });
    CHECK(current_deadline() == clock::time_point::max());
}

TEST_CASE("a scope is cancelled from a callback while its body waits") {
    eddy_test::run([]() -> task<> {
        const auto body = [](cancel_scope& s) -> task<int> {
            loop::current().call_later(1ms, [&s] { s.cancel(); });
            co_await sleep(1h);
            co_return 1;
        };
        const auto v = co_await with_cancel_scope(body);
        CHECK(!v.has_value());
        const auto bad = [](cancel_scope&) -> task<> { throw std::runtime_error("body"); };
        auto op = settle(with_cancel_scope(bad));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "body");
    });
}

TEST_CASE("SH-1 values and exceptions pass through a shield") {
    eddy_test::run([]() -> task<> {
        const int v = co_await shield([]() -> task<int> { co_return 3; });
        CHECK(v == 3);
        auto op = settle(shield([]() -> task<> {
            co_await yield();
            throw std::runtime_error("inside");
        }));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "inside");
        auto done = spawn([]() -> task<int> { co_return 4; });
        co_await done;
        const int w = co_await shield(done);
        CHECK(w == 4);
    });
}

TEST_CASE("SH-3 shielding a task that someone else cancels: task_cancelled, though nobody cancelled the awaiter") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep_forever(); });
        loop::current().call_later(1ms, [h]() mutable { h.cancel(); });
        auto op = settle(shield(h));
        auto o = co_await op;
        CHECK(holds<task_cancelled>(o.error()));
        CHECK(!o.is_cancelled());
        CHECK(!this_task::cancel_requested());
    });
}

TEST_CASE("SH-9 shielded work of nobody is joined at shutdown") {
    bool ended = false;
    {
        testing::virtual_loop l;
        l.run([](bool* e) -> task<> {
            spawn(
                [](bool* x) -> task<> {
                    co_await shield(sleep(2s));
                    *x = true;
                },
                e);
            co_await yield();
        }(&ended));
        CHECK(!ended);
    }
    CHECK(ended);
}

TEST_CASE("the nearest of several deadlines is the effective one, whichever scope it belongs to") {
    eddy_test::run([]() -> task<> {
        const auto began = clock::now();
        const auto ask = []() -> task<clock::time_point> {
            co_await yield();
            co_return current_deadline();
        };
        auto inner_first = timeout(2h, timeout(1h, ask));
        const auto a = co_await inner_first;
        CHECK(a == began + 1h);
        auto outer_first = timeout(1h, timeout(2h, ask));
        const auto b = co_await outer_first;
        CHECK(b == began + 1h);
    });
}
