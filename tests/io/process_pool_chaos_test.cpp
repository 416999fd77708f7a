// Workers that die in every way, at every moment: no job is lost, none is told of twice, nothing hangs or is left.
//
// EDDY_CHAOS_JOBS=10000 for the long run.
#include <eddy/io/process_pool.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "io/frame.hpp"
#include "io/worker_functions.hpp"

#include <csignal>
#include <cstdlib>
#include <random>
#include <sys/wait.h>

using namespace eddy;
using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

int chaos_jobs() {
    const char* const wanted = std::getenv("EDDY_CHAOS_JOBS");
    return wanted == nullptr ? 300 : std::atoi(wanted);
}

struct ledger {
    int succeeded = 0;
    int threw = 0;
    int died = 0;
    int protocol = 0;
    int timed_out = 0;
    int cancelled = 0;
    int other = 0;
    int told = 0;
};

task<void> one_job(process_pool& pool, ledger& seen, int what, int x) {
    try {
        auto op = pool.run(chaos, what, x);
        const int answer = co_await op;
        CHECK(answer == x + 1);
        ++seen.succeeded;
    } catch (const remote_error&) {
        ++seen.threw;
    } catch (const worker_died&) {
        ++seen.died;
    } catch (const worker_protocol_error&) {
        ++seen.protocol;
    } catch (const timeout_error&) {
        ++seen.timed_out;
    } catch (const cancelled&) {
        ++seen.cancelled;
        ++seen.told;
        throw;
    } catch (...) {
        ++seen.other;
    }
    ++seen.told;
}

} // namespace

TEST_CASE("PP-4 chaos: workers are killed, stopped, crash and talk nonsense, jobs are cancelled; the sums agree") {
    run_pool([]() -> task<void> {
        std::mt19937_64 random(60);
        process_pool_options o;
        o.job_timeout(250ms).max_tasks_per_worker(7).discard_output();
        process_pool pool(4, o);
        ledger seen;
        const int wanted = chaos_jobs();
        std::vector<task_handle<void>> jobs;
        int begun = 0;
        while (begun < wanted) {
            while (jobs.size() < 24 && begun < wanted) {
                // Half of them do as they should; a stopped worker costs the time limit, so there are few.
                const auto dice = random() % 64;
                const int what = dice < 32 ? 0 : dice == 63 ? 5 : static_cast<int>(1 + dice % 4);
                const int also = dice % 8 == 7 && dice != 63 ? static_cast<int>(6 + random() % 2) : what;
                jobs.push_back(spawn(one_job, std::ref(pool), std::ref(seen), also, begun));
                ++begun;
            }
            if (random() % 8 == 0) jobs[random() % jobs.size()].cancel();
            if (random() % 4 == 0) {
                const std::size_t which = random() % jobs.size();
                auto joined = settle(jobs[which]);
                static_cast<void>(co_await joined);
            } else {
                co_await yield();
            }
            std::erase_if(jobs, [](const auto& j) { return j.done(); });
        }
        for (auto& j : jobs) {
            auto joined = settle(j);
            static_cast<void>(co_await joined);
        }
        const process_pool_statistics s = pool.statistics();
        CHECK(seen.other == 0);
        CHECK(s.queued == 0);
        CHECK(s.running == 0);
        CHECK(s.refused == 0);
        CHECK(static_cast<int>(s.succeeded) == seen.succeeded);
        CHECK(static_cast<int>(s.threw) == seen.threw);
        CHECK(static_cast<int>(s.died) == seen.died + seen.protocol);
        CHECK(static_cast<int>(s.timed_out) == seen.timed_out);
        CHECK(static_cast<int>(s.cancelled) == seen.cancelled);
        // Tasks that were cancelled before their first step never asked for anything.
        CHECK(seen.told <= wanted);
        CHECK(seen.told == seen.succeeded + seen.threw + seen.died + seen.protocol + seen.timed_out + seen.cancelled);
        for (const int n : {seen.succeeded, seen.threw, seen.died, seen.protocol, seen.timed_out, seen.cancelled})
            CHECK(n > 0);
        // And it works as on the first day, with its full number.
        for (int i = 0; i < 20; ++i) {
            const int sum = co_await pool.run(add, i, 1);
            CHECK(sum == i + 1);
        }
        co_await pool.close();
        CHECK(pool.statistics().workers == 0);
    });
}

TEST_CASE("PP-4 workers that are killed from outside at random moments") {
    run_pool([]() -> task<void> {
        std::mt19937_64 random(61);
        process_pool pool(3);
        int ok = 0;
        int died = 0;
        auto one = [](process_pool& p, int& good, int& bad) -> task<void> {
            try {
                const std::vector<std::byte> b = co_await p.run(many_bytes, std::size_t{200'000});
                good += b.size() == 200'000;
            } catch (const worker_died& e) {
                CHECK(e.term_signal() == SIGKILL);
                ++bad;
            }
        };
        const int wanted = chaos_jobs();
        int victim = 0;
        for (int i = 0; i < wanted; i += 3) {
            std::vector<task_handle<void>> jobs;
            for (int k = 0; k < 3; ++k)
                jobs.push_back(spawn(one, std::ref(pool), std::ref(ok), std::ref(died)));
            for (auto n = random() % 40; n > 0; --n)
                co_await yield();
            // Still our child, so the number is nobody else's.
            siginfo_t info{};
            if (victim != 0 && ::waitid(P_PID, static_cast<id_t>(victim), &info, WEXITED | WNOHANG | WNOWAIT) == 0)
                ::kill(victim, SIGKILL);
            for (auto& j : jobs)
                co_await j;
            auto asking = pool.run(worker_pid);
            try {
                victim = co_await asking;
            } catch (const worker_died&) {
                victim = 0;
            }
        }
        CHECK(ok + died == (wanted + 2) / 3 * 3);
        CHECK(pool.statistics().succeeded + pool.statistics().died == static_cast<std::uint64_t>((wanted + 2) / 3 * 4));
    });
}

TEST_CASE("random bytes on the connection never hurt this process") {
    run_pool([]() -> task<void> {
        std::mt19937_64 random(62);
        process_pool pool(2);
        for (int round = 0; round < 60; ++round) {
            std::vector<std::byte> bytes(detail::frame_header_size + random() % 100);
            for (std::byte& b : bytes)
                b = static_cast<std::byte>(random());
            // Noise; a good frame of a wrong kind, for a wrong job, with a wrong result; a mutated good frame.
            const auto id = pool.statistics().succeeded + pool.statistics().died + 1;
            switch (round % 5) {
            case 1:
                detail::seal_frame(bytes, static_cast<detail::frame_type>(1 + random() % 4), id + 1);
                break;
            case 2:
                detail::seal_frame(bytes, detail::frame_type::hello, id);
                break;
            case 3:
                bytes.resize(detail::frame_header_size + 3); // void has no bytes
                detail::seal_frame(bytes, detail::frame_type::value, id);
                break;
            case 4:
                detail::seal_frame(bytes, detail::frame_type::value, id);
                bytes[random() % bytes.size()] ^= std::byte{16};
                break;
            default:
                break;
            }
            auto bad = error_of<worker_protocol_error>(pool.run(write_to_link, bytes, round % 2 == 0));
            const auto e = co_await std::move(bad);
            REQUIRE(e);
            const int sum = co_await pool.run(add, round, 1);
            REQUIRE(sum == round + 1);
        }
    });
}
