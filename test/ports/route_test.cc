#include "src/ports/route.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(Route, StandsForThePathsThatFitIt) {
  EXPECT_TRUE(matches("/a/{id}/b", "/a/d-1/b"));
  for (const char* path : {"/a//b", "/a/b", "/a/x/y/b", "/a/x/b/", "/a/x/c"}) {
    EXPECT_FALSE(matches("/a/{id}/b", path)) << path;
  }
  EXPECT_TRUE(matches("/a", "/a"));
  EXPECT_FALSE(matches("/a", "/a/"));
}

TEST(Route, TakesAnySegmentForEachOfItsNames) {
  EXPECT_TRUE(matches("/e/{id}/f/{camera}/{step}", "/e/7/f/front/12"));
  EXPECT_FALSE(matches("/e/{id}/f/{camera}/{step}", "/e/7/f/front"));
  EXPECT_FALSE(matches("/e/{id}/f/{camera}/{step}", "/e/7/f//12"));
  EXPECT_FALSE(matches("/e/{id}/f/{camera}/{step}", "/e/7/g/front/12"));
}

}  // namespace
}  // namespace nudge
