// The loop and its callbacks: LP of docs/semantics.md.
#include <eddy/core/loop.hpp>

#include <eddy/core/operation.hpp>
#include <eddy/core/remote.hpp>
#include <eddy/core/run.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>

#include <support/check.hpp>
#include <support/child.hpp>
#include <support/run.hpp>
#include <support/sanitizers.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <thread>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("LP-1 call_soon: in order, each once") {
    testing::virtual_loop l;
    std::string order;
    for (const char c : std::string("abc"))
        l.call_soon([&order, c] { order += c; });
    CHECK(order.empty());
    l.settle();
    l.settle();
    CHECK(order == "abc");
    CHECK_THROWS_AS(l.call_soon(nullptr), std::logic_error);
    CHECK_THROWS_AS(l.call_later(1s, nullptr), std::logic_error);
    CHECK_THROWS_AS(l.post(nullptr), std::logic_error);
}

TEST_CASE("LP-2 what a callback schedules runs in the next tick, after everything queued") {
    testing::virtual_loop l;
    std::string order;
    l.call_soon([&] {
        order += "1";
        l.call_soon([&] { order += "nested"; });
        l.call_later(0s, [&] { order += "later"; });
    });
    l.call_soon([&] { order += "2"; });
    l.settle();
    l.advance(0s);
    CHECK(order == "12nestedlater");
}

TEST_CASE("LP-3 a cancelled timer never runs, drops what it captured at once, and may be cancelled again") {
    testing::virtual_loop l;
    auto held = std::make_shared<int>(1);
    bool ran = false;
    auto t = l.call_later(1s, [&ran, held] { ran = true; });
    CHECK(t.pending());
    CHECK(held.use_count() == 2);
    t.cancel();
    CHECK(held.use_count() == 1);
    CHECK(!t.pending());
    t.cancel();
    l.advance(2s);
    CHECK(!ran);
    auto done = l.call_later(1s, [&ran, held] { ran = true; });
    l.advance(1s);
    CHECK(ran);
    CHECK(held.use_count() == 1);
    CHECK(!done.pending());
    done.cancel();
    // Due, but not yet run.
    ran = false;
    timer_handle second;
    l.call_later(1s, [&] { second.cancel(); });
    second = l.call_later(1s, [&ran] { ran = true; });
    l.advance(1s);
    CHECK(!ran);
    timer_handle none;
    none.cancel();
    CHECK(!none.pending());
    // Dropping the handle does not cancel.
    l.call_later(1s, [&ran] { ran = true; });
    l.advance(1s);
    CHECK(ran);
}

TEST_CASE("LP-3 a pending callback is dropped with its loop") {
    auto held = std::make_shared<int>(1);
    timer_handle t;
    {
        testing::virtual_loop l;
        t = l.call_later(1h, [held] {});
        l.call_soon([held] {});
        l.post([held] {});
    }
    CHECK(held.use_count() == 1);
    CHECK(!t.pending());
    t.cancel();
}

TEST_CASE("LP-18 stop(): the tick is finished, its offspring stays for the next run") {
    testing::virtual_loop l;
    std::string order;
    l.call_soon([&] {
        order += "a";
        l.stop();
        l.call_soon([&] { order += "next"; });
    });
    l.call_soon([&] { order += "b"; });
    l.run();
    CHECK(order == "ab");
    l.run();
    CHECK(order == "abnext");
    // Stopped before it runs: exactly one tick.
    order.clear();
    l.call_soon([&] {
        order += "x";
        l.call_soon([&] { order += "y"; });
    });
    l.stop();
    l.run();
    CHECK(order == "x");
    l.run();
    CHECK(order == "xy");
}

TEST_CASE("LP-19 run(task) ended by stop() cancels and joins the task, and throws `stopped`; the loop can run again") {
    testing::virtual_loop l;
    bool cleaned = false;
    const auto body = [](bool* c) -> task<> {
        try {
            loop::current().stop();
            co_await sleep(1h);
        } catch (const cancelled&) {
            *c = true;
            throw;
        }
    };
    CHECK_THROWS_AS(l.run(body(&cleaned)), stopped);
    CHECK(cleaned);
    CHECK(l.run([]() -> task<int> { co_return 3; }()) == 3);
    // stop() in the very last tick has done its work.
    CHECK(l.run([]() -> task<int> {
        loop::current().stop();
        co_return 4;
    }()) == 4);
    CHECK(l.run([]() -> task<int> {
        co_await yield();
        co_return 5;
    }()) == 5);
    CHECK_THROWS_AS(l.run([]() -> task<> {
        throw std::runtime_error("x");
        co_return;
    }()),
                    std::runtime_error);
    l.settle();
    check_empty(l);
}

TEST_CASE("LP-20 RN-2 a nested run is an error, on the same or another loop, and changes nothing") {
    testing::virtual_loop l;
    l.run([](testing::virtual_loop* own) -> task<> {
        const auto nothing = []() -> task<> { co_return; };
        CHECK_THROWS_AS(own->run(nothing()), std::logic_error);
        CHECK_THROWS_AS(own->run(), std::logic_error);
        CHECK_THROWS_AS(own->settle(), std::logic_error);
        CHECK_THROWS_AS(eddy::run(nothing()), std::logic_error);
        {
            testing::virtual_loop other;
            CHECK_THROWS_AS(other.run(nothing()), std::logic_error);
            CHECK_THROWS_AS(other.run(), std::logic_error);
        }
        CHECK(&loop::current() == own);
        co_await yield();
    }(&l));
    l.settle();
    check_empty(l);
}

TEST_CASE("LP-20 a loop that is destroyed by what it runs ends the program with a message") {
    const child_end end = in_child([] {
        auto l = std::make_unique<testing::virtual_loop>();
        testing::virtual_loop& r = *l;
        r.call_soon([&] { l.reset(); });
        r.settle();
        return 0;
    });
    CHECK(!end.exited);
    CHECK(end.code == SIGABRT);
    CHECK(contains(end.text, "a loop was destroyed by code that it runs"));
}

TEST_CASE("LP-21 with nothing left that could wake the main task, run says so instead of returning") {
    for (const bool shielded : {false, true}) {
        CAPTURE(shielded);
        testing::virtual_loop l;
        std::string text;
        bool unwound = false;
        const auto main = [&]() -> task<> {
            at_end e([&] { unwound = true; });
            task_handle<> a;
            task_handle<> b;
            const auto group = [&](task_group& g) -> task<> {
                const auto waits = [](task_handle<>* h) -> task<> { co_await shield(*h); };
                a = g.spawn(spawn_options().name("ann"), waits, &b);
                b = g.spawn(spawn_options().name("bob"), waits, &a);
                co_return;
            };
            if (shielded) {
                co_await shield(with_task_group(group));
            } else {
                const auto waits = [](task_handle<>* h) -> task<> { co_await *h; };
                a = spawn(spawn_options().name("ann"), waits, &b);
                b = spawn(spawn_options().name("bob"), waits, &a);
                co_await a;
            }
        };
        try {
            l.run(main());
        } catch (const deadlock_error& e) {
            text = e.what();
        }
        CHECK(contains(text, "eddy: deadlock: the main task waits for something that can never happen"));
        CHECK(contains(text, "'bob'"));
        CHECK(contains(text, "loop_test.cpp:"));
        CHECK(unwound);
        for (auto& t : l.all_tasks())
            t.cancel();
        l.settle();
        check_empty(l);
    }
}

TEST_CASE("LP-22 an exception that leaves a callback goes to the handler; the others still run") {
    testing::virtual_loop l;
    told t(l);
    int ran = 0;
    l.call_soon([] { throw std::runtime_error("soon"); });
    l.call_later(1s, [] { throw std::runtime_error("later"); });
    l.post([] { throw std::runtime_error("posted"); });
    l.post([&] { ++ran; });
    l.call_soon([&] { ++ran; });
    l.call_later(1s, [&] { ++ran; });
    l.advance(1s);
    CHECK(ran == 3);
    CHECK(t.lines == std::vector<std::string>{"a posted function threw||posted", "a callback threw||soon",
                                              "a callback threw||later"});
}

TEST_CASE("RN-4 a closed loop refuses, and hands nothing on") {
    loop_ref r;
    {
        testing::virtual_loop l;
        r = l.ref();
        CHECK(r.post([] {}));
        l.settle();
    }
    auto held = std::make_shared<int>(1);
    CHECK(!r.post([held] {}));
    CHECK(held.use_count() == 1);
    r.stop();
    auto keep = r.keep_alive();
    CHECK(!loop_ref().post([] {}));
}

TEST_CASE("keep_alive keeps run() from ending until another thread has posted") {
    loop l;
    bool posted = false;
    std::thread other([r = l.ref(), k = l.keep_alive(), &posted]() mutable {
        std::this_thread::yield();
        r.post([&] { posted = true; });
        auto end = std::move(k);
    });
    l.run();
    CHECK(posted);
    other.join();
    // A main task that waits for a post is not deadlocked meanwhile.
    std::thread second;
    const int v = l.run([](std::thread* t) -> task<int> {
        auto kept = loop::current().keep_alive();
        *t = std::thread([r = loop::current().ref()] { r.post([] {}); });
        co_await sleep(1ms);
        co_return 2;
    }(&second));
    CHECK(v == 2);
    second.join();
}

TEST_CASE("several loops on several threads, and frames made on one thread and run on another") {
    std::vector<std::thread> threads;
    std::atomic<int> sum{0};
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            loop l;
            const auto deep = [](auto&& self, int n) -> task<int> {
                if (n == 0) {
                    co_await sleep(100us);
                    co_return 0;
                }
                const int below = co_await self(self, n - 1);
                co_return below + 1;
            };
            sum += l.run(deep(deep, 50));
        });
    for (auto& t : threads)
        t.join();
    CHECK(sum == 200);
    // Made here, run there, its end seen here.
    const auto body = [](std::thread::id* ran_on, std::thread::id* destroyed_on) -> task<int> {
        at_end e([destroyed_on] { *destroyed_on = std::this_thread::get_id(); });
        *ran_on = std::this_thread::get_id();
        co_await yield();
        co_return 7;
    };
    for (int i = 0; i < 20; ++i) {
        std::thread::id ran;
        std::thread::id destroyed;
        auto made_here = body(&ran, &destroyed);
        int got = 0;
        std::thread there([&] {
            loop l;
            got = l.run(std::move(made_here));
            CHECK(l.statistics().frames == 0);
        });
        const auto id = there.get_id();
        there.join();
        CHECK(got == 7);
        CHECK(ran == id);
        CHECK(destroyed == id);
    }
}

namespace {

// A wait that is published to another thread the moment it begins, and granted at once.
class published_operation final : public leaf_operation<published_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "published",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &detail::resume_frame};
    explicit published_operation(std::atomic<engine::waiter*>& to) : to_(&to) {}
    published_operation(published_operation&&) = default;
    ~published_operation() { end(); }
    bool attempt() noexcept { return false; }
    void enqueue() noexcept { to_->store(this); }
    void take() noexcept {}

private:
    std::atomic<engine::waiter*>* to_;
};

} // namespace

TEST_CASE("CP-1 CP-2 CP-3 a wait that another thread grants while it is being made, ten thousand times") {
    constexpr int rounds = 10'000;
    std::atomic<engine::waiter*> box{nullptr};
    loop l;
    std::thread other([r = l.ref(), k = l.keep_alive(), &box] {
        for (int i = 0; i < rounds; ++i) {
            engine::waiter* w = nullptr;
            while ((w = box.exchange(nullptr)) == nullptr)
                std::this_thread::yield();
            r.post([w] { w->where->loop->grant(*w, engine::status::ok); });
        }
    });
    int done = 0;
    l.run([](std::atomic<engine::waiter*>* b, int* n) -> task<> {
        for (int i = 0; i < rounds; ++i) {
            // A frame of its own, gone as soon as it was resumed.
            co_await [](std::atomic<engine::waiter*>* to) -> task<> { co_await published_operation(*to); }(b);
            ++*n;
        }
    }(&box, &done));
    other.join();
    CHECK(done == rounds);
}

TEST_CASE("TK-15 a task cancelled from another thread is destroyed on its loop's thread") {
    loop l;
    std::thread::id destroyed;
    std::thread other;
    l.run([](std::thread::id* d, std::thread* o) -> task<> {
        auto keep = loop::current().keep_alive();
        auto h = spawn(
            [](std::thread::id* at) -> task<> {
                at_end e([at] { *at = std::this_thread::get_id(); });
                co_await sleep_forever();
            },
            d);
        co_await yield();
        *o = std::thread([r = h.remote()]() mutable { r.cancel(); });
        auto end = co_await settle(h);
        CHECK(end.is_cancelled());
    }(&destroyed, &other));
    other.join();
    CHECK(destroyed == std::this_thread::get_id());
}

TEST_CASE("a program started without standard descriptors does not hand them to libuv") {
    const child_end end = in_child([] {
        const int keep = dup(2);
        for (int fd = 0; fd <= 2; ++fd)
            close(fd);
        int result = 1;
        try {
            result = eddy::run([]() -> task<int> {
                co_await sleep(1ms);
                co_return 0;
            }());
        } catch (...) {
            result = 2;
        }
        dup2(keep, 2);
        for (int fd = 0; fd <= 2; ++fd)
            if (fcntl(fd, F_GETFD) == -1) result = 3;
        return result;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
}

TEST_CASE("LP-12 a cancelled call leaves nothing in the loop: no timer, and nothing ready") {
    testing::virtual_loop l;
    int reported = 0;
    l.set_exception_handler([&reported](const error_context&) { ++reported; });
    timer_handle waits = l.call_later(1s, [] {});
    CHECK(l.statistics().timers == 1);
    waits.cancel();
    CHECK(l.statistics().timers == 0);
    // The second is ready already when the first cancels it.
    timer_handle second;
    std::size_t ready = 99;
    l.call_later(1s, [&] {
        second.cancel();
        ready = l.statistics().ready;
    });
    second = l.call_later(1s, [] {});
    l.advance(2s);
    CHECK(ready == 0);
    CHECK(reported == 0);
    check_empty(l);
}

TEST_CASE("a loop that finds no descriptors is uv_error, not an abort") {
    const child_end end = in_child([] {
#if EDDY_TEST_ASAN // and the undefined behaviour sanitizer
        {          // it looks at each dynamic type once, and needs a descriptor for that
            loop known;
            known.run([]() -> task<void> { co_return; }());
            try {
                throw uv_error(-EMFILE, "known");
            } catch (const uv_error& e) {
                if (e.code() != std::errc::too_many_files_open) return 4;
            }
        }
#endif
        struct rlimit limit{};
        getrlimit(RLIMIT_NOFILE, &limit);
        for (rlim_t n = 3; n < 24; ++n) {
            limit.rlim_cur = n;
            setrlimit(RLIMIT_NOFILE, &limit);
            try {
                loop l;
                const int v = l.run([]() -> task<int> { co_return 1; }());
                if (v != 1) return 2;
            } catch (const uv_error& e) {
                if (e.code() != std::errc::too_many_files_open) return 3;
            }
        }
        return 0;
    });
    INFO(end.text);
    CHECK(!contains(end.text, "Assertion")); // no more: the undefined behaviour sanitizer wants descriptors too
    CHECK(end.exited);
    CHECK(end.code == 0);
}
