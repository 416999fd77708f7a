// Every primitive, in small programs, each cancelled at each await, at each pair of awaits, before each step of the
// loop, with the time running out at each await, in other orders, and with each allocation failing.
#include "sweep/scenarios.hpp"

#include <eddy/testing/sweep.hpp>

#include <support/check.hpp>

#include <algorithm>
#include <set>

using namespace eddy_test::sweeps;

namespace {

std::set<std::string> sites;
std::size_t all_runs = 0;
std::size_t all_scenarios = 0;

void check_accounts() {
    const accounts a = std::exchange(accounts::now(), accounts());
    if (!a.wrong.empty()) throw std::runtime_error(a.wrong);
    if (a.open != 0) throw std::runtime_error(std::to_string(a.open) + " resources are still held");
}

// Not where memory fails: the frame of a clean-up has to be made like any other.
void check_closed() {
    if (accounts::now().unclosed != 0) complain("a resource was not closed");
    check_accounts();
}

void sweep(const scenario& s) {
    CAPTURE(s.name);
    ++all_scenarios;
    const auto own = [](const std::exception_ptr& e) { return eddy_test::holds<failed>(e); };
    const auto options = testing::sweep_options().after(check_accounts).accept(own);
    const auto everything =
        testing::sweep_options(options).after(check_closed).pairs(true).timeouts(true).steps(true).orders(true);
    try {
        const auto cancelled = testing::cancel_sweep(s.run, everything);
        const auto failed = testing::fail_sweep(s.run, options);
        CHECK(cancelled.awaits > 0);
        CHECK(cancelled.runs > cancelled.awaits);
        CHECK(failed.allocations > 0);
        sites.insert(cancelled.sites.begin(), cancelled.sites.end());
        all_runs += cancelled.runs + failed.runs;
    } catch (const testing::sweep_failure& e) {
        accounts::now() = accounts();
        const std::string text = e.what();
        FAIL_CHECK(std::string(s.name), ": ", text);
    }
}

} // namespace

TEST_CASE("X-1 the primitives: whatever is cancelled or fails, nothing is lost, held or left") {
    for (const scenario& s : sync_scenarios())
        sweep(s);
}

TEST_CASE("scopes, groups and combinators: whatever is cancelled or fails, nothing is lost, held or left") {
    for (const scenario& s : flow_scenarios())
        sweep(s);
}

TEST_CASE("tasks, promises, offloaded calls and work in bulk: whatever is cancelled or fails, nothing is left") {
    for (const scenario& s : core_scenarios())
        sweep(s);
}

TEST_CASE("the sweeps have come by every kind of await") {
    const std::set<std::string> all = {
        "checkpoint",        "event.wait", "mutex.lock",     "offload",   "offload_abandon", "promise",
        "queue.get",         "queue.join", "queue.next",     "queue.put", "queue.take",      "rate_limiter.acquire",
        "semaphore.acquire", "sleep",      "sleep for ever", "task",      "thread_promise",  "yield"};
    CHECK(sites == all);
    CHECK(all_scenarios >= 60);
    MESSAGE(all_scenarios, " scenarios, ", all_runs, " runs");
}
