// eddy_fd_wait: readiness of a descriptor, on uv_poll_t. libuv allows one handle for each descriptor, which those who
// wait for the same one share; it is closed when the last of them has gone, so that the descriptor may be.
#include "embed.hpp"

#include "core/state.hpp"

#include <cstdlib>
#include <uv.h>

using eddy::detail::loop_state;

namespace eddy::capi {

static_assert(EDDY_READABLE == int{UV_READABLE} && EDDY_WRITABLE == int{UV_WRITABLE} &&
              EDDY_HANGUP == int{UV_DISCONNECT} && EDDY_PRIORITY == int{UV_PRIORITIZED});

namespace {
struct fd_op;
}

// malloc; freed by libuv's last callback.
struct fd_watch {
    uv_poll_t poll;
    eddy_loop* loop;
    int fd;
    fd_op* waiting;

    void update() noexcept;
    void close() noexcept {
        uv_close(reinterpret_cast<uv_handle_t*>(&poll), [](uv_handle_t* h) { std::free(h->data); });
    }
};

namespace {

struct fd_op final : settled_op {
    fd_op(eddy_loop& l, std::uint32_t events) noexcept : settled_op(l), wanted(events) {}
    ~fd_op() { fd_op::let_go(); }

    // 0, or what libuv says.
    int begin(int fd) {
        loop_state& state = loop_state::of(*loop->core);
        if (state.uv == nullptr) return EDDY_ENOTSUP;
        if (loop->fds == nullptr) loop->fds = std::make_unique<fd_table>();
        auto [at, is_new] = loop->fds->watches.try_emplace(fd, nullptr);
        if (is_new) {
            auto* const w = static_cast<fd_watch*>(std::malloc(sizeof(fd_watch)));
            int error = w == nullptr ? UV_ENOMEM : uv_poll_init(state.uv->uv(), &w->poll, fd);
            if (error != 0) {
                std::free(w);
                loop->fds->watches.erase(at);
                return error == UV_ENOMEM ? EDDY_ENOMEM : error;
            }
            w->poll.data = w;
            w->loop = loop;
            w->fd = fd;
            w->waiting = nullptr;
            at->second = w;
        }
        watch = at->second;
        next = watch->waiting;
        link = &watch->waiting;
        if (next != nullptr) next->link = &next;
        watch->waiting = this;
        enlist();
        watch->update();
        loop->must_turn();
        return 0;
    }
    void fail(int status) noexcept { settle(status); }
    void ready(int status, std::uint32_t events) noexcept {
        leave();
        got = events;
        settle(status);
    }

    fd_watch* watch = nullptr;
    fd_op* next = nullptr;
    fd_op** link = nullptr;
    const std::uint32_t wanted;
    std::uint32_t got = 0;

private:
    void leave() noexcept {
        if (link == nullptr) return;
        *link = next;
        if (next != nullptr) next->link = link;
        next = nullptr;
        link = nullptr;
        std::exchange(watch, nullptr)->update();
    }
    void absorb() noexcept override {
        out.number = got;
        end(settled_with);
    }
    void cancel_wait() noexcept override {
        if (settled) return;
        leave();
        settle(EDDY_ECANCELED);
    }
    void let_go() noexcept override { leave(); }
    void destroy() noexcept override { destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return "fd.wait"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_IO; }
};

} // namespace

// To what those who wait want; closes when there are none.
void fd_watch::update() noexcept {
    std::uint32_t events = 0;
    for (const fd_op* op = waiting; op != nullptr; op = op->next)
        events |= op->wanted;
    if (events == 0) {
        loop->fds->watches.erase(fd);
        close();
        return;
    }
    uv_poll_start(&poll, static_cast<int>(events), [](uv_poll_t* p, int status, int got) {
        auto& w = *static_cast<fd_watch*>(p->data);
        const auto mask = static_cast<std::uint32_t>(got);
        // Whoever leaves last closes the watch.
        for (fd_op *op = w.waiting, *after = nullptr; op != nullptr; op = after) {
            after = op->next;
            if (status < 0 || (op->wanted & mask) != 0) op->ready(status < 0 ? status : EDDY_OK, op->wanted & mask);
        }
    });
}

fd_table::~fd_table() {
    for (auto& [fd, w] : watches)
        w->close();
}

} // namespace eddy::capi

eddy_op* eddy_fd_wait(eddy_loop* loop, std::intptr_t fd, std::uint32_t events) noexcept {
    if (loop == nullptr) return nullptr;
    int s = loop->over();
    constexpr std::uint32_t known = EDDY_READABLE | EDDY_WRITABLE | EDDY_HANGUP | EDDY_PRIORITY;
    if (s == EDDY_OK) {
        loop->sync();
        if (fd < 0 || fd > INT32_MAX || events == 0)
            s = EDDY_EINVAL;
        else if ((events & ~known) != 0)
            s = EDDY_ETOOBIG;
    }
    if (s != EDDY_OK) return eddy::capi::failed_op(*loop, s);
    auto* const op = eddy::capi::make<eddy::capi::fd_op>(*loop, events);
    if (op == nullptr) return nullptr;
    try {
        s = op->begin(static_cast<int>(fd));
    } catch (...) {
        s = EDDY_ENOMEM; // the table could not grow
    }
    if (s != EDDY_OK) op->fail(s);
    return op;
}
