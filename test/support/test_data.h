// Where the files of test/data lie. Told by one small source, so that no other object depends on
// the folder that it was built in and a compiler cache serves all of them.
#pragma once

#include <string>

namespace nudge::test {

std::string test_data();  // the folder, without a slash at its end

}  // namespace nudge::test
