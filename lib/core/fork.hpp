// What fork() leaves of the parent: objects without their threads.
#pragma once

#include <atomic>

namespace eddy::detail {

extern std::atomic<unsigned> forks;

// Counts the forks between the first process that asked and this one: what was made under another number is the
// parent's. Any thread; one relaxed load.
unsigned first_fork_generation() noexcept;
inline unsigned fork_generation() noexcept {
    const unsigned n = forks.load(std::memory_order_relaxed);
    return n != 0 ? n : first_fork_generation();
}

} // namespace eddy::detail
