// What people say to the robot: the phrases that they use most, to be offered again, and the
// newest. A fold over durable events. Bounded in memory.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "nudge/event.h"

namespace nudge {

inline constexpr std::size_t kQuickPhrases = 8;
inline constexpr std::size_t kLastPhrases = 5;

// Not thread-safe: belongs to the io thread. Equal events give equal phrases.
class Phrases {
 public:
  // Events in sequence order, each once.
  void apply(const Event& event);

  // At most kQuickPhrases: what was understood as a nudge or a speed, by how often it was said,
  // what was said lately counting more; filled up with a built-in list.
  std::vector<std::string> quick() const;
  // At most kLastPhrases different texts, newest first, whatever they meant.
  std::vector<std::string> last() const;

 private:
  struct Phrase {
    std::string key;   // lower case, single spaces, without the punctuation at its end
    std::string text;  // as it was said last
    double weight = 0;
  };
  void take(const Event& event, const Words& words);
  void take_back(const std::string& id);

  std::vector<Phrase> said_;  // heaviest first
  struct Newest {
    std::string id;  // of the event
    std::string text;
    std::string key;  // in said_; empty: not counted
  };
  std::deque<Newest> newest_;  // newest first
};

}  // namespace nudge
