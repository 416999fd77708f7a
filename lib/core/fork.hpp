// What fork() leaves of the parent: objects without their threads.
#pragma once

#include <atomic>
#include <memory>

namespace eddy::detail {

extern std::atomic<unsigned> forks;

// Counts the forks between the first process that asked and this one: what was made under another number is the
// parent's. Any thread; one relaxed load.
unsigned first_fork_generation() noexcept;
inline unsigned fork_generation() noexcept {
    const unsigned n = forks.load(std::memory_order_relaxed);
    return n != 0 ? n : first_fork_generation();
}

// The one T of this process. In a child that was forked it is a new one: the parent's may have been locked just then by
// a thread that is not there. Never destroyed, for detached threads outlive static objects. Any thread; the first call
// in a process allocates.
template <class T>
T& of_this_process() {
    struct kept {
        const unsigned born_in = fork_generation();
        T it;
        kept* parents = nullptr; // left alone
    };
    static constinit std::atomic<kept*> latest{nullptr};
    kept* known = latest.load(std::memory_order_acquire);
    if (known != nullptr && known->born_in == fork_generation()) [[likely]]
        return known->it;
    auto mine = std::make_unique<kept>();
    mine->parents = known;
    // Lost against another thread: that one's.
    return (latest.compare_exchange_strong(known, mine.get(), std::memory_order_acq_rel) ? mine.release() : known)->it;
}

} // namespace eddy::detail
