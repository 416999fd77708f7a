// TG of docs/semantics.md.
#include <eddy/flow/task_group.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {

task<> throw_after(duration d, const char* text) {
    co_await sleep(d);
    throw std::runtime_error(text);
}
task<> fail_when_cancelled(const char* text) {
    try {
        co_await sleep_forever();
    } catch (const cancelled&) {
        throw std::runtime_error(text);
    }
}
task<> count_cancel(int* n) {
    try {
        co_await sleep_forever();
    } catch (const cancelled&) {
        ++*n;
        throw;
    }
}

} // namespace

TEST_CASE("TG-1 the exit waits for all children, their results can be read after it") {
    eddy_test::run([]() -> task<> {
        task_handle<int> a;
        int ended = 0;
        const auto body = [&](task_group& g) -> task<int> {
            a = g.spawn([]() -> task<int> {
                co_await sleep(5ms);
                co_return 4;
            });
            for (int i = 0; i < 3; ++i)
                g.spawn(
                    [](int* n, int ms) -> task<> {
                        co_await sleep(1ms * ms);
                        ++*n;
                    },
                    &ended, i);
            CHECK(g.size() == 4);
            co_return 9;
        };
        const auto began = clock::now();
        const int v = co_await with_task_group(body);
        CHECK(v == 9);
        CHECK(ended == 3);
        CHECK(clock::now() - began == 5ms);
        CHECK(a.outcome().value() == 4);
    });
}

TEST_CASE("TG-2 children may spawn into the group while it is leaving") {
    eddy_test::run([]() -> task<> {
        int generations = 0;
        struct chain {
            static task<> next(task_group* g, int* n) {
                co_await sleep(1ms);
                if (++*n < 10) g->spawn(next(g, n));
            }
        };
        const auto body = [&](task_group& g) -> task<> {
            g.spawn(chain::next(&g, &generations));
            co_return;
        };
        co_await with_task_group(body);
        CHECK(generations == 10);
    });
}

TEST_CASE("TG-3 TG-10 a child's error cancels siblings and body, all are joined, the error comes out as itself") {
    eddy_test::run([]() -> task<> {
        int cancelled_children = 0;
        bool went_on = false;
        cancel_kind why{};
        const auto body = [&](task_group& g) -> task<> {
            g.spawn(count_cancel(&cancelled_children));
            g.spawn(throw_after(1ms, "child"));
            g.spawn(count_cancel(&cancelled_children));
            try {
                co_await sleep(1h);
            } catch (const cancelled& c) {
                why = c.reason().kind();
                throw;
            }
            went_on = true;
        };
        bool caught = false;
        try {
            co_await with_task_group(body);
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "child";
        }
        CHECK(caught);
        CHECK(cancelled_children == 2);
        CHECK(!went_on);
        CHECK(why == cancel_kind::sibling_failed);
        co_await checkpoint(); // TG-10
    });
}

TEST_CASE("TG-4 the body's error cancels the children and comes out") {
    eddy_test::run([]() -> task<> {
        int cancelled_children = 0;
        const auto body = [&](task_group& g) -> task<int> {
            g.spawn(count_cancel(&cancelled_children));
            co_await yield();
            throw std::runtime_error("body");
        };
        const auto e = co_await error_of(with_task_group(body));
        CHECK(e == "body");
        CHECK(cancelled_children == 1);
    });
}

TEST_CASE("TG-5 later failures are in suppressed() and go to the exception handler") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto body = [](task_group& g) -> task<> {
            g.spawn(spawn_options().name("second"), fail_when_cancelled("in the cleanup"));
            g.spawn(throw_after(1ms, "first"));
            try {
                co_await sleep_forever();
            } catch (const cancelled&) {
            }
            throw std::runtime_error("body too");
        };
        auto op = with_task_group(body);
        std::string first;
        try {
            co_await op;
        } catch (const std::runtime_error& e) {
            first = e.what();
        }
        CHECK(first == "first");
        REQUIRE(op.suppressed().size() == 2);
        CHECK(text_of(op.suppressed()[0]) == "body too");
        CHECK(text_of(op.suppressed()[1]) == "in the cleanup");
        REQUIRE(t.lines.size() == 2);
        CHECK(t.lines[0] == "a task failed after its group had|task-1|body too");
        CHECK(t.lines[1] == "a task failed after its group had|second|in the cleanup");
    });
}

TEST_CASE("a body that awaits the child that fails reports one failure, not two") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto body = [](task_group& g) -> task<> {
            auto h = g.spawn(throw_after(1ms, "child"));
            co_await h;
        };
        auto op = with_task_group(body);
        auto o = co_await settle(std::move(op));
        CHECK(text_of(o.error()) == "child");
        CHECK(t.lines.empty());
    });
}

TEST_CASE("TG-6 TG-18 a child that is cancelled by itself is no error; the body that awaits it is told") {
    eddy_test::run([]() -> task<> {
        bool told_body = false;
        const auto body = [&](task_group& g) -> task<> {
            auto h = g.spawn([]() -> task<> { co_await sleep_forever(); });
            auto other = g.spawn([]() -> task<int> {
                co_await sleep(5ms);
                co_return 1;
            });
            co_await yield();
            h.cancel();
            try {
                co_await h;
            } catch (const task_cancelled&) {
                told_body = true;
            }
            co_await checkpoint();
            const int v = co_await other;
            CHECK(v == 1);
        };
        co_await with_task_group(body);
        CHECK(told_body);
    });
}

TEST_CASE("TG-7 TG-20 cancelled from outside, in the body or while leaving: joined, then one `cancelled`") {
    for (const bool leaving : {false, true}) {
        CAPTURE(leaving);
        eddy_test::run([&]() -> task<> {
            int cancelled_children = 0;
            std::string seen;
            const auto outer = [&]() -> task<> {
                const auto body = [&](task_group& g) -> task<> {
                    for (int i = 0; i < 3; ++i)
                        g.spawn(count_cancel(&cancelled_children));
                    if (!leaving) co_await sleep_forever();
                };
                try {
                    co_await with_task_group(body);
                    seen = "returned";
                } catch (const cancelled& c) {
                    seen = c.reason().text();
                    throw;
                }
            };
            auto h = spawn(outer);
            co_await sleep(1ms);
            h.cancel(cancel_reason(cancel_kind::requested, "outer"));
            auto o = co_await settle(h);
            CHECK(seen == "outer");
            CHECK(cancelled_children == 3);
            CHECK(h.was_cancelled());
            // A child that fails meanwhile: its error.
            const auto failing = [&]() -> task<> {
                const auto body = [&](task_group& g) -> task<> {
                    g.spawn(fail_when_cancelled("cleanup"));
                    if (!leaving) co_await sleep_forever();
                };
                co_await with_task_group(body);
            };
            auto f = spawn(failing);
            co_await sleep(1ms);
            f.cancel();
            auto p = co_await settle(f);
            CHECK(text_of(p.error()) == "cleanup");
        });
    }
}

TEST_CASE("children that complete in spite of an outer cancel: the value is kept, the next checkpoint throws") {
    eddy_test::run([]() -> task<> {
        int got = 0;
        bool went_on = false;
        const auto outer = [&]() -> task<> {
            const auto body = [](task_group& g) -> task<int> {
                g.spawn([]() -> task<> { co_await shield(sleep(2ms)); });
                co_return 5;
            };
            got = co_await with_task_group(body);
            co_await checkpoint();
            went_on = true;
        };
        auto h = spawn(outer);
        co_await sleep(1ms);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(got == 5);
        CHECK(!went_on);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("TG-8 nested groups: the inner failure arrives at the outer; the outer one cancels the inner and wins") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto inner_fails = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_await sleep_forever(); });
            const auto inner = [](task_group& n) -> task<> {
                n.spawn(throw_after(1ms, "inner"));
                co_return;
            };
            co_await with_task_group(inner);
        };
        auto e = co_await error_of(with_task_group(inner_fails));
        CHECK(e == "inner");
        bool inner_ended = false;
        const auto outer_fails = [&](task_group& g) -> task<> {
            g.spawn(throw_after(1ms, "outer"));
            const auto inner = [](task_group& n) -> task<> {
                n.spawn([]() -> task<> { co_await sleep_forever(); });
                co_return;
            };
            try {
                co_await with_task_group(inner);
            } catch (const cancelled&) {
                inner_ended = true;
                throw;
            }
        };
        e = co_await error_of(with_task_group(outer_fails));
        CHECK(e == "outer");
        CHECK(inner_ended);
        // Both: the inner error is handled inside, the outer cancellation is not lost.
        bool went_on = false;
        const auto both = [&](task_group& g) -> task<> {
            g.spawn(throw_after(1ms, "outer"));
            const auto inner = [](task_group& n) -> task<> {
                n.spawn(fail_when_cancelled("inner"));
                co_return;
            };
            auto o = co_await settle(with_task_group(inner));
            CHECK(text_of(o.error()) == "inner");
            co_await checkpoint();
            went_on = true;
        };
        e = co_await error_of(with_task_group(both));
        CHECK(e == "outer");
        CHECK(!went_on);
    });
}

TEST_CASE("TG-9 a child's error and an outer cancel: the error now, the cancellation at the next checkpoint") {
    eddy_test::run([]() -> task<> {
        std::string first;
        bool went_on = false;
        task_handle<> h;
        const auto outer = [&]() -> task<> {
            const auto body = [](task_group& g) -> task<> {
                g.spawn(throw_after(1ms, "child"));
                g.spawn([]() -> task<> {
                    try {
                        co_await sleep_forever();
                    } catch (const cancelled&) {
                    }
                    co_await shield(sleep(5ms));
                });
                co_return;
            };
            first = co_await error_of(with_task_group(body));
            co_await checkpoint();
            went_on = true;
        };
        h = spawn(outer);
        co_await sleep(3ms);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(first == "child");
        CHECK(!went_on);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("TG-11 repeated cancels while it leaves: it never leaves with live children") {
    eddy_test::run([]() -> task<> {
        bool child_ended = false;
        const auto outer = [&]() -> task<> {
            const auto body = [&](task_group& g) -> task<> {
                g.spawn(
                    [](bool* e) -> task<> {
                        co_await shield(sleep(10ms));
                        *e = true;
                    },
                    &child_ended);
                co_return;
            };
            co_await with_task_group(body);
            CHECK(child_ended);
        };
        auto h = spawn(outer);
        for (int i = 0; i < 5; ++i) {
            co_await sleep(1ms);
            h.cancel();
        }
        auto o = co_await settle(h);
        CHECK(child_ended);
    });
}

TEST_CASE("TG-12 TG-13 TG-14 group.cancel(): early exit without an error; a task spawned then never starts") {
    eddy_test::run([]() -> task<> {
        bool started = false;
        const auto body = [&](task_group& g) -> task<> {
            g.cancel();
            g.cancel();
            auto h = g.spawn(
                [](bool* s) -> task<> {
                    *s = true;
                    co_return;
                },
                &started);
            CHECK(!h.done());
            co_await sleep(1h);
        };
        co_await with_task_group(body);
        CHECK(!started);
        co_await checkpoint();
        // With a value it is kept; without one: cancelled_group.
        const auto value = [](task_group& g) -> task<int> {
            g.cancel();
            co_return 3;
        };
        const int v = co_await with_task_group(value);
        CHECK(v == 3);
        const auto none = [](task_group& g) -> task<int> {
            g.cancel();
            co_await sleep(1h);
            co_return 3;
        };
        auto o = co_await settle(with_task_group(none));
        CHECK(holds<cancelled_group>(o.error()));
        // An outer cancel or limit that arrives while it drains goes on.
        const auto draining = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> {
                co_await shield(sleep(10ms));
                co_await checkpoint();
            });
            co_await yield();
            g.cancel();
            co_await checkpoint();
        };
        const auto e = co_await error_of(timeout(1ms, with_task_group(draining)));
        CHECK(contains(e, "ran out"));
    });
}

TEST_CASE("TG-14 a child cancels its group before its first suspension") {
    eddy_test::run([]() -> task<> {
        bool went_on = false;
        const auto body = [&](task_group& g) -> task<> {
            g.spawn(
                [](task_group* own, bool* w) -> task<> {
                    own->cancel();
                    co_await checkpoint();
                    *w = true;
                },
                &g, &went_on);
            co_await sleep(1h);
        };
        co_await with_task_group(body);
        CHECK(!went_on);
    });
}

TEST_CASE("TG-15 10^4 finished children leave nothing in the group") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            const auto before = loop::current().statistics();
            for (int i = 0; i < 10'000; ++i) {
                g.spawn([]() -> task<> { co_return; });
                co_await yield();
            }
            CHECK(g.size() == 0);
            CHECK(loop::current().statistics().frames == before.frames);
            CHECK(loop::current().statistics().bytes == before.bytes);
        };
        co_await with_task_group(body);
    });
}

TEST_CASE("TG-16 an exception of any type decides like another") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> {
                throw 42;
                co_return;
            });
            co_await sleep(1h);
        };
        int caught = 0;
        try {
            co_await with_task_group(body);
        } catch (int n) {
            caught = n;
        }
        CHECK(caught == 42);
    });
}

TEST_CASE("TG-17 names and options go to the children; all four forms of spawn") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            const auto name = []() -> task<std::string> { co_return this_task::name(); };
            auto a = g.spawn(spawn_options().name("a"), name);
            auto b = g.spawn(spawn_options().name("b"), name());
            auto c = g.spawn(name);
            auto d = g.spawn(name());
            const std::string first = co_await a;
            const std::string second = co_await b;
            CHECK(first == "a");
            CHECK(second == "b");
            co_await c;
            co_await d;
        };
        co_await with_task_group(group_options().name("readers"), body);
    });
}

TEST_CASE("an empty group is no checkpoint; one with live children is") {
    eddy_test::run([]() -> task<> {
        const auto body = [](cancel_scope& s) -> task<int> {
            s.cancel();
            const auto empty = [](task_group&) -> task<> { co_return; };
            co_await with_task_group(empty);
            co_return 1;
        };
        const auto v = co_await with_cancel_scope(body);
        CHECK(v == 1);
        const auto live = [](cancel_scope& s) -> task<int> {
            const auto group = [&](task_group& g) -> task<> {
                g.spawn([]() -> task<> { co_await sleep(1h); });
                s.cancel();
                co_return;
            };
            co_await with_task_group(group);
            co_return 1;
        };
        const auto w = co_await with_cancel_scope(live);
        CHECK(!w.has_value());
    });
}

TEST_CASE("TG-21 a group whose frames are destroyed takes its children with it") {
    bool destroyed = false;
    {
        testing::virtual_loop l;
        l.spawn(
            [](bool* d) -> task<> {
                const auto body = [d](task_group& g) -> task<> {
                    g.spawn(
                        [](bool* x) -> task<> {
                            at_end e([x] { *x = true; });
                            co_await shield(sleep_forever());
                        },
                        d);
                    co_await shield(sleep_forever());
                };
                co_await with_task_group(body);
            },
            &destroyed);
        l.settle();
        CHECK(!destroyed);
    }
    CHECK(destroyed);
}

TEST_CASE("a body that throws instead of making a task: its children are joined all the same") {
    eddy_test::run([]() -> task<> {
        int cancelled_children = 0;
        const auto body = [&](task_group& g) -> task<> {
            g.spawn(count_cancel(&cancelled_children));
            throw std::runtime_error("no task");
        };
        const auto e = co_await error_of(with_task_group(body));
        CHECK(e == "no task");
    });
}
