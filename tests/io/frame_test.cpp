#include "io/frame.hpp"

#include <algorithm>
#include <cstring>
#include <doctest/doctest.h>
#include <random>
#include <string>

using namespace eddy::detail;
using decoded = frame_decoder::status;

namespace {

constexpr std::uint64_t most = 100'000;

std::vector<std::byte> frame_of(std::size_t size, frame_type type = frame_type::job, std::uint64_t id = 1) {
    std::vector<std::byte> f(frame_header_size + size);
    for (std::size_t i = frame_header_size; i < f.size(); ++i)
        f[i] = static_cast<std::byte>(i * 31 + id);
    seal_frame(f, type, id);
    return f;
}

// What a decoder makes of a stream: ids and sizes of its frames, then what was bad.
struct outcome {
    std::string text;
    friend bool operator==(const outcome&, const outcome&) = default;
};

// `piece`: how many bytes come at a time.
template <class Piece>
outcome decode(std::span<const std::byte> stream, Piece piece) {
    outcome o;
    frame_decoder d(most);
    while (!stream.empty()) {
        const std::size_t n = std::clamp<std::size_t>(piece(), 1, stream.size());
        std::span<const std::byte> part = stream.first(n);
        stream = stream.subspan(n);
        while (!part.empty()) {
            const decoded s = d.feed(part);
            if (s == decoded::bad) {
                o.text += std::string("bad: ") + d.fault();
                return o;
            }
            if (s == decoded::frame)
                o.text += std::to_string(d.header().id) + ":" + std::to_string(d.payload().size()) + ":" +
                          std::to_string(hash_bytes(d.payload())) + " ";
        }
    }
    o.text += d.at_rest() ? "end" : "cut";
    return o;
}

outcome decode_whole(std::span<const std::byte> stream) {
    return decode(stream, [&] { return stream.size(); });
}

void append(std::vector<std::byte>& to, const std::vector<std::byte>& more) {
    to.insert(to.end(), more.begin(), more.end());
}

} // namespace

TEST_CASE("frames come out as they went in, however they are cut") {
    std::vector<std::byte> stream;
    for (const int n : {0, 1, 31, 32, 33, 5000, 100'000, 0})
        append(stream, frame_of(static_cast<std::size_t>(n), frame_type::value, static_cast<std::uint64_t>(n)));
    const outcome whole = decode_whole(stream);
    CHECK(whole.text.starts_with("0:0:"));
    CHECK(whole.text.ends_with("end"));
    CHECK(std::count(whole.text.begin(), whole.text.end(), ' ') == 8);
    for (const std::size_t n : {1u, 7u, 32u, 4096u})
        CHECK(decode(stream, [n] { return n; }) == whole);
}

TEST_CASE("a byte that is changed anywhere is noticed") {
    const std::vector<std::byte> good = frame_of(100);
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const int bit : {0, 3, 7}) {
            std::vector<std::byte> f = good;
            f[i] ^= static_cast<std::byte>(1 << bit);
            CHECK(decode_whole(f).text.starts_with("bad: "));
        }
}

TEST_CASE("a length beyond the limit is refused before any memory is taken for it") {
    std::vector<std::byte> f(frame_header_size + 16);
    seal_frame(f, frame_type::job, 1);
    CHECK(decode_whole(f).text.ends_with("end"));
    CHECK(decode_whole(frame_of(most)).text.ends_with("end"));
    CHECK(decode_whole(frame_of(most + 1)).text == "bad: a frame that is longer than allowed");
    // A header that promises much and is right otherwise.
    const std::vector<std::byte> big = frame_of(most);
    frame_decoder d(most);
    std::span<const std::byte> only_header = std::span(big).first(frame_header_size);
    CHECK(d.feed(only_header) == decoded::more);
    CHECK(d.room().size() <= 64 * 1024);
    CHECK(d.payload().size() <= 64 * 1024);
    CHECK_FALSE(d.at_rest());
}

TEST_CASE("unknown types and versions are refused") {
    for (const int type : {0, 5, 99}) {
        std::vector<std::byte> f(frame_header_size);
        seal_frame(f, static_cast<frame_type>(type), 1);
        CHECK(decode_whole(f).text == "bad: an unknown type of frame");
    }
    std::vector<std::byte> nothing(frame_header_size);
    CHECK(decode_whole(nothing).text == "bad: no frame begins here");
}

TEST_CASE("what was bad stays bad") {
    frame_decoder d(most);
    const std::vector<std::byte> garbage(64, std::byte{1});
    std::span<const std::byte> part = garbage;
    CHECK(d.feed(part) == decoded::bad);
    const std::vector<std::byte> good = frame_of(1);
    part = good;
    CHECK(d.feed(part) == decoded::bad);
    CHECK(d.room().empty());
    CHECK(d.advance(1) == decoded::bad);
}

TEST_CASE("random and mutated streams: whole and cut into pieces they decode alike, and nothing breaks") {
    std::mt19937_64 random(30);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::byte> stream;
        const auto frames = random() % 4;
        for (std::uint64_t i = 0; i < frames; ++i)
            append(stream, frame_of(random() % 200, static_cast<frame_type>(1 + random() % 4), random()));
        switch (random() % 4) {
        case 0: // noise behind it
            for (auto n = random() % 100; n > 0; --n)
                stream.push_back(static_cast<std::byte>(random()));
            break;
        case 1: // some bytes changed
            for (auto n = random() % 4; n > 0 && !stream.empty(); --n)
                stream[random() % stream.size()] = static_cast<std::byte>(random());
            break;
        case 2: // some left out
            if (stream.size() > 10) {
                const auto at = static_cast<std::ptrdiff_t>(random() % (stream.size() - 10));
                stream.erase(stream.begin() + at, stream.begin() + at + static_cast<std::ptrdiff_t>(random() % 10));
            }
            break;
        default:
            break;
        }
        const outcome whole = decode_whole(stream);
        const outcome cut = decode(stream, [&] { return static_cast<std::size_t>(random() % 50); });
        REQUIRE(whole == cut);
    }
}
