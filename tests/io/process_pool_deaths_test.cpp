// Every way to die in every phase of a job, in every situation: the table that loky and CPython test their pools by.
//
//   phases      arguments written (here), arguments read, the function, the result written (in the worker), read (here)
//   ends        SIGKILL, SIGSEGV, abort(), _exit(3), exit(4), an exception
//   situations  a pool at rest, a connection full of bytes, a pool that is being closed
//
// What happens in this process can only be an exception: a crash here is nobody's to survive.
#include <eddy/io/process_pool.hpp>

#include <eddy/flow/settle.hpp>

#include "io/worker_functions.hpp"

#include <csignal>
#include <cstdlib>
#include <unistd.h>

using namespace eddy;
using namespace eddy_test;

namespace {

enum class phase { none, write_arguments, read_arguments, function, write_result, read_result };
enum class way { sigkill, sigsegv, abort, quick_exit, exit, exception };

struct doomed {
    phase when = phase::none;
    way how = way::sigkill;
    std::vector<std::byte> ballast;
};

void die(way how) {
    for (const int s : {SIGABRT, SIGSEGV})
        std::signal(s, SIG_DFL);
    switch (how) {
    case way::sigkill:
        ::raise(SIGKILL);
        break;
    case way::sigsegv:
        ::raise(SIGSEGV);
        break;
    case way::abort:
        std::abort();
    case way::quick_exit:
        _exit(3);
    case way::exit:
        std::exit(4);
    case way::exception:
        throw std::domain_error("fate");
    }
}

doomed meet_fate(doomed d) {
    if (d.when == phase::function) die(d.how);
    return d;
}

} // namespace

template <>
struct eddy::serializer<doomed> {
    static void write(byte_writer& out, const doomed& d) {
        if (d.when == (in_worker() ? phase::write_result : phase::write_arguments)) die(d.how);
        out.put(d.when, d.how, d.ballast);
    }
    static doomed read(byte_reader& in) {
        doomed d;
        d.when = in.get<phase>();
        d.how = in.get<way>();
        d.ballast = in.get<std::vector<std::byte>>();
        if (d.when == (in_worker() ? phase::read_arguments : phase::read_result)) die(d.how);
        return d;
    }
};

namespace {

EDDY_PROCESS_FUNCTION(meet_fate)

// "value", or what the job ended with.
task<std::string> end_of(process_pool& pool, doomed d) {
    try {
        auto op = pool.run(meet_fate, d);
        const doomed back = co_await op;
        co_return back.ballast.size() == d.ballast.size() ? "value" : "another value";
    } catch (const worker_died& e) {
        co_return e.term_signal() != 0 ? "signal " + std::to_string(e.term_signal())
                                       : "exit " + std::to_string(e.exit_code());
    } catch (const worker_protocol_error&) {
        co_return "protocol";
    } catch (const remote_error& e) {
        co_return "remote " + e.type_name();
    } catch (const std::domain_error&) {
        co_return "here";
    }
}

std::string expected(phase when, way how) {
    switch (when) {
    case phase::none:
        return "value";
    case phase::write_arguments:
        return "here";
    case phase::read_result:
        return "protocol";
    default:
        break;
    }
    switch (how) {
    case way::sigkill:
        return "signal 9";
    case way::sigsegv:
        return "signal 11";
    case way::abort:
        return "signal 6";
    case way::quick_exit:
        return "exit 3";
    case way::exit:
        return "exit 4";
    case way::exception:
        break;
    }
    return "remote std::domain_error";
}

enum class situation { at_rest, full, closing };

task<void> one_cell(situation in, phase when, way how) {
    process_pool pool(2);
    doomed d;
    d.when = when;
    d.how = how;
    if (in == situation::full) d.ballast = many_bytes(std::size_t{1} << 20); // five times what a socket holds
    doomed healthy = d;
    healthy.when = phase::none;
    auto other = spawn(end_of, std::ref(pool), healthy);
    auto job = spawn(end_of, std::ref(pool), d);
    if (in == situation::closing) {
        while (pool.statistics().running + pool.statistics().queued + pool.statistics().succeeded < 1)
            co_await yield();
        // With write_arguments nothing was accepted but the healthy one.
        co_await pool.close();
        CHECK(other.done());
        CHECK(pool.statistics().workers == 0);
    }
    const std::string end = co_await job;
    CHECK(end == expected(when, how));
    const std::string neighbour = co_await other;
    CHECK(neighbour == "value");
    if (in != situation::closing) {
        auto after = end_of(pool, healthy);
        const std::string again = co_await std::move(after);
        CHECK(again == "value");
    }
}

void whole_table(situation in) {
    for (const phase when :
         {phase::write_arguments, phase::read_arguments, phase::function, phase::write_result, phase::read_result})
        for (const way how : {way::sigkill, way::sigsegv, way::abort, way::quick_exit, way::exit, way::exception}) {
            const bool here = when == phase::write_arguments || when == phase::read_result;
            if (here && how != way::exception) continue;
            CAPTURE(static_cast<int>(when));
            CAPTURE(static_cast<int>(how));
            run_pool([&]() -> task<void> { return one_cell(in, when, how); });
        }
}

} // namespace

TEST_CASE("PP-4 every end in every phase of a job: a pool at rest") { whole_table(situation::at_rest); }
TEST_CASE("PP-4 every end in every phase of a job: full connections") { whole_table(situation::full); }
TEST_CASE("PP-4 every end in every phase of a job: a pool that is being closed") { whole_table(situation::closing); }
