// Making a loop, and living in another program's: its descriptor, its timeout, its wake hook, its uv_loop_t.
#include "embed.hpp"

#include "core/state.hpp"

#include <cstdlib>
#include <uv.h>

#if defined(__linux__)
#include <cerrno>
#include <sys/timerfd.h>
#include <unistd.h>
#endif

namespace engine = eddy::engine;
using eddy::capi::call_free;
using eddy::detail::loop_state;

namespace eddy::capi {

// ---- structs that begin with their size

int read_struct(const void* from, void* to, std::size_t known) noexcept {
    std::uint32_t size = 0;
    std::memcpy(&size, from, sizeof size);
    if (size < sizeof size) return EDDY_EINVAL;
    const auto* const bytes = static_cast<const unsigned char*>(from);
    for (std::size_t i = known; i < size; ++i)
        if (bytes[i] != 0) return EDDY_ETOOBIG;
    std::memset(to, 0, known);
    std::memcpy(to, from, std::min<std::size_t>(size, known));
    return EDDY_OK;
}

int write_struct(void* to, const void* from, std::size_t known) noexcept {
    std::uint32_t size = 0;
    std::memcpy(&size, to, sizeof size);
    if (size < sizeof size) return EDDY_EINVAL;
    auto* const bytes = static_cast<unsigned char*>(to);
    const std::size_t common = std::min<std::size_t>(size, known);
    std::memcpy(bytes + sizeof size, static_cast<const unsigned char*>(from) + sizeof size, common - sizeof size);
    std::memset(bytes + common, 0, size - common);
    return EDDY_OK;
}

// ---- telling the host

#if defined(__linux__)

// Freed by libuv's last callback.
struct host_link::timer_handle {
    uv_poll_t poll;
    int fd;
};

int host_link::open_timer() noexcept {
    auto* const t = static_cast<timer_handle*>(std::malloc(sizeof(timer_handle)));
    if (t == nullptr) return UV_ENOMEM;
    t->fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (t->fd < 0) {
        const int error = -errno;
        std::free(t);
        return error;
    }
    loop_state& state = loop_state::of(*loop_->core);
    if (const int error = uv_poll_init(state.uv->uv(), &t->poll, t->fd); error != 0) {
        ::close(t->fd);
        std::free(t);
        return error;
    }
    t->poll.data = t;
    uv_poll_start(&t->poll, UV_READABLE, [](uv_poll_t* p, int, int) {
        std::uint64_t expired = 0;
        [[maybe_unused]] const ssize_t n = ::read(static_cast<timer_handle*>(p->data)->fd, &expired, sizeof expired);
    });
    uv_unref(reinterpret_cast<uv_handle_t*>(&t->poll));
    state.io().poll(0); // only a turn puts it into the epoll set
    timer_ = t;
    return 0;
}

host_link::~host_link() {
    loop_state::of(*loop_->core).uv->listen(nullptr);
    hook_.clear();
    if (timer_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_->poll), [](uv_handle_t* h) {
        auto* const t = static_cast<timer_handle*>(h->data);
        ::close(t->fd);
        std::free(t);
    });
}

void host_link::changed() noexcept {
    engine::loop_core& core = *loop_->core;
    const bool now = core.has_ready() || core.box().has_mail() || loop_->unseen_by_uv || core.stopping();
    const std::int64_t next = now ? 0 : core.next_deadline();
    if (timer_ != nullptr) {
        if (now) {
            loop_state::of(core).uv->wake();
        } else if (next != armed_for_) {
            armed_for_ = next;
            itimerspec at{};
            if (next != engine::never) {
                constexpr std::int64_t second = 1'000'000'000;
                const std::int64_t when = std::max<std::int64_t>(next, 1); // zero would disarm it
                at.it_value.tv_sec = static_cast<time_t>(when / second);
                at.it_value.tv_nsec = static_cast<long>(when % second);
            }
            ::timerfd_settime(timer_->fd, TFD_TIMER_ABSTIME, &at, nullptr);
        }
    }
    if (next < told) {
        told = next;
        wake();
    }
}

#else

struct host_link::timer_handle {};
int host_link::open_timer() noexcept { return EDDY_ENOTSUP; }
host_link::~host_link() {
    loop_state::of(*loop_->core).uv->listen(nullptr);
    hook_.clear();
}
void host_link::changed() noexcept {
    engine::loop_core& core = *loop_->core;
    const bool now = core.has_ready() || core.box().has_mail() || loop_->unseen_by_uv || core.stopping();
    const std::int64_t next = now ? 0 : core.next_deadline();
    if (next < told) {
        told = next;
        wake();
    }
}

#endif

host_link::host_link(eddy_loop& l) noexcept : loop_(&l) {
    listener_.user = this;
    listener_.woken = [](void* self) noexcept { static_cast<host_link*>(self)->wake(); };
}

void host_link::wake() noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return; // the host is being woken, or awake and here
    if (hook_.fn != nullptr) {
        try {
            hook_.fn(hook_.user);
        } catch (...) {
            std::fputs("eddy: a C++ exception left a wake hook; it is lost\n", stderr);
        }
    }
    unlock();
}

void host_link::set(eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    lock();
    hook<eddy_call_fn> before = hook_;
    hook_ = {fn, user, drop};
    unlock();
    loop_state::of(*loop_->core).uv->listen(fn == nullptr ? nullptr : &listener_);
    before.clear();
}

void close_embedding(eddy_loop& l) noexcept {
    l.fds.reset();
    l.host.reset();
}

namespace {

// The loop behind an eddy_loop that C made.
class c_loop final : public eddy::loop {
public:
    explicit c_loop(std::unique_ptr<detail::loop_state> s) : loop(std::move(s)) {}
};

engine::allocator allocator_of(const eddy_allocator& a) noexcept {
    // The types differ in `noexcept` only; an allocator must not throw.
    engine::allocator mine;
    mine.user = a.user;
    mine.alloc = reinterpret_cast<void* (*)(void*, std::size_t, std::size_t) noexcept>(a.alloc);
    mine.free = reinterpret_cast<void (*)(void*, void*, std::size_t, std::size_t) noexcept>(a.free);
    return mine;
}

constexpr std::uint32_t known_flags = EDDY_LOOP_FD_ONLY | EDDY_LOOP_ABORT_MISUSE | EDDY_LOOP_ABORT_UNHANDLED;

struct wanted {
    engine::allocator memory = engine::allocator::system();
    eddy_loop_opts opts{};
};

int read_options(const eddy_loop_opts* from, wanted& w) noexcept {
    if (from == nullptr) return EDDY_OK;
    if (const int s = read_struct(from, &w.opts, sizeof w.opts); s != EDDY_OK) return s;
    const eddy_loop_opts& o = w.opts;
    if ((o.flags & ~known_flags) != 0) return EDDY_ETOOBIG;
    if (o.uv_loop != nullptr) {
        // Two copies of libuv in one process are nothing unusual: a loop of the other one is poison.
        const auto mine = reinterpret_cast<void (*)(void)>(&uv_run);
        if (o.uv_probe != mine || o.uv_version != uv_version() || o.uv_loop_size != uv_loop_size()) return EDDY_EABI;
        if ((o.flags & EDDY_LOOP_FD_ONLY) != 0) return EDDY_EINVAL; // its host runs it
    }
    if (o.allocator == nullptr) return EDDY_OK;
    eddy_allocator a{};
    if (const int s = read_struct(o.allocator, &a, sizeof a); s != EDDY_OK) return s;
    if (a.flags != 0) return EDDY_ETOOBIG;
    if (a.alloc == nullptr || a.free == nullptr) return EDDY_EINVAL;
    w.memory = allocator_of(a);
    return EDDY_OK;
}

eddy_loop* make_loop(const wanted& w) {
    auto* const host = static_cast<uv_loop_t*>(w.opts.uv_loop);
    std::unique_ptr<eddy::loop> own = std::make_unique<c_loop>(detail::make_uv_state(host, w.memory));
    eddy::loop& l = *own;
    char* name = nullptr;
    if (w.opts.name != nullptr) {
        name = strdup(w.opts.name);
        if (name == nullptr) throw std::bad_alloc();
    }
    eddy_loop* made = nullptr;
    try {
        made = new eddy_loop(l, std::move(own));
    } catch (...) {
        std::free(name);
        throw;
    }
    made->name = name;
    made->flags = w.opts.flags;
    made->adopted = host != nullptr;
    return made;
}

// What C++ code below reports.
void hear_reports(eddy_loop& l) {
    l.cpp->set_exception_handler([loop = &l](const eddy::error_context& c) {
        const std::string text = std::string(c.message) + ": " + eddy::detail::describe(c.exception);
        log(EDDY_LOG_ERROR, loop, text.c_str(), 0);
    });
}

} // namespace
} // namespace eddy::capi

int eddy_loop_new(const eddy_loop_opts* opts, eddy_loop** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    eddy::capi::wanted w;
    if (const int s = eddy::capi::read_options(opts, w); s != EDDY_OK) return s;
    eddy_loop* made = nullptr;
    int status = EDDY_OK;
    try {
        made = eddy::capi::make_loop(w);
        eddy::capi::hear_reports(*made);
        if ((w.opts.flags & EDDY_LOOP_FD_ONLY) != 0) {
            made->host = std::make_unique<eddy::capi::host_link>(*made);
            status = made->host->open_timer();
        }
    } catch (...) {
        eddy::capi::outcome o;
        eddy::capi::set_current_exception(o);
        status = o.status;
    }
    if (status != EDDY_OK) {
        eddy_unref(made);
        return status;
    }
    *out = made;
    return EDDY_OK;
}

void eddy_loop::tell_host() noexcept { host->changed(); }

int eddy_loop_fd(eddy_loop* loop) noexcept {
    if (loop == nullptr) return EDDY_EINVAL;
    if (loop->over() != EDDY_OK) return loop->over();
    const loop_state& s = loop_state::of(*loop->core);
    return s.uv == nullptr ? EDDY_ENOTSUP : uv_backend_fd(s.uv->uv());
}

std::uint64_t eddy_loop_timeout(eddy_loop* loop) noexcept {
    if (loop == nullptr || loop->over() != EDDY_OK) return EDDY_FOREVER;
    loop->sync();
    engine::loop_core& core = *loop->core;
    std::int64_t until = engine::never;
    if (core.has_ready() || core.box().has_mail() || loop->unseen_by_uv || core.stopping())
        until = 0;
    else
        until = core.next_deadline();
    // Handles that are not eddy's: of C++ code, or of the host.
    // (libuv says zero where there are none.)
    if (const loop_state& s = loop_state::of(core); s.uv != nullptr && until != 0 && uv_loop_alive(s.uv->uv()) != 0) {
        if (const int ms = uv_backend_timeout(s.uv->uv()); ms >= 0)
            until = std::min(until, ms == 0 ? 0 : core.now() + std::int64_t{ms} * 1'000'000);
    }
    if (loop->host != nullptr) loop->host->told = until;
    if (until == 0) return 0;
    if (until == engine::never) return EDDY_FOREVER;
    const std::int64_t left = until - core.now();
    return left <= 0 ? 0 : static_cast<std::uint64_t>(left);
}

int eddy_loop_on_wake(eddy_loop* loop, eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept {
    int status = loop == nullptr ? EDDY_EINVAL : loop->over();
    if (status == EDDY_OK) {
        loop->sync();
        if (loop_state::of(*loop->core).uv == nullptr) status = EDDY_ENOTSUP;
    }
    if (status == EDDY_OK && loop->host == nullptr) {
        loop->host.reset(new (std::nothrow) eddy::capi::host_link(*loop));
        if (loop->host == nullptr) status = EDDY_ENOMEM;
    }
    if (status != EDDY_OK) {
        call_free(drop, user);
        return status;
    }
    loop->host->set(fn, user, drop);
    return EDDY_OK;
}
