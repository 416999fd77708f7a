// The worker's side: what it does with jobs and with bytes that are none.
#include "io/process_worker.hpp"

#include <eddy/core/error.hpp>

#include "io/worker_functions.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <random>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace eddy;
using namespace eddy::detail;
using namespace eddy_test;

namespace {

constexpr std::uint64_t longest = 1 << 20;

std::vector<std::byte> arguments_of(const process_function_table& table, const char* name) {
    std::vector<std::byte> b;
    for (std::size_t i = 0; i < table.size(); ++i)
        if (table.at(i).name() == std::string(name)) byte_writer(b).put(static_cast<std::uint64_t>(i));
    REQUIRE(b.size() == 8);
    return b;
}

template <class... A>
std::vector<std::byte> job_for(const process_function_table& table, const char* name, const A&... arguments) {
    std::vector<std::byte> b = arguments_of(table, name);
    byte_writer(b).put(arguments...);
    return b;
}

std::span<const std::byte> payload_of(const std::vector<std::byte>& answer) {
    return std::span(answer).subspan(frame_header_size);
}

std::string error_in(const std::vector<std::byte>& answer) {
    byte_reader in(payload_of(answer));
    const auto type = in.get<std::string>();
    return type + ": " + in.get<std::string>();
}

// A real worker whose connection is ours.
class raw_worker {
public:
    raw_worker() {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        std::fflush(nullptr);
        const std::string mark = "--eddy-process-worker=" + std::to_string(::getpid()) + "," + std::to_string(longest);
        pid_ = ::fork();
        if (pid_ == 0) {
            if (ends[1] != 3)
                ::dup2(ends[1], 3);
            else
                ::fcntl(3, F_SETFD, 0);
            const int null = ::open("/dev/null", O_WRONLY);
            ::dup2(null, 2);
            ::execl("/proc/self/exe", "worker", mark.c_str(), nullptr);
            _exit(99);
        }
        ::close(ends[1]);
        link_ = ends[0];
    }
    raw_worker(const raw_worker&) = delete;
    ~raw_worker() {
        if (link_ >= 0) ::close(link_);
        if (pid_ > 0) end();
    }
    void send(std::span<const std::byte> b) const {
        static_cast<void>(::send(link_, b.data(), b.size(), MSG_NOSIGNAL));
    }
    void finish_sending() const { ::shutdown(link_, SHUT_WR); }
    // Everything it sends until its end.
    std::vector<std::byte> receive_all() const {
        std::vector<std::byte> all;
        std::array<std::byte, 4096> some{};
        for (ssize_t n; (n = ::recv(link_, some.data(), some.size(), 0)) > 0;)
            all.insert(all.end(), some.begin(), some.begin() + n);
        return all;
    }
    // Its wait status.
    int end() {
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return status;
    }

private:
    int pid_ = 0;
    int link_ = -1;
};

} // namespace

TEST_CASE("a job is answered with its value, or with what it threw") {
    const auto table = process_function_table::make();
    std::vector<std::byte> answer;
    CHECK(answer_job(*table, job_for(*table, "add", 2, 3), longest, answer) == frame_type::value);
    CHECK(from_bytes<int>(payload_of(answer)) == 5);
    CHECK(answer_job(*table, job_for(*table, "throw_error", std::string("why")), longest, answer) == frame_type::error);
    CHECK(error_in(answer) == "std::out_of_range: why");
    CHECK(answer_job(*table, job_for(*table, "many_bytes", std::size_t{longest + 1}), longest, answer) ==
          frame_type::error);
    CHECK(contains(error_in(answer), "many_bytes"));
    // Long texts are cut: the frame must pass.
    CHECK(answer_job(*table, job_for(*table, "throw_error", std::string(100'000, 'x')), longest, answer) ==
          frame_type::error);
    CHECK(answer.size() < frame_header_size + longest_payload(0));
}

TEST_CASE("arguments that are none are answered with an error") {
    const auto table = process_function_table::make();
    std::vector<std::byte> answer;
    const auto fails = [&](std::vector<std::byte> job) {
        CHECK(answer_job(*table, job, longest, answer) == frame_type::error);
        CHECK(contains(error_in(answer), "eddy::serialization_error"));
    };
    fails({});
    fails(to_bytes(std::uint64_t{1'000'000}));
    fails(job_for(*table, "add", 2));
    fails(job_for(*table, "add", 2, 3, 4));
    fails(job_for(*table, "joined", std::uint64_t{1} << 50));
}

TEST_CASE("random arguments for every harmless function: an answer, always") {
    const auto table = process_function_table::make();
    std::mt19937_64 random(40);
    std::vector<std::byte> answer;
    const std::array<const char*, 6> names{"add", "joined", "count_bytes", "echo_bytes", "change", "mixed"};
    for (int round = 0; round < 5'000; ++round) {
        std::vector<std::byte> job = arguments_of(*table, names.at(random() % names.size()));
        for (auto n = random() % 60; n > 0; --n)
            job.push_back(static_cast<std::byte>(random() % 3 == 0 ? random() % 256 : random() % 4));
        // A number of -3 aborts; that is for the worker that has it.
        if (job.size() > 9 && job[8] == std::byte{0xfd}) continue;
        const frame_type t = answer_job(*table, job, longest, answer);
        REQUIRE((t == frame_type::value || t == frame_type::error));
    }
}

TEST_CASE("a worker greets, answers, and ends when there is nothing more to do") {
    const auto table = process_function_table::make();
    raw_worker w;
    std::vector<std::byte> frame(frame_header_size);
    const std::vector<std::byte> job = job_for(*table, "add", 40, 2);
    frame.insert(frame.end(), job.begin(), job.end());
    seal_frame(frame, frame_type::job, 77);
    w.send(frame);
    w.finish_sending();
    const std::vector<std::byte> all = w.receive_all();
    std::span<const std::byte> bytes = all;
    frame_decoder d(longest);
    REQUIRE(d.feed(bytes) == frame_decoder::status::frame);
    CHECK(d.header().type == static_cast<std::uint16_t>(frame_type::hello));
    byte_reader hello(d.payload());
    CHECK(hello.get<std::uint64_t>() == table->hash());
    CHECK(hello.get<std::uint64_t>() == table->size());
    REQUIRE(d.feed(bytes) == frame_decoder::status::frame);
    CHECK(d.header().type == static_cast<std::uint16_t>(frame_type::value));
    CHECK(d.header().id == 77);
    CHECK(from_bytes<int>(d.payload()) == 42);
    CHECK(bytes.empty());
    const int status = w.end();
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("bytes that are no job end a worker in good order: it never crashes") {
    std::mt19937_64 random(50);
    const auto table = process_function_table::make();
    for (int round = 0; round < 60; ++round) {
        raw_worker w;
        std::vector<std::byte> frame(frame_header_size);
        const std::vector<std::byte> job = job_for(*table, "add", 40, 2);
        frame.insert(frame.end(), job.begin(), job.end());
        seal_frame(frame, round % 5 == 4 ? frame_type::value : frame_type::job, 1);
        bool cut = false;
        if (round % 5 == 0) {
            for (std::byte& b : frame)
                b = static_cast<std::byte>(random());
        } else if (round % 5 < 3) {
            frame[random() % frame.size()] ^= static_cast<std::byte>(1 + random() % 255);
        } else if (round % 5 == 3) {
            frame.resize(1 + random() % (frame.size() - 1));
            cut = true;
        }
        w.send(frame);
        w.finish_sending();
        static_cast<void>(w.receive_all());
        const int status = w.end();
        REQUIRE(WIFEXITED(status));
        // A length that was made longer leaves it waiting for more, and then it is cut as well.
        const int code = WEXITSTATUS(status);
        CHECK((code == worker_exit_bad_frame || (cut && code == worker_exit_lost)));
    }
}

TEST_CASE("the argument that makes a worker, by itself, is told") {
    int status = 0;
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::close(3);
        const int null = ::open("/dev/null", O_WRONLY);
        ::dup2(null, 2);
        if (null > 2) ::close(null);
        ::execl("/proc/self/exe", "worker", "--eddy-process-worker=1,2", nullptr);
        _exit(99);
    }
    ::waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == worker_exit_usage);
}
