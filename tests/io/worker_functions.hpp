// What the workers of the tests can do. The test program is its own worker.
#pragma once

#include <eddy/core/sleep.hpp>
#include <eddy/io/process_pool.hpp>

#include "io/real.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace eddy_test {

// A type with a serializer of its own; one of its values is malformed on the way back.
struct tagged {
    int number = 0;
    std::string text;
    friend bool operator==(const tagged&, const tagged&) = default;
};

// This is a worker, not the test.
bool in_worker();

int worker_pid();
int parent_of_worker();
int add(int a, int b);
void nothing();
std::string joined(std::string_view a, const std::string& b, std::string c);
std::size_t count_bytes(std::span<const std::byte> b);
std::vector<std::byte> many_bytes(std::size_t n);
std::vector<std::byte> echo_bytes(const std::vector<std::byte>& b);
tagged change(tagged t);
std::tuple<int, std::optional<std::string>, std::vector<double>> mixed(std::vector<double> v);
void throw_error(std::string text);
void throw_number();
void throw_cancelled();
tagged malformed_result(); // writes what is read back with an error
void die_of(int signum);
void exit_with(int code);
void exit_quickly_with(int code);
// Sends the answer to job `id` itself, then dies.
int answer_and_die(std::uint64_t id, int answer, int signum);
void sleep_for_ever();
// Creates a file, then sleeps.
void mark_and_sleep(std::string path);
void mark(std::string path);
void print(std::string to_out, std::string to_err);
void print_and_die(std::string to_out, int signum);
void print_much(std::size_t bytes);
std::string read_input();
std::string variable_of_worker(std::string name);
std::vector<int> descriptors();
// Starts a child that sleeps, and gives its process id.
int start_child_that_sleeps();
void write_to_link(std::vector<std::byte> bytes, bool close_after);
void close_link();
// Does one of many bad things, or gives x + 1.
int chaos(int what, int x);

// As run_real; but workers that were killed at the end are reaped in the loop's own time.
template <class F>
void run_pool(F f) {
    const nothing_left checked;
    eddy::loop l;
    auto body = [&f]() -> eddy::task<void> { co_await f(); };
    l.run(body());
    auto moment = []() -> eddy::task<void> { co_await eddy::sleep(std::chrono::milliseconds(1)); };
    while (l.statistics().frames != 0)
        l.run(moment());
    check_empty(l);
}

// The exception that a job ended with.
template <class E, class R>
eddy::task<std::optional<E>> error_of(eddy::detail::pool_run_operation<R> op) {
    std::optional<E> got;
    try {
        if constexpr (std::is_void_v<R>)
            co_await op;
        else
            static_cast<void>(co_await op);
    } catch (const E& e) {
        got.emplace(e);
    }
    co_return got;
}

} // namespace eddy_test

template <>
struct eddy::serializer<eddy_test::tagged> {
    static void write(byte_writer& out, const eddy_test::tagged& t) {
        if (t.number == -1) throw std::runtime_error("a tagged -1 can't be sent");
        out.put(t.number, t.text);
    }
    static eddy_test::tagged read(byte_reader& in) {
        eddy_test::tagged t;
        t.number = in.get<int>();
        t.text = in.get<std::string>();
        if (t.number == -2) throw std::runtime_error("a tagged -2 can't be read");
        if (t.number == -3) std::abort(); // only workers read it
        return t;
    }
};
