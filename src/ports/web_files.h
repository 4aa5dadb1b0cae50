// The supervisor's page, carried inside the program.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nudge {

struct WebFile {
  std::string_view path;
  std::string_view content_type;
  std::span<const std::uint8_t> bytes;
  std::string_view etag;
};
std::span<const WebFile> web_files();

}  // namespace nudge
