// What goes between a process_pool and its workers: frames on a socket. A header of 32 bytes, then the payload.
//
// Both ends are the same program on the same machine, so numbers lie as the machine has them. Neither end trusts the
// other all the same: user code ran in the worker, and may have written anything anywhere. Whatever bytes come, the
// decoder gives whole frames whose checksums are right, or says what is wrong; it takes memory as bytes arrive, not as
// a header promises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace eddy::detail {

enum class frame_type : std::uint16_t {
    hello = 1, // worker: hash and size of its table of functions
    job = 2,   // pool: index of the function, arguments
    value = 3, // worker: the result
    error = 4, // worker: name of the exception's type, its text
};

struct frame_header {
    static constexpr std::uint32_t magic_value = 0x79646465; // "eddy"
    static constexpr std::uint16_t current_version = 1;

    std::uint32_t magic;
    std::uint16_t version;
    std::uint16_t type;
    std::uint64_t id; // of the job; 0 for hello
    std::uint64_t length;
    std::uint32_t payload_check;
    std::uint32_t header_check; // of the bytes above
};
static_assert(sizeof(frame_header) == 32);

// What a decoder has to let through where arguments and results may have `most` bytes: with the index of the function,
// and exceptions, which are cut to fit.
constexpr std::size_t longest_text = 32 * 1024;
constexpr std::uint64_t longest_payload(std::uint64_t most) noexcept {
    constexpr std::uint64_t room = 2 * longest_text + 64;
    return (most < UINT64_MAX - room ? most : UINT64_MAX - room) + room;
}

constexpr std::size_t frame_header_size = sizeof(frame_header);

// FNV's idea, eight bytes at a time: notices corruption, keeps nobody out.
std::uint64_t hash_bytes(std::span<const std::byte> b, std::uint64_t seed = 0) noexcept;

// Completes a frame: `f` is room for the header, then the payload.
void seal_frame(std::vector<std::byte>& f, frame_type type, std::uint64_t id) noexcept;

class frame_decoder {
public:
    enum class status : unsigned char { more, frame, bad };

    // `most`: bytes a payload may have.
    explicit frame_decoder(std::uint64_t most) noexcept : most_(most) {}

    // Where the next bytes belong; as many of them as come. Never empty, except after bad. Throws std::bad_alloc.
    [[nodiscard]] std::span<std::byte> room();
    // n bytes are in room(). frame: header() and payload() are there until the next call of room().
    status advance(std::size_t n) noexcept;
    // For bytes that lie elsewhere: as many as belong to this frame are copied, and taken off `from`.
    status feed(std::span<const std::byte>& from);

    [[nodiscard]] const frame_header& header() const noexcept { return header_; }
    [[nodiscard]] std::vector<std::byte>& payload() noexcept { return payload_; }
    // What was bad. Static text.
    [[nodiscard]] const char* fault() const noexcept { return fault_; }
    // Between two frames: an end of the stream here is a proper end.
    [[nodiscard]] bool at_rest() const noexcept { return have_ == 0 || complete_; }

private:
    status check_header() noexcept;
    status bad(const char* why) noexcept;

    std::uint64_t most_;
    frame_header header_{};
    std::vector<std::byte> payload_;
    std::size_t have_ = 0; // bytes of the header, then of the payload as well
    bool complete_ = false;
    const char* fault_ = nullptr;
};

} // namespace eddy::detail
