// The program of a user: compiled against the installed tree in each of the ways that are documented.
#include <eddy/eddy.hpp>

#include <chrono>
#include <cstdio>

eddy::task<int> answer() {
    co_await eddy::sleep(std::chrono::milliseconds(1));
    co_return 42;
}

int main() {
    const int result = eddy::run(answer());
    std::printf("%d\n", result);
    return result == 42 ? 0 : 1;
}
