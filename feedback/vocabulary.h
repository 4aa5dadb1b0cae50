// The words of a sentence as the vocabulary knows them: what `language.h` reads its meaning from.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace nudge {

// What a phrase may be in a sentence about motion. The numbers that go with them are Direction,
// Amount::Kind, factors, metres or degrees, as the comments say.
enum class Word : std::uint8_t {
  kUnknown,
  kFiller,  // polite, or empty
  kBreak,   // end of a clause: punctuation
  kAnd,
  kThen,
  kStatement,  // "you're": what follows is how things are
  kWish,       // "should be": what follows is how they are to be
  kYou,
  kIt,
  kDeterminer,  // only before a part of the robot
  kPart,
  kVerb,     // of motion, without a direction
  kWay,      // direction: "up", "to the left"
  kMore,     // direction, compared or as a verb: "higher", "raise"
  kQuality,  // "high": a direction in complaints alone
  kRight,    // a direction, and a word for much else
  kBack,     // likewise
  kBackUp,
  kOver,
  kFurther,
  kFar,
  kClose,  // a verb, and a quality
  kLift,   // a motion, and the name of tasks
  kDrop,   // a motion, and letting go
  kTurn,   // about an axis: 0 turn, 1 tilt, 2 roll
  kToo,
  kSo,
  kEnough,
  kNot,
  kNo,
  kSize,  // Amount::Kind
  kNumber,
  kArticle,
  kAndAHalf,
  kUnit,       // in metres
  kShortUnit,  // likewise, only right behind a number
  kInch,       // a unit, and a verb
  kDegrees,
  kPercent,
  kSpeedNoun,
  kHold,
  kWeakHold,  // when it stands alone
  kSlower,    // factor
  kFaster,    // factor
  kSpeed,     // absolute
  kSlow,      // quality, or manner
  kFast,
  kManner,  // "gently": a speed when it stands alone
  kGrip,
  kLetGo,
  kGoBack,
  kChat,
};

// A phrase of the vocabulary, a number, the end of a clause, or a word that nobody knows.
struct Item {
  Word word = Word::kUnknown;
  double value = 0;
  std::size_t words = 1;  // of the sentence that it stands for
};
using Items = std::vector<Item>;

// The longest phrases of the vocabulary, from the left. Any bytes. Pure.
Items items_of(std::string_view sentence);

// Every phrase, sorted; for tests that look for what can go wrong with it.
std::vector<std::string_view> vocabulary();

}  // namespace nudge
