#include "feedback/motion_reading.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace nudge {
namespace {

using Kind = Meaning::Kind;
using enum Direction;

constexpr double kAbsurd = 0.5;  // m; further than anybody nudges
constexpr double kAbsurdDegrees = 90;

int axis_of(Direction direction) {
  switch (direction) {
    case kUp:
    case kDown: return 0;
    case kLeft:
    case Direction::kRight:
    case kRobotLeft:
    case kRobotRight: return 1;
    case kAway:
    case kNear:
    case kForward:
    case Direction::kBack: return 2;
    case kTurnLeft:
    case kTurnRight: return 3;
    case kTiltUp:
    case kTiltDown: return 4;
    case kRollLeft:
    case kRollRight: return 5;
    case Direction::kClose:
    case kOpen: return 6;
  }
  return 0;
}

// What stands between two conjunctions.
struct Segment {
  std::vector<Direction> directions;
  std::vector<Amount> amounts;
};

// One pass over the items of a sentence whose every word is known.
class Reading {
 public:
  explicit Reading(const Items& items) : items_(items) {}

  Meaning read() {
    for (at_ = 0; at_ < items_.size() && !result_; ++at_) take(items_[at_]);
    if (!result_) end_clause();
    if (!result_) conclude();
    return *std::move(result_);
  }

 private:
  void fail(std::string why) {
    if (!result_) result_ = {.kind = Kind::kNotUnderstood, .why = std::move(why)};
  }
  void other() {
    if (!result_) result_ = Meaning{};
  }

  Word before() const {
    for (std::size_t i = at_; i > 0; --i) {
      if (items_[i - 1].word != Word::kFiller) return items_[i - 1].word;
    }
    return Word::kBreak;
  }
  const Item& after(std::size_t by = 1) const {
    static constexpr Item kEnd{Word::kBreak};
    return at_ + by < items_.size() ? items_[at_ + by] : kEnd;
  }
  static std::optional<Direction> direction_of(const Item& item) {
    if (item.word == Word::kRight) return Direction::kRight;
    if (item.word == Word::kWay || item.word == Word::kMore) {
      return static_cast<Direction>(static_cast<int>(item.value));
    }
    return std::nullopt;
  }
  bool enough_follows() const { return after().word == Word::kEnough || enough_; }
  bool has_size() const {
    return std::any_of(segment_.amounts.begin(), segment_.amounts.end(), [](const Amount& a) {
      return a.kind != Amount::Kind::kMetres && a.kind != Amount::Kind::kDegrees;
    });
  }

  void take(const Item& item) {
    switch (item.word) {
      case Word::kUnknown:
      case Word::kShortUnit: return other();
      case Word::kFiller:
      case Word::kIt:
      case Word::kYou:
      case Word::kPart: return;
      case Word::kWeakHold: return fail("one thing at a time, please");
      case Word::kHold: return fail("it says not to stop; nothing changes");
      case Word::kBreak: return end_clause();
      case Word::kAnd:
      case Word::kAndAHalf: return end_segment();
      case Word::kThen:
        if (count_ > 0 || !segment_.directions.empty()) then_ = true;
        return end_segment();
      case Word::kStatement: statement_ = true; return;
      case Word::kWish:
        statement_ = false;
        wish_ = true;
        return;
      case Word::kDeterminer: return;  // looked at before
      case Word::kVerb: verb_ = true; return;
      case Word::kInch:
        if (verb_) return fail("how many inches?");
        verb_ = true;
        return;
      case Word::kWay:
      case Word::kMore: return take_direction(*direction_of(item), item.word == Word::kMore);
      case Word::kRight: return take_right();
      case Word::kQuality:
        return take_quality(static_cast<Direction>(static_cast<int>(item.value)));
      case Word::kBack: return take_back();
      case Word::kBackUp:
        return take_direction(before() == Word::kVerb ? kUp : Direction::kBack, false);
      case Word::kOver:
        if (before() == Word::kWay || before() == Word::kRight) other();
        return;
      case Word::kFurther: further_ = true; return;
      case Word::kFar:
        if (after().word == Word::kToo) {
          add_amount({Amount::Kind::kLarge, 0});
        } else {
          far_ = true;
        }
        return;
      case Word::kClose: return take_close();
      case Word::kLift: lift_ = true; return;
      case Word::kDrop: drop_ = true; return;
      case Word::kTurn:
        if (turn_) return fail("one turn at a time");
        turn_ = static_cast<int>(item.value);
        return;
      case Word::kToo:
        if (not_) return fail("it says how far not to go; nothing moves");
        too_ = true;
        return;
      case Word::kSo: so_ = true; return;
      case Word::kEnough: enough_ = true; return;
      case Word::kNot: not_ = true; return;
      case Word::kNo:
        if (after().word != Word::kBreak && after().word != Word::kNo &&
            after().word != Word::kFiller) {
          fail("\"no\" with a motion may mean either; say which way to move");
        } else if (after().word == Word::kFiller && after(2).word != Word::kBreak) {
          fail("\"no\" with a motion may mean either; say which way to move");
        }
        return;
      case Word::kSize:
        if (too_ && item.value == static_cast<double>(Amount::Kind::kLarge))
          return;  // "too much to the left"
        return add_amount({static_cast<Amount::Kind>(static_cast<int>(item.value)), 0});
      case Word::kNumber:
      case Word::kArticle: return take_number();
      case Word::kUnit:
      case Word::kDegrees:
      case Word::kPercent: return fail("how many? Say a number before the unit");
      case Word::kSpeedNoun: speed_noun_ = true; return;
      case Word::kSlower: return take_speed({false, item.value});
      case Word::kFaster: return take_speed({false, item.value});
      case Word::kSpeed: return take_speed({true, item.value});
      case Word::kSlow: return take_pace(/*fast=*/false);
      case Word::kFast: return take_pace(/*fast=*/true);
      case Word::kManner: manner_ = true; return;
      case Word::kGrip: return take_grip(Direction::kClose);
      case Word::kLetGo: return take_grip(kOpen);
      case Word::kGoBack:
        if (item.value == 0 && leads_on()) {
          verb_ = true;  // "go back up": the direction counts
          return;
        }
        if (not_) return fail("it says what not to do; nothing moves");
        go_back_ = true;
        return;
      case Word::kChat: chat_ = true; return;
    }
  }

  // A direction follows, perhaps behind how far.
  bool leads_on() const {
    for (std::size_t by = 1; at_ + by < items_.size(); ++by) {
      const Item& item = items_[at_ + by];
      if (item.word == Word::kSize || item.word == Word::kFiller || item.word == Word::kOver) {
        continue;
      }
      const std::optional<Direction> next = direction_of(item);
      return next && axis_of(*next) <= 1;
    }
    return false;
  }

  void take_right() {
    const std::optional<Direction> next = direction_of(after());
    if (next && axis_of(*next) != 1) {
      return fail("\"right\" may be a direction here or not; say \"to the right\"");
    }
    const bool alone = after().word == Word::kBreak && before() == Word::kBreak;
    if (alone && at_ + 2 < items_.size()) {
      return fail("\"right\" may be a direction here or not; say \"to the right\"");
    }
    take_direction(Direction::kRight, false);
  }

  void take_back() {
    const std::optional<Direction> next = direction_of(after());
    if (next && axis_of(*next) <= 1) {
      if (before() != Word::kVerb) return fail("\"back\" may be a direction here or not");
      return;
    }
    take_direction(Direction::kBack, false);
  }

  void take_direction(Direction direction, bool compared) {
    const bool sideways = axis_of(direction) == axis_of(kLeft);
    if (sideways && after().word == Word::kPart) return other();  // "the left hand"
    const bool bare = (before() == Word::kYou || before() == Word::kIt) && !verb_ && !wish_;
    if (bare && !lift_ && !drop_ && !turn_) {
      return fail("it says how things are, not what to do; say, for example, \"go left\"");
    }
    if (too_) {
      if (compared) return fail("\"too\" does not go with that word");
      direction = opposite(direction);
      too_ = false;
    } else if (not_) {
      if (enough_follows()) {
        enough_ = false;
      } else if (so_ && !compared) {
        direction = opposite(direction);
      } else {
        return fail("it says what not to do; say which way to move");
      }
      resolved_ = true;
    } else if (statement_ && !wish_) {
      return fail("it says how things are, not what to do; say, for example, \"too low\"");
    } else if (far_) {
      return fail("say how far: \"a lot to the left\"");
    }
    far_ = false;
    add(direction);
  }

  // "High": what is wrong when it is too much of it, or a bit of it.
  void take_quality(Direction quality) {
    Direction wanted = quality;
    if (too_) {
      wanted = opposite(quality);
      too_ = false;
    } else if (not_ && enough_follows()) {
      enough_ = false;
      resolved_ = true;
    } else if (not_ && so_) {
      wanted = opposite(quality);
      resolved_ = true;
    } else if (!not_ && !verb_ && !wish_ && has_size()) {
      wanted = opposite(quality);
    } else {
      return fail("say which way to move: \"higher\", \"lower\"");
    }
    far_ = false;
    if (is_gripper(wanted)) return take_grip_now(wanted);
    add(wanted);
  }

  void take_close() {
    if (too_ || (not_ && (so_ || enough_follows())) || (statement_ && has_size())) {
      return take_quality(kNear);
    }
    if (statement_ || verb_ || wish_ || !segment_.amounts.empty()) {
      return fail("\"close\" may mean the gripper or the distance; say \"closer\" or \"grip\"");
    }
    take_grip(Direction::kClose);
  }

  void take_pace(bool fast) {
    const SpeedWish slower{false, 0.7}, faster{false, 1 / 0.7};
    if (too_ || (not_ && so_) || (!not_ && statement_ && has_size())) {
      too_ = false;
      resolved_ = true;
      speeds_.push_back(fast ? slower : faster);
    } else if (not_ && enough_follows()) {
      enough_ = false;
      resolved_ = true;
      speeds_.push_back(fast ? faster : slower);
    } else if (not_) {
      fail("it says what not to do; say \"slower\" or \"faster\"");
    } else if (statement_) {
      fail("it says how things are; say \"slower\" or \"faster\"");
    } else if (fast) {
      quick_ = true;
    } else {
      manner_ = true;
    }
  }

  void take_speed(SpeedWish wish) {
    if (not_ || too_) return fail("it says what not to do; say \"slower\" or \"faster\"");
    if (statement_ && !wish_) return fail("it says how things are; say \"slower\" or \"faster\"");
    speeds_.push_back(wish);
  }

  void take_grip(Direction direction) {
    if (not_ || too_) return fail("it says what not to do; nothing moves");
    if (statement_ && !wish_) return fail("it says how things are; say \"grip\" or \"let go\"");
    take_grip_now(direction);
  }
  void take_grip_now(Direction direction) { grips_.push_back(direction); }

  void take_number() {
    double value = items_[at_].value;
    std::size_t by = 1;
    if (items_[at_].word == Word::kNumber && after(by).word == Word::kAndAHalf) {
      value += 0.5;
      ++by;
    }
    while (after(by).word == Word::kFiller) ++by;         // "one more centimetre"
    if (value == 1 && after(by).word == Word::kNumber) {  // "another five"
      at_ += by;
      return take_number();
    }
    // "An inch and a half" is read as well.
    const auto half_behind = [&] {
      if (after(by + 1).word != Word::kAndAHalf) return;
      value += 0.5;
      ++by;
    };
    const Item& unit = after(by);
    const double each = unit.value;
    if (unit.word == Word::kUnit || unit.word == Word::kInch) {
      half_behind();
      value *= each;
      if (!(value > 0)) return fail("zero is no motion");
      if (value > kAbsurd) return fail("that is further than words may move the robot: take over");
      add_amount({Amount::Kind::kMetres, value});
    } else if (unit.word == Word::kDegrees) {
      if (!(value > 0)) return fail("zero is no motion");
      if (value > kAbsurdDegrees) return fail("that is further than words may turn the robot");
      add_amount({Amount::Kind::kDegrees, value});
    } else if (unit.word == Word::kPercent) {
      if (!(value > 0) || value > 100) return fail("a speed is 1 to 100 percent");
      percents_.push_back(value / 100);
    } else if (items_[at_].word == Word::kArticle) {
      return other();
    } else {
      return fail("say the unit: \"2 cm\"");
    }
    at_ += by;
  }

  void add_amount(Amount amount) { segment_.amounts.push_back(amount); }

  void add(Direction direction) {
    if (turn_) {
      const bool left = direction == kLeft || direction == kRobotLeft;
      const bool right = direction == Direction::kRight || direction == kRobotRight;
      if (*turn_ == 0 && (left || right)) {
        direction = left ? kTurnLeft : kTurnRight;
      } else if (*turn_ == 1 && (direction == kUp || direction == kDown)) {
        direction = direction == kUp ? kTiltUp : kTiltDown;
      } else if (*turn_ == 2 && (left || right)) {
        direction = left ? kRollLeft : kRollRight;
      } else if (!is_turn(direction)) {
        return fail("there is no such turn");
      }
    }
    if (then_) return fail("one motion at a time, please");
    segment_.directions.push_back(direction);
  }

  bool only(Direction direction) const {
    return std::all_of(segment_.directions.begin(), segment_.directions.end(),
                       [&](Direction d) { return d == direction; });
  }

  void end_segment() {
    if (segment_.directions.empty() && segment_.amounts.empty()) return;
    count_ += segment_.directions.size();
    segments_.push_back(std::move(segment_));
    segment_ = {};
  }

  void end_clause() {
    const bool moved = !segment_.directions.empty() || count_ > clause_began_;
    if (lift_) {
      // "Lift it" is the name of many a task.
      if (segment_.directions.empty() && segment_.amounts.empty()) return other();
      if (not_) return fail("it says what not to do; nothing moves");
      if (!only(kUp)) return fail("lift and move: one thing at a time, please");
      if (segment_.directions.empty()) add(kUp);
    }
    if (drop_) {
      if (not_) return fail("it says what not to do; nothing moves");
      if (segment_.directions.empty() && segment_.amounts.empty()) {
        take_grip_now(kOpen);
      } else if (only(kDown)) {
        add(kDown);
      } else {
        return fail("drop and move: one thing at a time, please");
      }
    }
    if (too_ && far_) {
      result_ = {.kind = Kind::kHold};
      return;
    }
    if (too_) return fail("too what?");
    if (far_) return fail("how far, and which way?");
    if (turn_ && !moved) {
      return fail("turn which way? Say \"turn left\" or \"clockwise\"");
    }
    if (not_ && !resolved_) return fail("it says what not to do; nothing moves");
    further_anywhere_ = further_anywhere_ || further_;
    end_segment();
    statement_ = wish_ = verb_ = not_ = so_ = enough_ = resolved_ = false;
    lift_ = drop_ = further_ = far_ = too_ = false;
    turn_.reset();
    clause_began_ = count_;
  }

  void conclude() {
    const bool moves = count_ > 0;
    const int asked = static_cast<int>(moves) + static_cast<int>(!grips_.empty()) +
                      static_cast<int>(!speeds_.empty() || !percents_.empty()) +
                      static_cast<int>(go_back_);
    if (asked > 1) return fail("one thing at a time, please");
    if (go_back_) {
      result_ = {.kind = Kind::kGoBack};
    } else if (!grips_.empty()) {
      conclude_grip();
    } else if (moves) {
      conclude_moves();
    } else if (!speeds_.empty() || !percents_.empty()) {
      conclude_speed();
    } else {
      conclude_rest();
    }
  }

  void conclude_grip() {
    const bool same =
        std::all_of(grips_.begin(), grips_.end(), [&](Direction d) { return d == grips_.front(); });
    if (!same) return fail("the gripper cannot open and close at once");
    const std::optional<Amount> amount = only_amount();
    if (result_) return;
    if (amount && amount->kind == Amount::Kind::kDegrees) return fail("a gripper has no degrees");
    if (speed_noun_ || further_anywhere_) return fail("one thing at a time, please");
    result_ = {.kind = Kind::kMove, .moves = {{grips_.front(), amount.value_or(Amount{})}}};
  }

  // The one amount of the sentence; numbers win over words beside them.
  std::optional<Amount> only_amount() {
    std::vector<Amount> all;
    for (const Segment& segment : segments_) {
      all.insert(all.end(), segment.amounts.begin(), segment.amounts.end());
    }
    return one_of(all);
  }
  std::optional<Amount> one_of(const std::vector<Amount>& all) {
    std::optional<Amount> one;
    for (const Amount& amount : all) {
      const auto measured = [](const Amount& a) {
        return a.kind == Amount::Kind::kMetres || a.kind == Amount::Kind::kDegrees;
      };
      if (!one || *one == amount) {
        one = amount;
      } else if (measured(amount) && measured(*one)) {
        fail("there are two distances");
      } else if (measured(amount)) {
        one = amount;
      } else if (!measured(*one)) {
        const bool large = amount.kind == Amount::Kind::kLarge;
        if (large != (one->kind == Amount::Kind::kLarge)) fail("a lot, or a bit?");
        if (amount.kind == Amount::Kind::kTiny) one = amount;
      }
    }
    return one;
  }

  void conclude_moves() {
    if (speed_noun_) return fail("one thing at a time, please");
    std::size_t with_amount = 0;
    for (const Segment& segment : segments_) with_amount += segment.amounts.empty() ? 0 : 1;
    std::vector<Move> moves;
    const std::optional<Amount> shared = with_amount <= 1 ? only_amount() : std::optional<Amount>();
    for (const Segment& segment : segments_) {
      if (with_amount > 1 && segment.directions.empty()) {
        return fail("which distance belongs to which direction?");
      }
      const std::optional<Amount> own = with_amount > 1 ? one_of(segment.amounts) : shared;
      for (const Direction direction : segment.directions) {
        const Move move{direction, own.value_or(Amount{})};
        const auto same = std::find_if(moves.begin(), moves.end(), [&](const Move& m) {
          return axis_of(m.direction) == axis_of(direction);
        });
        if (same == moves.end()) {
          moves.push_back(move);
        } else if (same->direction != direction) {
          return fail("the directions exclude each other");
        } else if (same->amount != move.amount) {
          return fail("there are two distances for one direction");
        }
      }
    }
    if (result_) return;
    const bool turns = is_turn(moves.front().direction);
    for (const Move& move : moves) {
      if (is_turn(move.direction) != turns) return fail("turn or move: one thing at a time");
      const bool degrees = move.amount.kind == Amount::Kind::kDegrees;
      if ((turns && move.amount.kind == Amount::Kind::kMetres) || (!turns && degrees)) {
        return fail("that unit does not go with that motion");
      }
    }
    if (turns && moves.size() > 1) return fail("one turn at a time");
    result_ = {.kind = Kind::kMove, .moves = std::move(moves)};
  }

  void conclude_speed() {
    if (speeds_.size() + percents_.size() > 1) {
      const bool same = percents_.empty() &&
                        std::all_of(speeds_.begin(), speeds_.end(),
                                    [&](const SpeedWish& s) { return s == speeds_.front(); });
      if (!same) return fail("which speed?");
    }
    if (further_anywhere_) return fail("which speed?");
    SpeedWish wish = percents_.empty() ? speeds_.front() : SpeedWish{true, percents_.front()};
    const std::optional<Amount> amount = only_amount();
    if (result_) return;
    if (amount && !wish.absolute) {
      const bool slower = wish.scale < 1;
      switch (amount->kind) {
        case Amount::Kind::kTiny:
        case Amount::Kind::kSmall: wish.scale = slower ? 0.85 : 1 / 0.85; break;
        case Amount::Kind::kLarge: wish.scale = slower ? 0.5 : 2; break;
        case Amount::Kind::kUnsaid: break;
        case Amount::Kind::kMetres:
        case Amount::Kind::kDegrees: return fail("a speed is not measured so");
      }
    } else if (amount && amount->kind == Amount::Kind::kMetres) {
      return fail("a speed is not measured so");
    }
    result_ = {.kind = Kind::kSpeed, .speed = wish};
  }

  void conclude_rest() {
    if (!segments_.empty() || further_anywhere_) return fail("which way?");
    if (manner_ && quick_) return fail("which speed?");
    if (manner_ || quick_) {
      result_ = {.kind = Kind::kSpeed, .speed = {false, manner_ ? 0.7 : 1 / 0.7}};
    } else if (chat_) {
      result_ = {.kind = Kind::kChat};
    } else {
      fail("there is nothing in it to do");
    }
  }

  const Items& items_;
  std::size_t at_ = 0;
  std::optional<Meaning> result_;
  // Of the clause.
  bool statement_ = false, wish_ = false, verb_ = false;
  bool not_ = false, so_ = false, enough_ = false, resolved_ = false;
  bool too_ = false, far_ = false, further_ = false, lift_ = false, drop_ = false;
  std::size_t clause_began_ = 0;  // directions of the clauses before it
  std::optional<int> turn_;
  // Of the sentence.
  Segment segment_;
  std::vector<Segment> segments_;
  std::size_t count_ = 0;  // of directions in segments_
  std::vector<Direction> grips_;
  std::vector<SpeedWish> speeds_;
  std::vector<double> percents_;
  bool then_ = false, go_back_ = false, chat_ = false, manner_ = false, quick_ = false;
  bool speed_noun_ = false, further_anywhere_ = false;
};

}  // namespace

Meaning read_motion(const Items& items) { return Reading(items).read(); }

}  // namespace nudge
