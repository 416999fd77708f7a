#include "driver/uv_driver.hpp"

#include <eddy/engine/loop_core.hpp>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

namespace eddy::driver {

namespace {

// libuv asserts that it never closes descriptors 0 to 2, and is handed them when a program was started without.
int fill_standard_descriptors() noexcept {
    for (int fd = 0; fd <= 2; ++fd) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        const int got = open("/dev/null", O_RDWR);
        if (got < 0) return -errno;
        if (got != fd) return UV_EBADF; // another thread was quicker
    }
    return 0;
}

// uv_loop_init aborts when its signal pipe finds no free descriptor, and (before 1.51) when its tables find no memory.
int probe_resources() noexcept {
    constexpr int wanted = 8;
    int fds[wanted];
    int error = 0;
    int n = 0;
    for (; n < wanted; ++n) {
        fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fds[n] < 0) {
            error = -errno;
            break;
        }
    }
    while (n > 0)
        close(fds[--n]);
    if (error != 0) return error;
    void* memory = std::malloc(4096);
    if (memory == nullptr) return UV_ENOMEM;
    std::free(memory);
    return 0;
}

// libuv aborts when epoll refuses a descriptor (fs.epoll.max_user_watches used up).
int probe_epoll(uv_loop_t* loop) noexcept {
#if defined(__linux__)
    const int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0) return -errno;
    epoll_event e{};
    e.events = EPOLLIN;
    const int backend = uv_backend_fd(loop);
    const int error = epoll_ctl(backend, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
    if (error == 0) epoll_ctl(backend, EPOLL_CTL_DEL, fd, &e);
    close(fd);
    return error;
#else
    static_cast<void>(loop);
    return 0;
#endif
}

template <class Handle>
uv_handle_t* base(Handle& h) noexcept {
    return reinterpret_cast<uv_handle_t*>(&h);
}

} // namespace

uv_driver* uv_driver::make(uv_loop_t* adopted, int& error) noexcept {
    void* block = std::malloc(sizeof(uv_driver));
    if (block == nullptr) {
        error = UV_ENOMEM;
        return nullptr;
    }
    auto* d = new (block) uv_driver;
    error = d->open(adopted);
    if (error == 0) return d;
    d->~uv_driver();
    std::free(block);
    return nullptr;
}

int uv_driver::open(uv_loop_t* adopted) noexcept {
    adopted_ = adopted != nullptr;
    if (adopted_) {
        loop_ = adopted;
    } else {
        if (const int e = fill_standard_descriptors(); e != 0) return e;
        if (const int e = probe_resources(); e != 0) return e;
        if (const int e = uv_loop_init(&own_); e != 0) return e;
        loop_ = &own_;
    }
    int e = probe_epoll(loop_);
    if (e == 0)
        e = uv_async_init(loop_, &async_, [](uv_async_t*) {}); // only to end the poll; the drain looks at the mailbox
    if (e != 0) {
        if (!adopted_) uv_loop_close(&own_);
        return e;
    }
    uv_timer_init(loop_, &timer_);
    uv_prepare_init(loop_, &prepare_);
    uv_check_init(loop_, &check_);
    uv_idle_init(loop_, &idle_);
    open_handles_ = 5;
    for (uv_handle_t* h : {base(async_), base(timer_), base(prepare_), base(check_), base(idle_)}) {
        h->data = this;
        uv_unref(h);
    }
    return 0;
}

void uv_driver::attach(engine::loop_core& core) noexcept {
    core_ = &core;
    if (!adopted_) return;
    uv_prepare_start(&prepare_, [](uv_prepare_t* h) {
        on_turn(base(*h));
        static_cast<uv_driver*>(h->data)->host_polling_ = true;
    });
    uv_check_start(&check_, [](uv_check_t* h) {
        static_cast<uv_driver*>(h->data)->host_polling_ = false;
        on_turn(base(*h));
    });
}

void uv_driver::on_turn(uv_handle_t* h) noexcept {
    auto* d = static_cast<uv_driver*>(h->data);
    if (d->core_ != nullptr && !d->polling_) d->core_->drain();
}

void uv_driver::on_closed(uv_handle_t* h) {
    auto* d = static_cast<uv_driver*>(h->data);
    if (--d->open_handles_ != 0 || !d->adopted_) return;
    d->~uv_driver();
    std::free(d);
}

void uv_driver::close() noexcept {
    core_ = nullptr;
    const bool own = !adopted_;
    for (uv_handle_t* h : {base(async_), base(timer_), base(prepare_), base(check_), base(idle_)})
        uv_close(h, &on_closed);
    if (!own) return;
    while (open_handles_ != 0)
        uv_run(&own_, UV_RUN_NOWAIT);
    // EBUSY: the program left handles of its own on a loop that ends here. They point into it, so it stays.
    if (uv_loop_close(&own_) != 0) return;
    this->~uv_driver();
    std::free(this);
}

std::int64_t uv_driver::now() noexcept { return static_cast<std::int64_t>(uv_hrtime()); }

void uv_driver::wake() noexcept {
    uv_async_send(&async_);
    if (const wake_listener* const l = listener_.load(std::memory_order_acquire); l != nullptr) l->woken(l->user);
}

bool uv_driver::has_outside_work() noexcept {
    // Our own handles must not count.
    if (referenced_) uv_unref(base(async_));
    const bool alive = uv_loop_alive(loop_) != 0;
    if (referenced_) uv_ref(base(async_));
    return alive;
}

void uv_driver::on_timer(uv_timer_t* t) {
    auto* d = static_cast<uv_driver*>(t->data);
    d->armed_for_ = engine::never;
    // libuv before 1.45 runs due timers first and then, in UV_RUN_ONCE, would sleep for ever.
    if (d->polling_) uv_stop(d->loop_);
}

void uv_driver::arm(std::int64_t deadline) noexcept {
    if (deadline == armed_for_) return;
    armed_for_ = deadline;
    if (deadline == engine::never) {
        uv_timer_stop(&timer_);
        return;
    }
    constexpr std::int64_t ms = 1'000'000;
    uv_update_time(loop_);
    const std::int64_t left = deadline - now();
    // Rounded up: libuv truncates its clock to milliseconds. Should it fire early all the same, the drain finds nothing
    // due and arms again.
    const std::int64_t wait = left <= 0 ? 0 : (left + ms - 1) / ms;
    uv_timer_start(&timer_, &on_timer, static_cast<std::uint64_t>(wait), 0);
}

void uv_driver::poll(std::int64_t deadline) noexcept {
    const bool look_only = deadline != engine::never && deadline <= now();
    if (!look_only) arm(deadline);
    // uv_run does nothing on a loop without referenced handles, not even sleep.
    uv_ref(base(async_));
    polling_ = true;
    uv_run(loop_, look_only ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    polling_ = false;
    if (!referenced_) uv_unref(base(async_));
}

void uv_driver::settle(std::int64_t next_deadline, bool ready, bool pending) noexcept {
    if (!adopted_) return;
    arm(next_deadline);
    if (ready)
        uv_idle_start(&idle_, [](uv_idle_t*) {}); // its being active makes uv_run poll with timeout zero
    else
        uv_idle_stop(&idle_);
    if (pending != referenced_) {
        referenced_ = pending;
        if (pending)
            uv_ref(base(async_));
        else
            uv_unref(base(async_));
    }
}

} // namespace eddy::driver
