// Runs part of a test in a process of its own: for what ends processes, takes signals or spoils descriptors.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace eddy_test {

struct child_end {
    bool exited = false;
    int code = 0;     // exit code, or the signal
    std::string text; // what it wrote to standard error
};

// f() -> int runs in a forked child; its result is the exit code. Call it while this process has one thread.
inline child_end in_child(const std::function<int()>& f) {
    int out[2];
    if (pipe(out) != 0) std::abort();
    std::fflush(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
        // doctest has handlers of its own.
        for (const int s : {SIGINT, SIGABRT, SIGTERM, SIGSEGV})
            std::signal(s, SIG_DFL);
        dup2(out[1], 2);
        close(out[0]);
        close(out[1]);
        const int code = f();
        std::fflush(nullptr);
        _exit(code);
    }
    close(out[1]);
    child_end end;
    char buffer[4096];
    for (ssize_t n; (n = read(out[0], buffer, sizeof buffer)) > 0;)
        end.text.append(buffer, static_cast<std::size_t>(n));
    close(out[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    end.exited = WIFEXITED(status);
    end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
    return end;
}

} // namespace eddy_test
