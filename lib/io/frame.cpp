#include "io/frame.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace eddy::detail {

namespace {

constexpr std::size_t first_room = 64 * 1024; // a payload begins with this much, whatever its header says

constexpr std::size_t most_kept = 1 << 20; // what a decoder keeps for the next frame

std::uint32_t fold(std::uint64_t h) noexcept { return static_cast<std::uint32_t>(h ^ (h >> 32)); }

std::uint32_t check_of(const frame_header& h) noexcept {
    return fold(hash_bytes(std::as_bytes(std::span(&h, 1)).first(offsetof(frame_header, header_check))));
}

} // namespace

std::uint64_t hash_bytes(std::span<const std::byte> b, std::uint64_t seed) noexcept {
    constexpr std::uint64_t prime = 0x9e3779b97f4a7c15;
    // Four lanes: one would wait for its own multiplication each time.
    std::uint64_t lane[4] = {seed ^ b.size(), seed + 1, seed + 2, seed + 3};
    const std::byte* p = b.data();
    std::size_t n = b.size();
    for (; n >= 32; p += 32, n -= 32)
        for (std::size_t i = 0; i < 4; ++i) {
            std::uint64_t word;
            std::memcpy(&word, p + 8 * i, 8);
            lane[i] = std::rotl((lane[i] ^ word) * prime, 29);
        }
    for (std::size_t i = 0; n > 0; ++i) {
        std::uint64_t word = 0;
        const std::size_t part = std::min<std::size_t>(n, 8);
        std::memcpy(&word, p, part);
        p += part;
        n -= part;
        lane[i] = std::rotl((lane[i] ^ word) * prime, 29);
    }
    std::uint64_t h = 0;
    for (const std::uint64_t l : lane)
        h = std::rotl((h ^ l) * prime, 31);
    return (h ^ (h >> 29)) * prime;
}

void seal_frame(std::vector<std::byte>& f, frame_type type, std::uint64_t id) noexcept {
    const auto payload = std::span(f).subspan(frame_header_size);
    frame_header h{};
    h.magic = frame_header::magic_value;
    h.version = frame_header::current_version;
    h.type = static_cast<std::uint16_t>(type);
    h.id = id;
    h.length = payload.size();
    h.payload_check = fold(hash_bytes(payload));
    h.header_check = check_of(h);
    std::memcpy(f.data(), &h, sizeof h);
}

frame_decoder::status frame_decoder::bad(const char* why) noexcept {
    fault_ = why;
    return status::bad;
}

std::span<std::byte> frame_decoder::room() {
    if (fault_ != nullptr) return {};
    if (complete_) {
        complete_ = false;
        have_ = 0;
        if (payload_.capacity() > most_kept) std::vector<std::byte>().swap(payload_);
    }
    if (have_ < frame_header_size) return std::as_writable_bytes(std::span(&header_, 1)).subspan(have_);
    const std::size_t at = have_ - frame_header_size;
    // Memory that is there already from the frame before is used as it is: nothing is allocated, nothing filled.
    if (at == 0 || at == payload_.size()) {
        const std::size_t at_hand = at == 0 ? std::max(first_room, payload_.capacity()) : 2 * at;
        payload_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(header_.length, at_hand)));
    }
    return std::span(payload_).subspan(at);
}

frame_decoder::status frame_decoder::check_header() noexcept {
    if (header_.magic != frame_header::magic_value) return bad("no frame begins here");
    if (header_.header_check != check_of(header_)) return bad("a header with a wrong checksum");
    if (header_.version != frame_header::current_version) return bad("another version of the protocol");
    if (header_.type < static_cast<std::uint16_t>(frame_type::hello) ||
        header_.type > static_cast<std::uint16_t>(frame_type::error))
        return bad("an unknown type of frame");
    if (header_.length > most_) return bad("a frame that is longer than allowed");
    return status::more;
}

frame_decoder::status frame_decoder::advance(std::size_t n) noexcept {
    if (fault_ != nullptr) return status::bad;
    const bool in_header = have_ < frame_header_size;
    have_ += n;
    if (have_ < frame_header_size) return status::more;
    if (in_header && check_header() == status::bad) return status::bad;
    if (header_.length == 0) payload_.clear();
    if (have_ - frame_header_size < header_.length) return status::more;
    if (header_.payload_check != fold(hash_bytes(payload_))) return bad("a payload with a wrong checksum");
    complete_ = true;
    return status::frame;
}

frame_decoder::status frame_decoder::feed(std::span<const std::byte>& from) {
    while (!from.empty()) {
        const std::span<std::byte> to = room();
        const std::size_t n = std::min(to.size(), from.size());
        if (n == 0) return status::bad;
        std::memcpy(to.data(), from.data(), n);
        from = from.subspan(n);
        if (const status s = advance(n); s != status::more) return s;
    }
    return fault_ != nullptr ? status::bad : status::more;
}

} // namespace eddy::detail
