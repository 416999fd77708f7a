// What the tests of the primitives share.
#pragma once

#include <eddy/core/loop.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>
#include <support/stderr.hpp>

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

// What the one wait in `waiters` is described as in a dump.
inline std::string dump_text() {
    std::ostringstream out;
    eddy::loop::current().dump_tasks(out);
    return out.str();
}

} // namespace eddy_test
