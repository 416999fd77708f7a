// A server-like loop on a background thread, used by a plain program that knows nothing of coroutines.
// (asyncio: a thread that runs loop.run_forever(), and asyncio.run_coroutine_threadsafe)
#include <eddy/eddy.hpp>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

// Answers requests in the order in which they come, one at a time; all its state belongs to the loop.
class word_counter {
public:
    eddy::task<int> count(std::string text) {
        auto turn = co_await busy_.lock();
        co_await eddy::sleep(1ms); // as if it asked somebody else
        if (text.empty()) throw std::invalid_argument("an empty text");
        int words = 1;
        for (char c : text)
            words += c == ' ';
        total_ += words;
        co_return words;
    }
    eddy::task<int> total() { co_return total_; }

private:
    eddy::mutex busy_;
    int total_ = 0;
};

eddy::task<void> heartbeat() {
    while (true)
        co_await eddy::sleep(1s); // until the loop ends
}

int main() {
    word_counter counter;
    eddy::loop_thread background(eddy::loop_thread_options().name("counter"));
    background.submit(heartbeat);

    std::vector<eddy::remote_task<int>> answers;
    for (const char* text : {"one", "one two", "one two three", ""})
        answers.push_back(background.submit(&word_counter::count, std::ref(counter), std::string(text)));
    for (auto& answer : answers) {
        try {
            std::printf("%d words\n", answer.get()); // this thread waits, the loop does not
        } catch (const std::invalid_argument& e) {
            std::printf("refused: %s\n", e.what());
        }
    }
    std::printf("%d in all\n", background.submit(counter.total()).get());
} // the loop cancels its heartbeat, waits for it, and ends
