// The supervisor's page: the files of web/, built and compiled into the program.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nudge {

struct WebFile {
  std::string_view path;          // as requested: "/page.js"; "/" asks for "/index.html"
  std::string_view content_type;  // "text/javascript; charset=utf-8"
  std::span<const std::uint8_t> bytes;
  std::string_view etag;  // quoted, of the bytes: "\"3f0a...\""
};

// Every file, sorted by path; empty in a build with NUDGE_WITH_WEB=OFF. Lives as long as the
// program.
std::span<const WebFile> web_files();

}  // namespace nudge
