#include <eddy/io/captured_output.hpp>

#include <eddy/core/error.hpp>

#include "io/descriptor.hpp"
#include "io/output_sink.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <unistd.h>
#include <uv.h>

namespace eddy {

captured_output::captured_output(captured_output&& o) noexcept
    : memory_(std::move(o.memory_)), size_(std::exchange(o.size_, 0)), total_(std::exchange(o.total_, 0)),
      file_(std::exchange(o.file_, -1)), error_(std::exchange(o.error_, 0)),
      truncated_(std::exchange(o.truncated_, false)), marked_(std::exchange(o.marked_, false)) {
    o.memory_.clear();
}

captured_output& captured_output::operator=(captured_output&& o) noexcept {
    if (this == &o) return *this;
    captured_output mine(std::move(o));
    memory_.swap(mine.memory_);
    std::swap(size_, mine.size_);
    std::swap(total_, mine.total_);
    std::swap(file_, mine.file_);
    std::swap(error_, mine.error_);
    std::swap(truncated_, mine.truncated_);
    std::swap(marked_, mine.marked_);
    return *this;
}

captured_output::~captured_output() {
    if (file_ >= 0) ::close(file_);
}

void captured_output::check() const {
    if (error_ != 0) throw uv_error(error_, "eddy: " + std::to_string(total_) + " bytes of output could not be kept");
}

std::string captured_output::mark() const {
    if (!marked_) return {};
    return "\n[eddy: output cut here, " + std::to_string(total_ - size_) + " more bytes]\n";
}

std::size_t captured_output::read_at(std::uint64_t offset, std::span<char> into) const {
    check();
    if (offset >= size_) return 0;
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset));
    if (!spilled()) {
        std::memcpy(into.data(), memory_.data() + offset, wanted);
        return wanted;
    }
    std::size_t got = 0;
    while (got < wanted) {
        const ssize_t n = ::pread(file_, into.data() + got, wanted - got, static_cast<off_t>(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) throw uv_error(n < 0 ? -errno : UV_EIO, "eddy: cannot read output back from its temporary file");
        got += static_cast<std::size_t>(n);
    }
    return got;
}

std::string captured_output::text() const {
    check();
    if (!spilled()) return memory_ + mark();
    std::string all(static_cast<std::size_t>(size_), '\0');
    static_cast<void>(read_at(0, std::span<char>(all.data(), all.size())));
    return all + mark();
}

void captured_output::write_to(int fd) const {
    const detail::no_sigpipe quiet;
    const auto put = [fd](std::string_view piece) {
        if (const int e = detail::write_all(fd, piece.data(), piece.size()); e != 0)
            throw uv_error(e, "eddy: cannot write output to descriptor " + std::to_string(fd));
    };
    for_each_chunk(put);
    put(mark());
}

namespace detail {

void output_sink::append(const char* bytes, std::size_t n) noexcept {
    out_.total_ += n;
    if (out_.error_ != 0) return;
    try {
        const std::size_t room = limit_ > out_.size_ ? limit_ - static_cast<std::size_t>(out_.size_) : 0;
        if (out_.file_ < 0 && n <= room) {
            keep_in_memory(bytes, n);
        } else if (spills_) {
            if (const int e = keep_in_file(bytes, n); e != 0) fail(e);
        } else {
            keep_in_memory(bytes, room);
            out_.truncated_ = out_.marked_ = true;
        }
    } catch (const std::bad_alloc&) {
        fail(UV_ENOMEM);
    }
}

void output_sink::keep_in_memory(const char* bytes, std::size_t n) {
    out_.memory_.append(bytes, n);
    out_.size_ += n;
}

int output_sink::keep_in_file(const char* bytes, std::size_t n) noexcept {
    if (out_.file_ < 0) {
        unique_fd file;
        if (const int e = make_unlinked_file(file); e != 0) return e;
        if (const int e = write_all(file.get(), out_.memory_.data(), out_.memory_.size()); e != 0) return e;
        out_.file_ = file.release();
        std::string().swap(out_.memory_);
    }
    if (const int e = write_all(out_.file_, bytes, n); e != 0) return e;
    out_.size_ += n;
    return 0;
}

void output_sink::fail(int error) noexcept {
    const std::uint64_t total = out_.total_;
    out_ = {}; // a disk that is full has its space back
    out_.total_ = total;
    out_.error_ = error;
    out_.truncated_ = true;
}

} // namespace detail
} // namespace eddy
