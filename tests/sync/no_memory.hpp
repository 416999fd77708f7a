// While one of these lives, operator new finds no memory in this program.
#pragma once

namespace eddy_test {

struct no_memory {
    no_memory() noexcept;
    no_memory(const no_memory&) = delete;
    ~no_memory();
};

} // namespace eddy_test
