// Walks the small worlds of a primitive, and draws long runs at random.
#include "model/world.hpp"

#include <doctest/doctest.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace eddy_model {

namespace {

// All of them, in an order that stays the same: their places are their numbers.
std::vector<scenario> scenarios(const primitive& p) {
    std::vector<scenario> found;
    const auto add = [&](const std::vector<program>& first, const std::vector<program>& second, int firsts,
                         int seconds) {
        for (int configuration = 0; configuration < p.configurations; ++configuration)
            for (const program& a : first)
                for (const program& b : second) {
                    scenario s;
                    s.configuration = configuration;
                    s.first = a;
                    s.second = b;
                    s.firsts = firsts;
                    s.seconds = seconds;
                    found.push_back(s);
                    s.destroy_primitive = true;
                    found.push_back(s);
                    s.destroy_primitive = false;
                    for (const harm h : {harm::request, harm::timeout, harm::destroy})
                        for (s.target = 0; s.target < firsts + seconds; ++s.target) {
                            s.what = h;
                            found.push_back(s);
                        }
                }
    };
    add(p.first, p.second, 3, 2);
    add(p.first_long, p.second_long, 2, 2);
    return found;
}

std::vector<std::uint64_t> numbers_in(std::string_view text) {
    std::vector<std::uint64_t> found;
    while (!text.empty()) {
        std::uint64_t n = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (error != std::errc()) {
            text.remove_prefix(1);
            continue;
        }
        found.push_back(n);
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    }
    return found;
}

// The part of `EDDY_MODEL_REPLAY` that follows `prefix`; empty when it is about something else.
std::optional<std::vector<std::uint64_t>> replay_of(const std::string& prefix, bool& other) {
    const char* const text = std::getenv("EDDY_MODEL_REPLAY");
    other = text != nullptr;
    if (text == nullptr || !std::string_view(text).starts_with(prefix)) return std::nullopt;
    const std::string_view rest = std::string_view(text).substr(prefix.size());
    if (prefix.find("random") == std::string::npos && rest.starts_with("random")) return std::nullopt;
    return numbers_in(rest);
}

// 1: everything.
std::size_t stride() {
    const char* const text = std::getenv("EDDY_MODEL");
    if (text == nullptr) return 41;
    if (std::string_view(text) == "full") return 1;
    const std::vector<std::uint64_t> n = numbers_in(text);
    if (n.size() == 1 && n[0] > 0) return static_cast<std::size_t>(n[0]);
    throw std::logic_error(std::string("EDDY_MODEL is 'full' or a number, not '") + text + "'");
}

} // namespace

void explore(const primitive& p) {
    const std::vector<scenario> all = scenarios(p);
    world w(p);
    bool other = false;
    if (const auto replay = replay_of(p.name + ":", other); replay.has_value()) {
        w.be_verbose();
        choices c(std::vector<std::size_t>(replay->begin() + 1, replay->end()));
        w.run(replay->front(), all.at(replay->front()), c);
        return;
    }
    if (other) return;
    const auto began = std::chrono::steady_clock::now();
    long executions = 0;
    std::size_t walked = 0;
    const std::size_t step = stride() == 1 ? 1 : stride() * p.cost;
    for (std::size_t i = 0; i < all.size(); i += step) {
        choices c;
        do {
            w.run(i, all[i], c);
            ++executions;
        } while (c.advance());
        ++walked;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("model of %s: %ld executions of %zu of %zu scenarios, %.1f s\n", p.name.c_str(), executions, walked,
                all.size(), took.count());
    CHECK(executions > static_cast<long>(walked));
}

void explore_at_random(const primitive& p) {
    world w(p);
    bool other = false;
    if (const auto replay = replay_of(p.name + ":random:", other); replay.has_value()) {
        w.be_verbose();
        w.run_random(static_cast<int>(replay->at(0)), static_cast<int>(replay->at(1)), static_cast<int>(replay->at(2)),
                     replay->at(3));
        return;
    }
    if (other) return;
    const std::uint64_t seeds = stride() == 1 ? 200 : 3;
    for (int configuration = 0; configuration < p.configurations; ++configuration)
        for (std::uint64_t seed = 1; seed <= seeds; ++seed)
            w.run_random(configuration, 2 + static_cast<int>(seed % 7), 5000, seed);
    CHECK(seeds > 0);
}

} // namespace eddy_model
