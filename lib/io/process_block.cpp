#include "io/process_block.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace eddy::detail {

namespace {

// libuv counts milliseconds, from a cached time.
std::uint64_t whole_ms(duration d) noexcept {
    const std::int64_t n = std::max<std::int64_t>(d.count(), 0);
    return static_cast<std::uint64_t>(n / 1'000'000 + (n % 1'000'000 != 0 ? 1 : 0));
}

// Wakes everybody in the list; who was asked to let go meanwhile learns that it has.
void grant_all(engine::loop_core* core, engine::runnable_list& waiting, engine::status result) noexcept {
    while (!waiting.empty()) {
        auto& w = static_cast<engine::waiter&>(*waiting.pop_front());
        core->grant(w, result);
    }
}

} // namespace

int process_block::output_pipe::open(process_block& b, unique_fd& child_end) noexcept {
    if (const int e = make_pipe(fd_, child_end); e != 0) return e;
    int e = set_nonblocking(fd_.get());
    // uv_poll_init also asks epoll whether it takes one more; libuv would abort later on.
    if (e == 0) e = uv_poll_init(b.uv(), &poll_, fd_.get());
    if (e != 0) {
        fd_.reset();
        return e;
    }
    b.opened(poll_);
    e = uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* p, int error, int) {
        auto& block = of<process_block>(p);
        (p == &block.out.poll_ ? block.out : block.err).on_readable(block, error);
    });
    if (e != 0) close(b);
    return e;
}

void process_block::output_pipe::close(process_block& b) noexcept {
    if (!fd_) return;
    b.uv_block::close(poll_); // before the descriptor: libuv must not poll a number that is somebody else's by then
    fd_.reset();
}

bool process_block::output_pipe::read(std::size_t most, bool& again) noexcept {
    char buffer[captured_output::chunk_size];
    again = false;
    ssize_t got;
    do
        got = ::read(fd_.get(), buffer, std::min(most, sizeof buffer));
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        sink.append(buffer, static_cast<std::size_t>(got));
        return true;
    }
    again = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (got < 0 && !again) sink.fail(-errno);
    return false;
}

void process_block::output_pipe::on_readable(process_block& b, int error) noexcept {
    // Not until it is empty: a program that never stops writing must not keep the loop.
    for (int n = 0; n < 4; ++n) {
        bool again;
        if (read(captured_output::chunk_size, again)) continue;
        if (again && error == 0) return;
        if (again) sink.fail(error); // libuv has stopped polling it
        close(b);
        b.output_ended();
        return;
    }
}

void process_block::output_pipe::give_up(process_block& b) noexcept {
    // What the program wrote before its end is in the pipe: that much, and not what others write meanwhile.
    int there = 0;
    static_cast<void>(::ioctl(fd_.get(), FIONREAD, &there));
    auto left = static_cast<std::uint64_t>(std::max(there, 0));
    bool again = true;
    while (left > 0) {
        const std::uint64_t before = sink.total();
        if (!read(static_cast<std::size_t>(left), again)) break;
        left -= sink.total() - before;
    }
    sink.cut_off();
    close(b);
}

int process_block::spawn(uv_process_options_t& how, const process_options& o) noexcept {
    uv_timer_init(uv(), &timer_);
    opened(timer_);
    const stdio* const wanted[3] = {&o.in(), &o.out(), &o.err()};
    uv_stdio_container_t streams[3];
    unique_fd ours[3]; // the child's ends; open here only until it has them
    int e = 0;
    for (int i = 0; i < 3 && e == 0; ++i) {
        streams[i].flags = UV_INHERIT_FD;
        streams[i].data.fd = i;
        switch (wanted[i]->type()) {
        case stdio::kind::inherit:
            break;
        case stdio::kind::discard:
            streams[i].flags = UV_IGNORE;
            break; // libuv opens the null device
        case stdio::kind::descriptor:
            streams[i].data.fd = wanted[i]->fd();
            break;
        case stdio::kind::feed:
            // A file, not a pipe: there is nothing to write later, and no SIGPIPE from a child that does not read.
            e = make_file_of(wanted[i]->text().data(), wanted[i]->text().size(), ours[i]);
            streams[i].data.fd = ours[i].get();
            break;
        case stdio::kind::capture:
        case stdio::kind::spill:
            // A real pipe, not libuv's socket pair: with that, programs can't open /dev/stdout.
            e = (i == 1 ? out : err).open(*this, ours[i]);
            streams[i].data.fd = ours[i].get();
            break;
        }
    }
    if (e == 0) {
        how.stdio = streams;
        how.stdio_count = 3;
        how.flags = own_group ? unsigned{UV_PROCESS_DETACHED} : 0u; // setsid()
        how.exit_cb = [](uv_process_t* p, std::int64_t code, int signum) {
            of<process_block>(p).on_exit(static_cast<int>(code), signum);
        };
        e = uv_spawn(uv(), &child_, &how);
        opened(child_); // also when it failed: uv_spawn has made the handle first
        if (e != 0) close(child_);
    }
    if (e != 0) {
        exited = finished = true;
        out.close(*this);
        err.close(*this);
        close(timer_);
        return e;
    }
    pid = uv_process_get_pid(&child_);
    return 0;
}

int process_block::signal(int signum) const noexcept {
    return ::kill(own_group ? -pid : pid, signum) == 0 ? 0 : -errno;
}

void process_block::start_timer(duration d) noexcept {
    if (d == duration::max()) return;
    uv_update_time(uv());
    uv_timer_start(&timer_, [](uv_timer_t* t) { of<process_block>(t).on_timer(); }, whole_ms(d), 0);
}

void process_block::begin_termination() noexcept {
    if (exited || terminating_) return;
    terminating_ = true;
    static_cast<void>(signal(SIGTERM)); // EPERM: it made itself somebody else's; SIGKILL will fare no better
    start_timer(grace);
}

void process_block::on_timer() noexcept {
    if (!exited) {
        static_cast<void>(signal(SIGKILL));
        return;
    }
    drained_ = false;
    for (output_pipe* p : {&out, &err}) {
        if (p->is_open()) p->give_up(*this);
    }
    output_ended();
}

void process_block::on_exit(int code, int signum) noexcept {
    exited = true;
    status = signum != 0 ? exit_status(0, signum) : exit_status(code, 0);
    close(child_);
    uv_timer_stop(&timer_);
    grant_all(core(), exit_waiters, engine::status::ok);
    // A cancelled run_process() waited for just this.
    for (engine::runnable* r = finish_waiters.front(); r != nullptr;) {
        auto& w = static_cast<engine::waiter&>(*r);
        r = finish_waiters.after(r);
        if (w.state != engine::wait_state::aborting) continue;
        w.unlink();
        core()->grant(w, engine::status::cancelled);
    }
    if (out.is_open() || err.is_open()) start_timer(drain_timeout);
    output_ended();
}

void process_block::output_ended() noexcept {
    if (!exited || finished || out.is_open() || err.is_open()) return;
    finished = true;
    close(timer_);
    grant_all(core(), finish_waiters, engine::status::ok);
}

void process_block::leave() noexcept {
    if (core() != nullptr) {
        grant_all(core(), exit_waiters, engine::status::object_destroyed);
        grant_all(core(), finish_waiters, engine::status::object_destroyed);
    }
    out.close(*this);
    err.close(*this);
    if (!exited) {
        begin_termination();
        // A host's uv_run must not end before the child has been reaped.
        uv_ref(reinterpret_cast<uv_handle_t*>(&child_));
    }
    output_ended();
}

void process_block::let_go() noexcept {
    forget_loop();
    leave();
}

void process_block::check_loop(const engine::scope& where, const char* what) const {
    if (where.loop != core())
        throw std::logic_error(std::string("eddy: ") + what + " of process " + std::to_string(pid) +
                               " was awaited on another loop than the one that started it");
}

std::size_t process_block::describe(const char* what, char* text, std::size_t room) const noexcept {
    const int n = std::snprintf(text, room, "%s (process %d)", what, pid);
    return n < 0 || room == 0 ? 0 : std::min(static_cast<std::size_t>(n), room - 1);
}

process_result process_block::take_result() {
    if (taken_)
        throw std::logic_error("eddy: the result of process " + std::to_string(pid) +
                               " has been taken already: finished() gives it once");
    taken_ = true;
    process_result r;
    r.status = status;
    r.out = out.sink.take();
    r.err = err.sink.take();
    r.drained = drained_;
    return r;
}

} // namespace eddy::detail
