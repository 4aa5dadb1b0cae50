// The report of a nightly training as a page for people: HTML with its style and its plots (SVG)
// inside, and no script. It loads nothing, and may be sent to others.
#pragma once

#include <string>

#include "src/loop/nightly_result.h"

namespace nudge {

// `written`: when, for its heading. Whatever comes from the log is escaped. Pure.
std::string nightly_page(const NightlyResult& result, const std::string& written);

}  // namespace nudge
