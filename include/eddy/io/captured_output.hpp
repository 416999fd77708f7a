// What a program wrote to its standard output or standard error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace eddy {

namespace detail {
class output_sink;
}

// The bytes that were kept, in memory or, beyond what stdio::spill() allows there, in an unlinked temporary file that
// goes with this object. Move-only. Tied to no loop: it may be handed to another thread, and used on one at a time.
// Empty for a stream that was not captured.
//
// Where output could not be kept although stdio::spill() promises so (the disk is full), every member that gives bytes
// throws that uv_error instead of giving some of them.
class captured_output {
public:
    // Bytes per piece in for_each_chunk().
    static constexpr std::size_t chunk_size = 64 * 1024;

    captured_output() noexcept = default;
    captured_output(captured_output&& other) noexcept;
    captured_output& operator=(captured_output&& other) noexcept;
    ~captured_output();

    // Bytes kept.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    // Bytes that the program wrote, kept or not, as far as they were read.
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    // Something is missing at the end: the limit of stdio::capture() was reached, or the pipe was still open after the
    // drain timeout, or the output could not be kept.
    [[nodiscard]] bool truncated() const noexcept { return truncated_; }
    // The bytes lie in a temporary file.
    [[nodiscard]] bool spilled() const noexcept { return file_ >= 0; }

    // All kept bytes, and where stdio::capture()'s limit cut them the line "[eddy: output cut here, N more bytes]".
    // Reads the file back, and so needs size() bytes of memory: std::bad_alloc, uv_error.
    [[nodiscard]] std::string text() const;

    // Writes what text() would give to a descriptor, a piece at a time: memory does not grow with the output. Blocks
    // this thread until the descriptor has taken everything; never raises SIGPIPE. uv_error when writing fails (EPIPE
    // where the reader has gone); then part of it may have been written.
    void write_to(int fd) const;

    // Calls f(std::string_view) for the kept bytes in order, at most chunk_size at a time; without the mark of text().
    template <class F>
    void for_each_chunk(F&& f) const {
        check();
        if (!spilled()) {
            for (std::string_view rest = memory_; !rest.empty();) {
                const std::string_view piece = rest.substr(0, chunk_size);
                rest.remove_prefix(piece.size());
                f(piece);
            }
            return;
        }
        std::string piece(chunk_size, '\0');
        std::uint64_t at = 0;
        while (const std::size_t n = read_at(at, std::span<char>(piece.data(), piece.size()))) {
            f(std::string_view(piece).substr(0, n));
            at += n;
        }
    }

    // Copies kept bytes from `offset` on into `into`. Gives how many: fewer than asked only at the end, 0 behind it.
    [[nodiscard]] std::size_t read_at(std::uint64_t offset, std::span<char> into) const;

private:
    friend detail::output_sink;
    void check() const;
    [[nodiscard]] std::string mark() const;

    std::string memory_;
    std::uint64_t size_ = 0;
    std::uint64_t total_ = 0;
    int file_ = -1;
    int error_ = 0; // libuv's number of what kept us from keeping the output
    bool truncated_ = false;
    bool marked_ = false; // cut by the limit
};

} // namespace eddy
