#include <eddy/sync/once_value.hpp>

namespace eddy::detail {

void throw_once_gone() {
    throw object_destroyed("eddy: once_value.get_or_init: the once_value was destroyed while its value was being made");
}

} // namespace eddy::detail
