#include "core/fork.hpp"

#include "core/state.hpp"

#include <pthread.h>

namespace eddy::detail {

std::atomic<unsigned> forks{0};

unsigned first_fork_generation() noexcept {
    // Only the thread that forked is in the child, and this runs there.
    static const int registered = [] {
        forks.store(1, std::memory_order_relaxed);
        return pthread_atfork(nullptr, nullptr, [] {
            forks.fetch_add(1, std::memory_order_relaxed);
            leave_loop_of_parent();
        });
    }();
    static_cast<void>(registered);
    return forks.load(std::memory_order_relaxed);
}

void check_process(const loop_hub& hub, const char* what) {
    if (hub.born_in != fork_generation()) [[unlikely]]
        throw std::logic_error(std::string("eddy: ") + what +
                               " in a child process on a loop that was made before the fork; make a new loop there");
}

} // namespace eddy::detail
