#include "src/ports/phrases.h"

#include <gtest/gtest.h>

#include "test/support/port_samples.h"

namespace nudge {
namespace {

class PhrasesTest : public ::testing::Test {
 protected:
  void say(const std::string& text, WordsUse use = WordsUse::kNudge, const std::string& id = "") {
    events_.id = id;
    phrases_.apply(events_.make(Words{text, use, ""}, 7, 1, {"anna#1", Role::kSupervisor}));
  }
  test::EventMaker events_;
  Phrases phrases_;
};

TEST_F(PhrasesTest, BeginWithABuiltInList) {
  const auto quick = phrases_.quick();
  EXPECT_EQ(quick.size(), kQuickPhrases);
  EXPECT_EQ(quick.front(), "a bit lower");
  EXPECT_TRUE(phrases_.last().empty());
}

TEST_F(PhrasesTest, OfferFirstWhatIsSaidMostAndLately) {
  for (int i = 0; i < 3; ++i) say("2 cm up");
  say("slower", WordsUse::kSpeed);
  EXPECT_EQ(phrases_.quick()[0], "2 cm up");
  EXPECT_EQ(phrases_.quick()[1], "slower");
  for (int i = 0; i < 40; ++i) say(i % 2 == 0 ? "a hair left" : "A hair left.");
  EXPECT_EQ(phrases_.quick()[0], "A hair left.") << "as it was said last";
  EXPECT_EQ(phrases_.quick().size(), kQuickPhrases);
}

TEST_F(PhrasesTest, OfferOnlyWhatMovedTheRobotButRememberAllOfTheNewest) {
  say("put it in the left drawer", WordsUse::kInstruction);
  say("well done", WordsUse::kComment);
  say("stop", WordsUse::kHold);
  say("up down", WordsUse::kNotUnderstood);
  EXPECT_EQ(phrases_.quick().front(), "a bit lower");
  EXPECT_EQ(phrases_.last(), (std::vector<std::string>{"up down", "stop", "well done",
                                                       "put it in the left drawer"}));
  for (int i = 0; i < 7; ++i) say("2 cm up");
  EXPECT_EQ(phrases_.last().size(), kLastPhrases);
  EXPECT_EQ(phrases_.last().front(), "2 cm up");
}

TEST_F(PhrasesTest, ForgetWhatWasTakenBack) {
  say("2 cm up", WordsUse::kNudge, "w-1");
  say("2 cm down", WordsUse::kNudge, "w-2");
  phrases_.apply(events_.make(WordsUndone{"w-1"}));
  phrases_.apply(events_.make(WordsUndone{"unknown"}));
  EXPECT_EQ(phrases_.quick().front(), "2 cm down");
  for (const std::string& phrase : phrases_.quick()) EXPECT_NE(phrase, "2 cm up");
  EXPECT_EQ(phrases_.last(), (std::vector<std::string>{"2 cm down"}));
}

TEST_F(PhrasesTest, StayBoundedWhateverIsSaid) {
  for (int i = 0; i < 1000; ++i) say("phrase " + std::to_string(i));
  say(std::string(1000, 'a'));
  EXPECT_EQ(phrases_.quick().size(), kQuickPhrases);
  EXPECT_EQ(phrases_.quick().front(), "phrase 999") << "too long to be offered again";
  EXPECT_EQ(phrases_.last().size(), kLastPhrases);
}

}  // namespace
}  // namespace nudge
