// For tests of pools and forks: what a piece of code prints, and a test in a process of its own.
#pragma once

#include "support/child.hpp"

#include <cstdio>
#include <functional>
#include <string>
#include <unistd.h>

namespace eddy_test {

// What f() writes to standard error.
inline std::string printed_by(const std::function<void()>& f) {
    std::FILE* const file = std::tmpfile();
    std::fflush(nullptr);
    const int before = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    f();
    std::fflush(nullptr);
    dup2(before, STDERR_FILENO);
    close(before);
    std::rewind(file);
    std::string text;
    for (int c; (c = std::fgetc(file)) != EOF;)
        text += static_cast<char>(c);
    std::fclose(file);
    return text;
}

// Runs the (skipped) test case of that name in a fresh process. A forked one could not have threads under
// ThreadSanitizer.
inline child_end in_new_process(const std::string& test) {
    return in_child([&] {
        const std::string filter = "-tc=" + test;
        execl("/proc/self/exe", "test", "-ns", filter.c_str(), static_cast<char*>(nullptr));
        return 127;
    });
}

} // namespace eddy_test
