// Whether bytes are text that every reader can be given.
#pragma once

#include <string_view>

namespace nudge {

// Well-formed UTF-8 by table 3-7 of the Unicode standard: shortest form only, no surrogates,
// nothing above U+10FFFF. Pure.
bool is_utf8(std::string_view text);

}  // namespace nudge
