#include "src/ports/phrases.h"

#include <algorithm>
#include <utility>

namespace nudge {
namespace {

// Each phrase said makes those before it weigh less: half of it after some thirteen phrases.
constexpr double kFade = 0.95;
constexpr std::size_t kMostPhrases = 128;
constexpr std::size_t kMostNewest = 64;     // whose words may still be taken back
constexpr std::size_t kLongestPhrase = 60;  // bytes; what is longer is no phrase to offer again
constexpr const char* kBuiltIn[kQuickPhrases] = {
    "a bit lower",        "a bit higher", "a bit to the left", "a bit to the right", "a bit closer",
    "a bit further away", "slower",       "normal speed"};

std::string key_of(const std::string& text) {
  std::string key;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n') {
      if (!key.empty() && key.back() != ' ') key.push_back(' ');
    } else {
      key.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    }
  }
  while (!key.empty() && (key.back() == ' ' || key.back() == '.' || key.back() == '!')) {
    key.pop_back();
  }
  return key;
}

}  // namespace

void Phrases::apply(const Event& event) {
  if (const auto* words = std::get_if<Words>(&event.payload)) take(event, *words);
  if (const auto* undone = std::get_if<WordsUndone>(&event.payload)) take_back(undone->words);
}

void Phrases::take(const Event& event, const Words& words) {
  Newest newest{.id = event.id, .text = words.text, .key = {}};
  const bool moved = words.use == WordsUse::kNudge || words.use == WordsUse::kSpeed;
  const std::string key = key_of(words.text);
  if (moved && !key.empty() && words.text.size() <= kLongestPhrase) {
    newest.key = key;
    for (Phrase& phrase : said_) phrase.weight *= kFade;
    auto at = std::find_if(said_.begin(), said_.end(),
                           [&](const Phrase& phrase) { return phrase.key == key; });
    if (at == said_.end()) {
      if (said_.size() >= kMostPhrases) said_.pop_back();
      said_.push_back({.key = key, .text = {}, .weight = 0});
      at = said_.end() - 1;
    }
    at->text = words.text;
    at->weight += 1;
    std::stable_sort(said_.begin(), said_.end(),
                     [](const Phrase& a, const Phrase& b) { return a.weight > b.weight; });
  }
  newest_.push_front(std::move(newest));
  if (newest_.size() > kMostNewest) newest_.pop_back();
}

void Phrases::take_back(const std::string& id) {
  const auto at = std::find_if(newest_.begin(), newest_.end(),
                               [&](const Newest& newest) { return newest.id == id; });
  if (at == newest_.end()) return;
  const auto phrase =
      std::find_if(said_.begin(), said_.end(), [&](const Phrase& p) { return p.key == at->key; });
  if (phrase != said_.end()) {
    phrase->weight -= 1;
    if (phrase->weight <= 0) said_.erase(phrase);
  }
  newest_.erase(at);
  std::stable_sort(said_.begin(), said_.end(),
                   [](const Phrase& a, const Phrase& b) { return a.weight > b.weight; });
}

std::vector<std::string> Phrases::quick() const {
  std::vector<std::string> quick;
  const auto add = [&](const std::string& text) {
    const bool there = std::any_of(quick.begin(), quick.end(), [&](const std::string& other) {
      return key_of(other) == key_of(text);
    });
    if (!there && quick.size() < kQuickPhrases) quick.push_back(text);
  };
  for (const Phrase& phrase : said_) add(phrase.text);
  for (const char* text : kBuiltIn) add(text);
  return quick;
}

std::vector<std::string> Phrases::last() const {
  std::vector<std::string> last;
  for (const Newest& newest : newest_) {
    if (last.size() == kLastPhrases) break;
    if (std::find(last.begin(), last.end(), newest.text) == last.end()) last.push_back(newest.text);
  }
  return last;
}

}  // namespace nudge
