// Whether bytes are text that every reader can be given.
#pragma once

#include <string>
#include <string_view>

namespace nudge {

// Well-formed UTF-8 by table 3-7 of the Unicode standard: shortest form only, no surrogates,
// nothing above U+10FFFF. Pure.
bool is_utf8(std::string_view text);

// For a terminal: bytes that are not well-formed UTF-8, and control characters other than line feed
// and tab, are written as \xNN. What a damaged file holds may end up in a message. Pure.
std::string for_terminal(std::string_view text);

}  // namespace nudge
