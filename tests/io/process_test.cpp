#include <eddy/io/process.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/io/pipe.hpp>

#include "io/real.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <uv.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

// Both ends of a pipe; the writing end is for a child.
struct test_pipe {
    test_pipe() {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        reader.emplace(pipe_stream::open(fds[0]));
        writer = fds[1];
    }
    test_pipe(test_pipe&& o) noexcept : reader(std::move(o.reader)), writer(std::exchange(o.writer, -1)) {}
    void close_writer() {
        if (writer >= 0) ::close(std::exchange(writer, -1));
    }
    ~test_pipe() { close_writer(); }
    std::optional<pipe_stream> reader;
    int writer = -1;
};

task<std::string> read_line(pipe_stream& from) {
    std::string line;
    for (;;) {
        std::byte one{};
        auto op = from.read_some(std::span(&one, 1));
        const std::size_t n = co_await op;
        if (n == 0 || one == std::byte{'\n'}) co_return line;
        line += static_cast<char>(one);
    }
}

// A child that has said "ready" when this returns.
struct ready_child {
    std::optional<process> child;
    std::optional<test_pipe> pipe;
};

task<void> start_ready(ready_child& c, std::string script, std::chrono::milliseconds grace) {
    c.pipe.emplace();
    process_options o = shell(std::move(script));
    o.out(stdio::descriptor(c.pipe->writer)).err(stdio::discard()).grace(grace);
    c.child.emplace(process::start(o));
    c.pipe->close_writer();
    auto op = read_line(*c.pipe->reader);
    const std::string line = co_await std::move(op);
    CHECK(line == "ready");
}

constexpr const char* stubborn = "trap '' TERM; echo ready; while :; do sleep 30; done";
constexpr const char* polite = "echo ready; exec sleep 30";

} // namespace

TEST_CASE("a process gives its exit code") {
    run_real([]() -> task<void> {
        process_options o = shell("exit 3");
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.status.exited());
        CHECK(r.status.code() == 3);
        CHECK(r.status.signal() == 0);
        CHECK_FALSE(r.status.success());
        CHECK(to_string(r.status) == "exit 3");
        CHECK(r.drained);
        CHECK(r.out.empty());
        auto good = run_process("true");
        process_result t = co_await good;
        CHECK(t.status.success());
    });
}

TEST_CASE("a process that dies of a signal gives the signal") {
    run_real([]() -> task<void> {
        process_options o = shell("kill -9 $$");
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK_FALSE(r.status.exited());
        CHECK(r.status.signal() == SIGKILL);
        CHECK_FALSE(r.status.success());
        CHECK(to_string(r.status) == "SIGKILL");
    });
}

TEST_CASE("both outputs are captured, each by itself") {
    run_real([]() -> task<void> {
        process_options o = shell("echo to out; echo to err >&2; echo x >/dev/stdout");
        o.out(stdio::capture()).err(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.out.text() == "to out\nx\n");
        CHECK(r.err.text() == "to err\n");
        CHECK(r.out.size() == 9);
        CHECK(r.out.total() == 9);
        CHECK_FALSE(r.out.truncated());
        CHECK_FALSE(r.out.spilled());
    });
}

TEST_CASE("ten megabytes go to an unlinked file, and nothing is cut") {
    run_real([]() -> task<void> {
        constexpr std::uint64_t size = 10u << 20;
        process_options o = shell("head -c 10485760 /dev/zero | tr '\\0' x");
        o.out(stdio::spill(1 << 20)).err(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.status.success());
        CHECK(r.out.spilled());
        CHECK_FALSE(r.out.truncated());
        CHECK(r.out.size() == size);
        const std::string all = r.out.text();
        CHECK(all.size() == size);
        CHECK(std::count(all.begin(), all.end(), 'x') == static_cast<std::ptrdiff_t>(size));

        std::uint64_t seen = 0;
        std::size_t longest = 0;
        r.out.for_each_chunk([&](std::string_view piece) {
            seen += piece.size();
            longest = std::max(longest, piece.size());
        });
        CHECK(seen == size);
        CHECK(longest <= captured_output::chunk_size);

        std::FILE* file = std::tmpfile();
        r.out.write_to(::fileno(file));
        CHECK(::lseek(::fileno(file), 0, SEEK_END) == static_cast<off_t>(size));
        std::fclose(file);
    });
}

TEST_CASE("output that fits stays in memory; one byte more does not") {
    run_real([]() -> task<void> {
        for (const int n : {8, 9}) {
            process_options o = shell("printf " + std::string(static_cast<std::size_t>(n), 'y'));
            o.out(stdio::spill(8));
            auto op = run_process(o);
            process_result r = co_await op;
            CHECK(r.out.spilled() == (n > 8));
            CHECK(r.out.text() == std::string(static_cast<std::size_t>(n), 'y'));
            std::array<char, 4> some{};
            CHECK(r.out.read_at(6, some) == static_cast<std::size_t>(n - 6));
            CHECK(r.out.read_at(9, some) == 0);
        }
    });
}

TEST_CASE("a bounded capture keeps the head and marks where it is cut") {
    run_real([]() -> task<void> {
        process_options o = shell("printf abcdefghijklmnopqrstuvwxyz");
        o.out(stdio::capture(10));
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.status.success());
        CHECK(r.out.truncated());
        CHECK(r.out.size() == 10);
        CHECK(r.out.total() == 26);
        CHECK(r.out.text() == "abcdefghij\n[eddy: output cut here, 16 more bytes]\n");
        std::string raw;
        r.out.for_each_chunk([&](std::string_view piece) { raw += piece; });
        CHECK(raw == "abcdefghij");

        o.out(stdio::capture(26));
        auto again = run_process(o);
        process_result exact = co_await again;
        CHECK_FALSE(exact.out.truncated());
        CHECK(exact.out.text() == "abcdefghijklmnopqrstuvwxyz");
    });
}

TEST_CASE("standard input is fed, also to a program that does not read it") {
    run_real([]() -> task<void> {
        process_options o("cat");
        o.in(stdio::feed("hello\n")).out(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.out.text() == "hello\n");

        process_options big("wc", std::vector<std::string>(1, "-c"));
        big.in(stdio::feed(std::string(3 << 20, 'z'))).out(stdio::capture());
        auto count = run_process(big);
        process_result counted = co_await count;
        CHECK(std::stoi(counted.out.text()) == 3 << 20);

        process_options deaf("true");
        deaf.in(stdio::feed(std::string(3 << 20, 'z')));
        auto ignored = run_process(deaf);
        process_result unread = co_await ignored;
        CHECK(unread.status.success());
    });
}

TEST_CASE("by default standard input is the null device") {
    run_real([]() -> task<void> {
        process_options o("cat");
        o.out(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.status.success());
        CHECK(r.out.empty());
    });
}

TEST_CASE("environment: inherited, replaced, or with a variable more") {
    run_real([]() -> task<void> {
        ::setenv("EDDY_TEST_A", "from here", 1);
        const char* const show = "echo \"$EDDY_TEST_A|$EDDY_TEST_B\"";
        process_options o = shell(show);
        o.out(stdio::capture());
        auto plain = run_process(o);
        process_result inherited = co_await plain;
        CHECK(inherited.out.text() == "from here|\n");

        o.variable("EDDY_TEST_B", "b").variable("EDDY_TEST_A", "other");
        auto more = run_process(o);
        process_result added = co_await more;
        CHECK(added.out.text() == "other|b\n");
        process_options list("env");
        list.out(stdio::capture()).variable("EDDY_TEST_A", "new");
        auto listed = run_process(list);
        process_result all = co_await listed;
        CHECK(contains(all.out.text(), "EDDY_TEST_A=new\n"));
        CHECK_FALSE(contains(all.out.text(), "from here"));

        process_options bare = shell(show);
        bare.out(stdio::capture()).env(std::vector<std::string>(1, "EDDY_TEST_B=only"));
        auto alone = run_process(bare);
        process_result replaced = co_await alone;
        CHECK(replaced.out.text() == "|only\n");
        ::unsetenv("EDDY_TEST_A");
    });
}

TEST_CASE("a process runs in the directory it is given") {
    run_real([]() -> task<void> {
        process_options o("pwd");
        o.cwd("/usr").out(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.out.text() == "/usr\n");
    });
}

TEST_CASE("what cannot be started is a clear error that names it, and leaves nothing") {
    run_real([]() -> task<void> {
        const auto start = [](process_options o) {
            o.out(stdio::capture()).err(stdio::spill()).in(stdio::feed("x"));
            return text_of<uv_error>([&] { static_cast<void>(process::start(o)); });
        };
        CHECK(start("no-such-program-anywhere") ==
              "eddy: cannot start 'no-such-program-anywhere': no such file or directory");
        CHECK(start("/etc/passwd") == "eddy: cannot start '/etc/passwd': permission denied");
        process_options lost("true");
        lost.cwd("/no/such/place");
        CHECK(start(lost) == "eddy: cannot start 'true' in directory '/no/such/place': no such file or directory");
        process_options there("no-such-program-anywhere");
        there.cwd("/usr");
        CHECK(start(there) == "eddy: cannot start 'no-such-program-anywhere': no such file or directory");
        process_options wordy("true", std::vector<std::string>(2, std::string(200'000, 'a')));
        CHECK(start(wordy) == "eddy: cannot start 'true' with 2 arguments of 400002 bytes: argument list too long");
        CHECK_FALSE(has_children());

        // run_process gives the same error to whoever awaits it.
        auto op = run_process("no-such-program-anywhere");
        std::string text;
        try {
            co_await op;
        } catch (const uv_error& e) {
            text = e.what();
            CHECK(e.code() == std::errc::no_such_file_or_directory);
        }
        CHECK(contains(text, "no-such-program-anywhere"));
    });
}

TEST_CASE("bad options are a logic_error that names the value") {
    run_real([]() -> task<void> {
        const auto start = [](const process_options& o) {
            return text_of<std::logic_error>([&] { static_cast<void>(process::start(o)); });
        };
        CHECK(contains(start(""), "without a name"));
        CHECK(contains(start(process_options("true", std::vector<std::string>(1, std::string("a\0b", 3)))), "a\\0"));
        process_options o("true");
        o.env(std::vector<std::string>(1, "novalue"));
        CHECK(contains(start(o), "'novalue' is not NAME=value"));
        o = process_options("true");
        o.variable("a=b", "c");
        CHECK(contains(start(o), "'a=b' can't be the name"));
        o = process_options("true");
        o.in(stdio::capture());
        CHECK(contains(start(o), "standard input can't be captured"));
        o = process_options("true");
        o.err(stdio::feed("x"));
        CHECK(contains(start(o), "standard error can't be fed"));
        o = process_options("true");
        o.out(stdio::descriptor(987));
        CHECK(contains(start(o), "descriptor 987, which is not open"));
        co_return;
    });
}

TEST_CASE("loops with simulated time have no processes, and say so") {
    eddy_test::run([]() -> task<void> {
        auto op = run_process("true");
        std::string text;
        try {
            co_await op;
        } catch (const std::logic_error& e) {
            text = e.what();
        }
        CHECK(text == "eddy: a loop with simulated time has no uv_loop_t");
    });
    CHECK_THROWS_AS(static_cast<void>(process::start("true")), no_running_loop);
}

TEST_CASE("terminate: SIGTERM is enough for most") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, polite, 20s);
        const stopwatch watch;
        auto op = c.child->terminate();
        const exit_status s = co_await op;
        CHECK(s.signal() == SIGTERM);
        CHECK(watch.elapsed() < 10s);
        auto again = c.child->terminate();
        const exit_status same = co_await again;
        CHECK(same == s);
    });
}

TEST_CASE("terminate: who ignores SIGTERM gets SIGKILL after the grace, with its whole group") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, stubborn, 150ms);
        const stopwatch watch;
        auto op = c.child->terminate();
        const exit_status s = co_await op;
        CHECK(s.signal() == SIGKILL);
        CHECK(watch.elapsed() >= 150ms);
        CHECK(watch.elapsed() < 10s);
        // Its `sleep 30` held the pipe: it is gone too.
        auto rest = read_line(*c.pipe->reader);
        const std::string line = co_await std::move(rest);
        CHECK(line.empty());
        CHECK(watch.elapsed() < 10s);
    });
}

TEST_CASE("terminate does its work in a cancelled scope too") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, polite, 20s);
        bool terminated = false;
        auto scope = with_cancel_scope([&](cancel_scope& s) -> task<void> {
            s.cancel();
            auto op = c.child->terminate();
            const exit_status status = co_await op;
            terminated = status.signal() == SIGTERM;
            co_await checkpoint();
            terminated = false; // never reached
        });
        const bool completed = co_await scope;
        CHECK(terminated);
        CHECK_FALSE(completed);
    });
}

TEST_CASE("terminate that has begun is not cancelled") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, stubborn, 60ms);
        const auto job = [](process& p) -> task<int> {
            auto op = p.terminate();
            const exit_status s = co_await op;
            co_return s.signal();
        };
        auto h = spawn(job, std::ref(*c.child));
        co_await yield();
        h.cancel();
        const int signum = co_await h;
        CHECK(signum == SIGKILL);
        CHECK_FALSE(has_children());
    });
}

TEST_CASE("the output of a process that ran out of time is not lost") {
    run_real([]() -> task<void> {
        test_pipe ready;
        process_options o = shell("echo before; echo ready >&2; exec sleep 30 2>/dev/null");
        o.out(stdio::spill()).err(stdio::descriptor(ready.writer)).grace(20s);
        process p = process::start(o);
        ready.close_writer();
        auto written = read_line(*ready.reader);
        static_cast<void>(co_await std::move(written));
        auto limited = move_on_after(5ms, p.finished());
        const std::optional<process_result> none = co_await limited;
        CHECK_FALSE(none.has_value());
        auto end = p.terminate();
        const exit_status s = co_await end;
        CHECK(s.signal() == SIGTERM);
        auto rest = p.finished();
        process_result result = co_await rest;
        CHECK(result.status.signal() == SIGTERM);
        CHECK(result.out.text() == "before\n");
    });
}

TEST_CASE("a grandchild that holds the pipe is waited for as long as the drain timeout") {
    run_real([]() -> task<void> {
        process_options o = shell("sleep 30 & echo hello");
        o.out(stdio::spill()).err(stdio::spill()).drain_timeout(150ms);
        process p = process::start(o);
        const stopwatch watch;
        auto exit = p.exited();
        const exit_status s = co_await exit;
        CHECK(s.success());
        auto op = p.finished();
        process_result r = co_await op;
        CHECK(watch.elapsed() >= 150ms);
        CHECK(watch.elapsed() < 10s);
        CHECK_FALSE(r.drained);
        CHECK(r.out.truncated());
        CHECK(r.out.text() == "hello\n");
        ::kill(-p.pid(), SIGKILL); // the sleep; its group lives as long as it does
    });
}

TEST_CASE("with no drain timeout, what the program wrote before its end is there all the same") {
    run_real([]() -> task<void> {
        test_pipe ready;
        int go[2];
        REQUIRE(::pipe2(go, O_CLOEXEC) == 0);
        // (In a subshell: the shell itself would have another descriptor 1 for that moment.)
        process_options o = shell("(echo ready >&2); read go; sleep 30 & exec head -c 600000 /dev/zero");
        o.in(stdio::descriptor(go[0])).out(stdio::spill()).err(stdio::descriptor(ready.writer)).drain_timeout(0s);
        process p = process::start(o);
        auto line = read_line(*ready.reader);
        static_cast<void>(co_await std::move(line));
        // A pipe that holds more than is read out of it in one turn of the loop, and a child that has ended before
        // that.
        const std::string name = "/proc/" + std::to_string(p.pid()) + "/fd/1";
        const int pipe = ::open(name.c_str(), O_WRONLY | O_CLOEXEC);
        CHECK(::fcntl(pipe, F_SETPIPE_SZ, 1 << 20) == 1 << 20);
        ::close(pipe);
        CHECK(::write(go[1], "\n", 1) == 1);
        siginfo_t ended;
        ::waitid(P_PID, static_cast<id_t>(p.pid()), &ended, WEXITED | WNOWAIT);
        auto op = p.finished();
        process_result r = co_await op;
        CHECK(r.out.size() == 600'000);
        CHECK_FALSE(r.drained);
        ::kill(-p.pid(), SIGKILL);
        ::close(go[0]);
        ::close(go[1]);
    });
}

TEST_CASE("a grandchild that closes the pipe in time is no reason to cut") {
    run_real([]() -> task<void> {
        process_options o = shell("(sleep 0.1; echo late) & echo early");
        o.out(stdio::spill()).drain_timeout(20s);
        auto op = run_process(o);
        process_result r = co_await op;
        CHECK(r.drained);
        CHECK_FALSE(r.out.truncated());
        CHECK(r.out.text() == "early\nlate\n");
    });
}

TEST_CASE("cancelling the wait for the exit leaves the process running") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, polite, 20s);
        auto limited = move_on_after(10ms, c.child->exited());
        const std::optional<exit_status> none = co_await limited;
        CHECK_FALSE(none.has_value());
        CHECK_FALSE(c.child->done());
        CHECK(c.child->kill(0));
        CHECK_THROWS_AS(c.child->kill(1000), uv_error);
        CHECK(c.child->kill(SIGHUP));
        auto op = c.child->exited();
        const exit_status s = co_await op;
        CHECK(s.signal() == SIGHUP);
        CHECK(c.child->done());
        CHECK_FALSE(c.child->kill(SIGTERM));
    });
}

TEST_CASE("many wait for one process, also after its end") {
    run_real([]() -> task<void> {
        process_options o = shell("exit 5");
        process p = process::start(o);
        const auto wait = [](process& one) -> task<int> {
            auto op = one.exited();
            const exit_status s = co_await op;
            co_return s.code();
        };
        auto a = spawn(wait, std::ref(p));
        auto b = spawn(wait, std::ref(p));
        const int first = co_await a;
        const int second = co_await b;
        const int third = co_await wait(p);
        CHECK(first == 5);
        CHECK(second == 5);
        CHECK(third == 5);
        auto op = p.finished();
        process_result r = co_await op;
        CHECK(r.status.code() == 5);
        auto twice = p.finished();
        CHECK_THROWS_AS(static_cast<void>(co_await twice), std::logic_error);
    });
}

TEST_CASE("a time limit on run_process ends the process before it throws") {
    run_real([]() -> task<void> {
        const stopwatch watch;
        process_options o("sleep", std::vector<std::string>(1, "30"));
        auto op = timeout(50ms, run_process(o));
        CHECK_THROWS_AS(static_cast<void>(co_await op), timeout_error);
        CHECK_FALSE(has_children());
        CHECK(watch.elapsed() >= 50ms);
        CHECK(watch.elapsed() < 10s);
    });
}

TEST_CASE("cancelling run_process: SIGTERM, after the grace SIGKILL, then it ends as cancelled") {
    run_real([]() -> task<void> {
        test_pipe pipe;
        process_options o = shell(stubborn);
        o.out(stdio::descriptor(pipe.writer)).grace(100ms);
        const auto job = [](const process_options& how) -> task<void> {
            auto op = run_process(how);
            static_cast<void>(co_await op);
        };
        auto h = spawn(job, std::cref(o));
        auto line = read_line(*pipe.reader);
        const std::string ready = co_await std::move(line);
        CHECK(ready == "ready");
        pipe.close_writer();
        const stopwatch watch;
        h.cancel();
        CHECK_THROWS_AS(co_await h, task_cancelled);
        CHECK(watch.elapsed() >= 100ms);
        CHECK(watch.elapsed() < 10s);
        CHECK_FALSE(has_children());
    });
}

TEST_CASE("run_process in a cancelled scope starts nothing") {
    run_real([]() -> task<void> {
        auto scope = with_cancel_scope([](cancel_scope& s) -> task<void> {
            s.cancel();
            auto op = run_process("no-such-program-anywhere");
            static_cast<void>(co_await op);
        });
        const bool completed = co_await scope;
        CHECK_FALSE(completed);
    });
}

TEST_CASE("run_process takes part in a race; the loser is ended and reaped") {
    run_real([]() -> task<void> {
        process_options slow("sleep", std::vector<std::string>(1, "30"));
        auto op = race(run_process(slow), run_process("true"));
        auto r = co_await op;
        CHECK(r.index == 1);
        CHECK_FALSE(has_children());
    });
}

TEST_CASE("CP-7 dropping a process ends it in the background; the loop waits for that") {
    int pid = 0;
    {
        const nothing_left checked;
        const stopwatch watch;
        eddy::run([](int& id) -> task<void> {
            ready_child c;
            co_await start_ready(c, polite, 20s);
            id = c.child->pid();
        }(pid));
        CHECK(watch.elapsed() < 10s);
    }
    CHECK(pid > 0);
    CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("CP-7 frames that are destroyed at shutdown leave no zombie") {
    const nothing_left checked;
    const stopwatch watch;
    const auto main = []() -> task<void> {
        ready_child c;
        co_await start_ready(c, stubborn, 300ms);
        auto stuck = [](ready_child mine) -> task<void> {
            auto op = mine.child->terminate(); // can't be cancelled
            static_cast<void>(co_await op);
        };
        static_cast<void>(spawn(stuck, std::move(c)));
        const auto job = []() -> task<void> {
            process_options o("sleep", std::vector<std::string>(1, "30"));
            auto op = run_process(o);
            static_cast<void>(co_await op);
        };
        static_cast<void>(spawn(job));
        co_await yield();
        co_await yield();
    };
    eddy::run(main(), run_options().shutdown_timeout(20ms));
    CHECK(watch.elapsed() >= 300ms);
    CHECK(watch.elapsed() < 10s);
}

TEST_CASE("a process that is dropped wakes who waits for it") {
    run_real([]() -> task<void> {
        std::optional<process> p;
        process_options o("sleep", std::vector<std::string>(1, "30"));
        p.emplace(process::start(o));
        const auto exit = [](process& one) -> task<void> {
            auto op = one.exited();
            static_cast<void>(co_await op);
        };
        const auto end = [](process& one) -> task<void> {
            auto op = one.finished();
            static_cast<void>(co_await op);
        };
        auto a = spawn(exit, std::ref(*p));
        auto b = spawn(end, std::ref(*p));
        co_await yield();
        p.reset();
        CHECK_THROWS_AS(co_await a, object_destroyed);
        CHECK_THROWS_AS(co_await b, object_destroyed);
    });
}

TEST_CASE("processes move") {
    run_real([]() -> task<void> {
        process_options slow("sleep", std::vector<std::string>(1, "30"));
        process a = process::start(slow);
        process b = process::start("true");
        a = std::move(b); // ends the sleep
        auto op = a.exited();
        const exit_status s = co_await op;
        CHECK(s.success());
        CHECK(b.done());
        CHECK(b.pid() == 0);
        auto moved = b.exited();
        CHECK_THROWS_AS(static_cast<void>(co_await moved), std::logic_error);
    });
}

TEST_CASE("X-6 a process belongs to the loop that started it") {
    const nothing_left checked;
    std::optional<process> p;
    {
        loop l;
        const auto main = [](std::optional<process>& into) -> task<void> {
            process_options o("sleep", std::vector<std::string>(1, "30"));
            into.emplace(process::start(o));
            co_return;
        };
        l.run(main(p));
        loop other;
        const auto wait = [](process& one) -> task<void> {
            auto op = one.finished();
            static_cast<void>(co_await op);
        };
        CHECK_THROWS_AS(other.run(wait(*p)), std::logic_error);
        CHECK_FALSE(p->done());
    }
    // Its loop has gone, and it with it.
    CHECK(p->done());
    CHECK_FALSE(p->kill(SIGTERM));
}

TEST_CASE("an adopted loop goes on until a dropped process has been reaped") {
    const nothing_left checked;
    uv_loop_t host;
    REQUIRE(uv_loop_init(&host) == 0);
    {
        std::optional<loop> l(std::in_place, &host);
        std::optional<process> p;
        const auto main = [](std::optional<process>& into) -> task<void> {
            process_options o("sleep", std::vector<std::string>(1, "30"));
            into.emplace(process::start(o));
            co_return;
        };
        l->run(main(p));
        l.reset();
        CHECK_FALSE(p->done());
        uv_run(&host, UV_RUN_DEFAULT);
        CHECK(p->done());
    }
    CHECK(uv_loop_close(&host) == 0);
}

TEST_CASE("a child has a session and a group of its own, unless it is not wanted") {
    run_real([]() -> task<void> {
        const auto ids = [](bool same) -> task<std::pair<int, std::string>> {
            process_options o = shell("cut -d' ' -f5,6 /proc/$$/stat");
            o.out(stdio::capture()).same_group(same);
            process p = process::start(o);
            const int pid = p.pid();
            auto op = p.finished();
            process_result r = co_await op;
            co_return std::pair(pid, r.out.text());
        };
        auto own = co_await ids(false);
        CHECK(own.second == std::to_string(own.first) + " " + std::to_string(own.first) + "\n");
        auto shared = co_await ids(true);
        CHECK(shared.second == std::to_string(::getpgrp()) + " " + std::to_string(::getsid(0)) + "\n");

        process_options o("sleep", std::vector<std::string>(1, "30"));
        o.same_group(true);
        process p = process::start(o);
        auto op = p.terminate();
        const exit_status s = co_await op; // and we are still here
        CHECK(s.signal() == SIGTERM);
    });
}

TEST_CASE("too few descriptors: an error, and all that was taken is given back") {
    run_real([]() -> task<void> {
        rlimit before{};
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        const std::size_t open = open_descriptors();
        int failures = 0;
        int successes = 0;
        for (rlim_t spare = 0; spare < 12; ++spare) {
            rlimit tight = before;
            tight.rlim_cur = open - 1 + spare; // one of `open` was the listing's own
            ::setrlimit(RLIMIT_NOFILE, &tight);
            std::error_code code;
            process_options o = shell("echo x");
            o.in(stdio::feed("x")).out(stdio::capture()).err(stdio::spill());
            auto op = run_process(o);
            try {
                process_result r = co_await op;
                CHECK(r.out.text() == "x\n");
                ++successes;
            } catch (const uv_error& e) {
                code = e.code();
                ++failures;
                CHECK(contains(e.what(), "cannot start 'sh'"));
            }
            ::setrlimit(RLIMIT_NOFILE, &before);
            if (code) CHECK(code == std::errc::too_many_files_open);
            CHECK(open_descriptors() == open);
            CHECK_FALSE(has_children());
        }
        CHECK(failures > 3);
        CHECK(successes > 0);
    });
}

TEST_CASE("output that can't be kept is an error when it is read, never a part of it") {
    run_real([]() -> task<void> {
        const char* const before = std::getenv("TMPDIR");
        const std::string old = before == nullptr ? "" : before;
        ::setenv("TMPDIR", "/no/such/place", 1);
        process_options o = shell("printf 0123456789; exit 4");
        o.out(stdio::spill(4));
        auto op = run_process(o);
        process_result r = co_await op;
        if (before == nullptr)
            ::unsetenv("TMPDIR");
        else
            ::setenv("TMPDIR", old.c_str(), 1);
        CHECK(r.status.code() == 4);
        CHECK(r.out.truncated());
        CHECK(r.out.total() == 10);
        CHECK(r.out.size() == 0);
        CHECK(text_of<uv_error>([&] { static_cast<void>(r.out.text()); }) ==
              "eddy: 10 bytes of output could not be kept: no such file or directory");
        CHECK_THROWS_AS(r.out.write_to(2), uv_error);
        CHECK_THROWS_AS(r.out.for_each_chunk([](std::string_view) {}), uv_error);
        captured_output moved = std::move(r.out);
        CHECK_THROWS_AS(static_cast<void>(moved.text()), uv_error);
        CHECK_NOTHROW(static_cast<void>(r.out.text()));
    });
}

TEST_CASE("writing output where nobody reads is an error, not the end of the program") {
    run_real([]() -> task<void> {
        process_options o = shell("echo hello");
        o.out(stdio::capture());
        auto op = run_process(o);
        process_result r = co_await op;
        int fds[2];
        REQUIRE(::pipe(fds) == 0);
        ::close(fds[0]);
        std::error_code code;
        try {
            r.out.write_to(fds[1]);
        } catch (const uv_error& e) {
            code = e.code();
        }
        CHECK(code == std::errc::broken_pipe);
        ::close(fds[1]);
    });
}

TEST_CASE("two hundred processes at once") {
    run_real([]() -> task<void> {
        const auto job = [](int n) -> task<void> {
            process_options o = shell("echo out" + std::to_string(n) + "; echo err >&2; exit " + std::to_string(n % 7));
            o.out(stdio::spill()).err(stdio::capture());
            auto op = run_process(o);
            process_result r = co_await op;
            CHECK(r.status.code() == n % 7);
            CHECK(r.out.text() == "out" + std::to_string(n) + "\n");
            CHECK(r.err.text() == "err\n");
        };
        std::vector<task_handle<void>> all;
        for (int n = 0; n < 200; ++n)
            all.push_back(spawn(job, n));
        for (auto& h : all)
            co_await h;
    });
}

TEST_CASE("a task dump says which process is waited for") {
    run_real([]() -> task<void> {
        ready_child c;
        co_await start_ready(c, polite, 20s);
        const auto exit = [](process& p) -> task<void> {
            auto op = p.exited();
            static_cast<void>(co_await op);
        };
        const auto end = [](process& p) -> task<void> {
            auto op = p.finished();
            static_cast<void>(co_await op);
        };
        const auto stop = [](process& p) -> task<void> {
            auto op = p.terminate();
            static_cast<void>(co_await op);
        };
        const auto all = []() -> task<void> {
            process_options o("sleep", std::vector<std::string>(1, "30"));
            auto op = run_process(o);
            static_cast<void>(co_await op);
        };
        std::vector<task_handle<void>> tasks;
        tasks.push_back(spawn(exit, std::ref(*c.child)));
        tasks.push_back(spawn(end, std::ref(*c.child)));
        tasks.push_back(spawn(all));
        tasks.push_back(spawn(stop, std::ref(*c.child)));
        co_await yield();
        std::ostringstream dump;
        loop::current().dump_tasks(dump);
        const std::string here = " (process " + std::to_string(c.child->pid()) + ")";
        CHECK(contains(dump.str(), "process.exited" + here));
        CHECK(contains(dump.str(), "process.finished" + here));
        CHECK(contains(dump.str(), "process.terminate" + here));
        CHECK(contains(dump.str(), "run_process (process "));
        tasks[2].cancel();
        co_await tasks[0];
        co_await tasks[1];
        CHECK_THROWS_AS(co_await tasks[2], task_cancelled);
        co_await tasks[3];
    });
}

TEST_CASE("cancelling run_process when the program has ended does not wait for its output") {
    run_real([]() -> task<void> {
        const stopwatch watch;
        process_options o = shell("sleep 3 & echo x");
        o.out(stdio::capture()).drain_timeout(30s);
        auto op = move_on_after(200ms, run_process(o));
        const auto none = co_await op;
        CHECK_FALSE(none.has_value());
        CHECK(watch.elapsed() < 2500ms);
    });
}

TEST_CASE("output is written whole to a descriptor that does not block") {
    run_real([]() -> task<void> {
        process_options o = shell("head -c 1000000 /dev/zero");
        o.out(stdio::spill(1000));
        auto op = run_process(o);
        process_result r = co_await op;
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
        std::size_t read = 0;
        std::thread reader([&] {
            pollfd p{fds[0], POLLIN, 0};
            std::array<char, 4096> room;
            for (;;) {
                ::poll(&p, 1, -1);
                const ssize_t n = ::read(fds[0], room.data(), room.size());
                if (n == 0) return;
                if (n > 0) read += static_cast<std::size_t>(n);
            }
        });
        r.out.write_to(fds[1]);
        ::close(fds[1]);
        reader.join();
        ::close(fds[0]);
        CHECK(read == 1'000'000);
    });
}
