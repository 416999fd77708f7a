#include "io/descriptor.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace eddy::detail {

void unique_fd::reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int make_pipe(unique_fd& read_end, unique_fd& write_end) noexcept {
    int fds[2];
#if defined(__linux__)
    if (::pipe2(fds, O_CLOEXEC) != 0) return -errno;
#else
    if (::pipe(fds) != 0) return -errno;
    for (const int fd : fds)
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    read_end = unique_fd(fds[0]);
    write_end = unique_fd(fds[1]);
    return 0;
}

int make_unlinked_file(unique_fd& file) noexcept {
    const char* directory = std::getenv("TMPDIR");
    if (directory == nullptr || *directory == '\0') directory = "/tmp";
#if defined(O_TMPFILE)
    if (const int fd = ::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); fd >= 0) {
        file = unique_fd(fd);
        return 0;
    }
#endif
    // File systems without O_TMPFILE: a name for a moment.
    char name[PATH_MAX];
    const int n = std::snprintf(name, sizeof name, "%s/eddy-XXXXXX", directory);
    if (n < 0 || static_cast<std::size_t>(n) >= sizeof name) return -ENAMETOOLONG;
    const int fd = ::mkstemp(name);
    if (fd < 0) return -errno;
    ::unlink(name);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    file = unique_fd(fd);
    return 0;
}

int make_file_of(const char* bytes, std::size_t n, unique_fd& file) noexcept {
    unique_fd made;
#if defined(MFD_CLOEXEC)
    made = unique_fd(::memfd_create("eddy-input", MFD_CLOEXEC));
#endif
    if (!made)
        if (const int e = make_unlinked_file(made); e != 0) return e;
    if (const int e = write_all(made.get(), bytes, n); e != 0) return e;
    if (::lseek(made.get(), 0, SEEK_SET) < 0) return -errno;
    file = std::move(made);
    return 0;
}

int set_nonblocking(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    if ((flags & O_NONBLOCK) != 0) return 0;
    return ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

int write_all(int fd, const char* bytes, std::size_t n) noexcept {
    while (n > 0) {
        const ssize_t done = ::write(fd, bytes, n);
        if (done >= 0) {
            bytes += done;
            n -= static_cast<std::size_t>(done);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            pollfd p{fd, POLLOUT, 0};
            if (::poll(&p, 1, -1) < 0 && errno != EINTR) return -errno;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

no_sigpipe::no_sigpipe() noexcept {
    sigset_t pending;
    sigset_t pipe;
    sigemptyset(&pending);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
}

no_sigpipe::~no_sigpipe() {
    if (!was_pending_) {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        const timespec at_once{};
        while (sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

} // namespace eddy::detail
