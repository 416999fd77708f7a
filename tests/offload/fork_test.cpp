// A child process that touches what was made before the fork is told so, and does not hang; new things work there.
#include <eddy/offload/thread_pool.hpp>

#include <eddy/core/run.hpp>
#include <eddy/offload/from_thread.hpp>
#include <eddy/offload/loop_thread.hpp>
#include <eddy/offload/offload.hpp>

#include "offload/aside.hpp"
#include "offload/gate.hpp"
#include "offload/lane.hpp"
#include "support/check.hpp"
#include "support/sanitizers.hpp"

#include <string>
#include <thread>

using eddy::task;
using eddy::thread_pool;
using eddy_test::contains;
using eddy_test::in_child;
using eddy_test::run_real;

namespace {

task<int> one() { co_return 1; }

// 1 when f() throws std::logic_error that speaks of a child process.
template <class F>
int refused(const char* what, F f) {
    try {
        f();
    } catch (const std::logic_error& e) {
        if (contains(e.what(), "in a child process")) return 1;
        std::fprintf(stderr, "%s: %s\n", what, e.what());
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", what, e.what());
        return 0;
    }
    std::fprintf(stderr, "%s: nothing thrown\n", what);
    return 0;
}

} // namespace

TEST_CASE("TH-19 every call on a loop of the parent is an error in the child") {
    eddy::loop l;
    const eddy::loop_ref ref = l.ref();
    auto remote = ref.spawn(one);
    const auto end = in_child([&] {
        int n = 0;
        n += refused("run", [&] { l.run(one()); });
        n += refused("run()", [&] { l.run(); });
        n += refused("spawn", [&] { l.spawn(one()); });
        n += refused("spawn f", [&] { l.spawn(one); });
        n += refused("post", [&] { l.post([] {}); });
        n += refused("call_soon", [&] { l.call_soon([] {}); });
        n += refused("call_later", [&] { l.call_later(std::chrono::seconds(1), [] {}); });
        n += refused("ref.post", [&] { ref.post([] {}); });
        n += refused("ref.spawn", [&] { ref.spawn(one); });
        n += refused("get", [&] { remote.get(); });
        n += refused("wait_for", [&] { static_cast<void>(remote.wait_for(std::chrono::seconds(1))); });
        n += refused("cancel", [&] { remote.cancel(); });
        return n;
    });
    CHECK(end.text == "");
    CHECK(end.code == 12);
    // The parent goes on as if nothing had been.
    CHECK(l.run(one()) == 1);
    CHECK(remote.get() == 1);
}

TEST_CASE("TH-19 a child may end by returning: the parent's loop is left alone there") {
    auto l = std::make_unique<eddy::loop>();
    CHECK(l->run(one()) == 1);
    const auto end = in_child([&] {
        l.reset();
        return 0;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
    // A descriptor that the child had taken out of our epoll set would wake us no more.
    std::thread t([ref = l->ref()] { ref.post([] { eddy::loop::current().stop(); }); });
    const auto keep = l->keep_alive();
    l->run();
    t.join();
}

TEST_CASE("TH-19 a task that forks and goes on in the child ends in an error there") {
    int code = -1;
    std::string text;
    run_real([&]() -> task<void> {
        const pid_t pid = fork();
        if (pid == 0) {
            int n = 0;
            try {
                eddy::spawn(one);
            } catch (const eddy::no_running_loop&) {
                n = 7;
            }
            _exit(n);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        code = WEXITSTATUS(status);
        co_return;
    });
    CHECK(code == 7);
    const auto end = in_child([] {
        // The grandchild comes back into the loop of the child, which waits for it.
        pid_t pid = -1;
        const auto body = [](pid_t& p) -> task<void> {
            p = fork();
            co_await eddy::sleep(std::chrono::microseconds(10));
        };
        try {
            eddy::run(body(pid));
        } catch (const std::logic_error& e) {
            _exit(pid == 0 && contains(e.what(), "in a child process") ? 5 : 6);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        return WEXITSTATUS(status);
    });
    CHECK(end.code == 5);
}

TEST_CASE("TH-19 a pool and a loop_thread of the parent are errors in the child, and can be destroyed there") {
    run_real([]() -> task<void> {
        auto pool = std::make_unique<thread_pool>(1);
        auto io = std::make_unique<eddy::loop_thread>();
        auto call = pool->run([] { return 1; });
        const int v = co_await call; // it has a thread
        CHECK(v == 1);
        const auto end = in_child([&] {
            const auto ask = [](thread_pool& p) -> task<void> {
                auto op = p.run([] {});
                co_await op;
            };
            const auto close = [](thread_pool& p) -> task<void> { co_await p.close(); };
            const auto abandon = [](thread_pool& p) -> task<void> {
                auto op = p.run_abandon([] {});
                co_await op;
            };
            int n = 0;
            n += refused("pool.run", [&] { eddy::run(ask(*pool)); });
            n += refused("pool.close", [&] { eddy::run(close(*pool)); });
            n += refused("pool.run_abandon", [&] { eddy::run(abandon(*pool)); });
            n += refused("submit", [&] { io->submit(one); });
            n += refused("io.close", [&] { io->close(); });
            n += pool->statistics().threads == 0;
            pool.reset();
            io.reset();
            return n;
        });
        CHECK(end.text == "");
        CHECK(end.code == 6);
        co_await pool->close();
        CHECK(io->submit(one).get() == 1);
    });
}

// ThreadSanitizer does not let the child of a program with threads have any.
#if !EDDY_TEST_TSAN
TEST_CASE("TH-19 what the child makes itself works: a loop, a pool, offload and abandoned calls") {
    const auto main = []() -> task<int> {
        thread_pool pool(2);
        auto a = pool.run([] { return eddy::from_thread::run(one); });
        const int x = co_await a;
        auto b = eddy::offload([] { return 2; });
        const int y = co_await b;
        auto c = eddy::offload_abandon([] { return 4; });
        const int z = co_await c;
        co_await pool.close();
        co_return x + y + z;
    };
    CHECK(eddy::run(main()) == 7); // the parent has had all of them, and their threads idle
    const auto end = in_child([&] { return eddy::run(main()); });
    CHECK(end.exited);
    CHECK(end.code == 7);
}

TEST_CASE("TH-19 a fork while another thread holds the list of lanes leaves the child one of its own") {
    const auto main = []() -> task<int> {
        auto call = eddy::offload([] { return 3; });
        const int v = co_await call;
        co_return v;
    };
    auto mine = std::make_unique<eddy::loop>();
    CHECK(mine->run(main()) == 3); // it stands in the list
    eddy_test::gate g;
    std::thread t([&g] {
        auto& all = eddy::detail::lanes_of_process();
        const std::lock_guard lock(all.guard);
        all.blocked.fetch_add(100); // as if every thread of the parent's pool waited for a loop
        g.wait();
        all.blocked.fetch_sub(100);
    });
    g.await_arrivals(1);
    const auto end = in_child([&] {
        alarm(20);
        mine.reset();
        const int blocked = static_cast<int>(eddy::detail::lanes_of_process().blocked.load());
        return eddy::run(main()) + blocked;
    });
    g.open();
    t.join();
    CHECK(end.exited);
    CHECK(end.code == 3);
    CHECK(mine->run(main()) == 3);
}
#endif
