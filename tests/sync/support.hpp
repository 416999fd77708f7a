// What the tests of the primitives share.
#pragma once

#include <eddy/core/loop.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace eddy_test {

// Lets everything that is ready, and what that makes ready, run.
inline eddy::task<> settle_all() {
    for (int i = 0; i < 16; ++i)
        co_await eddy::yield();
}

// What shutdown does with a task that does not end: its frames go where they wait.
inline void destroy_task(const eddy::any_task_handle& h) {
    eddy::engine::task_record& r = *h.detail_record();
    if (h.done()) return;
    r.flags |= eddy::engine::scope::abandoned;
    r.loop->finish(r);
}

// The scope that the running task waits in, for operations that are driven by hand.
inline eddy::context here() {
    eddy::context c;
    c.where = eddy::loop::current().detail_state().running;
    return c;
}

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

// What the one wait in `waiters` is described as in a dump.
inline std::string dump_text() {
    std::ostringstream out;
    eddy::loop::current().dump_tasks(out);
    return out.str();
}

} // namespace eddy_test
