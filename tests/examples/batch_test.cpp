// The example `batch`, as a user meets it: real commands, real files, real signals.
#include "examples/shell.hpp"
#include "support/sanitizers.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <unistd.h>

using eddy_test::contents;
using eddy_test::shell;
using eddy_test::split;

namespace {

struct record {
    std::size_t number = 0;
    double start = 0, seconds = 0;
    std::string status;
    std::size_t attempts = 0;
    std::string line;
};

// Checks the form of each record.
std::vector<record> records(const std::string& joblog) {
    static const std::regex form("([1-9][0-9]*)\t([0-9]+\\.[0-9]{3})\t([0-9]+\\.[0-9]{3})\t"
                                 "([0-9]+|SIG[A-Z0-9+-]+|timeout)\t([1-9][0-9]*)\t([^\t]*)");
    std::vector<record> all;
    CHECK((joblog.empty() || joblog.back() == '\n'));
    for (const std::string& line : split(joblog)) {
        std::smatch m;
        CAPTURE(line);
        REQUIRE(std::regex_match(line, m, form));
        record r;
        r.number = std::stoul(m[1]);
        r.start = std::stod(m[2]);
        r.seconds = std::stod(m[3]);
        r.status = m[4];
        r.attempts = std::stoul(m[5]);
        r.line = m[6];
        all.push_back(r);
    }
    std::sort(all.begin(), all.end(), [](const record& a, const record& b) { return a.number < b.number; });
    return all;
}

std::vector<std::string> statuses(const std::string& joblog) {
    std::vector<std::string> all;
    for (const record& r : records(joblog))
        all.push_back(r.status);
    return all;
}

double seconds_of(const std::function<void()>& f) {
    const auto began = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

using strings = std::vector<std::string>;

// Sanitizers need memory of their own.
constexpr bool sanitized = EDDY_TEST_ASAN || EDDY_TEST_TSAN;

} // namespace

TEST_CASE("batch: ten thousand jobs, each once") {
    shell sh;
    CHECK(sh.run("seq 10000 | batch -j 8 --joblog log true") == 0);
    CHECK(sh.out == "");
    CHECK(sh.err == "");
    const std::vector<record> all = records(sh.file("log"));
    REQUIRE(all.size() == 10000);
    for (std::size_t i = 0; i < all.size(); ++i) {
        REQUIRE(all[i].number == i + 1);
        REQUIRE(all[i].line == std::to_string(i + 1));
        REQUIRE(all[i].status == "0");
        REQUIRE(all[i].attempts == 1);
    }
}

TEST_CASE("batch: at most -j jobs at a time, started in the order of the input") {
    shell sh;
    CHECK(sh.run("seq 40 | batch -j3 sh -c 'mkdir r{} && ls -d r* | wc -l >>most; echo {} >>order; sleep 0.0{}; rmdir "
                 "r{}'") == 0);
    int most = 0;
    for (const std::string& n : split(sh.file("most")))
        most = std::max(most, std::stoi(n));
    CHECK(most <= 3);
    CHECK(most >= 2);
    CHECK(sh.run("seq 40 | batch -j 1 sh -c 'echo {} >>one'; seq 40 | cmp - one") == 0);
}

TEST_CASE("batch: {} is the line, in the command and in every argument; without {} it is added") {
    shell sh;
    CHECK(sh.run("printf 'a b\\n' | batch echo x{}y '{}{}' z") == 0);
    CHECK(sh.out == "xa by a ba b z\n");
    CHECK(sh.run("printf '{}\\n' | batch echo '<{}>'") == 0); // a line is not looked through again
    CHECK(sh.out == "<{}>\n");
    CHECK(sh.run("printf 'echo\\ntrue\\n' | batch -j1 {} hello") == 0);
    CHECK(sh.out == "hello\n");
    CHECK(sh.run("printf '*;$(x)\\n' | batch printf '[%s]'") == 0); // no shell in between
    CHECK(sh.out == "[*;$(x)]");
    CHECK(sh.run("echo -j | batch echo -n --help") == 0); // what follows COMMAND is its own
    CHECK(sh.out == "--help -j");
}

TEST_CASE("batch: an empty line is a job, a last line without newline is one, no input is none") {
    shell sh;
    CHECK(sh.run("printf 'a\\n\\nb' | batch -j1 printf '[%s]'") == 0);
    CHECK(sh.out == "[a][][b]");
    CHECK(sh.run("printf '\\n' | batch printf '[%s]'") == 0);
    CHECK(sh.out == "[]");
    CHECK(sh.run("batch printf '[%s]'") == 0);
    CHECK(sh.out == "");
    CHECK(sh.run("printf 'a\\nb\\0\\0c' | batch -0 -j1 printf '[%s]'") == 0);
    CHECK(sh.out == "[a\nb][][c]");
    CHECK(sh.run("printf 'x\\ny\\n' >in; echo no | batch -a in -j1 echo") == 0);
    CHECK(sh.out == "x\ny\n");
    // Lines that lie across what is read at once.
    CHECK(sh.run("yes 0123456789abcdef | head -n 20000 | tr -d '\\n' | fold -w 9999 >in; echo >>in; batch -ain -j1 "
                 "echo | cmp - in") == 0);
}

TEST_CASE("batch: the exit status is the number of failures, 101 for more than 100") {
    shell sh;
    CHECK(sh.run("seq 9 | batch sh -c 'exit $(({} % 3))'") == 6);
    CHECK(sh.run("seq 100 | batch false") == 100);
    CHECK(sh.run("seq 150 | batch false") == 101);
    CHECK(sh.err == "");
}

TEST_CASE("batch: standard input of a job is the null device, and each job leads a session of its own") {
    shell sh;
    CHECK(sh.run("printf '1\\n2\\n' | batch -j1 sh -c 'cat; echo end'") == 0);
    CHECK(sh.out == "end\nend\n");
    CHECK(sh.run("echo | batch sh -c 'read -r p n s pp group session rest </proc/$$/stat; [ $group = $$ ] && [ "
                 "$session = $$ ]'") == 0);
}

TEST_CASE("batch: output of a job comes in one piece, however much, and nothing is cut") {
    shell sh;
    // Four at a time; each writes 3 MiB of its own letter to both, in small pieces.
    CHECK(sh.run("cat >flood <<'END'\n"
                 "c=$1; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do\n"
                 "head -c 262144 /dev/zero | tr '\\0' $c; head -c 262144 /dev/zero | tr '\\0' $c >&2; done\n"
                 "END\n"
                 "printf '%s\\n' a b c d e f g h | batch -j4 sh flood") == 0);
    for (const std::string* s : {&sh.out, &sh.err}) {
        CHECK(s->size() == 8u * 3 * 1024 * 1024);
        std::set<char> seen;
        for (std::size_t at = 0; at < s->size(); at += 3 * 1024 * 1024) {
            const char c = (*s)[at];
            CHECK(seen.insert(c).second);
            CHECK(s->find_first_not_of(c, at) ==
                  (at + 3 * 1024 * 1024 < s->size() ? at + 3 * 1024 * 1024 : std::string::npos));
        }
        CHECK(seen.size() == 8);
    }
    CHECK(sh.out.front() == sh.err.front());
}

TEST_CASE("batch --keep-order: outputs in the order of the input") {
    shell sh;
    CHECK(sh.run("seq 20 | batch -j8 --keep-order sh -c 'sleep 0.$((({} * 7) % 4)); echo {}'; seq 20 >want") == 0);
    CHECK(sh.out == sh.file("want"));
    // Finished jobs that wait for the first to print hold up nobody: fifty jobs on two places in much less than their
    // sum.
    const double t = seconds_of([&] {
        CHECK(sh.run("seq 50 | batch -j2 --keep-order sh -c 'echo {}; if [ {} = 1 ]; then until [ -e r50 ]; do sleep "
                     "0.02; done; else : >r{}; fi'; seq 50 >want") == 0);
    });
    CHECK(t < 60);
    CHECK(sh.out == sh.file("want"));
}

TEST_CASE("batch --timeout: SIGTERM to the group, after the grace SIGKILL; its output is kept; it has failed") {
    shell sh;
    CHECK(sh.run("printf '1\\n2\\n' | batch -j2 --joblog log --timeout 0.3 --grace 0.2 sh -c '\n"
                 "echo begun {}; echo $$ >pid{}; trap \"\" TERM; sleep 600'\n"
                 "[ $? = 2 ] && ! alive $(cat pid1 pid2)") == 0);
    CHECK(sh.out.find("begun 1\n") != std::string::npos);
    CHECK(sh.out.find("begun 2\n") != std::string::npos);
    CHECK(statuses(sh.file("log")) == strings{"timeout", "timeout"});
    // One that ends on SIGTERM need not wait for the grace; in time is in time; and grandchildren are in the group.
    const double t = seconds_of([&] {
        CHECK(sh.run("echo | batch --joblog log --timeout=0.3 --grace 60 sh -c 'sleep 600 & echo $! >child; wait'") ==
              1);
    });
    CHECK(t < 20);
    CHECK(sh.run("alive $(cat child)") == 1);
    CHECK(sh.run("seq 3 | batch --timeout 60 true") == 0);
}

TEST_CASE("batch: a job that dies of a signal has failed, and the joblog names the signal") {
    shell sh;
    CHECK(sh.run("printf 'SEGV\\nKILL\\nUSR1\\n' | batch --joblog log sh -c 'kill -{} $$'") == 3);
    CHECK(statuses(sh.file("log")) == strings{"SIGSEGV", "SIGKILL", "SIGUSR1"});
}

TEST_CASE("batch: output that a grandchild holds open is read for a second at most") {
    shell sh;
    const double t = seconds_of([&] {
        CHECK(sh.run("echo | batch --joblog log --timeout 60 sh -c 'echo out; sleep 30 & echo $! >child'") == 0);
    });
    CHECK(sh.out == "out\n");
    CHECK(t >= 0.9);
    CHECK(t < 15);
    CHECK(statuses(sh.file("log")) == strings{"0"});
    sh.run("kill $(cat child)");
}

TEST_CASE("batch --retries: further attempts, counted in the joblog; the last one's output is printed") {
    shell sh;
    const double t = seconds_of([&] {
        CHECK(sh.run("seq 3 | batch --joblog log --retries 3 sh -c 'echo x >>tries{}; n=$(wc -l <tries{}); echo try $n "
                     "of {}; "
                     "[ $n -ge {} ]'") == 0);
    });
    CHECK(t >= 0.05 + 0.1); // half of 0.1 and of 0.2
    std::vector<record> all = records(sh.file("log"));
    REQUIRE(all.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(all[i].attempts == i + 1);
        CHECK(all[i].status == "0");
    }
    CHECK(all[2].seconds >= 0.15);
    strings lines = split(sh.out);
    std::sort(lines.begin(), lines.end());
    CHECK(lines == strings{"try 1 of 1", "try 2 of 2", "try 3 of 3"});
    CHECK(sh.run("echo | batch --joblog log --retries 2 --timeout 0.1 sh -c 'sleep 60'") == 1);
    all = records(sh.file("log"));
    REQUIRE(all.size() == 1);
    CHECK(all[0].attempts == 3);
    CHECK(all[0].status == "timeout");
}

TEST_CASE("batch --fail-fast: no more starts, the running are interrupted and don't count as failed") {
    shell sh;
    const double t = seconds_of([&] {
        CHECK(sh.run("seq 1000 | batch -j 4 --fail-fast --joblog log sh -c 'echo $$ >pid{}\n"
                     "if [ {} = 3 ]; then until [ -e pid4 ]; do sleep 0.01; done; exit 9; fi; sleep 600'") == 1);
    });
    CHECK(t < 30);
    CHECK(statuses(sh.file("log")) == strings{"SIGTERM", "SIGTERM", "9", "SIGTERM"});
    CHECK(sh.run("[ ! -e pid5 ] && ! alive $(cat pid1 pid2 pid4)") == 0);
    // With retries it is the last failure that counts.
    CHECK(sh.run("echo | batch --fail-fast --retries 1 --joblog log false") == 1);
    CHECK(records(sh.file("log")).at(0).attempts == 2);
}

TEST_CASE("batch --rate: in any one second at most N starts") {
    shell sh;
    CHECK(sh.run("seq 13 | batch -j 8 --rate 5 --joblog log true") == 0);
    const std::vector<record> all = records(sh.file("log"));
    REQUIRE(all.size() == 13);
    std::vector<double> starts;
    for (const record& r : all)
        starts.push_back(r.start);
    std::sort(starts.begin(), starts.end());
    for (std::size_t i = 5; i < starts.size(); ++i)
        CHECK(starts[i] - starts[i - 5] >= 1.0);
}

TEST_CASE("batch --joblog: tabs, newlines and backslashes of the line are escaped") {
    shell sh;
    CHECK(sh.run("printf 'a\\tb\\nc\\\\d\\0' | batch -0 --joblog log printf %s") == 0);
    CHECK(sh.out == "a\tb\nc\\d");
    const std::vector<record> all = records(sh.file("log"));
    REQUIRE(all.size() == 1);
    CHECK(all[0].line == "a\\tb\\nc\\\\d");
    CHECK(std::abs(all[0].start - static_cast<double>(std::time(nullptr))) < 60);
    // And recognised again; the log of another run is replaced unless it is resumed.
    CHECK(sh.run("printf 'a\\tb\\nc\\\\d\\0  x\\0' | batch -0 --joblog log --resume printf '[%s]'") == 0);
    CHECK(sh.out == "[  x]");
    CHECK(sh.run("printf 'a\\tb\\nc\\\\d\\0  x\\0' | batch -0 --joblog log --resume printf '[%s]'") == 0);
    CHECK(sh.out == "");
    CHECK(sh.run("echo new | batch --joblog log true") == 0);
    CHECK(records(sh.file("log")).size() == 1);
}

TEST_CASE("batch --resume: what succeeded is skipped, the rest runs again, and only this run's failures count") {
    shell sh;
    CHECK(sh.run("seq 10 | batch --joblog log --resume sh -c 'echo {} >>ran; [ $(({} % 3)) != 0 ]'") ==
          3); // no log: a first run
    CHECK(sh.run("rm ran; seq 10 | batch -j1 --joblog log --resume sh -c 'echo {} >>ran; [ {} = 3 ]'") == 2);
    CHECK(sh.file("ran") == "3\n6\n9\n");
    // A line that has changed is another job, whatever happened under its number.
    CHECK(sh.run("rm ran; seq 10 | sed s/4/four/ | batch -j1 --joblog log --resume sh -c 'echo {} >>ran'") == 0);
    CHECK(sh.file("ran") == "four\n6\n9\n");
    CHECK(records(sh.file("log")).size() == 10 + 3 + 3);
}

TEST_CASE("batch --resume: a torn last record is cut off, and a file that is no joblog is left alone") {
    shell sh;
    CHECK(sh.run("seq 3 | batch -j1 --joblog log true; printf '4\\t1700000000.000\\t0.0' >>log; cp log torn\n"
                 "seq 4 | batch -j1 --joblog log --resume sh -c 'echo {} >>ran'") == 0);
    CHECK(sh.file("ran") == "4\n");
    CHECK(records(sh.file("log")).size() == 4);
    CHECK(
        sh.run(
            "printf 'my dear diary\\nof yesterday' >diary; cp diary copy; batch --joblog diary --resume true; echo $?; "
            "cmp diary copy") == 0);
    CHECK(sh.out == "255\n");
    CHECK(split(sh.err).size() == 1);
    CHECK(sh.err.find("my dear diary") != std::string::npos);
}

TEST_CASE("batch: after kill -9 in the middle nothing is lost and nothing that was done is repeated") {
    for (const int after : {1, 17, 60, 150}) {
        CAPTURE(after);
        shell sh;
        CHECK(sh.run("mkdir ran\n"
                     "seq 200 | batch -j 4 --joblog log sh -c 'echo x >>ran/{}' & pid=$!\n"
                     "until_true '[ $(wc -l <log 2>/dev/null || echo 0) -ge " +
                     std::to_string(after) +
                     " ]'\n"
                     "kill -9 $pid; wait $pid; sleep 0.1\n" // those that were running go on
                     "cp log before\n"
                     "seq 200 | batch -j 4 --joblog log --resume sh -c 'echo x >>ran/{}'") == 0);
        std::map<std::string, int> times;
        for (int i = 1; i <= 200; ++i) {
            CAPTURE(i);
            const auto n = split(sh.file("ran/" + std::to_string(i))).size();
            CHECK(n >= 1);
            times[std::to_string(i)] = static_cast<int>(n);
        }
        const std::string before = sh.file("before");
        const std::vector<record> done = records(before.substr(0, before.rfind('\n') + 1));
        CHECK(done.size() >= static_cast<std::size_t>(after));
        int repeated = 0;
        for (const record& r : done)
            CHECK(times[r.line] == 1);
        for (const auto& [line, n] : times)
            repeated += n - 1;
        CHECK(repeated <= 4 + 100); // at most what ran, or had ended and was not yet recorded
        std::set<std::size_t> numbers;
        for (const record& r : records(sh.file("log")))
            numbers.insert(r.number);
        CHECK(numbers.size() == 200);
    }
}

TEST_CASE("batch: the first Ctrl-C ends the running groups and records them; SIGTERM does the same") {
    for (const auto& [name, status] : std::map<std::string, int>{{"INT", 130}, {"TERM", 143}}) {
        CAPTURE(name);
        shell sh;
        CHECK(sh.run(
                  "seq 100 | batch -j 3 --joblog log sh -c 'echo out {}; sleep 600 & echo $! >child{}; wait' & pid=$!\n"
                  "until_true '[ -s child1 ] && [ -s child2 ] && [ -s child3 ]'; kill -" +
                  name + " $pid; wait $pid; echo status $?") == 0);
        CHECK(statuses(sh.file("log")) == strings{"SIGTERM", "SIGTERM", "SIGTERM"});
        const strings lines = split(sh.out);
        REQUIRE(lines.size() == 4);
        CHECK(lines[3] == "status " + std::to_string(status));
        CHECK(sh.err == "");
        CHECK(sh.run("[ ! -e child4 ] && ! alive $(cat child*)") == 0);
        // They run again.
        CHECK(sh.run("seq 3 | batch -j1 --joblog log --resume echo") == 0);
        CHECK(sh.out == "1\n2\n3\n");
    }
}

TEST_CASE("batch: a job that ignores SIGTERM is killed after the grace, one that ends well is done all the same") {
    shell sh;
    CHECK(sh.run("printf '1\\n' | batch --grace 0.3 --joblog log sh -c 'trap \"\" TERM; : >begun; sleep 600' & pid=$!\n"
                 "until_true '[ -e begun ]'; kill -INT $pid; wait $pid") == 130);
    CHECK(statuses(sh.file("log")) == strings{"SIGKILL"});
    // It ends with 0 because of the signal: whether it had done its work nobody knows, so it is to run again.
    CHECK(sh.run("rm begun; printf '1\\n' | batch --joblog log sh -c 'trap \"exit 0\" TERM; : >begun; sleep 600 & "
                 "wait' & pid=$!\n"
                 "until_true '[ -e begun ]'; kill -INT $pid; wait $pid") == 130);
    CHECK(statuses(sh.file("log")) == strings{"SIGTERM"});
    // Between two attempts.
    CHECK(sh.run("rm begun; echo | batch --retries 9 --joblog log sh -c 'echo >>begun; exit 3' & pid=$!\n"
                 "until_true '[ $(wc -l <begun) -ge 4 ]'; kill -INT $pid; wait $pid") == 130);
    CHECK(statuses(sh.file("log")) == strings{"SIGTERM"});
    CHECK(records(sh.file("log")).at(0).attempts >= 4);
}

TEST_CASE("batch: the second Ctrl-C kills the groups and ends at once") {
    shell sh;
    const double t = seconds_of([&] {
        CHECK(sh.run("seq 9 | batch -j 2 --grace 600 --joblog log sh -c 'trap \": >stubborn{}\" TERM\n"
                     "echo $$ >job{}; while :; do sleep 0.05; done' & pid=$!\n"
                     "until_true '[ -s job1 ] && [ -s job2 ]'; kill -INT $pid\n"
                     "until_true '[ -e stubborn1 ] && [ -e stubborn2 ]'; kill -INT $pid; wait $pid") == 130);
    });
    CHECK(t < 30);
    CHECK(sh.run("until_true '! alive $(cat job1 job2)'") == 0);
}

TEST_CASE("batch: Ctrl-C ends it also while it waits for input that never comes") {
    shell sh;
    CHECK(sh.run("mkfifo pipe; { echo 1; sleep 600; } >pipe & feeder=$!\n"
                 "batch -a pipe sh -c ': >ran' & pid=$!\n"
                 "until_true '[ -e ran ]'; kill -INT $pid; wait $pid; status=$?; kill $feeder; exit $status") == 130);
}

TEST_CASE("batch: endless input takes no more memory") {
    shell sh;
    CHECK(sh.run("yes 'a line of some length, so that it would show' | batch -j 4 --joblog log true & pid=$!\n"
                 "until_true '[ $(wc -l <log 2>/dev/null || echo 0) -ge 300 ]'\n"
                 "sed -n 's/VmHWM:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/$pid/status >peak\n"
                 "kill -INT $pid; wait $pid") == 130);
    const long peak = std::atol(sh.file("peak").c_str());
    CHECK(peak > 0);
    if (!sanitized) CHECK(peak < 32 * 1024);
    // A gigabyte without a newline.
    const std::string limit = sanitized ? "" : "ulimit -v 1000000; ";
    CHECK(sh.run("(" + limit + "head -c 1000000000 /dev/zero | tr '\\0' x | batch --joblog log echo; echo $?)") == 0);
    CHECK(split(sh.out).back() == "1");
    CHECK(statuses(sh.file("log").substr(0, 40) + "x\n") == strings{"127"});
}

TEST_CASE("batch: what can't be started fails that one job") {
    shell sh;
    CHECK(sh.run("printf 'true\\nno-such-command\\n/etc/passwd\\n/\\n\\ntrue\\n' | batch -j1 --joblog log {}") == 4);
    CHECK(statuses(sh.file("log")) == strings{"0", "127", "127", "127", "127", "0"});
    const strings said = split(sh.err);
    REQUIRE(said.size() == 4);
    CHECK(said[0].find("batch: line 2: ") == 0);
    CHECK(said[0].find("no-such-command") != std::string::npos);
    // Arguments that are too long, one of them longer than any could be.
    CHECK(sh.run("{ echo 1; head -c 300000 /dev/zero | tr '\\0' x; echo; head -c 3000000 /dev/zero | tr '\\0' x; echo; "
                 "echo 4; } "
                 "| batch -j1 --joblog log echo") == 2);
    CHECK(sh.out == "1\n4\n");
    CHECK(split(sh.err).size() == 2);
    // A NUL can't be in an argument.
    CHECK(sh.run("printf 'a\\0b\\nc\\n' | batch -j1 echo") == 1);
    CHECK(sh.out == "c\n");
}

TEST_CASE("batch: bad options, files and outputs are one clear line and status 255") {
    shell sh;
    const std::map<std::string, std::string> wrong{
        {"batch", "COMMAND"},
        {"batch -j 0 true", "-j"},
        {"batch -j0 true", "'0'"},
        {"batch -j -1 true", "'-1'"},
        {"batch -j 1x true", "'1x'"},
        {"batch -j", "-j needs a value"},
        {"batch --timeout 0 true", "--timeout"},
        {"batch --timeout nan true", "nan"},
        {"batch --grace -1 true", "--grace"},
        {"batch --retries x true", "--retries"},
        {"batch --rate 0 true", "--rate"},
        {"batch --rate 1.5 true", "1.5"},
        {"batch --fail-fast=1 true", "takes no value"},
        {"batch --frobnicate true", "--frobnicate"},
        {"batch -x true", "-x"},
        {"batch --resume true", "--joblog"},
        {"batch -a missing true", "missing"},
        {"batch -a / true", "/: "},
        {"batch --joblog no/such/folder true", "no/such/folder"},
        {"batch --joblog / true", "joblog /"},
        {"batch true <&-", "standard input"},
        {"seq 9 | batch echo >&-", "output"},
        {"seq 9 | batch echo >/dev/full", "output"},
        {"seq 9 | batch sh -c 'echo x >&2' 2>/dev/full", ""},
        {"seq 9 | batch --joblog /dev/full true", "joblog /dev/full"},
        {"seq 9 | batch --fail-fast sh -c 'echo x; exit 1' >/dev/full", "output"},
    };
    for (const auto& [command, word] : wrong) {
        CAPTURE(command);
        CHECK(sh.run(command) == 255);
        CHECK(sh.out == "");
        CHECK(split(sh.err).size() == (word.empty() ? 0 : 1));
        CHECK(sh.err.find(word) != std::string::npos);
        if (!word.empty()) CHECK(sh.err.find("batch: ") == 0);
    }
    // The reader has gone: a write error, no silent death.
    CHECK(sh.run("(yes | head -n 100000 | batch echo; echo $? >status) | head -n 1") == 0);
    CHECK(sh.file("status") == "255\n");
    CHECK(split(sh.err).size() == 1);
}

TEST_CASE("batch --progress: plain lines and a summary where there is no terminal, a bar where there is one") {
    shell sh;
    CHECK(
        sh.run("seq 5 | batch -j2 --progress sh -c '[ {} != 3 ]; e=$?; if [ {} = 5 ]; then sleep 2.5; fi; exit $e'") ==
        1);
    strings lines = split(sh.err);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].find("batch: ") == 0);
    CHECK(lines[0].find("3 done, 1 failed, 1 running") != std::string::npos);
    CHECK(lines[0].find("/s") != std::string::npos);
    CHECK(lines[0].find("left") != std::string::npos);
    CHECK(lines[1].find("4 done, 1 failed, 0 running") != std::string::npos);
    CHECK(sh.err.find('\r') == std::string::npos);

    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    REQUIRE(terminal >= 0);
    REQUIRE(::grantpt(terminal) == 0);
    REQUIRE(::unlockpt(terminal) == 0);
    const std::string name = ::ptsname(terminal);
    const int other_end = ::open(name.c_str(), O_RDWR | O_NOCTTY); // keeps what was written
    CHECK(sh.run("seq 4 | batch -j2 --progress sh -c 'echo {}; sleep 0.5' 2>" + name) == 0);
    char text[8192];
    const ssize_t n = ::read(terminal, text, sizeof text);
    ::close(terminal);
    ::close(other_end);
    REQUIRE(n > 0);
    const std::string shown(text, static_cast<std::size_t>(n));
    CHECK(shown.find("[#") != std::string::npos);
    CHECK(shown.find("\r\033[K") != std::string::npos);
    CHECK(shown.find("2 running") != std::string::npos);
    CHECK(shown.find("4 done, 0 failed, 0 running") != std::string::npos);
    CHECK(shown.substr(shown.size() - 2) == "\r\n");
}

TEST_CASE("batch --help and --version") {
    shell sh;
    CHECK(sh.run("batch --help") == 0);
    for (const char* option :
         {"-j N", "-a FILE", "-0", "--timeout S", "--grace S", "--retries N", "--fail-fast", "--rate N", "--keep-order",
          "--joblog FILE", "--resume", "--progress", "--help", "--version"})
        CHECK(sh.out.find(option) != std::string::npos);
    CHECK(sh.run("batch --version") == 0);
    CHECK(std::regex_search(sh.out, std::regex("^batch .*[0-9]+\\.[0-9]+\\.[0-9]+\n$")));
}
