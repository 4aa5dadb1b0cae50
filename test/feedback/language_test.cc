#include "feedback/language.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "feedback/vocabulary.h"
#include "nudge/random.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using Kind = Meaning::Kind;

constexpr std::array<std::string_view, kDirections> kNames = {
    "up",      "down",      "left",       "right",       "away",      "near",
    "forward", "back",      "robot_left", "robot_right", "turn_left", "turn_right",
    "tilt_up", "tilt_down", "roll_left",  "roll_right",  "close",     "open"};

std::string length_name(double metres) {
  std::ostringstream text;
  text << 1000 * metres << "mm";
  return text.str();
}

std::string amount_name(const Amount& amount) {
  switch (amount.kind) {
    case Amount::Kind::kUnsaid:
    case Amount::Kind::kTiny:
    case Amount::Kind::kSmall: return "";
    case Amount::Kind::kLarge: return "large";
    case Amount::Kind::kMetres: return length_name(amount.value);
    case Amount::Kind::kDegrees: {
      std::ostringstream text;
      text << amount.value << "deg";
      return text.str();
    }
  }
  return "?";
}

// As the files write it, in one canonical form: moves sorted, lengths in millimetres.
std::string name_of(const Meaning& meaning) {
  switch (meaning.kind) {
    case Kind::kOther: return "instruction";
    case Kind::kChat: return "comment";
    case Kind::kNotUnderstood: return "not_understood";
    case Kind::kHold: return "hold";
    case Kind::kGoBack: return "confirm go_back";
    case Kind::kSpeed: {
      if (!meaning.speed.absolute) {
        return meaning.speed.scale < 1 ? "speed slower" : "speed faster";
      }
      std::ostringstream text;
      text << "speed " << 100 * meaning.speed.scale << "%";
      return text.str();
    }
    case Kind::kMove: break;
  }
  if (meaning.moves.front().direction == Direction::kOpen) return "confirm open";
  std::vector<std::string> moves;
  for (const Move& move : meaning.moves) {
    std::string name(kNames[static_cast<std::size_t>(move.direction)]);
    const std::string amount = amount_name(move.amount);
    moves.push_back(amount.empty() ? name : name + " " + amount);
  }
  if (moves.front().starts_with("close")) return moves.front();
  std::sort(moves.begin(), moves.end());
  std::string name = "nudge";
  for (const std::string& move : moves) name += " " + move;
  return name;
}

// One meaning of the file in the same form; empty: it breaks the format.
std::string canonical(const std::string& meaning) {
  std::istringstream in(meaning);
  std::string word;
  in >> word;
  if (word == "speed") {
    std::string which;
    in >> which;
    return "speed " + which;
  }
  if (word == "confirm") {
    std::string what;
    in >> what;
    return what == "open" || what == "go_back" ? "confirm " + what : "";
  }
  if (word != "nudge" && word != "close") return word;
  std::vector<std::string> moves;
  if (word == "close") moves.emplace_back("close");
  std::string next;
  while (in >> next) {
    if (std::find(kNames.begin(), kNames.end(), next) != kNames.end()) {
      moves.push_back(next);
      continue;
    }
    if (moves.empty()) return "";
    if (next == "small") continue;
    if (next == "large") {
      moves.back() += " large";
      continue;
    }
    double value = 0;
    const auto read = std::from_chars(next.data(), next.data() + next.size(), value);
    const std::string unit = next.substr(static_cast<std::size_t>(read.ptr - next.data()));
    if (read.ec != std::errc()) return "";
    if (unit == "deg") {
      std::ostringstream text;
      text << " " << value << "deg";
      moves.back() += text.str();
      continue;
    }
    const double metres = unit == "cm"   ? value / 100
                          : unit == "mm" ? value / 1000
                          : unit == "in" ? value * 0.0254
                          : unit == "m"  ? value
                                         : -1;
    if (metres < 0) return "";
    moves.back() += " " + length_name(metres);
  }
  if (moves.empty()) return "";
  if (word == "close") return moves.front();
  std::sort(moves.begin(), moves.end());
  std::string name = "nudge";
  for (const std::string& move : moves) name += " " + move;
  return name;
}

struct Sentence {
  int line = 0;
  std::string text;
  std::vector<std::string> meanings;  // canonical
};

std::vector<Sentence> sentences_of(const std::string& file) {
  std::vector<Sentence> sentences;
  std::ifstream in(test::test_data() + "/words/" + file);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) {
      ADD_FAILURE() << file << ":" << number << ": no tab in '" << line << "'";
      continue;
    }
    Sentence sentence{number, line.substr(0, tab), {}};
    std::istringstream meanings(line.substr(tab + 1));
    for (std::string one; std::getline(meanings, one, '|');) {
      const std::string meaning = canonical(one);
      static constexpr std::string_view kPlain[] = {"hold", "instruction", "comment",
                                                    "not_understood", "none"};
      const bool known =
          meaning.starts_with("nudge ") || meaning.starts_with("close") ||
          meaning.starts_with("confirm ") || meaning.starts_with("speed ") ||
          std::find(std::begin(kPlain), std::end(kPlain), meaning) != std::end(kPlain);
      EXPECT_TRUE(known) << file << ":" << number << ": what is '" << one << "'?";
      sentence.meanings.push_back(meaning);
    }
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

bool is_meant(const Sentence& sentence, const std::string& got) {
  return std::any_of(sentence.meanings.begin(), sentence.meanings.end(),
                     [&](const std::string& meaning) {
                       if (meaning == got) return true;
                       return meaning == "none" &&
                              (got == "instruction" || got == "comment" || got == "not_understood");
                     });
}

// The directions alone: "nudge down 20mm left" moves where "nudge down left" does.
std::string directions_of(const std::string& meaning) {
  std::istringstream in(meaning);
  std::string directions;
  for (std::string word; in >> word;) {
    const bool direction = std::find(kNames.begin(), kNames.end(), word) != kNames.end();
    if (direction || word == "nudge") directions += word + " ";
  }
  return directions;
}

// A motion comes out at once that nobody meant, or another one.
bool is_misread(const Sentence& sentence, const std::string& got) {
  const bool moves = got.starts_with("nudge") || got.starts_with("close") || got == "speed faster";
  if (!moves) return false;
  return std::none_of(
      sentence.meanings.begin(), sentence.meanings.end(), [&](const std::string& meaning) {
        return meaning == got ||
               (got != "speed faster" && directions_of(meaning) == directions_of(got));
      });
}

struct Score {
  std::size_t all = 0, meant = 0, misread = 0;
};
Score score_of(const std::vector<Sentence>& sentences, const std::string& file, bool every) {
  Score score;
  for (const Sentence& sentence : sentences) {
    const std::string got = name_of(read_sentence(sentence.text));
    ++score.all;
    score.meant += is_meant(sentence, got) ? 1 : 0;
    score.misread += is_misread(sentence, got) ? 1 : 0;
    const std::string where = file + ":" + std::to_string(sentence.line) + ": '" + sentence.text +
                              "' was read as " + got + ", meant was " + sentence.meanings.front();
    if (every) {
      EXPECT_TRUE(is_meant(sentence, got)) << where;
    } else if (!is_meant(sentence, got)) {
      std::printf("%s\n", where.c_str());
    }
    EXPECT_FALSE(is_misread(sentence, got)) << where;
  }
  std::printf("%s: %zu of %zu understood as meant (%.1f %%), %zu misread motions\n", file.c_str(),
              score.meant, score.all,
              score.all == 0
                  ? 0.0
                  : 100.0 * static_cast<double>(score.meant) / static_cast<double>(score.all),
              score.misread);
  return score;
}

// ---- the files ----------------------------------------------------------------------------------

TEST(Language, ReadsEverySentenceOfTheListAsMeant) {
  const auto sentences = sentences_of("sentences.tsv");
  ASSERT_GE(sentences.size(), 220u);
  const Score score = score_of(sentences, "sentences.tsv", /*every=*/true);
  EXPECT_EQ(score.meant, score.all);
  EXPECT_EQ(score.misread, 0u);
}

// Written by somebody who has not seen the grammar.
TEST(Language, ReadsNineOfTenParaphrasesAndMisreadsNone) {
  if (!std::filesystem::exists(test::test_data() + "/words/paraphrases.tsv")) {
    GTEST_SKIP() << "there are no paraphrases";
  }
  const auto sentences = sentences_of("paraphrases.tsv");
  ASSERT_FALSE(sentences.empty());
  const Score score = score_of(sentences, "paraphrases.tsv", /*every=*/false);
  EXPECT_GE(10 * score.meant, 9 * score.all);
  EXPECT_EQ(score.misread, 0u);
}

TEST(Language, DoesNotMindCaseOrPunctuation) {
  for (const Sentence& sentence : sentences_of("sentences.tsv")) {
    std::string shouted = sentence.text;
    for (char& c : shouted) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    const Meaning quiet = read_sentence(sentence.text);
    EXPECT_EQ(name_of(read_sentence(shouted)), name_of(quiet)) << shouted;
    EXPECT_EQ(name_of(read_sentence("  " + sentence.text + " !")), name_of(quiet)) << sentence.text;
  }
}

// ---- rules --------------------------------------------------------------------------------------

TEST(Language, AnUnknownWordTakesTheMotionOutOfEverySentence) {
  for (const Sentence& sentence : sentences_of("sentences.tsv")) {
    if (read_sentence(sentence.text).kind == Kind::kHold) continue;  // a stop stays a stop
    for (const std::string& changed : {"gadget " + sentence.text, sentence.text + " gadget"}) {
      const Kind kind = read_sentence(changed).kind;
      EXPECT_TRUE(kind == Kind::kOther || kind == Kind::kHold) << changed;
    }
  }
}

TEST(Language, StopInFrontStopsWhateverFollows) {
  for (const Sentence& sentence : sentences_of("sentences.tsv")) {
    const std::string text = "stop, " + sentence.text;
    EXPECT_EQ(read_sentence(text).kind, Kind::kHold) << text;
  }
}

TEST(Language, ANotInFrontMovesNothing) {
  for (const Sentence& sentence : sentences_of("sentences.tsv")) {
    const Meaning plain = read_sentence(sentence.text);
    if (plain.kind != Kind::kMove) continue;
    const std::string text = "do not " + sentence.text;
    const Meaning meaning = read_sentence(text);
    if (meaning.kind != Kind::kMove) continue;
    // "Do not so low": a complaint keeps its remedy; nothing else moves.
    const bool complaint = sentence.text.find("too") != std::string::npos ||
                           sentence.text.find("not ") != std::string::npos ||
                           sentence.text.find("don't") != std::string::npos ||
                           sentence.text.find(",") != std::string::npos;
    EXPECT_TRUE(complaint) << text;
  }
}

TEST(Language, OppositesAreOpposite) {
  for (std::size_t i = 0; i < kDirections; ++i) {
    const auto direction = static_cast<Direction>(i);
    EXPECT_NE(opposite(direction), direction);
    EXPECT_EQ(opposite(opposite(direction)), direction);
  }
}

// ---- whatever comes -----------------------------------------------------------------------------

// What every reading must keep to.
void check_bounds(const std::string& text) {
  const Meaning meaning = read_sentence(text);
  if (meaning.kind == Kind::kNotUnderstood) {
    EXPECT_FALSE(meaning.why.empty()) << text;
  }
  if (meaning.kind == Kind::kSpeed) {
    EXPECT_GT(meaning.speed.scale, 0) << text;
    EXPECT_LE(meaning.speed.scale, 2) << text;
  }
  EXPECT_EQ(meaning.kind == Kind::kMove, !meaning.moves.empty()) << text;
  EXPECT_LE(meaning.moves.size(), 3u) << text;
  for (const Move& move : meaning.moves) {
    EXPECT_TRUE(!is_gripper(move.direction) || meaning.moves.size() == 1) << text;
    const double most = is_turn(move.direction) ? 90 : 0.5;
    if (move.amount.kind >= Amount::Kind::kMetres) {
      EXPECT_GT(move.amount.value, 0) << text;
      EXPECT_LE(move.amount.value, most) << text;
    }
    for (const Move& other : meaning.moves) {
      EXPECT_NE(opposite(other.direction), move.direction) << text;
    }
  }
}

TEST(Language, SaladOfItsOwnWordsStaysWithinBounds) {
  const std::vector<std::string_view> words = vocabulary();
  ASSERT_GT(words.size(), 500u);
  Random random(11);
  std::size_t moves = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text;
    for (std::uint64_t n = 1 + random.below(7); n > 0; --n) {
      text += words[random.below(words.size())];
      switch (random.below(12)) {
        case 0: text += ", "; break;
        case 1: text += " " + std::to_string(random.below(2000)) + " "; break;
        case 2: text += " and "; break;
        default: text += " ";
      }
    }
    check_bounds(text);
    moves += read_sentence(text).kind == Kind::kMove ? 1 : 0;
  }
  EXPECT_GT(moves, 100u) << "the salad tries nothing";
}

TEST(Language, RandomBytesAreNoMotion) {
  Random random(12);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(40); n > 0; --n) {
      text.push_back(static_cast<char>(random.below(256)));
    }
    check_bounds(text);
    EXPECT_NE(read_sentence(text).kind, Kind::kMove) << testing::PrintToString(text);
  }
}

TEST(Language, ATypingErrorIsNotGuessedIntoAMotion) {
  std::set<std::string> known;
  for (const std::string_view phrase : vocabulary()) {
    std::istringstream in{std::string(phrase)};
    for (std::string word; in >> word;) known.insert(word);
  }
  Random random(13);
  std::size_t tried = 0;
  for (const Sentence& sentence : sentences_of("sentences.tsv")) {
    for (int round = 0; round < 20; ++round) {
      std::string text = sentence.text;
      text[random.below(text.size())] = static_cast<char>('a' + random.below(26));
      check_bounds(text);
      std::istringstream in(text);
      bool error = false;  // another word of the vocabulary is none
      for (std::string word; in >> word;) {
        const bool plain =
            std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
        error = error || (plain && !known.contains(word));
      }
      if (!error) continue;
      ++tried;
      EXPECT_NE(read_sentence(text).kind, Kind::kMove) << text;
    }
  }
  EXPECT_GT(tried, 1000u);
}

TEST(Language, EndlessSentencesAndNumbersAreBounded) {
  EXPECT_EQ(read_sentence(std::string(1001, 'a')).kind, Kind::kOther);
  check_bounds(std::string(1000, 'a'));
  std::string downs;
  while (downs.size() < 990) downs += "down ";
  EXPECT_EQ(name_of(read_sentence(downs)), "nudge down");
  for (const char* text : {"down 99999999999999999999999 cm", "down 1e9 cm", "down 1/0 cm",
                           "down 1.2.3 cm", "down nan cm", "down inf cm", "down 0.0 cm",
                           "down 1,5 cm", "down .0 mm", "down -1 cm", "down +1 cm"}) {
    check_bounds(text);
    EXPECT_NE(read_sentence(text).kind, Kind::kMove) << text;
  }
  EXPECT_EQ(name_of(read_sentence("down .5 cm")), "nudge down 5mm");
}

}  // namespace
}  // namespace nudge
