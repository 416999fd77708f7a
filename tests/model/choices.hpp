// Where an execution could go on in several ways, it asks here. Either all ways are walked, depth first, or one is
// drawn at random, or a list that was printed earlier is followed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace eddy_model {

// splitmix64 (Steele, Lea, Flood 2014).
class generator {
public:
    explicit generator(std::uint64_t seed) noexcept : state_(seed) {}
    std::size_t below(std::size_t n) noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<std::size_t>((z ^ (z >> 31)) % n);
    }

private:
    std::uint64_t state_;
};

class choices {
public:
    choices() = default;
    explicit choices(const std::vector<std::size_t>& list) {
        for (const std::size_t c : list)
            taken_.push_back({c, c + 1});
    }
    // One of 0 … n-1. The same list of answers gives the same questions.
    std::size_t next(std::size_t n) {
        if (n == 1) return 0;
        if (at_ == taken_.size()) taken_.push_back({0, n});
        taken_[at_].of = n;
        return taken_[at_++].choice;
    }
    // Goes to the next way; false when all have been walked.
    bool advance() {
        while (!taken_.empty() && taken_.back().choice + 1 == taken_.back().of)
            taken_.pop_back();
        at_ = 0;
        if (taken_.empty()) return false;
        ++taken_.back().choice;
        return true;
    }
    // "0,2,1": what was chosen so far.
    [[nodiscard]] std::string text() const {
        std::string s;
        for (std::size_t i = 0; i < at_; ++i)
            s += (i == 0 ? "" : ",") + std::to_string(taken_[i].choice);
        return s;
    }

private:
    struct entry {
        std::size_t choice;
        std::size_t of;
    };
    std::vector<entry> taken_;
    std::size_t at_ = 0;
};

} // namespace eddy_model
