// Small questions that tests ask again and again.
#pragma once

#include <eddy/core/loop.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace eddy_test {

using namespace std::chrono_literals;

// The exception is an E.
template <class E>
bool holds(const std::exception_ptr& e) {
    if (e == nullptr) return false;
    try {
        std::rethrow_exception(e);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}

// what(), "cancelled", or "" for no exception.
inline std::string text_of(const std::exception_ptr& e) {
    if (e == nullptr) return {};
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& x) {
        return x.what();
    } catch (const eddy::cancelled&) {
        return "cancelled";
    } catch (...) {
        return "something else";
    }
}

// What it says to a misuse; "" when it says nothing.
template <class F>
std::string refusal(F f) {
    try {
        f();
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Collects what the exception handler of a loop is told, as "message|task|what".
class told {
public:
    explicit told(eddy::loop& l = eddy::loop::current()) : loop_(l) {
        before_ = loop_.set_exception_handler([this](const eddy::error_context& c) {
            lines.push_back(std::string(c.message) + "|" + std::string(c.task_name) + "|" + text_of(c.exception));
        });
    }
    told(const told&) = delete;
    ~told() { loop_.set_exception_handler(before_); }
    std::vector<std::string> lines;

private:
    eddy::loop& loop_;
    eddy::exception_handler before_;
};

// Says when it is destroyed.
class at_end {
public:
    explicit at_end(std::function<void()> f) : f_(std::move(f)) {}
    at_end(const at_end&) = delete;
    at_end(at_end&& o) noexcept : f_(std::exchange(o.f_, nullptr)) {}
    ~at_end() {
        if (f_) f_();
    }

private:
    std::function<void()> f_;
};

} // namespace eddy_test
