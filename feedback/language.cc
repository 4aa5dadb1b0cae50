#include "feedback/language.h"

#include <algorithm>

#include "feedback/motion_reading.h"
#include "feedback/vocabulary.h"

namespace nudge {
namespace {

using Kind = Meaning::Kind;
using enum Direction;

bool is_light(Word word) {
  return word == Word::kFiller || word == Word::kChat || word == Word::kNo || word == Word::kAnd ||
         word == Word::kThen || word == Word::kYou || word == Word::kPart || word == Word::kIt ||
         word == Word::kStatement || word == Word::kDeterminer || word == Word::kToo;
}

bool clause_holds(const Item* begin, const Item* end, bool all_known) {
  const Item* first = std::find_if(begin, end, [](const Item& i) { return !is_light(i.word); });
  if (first == end) return false;
  if (first->word == Word::kHold) return true;
  if (first->word == Word::kWeakHold) {
    return std::all_of(first + 1, end,
                       [](const Item& i) { return is_light(i.word) || i.word == Word::kWeakHold; });
  }
  bool negated = false;
  for (const Item* item = begin; item != end; ++item) {
    negated = negated || item->word == Word::kNot;
    if (negated) continue;
    if (item->word == Word::kHold && all_known) return true;
    if (item->word == Word::kEnough && all_known) return true;
    // "Bob, stop" without the comma; but not "the bus stop".
    const bool last = item + 1 == end;
    const bool plain = std::none_of(begin, end, [](const Item& i) {
      return i.word == Word::kDeterminer || i.word == Word::kArticle;
    });
    if (item->word == Word::kHold && last && end - begin <= 2 && plain) return true;
  }
  return false;
}

bool holds(const Items& items, bool all_known) {
  const Item* at = items.data();
  const Item* const end = at + items.size();
  while (at != end) {
    const Item* stop = std::find_if(at, end, [](const Item& i) { return i.word == Word::kBreak; });
    if (clause_holds(at, stop, all_known)) return true;
    at = stop == end ? end : stop + 1;
  }
  // "No!", "Don't!": a plea without words for what.
  bool refusal = false;
  for (const Item& item : items) {
    refusal = refusal || item.word == Word::kNo || item.word == Word::kNot;
    const bool empty = item.word == Word::kNo || item.word == Word::kNot ||
                       item.word == Word::kFiller || item.word == Word::kBreak ||
                       item.word == Word::kIt;
    if (!empty) return false;
  }
  return refusal;
}

}  // namespace

Direction opposite(Direction direction) {
  switch (direction) {
    case kUp: return kDown;
    case kDown: return kUp;
    case kLeft: return Direction::kRight;
    case Direction::kRight: return kLeft;
    case kAway: return kNear;
    case kNear: return kAway;
    case kForward: return Direction::kBack;
    case Direction::kBack: return kForward;
    case kRobotLeft: return kRobotRight;
    case kRobotRight: return kRobotLeft;
    case kTurnLeft: return kTurnRight;
    case kTurnRight: return kTurnLeft;
    case kTiltUp: return kTiltDown;
    case kTiltDown: return kTiltUp;
    case kRollLeft: return kRollRight;
    case kRollRight: return kRollLeft;
    case Direction::kClose: return kOpen;
    case kOpen: return Direction::kClose;
  }
  return direction;
}

bool is_turn(Direction direction) { return direction >= kTurnLeft && direction <= kRollRight; }

bool is_gripper(Direction direction) {
  return direction == Direction::kClose || direction == kOpen;
}

Meaning read_sentence(std::string_view text) {
  if (text.size() > kLongestSentence) return {};
  Items items = items_of(text);
  // "The" belongs to a part of the robot, or the sentence is about something else.
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].word == Word::kStatement && items[i].value == 1) {
      if (i == 0 || items[i - 1].word != Word::kPart) items[i].word = Word::kUnknown;
    }
    if (items[i].word != Word::kDeterminer) continue;
    if (items[i].value == 1 && i > 0 && items[i - 1].word == Word::kNot) {
      items[i].word = Word::kSo;  // "not that low"
      continue;
    }
    const Word next = i + 1 < items.size() ? items[i + 1].word : Word::kBreak;
    if (next != Word::kPart && next != Word::kSpeedNoun) items[i].word = Word::kUnknown;
  }
  const bool all_known = std::none_of(items.begin(), items.end(),
                                      [](const Item& i) { return i.word == Word::kUnknown; });
  if (holds(items, all_known)) return {.kind = Kind::kHold};
  if (!all_known || items.empty()) return {};
  return read_motion(items);
}

}  // namespace nudge
