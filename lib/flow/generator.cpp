#include <eddy/flow/generator.hpp>

#include "core/log.hpp"

#include <string>

namespace eddy::detail {

void throw_generator_busy(const char* what) {
    throw std::logic_error(std::string("eddy: ") + what + " while another next() of the generator is in progress");
}

void tell_generator_in_use(const std::source_location& at) noexcept {
    log_as(log_level::misuse,
           "a generator was destroyed while its next() was awaited (it stands at %s:%u); it goes on to its next value "
           "and ends there",
           at.file_name(), static_cast<unsigned>(at.line()));
}

} // namespace eddy::detail
