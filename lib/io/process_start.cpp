#include <eddy/io/process.hpp>

#include "io/process_block.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#if defined(__APPLE__)
#include <crt_externs.h>
#endif

namespace eddy {

namespace {

char** this_environment() noexcept {
#if defined(__APPLE__)
    return *_NSGetEnviron();
#else
    return environ;
#endif
}

[[noreturn]] void refuse(const process_options& o, const std::string& why) {
    throw std::logic_error("eddy: cannot start '" + o.program() + "': " + why);
}

void check_string(const process_options& o, const char* what, const std::string& s) {
    if (s.find('\0') != std::string::npos) refuse(o, std::string(what) + " '" + s.c_str() + "\\0…' holds a NUL");
}

void check_stream(const process_options& o, const char* what, const stdio& s, bool is_input) {
    using kind = stdio::kind;
    const kind k = s.type();
    if (is_input && (k == kind::capture || k == kind::spill)) refuse(o, "standard input can't be captured");
    if (!is_input && k == kind::feed) refuse(o, std::string(what) + " can't be fed");
    if (k == kind::descriptor && ::fcntl(s.fd(), F_GETFD) < 0)
        refuse(o, std::string(what) + " is to be descriptor " + std::to_string(s.fd()) + ", which is not open");
}

void check(const process_options& o) {
    if (o.program().empty()) throw std::logic_error("eddy: cannot start a program without a name");
    check_string(o, "the program", o.program());
    check_string(o, "the directory", o.cwd());
    for (const std::string& a : o.arguments())
        check_string(o, "the argument", a);
    for (const std::string& e : o.env()) {
        check_string(o, "the environment entry", e);
        if (const std::size_t at = e.find('='); at == std::string::npos || at == 0)
            refuse(o, "the environment entry '" + e + "' is not NAME=value");
    }
    for (const auto& [name, value] : o.variables()) {
        check_string(o, "the variable", name);
        check_string(o, "the value", value);
        if (name.empty() || name.find('=') != std::string::npos)
            refuse(o, "'" + name + "' can't be the name of a variable");
    }
    check_stream(o, "standard input", o.in(), true);
    check_stream(o, "standard output", o.out(), false);
    check_stream(o, "standard error", o.err(), false);
}

// The environment where it is not just this process's; empty otherwise.
std::vector<std::string> environment_of(const process_options& o) {
    std::vector<std::string> all;
    if (o.replaces_env())
        all = o.env();
    else if (!o.variables().empty())
        for (char** e = this_environment(); e != nullptr && *e != nullptr; ++e)
            all.emplace_back(*e);
    for (const auto& [name, value] : o.variables()) {
        const std::string prefix = name + "=";
        std::erase_if(all, [&](const std::string& e) { return e.compare(0, prefix.size(), prefix) == 0; });
        all.push_back(prefix + value);
    }
    return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> p;
    p.reserve(strings.size() + 1);
    for (std::string& s : strings)
        p.push_back(s.data());
    p.push_back(nullptr);
    return p;
}

[[noreturn]] void throw_start_error(const process_options& o, int code) {
    std::string text = "eddy: cannot start '" + o.program() + "'";
    if (code == UV_E2BIG) {
        std::size_t bytes = 0;
        for (const std::string& a : o.arguments())
            bytes += a.size() + 1;
        text += " with " + std::to_string(o.arguments().size()) + " arguments of " + std::to_string(bytes) + " bytes";
    } else if (!o.cwd().empty() && ::access(o.cwd().c_str(), X_OK) != 0) {
        text += " in directory '" + o.cwd() + "'"; // libuv gives one number for both
    }
    throw uv_error(code, text);
}

} // namespace

process process::start(const process_options& o) {
    loop& l = loop::current();
    uv_loop_t* const uv = l.uv();
    check(o);

    std::vector<std::string> argument_text;
    argument_text.reserve(o.arguments().size() + 1);
    argument_text.push_back(o.program());
    argument_text.insert(argument_text.end(), o.arguments().begin(), o.arguments().end());
    std::vector<char*> arguments = pointers_to(argument_text);
    std::vector<std::string> environment_text = environment_of(o);
    std::vector<char*> environment = pointers_to(environment_text);

    uv_process_options_t how = {};
    how.file = o.program().c_str();
    how.args = arguments.data();
    if (o.replaces_env() || !o.variables().empty()) how.env = environment.data();
    if (!o.cwd().empty()) how.cwd = o.cwd().c_str();

    auto* const block = new detail::process_block(l, uv, o);
    if (block == nullptr) throw std::bad_alloc();
    const detail::process_reference mine(*block);
    if (const int e = block->spawn(how, o); e != 0) throw_start_error(o, e);
    return process(mine);
}

} // namespace eddy
