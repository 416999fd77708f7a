// How jobs, workers and pools end: cancelled, out of time, destroyed, closed, and not even begun.
#include <eddy/io/process_pool.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

#include "io/worker_functions.hpp"
#include "support/child.hpp"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

// A file that a worker makes once its function runs.
class marker {
public:
    marker() {
        static int n = 0;
        path_ = (std::filesystem::temp_directory_path() /
                 ("eddy-pool-test-" + std::to_string(::getpid()) + "-" + std::to_string(++n)))
                    .string();
    }
    marker(const marker&) = delete;
    ~marker() { std::filesystem::remove(path_); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool exists() const { return std::filesystem::exists(path_); }
    task<void> wait() const {
        while (!exists())
            co_await sleep(1ms);
    }

private:
    std::string path_;
};

bool is_alive(int pid) { return ::kill(pid, 0) == 0; }

task<void> run_void(process_pool& pool, std::string path) { co_await pool.run(mark_and_sleep, path); }

} // namespace

TEST_CASE("PP-2 cancelling a running job kills its worker, which is replaced") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        const int before = co_await pool.run(worker_pid);
        const marker started;
        auto job = spawn(run_void, std::ref(pool), started.path());
        co_await started.wait();
        job.cancel();
        auto joined = settle(job);
        const auto end = co_await joined;
        CHECK(end.is_cancelled());
        // It is over when the await is: nothing runs on.
        CHECK_FALSE(is_alive(before));
        const int after = co_await pool.run(worker_pid);
        CHECK(after != before);
        const process_pool_statistics s = pool.statistics();
        CHECK(s.cancelled == 1);
        CHECK(s.workers_failed == 0);
        CHECK(s.workers == 1);
    });
}

TEST_CASE("PP-2 a job that is cancelled before it began, or while it is queued, never runs and costs no worker") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        auto in_scope = [&pool](cancel_scope& s) -> task<void> {
            s.cancel();
            co_await pool.run(nothing);
        };
        auto early = with_cancel_scope(in_scope);
        const bool completed = co_await early;
        CHECK_FALSE(completed);
        CHECK(pool.statistics().workers_started == 0);

        const marker first;
        const marker second;
        auto running = spawn(run_void, std::ref(pool), first.path());
        co_await first.wait();
        auto queued = spawn(run_void, std::ref(pool), second.path());
        while (pool.statistics().queued == 0)
            co_await yield();
        const int pid_count = static_cast<int>(pool.statistics().workers_started);
        queued.cancel();
        auto q = settle(queued);
        const auto end = co_await q;
        CHECK(end.is_cancelled());
        CHECK(pool.statistics().queued == 0);
        CHECK(static_cast<int>(pool.statistics().workers_started) == pid_count);
        CHECK(pool.statistics().running == 1);
        running.cancel();
        auto r = settle(running);
        static_cast<void>(co_await r);
        co_await pool.run(nothing);
        CHECK_FALSE(second.exists());
    });
}

TEST_CASE("PP-2 a timeout around a job, and a race that it loses") {
    run_pool([]() -> task<void> {
        process_pool pool(2);
        bool ran_out = false;
        try {
            auto limited = timeout(30ms, pool.run(sleep_for_ever));
            co_await limited;
        } catch (const timeout_error&) {
            ran_out = true;
        }
        CHECK(ran_out);
        auto racing = race(pool.run(sleep_for_ever), pool.run(nothing));
        const auto winner = co_await racing;
        CHECK(winner.index == 1);
        CHECK(pool.statistics().cancelled == 2);
        CHECK(pool.statistics().running == 0);
    });
}

TEST_CASE("a job that runs longer than job_timeout ends with timeout_error, also when its worker is stopped") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.job_timeout(100ms);
        process_pool pool(1, o);
        auto sleeping = error_of<timeout_error>(pool.run(sleep_for_ever));
        const auto e = co_await std::move(sleeping);
        REQUIRE(e);
        CHECK(contains(e->what(), "sleep_for_ever"));
        CHECK(contains(e->what(), "100 ms"));
        auto stopped_worker = error_of<timeout_error>(pool.run(die_of, SIGSTOP));
        const auto s = co_await std::move(stopped_worker);
        CHECK(s);
        const int three = co_await pool.run(add, 1, 2);
        CHECK(three == 3);
        CHECK(pool.statistics().timed_out == 2);
        CHECK(pool.statistics().workers_failed == 0);
    });
}

TEST_CASE("what a worker started goes with it when it is killed") {
    run_pool([]() -> task<void> {
        int child = 0;
        {
            process_pool pool(1);
            child = co_await pool.run(start_child_that_sleeps);
            CHECK(is_alive(child));
        }
        // An orphan: somebody else reaps it.
        while (is_alive(child)) {
            std::ifstream status("/proc/" + std::to_string(child) + "/stat");
            std::string text;
            std::getline(status, text);
            if (contains(text, ") Z")) break;
            co_await sleep(1ms);
        }
    });
}

TEST_CASE("close() lets the accepted jobs end and refuses others") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        auto one = [](process_pool& p, int i) -> task<int> {
            const int r = co_await p.run(add, i, 1);
            co_return r;
        };
        auto a = spawn(one, std::ref(pool), 1);
        auto b = spawn(one, std::ref(pool), 2);
        while (pool.statistics().queued + pool.statistics().running < 2)
            co_await yield();
        co_await pool.close();
        CHECK(a.done());
        CHECK(b.done());
        CHECK(pool.statistics().workers == 0);
        CHECK(pool.statistics().succeeded == 2);
        auto late = error_of<closed>(pool.run(add, 1, 1));
        const auto e = co_await std::move(late);
        CHECK(e);
        co_await pool.close(); // again, at once

        process_pool unused(1);
        co_await unused.close();
    });
}

TEST_CASE("close() that is cancelled leaves the pool closed, and its jobs their time") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        const marker started;
        auto job = spawn(run_void, std::ref(pool), started.path());
        co_await started.wait();
        auto limited = move_on_after(10ms, pool.close());
        const bool done = co_await limited;
        CHECK_FALSE(done);
        CHECK(pool.statistics().running == 1);
        job.cancel();
        co_await pool.close();
        auto joined = settle(job);
        const auto end = co_await joined;
        CHECK(end.is_cancelled());
        CHECK(pool.statistics().workers == 0);
    });
}

TEST_CASE("PP-6 destroying a pool ends what waits for it, and its workers") {
    run_pool([]() -> task<void> {
        auto pool = std::make_unique<process_pool>(1);
        const marker started;
        auto running = spawn(run_void, std::ref(*pool), started.path());
        co_await started.wait();
        auto queued = spawn(run_void, std::ref(*pool), started.path());
        while (pool->statistics().queued == 0)
            co_await yield();
        auto closing = [](process_pool& p) -> task<void> { co_await p.close(); };
        auto closer = spawn(closing, std::ref(*pool));
        co_await yield();
        pool.reset();
        for (auto* h : {&running, &queued, &closer}) {
            auto joined = settle(*h);
            const auto end = co_await joined;
            CHECK(holds<object_destroyed>(end.error()));
        }
    });
}

TEST_CASE("an operation may outlive its pool, and be destroyed anywhere") {
    run_pool([]() -> task<void> {
        auto pool = std::make_unique<process_pool>(1);
        auto never = pool->run(add, 1, 1);
        auto late = pool->run(add, 1, 1);
        pool.reset();
        bool refused = false;
        try {
            static_cast<void>(co_await late);
        } catch (const closed&) {
            refused = true;
        }
        CHECK(refused);
    });
}

TEST_CASE("PP-6 no orphan and no zombie after the loop has ended, by return or by exception") {
    for (const bool by_exception : {false, true}) {
        const nothing_left checked;
        const marker started;
        auto body = [](bool throws, const marker& m) -> task<void> {
            process_pool pool(3);
            co_await pool.run(nothing);
            auto left = spawn(run_void, std::ref(pool), m.path());
            co_await m.wait();
            if (throws) throw std::runtime_error("out");
        };
        if (by_exception)
            CHECK_THROWS_AS(eddy::run(body(true, started)), std::runtime_error);
        else
            eddy::run(body(false, started));
        CHECK_FALSE(has_children());
    }
}

TEST_CASE("PP-6 workers die within a second when their parent is killed") {
    // The orphans become this process's children: it waits for their ends, instead of looking at what may be half
    // ended.
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    const child_end end = in_child([&] {
        auto body = [&]() -> task<void> {
            process_pool pool(2);
            const marker started;
            auto busy = spawn(run_void, std::ref(pool), started.path());
            co_await started.wait();
            co_await pool.run(worker_pid);
            std::filesystem::remove(started.path());
            ::kill(::getpid(), SIGKILL);
        };
        eddy::run(body());
        return 0;
    });
    CHECK_FALSE(end.exited);
    CHECK(end.code == SIGKILL);
    // One is idle and one is busy, and a sanitizer may add a process of its own. This line would not be passed if one
    // of them went on.
    int orphans = 0;
    while (::waitpid(-1, nullptr, 0) > 0)
        ++orphans;
    CHECK(orphans >= 2);
    CHECK(::prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

TEST_CASE("workers that die at their start are tried again, at growing intervals, and then the jobs are told") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.variable("EDDY_TEST_START", "exit").discard_output();
        process_pool pool(2, o);
        auto all = gather_settled(pool.run(add, 1, 1), pool.run(add, 2, 2), pool.run(add, 3, 3));
        auto [a, b, c] = co_await all;
        for (const auto& e : {a.error(), b.error(), c.error()}) {
            REQUIRE(holds<worker_died>(e));
            CHECK(contains(eddy_test::text_of(e), "exit 7"));
            CHECK(contains(eddy_test::text_of(e), "no worker becomes ready"));
        }
        CHECK(pool.statistics().workers_started >= 5);
        CHECK(pool.statistics().refused == 3);
        // One more try a job from then on.
        const auto before = pool.statistics().workers_started;
        auto again = error_of<worker_died>(pool.run(add, 1, 1));
        const auto e = co_await std::move(again);
        CHECK(e);
        CHECK(pool.statistics().workers_started == before + 1);
    });
}

TEST_CASE("workers that abort, hang or talk nonsense at their start") {
    run_pool([]() -> task<void> {
        for (const char* how : {"abort", "hang", "garbage"}) {
            process_pool_options o;
            o.variable("EDDY_TEST_START", how).discard_output().start_timeout(20ms);
            process_pool pool(1, o);
            auto failing = error_of<worker_died>(pool.run(add, 1, 1));
            const auto e = co_await std::move(failing);
            REQUIRE(e);
            CHECK(e->term_signal() == (how == std::string("abort") ? SIGABRT : SIGKILL));
            CHECK(pool.statistics().starting == 0);
        }
    });
}

TEST_CASE("workers that greet and die are not started again for ever") {
    run_pool([]() -> task<void> {
        process_pool_options o;
        o.variable("EDDY_TEST_START", "greet");
        process_pool pool(1, o);
        for (int i = 0; i < 5; ++i) {
            auto failing = error_of<worker_died>(pool.run(add, 1, 1));
            const auto e = co_await std::move(failing);
            REQUIRE(e);
            CHECK(e->exit_code() == 7);
        }
        CHECK(pool.statistics().workers_started <= 9); // five until the first job is told, then one a job
    });
}

TEST_CASE("a worker with another table of functions is refused, and the jobs are told why") {
    run_pool([]() -> task<void> {
        // As from a library that was loaded later: the workers do not have it.
        const detail::process_function extra(&has_children, "extra", "nowhere.cpp", 1);
        process_pool pool(2);
        auto first = error_of<worker_protocol_error>(pool.run(add, 1, 1));
        const auto e = co_await std::move(first);
        REQUIRE(e);
        CHECK(contains(e->what(), "EDDY_PROCESS_FUNCTION"));
        auto second = error_of<worker_protocol_error>(pool.run(add, 1, 1));
        const auto again = co_await std::move(second);
        CHECK(again);
        CHECK(pool.statistics().workers_started == 1);
    });
}

TEST_CASE("a worker that closes its connection and lives on is killed; the job is told") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        auto closing = error_of<worker_protocol_error>(pool.run(close_link));
        const auto e = co_await std::move(closing);
        REQUIRE(e);
        CHECK(contains(e->what(), "closed its connection"));
        const int two = co_await pool.run(add, 1, 1);
        CHECK(two == 2);
    });
}

TEST_CASE("a result that can't be sent, and one that can't be read") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        tagged t;
        t.number = -2; // can't be read, by the worker
        auto unreadable = error_of<remote_error>(pool.run(change, t));
        const auto u = co_await std::move(unreadable);
        REQUIRE(u);
        CHECK(contains(u->what(), "-2 can't be read"));
        t.number = -3; // reading it kills the worker
        auto deadly = error_of<worker_died>(pool.run(change, t));
        const auto d = co_await std::move(deadly);
        REQUIRE(d);
        t.number = -4;
        CHECK(d->term_signal() == SIGABRT);
        auto refused = error_of<worker_protocol_error>(pool.run(malformed_result)); // by this process
        const auto r = co_await std::move(refused);
        REQUIRE(r);
        CHECK(contains(r->what(), "no value of the function's type"));
        t.number = -2;
        const int two = co_await pool.run(add, 1, 1);
        CHECK(two == 2);
    });
}

TEST_CASE("a pool without descriptors left says so, and works again when there are some") {
    run_pool([]() -> task<void> {
        process_pool pool(1);
        std::vector<int> taken;
        for (int fd; (fd = ::dup(0)) >= 0;)
            taken.push_back(fd);
        // Two are left: the connection can be made, the process can't. (Sanitizers look at memory by way of a pipe.)
        for (int i = 0; i < 2; ++i) {
            ::close(taken.back());
            taken.pop_back();
        }
        auto failing = error_of<uv_error>(pool.run(add, 1, 1));
        const auto e = co_await std::move(failing);
        for (const int fd : taken)
            ::close(fd);
        REQUIRE(e);
        CHECK(e->code() == std::errc::too_many_files_open);
        const int two = co_await pool.run(add, 1, 1);
        CHECK(two == 2);
    });
}
