#include <eddy/flow/generator.hpp>

#include <cstdio>
#include <string>

namespace eddy::detail {

void throw_generator_busy(const char* what) {
    throw std::logic_error(std::string("eddy: ") + what + " while another next() of the generator is in progress");
}

void tell_generator_in_use(const std::source_location& at) noexcept {
    std::fprintf(stderr,
                 "eddy: a generator was destroyed while its next() was awaited (it stands at %s:%u); it goes on to its "
                 "next value and ends there\n",
                 at.file_name(), static_cast<unsigned>(at.line()));
}

} // namespace eddy::detail
