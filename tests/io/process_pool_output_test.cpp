#include <eddy/io/process_pool.hpp>

#include <eddy/core/sleep.hpp>

#include "io/worker_functions.hpp"

#include <csignal>
#include <fcntl.h>
#include <map>
#include <unistd.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

TEST_CASE("PP-3 1 MiB to standard output and error harms nobody, wherever it goes") {
    run_pool([]() -> task<void> {
        constexpr std::size_t mib = std::size_t{1} << 20;
        std::size_t out = 0;
        std::size_t err = 0;
        process_pool_options to_handler;
        to_handler.on_output([&](const worker_output& o) { (o.is_error() ? err : out) += o.text().size(); });
        process_pool heard(1, to_handler);
        co_await heard.run(print_much, mib);
        const int two = co_await heard.run(add, 1, 1);
        CHECK(two == 2);
        while (out < mib || err < mib)
            co_await sleep(1ms);
        CHECK(out == mib);
        CHECK(err == mib);

        process_pool_options nowhere;
        nowhere.discard_output();
        process_pool unheard(1, nowhere);
        co_await unheard.run(print_much, mib);
        const int four = co_await unheard.run(add, 2, 2);
        CHECK(four == 4);
    });
}

TEST_CASE("the handler is told who printed what, from the loop") {
    run_pool([]() -> task<void> {
        std::map<int, std::string> out;
        std::map<int, std::string> err;
        bool on_loop = true;
        process_pool_options o;
        o.on_output([&](const worker_output& w) {
            on_loop = on_loop && loop::try_current() != nullptr;
            (w.is_error() ? err : out)[w.pid()] += w.text();
        });
        process_pool pool(1, o);
        const int pid = co_await pool.run(worker_pid);
        co_await pool.run(print, std::string("to out\n"), std::string("to err\n"));
        while (out.empty() || err.empty())
            co_await sleep(1ms);
        CHECK(out[pid] == "to out\n");
        CHECK(err[pid] == "to err\n");
        CHECK(on_loop);
    });
}

TEST_CASE("a worker's last words come before its job is told of its death") {
    run_pool([]() -> task<void> {
        for (int i = 0; i < 10; ++i) {
            std::string text;
            process_pool_options o;
            o.on_output([&](const worker_output& w) { text += w.text(); });
            process_pool pool(1, o);
            auto dying = error_of<worker_died>(pool.run(print_and_die, std::string("last words"), SIGKILL));
            const auto e = co_await std::move(dying);
            REQUIRE(e);
            CHECK(text == "last words");
        }
    });
}

TEST_CASE("a handler that throws is reported, and the output goes on") {
    run_pool([]() -> task<void> {
        const told handler;
        int calls = 0;
        process_pool_options o;
        o.on_output([&](const worker_output&) {
            ++calls;
            throw std::runtime_error("no");
        });
        process_pool pool(1, o);
        co_await pool.run(print, std::string("a"), std::string());
        while (calls == 0)
            co_await sleep(1ms);
        co_await pool.run(print, std::string("b"), std::string());
        while (calls == 1)
            co_await sleep(1ms);
        REQUIRE(handler.lines.size() == 2);
        CHECK(contains(handler.lines[0], "output handler"));
        CHECK(contains(handler.lines[0], "no"));
    });
}

TEST_CASE("a handler may destroy the pool") {
    run_pool([]() -> task<void> {
        std::unique_ptr<process_pool> pool;
        process_pool_options o;
        o.on_output([&](const worker_output&) { pool.reset(); });
        pool = std::make_unique<process_pool>(1, o);
        auto job = error_of<object_destroyed>(pool->run(print_and_die, std::string("x"), SIGSTOP));
        const auto e = co_await std::move(job);
        CHECK(e);
        CHECK(pool == nullptr);
    });
}

TEST_CASE("PP-3 a child of a worker that keeps the output open holds up nothing") {
    run_pool([]() -> task<void> {
        std::string text;
        process_pool_options o;
        o.on_output([&](const worker_output& w) { text += w.text(); });
        process_pool pool(1, o);
        const int child = co_await pool.run(start_child_that_sleeps);
        auto dying = error_of<worker_died>(pool.run(print_and_die, std::string("end"), SIGKILL));
        const auto e = co_await std::move(dying);
        CHECK(e);
        CHECK(text == "end");
        co_await pool.close();
        ::kill(child, SIGKILL);
    });
}

TEST_CASE("by default workers print where this process prints") {
    run_pool([]() -> task<void> {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        const int saved = ::fcntl(1, F_DUPFD_CLOEXEC, 10);
        ::dup2(fds[1], 1);
        {
            process_pool pool(1);
            co_await pool.run(print, std::string("inherited"), std::string());
            co_await pool.close();
        }
        ::dup2(saved, 1);
        ::close(saved);
        ::close(fds[1]);
        char text[32] = {};
        CHECK(::read(fds[0], text, sizeof text) == 9);
        CHECK(std::string(text) == "inherited");
        ::close(fds[0]);
    });
}
