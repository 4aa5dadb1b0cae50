// One path and method of the REST surface.
#pragma once

#include <string_view>
#include <vector>

namespace nudge {

struct Route {
  std::string_view method, path;  // a segment in braces, "{id}", stands for any that is not empty
  bool needs_token = true;
};

// What stands between the slashes; a leading slash has an empty part before it. Views of `path`.
std::vector<std::string_view> parts_of(std::string_view path);

// Whether a request's path is one that the route means.
bool matches(std::string_view route, std::string_view path);

}  // namespace nudge
