#include <eddy/engine/mailbox.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

using eddy::engine::mail;
using eddy::engine::mailbox;

namespace {

struct letter : mail {
    explicit letter(std::vector<int>& log, int n = 0) : seen(&log), number(n) {
        deliver = [](mail& m) noexcept {
            auto& self = static_cast<letter&>(m);
            self.seen->push_back(self.number);
            if (self.again != nullptr) {
                mailbox* box = std::exchange(self.again, nullptr);
                box->post(self);
            }
        };
        discard = [](mail& m) noexcept {
            auto& self = static_cast<letter&>(m);
            self.seen->push_back(-self.number);
        };
    }
    std::vector<int>* seen;
    int number;
    mailbox* again = nullptr;
};

struct bell {
    std::atomic<int> rings{0};
    [[nodiscard]] mailbox::bell get() noexcept {
        return {this, [](void* user) noexcept { ++static_cast<bell*>(user)->rings; }};
    }
};

} // namespace

TEST_CASE("LP-13 mail is delivered in the order of posting, and the bell rings for the first of a box") {
    mailbox box;
    bell b;
    std::vector<int> log;
    letter one(log, 1);
    letter two(log, 2);
    letter three(log, 3);
    CHECK_FALSE(box.post(one)); // not open yet
    CHECK(box.closed());
    box.open(b.get());
    CHECK_FALSE(box.closed());
    CHECK_FALSE(box.has_mail());
    CHECK(box.post(one));
    CHECK(box.post(two));
    CHECK(b.rings == 1);
    CHECK(box.has_mail());
    box.deliver();
    CHECK(log == std::vector<int>{1, 2});
    CHECK_FALSE(box.has_mail());
    CHECK(box.post(three));
    CHECK(b.rings == 2);
    box.deliver();
    box.deliver();
    CHECK(log == std::vector<int>{1, 2, 3});
    box.close();
}

TEST_CASE("a node may be posted again while it is delivered; it comes with the next delivery") {
    mailbox box;
    bell b;
    std::vector<int> log;
    letter one(log, 1);
    letter two(log, 2);
    box.open(b.get());
    one.again = &box;
    box.post(one);
    box.post(two);
    box.deliver();
    CHECK(log == std::vector<int>{1, 2});
    CHECK(box.has_mail());
    CHECK(b.rings == 2);
    box.deliver();
    CHECK(log == std::vector<int>{1, 2, 1});
    box.close();
}

TEST_CASE("delivering may destroy the node") {
    mailbox box;
    bell b;
    box.open(b.get());
    struct heap_letter : mail {};
    for (int i = 0; i < 3; ++i) {
        auto* m = new heap_letter;
        m->deliver = [](mail& x) noexcept { delete static_cast<heap_letter*>(&x); };
        m->discard = m->deliver;
        REQUIRE(box.post(*m));
        if (i == 1) box.deliver();
    }
    box.close();
}

TEST_CASE("LP-16 a closed box refuses, rings no more, and discards what it held") {
    mailbox box;
    bell b;
    std::vector<int> log;
    letter one(log, 1);
    letter two(log, 2);
    mail silent; // discard is optional
    box.open(b.get());
    box.post(one);
    box.post(two);
    box.post(silent);
    box.close();
    CHECK(log == std::vector<int>{-1, -2});
    CHECK(box.closed());
    CHECK_FALSE(box.has_mail());
    CHECK_FALSE(box.post(one));
    box.ring();
    CHECK(b.rings == 1);
    box.close();
    box.deliver();
    CHECK(log.size() == 2);
}

TEST_CASE("LP-17 a box that refuses still delivers what it has accepted") {
    mailbox box;
    bell b;
    std::vector<int> log;
    letter one(log, 1);
    letter two(log, 2);
    box.open(b.get());
    CHECK(box.post(one));
    box.refuse();
    CHECK_FALSE(box.post(two));
    CHECK(box.closed());
    CHECK(box.has_mail());
    box.deliver();
    box.close();
    CHECK(log == std::vector<int>{1});
}

TEST_CASE("holds are counted, and the last one rings so that the loop looks again") {
    mailbox box;
    bell b;
    box.open(b.get());
    CHECK(box.holds() == 0);
    box.hold();
    box.hold();
    CHECK(box.holds() == 2);
    box.let_go();
    CHECK(b.rings == 0);
    box.let_go();
    CHECK(box.holds() == 0);
    CHECK(b.rings == 1);
    box.hold();
    box.close();
    box.let_go(); // after the end: no bell
    CHECK(b.rings == 1);
}

TEST_CASE("LP-14 posts of many threads are delivered once each, in the order of each thread") {
    constexpr int threads = 4;
    constexpr int each = 20'000;
    mailbox box;
    bell b;
    box.open(b.get());
    struct numbered : mail {
        std::vector<int>* last = nullptr;
        std::atomic<int>* wrong = nullptr;
        int thread = 0;
        int number = 0;
    };
    std::vector<int> last(threads, -1);
    std::atomic<int> wrong{0};
    std::vector<std::unique_ptr<numbered[]>> mails;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t) {
        mails.push_back(std::make_unique<numbered[]>(each));
        numbered* mine = mails.back().get();
        for (int i = 0; i < each; ++i) {
            mine[i].last = &last;
            mine[i].wrong = &wrong;
            mine[i].thread = t;
            mine[i].number = i;
            mine[i].deliver = [](mail& m) noexcept {
                auto& self = static_cast<numbered&>(m);
                int& before = (*self.last)[static_cast<std::size_t>(self.thread)];
                if (before + 1 != self.number) ++*self.wrong;
                before = self.number;
            };
        }
        posters.emplace_back([&box, mine] {
            for (int i = 0; i < each; ++i)
                box.post(mine[i]);
        });
    }
    const auto all_there = [&last] {
        for (const int n : last)
            if (n != each - 1) return false;
        return true;
    };
    int rings_seen = 0;
    while (!all_there()) {
        // As a loop does: sleep until the bell has rung.
        while (b.rings.load() == rings_seen)
            std::this_thread::yield();
        rings_seen = b.rings.load();
        box.deliver();
    }
    for (auto& t : posters)
        t.join();
    CHECK(wrong == 0);
    CHECK_FALSE(box.has_mail());
    box.close();
}

TEST_CASE("LP-16 closing while others post: each post is delivered, discarded or refused, once") {
    for (int round = 0; round < 50; ++round) {
        auto box = std::make_shared<mailbox>();
        bell b;
        box->open(b.get());
        struct counted_mail : mail {
            std::atomic<int> told{0};
        };
        constexpr int each = 100;
        std::vector<counted_mail> mails(3 * each);
        for (auto& m : mails) {
            m.deliver = [](mail& x) noexcept { ++static_cast<counted_mail&>(x).told; };
            m.discard = m.deliver;
        }
        std::vector<std::thread> posters;
        for (std::size_t t = 0; t < 3; ++t)
            posters.emplace_back([&mails, t, box] {
                for (std::size_t i = t * each; i < (t + 1) * each; ++i)
                    if (!box->post(mails[i])) ++mails[i].told;
            });
        box->deliver();
        box->close();
        for (auto& t : posters)
            t.join();
        int wrong = 0;
        for (auto& m : mails)
            wrong += m.told != 1;
        REQUIRE(wrong == 0);
    }
}
