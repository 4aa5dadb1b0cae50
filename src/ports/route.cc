#include "src/ports/route.h"

#include <algorithm>

namespace nudge {

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at != std::string_view::npos;) {
    const std::size_t slash = path.find('/', at);
    parts.push_back(path.substr(at, slash == std::string_view::npos ? slash : slash - at));
    at = slash == std::string_view::npos ? slash : slash + 1;
  }
  return parts;
}

bool matches(std::string_view route, std::string_view path) {
  if (route.find('{') == std::string_view::npos) return route == path;
  const auto wanted = parts_of(route), given = parts_of(path);
  return std::equal(wanted.begin(), wanted.end(), given.begin(), given.end(),
                    [](std::string_view want, std::string_view have) {
                      return want == have || (want.starts_with('{') && !have.empty());
                    });
}

}  // namespace nudge
