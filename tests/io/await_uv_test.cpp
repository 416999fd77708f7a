#include <eddy/io/await_uv.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/timeout.hpp>

#include "io/real.hpp"

#include <array>
#include <atomic>
#include <coroutine>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore>
#include <sys/stat.h>
#include <vector>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

// Keeps every thread of libuv's pool busy until released.
class busy_pool {
public:
    busy_pool() {
        const char* const size = std::getenv("UV_THREADPOOL_SIZE");
        const int threads = size == nullptr ? 4 : std::atoi(size);
        for (int i = 0; i < threads; ++i)
            jobs_.push_back(spawn(hold, std::ref(gate_)));
    }
    void release() { gate_.release(static_cast<std::ptrdiff_t>(jobs_.size())); }
    task<void> ended() {
        for (auto& j : jobs_)
            co_await j;
    }

private:
    static task<void> hold(std::counting_semaphore<>& gate) {
        auto op = await_uv<uv_work_t>([&gate](uv_loop_t* l, uv_work_t* r, uv_after_work_cb done) {
            r->data = &gate;
            return uv_queue_work(
                l, r, [](uv_work_t* w) { static_cast<std::counting_semaphore<>*>(w->data)->acquire(); }, done);
        });
        co_await op;
    }
    std::counting_semaphore<> gate_{0};
    std::vector<task_handle<void>> jobs_;
};

// Until libuv has called back for everything; its threads are real ones.
task<void> requests_ended() {
    while (uv_loop_alive(loop::current().uv()) != 0)
        co_await sleep(1ms);
}

int look_up(uv_loop_t* l, uv_getaddrinfo_t* r, uv_getaddrinfo_cb done) {
    addrinfo hints = {};
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    return uv_getaddrinfo(l, r, done, "127.0.0.1", "80", &hints);
}

} // namespace

TEST_CASE("await_uv gives the request") {
    run_real([]() -> task<void> {
        auto op = await_uv<uv_fs_t>(
            [](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) { return uv_fs_stat(l, r, "/etc/passwd", done); });
        uv_fs_t& r = co_await op;
        struct stat s = {};
        REQUIRE(::stat("/etc/passwd", &s) == 0);
        CHECK(r.statbuf.st_size == static_cast<std::uint64_t>(s.st_size));
        CHECK(std::strcmp(r.path, "/etc/passwd") == 0);
    });
}

TEST_CASE("await_uv throws libuv's error") {
    run_real([]() -> task<void> {
        auto op = await_uv<uv_fs_t>([](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) {
            return uv_fs_open(l, r, "/no/such/file", O_RDONLY, 0, done);
        });
        std::string text;
        try {
            static_cast<void>(co_await op);
        } catch (const uv_error& e) {
            CHECK(e.code() == std::errc::no_such_file_or_directory);
            CHECK(e.code().value() == UV_ENOENT);
            text = e.what();
        }
        CHECK(text == "eddy: a libuv request (fs) failed: no such file or directory");
    });
}

TEST_CASE("await_uv: names, addresses and random numbers") {
    run_real([]() -> task<void> {
        auto resolve = await_uv<uv_getaddrinfo_t>(&look_up);
        uv_getaddrinfo_t& r = co_await resolve;
        REQUIRE(r.addrinfo != nullptr);
        CHECK(r.addrinfo->ai_family == AF_INET);
        sockaddr_in address = {};
        std::memcpy(&address, r.addrinfo->ai_addr, sizeof address);
        CHECK(address.sin_port == htons(80));

        auto name = await_uv<uv_getnameinfo_t>([&](uv_loop_t* l, uv_getnameinfo_t* q, uv_getnameinfo_cb done) {
            return uv_getnameinfo(l, q, done, reinterpret_cast<const sockaddr*>(&address), NI_NUMERICHOST);
        });
        uv_getnameinfo_t& n = co_await name;
        CHECK(std::strcmp(n.host, "127.0.0.1") == 0);

        std::array<unsigned char, 32> bytes{};
        auto random = await_uv<uv_random_t>([&](uv_loop_t* l, uv_random_t* q, uv_random_cb done) {
            return uv_random(l, q, bytes.data(), bytes.size(), 0, done);
        });
        co_await random;
        CHECK(bytes != std::array<unsigned char, 32>{});

        auto nobody = await_uv<uv_getaddrinfo_t>([](uv_loop_t* l, uv_getaddrinfo_t* q, uv_getaddrinfo_cb done) {
            addrinfo hints = {};
            hints.ai_flags = AI_NUMERICHOST;
            return uv_getaddrinfo(l, q, done, "not a number", nullptr, &hints);
        });
        CHECK_THROWS_AS(static_cast<void>(co_await nobody), uv_error);
    });
}

TEST_CASE("await_uv: a request that could not be submitted, and a callable that throws") {
    run_real([]() -> task<void> {
        auto refused = await_uv<uv_getaddrinfo_t>([](uv_loop_t* l, uv_getaddrinfo_t* q, uv_getaddrinfo_cb done) {
            return uv_getaddrinfo(l, q, done, nullptr, nullptr, nullptr);
        });
        std::error_code code;
        try {
            static_cast<void>(co_await refused);
        } catch (const uv_error& e) {
            code = e.code();
        }
        CHECK(code == std::errc::invalid_argument);
        auto thrower =
            await_uv<uv_fs_t>([](uv_loop_t*, uv_fs_t*, uv_fs_cb) -> int { throw std::runtime_error("not today"); });
        CHECK_THROWS_AS(static_cast<void>(co_await thrower), std::runtime_error);
        CHECK_THROWS_AS(static_cast<void>(co_await thrower), std::logic_error); // awaited twice
    });
}

TEST_CASE("await_uv: a queued request is cancelled at once") {
    run_real([]() -> task<void> {
        busy_pool pool;
        co_await yield();
        auto named = move_on_after(5ms, await_uv<uv_getaddrinfo_t>(&look_up));
        const auto none = co_await named;
        CHECK_FALSE(none.has_value());
        std::atomic<bool> ran{false};
        auto worked =
            move_on_after(5ms, await_uv<uv_work_t>([&](uv_loop_t* l, uv_work_t* r, uv_after_work_cb done) {
                              r->data = &ran;
                              return uv_queue_work(
                                  l, r, [](uv_work_t* w) { *static_cast<std::atomic<bool>*>(w->data) = true; }, done);
                          }));
        const auto nothing = co_await worked;
        CHECK_FALSE(nothing.has_value());
        pool.release();
        co_await pool.ended();
        CHECK_FALSE(ran);
    });
}

TEST_CASE("await_uv: what runs already goes on, and its result is delivered") {
    run_real([]() -> task<void> {
        std::binary_semaphore started{0};
        std::binary_semaphore gate{0};
        std::pair both(&started, &gate);
        auto op = move_on_after(5ms, await_uv<uv_work_t>([&](uv_loop_t* l, uv_work_t* r, uv_after_work_cb done) {
                                    r->data = &both;
                                    const int e = uv_queue_work(
                                        l, r,
                                        [](uv_work_t* w) {
                                            auto* p = static_cast<decltype(both)*>(w->data);
                                            p->first->release();
                                            p->second->acquire();
                                        },
                                        done);
                                    started.acquire();
                                    return e;
                                }));
        loop::current().call_later(50ms, [&] { gate.release(); });
        const stopwatch watch;
        const auto result = co_await op;
        CHECK(result.has_value());
        CHECK(watch.elapsed() >= 45ms);
    });
}

TEST_CASE("await_uv in a cancelled scope submits nothing") {
    run_real([]() -> task<void> {
        bool submitted = false;
        auto scope = with_cancel_scope([&](cancel_scope& s) -> task<void> {
            s.cancel();
            auto op = await_uv<uv_fs_t>([&](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) {
                submitted = true;
                return uv_fs_stat(l, r, "/", done);
            });
            static_cast<void>(co_await op);
        });
        const bool completed = co_await scope;
        CHECK_FALSE(completed);
        CHECK_FALSE(submitted);
    });
}

TEST_CASE("CP-7 a request outlives the operation, with what the callable owns") {
    run_real([]() -> task<void> {
        context here{&detail::root_of(loop::current())};
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        {
            // A read that blocks in the pool, into a buffer of the callable's own.
            auto submit = [fd = fds[0], buffer = std::vector<char>(100)](uv_loop_t* l, uv_fs_t* r,
                                                                         uv_fs_cb done) mutable {
                const uv_buf_t b = uv_buf_init(buffer.data(), 100);
                return uv_fs_read(l, r, fd, &b, 1, -1, done);
            };
            auto op = await_uv<uv_fs_t>(std::move(submit));
            op.bind(here);
            const bool done = op.start();
            CHECK_FALSE(done);
            op.suspend(std::noop_coroutine().address());
            CHECK(loop::current().statistics().waiters == 1);
        }
        CHECK(loop::current().statistics().waiters == 0);
        CHECK(::write(fds[1], "x", 1) == 1);
        // Its callback comes, finds nobody, and frees it: run_real sees the bytes of what is left.
        co_await requests_ended();
        ::close(fds[0]);
        ::close(fds[1]);
    });
}

TEST_CASE("CP-7 a file that was opened for nobody is closed") {
    run_real([]() -> task<void> {
        const std::size_t before = open_descriptors();
        context here{&detail::root_of(loop::current())};
        const auto open = [](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) {
            return uv_fs_open(l, r, "/etc/passwd", O_RDONLY, 0, done);
        };
        {
            auto op = await_uv<uv_fs_t>(open);
            op.bind(here);
            CHECK_FALSE(op.start());
            op.suspend(std::noop_coroutine().address());
        }
        const auto list = [](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) { return uv_fs_opendir(l, r, "/", done); };
        {
            auto op = await_uv<uv_fs_t>(list);
            op.bind(here);
            CHECK_FALSE(op.start());
            op.suspend(std::noop_coroutine().address());
        }
        while (loop::current().statistics().frames > 0 && uv_loop_alive(loop::current().uv()))
            co_await sleep(1ms);
        CHECK(open_descriptors() == before);

        auto op = await_uv<uv_fs_t>(open); // and one that was taken is the taker's
        uv_fs_t& r = co_await op;
        CHECK(open_descriptors() == before + 1);
        ::close(static_cast<int>(r.result));
    });
}

TEST_CASE("CP-7 a loop that closes waits for requests that nobody waits for") {
    const nothing_left checked;
    struct shared {
        std::binary_semaphore started{0};
        std::binary_semaphore never{0};
        bool returned = false;
    };
    shared state;
    const auto main = [](shared& s) -> task<void> {
        context here{&detail::root_of(loop::current())};
        auto op = await_uv<uv_work_t>([&s](uv_loop_t* l, uv_work_t* r, uv_after_work_cb done) {
            r->data = &s;
            const int e = uv_queue_work(
                l, r,
                [](uv_work_t* w) {
                    auto& mine = *static_cast<shared*>(w->data);
                    mine.started.release();
                    static_cast<void>(mine.never.try_acquire_for(50ms));
                    mine.returned = true;
                },
                done);
            s.started.acquire();
            return e;
        });
        op.bind(here);
        CHECK_FALSE(op.start());
        op.suspend(std::noop_coroutine().address());
        co_return;
    };
    {
        loop l;
        l.run(main(state));
        CHECK(l.statistics().frames == 1); // the request
    }
    CHECK(state.returned);
}

TEST_CASE("await_uv: shutdown waits for a frame whose memory libuv is using") {
    struct shared {
        std::binary_semaphore started{0};
        std::binary_semaphore never{0};
        bool resumed = false;
    };
    const nothing_left checked;
    shared state;
    const auto main = [](shared& outer) -> task<void> {
        const auto job = [](shared& s) -> task<void> {
            auto op = await_uv<uv_work_t>([&s](uv_loop_t* l, uv_work_t* r, uv_after_work_cb done) {
                r->data = &s;
                const int e = uv_queue_work(
                    l, r,
                    [](uv_work_t* w) {
                        auto& mine = *static_cast<shared*>(w->data);
                        mine.started.release();
                        static_cast<void>(mine.never.try_acquire_for(100ms));
                    },
                    done);
                s.started.acquire(); // from here on it can't be cancelled
                return e;
            });
            co_await op;
            s.resumed = true;
        };
        static_cast<void>(spawn(job, std::ref(outer)));
        co_await yield();
    };
    eddy::run(main(state), run_options().shutdown_timeout(40ms));
    CHECK(state.resumed);
}

TEST_CASE("await_uv: the dump names the kind of request") {
    run_real([]() -> task<void> {
        busy_pool pool;
        const auto job = []() -> task<void> {
            auto op = await_uv<uv_getaddrinfo_t>(&look_up);
            static_cast<void>(co_await op);
        };
        auto h = spawn(job);
        co_await yield();
        std::ostringstream dump;
        loop::current().dump_tasks(dump);
        CHECK(contains(dump.str(), "uv request (getaddrinfo)"));
        CHECK(contains(dump.str(), "uv request (work)"));
        pool.release();
        co_await pool.ended();
        co_await h;
    });
}

TEST_CASE("await_uv: loops with simulated time say that they can't") {
    eddy_test::run([]() -> task<void> {
        auto op =
            await_uv<uv_fs_t>([](uv_loop_t* l, uv_fs_t* r, uv_fs_cb done) { return uv_fs_stat(l, r, "/", done); });
        CHECK_THROWS_AS(static_cast<void>(co_await op), std::logic_error);
    });
}
