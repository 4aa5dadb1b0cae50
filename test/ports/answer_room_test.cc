#include "src/ports/answer_room.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(AnswerRoom, BoundsWhatWaitsForOneCallerAndForAll) {
  AnswerRoom room(100, 60);
  const auto first = room.take("anna", 60);
  ASSERT_TRUE(first);
  EXPECT_FALSE(room.take("anna", 1));
  EXPECT_FALSE(room.take("ben", 41));
  const auto second = room.take("ben", 40);
  EXPECT_TRUE(second);
  EXPECT_FALSE(room.take("eva", 1));
}

TEST(AnswerRoom, HasNoPlaceForWhatIsLargerThanABound) {
  AnswerRoom room(100, 60);
  EXPECT_FALSE(room.take("anna", 61));
  EXPECT_FALSE(AnswerRoom(10, 60).take("anna", 11));
}

TEST(AnswerRoom, IsGivenBackWithThePlaceOnceHoweverItMoves) {
  AnswerRoom room(100, 100);
  AnswerRoom::Place kept;
  {
    auto taken = room.take("anna", 100);
    ASSERT_TRUE(taken);
    kept = *std::move(taken);
  }
  EXPECT_FALSE(room.take("anna", 1));
  kept = {};
  EXPECT_TRUE(room.take("anna", 100));
}

TEST(AnswerRoom, MayGoBeforeItsPlaces) {
  auto room = std::make_unique<AnswerRoom>(100, 100);
  const auto place = room->take("anna", 50);
  room.reset();
  EXPECT_TRUE(place);
}

}  // namespace
}  // namespace nudge
