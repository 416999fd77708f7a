#include "offload/helper_threads.hpp"

#include "core/fork.hpp"
#include "offload/worker_pool.hpp"

#include <limits>

namespace eddy::detail {

namespace {

struct helper_pool {
    helper_pool() : threads(plan()) {}
    static worker_pool::plan plan() {
        worker_pool::plan p;
        p.most = std::numeric_limits<std::size_t>::max();
        p.linger = std::chrono::seconds(5);
        p.detached = true;
        return p;
    }
    worker_pool threads;
};

} // namespace

loss run_on_helper(thread_job& job) noexcept {
    try {
        return of_this_process<helper_pool>().threads.submit(job, worker_pool::as::alone);
    } catch (const std::bad_alloc&) {
        return loss::no_thread;
    }
}

} // namespace eddy::detail
