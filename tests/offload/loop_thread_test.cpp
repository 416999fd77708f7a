#include <eddy/offload/loop_thread.hpp>

#include <eddy/core/promise.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/offload/offload.hpp>

#include "offload/aside.hpp"
#include "offload/gate.hpp"
#include "support/check.hpp"

#include <atomic>
#include <csignal>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::loop_thread;
using eddy::loop_thread_options;
using eddy::task;
using eddy_test::contains;
using eddy_test::for_ever;
using eddy_test::gate;

namespace {

task<int> twice_later(int n) {
    co_await eddy::sleep(1us);
    co_return 2 * n;
}

} // namespace

TEST_CASE("a plain program submits tasks to a loop on its own thread, and gets values and exceptions") {
    loop_thread io;
    auto a = io.submit(twice_later(21));
    auto b = io.submit(twice_later, 5);
    int bonus = 3;
    auto c =
        io.submit([bonus](std::unique_ptr<int> p) -> task<int> { co_return *p + bonus; }, std::make_unique<int>(4));
    auto d = io.submit([]() -> task<void> {
        co_await eddy::yield();
        throw std::runtime_error("there");
    });
    CHECK(a.get() == 42);
    CHECK(b.get() == 10);
    CHECK(c.get() == 7);
    CHECK_THROWS_WITH_AS(d.get(), "there", std::runtime_error);
    auto where = io.submit([]() -> task<std::thread::id> { co_return std::this_thread::get_id(); });
    CHECK(where.get() != std::this_thread::get_id());
    std::promise<std::thread::id> posted;
    CHECK(io.ref().post([&posted] { posted.set_value(std::this_thread::get_id()); }));
    CHECK(posted.get_future().get() != std::this_thread::get_id());
}

TEST_CASE("many threads submit at once") {
    loop_thread io;
    std::atomic<int> sum = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 200; ++i)
                sum += io.submit(twice_later, 1).get();
        });
    for (auto& t : threads)
        t.join();
    CHECK(sum == 1600);
}

TEST_CASE("TH-13 the destructor cancels what runs, waits for it, and joins") {
    bool cleaned = false;
    eddy::remote_task<void> r;
    gate g;
    std::atomic<bool> returned = false;
    {
        loop_thread io;
        std::promise<void> waits;
        r = io.submit([&]() -> task<void> {
            eddy_test::at_end last([&cleaned] { cleaned = true; });
            waits.set_value();
            co_await for_ever();
        });
        waits.get_future().wait();
        // A function that can't be interrupted is waited for.
        io.submit([&]() -> task<void> {
            auto op = eddy::offload([&] {
                g.wait();
                returned = true;
            });
            co_await op;
        });
        g.await_arrivals(1);
        g.open();
    }
    CHECK(cleaned);
    CHECK(returned);
    CHECK_THROWS_AS(r.get(), eddy::task_cancelled);
}

TEST_CASE("TH-13 submitting after close is an error; closing again is not; ref() says no") {
    loop_thread io;
    const eddy::loop_ref ref = io.ref();
    auto owner = std::make_shared<int>(1);
    io.close();
    CHECK_THROWS_AS(io.submit(twice_later, 1), eddy::closed);
    CHECK_THROWS_AS(io.submit(twice_later(1)), eddy::closed);
    CHECK_FALSE(ref.post([owner] {}));
    CHECK(owner.use_count() == 1);
    CHECK_THROWS_AS(ref.spawn(twice_later, 1).get(), eddy::closed);
    io.close();
}

TEST_CASE("TH-13 submitting while another thread closes: each task runs, is cancelled or is refused, and none hangs") {
    for (int round = 0; round < 20; ++round) {
        loop_thread io;
        std::atomic<bool> go = false;
        std::thread submits([&] {
            while (!go)
                std::this_thread::yield();
            for (int i = 0; i < 50; ++i) {
                try {
                    auto r = io.submit(twice_later, 2);
                    const int v = r.get();
                    if (v != 4) std::abort();
                } catch (const eddy::closed&) {
                } catch (const eddy::task_cancelled&) {
                }
            }
        });
        std::thread closes([&] { io.close(); });
        go = true;
        io.close(); // both return when it has ended
        closes.join();
        submits.join();
    }
}

TEST_CASE("a task that swallows its cancellation is destroyed after the limit") {
    const std::string text = eddy_test::printed_by([] {
        loop_thread io(loop_thread_options().shutdown_timeout(1ms));
        std::promise<void> waits;
        io.submit(
            [](std::promise<void>* began) -> task<void> {
                began->set_value();
                while (true) {
                    try {
                        co_await for_ever();
                    } catch (const eddy::cancelled&) {
                    }
                }
            },
            &waits);
        waits.get_future().wait();
    });
    CHECK(contains(text, "did not end after it was cancelled"));
}

TEST_CASE("a loop_thread that is stopped ends quietly, and refuses afterwards") {
    loop_thread io;
    auto r = io.submit(for_ever);
    io.ref().stop();
    CHECK_THROWS_AS(r.get(), eddy::task_cancelled);
    CHECK_THROWS_AS(io.submit(for_ever).get(), eddy::error); // cancelled or refused, by how far the end has come
    io.close();
    CHECK_THROWS_AS(io.submit(twice_later, 1), eddy::closed);
}

TEST_CASE("a loop_thread has its name and blocks signals; closing it on its own thread is an error") {
    loop_thread io(loop_thread_options().name("background work"));
    auto r = io.submit([&io]() -> task<std::string> {
        char name[16] = {};
        pthread_getname_np(pthread_self(), name, sizeof name);
        sigset_t blocked;
        pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
        std::string text = std::string(name) + (sigismember(&blocked, SIGINT) == 1 ? "+" : "-");
        try {
            io.close();
        } catch (const std::logic_error&) {
            text += " refused";
        }
        co_return text;
    });
    CHECK(r.get() == "background work+ refused");
    loop_thread other(std::move(io));
    CHECK(other.submit(twice_later, 1).get() == 2);
    CHECK_THROWS_AS(io.submit(twice_later, 1), std::logic_error);
    CHECK_THROWS_AS(io.close(), std::logic_error);
    CHECK_THROWS_AS(static_cast<void>(io.ref()), std::logic_error);
    io = std::move(other);
    CHECK(io.submit(twice_later, 2).get() == 4);
}
