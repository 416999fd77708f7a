// What the three benchmark programs share: the clocks, the resident set, a cheap random number and the command line
// `PROGRAM WORKLOAD [SCALE]`. Each run is a process of its own and prints one line: name, nanoseconds an operation,
// operations, bytes a task (0 where that is not measured). `PROGRAM --list` prints the names it knows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

namespace bench {

// ---- measuring

// Nanoseconds of a POSIX clock since construction. CLOCK_PROCESS_CPUTIME_ID counts every thread of the process.
class stopwatch {
public:
    explicit stopwatch(clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) : clock_(clock), start_(read(clock)) {}

    [[nodiscard]] std::int64_t elapsed() const { return read(clock_) - start_; }

private:
    static std::int64_t read(clockid_t clock) {
        timespec t{};
        clock_gettime(clock, &t);
        return std::int64_t{t.tv_sec} * 1'000'000'000 + std::int64_t{t.tv_nsec};
    }

    clockid_t clock_;
    std::int64_t start_;
};

// A line of /proc/self/status in bytes. ru_maxrss will not do: it survives exec and so starts with the parent's peak.
inline std::int64_t status_bytes(std::string_view key) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(key)) {
            return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
        }
    }
    return 0;
}

// The growth of the resident set from construction to its peak.
class memory_meter {
public:
    memory_meter() : base_(status_bytes("VmRSS:")) {}

    [[nodiscard]] double per(std::int64_t tasks) const {
        return static_cast<double>(status_bytes("VmHWM:") - base_) / static_cast<double>(tasks);
    }

private:
    std::int64_t base_;
};

// ---- workloads

struct result {
    std::int64_t nanoseconds = 0;
    std::int64_t operations = 0;
    double bytes_per_task = 0;
};

struct workload {
    const char* name;
    result (*run)(double scale);
};

// A count of the specification, made smaller by the scale.
inline std::int64_t scaled(std::int64_t count, double scale) {
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(count) * scale));
}

// A full-period linear congruence: the same sequence in every program, at the price of a multiplication.
class random_number {
public:
    // Uniform in [0, bound), bound below 2^32.
    std::uint64_t below(std::uint64_t bound) {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return ((state_ >> 32U) * bound) >> 32U;
    }

private:
    std::uint64_t state_ = 1;
};

// Keeps the compiler from dropping the computation of a value.
template <class T>
void keep(T& value) {
    asm volatile("" : "+m"(value));
}

// Ends the program where a workload did not do what it claims to have done.
inline void require(bool ok, const char* what) {
    if (!ok) {
        std::fprintf(stderr, "benchmark: the workload went wrong: %s\n", what);
        std::abort();
    }
}

// ---- the command line

inline int main(int argc, char** argv, std::initializer_list<workload> workloads) {
    const std::string_view wanted = argc > 1 ? argv[1] : "";
    if (wanted == "--list") {
        for (const workload& w : workloads) {
            std::puts(w.name);
        }
        return 0;
    }
    const double scale = argc > 2 ? std::strtod(argv[2], nullptr) : 1.0;
    if (argc > 3 || !(scale > 0)) {
        std::fprintf(stderr, "usage: %s WORKLOAD [SCALE] | --list\n", argv[0]);
        return 2;
    }
    for (const workload& w : workloads) {
        if (wanted == w.name) {
            const result r = w.run(scale);
            const double each = static_cast<double>(r.nanoseconds) / static_cast<double>(r.operations);
            std::printf("%s %.2f %lld %.0f\n", w.name, each, static_cast<long long>(r.operations), r.bytes_per_task);
            return 0;
        }
    }
    std::fprintf(stderr, "%s: no workload '%s' (try --list)\n", argv[0], argc > 1 ? argv[1] : "");
    return 2;
}

} // namespace bench
