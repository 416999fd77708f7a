// The command line. What is wrong with it is a std::runtime_error, as all that ends batch with status 255.
#pragma once

#include <charconv>
#include <eddy/eddy.hpp>
#include <iostream>
#include <map>
#include <thread>

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

inline constexpr char help[] = R"(batch [options] COMMAND [ARG ...]
Runs COMMAND for every line of its input, several at a time. {} in COMMAND or an argument is the line; without {} the
line is added at the end. What the last attempt of a job has printed comes out in one piece when the job has ended.
  -j N             at most N at once (default: processors)
  -a FILE          read lines from FILE instead of standard input; -0: records end in NUL
  --timeout S      per attempt; the child gets SIGTERM, then after --grace S (2) SIGKILL
  --retries N      N further attempts; delay 0.1 s x 2^k +- 50 %, at most 30 s
  --fail-fast      first failure: start no more, SIGTERM the running (they count as interrupted, not as failed)
  --rate N         in any one second at most N starts, no burst
  --keep-order     print outputs in input order (at most 100 jobs that have ended wait for an earlier one)
  --joblog FILE    one record a job: sequence, start, seconds, status, attempts, line, separated by tabs
  --resume         skip what the joblog says is done
  --progress       bar on a terminal: done/failed/running, rate, time left; plain lines when not a terminal
  --help, --version
Status: 0 all succeeded, 1 to 100 so many failed, 101 more; 130 after Ctrl-C, 143 after SIGTERM; 255 batch itself failed
)";

struct options {
    std::vector<std::string> command; // COMMAND and its ARGs
    std::size_t jobs = std::max(1u, std::thread::hardware_concurrency()), retries = 0, rate = 0;
    std::string file, joblog; // empty: standard input, no joblog
    char separator = '\n';
    seconds timeout = seconds::max(), grace{2};
    bool fail_fast = false, keep_order = false, resume = false, progress = false;

    explicit options(const std::vector<std::string>& words) {
        std::size_t at = 0;
        std::string name;
        std::optional<std::string> joined; // the value in -j4, --timeout=5
        const auto value = [&] {
            if (joined) return *std::exchange(joined, std::nullopt);
            if (at + 1 == words.size()) throw std::runtime_error(name + " needs a value (see --help)");
            return words[++at];
        };
        const auto number = [&](auto least) {
            auto n = least;
            const std::string text = value();
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
            if (error == std::errc() && *end == '\0' && n >= least && static_cast<double>(n) <= 1e9) return n;
            throw std::runtime_error(name + " can't be '" + text + "' (see --help)");
        };
        const std::map<std::string, std::function<void()>> known{
            {"-j", [&] { jobs = number(std::size_t{1}); }},
            {"-a", [&] { file = value(); }},
            {"-0", [&] { separator = '\0'; }},
            {"--timeout", [&] { timeout = seconds(number(0.001)); }},
            {"--grace", [&] { grace = seconds(number(0.0)); }},
            {"--retries", [&] { retries = number(std::size_t{0}); }},
            {"--fail-fast", [&] { fail_fast = true; }},
            {"--rate", [&] { rate = number(std::size_t{1}); }},
            {"--keep-order", [&] { keep_order = true; }},
            {"--joblog", [&] { joblog = value(); }},
            {"--resume", [&] { resume = true; }},
            {"--progress", [&] { progress = true; }},
            {"--help", [] { std::exit(std::cout << help << std::flush ? 0 : 255); }},
            {"--version", [] { std::exit(std::cout << "batch (eddy) " EDDY_EXAMPLE_VERSION << std::endl ? 0 : 255); }}};
        for (; at < words.size() && words[at].starts_with('-'); ++at) {
            const std::string& word = words[at];
            name = word.substr(0, word.starts_with("--") ? word.find('=') : 2);
            if (word.size() > name.size()) joined = word.substr(name.size() + name.starts_with("--"));
            if (!known.contains(name)) throw std::runtime_error("unknown option '" + word + "' (see --help)");
            known.at(name)();
            if (joined) throw std::runtime_error(name + " takes no value (see --help)");
        }
        command.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
        if (command.empty()) throw std::runtime_error("no COMMAND (see --help)");
        if (resume && joblog.empty()) throw std::runtime_error("--resume needs --joblog FILE");
    }
};
