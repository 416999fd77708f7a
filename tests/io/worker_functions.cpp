#include "io/worker_functions.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

#include "io/frame.hpp"

namespace {
bool is_worker = false;
}

// Before everything: a worker is to be one, or (asked by the environment) to fail before it is.
extern "C" void eddy_test_first(int argc, char** argv);
extern "C" void eddy_test_first(int argc, char** argv) {
    is_worker = argc == 2 && std::strncmp(argv[1], "--eddy-process-worker", 21) == 0;
    if (const char* how = std::getenv("EDDY_TEST_START"); how != nullptr && is_worker) {
        if (std::strcmp(how, "exit") == 0) _exit(7);
        if (std::strcmp(how, "abort") == 0) {
            std::signal(SIGABRT, SIG_DFL);
            std::abort();
        }
        if (std::strcmp(how, "hang") == 0) ::pause();
        if (std::strcmp(how, "greet") == 0) {
            const auto table = eddy::detail::process_function_table::make();
            std::vector<std::byte> hello(eddy::detail::frame_header_size);
            eddy::byte_writer(hello).put(table->hash(), static_cast<std::uint64_t>(table->size()));
            eddy::detail::seal_frame(hello, eddy::detail::frame_type::hello, 0);
            static_cast<void>(::send(3, hello.data(), hello.size(), MSG_NOSIGNAL));
            _exit(7);
        }
        if (std::strcmp(how, "garbage") == 0) {
            const std::array<char, 64> garbage{'x'};
            static_cast<void>(::send(3, garbage.data(), garbage.size(), MSG_NOSIGNAL));
            ::pause();
        }
    }
    eddy::process_worker_main(argc, argv);
}

namespace eddy_test {

namespace {

void default_signals() {
    for (const int s : {SIGABRT, SIGSEGV, SIGTERM, SIGBUS, SIGFPE, SIGILL})
        std::signal(s, SIG_DFL); // sanitizers have handlers
}

} // namespace

bool in_worker() { return is_worker; }

int worker_pid() { return ::getpid(); }
int parent_of_worker() { return ::getppid(); }
// Wraps around: it is given random numbers.
int add(int a, int b) { return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)); }
void nothing() {}
std::string joined(std::string_view a, const std::string& b, std::string c) { return std::string(a) + b + c; }
std::size_t count_bytes(std::span<const std::byte> b) { return b.size(); }
std::vector<std::byte> many_bytes(std::size_t n) {
    std::vector<std::byte> b(n);
    for (std::size_t i = 0; i < n; ++i)
        b[i] = static_cast<std::byte>(i * 7);
    return b;
}
std::vector<std::byte> echo_bytes(const std::vector<std::byte>& b) { return b; }
tagged change(tagged t) {
    t.number = add(t.number, 1);
    t.text += "!";
    return t;
}
std::tuple<int, std::optional<std::string>, std::vector<double>> mixed(std::vector<double> v) {
    const int n = static_cast<int>(v.size());
    v.push_back(0.5);
    return {n, n == 0 ? std::nullopt : std::optional<std::string>("some"), std::move(v)};
}
void throw_error(std::string text) { throw std::out_of_range(text); }
void throw_number() { throw 42; }
void throw_cancelled() { throw eddy::cancelled(); }
tagged malformed_result() {
    tagged t;
    t.number = -2;
    return t;
}
void die_of(int signum) {
    default_signals();
    ::raise(signum);
}
void exit_with(int code) { std::exit(code); }
void exit_quickly_with(int code) { _exit(code); }
int answer_and_die(std::uint64_t id, int answer, int signum) {
    std::vector<std::byte> frame(eddy::detail::frame_header_size);
    eddy::byte_writer(frame).put(answer);
    eddy::detail::seal_frame(frame, eddy::detail::frame_type::value, id);
    static_cast<void>(::send(3, frame.data(), frame.size(), MSG_NOSIGNAL));
    die_of(signum);
    return 0;
}
void sleep_for_ever() {
    for (;;)
        ::pause();
}
void mark(std::string path) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) throw std::runtime_error("cannot create " + path);
    ::close(fd);
}
void mark_and_sleep(std::string path) {
    mark(std::move(path));
    sleep_for_ever();
}
void print(std::string to_out, std::string to_err) {
    std::cout << to_out;
    std::fputs(to_err.c_str(), stderr);
}
void print_and_die(std::string to_out, int signum) {
    static_cast<void>(!::write(1, to_out.data(), to_out.size()));
    die_of(signum);
}
void print_much(std::size_t bytes) {
    const std::string line(1023, 'x');
    for (std::size_t n = 0; n < bytes; n += 1024) {
        std::printf("%s\n", line.c_str());
        std::fprintf(stderr, "%s\n", line.c_str());
    }
}
std::string read_input() {
    std::string all;
    for (int c; (c = std::getchar()) != EOF;)
        all += static_cast<char>(c);
    return all;
}
std::string variable_of_worker(std::string name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "(none)" : value;
}
std::vector<int> descriptors() {
    std::vector<int> open;
    for (int fd = 0; fd < 1024; ++fd)
        if (::fcntl(fd, F_GETFD) >= 0) open.push_back(fd);
    return open;
}
int start_child_that_sleeps() {
    const pid_t child = ::fork();
    if (child == 0) sleep_for_ever();
    return child;
}
void write_to_link(std::vector<std::byte> bytes, bool close_after) {
    static_cast<void>(::send(3, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    if (close_after) ::close(3);
    sleep_for_ever();
}
void close_link() {
    ::close(3);
    sleep_for_ever();
}
int chaos(int what, int x) {
    default_signals();
    switch (what) {
    case 1:
        ::raise(SIGKILL);
        break;
    case 2:
        ::raise(SIGSEGV);
        break;
    case 3:
        _exit(x % 3);
    case 4:
        std::abort();
    case 5:
        ::raise(SIGSTOP);
        sleep_for_ever();
        break;
    case 6:
        throw std::runtime_error("chaos");
    case 7:
        write_to_link(many_bytes(static_cast<std::size_t>(x % 100 + 32)), false);
        break;
    default:
        break;
    }
    return x + 1;
}

EDDY_PROCESS_FUNCTION(worker_pid)
EDDY_PROCESS_FUNCTION(parent_of_worker)
EDDY_PROCESS_FUNCTION(add)
EDDY_PROCESS_FUNCTION(nothing)
EDDY_PROCESS_FUNCTION(joined)
EDDY_PROCESS_FUNCTION(count_bytes)
EDDY_PROCESS_FUNCTION(many_bytes)
EDDY_PROCESS_FUNCTION(echo_bytes)
EDDY_PROCESS_FUNCTION(change)
EDDY_PROCESS_FUNCTION(mixed)
EDDY_PROCESS_FUNCTION(throw_error)
EDDY_PROCESS_FUNCTION(throw_number)
EDDY_PROCESS_FUNCTION(throw_cancelled)
EDDY_PROCESS_FUNCTION(malformed_result)
EDDY_PROCESS_FUNCTION(die_of)
EDDY_PROCESS_FUNCTION(exit_with)
EDDY_PROCESS_FUNCTION(exit_quickly_with)
EDDY_PROCESS_FUNCTION(answer_and_die)
EDDY_PROCESS_FUNCTION(sleep_for_ever)
EDDY_PROCESS_FUNCTION(mark_and_sleep)
EDDY_PROCESS_FUNCTION(mark)
EDDY_PROCESS_FUNCTION(print)
EDDY_PROCESS_FUNCTION(print_and_die)
EDDY_PROCESS_FUNCTION(print_much)
EDDY_PROCESS_FUNCTION(read_input)
EDDY_PROCESS_FUNCTION(variable_of_worker)
EDDY_PROCESS_FUNCTION(descriptors)
EDDY_PROCESS_FUNCTION(start_child_that_sleeps)
EDDY_PROCESS_FUNCTION(write_to_link)
EDDY_PROCESS_FUNCTION(close_link);
EDDY_PROCESS_FUNCTION(chaos)

} // namespace eddy_test
