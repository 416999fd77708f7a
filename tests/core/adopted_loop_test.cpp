// A loop on a uv_loop_t that the program has already.
#include <eddy/core/loop.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>

#include <support/check.hpp>
#include <support/child.hpp>
#include <support/run.hpp>

#include <memory>
#include <thread>
#include <uv.h>

using namespace eddy;
using namespace eddy_test;

namespace {

struct host {
    uv_loop_t loop;
    host() { uv_loop_init(&loop); }
    host(const host&) = delete;
    ~host() {
        uv_run(&loop, UV_RUN_DEFAULT); // the last turn, in which eddy's handles close
        CHECK(uv_loop_close(&loop) == 0);
    }
    int run() { return uv_run(&loop, UV_RUN_DEFAULT); }
};

} // namespace

TEST_CASE("the host's uv_run drives the tasks, and ends when they have ended") {
    host h;
    loop l(&h.loop);
    CHECK(l.uv() == &h.loop);
    CHECK(h.run() == 0); // nothing pending: nothing referenced
    std::string order;
    l.spawn(
        [](std::string* o) -> task<> {
            *o += "a";
            co_await sleep(2ms);
            *o += "b";
            co_await yield();
            *o += "c";
        },
        &order);
    CHECK(order.empty());
    CHECK(uv_loop_alive(&h.loop) != 0);
    h.run();
    CHECK(order == "abc");
    CHECK(uv_loop_alive(&h.loop) == 0);
    // Once more: the loop is still usable.
    l.spawn(
        [](std::string* o) -> task<> {
            co_await sleep(1ms);
            *o += "d";
        },
        &order);
    l.call_later(1ms, [&] { order += "e"; });
    l.call_soon([&] { order += "f"; });
    h.run();
    CHECK(order.size() == 6);
    check_empty(l);
}

TEST_CASE("a handle of the host keeps its own pace, and outlives the tasks") {
    host h;
    loop l(&h.loop);
    uv_timer_t timer;
    uv_timer_init(&h.loop, &timer);
    int ticks = 0;
    timer.data = &ticks;
    uv_timer_start(
        &timer,
        [](uv_timer_t* t) {
            if (++*static_cast<int*>(t->data) == 5) uv_close(reinterpret_cast<uv_handle_t*>(t), nullptr);
        },
        1, 1);
    int at_end_of_task = -1;
    l.spawn(
        [](int* n, int* at) -> task<> {
            co_await sleep(1ms);
            for (int i = 0; i < 10; ++i)
                co_await yield();
            *at = *n;
        },
        &ticks, &at_end_of_task);
    h.run();
    CHECK(at_end_of_task >= 0);
    CHECK(ticks == 5);
}

TEST_CASE("a busy task does not keep the host's handles from running") {
    host h;
    loop l(&h.loop);
    bool stop = false;
    uv_timer_t timer;
    uv_timer_init(&h.loop, &timer);
    timer.data = &stop;
    uv_timer_start(
        &timer,
        [](uv_timer_t* t) {
            *static_cast<bool*>(t->data) = true;
            uv_close(reinterpret_cast<uv_handle_t*>(t), nullptr);
        },
        2, 0);
    l.spawn(
        [](bool* s) -> task<> {
            while (!*s)
                co_await yield();
        },
        &stop);
    h.run();
    CHECK(stop);
}

TEST_CASE("another thread posts and spawns; keep_alive keeps the host's uv_run") {
    host h;
    loop l(&h.loop);
    int got = 0;
    std::thread other([r = l.ref(), k = l.keep_alive(), &got]() mutable {
        std::this_thread::sleep_for(2ms);
        r.post([&] { got = 5; });
        auto end = std::move(k);
    });
    h.run();
    CHECK(got == 5);
    other.join();
    // What was posted before uv_run is run by it.
    l.post([&] { got = 6; });
    h.run();
    CHECK(got == 6);
}

TEST_CASE("loop.run(task) turns the host's loop; inside the host's uv_run it is an error") {
    host h;
    loop l(&h.loop);
    CHECK(l.run([]() -> task<int> {
        co_await sleep(1ms);
        co_return 3;
    }()) == 3);
    uv_async_t async;
    struct seen {
        loop* own;
        std::string text;
    } s{&l, ""};
    async.data = &s;
    uv_async_init(&h.loop, &async, [](uv_async_t* t) {
        auto& x = *static_cast<seen*>(t->data);
        try {
            x.own->run([]() -> task<> { co_return; }());
        } catch (const std::logic_error& e) {
            x.text = e.what();
        }
        uv_close(reinterpret_cast<uv_handle_t*>(t), nullptr);
    });
    uv_async_send(&async);
    l.spawn([]() -> task<> { co_await sleep(3ms); });
    h.run();
    CHECK(contains(s.text, "inside"));
    check_empty(l);
}

TEST_CASE("no deadlock is declared while a handle of the host may still wake the task") {
    host h;
    loop l(&h.loop);
    uv_timer_t timer;
    uv_timer_init(&h.loop, &timer);
    struct shared {
        loop* own;
        task_handle<> waits;
    } s{&l, {}};
    timer.data = &s;
    uv_timer_start(
        &timer,
        [](uv_timer_t* t) {
            static_cast<shared*>(t->data)->waits.cancel();
            uv_close(reinterpret_cast<uv_handle_t*>(t), nullptr);
        },
        3, 0);
    const auto main = [](shared* x) -> task<> {
        task_handle<> me = this_task::handle();
        x->waits = spawn([](task_handle<> m) -> task<> { co_await m; }, me);
        auto o = co_await settle(x->waits);
        CHECK(o.is_cancelled());
    };
    l.run(main(&s));
    s.waits = {};
    check_empty(l);
}

TEST_CASE("shutdown(f) cancels every task and calls f when the last has ended") {
    host h;
    auto l = std::make_unique<loop>(&h.loop);
    std::string order;
    for (int i = 0; i < 2; ++i)
        l->spawn(
            [](std::string* o) -> task<> {
                try {
                    co_await sleep_forever();
                } catch (const cancelled& c) {
                    CHECK(c.reason().kind() == cancel_kind::shutdown);
                }
                co_await shield(sleep(1ms));
                *o += "t";
            },
            &order);
    loop* const own = l.get();
    own->call_later(1ms, [&] {
        own->shutdown([&] {
            order += "f";
            CHECK(own->statistics().tasks == 0);
        });
        order += "s";
    });
    h.run();
    CHECK(order == "sttf");
    l.reset();
    // With no task at all it is called too, later.
    loop empty(&h.loop);
    bool called = false;
    empty.shutdown([&] { called = true; });
    CHECK(!called);
    h.run();
    CHECK(called);
    empty.shutdown();
}

TEST_CASE("~loop with live tasks on an adopted uv_loop_t: message and terminate") {
    const child_end end = in_child([] {
        uv_loop_t raw;
        uv_loop_init(&raw);
        {
            loop l(&raw);
            l.spawn([]() -> task<> { co_await sleep_forever(); });
            uv_run(&raw, UV_RUN_NOWAIT);
        }
        return 0;
    });
    CHECK(!end.exited);
    CHECK(end.code == SIGABRT);
    CHECK(contains(end.text, "~loop on an adopted uv_loop_t with 1 live tasks; call shutdown(f)"));
}

TEST_CASE("two loops on one uv_loop_t of the host") {
    host h;
    loop a(&h.loop);
    loop b(&h.loop);
    std::string order;
    const auto body = [](std::string* o, char c, loop* own) -> task<> {
        for (int i = 0; i < 3; ++i) {
            co_await sleep(1ms);
            CHECK(&loop::current() == own);
            o->push_back(c);
        }
    };
    a.spawn(body, &order, 'a', &a);
    b.spawn(body, &order, 'b', &b);
    h.run();
    CHECK(order.size() == 6);
}
