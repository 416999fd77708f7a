// SIGINT for the time of a run(): the first is a request, the second is the end.
#include "core/state.hpp"

#include <cerrno>
#include <csignal>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace eddy::detail {

namespace {

// ---- SIGINT. Our own handler: uv_signal would do nothing while a callback keeps the loop busy.

std::atomic<engine::driver*> sigint_target{nullptr};
std::atomic<int> sigint_count{0};
struct sigaction sigint_before;

bool is_main_thread() noexcept {
#if defined(__linux__)
    return syscall(SYS_gettid) == getpid();
#else
    static const std::thread::id main_id = std::this_thread::get_id();
    return std::this_thread::get_id() == main_id;
#endif
}

extern "C" void eddy_detail_on_sigint(int) {
    const int saved = errno;
    if (sigint_count.fetch_add(1) == 0) {
        if (engine::driver* d = sigint_target.load(); d != nullptr) d->wake(); // async-signal-safe
    } else {
        sigaction(SIGINT, &sigint_before, nullptr);
        raise(SIGINT); // delivered when this handler returns
    }
    errno = saved;
}

} // namespace

sigint_guard::sigint_guard(engine::driver& d, bool wanted) noexcept {
    if (!wanted || !is_main_thread() || sigint_target.load() != nullptr) return;
    sigint_count = 0;
    sigint_target = &d;
    struct sigaction mine = {};
    mine.sa_handler = &eddy_detail_on_sigint;
    sigemptyset(&mine.sa_mask);
    mine.sa_flags = SA_RESTART;
    active_ = sigaction(SIGINT, &mine, &sigint_before) == 0;
    if (!active_) sigint_target = nullptr;
}

sigint_guard::~sigint_guard() {
    if (!active_) return;
    struct sigaction now = {};
    sigaction(SIGINT, nullptr, &now);
    if (now.sa_handler == &eddy_detail_on_sigint) sigaction(SIGINT, &sigint_before, nullptr);
    sigint_target = nullptr;
}

bool sigint_guard::pending(const engine::driver& d) noexcept {
    return sigint_target.load() == &d && sigint_count.load() != 0;
}

} // namespace eddy::detail
