// What a test's code writes to standard error.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

namespace eddy_test {

// Takes what is written to standard error while it lives.
class captured_stderr {
public:
    captured_stderr() : file_(std::tmpfile()) {
        std::fflush(stderr);
        before_ = dup(2);
        if (file_ == nullptr || before_ < 0 || dup2(fileno(file_), 2) < 0) std::abort();
    }
    captured_stderr(const captured_stderr&) = delete;
    ~captured_stderr() {
        restore();
        std::fclose(file_);
    }
    std::string text() {
        restore();
        std::string s;
        std::rewind(file_);
        for (int c; (c = std::fgetc(file_)) != EOF;)
            s.push_back(static_cast<char>(c));
        return s;
    }

private:
    void restore() {
        if (before_ < 0) return;
        std::fflush(stderr);
        dup2(before_, 2);
        close(before_);
        before_ = -1;
    }
    std::FILE* file_;
    int before_;
};

} // namespace eddy_test
