#include <eddy/io/pipe.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/timeout.hpp>

#include "io/real.hpp"

#include <array>
#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

struct two_ends {
    two_ends() {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        reader.emplace(pipe_stream::open(fds[0]));
        writer.emplace(pipe_stream::open(fds[1]));
    }
    std::optional<pipe_stream> reader;
    std::optional<pipe_stream> writer;
};

task<std::string> read_up_to(pipe_stream& from, std::size_t n) {
    std::string text(n, '\0');
    auto op = from.read_some(std::as_writable_bytes(std::span(text)));
    const std::size_t got = co_await op;
    text.resize(got);
    co_return text;
}

task<void> write_text(pipe_stream& to, std::string text) {
    auto op = to.write(std::as_bytes(std::span(text)));
    co_await op;
}

task<std::size_t> count_all(pipe_stream& from) {
    std::size_t n = 0;
    for (;;) {
        std::string piece = co_await read_up_to(from, 100'000);
        if (piece.empty()) co_return n;
        n += piece.size();
    }
}

} // namespace

TEST_CASE("what is written into a pipe is read out of it, then the end") {
    run_real([]() -> task<void> {
        two_ends p;
        auto h = spawn(read_up_to, std::ref(*p.reader), std::size_t{100});
        co_await yield();
        CHECK_FALSE(h.done());
        co_await write_text(*p.writer, "hello world");
        const std::string first = co_await h;
        CHECK(first == "hello world");

        co_await write_text(*p.writer, "hello again");
        std::string part = co_await read_up_to(*p.reader, 5);
        CHECK(part == "hello");
        p.writer->close();
        CHECK_FALSE(p.writer->is_open());
        CHECK(p.writer->fd() == -1);
        part = co_await read_up_to(*p.reader, 100);
        CHECK(part == " again");
        for (int i = 0; i < 2; ++i) {
            part = co_await read_up_to(*p.reader, 100);
            CHECK(part.empty());
        }
        part = co_await read_up_to(*p.reader, 0);
        CHECK(part.empty());
    });
}

TEST_CASE("a write is whole, however small the pipe") {
    run_real([]() -> task<void> {
        two_ends p;
        auto h = spawn(count_all, std::ref(*p.reader));
        co_await write_text(*p.writer, std::string(5'000'000, 'x'));
        p.writer->close();
        const std::size_t n = co_await h;
        CHECK(n == 5'000'000);
    });
}

TEST_CASE("a cancelled read loses no byte") {
    run_real([]() -> task<void> {
        two_ends p;
        std::array<std::byte, 10> room{};
        auto limited = move_on_after(5ms, p.reader->read_some(room));
        const auto none = co_await limited;
        CHECK_FALSE(none.has_value());
        co_await write_text(*p.writer, "kept");
        const std::string text = co_await read_up_to(*p.reader, 10);
        CHECK(text == "kept");
    });
}

TEST_CASE("X-1 bytes that were granted and not taken stay in the stream") {
    run_real([]() -> task<void> {
        two_ends p;
        std::array<std::byte, 3> room{};
        context here{&detail::root_of(loop::current())};
        co_await write_text(*p.writer, "abcdef");
        {
            auto op = p.reader->read_some(room);
            op.bind(here);
            const bool done = op.start();
            CHECK(done);
            // Another one must not have what this one was granted …
            auto other = spawn(read_up_to, std::ref(*p.reader), std::size_t{100});
            co_await yield();
            co_await yield();
            CHECK_FALSE(other.done());
            CHECK(op.take() == 3);
            const std::string rest = co_await other;
            CHECK(rest == "def");
        }
        co_await write_text(*p.writer, "ghi");
        {
            auto op = p.reader->read_some(room);
            op.bind(here);
            const bool done = op.start();
            CHECK(done);
        }
        // … but has it when that one goes.
        const std::string text = co_await read_up_to(*p.reader, 100);
        CHECK(text == "ghi");
    });
}

TEST_CASE("X-1 the loser of a race leaves its bytes in the stream") {
    run_real([]() -> task<void> {
        two_ends a;
        two_ends b;
        co_await write_text(*a.writer, "aaa");
        co_await write_text(*b.writer, "bbb");
        std::array<std::byte, 10> room_a{};
        std::array<std::byte, 10> room_b{};
        auto op = race(a.reader->read_some(room_a), b.reader->read_some(room_b));
        auto r = co_await op;
        CHECK(r.index == 0);
        const std::string text = co_await read_up_to(*b.reader, 10);
        CHECK(text == "bbb");
    });
}

TEST_CASE("a cancelled write says how far it came") {
    run_real([]() -> task<void> {
        two_ends p;
        const std::string text(1'000'000, 'x');
        const auto job = [](pipe_stream& to, const std::string& all, std::size_t& written) -> task<void> {
            auto op = to.write(std::as_bytes(std::span(all)));
            try {
                co_await op;
            } catch (const cancelled&) {
                written = op.written();
                throw;
            }
        };
        std::size_t written = 0;
        auto h = spawn(job, std::ref(*p.writer), std::cref(text), std::ref(written));
        co_await yield();
        h.cancel();
        CHECK_THROWS_AS(co_await h, task_cancelled);
        CHECK(written > 0);
        CHECK(written < text.size());
        p.writer->close();
        const std::size_t read = co_await count_all(*p.reader);
        CHECK(read == written);
    });
}

TEST_CASE("writes are not interleaved") {
    run_real([]() -> task<void> {
        two_ends p;
        auto a = spawn(write_text, std::ref(*p.writer), std::string(300'000, 'a'));
        auto b = spawn(write_text, std::ref(*p.writer), std::string(300'000, 'b'));
        co_await yield();
        std::string all = co_await read_up_to(*p.reader, 65536);
        // There is room now, but others came first.
        auto c = spawn(write_text, std::ref(*p.writer), std::string(10, 'c'));
        co_await yield();
        while (all.size() < 600'010)
            all += co_await read_up_to(*p.reader, 65536);
        CHECK(all == std::string(300'000, 'a') + std::string(300'000, 'b') + std::string(10, 'c'));
        co_await a;
        co_await b;
        co_await c;
    });
}

TEST_CASE("reads are served in order, and who comes too late waits on") {
    run_real([]() -> task<void> {
        two_ends p;
        auto first = spawn(read_up_to, std::ref(*p.reader), std::size_t{2});
        auto second = spawn(read_up_to, std::ref(*p.reader), std::size_t{2});
        auto third = spawn(read_up_to, std::ref(*p.reader), std::size_t{2});
        co_await yield();
        co_await write_text(*p.writer, "1122");
        const std::string one = co_await first;
        const std::string two = co_await second;
        CHECK(one == "11");
        CHECK(two == "22");
        co_await sleep(1ms);
        CHECK_FALSE(third.done());
        co_await write_text(*p.writer, "33");
        const std::string three = co_await third;
        CHECK(three == "33");
    });
}

TEST_CASE("writing where nobody reads is EPIPE, at once and while waiting, and no SIGPIPE") {
    run_real([]() -> task<void> {
        const auto code_of = [](pipe_stream& to, std::string text) -> task<std::error_code> {
            try {
                co_await write_text(to, std::move(text));
            } catch (const uv_error& e) {
                co_return e.code();
            }
            co_return std::error_code();
        };
        two_ends p;
        auto waiting = spawn(code_of, std::ref(*p.writer), std::string(1'000'000, 'x'));
        co_await yield();
        CHECK_FALSE(waiting.done());
        p.reader.reset();
        const std::error_code later = co_await waiting;
        CHECK(later == std::errc::broken_pipe);
        const std::error_code now = co_await code_of(*p.writer, "x");
        CHECK(now == std::errc::broken_pipe);

        int fds[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        pipe_stream s = pipe_stream::open(fds[0]);
        ::close(fds[1]);
        const std::error_code gone = co_await code_of(s, "x");
        CHECK(gone == std::errc::broken_pipe);
    });
}

TEST_CASE("reading from a writing end is an error, again and again") {
    run_real([]() -> task<void> {
        two_ends p;
        for (int i = 0; i < 2; ++i)
            CHECK_THROWS_AS(static_cast<void>(co_await read_up_to(*p.writer, 5)), uv_error);
    });
}

TEST_CASE("closing and destroying wake who waits") {
    run_real([]() -> task<void> {
        two_ends p;
        auto closed_before = spawn(read_up_to, std::ref(*p.reader), std::size_t{1});
        p.reader->close(); // it has not started yet
        p.reader->close();
        CHECK_THROWS_AS(static_cast<void>(co_await closed_before), closed);

        two_ends q;
        auto reads = spawn(read_up_to, std::ref(*q.reader), std::size_t{1});
        auto reads_too = spawn(read_up_to, std::ref(*q.reader), std::size_t{1});
        co_await yield();
        q.reader->close();
        CHECK_THROWS_AS(static_cast<void>(co_await reads), closed);
        CHECK_THROWS_AS(static_cast<void>(co_await reads_too), closed);

        two_ends r;
        auto waits = spawn(read_up_to, std::ref(*r.reader), std::size_t{1});
        co_await yield();
        r.reader.reset();
        CHECK_THROWS_AS(static_cast<void>(co_await waits), object_destroyed);
    });
}

TEST_CASE("closing ends a write that waits as closed") {
    run_real([]() -> task<void> {
        two_ends p;
        auto h = spawn(write_text, std::ref(*p.writer), std::string(1'000'000, 'x'));
        co_await yield();
        p.writer->close();
        CHECK_THROWS_AS(co_await h, closed);
        auto r = spawn(read_up_to, std::ref(*p.reader), std::size_t{100'000});
        co_await yield();
        p.reader->close();
        const std::string granted = co_await r; // what was granted before is still delivered
        CHECK_FALSE(granted.empty());
    });
}

TEST_CASE("what is no stream is refused by name, and stays the caller's") {
    run_real([]() -> task<void> {
        const int file = ::open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        const std::string n = std::to_string(file);
        CHECK(text_of<uv_error>([&] { static_cast<void>(pipe_stream::open(file)); }) ==
              "eddy: cannot open descriptor " + n + " as a stream: it is a file or directory: operation not permitted");
        CHECK(::close(file) == 0);
        CHECK(contains(text_of<std::logic_error>([&] { static_cast<void>(pipe_stream::open(file)); }),
                       "descriptor " + n + ", which is not open"));
        co_return;
    });
    eddy_test::run([]() -> task<void> {
        CHECK_THROWS_AS(static_cast<void>(pipe_stream::open(0)), std::logic_error);
        co_return;
    });
}

TEST_CASE("streams move, and say so when they are used after") {
    run_real([]() -> task<void> {
        two_ends p;
        two_ends q;
        pipe_stream r = std::move(*p.reader);
        co_await write_text(*p.writer, "x");
        std::string text = co_await read_up_to(r, 10);
        CHECK(text == "x");
        CHECK_THROWS_AS(static_cast<void>(co_await read_up_to(*p.reader, 1)), std::logic_error);
        CHECK_THROWS_AS(co_await write_text(*p.reader, "x"), std::logic_error);
        CHECK(p.reader->fd() == -1);
        r = std::move(*q.reader); // closes what it had
        CHECK_THROWS_AS(co_await write_text(*p.writer, "x"), uv_error);
        co_await write_text(*q.writer, "y");
        text = co_await read_up_to(r, 10);
        CHECK(text == "y");
        r.close();
        CHECK_THROWS_AS(static_cast<void>(co_await read_up_to(r, 1)), closed);
    });
}

TEST_CASE("X-6 a stream belongs to its loop, and may outlive it") {
    const nothing_left checked;
    std::optional<two_ends> p;
    {
        loop l;
        const auto main = [](std::optional<two_ends>& into) -> task<void> {
            into.emplace();
            co_return;
        };
        l.run(main(p));
        loop other;
        CHECK_THROWS_AS(static_cast<void>(other.run(read_up_to(*p->reader, 1))), std::logic_error);
    }
    CHECK_FALSE(p->reader->is_open());
}
