#include "nudge/utf8.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(Utf8, TakesEveryLengthOfCharacter) {
  for (const std::string_view text :
       {"", "mug", "T\u00fcr", "\u20ac", "\U0001f916", "\x7f", "\xc2\x80", "\xdf\xbf",
        "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
}

TEST(Utf8, RefusesCharactersThatAreCutOff) {
  for (const std::string_view text : {"\xc3", "\xe2\x82", "\xf0\x9f\xa4", "a\xe2\x82z"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Utf8, RefusesLongFormsSurrogatesAndWhatLiesBeyondUnicode) {
  for (const std::string_view text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xff"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(ForTerminal, LeavesTextAsItIs) {
  for (const std::string_view text : {"", "mug\n\ta \"b\"", "T\u00fcr", "\U0001f916"}) {
    EXPECT_EQ(for_terminal(text), text);
  }
}

TEST(ForTerminal, WritesBytesThatAreNoTextAsTheirNumbers) {
  EXPECT_EQ(for_terminal("kind \x93\xff z"), "kind \\x93\\xff z");
  EXPECT_EQ(for_terminal("\xe2\x82"), "\\xe2\\x82");
}

TEST(ForTerminal, LetsNoControlCharacterReachATerminal) {
  EXPECT_EQ(for_terminal("\x1b[2J\x7f\r"), "\\x1b[2J\\x7f\\x0d");
  EXPECT_EQ(for_terminal(std::string_view("a\0b", 3)), "a\\x00b");
}

}  // namespace
}  // namespace nudge
