// Which of the known coroutine bugs does this compiler have?
//
// Some compilers translate correct coroutines into wrong programs, without a word: a temporary is
// destroyed twice, a branch ends in an illegal instruction, the rest of a body is dropped.
// docs/compilers.md names the cases A to G. This file holds one function for each, does nothing
// else, and needs nothing but the standard library, so that it can be compiled and run before
// anything of eddy is.
//
//     coroutine_canary            prints the letters of the cases that go wrong, or "none"; exit
//     status 0 coroutine_canary --check    also compares with what is known of this compiler; exit
//     status 1 if it differs
//
// Each case runs in a child process, because several of them crash. Every suspension is a real one:
// the awaited value is made only after the coroutine gave up control.

#include <coroutine>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// How many values exist. A case that destroys one twice, or never, does not end at zero.
int live = 0;

struct value {
    value() noexcept { ++live; }
    value(const value&) noexcept { ++live; }
    value(value&&) noexcept { ++live; }
    value& operator=(const value&) noexcept = default;
    value& operator=(value&&) noexcept = default;
    ~value() { --live; }
};

std::coroutine_handle<> parked; // the coroutine that waits, if any

struct task {
    struct promise_type {
        std::coroutine_handle<> continuation = std::noop_coroutine();

        task get_return_object() noexcept { return task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct to_continuation {
                bool await_ready() noexcept { return false; }
                std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
                    return self.promise().continuation;
                }
                void await_resume() noexcept {}
            };
            return to_continuation{};
        }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };

    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : frame(coroutine) {}
    task(task&& other) noexcept : frame(std::exchange(other.frame, {})) {}
    task& operator=(task&&) = delete;
    ~task() {
        if (frame) frame.destroy();
    }

    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        frame.promise().continuation = awaiting;
        return frame;
    }
    void await_resume() noexcept {}

    std::coroutine_handle<promise_type> frame;
};

// Suspends, then gives a T made by `make`.
template <class T>
struct later {
    explicit later(T (*make_result)()) noexcept : make(make_result) {}
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) noexcept { parked = awaiting; }
    T await_resume() noexcept { return make(); }
    T (*make)();
};

later<bool> later_bool() {
    return later<bool>([] { return true; });
}
later<value> later_value() {
    return later<value>([] { return value(); });
}

bool runs_to_its_end(task t) {
    t.frame.resume();
    while (parked)
        std::exchange(parked, {}).resume();
    return t.frame.done();
}

// A: a co_await as the condition of a statement, in a body that declares no variable.
int reached = 0;
task case_a_body() {
    if (co_await later_bool()) ++reached;
    ++reached;
}
bool case_a() { return runs_to_its_end(case_a_body()) && reached == 2; }

// B: an aggregate with a non-trivial member, made inside a full expression that awaits.
struct aggregate {
    value member;
};
later<value> takes_aggregate(const aggregate&) { return later_value(); }
task case_b_body() { co_await takes_aggregate(aggregate{value()}); }
bool case_b() { return runs_to_its_end(case_b_body()) && live == 0; }

// C: a lambda that captures a non-trivial value, made inside a full expression that awaits.
template <class F>
later<value> takes_function(F function) {
    function();
    return later_value();
}
task case_c_body() {
    value captured;
    co_await takes_function([captured] { (void)captured; });
}
bool case_c() { return runs_to_its_end(case_c_body()) && live == 0; }

// D: an awaiter that is itself such an aggregate.
struct aggregate_awaiter {
    value member;
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiting) noexcept { parked = awaiting; }
    void await_resume() noexcept {}
};
task case_d_body() { co_await aggregate_awaiter{value()}; }
bool case_d() { return runs_to_its_end(case_d_body()) && live == 0; }

// E: the conditional operator over two awaited values of class type.
task case_e_body(bool first) {
    value chosen = first ? co_await later_value() : co_await later_value();
    (void)chosen;
}
bool case_e() { return runs_to_its_end(case_e_body(true)) && live == 0; }

// F: awaiting the result of the conditional operator.
task child() { co_await later_value(); }
task case_f_body(bool first) { co_await (first ? child() : child()); }
bool case_f() { return runs_to_its_end(case_f_body(true)) && live == 0; }

// G: new with an awaited value of class type.
task case_g_body() {
    value* made = new value(co_await later_value());
    delete made;
}
bool case_g() { return runs_to_its_end(case_g_body()) && live == 0; }

bool right_in_a_child(bool (*run_case)()) {
    const pid_t child_id = fork();
    if (child_id == 0) {
        const rlimit no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        if (const int null = open("/dev/null", O_WRONLY); null >= 0)
            dup2(null, STDERR_FILENO); // a crash under a sanitizer is an answer, not a report
        alarm(10);
        _exit(run_case() ? 0 : 1);
    }
    int status = 0;
    return child_id > 0 && waitpid(child_id, &status, 0) == child_id && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// What was measured. `maybe` holds the cases of which one release of a series is known to be bad
// and another good.
struct expectation {
    const char* bad;
    const char* maybe;
};
constexpr expectation expected() {
#if defined(__clang__) || !defined(__GNUC__)
    return {"", ""};
#elif __GNUC__ < 12 || (__GNUC__ == 12 && __GNUC_MINOR__ < 3)
    return {"ABCDEFG", ""};
#elif __GNUC__ == 12 && __GNUC_MINOR__ == 3
    return {"BCDEFG", "A"};
#elif __GNUC__ == 12
    return {"BCDEFG", ""};
#else
    return {"", ""};
#endif
}

} // namespace

int main(int argc, char** argv) {
    struct {
        char letter;
        bool (*run)();
    } const cases[] = {{'A', case_a}, {'B', case_b}, {'C', case_c}, {'D', case_d},
                       {'E', case_e}, {'F', case_f}, {'G', case_g}};
    std::string bad;
    for (const auto& c : cases)
        if (!right_in_a_child(c.run)) bad += c.letter;

    std::string spaced;
    for (const char letter : bad)
        spaced += spaced.empty() ? std::string(1, letter) : std::string(" ") + letter;
    std::puts(bad.empty() ? "none" : spaced.c_str());
    if (argc < 2 || std::strcmp(argv[1], "--check") != 0) return 0;

    int differences = 0;
    for (const auto& c : cases) {
        const bool is_bad = bad.find(c.letter) != std::string::npos;
        const bool should_be_bad = std::strchr(expected().bad, c.letter) != nullptr;
        if (is_bad == should_be_bad || std::strchr(expected().maybe, c.letter) != nullptr) continue;
        ++differences;
        std::printf("case %c is %s here, docs/compilers.md says it is %s\n", c.letter, is_bad ? "wrong" : "right",
                    should_be_bad ? "wrong" : "right");
    }
    return differences == 0 ? 0 : 1;
}
