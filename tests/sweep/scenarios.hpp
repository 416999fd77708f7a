// The programs that the sweeps take apart, and what they keep account in.
#pragma once

#include <eddy/core/loop.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/flow/task_group.hpp>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace eddy_test::sweeps {

using namespace eddy;
using namespace std::chrono_literals;

// One run's accounts. Destructors can't throw: what they find is told after the run.
struct accounts {
    int open = 0;      // resources that are held
    int opened = 0;    // ever
    int unclosed = 0;  // objects whose close() was not called
    std::string wrong; // the first complaint
    static accounts& now() noexcept {
        static accounts a;
        return a;
    }
};

inline void complain(const char* what) noexcept {
    if (accounts& a = accounts::now(); a.wrong.empty()) a.wrong.assign(what); // short enough to need no memory
}
inline void demand(bool ok, const char* what) noexcept {
    if (!ok) complain(what);
}

// Held from construction to destruction, wherever it is moved; destroyed twice or never is seen.
class resource {
public:
    resource() noexcept { count(); }
    resource(resource&& o) noexcept : mine_(std::exchange(o.mine_, false)) {}
    resource& operator=(resource&& o) noexcept {
        std::swap(mine_, o.mine_);
        return *this;
    }
    ~resource() {
        demand(state_ == alive, "destroyed twice");
        state_ = dead;
        if (mine_) --accounts::now().open;
    }

private:
    static constexpr unsigned alive = 0x600d;
    static constexpr unsigned dead = 0xdead;
    static void count() noexcept {
        ++accounts::now().open;
        ++accounts::now().opened;
    }
    bool mine_ = true;
    volatile unsigned state_ = alive;
};

// Calls f when it goes, whatever the reason.
template <class F>
class finally_do {
public:
    explicit finally_do(F f) : f_(std::move(f)) {}
    finally_do(const finally_do&) = delete;
    ~finally_do() { f_(); }

private:
    F f_;
};

// What was put in equals what was taken out and what is left.
struct books {
    int in = 0;
    int out = 0;
};

// An error of the program itself.
class failed : public error {
public:
    failed() : error("failed") {}
};

struct scenario {
    const char* name;
    task<> (*run)();
};

std::vector<scenario> core_scenarios();
std::vector<scenario> flow_scenarios();
std::vector<scenario> sync_scenarios();

} // namespace eddy_test::sweeps
