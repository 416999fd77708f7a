// What a worker prints, where the pool wants to see it.
#include "io/pool_worker.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/ioctl.h>
#include <unistd.h>

namespace eddy::detail {

namespace {

constexpr std::size_t output_size = 64 * 1024;

} // namespace

const engine::wait_kind pool_worker::output_kind{
    .name = "output of a worker",
    .outside = false,
    .pinned = false,
    .abort = nullptr,
    .describe = nullptr,
    .resume = [](engine::runnable& r) noexcept { static_cast<output_pipe::step&>(r).of->read(); }};

int pool_worker::output_pipe::open(pool_worker& w, unique_fd& child_end) noexcept {
    worker = &w;
    ready.of = this;
    ready.kind = &output_kind;
    if (const int e = make_pipe(fd, child_end); e != 0) return e;
    int e = set_nonblocking(fd.get());
    if (e == 0) e = uv_poll_init(w.uv(), &poll, fd.get());
    if (e != 0) {
        fd.reset();
        return e;
    }
    pool = pool_reference(*w.pool);
    w.opened(poll);
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* p, int, int) {
        auto& me = of<pool_worker>(p);
        output_pipe& pipe = p == &me.out_.poll ? me.out_ : me.err_;
        // From the drain loop: the handler is user code, and runs where that does.
        if (!pipe.ready.linked()) me.core()->make_ready(pipe.ready);
    });
    return 0;
}

void pool_worker::output_pipe::shut() noexcept {
    if (ready.linked()) ready.unlink();
    if (!fd) return;
    worker->close(poll);
    fd.reset();
    pool = {};
}

void pool_worker::output_pipe::finish() noexcept {
    if (!fd) return;
    is_last = true;
    if (worker->core() == nullptr || pool->gone)
        shut();
    else if (!ready.linked())
        worker->core()->make_ready(ready);
}

void pool_worker::output_pipe::read() noexcept {
    // What the worker itself has written is there by its end; others may hold the pipe for hours.
    int left = static_cast<int>(4 * output_size);
    if (is_last) static_cast<void>(::ioctl(fd.get(), FIONREAD, &left));
    char text[output_size];
    const pool_reference keep = pool;
    while (left > 0) {
        ssize_t got;
        do
            got = ::read(fd.get(), text, std::min(static_cast<std::size_t>(left), sizeof text));
        while (got < 0 && errno == EINTR);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (got <= 0) {
            shut();
            return;
        }
        left -= static_cast<int>(got);
        if (keep->gone) continue;
        try {
            keep->options.output_handler()(
                worker_output(worker->pid, is_error, std::string_view(text, static_cast<std::size_t>(got))));
        } catch (...) {
            report(&loop_state::of(*worker->core()), nullptr, "the output handler of a process_pool threw",
                   std::current_exception());
        }
        if (!fd) return;
    }
    if (is_last) shut();
}

} // namespace eddy::detail
