#include "src/loop/help_calibration.h"

#include <algorithm>
#include <variant>
#include <vector>

namespace nudge {

HelpCalibration::Row* HelpCalibration::find(EpisodeId episode) {
  const auto at = rows_.find(episode);
  return at == rows_.end() ? nullptr : &at->second;
}

bool HelpCalibration::apply(const Event& event) {
  if (const auto* asked = std::get_if<HelpAsked>(&event.payload)) {
    newest_help_ = std::max(newest_help_, asked->help);
    return false;
  }
  if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
    if (started->purpose != EpisodePurpose::kDeployment || event.episode == 0) return false;
    rows_[event.episode];
    if (rows_.size() <= kEpisodes) return false;
    const bool counted = rows_.begin()->second.counts();
    rows_.erase(rows_.begin());
    return counted;
  }
  const auto* label = std::get_if<Label>(&event.payload);
  Row* row = find(label != nullptr ? label->episode : event.episode);
  if (row == nullptr) return false;
  const bool counted = row->counts();
  if (label != nullptr) {
    if (label->span != 0 || event.actor.role > Role::kEngineer) return false;
    row->said.add(event.actor.role, label->value);
  } else if (const auto* scored = std::get_if<HelpScored>(&event.payload)) {
    row->scored = *scored;
    row->known = true;
  } else if (std::holds_alternative<SpanOpened>(event.payload)) {
    row->helped = true;
  } else if (const auto* words = std::get_if<Words>(&event.payload)) {
    row->helped = row->helped || words->use == WordsUse::kNudge;
  }
  return row->counts() != counted;
}

HelpThresholds HelpCalibration::thresholds() const {
  std::vector<HelpScored> newest;
  for (auto row = rows_.rbegin(); row != rows_.rend() && newest.size() < episodes_; ++row) {
    if (row->second.counts()) newest.push_back(row->second.scored);
  }
  if (newest.size() < help_episodes_needed(false_alarms_)) return {};
  return help_thresholds(newest, false_alarms_);
}

std::size_t HelpCalibration::successes() const {
  return static_cast<std::size_t>(std::count_if(
      rows_.begin(), rows_.end(), [](const auto& row) { return row.second.counts(); }));
}

}  // namespace nudge
