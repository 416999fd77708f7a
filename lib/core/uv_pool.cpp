#include "core/uv_pool.hpp"

#include <eddy/core/loop.hpp>

#include "core/fork.hpp"
#include "core/signals_blocked.hpp"
#include "driver/uv_driver.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <dirent.h>
#include <mutex>
#include <optional>
#include <uv.h>
#include <vector>

namespace eddy::detail {

namespace {

constexpr unsigned most_threads = 1024; // libuv takes no more
constexpr const char* variable = "UV_THREADPOOL_SIZE";

struct start_guard : std::mutex {};
std::atomic<unsigned> pool_size{0}; // 0: not read yet

// The threads of this process; empty where the system does not list them.
std::vector<std::string> threads_now() {
    std::vector<std::string> all;
    if (DIR* const d = opendir("/proc/self/task"); d != nullptr) {
        while (const dirent* e = readdir(d))
            all.emplace_back(e->d_name);
        closedir(d);
    }
    std::ranges::sort(all);
    return all;
}

// The variable while the pool starts; put back unless that was the start.
class asked_size {
public:
    explicit asked_size(unsigned n) {
        if (const char* const asked = std::getenv(variable); asked != nullptr) before_ = asked;
        setenv(variable, std::to_string(n).c_str(), 1);
    }
    asked_size(const asked_size&) = delete;
    ~asked_size() {
        if (kept_) return;
        if (before_)
            setenv(variable, before_->c_str(), 1);
        else
            unsetenv(variable);
    }
    void keep() noexcept { kept_ = true; }

private:
    std::optional<std::string> before_;
    bool kept_ = false;
};

// Has libuv start its pool if it has not: uv_queue_work() returns when the new threads run.
void touch_pool() {
    int error = 0;
    driver::uv_driver* const d = driver::uv_driver::make(nullptr, error);
    if (d == nullptr) throw uv_error(error, "eddy: a loop to start libuv's pool with");
    uv_work_t nothing;
    uv_queue_work(d->uv(), &nothing, [](uv_work_t*) {}, [](uv_work_t*, int) {});
    uv_cancel(reinterpret_cast<uv_req_t*>(&nothing)); // a pool that has started may have no thread free for long
    uv_run(d->uv(), UV_RUN_DEFAULT);
    d->close();
}

} // namespace

unsigned uv_pool_size() noexcept {
    if (const unsigned known = pool_size.load(std::memory_order_relaxed); known != 0) [[likely]]
        return known;
    // As libuv reads it.
    const char* const asked = std::getenv(variable);
    const unsigned n = asked == nullptr
                           ? 4u
                           : static_cast<unsigned>(std::clamp(std::strtol(asked, nullptr, 10), 1L, long{most_threads}));
    unsigned before = 0;
    return pool_size.compare_exchange_strong(before, n) ? n : before;
}

int probe_threads(unsigned n, unsigned long stack) noexcept {
    struct gate {
        std::mutex guard;
        std::condition_variable opened;
        bool open = false;
    } g;
    pthread_t threads[most_threads];
    if (n > most_threads) n = most_threads;
    const signals_blocked around;
    pthread_attr_t how;
    if (pthread_attr_init(&how) != 0) return UV_EAGAIN;
    if (stack != 0) pthread_attr_setstacksize(&how, stack);
    unsigned made = 0;
    // All at the same time, for that is how libuv will have them.
    const auto wait = [](void* p) -> void* {
        auto& mine = *static_cast<gate*>(p);
        std::unique_lock lock(mine.guard);
        mine.opened.wait(lock, [&mine] { return mine.open; });
        return nullptr;
    };
    while (made < n && pthread_create(&threads[made], &how, wait, &g) == 0)
        ++made;
    pthread_attr_destroy(&how);
    {
        const std::lock_guard lock(g.guard);
        g.open = true;
    }
    g.opened.notify_all();
    for (unsigned i = 0; i < made; ++i)
        pthread_join(threads[i], nullptr);
    return made == n ? 0 : UV_EAGAIN;
}

void check_uv_threads(unsigned n, const char* why) {
    constexpr unsigned long stack_of_libuv = 8ul << 20;
    if (const int error = probe_threads(n, stack_of_libuv); error != 0)
        throw uv_error(error, "eddy: the " + std::to_string(n) + " threads of libuv's pool can't be made for " + why);
}

void start_uv_pool(unsigned n) {
    const std::lock_guard lock(of_this_process<start_guard>());
    if (n == uv_pool_size()) return;
    check_uv_threads(n, "run_options::uv_threadpool_size()");
    const std::vector<std::string> old = threads_now();
    asked_size asked(n);
    touch_pool();
    // More threads may have come meanwhile, never fewer.
    const auto fresh = std::ranges::count_if(
        threads_now(), [&old](const std::string& id) { return !std::ranges::binary_search(old, id); });
    if (!old.empty() && fresh < static_cast<std::ptrdiff_t>(n))
        throw std::logic_error("eddy: run_options::uv_threadpool_size(" + std::to_string(n) +
                               "): libuv's pool has started already, with " + std::to_string(uv_pool_size()) +
                               " threads; give the size to the first run(), before anything uses the pool");
    asked.keep(); // for a child process, where libuv makes the threads anew
    pool_size.store(n);
}

} // namespace eddy::detail
