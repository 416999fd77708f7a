// run, run_main and the end of a program: RN of docs/semantics.md.
#include <eddy/core/run.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/child.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

template <class F> concept runnable_main = requires(F f) { eddy::run(f()); };
struct gives_int {
    int operator()() const { return 1; }
};

// A wait that never lets go by itself: its frame can't be destroyed while `busy`.
struct stubborn {
    engine::waiter* waiting = nullptr;
};
class stubborn_operation final : public leaf_operation<stubborn_operation> {
    static engine::abort_result abort_it(engine::waiter&) noexcept { return engine::abort_result::cannot; }

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "stubborn",
                                            .outside = true,
                                            .pinned = true,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &detail::resume_frame};
    explicit stubborn_operation(stubborn& s) : s_(&s) {}
    stubborn_operation(stubborn_operation&&) = default;
    ~stubborn_operation() { end(); }
    bool attempt() noexcept { return false; }
    void enqueue() noexcept { s_->waiting = this; }
    void take() noexcept {}

private:
    stubborn* s_;
};

// By timers one after the other: on a machine so busy that one timer comes with the end of the time limit, the last one
// still comes after it.
void let_go_after(int timers, stubborn& s) {
    loop::current().call_later(20ms, [timers, &s] {
        if (timers > 0) {
            let_go_after(timers - 1, s);
            return;
        }
        engine::waiter& n = *s.waiting;
        n.where->loop->grant(n, engine::status::ok);
    });
}

} // namespace

TEST_CASE("RN-1 run gives the task's value or throws its exception") {
    CHECK(eddy::run([]() -> task<int> {
              co_await yield();
              co_return 4;
          }()) == 4);
    eddy::run([]() -> task<> { co_return; }());
    const auto p = eddy::run([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(2); }());
    CHECK(*p == 2);
    static int place = 1;
    int& r = eddy::run([]() -> task<int&> { co_return place; }());
    CHECK(&r == &place);
    const auto fails = []() -> task<int> {
        co_await yield();
        throw std::runtime_error("main");
    };
    CHECK_THROWS_WITH_AS(eddy::run(fails()), "main", std::runtime_error);
    const auto cancels = []() -> task<> {
        this_task::handle().cancel();
        co_await checkpoint();
    };
    CHECK_THROWS_AS(eddy::run(cancels()), task_cancelled);
    CHECK(loop::try_current() == nullptr);
}

TEST_CASE("RN-2 run inside a running loop is an error; the task is destroyed, the loop goes on") {
    eddy::run([]() -> task<> {
        const auto body = [](counted) -> task<> { co_return; };
        bool refused = false;
        try {
            eddy::run(body(counted(1)));
        } catch (const std::logic_error& e) {
            refused = contains(e.what(), "run() inside a running loop");
        }
        CHECK(refused);
        CHECK(counted::alive() == 0);
        auto h = spawn([]() -> task<int> { co_return 1; }); // the running loop is still known
        const int v = co_await h;
        CHECK(v == 1);
    }());
}

TEST_CASE("RN-5 leftovers are cancelled and joined, also when the main task failed, and their errors reported") {
    for (const bool fails : {false, true}) {
        CAPTURE(fails);
        std::string order;
        std::vector<std::string> lines;
        bool thrown = false;
        try {
            eddy::run([](std::string* o, std::vector<std::string>* told_lines, bool f) -> task<> {
                loop::current().set_exception_handler(
                    [told_lines](const error_context& c) { told_lines->push_back(text_of(c.exception)); });
                spawn(
                    [](std::string* out) -> task<> {
                        try {
                            co_await sleep_forever();
                        } catch (const cancelled& c) {
                            CHECK(c.reason().kind() == cancel_kind::shutdown);
                            *out += "cancelled,";
                        }
                        co_await shield(sleep(1ms));
                        *out += "cleaned,";
                    },
                    o);
                spawn([]() -> task<> {
                    try {
                        co_await sleep_forever();
                    } catch (const cancelled&) {
                        throw std::runtime_error("leftover");
                    }
                });
                co_await yield();
                if (f) throw std::logic_error("main");
            }(&order, &lines, fails));
        } catch (const std::logic_error&) {
            thrown = true;
        }
        CHECK(thrown == fails);
        CHECK(order == "cancelled,cleaned,");
        CHECK(lines == std::vector<std::string>{"leftover"});
    }
}

TEST_CASE("RN-5 RN-7 what is spawned during the drain is drained too: cancelled before its first step") {
    bool started = false;
    bool spawned = false;
    eddy::run([](bool* st, bool* sp) -> task<> {
        spawn(
            [](bool* s, bool* p) -> task<> {
                at_end e([s, p] {
                    spawn(
                        [](bool* x, counted) -> task<> {
                            *x = true;
                            co_return;
                        },
                        s, counted(1));
                    *p = true;
                });
                co_await sleep_forever();
            },
            st, sp);
        co_await yield();
    }(&started, &spawned));
    CHECK(spawned);
    CHECK(!started);
    CHECK(counted::alive() == 0);
}

TEST_CASE("RN-5 TK-8 a leftover that ignores its cancellation is reported after the limit, and destroyed") {
    const child_end end = in_child([] {
        bool destroyed = false;
        eddy::run(
            [](bool* d) -> task<> {
                spawn(
                    spawn_options().name("deaf"),
                    [](bool* x) -> task<> {
                        at_end e([x] { *x = true; });
                        for (;;)
                            co_await shield(sleep(1ms));
                    },
                    d);
                co_await yield();
            }(&destroyed),
            run_options().shutdown_timeout(5ms));
        return destroyed ? 0 : 1;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(contains(end.text, "a task did not end after it was cancelled, and is destroyed where it waits:"));
    CHECK(contains(end.text, "deaf"));
    CHECK(contains(end.text, "run_test.cpp:"));
}

TEST_CASE("RN-5 the same on simulated time, and at once where nothing could ever end it") {
    const child_end end = in_child([] {
        bool destroyed = false;
        const auto began = std::chrono::steady_clock::now();
        {
            testing::virtual_loop l;
            l.spawn(
                [](bool* x) -> task<> {
                    at_end e([x] { *x = true; });
                    for (;;)
                        co_await shield(sleep(1s));
                },
                &destroyed);
            l.spawn([]() -> task<> {
                task_handle<> self = this_task::handle();
                auto other = spawn([](task_handle<> h) -> task<> { co_await shield(h); }, self);
                co_await shield(other);
            });
            l.settle();
        }
        if (std::chrono::steady_clock::now() - began > 2s) return 2;
        return destroyed ? 0 : 1;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
}

TEST_CASE("RN-5 a wait that can't be let go is reported and waited for, not destroyed") {
    const child_end end = in_child([] {
        stubborn s;
        bool ended = false;
        eddy::run(
            [](stubborn* w, bool* e) -> task<> {
                spawn(
                    spawn_options().name("pinned"),
                    [](stubborn* x, bool* y) -> task<> {
                        co_await stubborn_operation(*x);
                        *y = true;
                    },
                    w, e);
                co_await yield();
                let_go_after(3, *w);
            }(&s, &ended),
            run_options().shutdown_timeout(5ms));
        return ended ? 0 : 1;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(contains(end.text, "can't be interrupted"));
    CHECK(contains(end.text, "pinned"));
}

TEST_CASE("RN-7 tasks whose destructors wake each other are released") {
    testing::virtual_loop l;
    {
        std::vector<task_handle<>> both;
        const auto body = [](std::vector<task_handle<>>* b, std::size_t other, counted) -> task<> {
            at_end e([b, other] { (*b)[other].cancel(); });
            co_await shield(sleep_forever());
        };
        both.push_back(l.spawn(body, &both, std::size_t{1}, counted(1)));
        both.push_back(l.spawn(body, &both, std::size_t{0}, counted(2)));
        l.settle();
        for (auto& h : both) {
            h.detail_record()->flags |= engine::scope::abandoned;
            l.detail_state().finish(*h.detail_record());
        }
        both.clear();
    }
    l.settle();
    check_empty(l);
    CHECK(counted::alive() == 0);
}

TEST_CASE("run_main: the status for the shell") {
    CHECK(run_main([]() -> task<int> { co_return 7; }()) == 7);
    CHECK(run_main([]() -> task<> { co_return; }()) == 0);
    const child_end end = in_child([] {
        return run_main([]() -> task<> {
            throw std::runtime_error("broken");
            co_return;
        }());
    });
    CHECK(end.exited);
    CHECK(end.code == 1);
    CHECK(end.text == "eddy: the program ended with an uncaught exception: broken\n");
    const child_end odd = in_child([] {
        return run_main([]() -> task<int> {
            throw 3;
            co_return 0;
        }());
    });
    CHECK(odd.code == 1);
    CHECK(odd.text == "eddy: the program ended with an uncaught exception: an exception that is no std::exception\n");
}

TEST_CASE("a deadlocked main task is cancelled and unwound before deadlock_error is thrown") {
    std::string order;
    std::string text;
    try {
        eddy::run([](std::string* o) -> task<> {
            auto self = std::make_shared<task_handle<>>();
            *self = spawn(
                spawn_options().name("waits for main"), [](task_handle<> main) -> task<> { co_await main; },
                this_task::handle());
            try {
                co_await *self;
            } catch (const cancelled& c) {
                *o += std::string(to_string(c.reason().kind())) + ":" + c.reason().text();
                throw;
            }
        }(&order));
    } catch (const deadlock_error& e) {
        text = e.what();
    }
    CHECK(order == "shutdown:deadlock");
    CHECK(contains(text, "waits for main"));
    CHECK(contains(text, "run_test.cpp:"));
}

TEST_CASE("no deadlock while something outside can wake the main task") {
    // A sleep for ever counts as woken from outside; a stop() ends it.
    loop l;
    l.call_later(1ms, [&] { l.stop(); });
    CHECK_THROWS_AS(l.run([]() -> task<> { co_await sleep_forever(); }()), stopped);
    // loop.run() without a main task just returns.
    testing::virtual_loop v;
    v.spawn([]() -> task<> {
        auto me = this_task::handle();
        auto other = spawn([](any_task_handle h) -> task<> { co_await h; }, me);
        co_await other;
    });
    v.run();
    CHECK(v.statistics().tasks == 2);
    for (auto& t : v.all_tasks())
        t.cancel();
    v.run();
    check_empty(v);
}

TEST_CASE("RN-3 only a task can be run") { CHECK(!runnable_main<gives_int>); }

TEST_CASE("run_options") {
    CHECK(run_options().handle_sigint());
    CHECK(!run_options().handle_sigint(false).handle_sigint());
    CHECK(run_options().shutdown_timeout() == 5s);
    CHECK(run_options().shutdown_timeout(1ms).shutdown_timeout() == 1ms);
}
