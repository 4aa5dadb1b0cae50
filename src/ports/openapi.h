// The REST surface, described for machines.
#pragma once

#include <string_view>

namespace nudge {

// OpenAPI 3.1, from src/ports/openapi.json.
std::string_view openapi_json();

}  // namespace nudge
