#include <eddy/bulk/for_each.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/queue.hpp>

#include "bulk/support.hpp"
#include "support/run.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>

using namespace eddy_test;
using namespace std::chrono_literals;
using eddy::for_each;
using eddy::for_each_options;
using eddy::for_each_result;
using eddy::on_error;
using eddy::spawn;
using eddy::task;

namespace {

for_each_options at_most(std::size_t n, on_error e = on_error::stop) {
    return for_each_options().concurrency(n).on_error(e);
}

// An asynchronous source: 1, 2, … up to `last` (0: endless), each after a while.
class ticker {
public:
    explicit ticker(int last, eddy::duration each = 1s) : last_(last), each_(each) {}
    task<std::optional<int>> next() {
        if (each_ > 0s) co_await eddy::sleep(each_);
        if (last_ != 0 && given == last_) co_return std::nullopt;
        co_return ++given;
    }
    int given = 0;

private:
    int last_;
    eddy::duration each_;
};

} // namespace

TEST_CASE("all items run, in order of the source, never more than asked for at a time") {
    for (const std::size_t n : {1u, 2u, 7u, 100u}) {
        CAPTURE(n);
        eddy_test::run([n]() -> task<void> {
            std::size_t running = 0;
            std::size_t most = 0;
            std::vector<int> started;
            auto op = for_each(
                std::views::iota(0, 20),
                [&](int i) -> task<void> {
                    started.push_back(i);
                    most = std::max(most, ++running);
                    co_await eddy::sleep(std::chrono::milliseconds(1 + i * 7 % 5));
                    --running;
                },
                at_most(n));
            for_each_result r = co_await op;
            CHECK(r.succeeded == 20);
            CHECK(r.failed == 0);
            CHECK(most == std::min<std::size_t>(n, 20));
            CHECK(std::is_sorted(started.begin(), started.end()));
            CHECK(started.size() == 20);
        });
    }
}

TEST_CASE("a free place is filled at once, not when a batch is through") {
    eddy_test::run([]() -> task<void> {
        // One slow item and nine fast ones on two places: 10 s, not 10 s and more.
        auto f = [](int i) -> task<void> {
            const auto time = i == 0 ? 10s : 1s;
            co_await eddy::sleep(time);
        };
        co_await for_each(std::views::iota(0, 10), f, at_most(2));
        CHECK(since_start() == 10s);
    });
}

TEST_CASE("an empty source is done at once") {
    eddy_test::run([]() -> task<void> {
        auto f = [](int) -> task<void> { throw std::runtime_error("never"); };
        for_each_result r = co_await for_each(std::vector<int>(), f);
        CHECK(r.succeeded == 0);
        ticker t(1, 0s);
        t.given = 1;
        r = co_await for_each(t, f);
        CHECK(r.succeeded + r.failed == 0);
    });
}

TEST_CASE("an endless range is read lazily: no more items alive than places") {
    CHECK(counted::alive() == 0);
    eddy_test::run([]() -> task<void> {
        int made = 0;
        int most = 0;
        auto make = [&](int i) {
            ++made;
            return counted(i);
        };
        auto f = [&](counted c) -> task<void> {
            most = std::max(most, counted::alive());
            co_await eddy::sleep(1s);
            if (c.value == 5000) throw std::runtime_error("enough");
        };
        CHECK_THROWS_WITH(co_await for_each(std::views::iota(1) | std::views::transform(make), f, at_most(4)),
                          "enough");
        CHECK(made >= 5000);
        CHECK(made < 5000 + 4);
        CHECK(most <= 2 * 4); // each in its task and as the argument of f
        CHECK(counted::alive() == 0);
    });
}

TEST_CASE("an item is gone before the next is made") {
    eddy_test::run([]() -> task<void> {
        int most = 0;
        auto make = [&](int i) {
            CHECK(counted::alive() == 0);
            return counted(i);
        };
        auto f = [&](counted&& c) -> task<void> {
            most = std::max(most, counted::alive());
            const auto time = std::chrono::seconds(c.value % 2);
            co_await eddy::sleep(time);
        };
        co_await for_each(std::views::iota(0, 10) | std::views::transform(make), f, at_most(1));
        CHECK(most == 1);
    });
}

TEST_CASE("lvalues are used where they are, rvalues are moved in and given away") {
    eddy_test::run([]() -> task<void> {
        std::vector<std::string> mine{"a", "b", "c"};
        co_await for_each(mine, [](std::string& s) -> task<void> {
            co_await eddy::yield();
            s += "!";
        });
        CHECK(mine == std::vector<std::string>{"a!", "b!", "c!"});
        const std::list<int> fixed{1, 2, 3};
        int sum = 0;
        co_await for_each(fixed, [&](const int& i) -> task<void> {
            co_await eddy::yield();
            sum += i;
        });
        CHECK(sum == 6);
        std::vector<std::unique_ptr<int>> owners;
        for (int i = 0; i < 3; ++i)
            owners.push_back(std::make_unique<int>(i));
        co_await for_each(std::move(owners), [&](std::unique_ptr<int> p) -> task<void> {
            co_await eddy::yield();
            sum += *p * 10;
        });
        CHECK(sum == 36);
        // By reference works for them as well: the elements live until the end.
        std::vector<std::string> xy{"x", "y"};
        co_await for_each(std::move(xy), [&](const std::string& s) -> task<void> {
            co_await eddy::sleep(1s);
            mine.push_back(s);
        });
        CHECK(mine.back() == "y");
        std::map<int, std::string> named{{1, "one"}};
        co_await for_each(std::move(named), [&](std::pair<const int, std::string> p) -> task<void> {
            mine.push_back(p.second);
            co_return;
        });
        CHECK(mine.back() == "one");
    });
}

TEST_CASE("an input range, whose items are gone with the next step, is copied from") {
    eddy_test::run([]() -> task<void> {
        std::istringstream in("seven words in a row from here");
        std::vector<std::string> words;
        auto f = [&](const std::string& w) -> task<void> {
            co_await eddy::sleep(1s);
            words.push_back(w);
        };
        co_await for_each(std::views::istream<std::string>(in), f, at_most(3));
        CHECK(words == std::vector<std::string>{"seven", "words", "in", "a", "row", "from", "here"});
        std::vector<bool> bits{true, false, true};
        int set = 0;
        co_await for_each(bits, [&](bool b) -> task<void> {
            set += b;
            co_return;
        });
        CHECK(set == 2);
    });
}

TEST_CASE("a source that is waited for: the next item is asked for when there is a place") {
    eddy_test::run([]() -> task<void> {
        ticker t(6);
        std::vector<std::pair<int, eddy::duration>> started;
        auto f = [&](int i) -> task<void> {
            started.emplace_back(i, since_start());
            co_await eddy::sleep(5s);
        };
        for_each_result r = co_await for_each(t, f, at_most(2));
        CHECK(r.succeeded == 6);
        CHECK(started ==
              std::vector<std::pair<int, eddy::duration>>{{1, 1s}, {2, 2s}, {3, 7s}, {4, 8s}, {5, 13s}, {6, 14s}});
        CHECK(since_start() == 19s);
        r = co_await for_each(ticker(3), [](int) -> task<void> { co_return; }); // taken by value
        CHECK(r.succeeded == 3);
    });
}

TEST_CASE("a queue is a source, and its producer is held back") {
    eddy_test::run([]() -> task<void> {
        eddy::queue<int> q(2);
        int put = 0;
        auto producer = spawn([&]() -> task<void> {
            for (; put < 50; ++put)
                co_await q.put(put);
            q.close();
        });
        int seen = 0;
        for_each_result r = co_await for_each(
            q,
            [&](int i) -> task<void> {
                CHECK(i == seen++);
                CHECK(put <= seen + 3 + 2 + 1);
                co_await eddy::sleep(1s);
            },
            at_most(3));
        CHECK(r.succeeded == 50);
        co_await producer;
    });
}

TEST_CASE("stop: the first failure cancels the rest, joins it, and is thrown as itself") {
    eddy_test::run([]() -> task<void> {
        int cancelled = 0;
        int started = 0;
        int cleaned = 0;
        auto f = [&](int i) -> task<void> {
            ++started;
            if (i == 3) {
                co_await eddy::sleep(1s);
                throw std::out_of_range("three");
            }
            try {
                co_await eddy::sleep(1h);
            } catch (const eddy::cancelled& c) {
                CHECK(c.reason().kind() == eddy::cancel_kind::sibling_failed);
                ++cancelled;
            }
            co_await eddy::shield(eddy::sleep(2s));
            ++cleaned;
        };
        CHECK_THROWS_AS(co_await for_each(std::views::iota(0), f, at_most(5)), std::out_of_range);
        CHECK(started == 5);
        CHECK(cancelled == 4);
        CHECK(cleaned == 4);
        CHECK(since_start() == 3s);
    });
}

TEST_CASE("stop: a failure while the source is waited for ends the waiting") {
    eddy_test::run([]() -> task<void> {
        eddy::queue<int> q;
        CHECK(q.try_put(1));
        auto f = [](int) -> task<void> {
            co_await eddy::sleep(1s);
            throw std::runtime_error("one");
        };
        CHECK_THROWS_WITH(co_await for_each(q, f), "one");
        CHECK(since_start() == 1s);
        CHECK(q.statistics().getters == 0);
        CHECK(q.try_put(2)); // still usable, and nothing lost
        auto two = co_await q.next();
        CHECK(two == 2);
    });
}

TEST_CASE("collect: all run, and the failures come with their places") {
    eddy_test::run([]() -> task<void> {
        std::vector<std::size_t> progress;
        auto f = [](int i) -> task<int> {
            co_await eddy::sleep(std::chrono::seconds(10 - i));
            if (i % 3 == 0) throw std::runtime_error(std::to_string(i));
            co_return i;
        };
        for_each_result r =
            co_await for_each(std::views::iota(0, 10), f,
                              at_most(20, on_error::collect).progress([&](std::size_t n) { progress.push_back(n); }));
        CHECK(r.succeeded == 6);
        CHECK(r.failed == 4);
        std::vector<std::size_t> places;
        for (const auto& x : r.failures) {
            places.push_back(x.index);
            CHECK(text_of(x.error) == std::to_string(x.index));
        }
        CHECK(places == std::vector<std::size_t>{9, 6, 3, 0}); // as they happened
        CHECK(progress == std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    });
}

TEST_CASE("skip: all run, failures are told at once and counted") {
    std::vector<std::string> told;
    eddy_test::run([&]() -> task<void> {
        eddy::loop::current().set_exception_handler([&](const eddy::error_context& c) {
            told.push_back(std::string(c.message) + ": " + text_of(c.exception));
        });
        std::size_t last = 0;
        auto f = [&](int i) -> task<void> {
            co_await eddy::yield();
            if (i == 2) throw std::runtime_error("two");
            if (i == 5) CHECK(told.size() == 1);
        };
        for_each_result r = co_await for_each(std::views::iota(0, 6), f,
                                              at_most(1, on_error::skip).progress([&](std::size_t n) { last = n; }));
        CHECK(r.succeeded == 5);
        CHECK(r.failed == 1);
        CHECK(r.failures.empty());
        CHECK(last == 6);
    });
    CHECK(told == std::vector<std::string>{"an item of a for_each failed: two"});
}

TEST_CASE("a function that throws before it gives a task has failed for that item only") {
    eddy_test::run([]() -> task<void> {
        auto f = [](int i) -> task<void> {
            if (i == 1) throw std::runtime_error("no task");
            return []() -> task<void> { co_return; }();
        };
        for_each_result r = co_await for_each(std::views::iota(0, 3), f, at_most(2, on_error::collect));
        CHECK(r.succeeded == 2);
        CHECK(r.failed == 1);
    });
}

TEST_CASE("any awaitable will do for an item") {
    eddy_test::run([]() -> task<void> {
        co_await for_each(std::views::iota(1, 4), [](int i) { return eddy::sleep(std::chrono::seconds(i)); });
        CHECK(since_start() == 3s);
    });
}

TEST_CASE("a source or a progress function that throws ends it, with the items joined") {
    for (const on_error e : {on_error::stop, on_error::collect, on_error::skip})
        eddy_test::run([e]() -> task<void> {
            int ended = 0;
            auto f = [&](int i) -> task<void> {
                try {
                    const eddy::duration time = i == 0 ? 1s : 1h;
                    co_await eddy::sleep(time);
                } catch (const eddy::cancelled&) {
                    ++ended;
                    throw;
                }
            };
            auto broken = [](int i) {
                if (i == 3) throw std::runtime_error("no more");
                return i;
            };
            CHECK_THROWS_WITH(co_await for_each(std::views::iota(0) | std::views::transform(broken), f, at_most(3, e)),
                              "no more");
            CHECK(ended == 2);
            auto quick = [](int) -> task<void> { co_return; };
            CHECK_THROWS_WITH(co_await for_each(std::views::iota(0), quick, at_most(2, e).progress([](std::size_t) {
                                  throw std::runtime_error("progress");
                              })),
                              "progress");
        });
}

TEST_CASE("cancelled in every phase, it joins its items and throws cancelled; they don't count as failures") {
    // Cut off after each tenth of a second of a run that has items at rest, at work and at their end.
    for (int tenths = 0; tenths < 75; ++tenths) {
        CAPTURE(tenths);
        for (const on_error e : {on_error::stop, on_error::collect, on_error::skip}) {
            eddy_test::run([&]() -> task<void> {
                ticker source(6, 300ms);
                int entered = 0;
                int left = 0;
                int failures = 0;
                eddy::loop::current().set_exception_handler([&](const eddy::error_context&) { ++failures; });
                auto f = [&](int) -> task<void> {
                    ++entered;
                    struct on_exit {
                        int& n;
                        ~on_exit() { ++n; }
                    } guard{left};
                    co_await eddy::sleep(1s);
                    co_await eddy::yield();
                };
                std::size_t done = 0;
                auto work = for_each(source, f, at_most(2, e).progress([&](std::size_t n) { done = n; }));
                bool finished = co_await eddy::move_on_after(std::chrono::milliseconds(100 * tenths),
                                                             std::move(work)) != std::nullopt;
                CHECK(entered == left);
                CHECK(failures == 0);
                CHECK(done <= static_cast<std::size_t>(entered));
                CHECK(finished == (done == 6 && since_start() < std::chrono::milliseconds(100 * tenths)));
                CHECK(since_start() <= std::chrono::milliseconds(100 * tenths));
            });
        }
    }
}

TEST_CASE("an item that was spawned and cancelled before its first step never calls the function") {
    eddy_test::run([]() -> task<void> {
        int called = 0;
        auto f = [&](int) -> task<void> {
            ++called;
            co_return;
        };
        auto t = spawn([&]() -> task<void> { co_await for_each(std::views::iota(0), f, at_most(3)); });
        eddy::loop::current().call_soon([t]() mutable { t.cancel(); }); // after t's first step, before its children's
        co_await eddy::sleep(1s);
        CHECK(t.was_cancelled());
        CHECK(called == 0);
    });
}

TEST_CASE("frames that are destroyed in the middle leave nothing behind") {
    {
        eddy::testing::virtual_loop l;
        l.run([]() -> task<void> {
            spawn([]() -> task<void> {
                auto f = [](counted) -> task<void> {
                    while (true)
                        try {
                            co_await eddy::sleep(1h);
                        } catch (const eddy::cancelled&) {
                            break;
                        }
                };
                co_await for_each(std::views::iota(0) | std::views::transform([](int i) { return counted(i); }), f);
            });
            co_await eddy::sleep(1s);
            CHECK(counted::alive() >= 16);
        }());
    }
    CHECK(counted::alive() == 0);
}

TEST_CASE("options that make no sense are named, and an operation is awaited once") {
    CHECK(refusal([] { for_each_options().concurrency(0); }).find("concurrency(0)") != std::string::npos);
    CHECK(for_each_options().concurrency(std::size_t(-1)).concurrency() > 0);
    eddy_test::run([]() -> task<void> {
        auto f = [](int) -> task<void> { co_return; };
        auto op = for_each(std::views::iota(0, 5), f, at_most(std::size_t(-1)));
        co_await op;
        CHECK_THROWS_AS(co_await op, std::logic_error);
    });
}

TEST_CASE("a hundred thousand items of an endless source take no more memory than four") {
    eddy_test::run([]() -> task<void> {
        std::size_t most = 0;
        std::size_t done = 0;
        auto f = [&](int i) -> task<void> {
            if (i % 1000 == 0) most = std::max(most, eddy::loop::current().statistics().bytes);
            if (i == 100'000) throw std::runtime_error("enough");
            ++done;
            co_return;
        };
        CHECK_THROWS_AS(co_await for_each(std::views::iota(0), f, at_most(4)), std::runtime_error);
        CHECK(done >= 100'000);
        CHECK(most < 16'384);
    });
}
