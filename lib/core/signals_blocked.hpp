// For the threads that eddy makes: signals belong to the program's own.
#pragma once

#include <csignal>
#include <pthread.h>

namespace eddy::detail {

// All signals are blocked on this thread, and on those it makes meanwhile, until the end of the scope.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t every;
        sigfillset(&every);
        pthread_sigmask(SIG_SETMASK, &every, &before_);
    }
    ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;

private:
    sigset_t before_;
};

} // namespace eddy::detail
