// The worker's side of process_pool.
#include <eddy/core/error.hpp>
#include <eddy/io/process_function.hpp>

#include "io/frame.hpp"
#include "io/process_worker.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <fcntl.h>
#include <iostream>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

namespace eddy {

namespace detail {

namespace {

constexpr int link_fd = 3;
constexpr std::string_view mark = "--eddy-process-worker=";
const char* program_name = nullptr;

// Nobody is there any more who could be told anything.
[[noreturn]] void end_without_pool() noexcept { _exit(worker_exit_lost); }

void send_all(int fd, std::span<const std::byte> b) noexcept {
#if defined(MSG_NOSIGNAL)
    constexpr int flags = MSG_NOSIGNAL;
#else
    constexpr int flags = 0;
#endif
    while (!b.empty()) {
        const ssize_t n = ::send(fd, b.data(), b.size(), flags);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) end_without_pool();
        b = b.subspan(static_cast<std::size_t>(n));
    }
}

std::string type_name_of_current_exception() {
    const std::type_info* const t = abi::__cxa_current_exception_type();
    if (t == nullptr) return "unknown";
    int status = 0;
    char* const readable = abi::__cxa_demangle(t->name(), nullptr, nullptr, &status);
    std::string name = readable == nullptr ? t->name() : readable;
    std::free(readable);
    return name;
}

void put_exception(std::vector<std::byte>& frame, const std::string& type, std::string_view text) {
    frame.resize(frame_header_size);
    byte_writer(frame).put(type.substr(0, longest_text), std::string(text.substr(0, longest_text)));
}

// Inside a catch block.
void put_current_exception(std::vector<std::byte>& frame, std::string_view text) noexcept {
    try {
        put_exception(frame, type_name_of_current_exception(), text);
    } catch (...) {
        _exit(worker_exit_no_memory);
    }
}

void close_all_from(unsigned least) noexcept {
#if defined(__linux__) && defined(SYS_close_range)
    if (::syscall(SYS_close_range, least, ~0u, 0u) == 0) return;
#endif
    const long most = ::sysconf(_SC_OPEN_MAX);
    for (long fd = static_cast<long>(least); fd < (most < 0 ? 1024 : most); ++fd)
        ::close(static_cast<int>(fd));
}

// What the functions print is seen before their result is.
void flush_output() noexcept {
    try {
        std::cout.flush();
        std::clog.flush();
    } catch (...) { // its exceptions() are the functions' doing
    }
    std::fflush(stdout);
    std::fflush(stderr);
}

template <class T>
bool parse(std::string_view text, T& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

} // namespace

const char* worker_program_name() noexcept { return program_name; }

frame_type answer_job(const process_function_table& table, std::span<const std::byte> job, std::uint64_t most,
                      std::vector<std::byte>& answer) {
    answer.assign(frame_header_size, std::byte{});
    try {
        byte_reader in(job);
        const auto index = in.get<std::uint64_t>();
        if (index >= table.size())
            throw serialization_error("eddy: a job for function " + std::to_string(index) + " of " +
                                      std::to_string(table.size()));
        byte_writer out(answer);
        const process_function& f = table.at(static_cast<std::size_t>(index));
        f.call(in, out);
        if (const std::size_t size = answer.size() - frame_header_size; size > most)
            throw std::length_error(std::string("eddy: the result of ") + f.name() + " has " + std::to_string(size) +
                                    " bytes, and the pool's max_message_size is " + std::to_string(most));
        return frame_type::value;
    } catch (const std::exception& e) {
        put_current_exception(answer, e.what());
    } catch (abi::__forced_unwind&) { // pthread_exit() on the main thread: there is no way to go on
        throw;
    } catch (...) {
        put_current_exception(answer, {});
    }
    return frame_type::error;
}

void serve_pool(int fd, std::uint64_t most) {
    try {
        const auto table = process_function_table::make();
        std::vector<std::byte> answer(frame_header_size);
        byte_writer(answer).put(table->hash(), static_cast<std::uint64_t>(table->size()));
        seal_frame(answer, frame_type::hello, 0);
        send_all(fd, answer);
        frame_decoder decoder(longest_payload(most));
        for (;;) {
            const std::span<std::byte> into = decoder.room();
            const ssize_t n = ::recv(fd, into.data(), into.size(), 0);
            if (n < 0 && errno == EINTR) continue;
            if (n == 0 && decoder.at_rest()) return;
            if (n <= 0) end_without_pool();
            const frame_decoder::status s = decoder.advance(static_cast<std::size_t>(n));
            if (s == frame_decoder::status::more) continue;
            if (s == frame_decoder::status::bad ||
                decoder.header().type != static_cast<std::uint16_t>(frame_type::job)) {
                std::fprintf(stderr, "eddy: a worker process got %s, and ends\n",
                             s == frame_decoder::status::bad ? decoder.fault() : "a frame that is no job");
                _exit(worker_exit_bad_frame);
            }
            const frame_type type = answer_job(*table, decoder.payload(), most, answer);
            flush_output();
            seal_frame(answer, type, decoder.header().id);
            send_all(fd, answer);
            if (answer.capacity() > (4 << 20)) std::vector<std::byte>().swap(answer);
        }
    } catch (const std::bad_alloc&) {
        std::fputs("eddy: a worker process has no memory for a job, and ends\n", stderr);
        _exit(worker_exit_no_memory);
    }
}

namespace {

[[noreturn]] void run_worker(std::string_view arguments) {
    const std::size_t comma = arguments.find(',');
    pid_t parent = 0;
    std::uint64_t most = 0;
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (comma == std::string_view::npos || !parse(arguments.substr(0, comma), parent) ||
        !parse(arguments.substr(comma + 1), most) ||
        ::getsockname(link_fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.ss_family != AF_UNIX) {
        std::fprintf(stderr, "eddy: %s is for worker processes, which a process_pool starts\n", mark.data());
        _exit(worker_exit_usage);
    }
#if defined(__linux__)
    // The end of the connection comes as well, but a function that runs does not look.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (::getppid() != parent) end_without_pool(); // it has died before that
    close_all_from(link_fd + 1);
    ::fcntl(link_fd, F_SETFD, FD_CLOEXEC); // what the functions start does not get it
    serve_pool(link_fd, most);
    std::exit(0);
}

} // namespace
} // namespace detail

void process_worker_main(int argc, char** argv) {
    detail::program_name = argc > 0 && argv[0] != nullptr ? argv[0] : "worker";
    if (argc != 2) return;
    const std::string_view argument = argv[1];
    if (argument.starts_with(detail::mark)) detail::run_worker(argument.substr(detail::mark.size()));
}

} // namespace eddy
