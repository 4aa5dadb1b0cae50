#include "replay/teachers.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "replay/person.h"

namespace nudge {
namespace {

constexpr std::size_t kWaiting = 64;  // candidates; one, in a log without damage

}  // namespace

const std::vector<std::string>& Teachers::kinds() {
  static const std::vector<std::string> kKinds = {
      "episode_started",     "span_opened",      "label",
      "candidate_received",  "weights_accepted", "corrections_withdrawn",
      "corrections_restored"};
  return kKinds;
}

void Teachers::apply(const Event& event) {
  const auto teaches = [&] {
    first_.emplace(std::string(person_of(event.actor.name)), event.sequence);
  };
  if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
    if (started->purpose == EpisodePurpose::kDemonstration) teaches();
  } else if (std::holds_alternative<SpanOpened>(event.payload) ||
             std::holds_alternative<Label>(event.payload)) {
    teaches();
  } else if (const auto* gone = std::get_if<CorrectionsWithdrawn>(&event.payload)) {
    const std::string person(person_of(gone->supervisor));
    withdrawn_.insert(person);
    acts_[event.sequence] = {person, true};
  } else if (const auto* back = std::get_if<CorrectionsRestored>(&event.payload)) {
    const std::string person(person_of(back->supervisor));
    withdrawn_.erase(person);
    acts_[event.sequence] = {person, false};
  } else if (const auto* candidate = std::get_if<CandidateReceived>(&event.payload)) {
    if (waiting_.size() >= kWaiting) waiting_.clear();
    waiting_[candidate->hash] = std::make_shared<const People>(taught_at(candidate->prefix));
  } else if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    // Without a candidate an engineer brought them, made from the log as it was.
    const auto told = waiting_.find(accepted->hash);
    std::shared_ptr<const People> people =
        told != waiting_.end() ? told->second
                               : std::make_shared<const People>(taught_at(event.sequence));
    if (told != waiting_.end()) waiting_.erase(told);
    if (const auto* parent = taught(accepted->parent)) {
      People all = **parent;
      all.insert(people->begin(), people->end());
      people = std::make_shared<const People>(std::move(all));
    }
    const bool in_order = accepted->version > newest_;
    newest_ = std::max(newest_, accepted->version);
    // There is a version every minute, and seldom anybody new.
    if (in_order && !taught_.empty() && *taught_.rbegin()->second == *people) return;
    taught_[accepted->version] = std::move(people);
  }
}

const std::shared_ptr<const Teachers::People>* Teachers::taught(WeightsVersion version) const {
  const auto next = taught_.upper_bound(version);
  if (next == taught_.begin() || version > newest_) return nullptr;
  return &std::prev(next)->second;
}

Teachers::People Teachers::taught_at(Sequence prefix) const {
  People people;
  for (const auto& [person, first] : first_) {
    if (first <= prefix) people.insert(person);
  }
  for (const auto& [sequence, act] : acts_) {
    if (sequence > prefix) break;
    const auto& [person, withdrawn] = act;
    if (withdrawn) {
      people.erase(person);
    } else if (const auto first = first_.find(person);
               first != first_.end() && first->second <= prefix) {
      people.insert(person);
    }
  }
  return people;
}

std::vector<std::string> Teachers::withdrawn() const {
  return {withdrawn_.begin(), withdrawn_.end()};
}

std::vector<std::string> Teachers::taint(WeightsVersion version) const {
  std::vector<std::string> found;
  const auto* people = taught(version);
  if (people == nullptr) return found;
  for (const std::string& person : withdrawn_) {
    if ((*people)->contains(person)) found.push_back(person);
  }
  return found;
}

std::vector<std::string> Teachers::people() const {
  std::vector<std::string> names;
  for (const auto& [person, first] : first_) names.push_back(person);
  return names;
}

Status withdrawable(const Teachers& teachers, std::string_view person) {
  const std::string name(person);
  if (!teachers.knows(person)) {
    std::string known;
    for (const std::string& one : teachers.people()) known += (known.empty() ? "" : ", ") + one;
    return not_found("nobody called '" + name + "' has taught here" +
                     (known.empty() ? "" : "; these have: " + known));
  }
  const std::vector<std::string> gone = teachers.withdrawn();
  if (std::find(gone.begin(), gone.end(), person) != gone.end()) {
    return failed_precondition("what " + name + " taught is withdrawn already");
  }
  return {};
}

Status restorable(const Teachers& teachers, std::string_view person) {
  const std::vector<std::string> gone = teachers.withdrawn();
  if (std::find(gone.begin(), gone.end(), person) == gone.end()) {
    return failed_precondition("what " + std::string(person) + " taught is not withdrawn");
  }
  return {};
}

}  // namespace nudge
