// How a worker process is started.
#include "io/pool_worker.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <crt_externs.h>
#endif

namespace eddy::detail {

namespace {

int make_socket_pair(unique_fd& ours, unique_fd& theirs) noexcept {
    int fds[2];
#if defined(SOCK_CLOEXEC)
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return -errno;
#else
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return -errno;
    for (const int fd : fds)
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    ours = unique_fd(fds[0]);
    theirs = unique_fd(fds[1]);
#if defined(SO_NOSIGPIPE)
    const int on = 1;
    ::setsockopt(ours.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return set_nonblocking(ours.get());
}

char** this_environment() noexcept {
#if defined(__APPLE__)
    return *_NSGetEnviron();
#else
    return environ;
#endif
}

// This program, also when its file has been replaced or removed meanwhile.
std::string program_path() {
#if defined(__linux__)
    return "/proc/self/exe";
#else
    char path[4096];
    std::size_t size = sizeof path;
    return uv_exepath(path, &size) == 0 ? std::string(path, size) : std::string(worker_program_name());
#endif
}

} // namespace

int pool_worker::open_link(unique_fd& child_end) noexcept {
    if (const int e = make_socket_pair(link_, child_end); e != 0) return e;
    // uv_poll_init also asks epoll whether it takes one more; libuv would abort later on.
    if (const int e = uv_poll_init(uv(), &link_poll_, link_.get()); e != 0) {
        link_.reset();
        return e;
    }
    opened(link_poll_);
    watch();
    return 0;
}

int pool_worker::start_process(int child_end, unique_fd (&outputs)[2]) {
    const process_pool_options& o = pool->options;
    uv_stdio_container_t streams[4];
    streams[0].flags = UV_IGNORE; // libuv opens the null device
    for (int i = 1; i <= 2; ++i) {
        streams[i].flags = o.output() == process_pool_options::output_kind::discard ? UV_IGNORE : UV_INHERIT_FD;
        streams[i].data.fd = outputs[i - 1] ? outputs[i - 1].get() : i;
    }
    streams[3].flags = UV_INHERIT_FD;
    streams[3].data.fd = child_end;

    std::string path = program_path();
    std::string name = worker_program_name();
    std::string mark =
        "--eddy-process-worker=" + std::to_string(::getpid()) + "," + std::to_string(o.max_message_size());
    char* arguments[] = {name.data(), mark.data(), nullptr};
    std::vector<std::string> environment_text;
    std::vector<char*> environment;
    uv_process_options_t how = {};
    if (!o.variables().empty()) {
        for (char** e = this_environment(); e != nullptr && *e != nullptr; ++e)
            environment_text.emplace_back(*e);
        for (const auto& [variable, value] : o.variables()) {
            const std::string prefix = variable + "=";
            std::erase_if(environment_text, [&](const std::string& e) { return e.starts_with(prefix); });
            environment_text.push_back(prefix + value);
        }
        for (std::string& e : environment_text)
            environment.push_back(e.data());
        environment.push_back(nullptr);
        how.env = environment.data();
    }
    how.file = path.c_str();
    how.args = arguments;
    how.stdio = streams;
    how.stdio_count = 4;
    // A session and group of its own: a terminal's Ctrl-C is for the program, which then ends its workers; and what a
    // worker has started goes with it when it is killed.
    how.flags = UV_PROCESS_DETACHED;
    how.exit_cb = [](uv_process_t* p, std::int64_t code, int signum) {
        of<pool_worker>(p).on_exit(static_cast<int>(code), signum);
    };
    const int e = uv_spawn(uv(), &child_, &how);
    opened(child_); // also when it failed: uv_spawn has made the handle first
    if (e != 0) close(child_);
    return e;
}

int pool_worker::spawn() noexcept {
    uv_timer_init(uv(), &timer_);
    opened(timer_);
    unique_fd child_end; // both sorts are open here only until the child has them
    unique_fd outputs[2];
    int e = open_link(child_end);
    if (pool->options.output() == process_pool_options::output_kind::handler) {
        if (e == 0) e = out_.open(*this, outputs[0]);
        if (e == 0) e = err_.open(*this, outputs[1]);
        err_.is_error = true;
    }
    if (e == 0) {
        try {
            e = start_process(child_end.get(), outputs);
        } catch (const std::bad_alloc&) {
            e = UV_ENOMEM;
        }
    }
    if (e != 0) {
        exited_ = true;
        close_link();
        out_.shut();
        err_.shut();
        close(timer_);
        return e;
    }
    pid = uv_process_get_pid(&child_);
    set_timer(pool->options.start_timeout());
    return 0;
}

} // namespace eddy::detail
