#include <eddy/io/serialize.hpp>

namespace eddy {

void byte_writer::bytes(std::span<const std::byte> b) { to_->insert(to_->end(), b.begin(), b.end()); }

std::size_t byte_reader::length() {
    const auto n = get<std::uint64_t>();
    if (n > from_.size())
        throw serialization_error("eddy: a length of " + std::to_string(n) + " where " + std::to_string(from_.size()) +
                                  " bytes are left");
    return static_cast<std::size_t>(n);
}

void byte_reader::finish() const {
    if (!from_.empty())
        throw serialization_error("eddy: " + std::to_string(from_.size()) + " bytes are left behind the value");
}

void byte_reader::too_few(std::size_t wanted) const {
    throw serialization_error("eddy: " + std::to_string(wanted) + " bytes are wanted and " +
                              std::to_string(from_.size()) + " are left");
}

void byte_reader::too_deep() {
    throw serialization_error("eddy: values lie more than " + std::to_string(most_nested) + " deep in one another");
}

void detail::throw_not_a_value(const char* what, std::uint64_t value) {
    throw serialization_error("eddy: " + std::to_string(value) + " is not " + what);
}

} // namespace eddy
