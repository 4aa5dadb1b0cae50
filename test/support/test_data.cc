#include "test/support/test_data.h"

namespace nudge::test {

std::string test_data() { return NUDGE_TEST_DATA; }

}  // namespace nudge::test
