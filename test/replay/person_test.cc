#include "replay/person.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(Person, IsTheSameThroughWhateverConnection) {
  for (const char* name : {"anna", "anna#3", "anna#t2", "anna#d-0123456789abcdef"}) {
    EXPECT_EQ(person_of(name), "anna") << name;
  }
  EXPECT_EQ(person_of("anna#2#14"), "anna#2") << "a # of the person's own";
  EXPECT_EQ(person_of("#1"), "");
  EXPECT_EQ(person_of(""), "");
}

}  // namespace
}  // namespace nudge
