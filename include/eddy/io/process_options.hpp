// How a program is started.
#pragma once

#include <eddy/core/clock.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace eddy {

// Where one of a program's three standard streams leads.
class stdio {
public:
    enum class kind : unsigned char { inherit, discard, capture, spill, feed, descriptor };

    // The stream of this process.
    [[nodiscard]] static stdio inherit() noexcept { return stdio(kind::inherit); }
    // The null device.
    [[nodiscard]] static stdio discard() noexcept { return stdio(kind::discard); }
    // Output is kept in memory up to `limit` bytes; what follows is read and dropped, and marked as missing.
    [[nodiscard]] static stdio capture(std::size_t limit = std::size_t{1} << 20) noexcept {
        return stdio(kind::capture, limit);
    }
    // All output is kept: up to `in_memory` bytes in memory, everything in an unlinked temporary file (in $TMPDIR, else
    // /tmp) once it is more.
    [[nodiscard]] static stdio spill(std::size_t in_memory = std::size_t{1} << 20) noexcept {
        return stdio(kind::spill, in_memory);
    }
    // Standard input is `text`, then the end. The program sees a file and may read it at any pace, or not at all.
    [[nodiscard]] static stdio feed(std::string text) {
        stdio s(kind::feed);
        s.text_ = std::move(text);
        return s;
    }
    // A descriptor of this process, which keeps its own; the program gets a duplicate. It must be open at the start.
    [[nodiscard]] static stdio descriptor(int fd) noexcept {
        stdio s(kind::descriptor);
        s.fd_ = fd;
        return s;
    }

    [[nodiscard]] kind type() const noexcept { return kind_; }
    [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] int fd() const noexcept { return fd_; }

private:
    explicit stdio(kind k, std::size_t limit = 0) noexcept : kind_(k), limit_(limit) {}
    kind kind_;
    int fd_ = -1;
    std::size_t limit_;
    std::string text_;
};

// A program, its arguments, and how to run it. Chain the setters; everything is owned.
//
// Nothing goes through a shell. Bad values (an empty program, a NUL inside a string, an environment entry without '=')
// are a std::logic_error of process::start() that names them.
class process_options {
public:
    // `program` is looked up in PATH unless it contains a slash. The arguments are those after the program's name.
    process_options(std::string program, std::vector<std::string> arguments = {}) // not explicit: run_process("true")
        : program_(std::move(program)), arguments_(std::move(arguments)) {}
    process_options(const char* program) : program_(program) {}

    // The whole environment, "NAME=value" each, instead of this process's. PATH is then looked up in it.
    process_options& env(std::vector<std::string> entries) {
        env_ = std::move(entries);
        replaces_env_ = true;
        return *this;
    }
    // One more variable, over what is inherited or was given to env().
    process_options& variable(std::string name, std::string value) {
        variables_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    // The directory it runs in. Default: this process's.
    process_options& cwd(std::string directory) {
        cwd_ = std::move(directory);
        return *this;
    }

    // Standard input: discard (the default), inherit, feed, descriptor.
    process_options& in(stdio s) {
        in_ = std::move(s);
        return *this;
    }
    // Standard output: inherit (the default), discard, capture, spill, descriptor.
    process_options& out(stdio s) {
        out_ = std::move(s);
        return *this;
    }
    // Standard error: as for standard output.
    process_options& err(stdio s) {
        err_ = std::move(s);
        return *this;
    }

    // True: it stays in this process's session and group, so that a terminal's Ctrl-C reaches it too, and signals go to
    // it alone. Default: a session and group of its own, and signals go to the whole group.
    process_options& same_group(bool on) noexcept {
        same_group_ = on;
        return *this;
    }
    // How long it may take to end after SIGTERM before it gets SIGKILL. duration::max(): for ever. Default: 2 s.
    template <class Rep, class Period>
    process_options& grace(std::chrono::duration<Rep, Period> d) noexcept {
        grace_ = detail::to_duration(d);
        return *this;
    }
    // How long output is read on after the program has ended, where somebody else (a grandchild) holds the pipe open.
    // duration::max(): until its end. Default: 1 s.
    template <class Rep, class Period>
    process_options& drain_timeout(std::chrono::duration<Rep, Period> d) noexcept {
        drain_timeout_ = detail::to_duration(d);
        return *this;
    }

    [[nodiscard]] const std::string& program() const noexcept { return program_; }
    [[nodiscard]] const std::vector<std::string>& arguments() const noexcept { return arguments_; }
    [[nodiscard]] const std::vector<std::string>& env() const noexcept { return env_; }
    [[nodiscard]] bool replaces_env() const noexcept { return replaces_env_; }
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& variables() const noexcept {
        return variables_;
    }
    [[nodiscard]] const std::string& cwd() const noexcept { return cwd_; }
    [[nodiscard]] const stdio& in() const noexcept { return in_; }
    [[nodiscard]] const stdio& out() const noexcept { return out_; }
    [[nodiscard]] const stdio& err() const noexcept { return err_; }
    [[nodiscard]] bool same_group() const noexcept { return same_group_; }
    [[nodiscard]] duration grace() const noexcept { return grace_; }
    [[nodiscard]] duration drain_timeout() const noexcept { return drain_timeout_; }

private:
    std::string program_;
    std::vector<std::string> arguments_;
    std::vector<std::string> env_;
    std::vector<std::pair<std::string, std::string>> variables_;
    std::string cwd_;
    stdio in_ = stdio::discard();
    stdio out_ = stdio::inherit();
    stdio err_ = stdio::inherit();
    duration grace_ = std::chrono::seconds(2);
    duration drain_timeout_ = std::chrono::seconds(1);
    bool replaces_env_ = false;
    bool same_group_ = false;
};

} // namespace eddy
