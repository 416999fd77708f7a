// File descriptors: owned, made, and written to without SIGPIPE.
#pragma once

#include <csignal>
#include <cstddef>
#include <utility>

namespace eddy::detail {

// Closes what it holds.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    unique_fd& operator=(unique_fd&& o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~unique_fd() { reset(); }
    void reset() noexcept;
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

// Each gives 0, or a negative libuv number. The descriptors are close-on-exec.
[[nodiscard]] int make_pipe(unique_fd& read_end, unique_fd& write_end) noexcept;
// A temporary file that has no name: it goes with its last descriptor. In $TMPDIR, else /tmp.
[[nodiscard]] int make_unlinked_file(unique_fd& file) noexcept;
// A file with these bytes, to be read from its start; in memory where the system has such files.
[[nodiscard]] int make_file_of(const char* bytes, std::size_t n, unique_fd& file) noexcept;
[[nodiscard]] int set_nonblocking(int fd) noexcept;
// Writes everything, waiting where the descriptor does not block.
[[nodiscard]] int write_all(int fd, const char* bytes, std::size_t n) noexcept;

// While it lives, writing to a pipe without a reader raises no SIGPIPE on this thread: EPIPE is all there is. Leaves a
// SIGPIPE that was pending before where it was.
class no_sigpipe {
public:
    no_sigpipe() noexcept;
    no_sigpipe(const no_sigpipe&) = delete;
    no_sigpipe& operator=(const no_sigpipe&) = delete;
    ~no_sigpipe();

private:
    sigset_t before_;
    bool was_pending_ = false;
};

} // namespace eddy::detail
