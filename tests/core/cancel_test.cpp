// Cancelling tasks: CA rules of docs/semantics.md.
#include <eddy/core/task_handle.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {

// A wait that this test grants, and that answers an abort as told.
struct hand {
    engine::waiter* waiting = nullptr;
    engine::abort_result answer = engine::abort_result::gone;
    int aborts = 0;
    int undone = 0;
    bool full = false;
    void grant() {
        engine::waiter& w = *std::exchange(waiting, nullptr);
        w.where->loop->grant(w, engine::status::ok);
    }
    void let_go() {
        engine::waiter& w = *std::exchange(waiting, nullptr);
        w.where->loop->grant(w, engine::status::cancelled);
    }
};

class hand_operation final : public leaf_operation<hand_operation> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        hand& h = *static_cast<hand_operation&>(w).hand_;
        ++h.aborts;
        if (h.answer == engine::abort_result::gone) h.waiting = nullptr;
        return h.answer;
    }

public:
    using result_type = int;
    static constexpr engine::wait_kind kind{.name = "hand",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &detail::resume_frame};
    explicit hand_operation(hand& h) : hand_(&h) {}
    hand_operation(hand_operation&&) = default;
    ~hand_operation() {
        if (hand_->waiting == this) hand_->waiting = nullptr;
        if (end()) ++hand_->undone;
    }
    bool attempt() noexcept { return hand_->full; }
    void enqueue() noexcept { hand_->waiting = this; }
    int take() noexcept { return 5; }

private:
    hand* hand_;
};

task<> record_cancel(std::vector<std::string>* log, std::string name) {
    try {
        co_await sleep_forever();
    } catch (const cancelled& c) {
        log->push_back(name + ":" + std::string(to_string(c.reason().kind())) + ":" + c.reason().text());
        throw;
    }
}

} // namespace

TEST_CASE("CA-1 cancel of a pending task is true and takes effect later") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep(1h); });
        co_await yield();
        CHECK(h.cancel());
        CHECK(!h.done());
        CHECK(!h.was_cancelled());
        auto o = co_await settle(h);
        CHECK(h.done());
        CHECK(h.was_cancelled());
        CHECK(holds<task_cancelled>(o.error()));
    });
}

TEST_CASE("CA-2 cancel of a finished task is false and changes nothing") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<int> { co_return 4; });
        co_await h;
        CHECK(!h.cancel());
        CHECK(!h.was_cancelled());
        const int v = co_await h;
        CHECK(v == 4);
    });
}

TEST_CASE("CA-3 the wait is aborted and cleaned up, the exception comes out of it") {
    eddy_test::run([]() -> task<> {
        bool in_place = false;
        auto h = spawn(
            [](bool* p) -> task<> {
                try {
                    co_await sleep(1h);
                } catch (const cancelled&) {
                    *p = true;
                    throw;
                }
            },
            &in_place);
        co_await yield();
        CHECK(loop::current().statistics().timers == 1);
        h.cancel();
        CHECK(loop::current().statistics().timers == 0);
        CHECK(loop::current().statistics().waiters == 0);
        auto o = co_await settle(h);
        CHECK(!o.has_value());
        CHECK(in_place);
    });
}

TEST_CASE("CA-4 goes down a chain of awaits and unwinds from the inside") {
    eddy_test::run([]() -> task<> {
        std::vector<int> order;
        struct nest {
            static task<> go(std::vector<int>* o, int depth) {
                at_end e([o, depth] { o->push_back(depth); });
                if (depth == 3)
                    co_await sleep_forever();
                else
                    co_await go(o, depth + 1);
            }
        };
        auto h = spawn(nest::go(&order, 0));
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(!o.has_value());
        CHECK(order == std::vector<int>{3, 2, 1, 0});
    });
}

TEST_CASE("CA-5 cancelling oneself takes effect at the next checkpoint, and not without one") {
    eddy_test::run([]() -> task<> {
        int reached = 0;
        auto h = spawn(
            [](int* r) -> task<> {
                this_task::handle().cancel();
                CHECK(this_task::cancel_requested());
                *r = 1;
                co_await checkpoint();
                *r = 2;
            },
            &reached);
        auto o = co_await settle(h);
        CHECK(reached == 1);
        CHECK(h.was_cancelled());
        auto value = spawn([]() -> task<int> {
            this_task::handle().cancel();
            co_return 8;
        });
        const int v = co_await value;
        CHECK(v == 8);
        CHECK(!value.was_cancelled());
    });
}

TEST_CASE("CA-6 cancelled before its first step a task never runs, and its arguments are destroyed once") {
    eddy_test::run([]() -> task<> {
        bool entered = false;
        auto h = spawn(
            [](counted, bool* e) -> task<> {
                *e = true;
                co_return;
            },
            counted(1), &entered);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(holds<task_cancelled>(o.error()));
        CHECK(!entered);
        h = {};
        CHECK(counted::alive() == 0);
    });
}

TEST_CASE("CA-7 a task that only yields is cancelled at its next yield") {
    eddy_test::run([]() -> task<> {
        int turns = 0;
        auto h = spawn(
            [](int* n) -> task<> {
                for (;;) {
                    co_await yield();
                    ++*n;
                }
            },
            &turns);
        for (int i = 0; i < 3; ++i)
            co_await yield();
        h.cancel();
        const int before = turns;
        auto o = co_await settle(h);
        CHECK(!o.has_value());
        CHECK(turns <= before + 1); // a yield that was over completes
    });
}

TEST_CASE("CA-8 caught and returned: the task has a value") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<int> {
            try {
                co_await sleep_forever();
            } catch (const cancelled&) {
            }
            co_return 3;
        });
        co_await yield();
        h.cancel();
        const int v = co_await h;
        CHECK(v == 3);
        CHECK(!h.was_cancelled());
    });
}

TEST_CASE("CA-9 CA-11 caught and going on: every further checkpoint throws, also in the cleanup, unless shielded") {
    eddy_test::run([]() -> task<> {
        int thrown = 0;
        bool shielded = false;
        auto h = spawn(
            [](int* n, bool* s) -> task<> {
                for (int i = 0; i < 5; ++i) {
                    try {
                        co_await sleep(1ms);
                    } catch (const cancelled&) {
                        ++*n;
                    }
                }
                co_await shield(sleep(1ms));
                *s = true;
                co_await checkpoint();
                *s = false;
            },
            &thrown, &shielded);
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(thrown == 5);
        CHECK(shielded);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("D8 a task that swallows every cancellation and goes on does not starve the others") {
    enum class what { sleeps, yields, checks };
    for (const what w : {what::sleeps, what::yields, what::checks})
        eddy_test::run([&]() -> task<> {
            bool end = false;
            const auto body = [&]() -> task<> {
                while (!end) {
                    try {
                        switch (w) {
                        case what::sleeps:
                            co_await sleep(1h);
                            break;
                        case what::yields:
                            co_await yield();
                            break;
                        case what::checks:
                            co_await checkpoint();
                            break;
                        }
                    } catch (const cancelled&) {
                    }
                }
            };
            auto h = spawn(body);
            co_await yield();
            h.cancel();
            for (int i = 0; i < 10; ++i)
                co_await yield();
            end = true;
            co_await h;
        });
}

TEST_CASE("CA-10 caught and another error thrown: that error wins") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> {
            try {
                co_await sleep_forever();
            } catch (const cancelled&) {
                throw std::runtime_error("cleanup");
            }
        });
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(text_of(o.error()) == "cleanup");
        CHECK(!h.was_cancelled());
    });
}

TEST_CASE("CA-12 CA-18 many cancels deliver one exception, with the first reason") {
    eddy_test::run([]() -> task<> {
        std::vector<std::string> log;
        auto h = spawn(record_cancel(&log, "a"));
        co_await yield();
        CHECK(h.cancel(cancel_reason(cancel_kind::requested, "first")));
        for (int i = 0; i < 3; ++i)
            CHECK(h.cancel(cancel_reason(cancel_kind::shutdown, "later")));
        auto o = co_await settle(h);
        CHECK(log == std::vector<std::string>{"a:requested:first"});
        std::string told_awaiter;
        try {
            co_await h;
        } catch (const task_cancelled& e) {
            told_awaiter = e.reason().text();
            CHECK(contains(e.what(), "first"));
        }
        CHECK(told_awaiter == "first");
    });
}

TEST_CASE("CA-13 granted, then cancelled in the same tick: the value arrives, the next checkpoint throws") {
    eddy_test::run([]() -> task<> {
        hand box;
        int got = 0;
        bool went_on = false;
        auto h = spawn(
            [](hand* b, int* g, bool* w) -> task<> {
                *g = co_await hand_operation(*b);
                co_await checkpoint();
                *w = true;
            },
            &box, &got, &went_on);
        co_await yield();
        box.grant();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(got == 5);
        CHECK(!went_on);
        CHECK(h.was_cancelled());
        CHECK(box.undone == 0);
        CHECK(box.aborts == 0);
    });
}

TEST_CASE("CA-14 cancelled, then resolved: the waiter has left, nobody is told of a success") {
    eddy_test::run([]() -> task<> {
        hand box;
        auto h = spawn(
            [](hand* b) -> task<> {
                const int v = co_await hand_operation(*b);
                static_cast<void>(v);
            },
            &box);
        co_await yield();
        h.cancel();
        CHECK(box.waiting == nullptr);
        CHECK(box.aborts == 1);
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("CA-19 an operation that can't be aborted: the value arrives, the next checkpoint throws") {
    eddy_test::run([]() -> task<> {
        hand box;
        box.answer = engine::abort_result::cannot;
        int got = 0;
        auto h = spawn(
            [](hand* b, int* g) -> task<> {
                *g = co_await hand_operation(*b);
                co_await yield();
                *g = -1;
            },
            &box, &got);
        co_await yield();
        h.cancel();
        for (int i = 0; i < 3; ++i)
            co_await yield();
        CHECK(!h.done());
        CHECK(box.waiting != nullptr);
        box.grant();
        auto o = co_await settle(h);
        CHECK(got == 5);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("CA-20 an abort that takes its time: asked once for several scopes, delivered when it has let go") {
    eddy_test::run([]() -> task<> {
        hand box;
        box.answer = engine::abort_result::later;
        task_handle<> inner;
        auto body = [&](task_group& g) -> task<> {
            inner = g.spawn(
                [](hand* b) -> task<> {
                    auto scoped = with_cancel_scope([b](cancel_scope&) -> task<> {
                        const int v = co_await hand_operation(*b);
                        static_cast<void>(v);
                    });
                    co_await scoped;
                },
                &box);
            co_await yield();
            co_await yield();
            inner.cancel();
            g.cancel();
            CHECK(box.aborts == 1);
            CHECK(!inner.done());
            co_await shield(sleep(1s));
            CHECK(!inner.done());
            box.let_go();
        };
        auto op = with_task_group(body);
        co_await op;
        CHECK(inner.was_cancelled());
        CHECK(box.aborts == 1);
    });
}

TEST_CASE("CA-22 awaiting a task that someone else cancelled is not being cancelled oneself") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep_forever(); });
        co_await yield();
        h.cancel();
        bool told_apart = false;
        try {
            co_await h;
        } catch (const task_cancelled&) {
            told_apart = true;
        }
        CHECK(told_apart);
        co_await checkpoint();
        auto o = co_await settle(h);
        CHECK(o.is_cancelled()); // the task, not us
        CHECK(holds<task_cancelled>(o.error()));
        CHECK_THROWS_AS(o.value(), task_cancelled);
        CHECK(!this_task::cancel_requested());
    });
}

TEST_CASE("cancelling the await of a handle leaves the task running") {
    eddy_test::run([]() -> task<> {
        auto worker = spawn([]() -> task<int> {
            co_await sleep(10ms);
            co_return 6;
        });
        auto waiter = spawn([](task_handle<int> h) -> task<> { co_await h; }, worker);
        co_await sleep(1ms);
        waiter.cancel();
        auto o = co_await settle(waiter);
        CHECK(waiter.was_cancelled());
        const int v = co_await worker;
        CHECK(v == 6);
    });
}

TEST_CASE("CA-24 cancelling 10^5 sleeping tasks leaves no timers, and costs each one resumption") {
    static constexpr int n = 100'000;
    eddy_test::run([]() -> task<> {
        auto body = [](task_group& g) -> task<> {
            for (int i = 0; i < n; ++i)
                g.spawn([]() -> task<> { co_await sleep(1h); });
            co_await yield();
            co_await yield();
            CHECK(loop::current().statistics().timers == n);
            const auto before = loop::current().statistics().resumptions;
            g.cancel();
            CHECK(loop::current().statistics().timers == 0);
            co_await shield(yield());
            co_await shield(yield());
            CHECK(g.size() == 0);
            CHECK(loop::current().statistics().resumptions - before <= n + 10);
        };
        auto op = with_task_group(body);
        co_await op;
    });
}

TEST_CASE("CA-25 `cancelled` has no subclasses, and is no std::exception") {
    CHECK(std::is_final_v<cancelled>);
    CHECK(!std::is_base_of_v<std::exception, cancelled>);
}

TEST_CASE("`cancelled` thrown though nobody cancelled is reported as std::logic_error") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(spawn_options().name("liar"), []() -> task<> {
            co_await yield();
            throw cancelled();
        });
        auto o = co_await settle(h);
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(contains(text_of(o.error()), "task 'liar' threw eddy::cancelled, but nobody had cancelled it"));
        CHECK(!h.was_cancelled());
    });
}

TEST_CASE("a frame that is destroyed while its grant waits gives it back") {
    testing::virtual_loop l;
    hand box;
    l.spawn([](hand* b) -> task<> { co_await shield(hand_operation(*b)); }, &box);
    l.settle();
    CHECK(box.waiting != nullptr);
    box.grant();
    CHECK(box.undone == 0);
    auto all = l.all_tasks();
    REQUIRE(all.size() == 1);
    all[0].detail_record()->flags |= engine::scope::abandoned;
    l.detail_state().finish(*all[0].detail_record());
    CHECK(box.undone == 1);
    all.clear();
    check_empty(l);
}

TEST_CASE("CP-6 cancelling from the destructors of the frame that is cancelled does nothing") {
    eddy_test::run([]() -> task<> {
        task_handle<> self;
        self = spawn(
            [](task_handle<>* h) -> task<> {
                auto op = sleep_forever();
                at_end e([h] { h->cancel(); });
                co_await op;
            },
            &self);
        co_await yield();
        self.cancel();
        auto o = co_await settle(self);
        CHECK(self.was_cancelled());
        self = {};
    });
    testing::virtual_loop l;
    auto h = l.spawn([]() -> task<> {
        auto op = shield(sleep_forever());
        auto me = this_task::handle();
        at_end e([&] { me.cancel(); });
        co_await op;
    });
    l.settle();
    h.detail_record()->flags |= engine::scope::abandoned;
    l.detail_state().finish(*h.detail_record());
    CHECK(h.done());
    h = {};
    check_empty(l);
}

TEST_CASE("CP-7 CA-21 an operation that lets go later outlives nothing: its frame goes only after it") {
    testing::virtual_loop l;
    hand box;
    box.answer = engine::abort_result::later;
    bool destroyed = false;
    auto h = l.spawn(
        [](hand* b, bool* d) -> task<> {
            at_end e([d] { *d = true; });
            const int v = co_await hand_operation(*b);
            static_cast<void>(v);
        },
        &box, &destroyed);
    l.settle();
    h.cancel();
    l.settle();
    l.advance(1h);
    CHECK(!destroyed);
    box.let_go();
    l.settle();
    CHECK(destroyed);
    CHECK(h.was_cancelled());
    h = {};
    check_empty(l);
}

TEST_CASE("CP-11 how a wait ended can be read without exceptions, as a status") {
    testing::virtual_loop l;
    hand box;
    box.full = true;
    engine::scope& root = l.detail_state().root;
    context c{&root};
    hand_operation op(box);
    op.bind(c);
    CHECK(op.start());
    CHECK(op.state() == engine::status::ok);
    CHECK(op.take() == 5);
}
