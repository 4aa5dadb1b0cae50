// Who may have taught which weights: a fold over the log's events. It tells of which weights the
// teaching was withdrawn later, so that nobody takes them for weights without it.
//
// On the safe side: a version may have learned from everybody who had opened a span, labelled or
// recorded an episode before its round's prefix and was not withdrawn at it, and from those who
// taught its parent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge {

// Not thread-safe. Equal events give equal answers, in one go or in portions.
class Teachers {
 public:
  // Kinds of events that it looks at; others change nothing.
  static const std::vector<std::string>& kinds();
  void apply(const Event& event);

  // People whose corrections are withdrawn now, sorted.
  std::vector<std::string> withdrawn() const;
  // Those of them that these weights may have learned from, sorted. Empty: none, or no such
  // weights.
  std::vector<std::string> taint(WeightsVersion version) const;
  // Whether the person has taught anything.
  bool knows(std::string_view person) const { return first_.contains(person); }
  std::vector<std::string> people() const;  // who have, sorted

 private:
  using People = std::set<std::string, std::less<>>;

  std::map<std::string, Sequence, std::less<>> first_;  // teaching of each person
  People withdrawn_;
  // What the learner knew at the prefixes of the rounds whose candidates wait for the gate's word.
  std::map<Sha256, std::shared_ptr<const People>> waiting_;
  // From which version on which people; versions that follow one another mostly share them.
  std::map<WeightsVersion, std::shared_ptr<const People>> taught_;
  WeightsVersion newest_ = 0;                              // that was accepted
  std::map<Sequence, std::pair<std::string, bool>> acts_;  // person; whether withdrawn

  People taught_at(Sequence prefix) const;
  const std::shared_ptr<const People>* taught(WeightsVersion version) const;  // null: unknown
};

// Whether there is anything to withdraw of this person, or to restore. kNotFound names who has
// taught; kFailedPrecondition: it is so already.
Status withdrawable(const Teachers& teachers, std::string_view person);
Status restorable(const Teachers& teachers, std::string_view person);

}  // namespace nudge
