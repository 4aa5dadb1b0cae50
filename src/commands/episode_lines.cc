#include "src/commands/episode_lines.h"

#include <algorithm>

namespace nudge {
namespace {

const char* word(LabelValue outcome) {
  switch (outcome) {
    case LabelValue::kSuccess: return "worked";
    case LabelValue::kFailure: return "failed";
    case LabelValue::kDiscard: return "discarded";
    case LabelValue::kNone: break;
  }
  return "no label";
}

}  // namespace

std::string episode_line(const EpisodeRow& row, const SuccessRate& recent) {
  char text[256];
  const double human = seconds(row.human);
  std::snprintf(text, sizeof text, "episode %4llu  %-9s %5.1f s   policy %.1f s",
                static_cast<unsigned long long>(row.episode), word(row.outcome()),
                seconds(row.length), std::max(0.0, seconds(row.length) - human));
  std::string line = text;
  if (row.takeovers > 0) {
    std::snprintf(text, sizeof text, ", corrected %.1f s in %u takeover%s", human, row.takeovers,
                  row.takeovers == 1 ? "" : "s");
    line += text;
  }
  std::snprintf(text, sizeof text, "   weights v%llu",
                static_cast<unsigned long long>(row.weights));
  line += text;
  if (recent.of > 0) {
    std::snprintf(text, sizeof text, "   last %u: %u worked (%.0f %%)", recent.of, recent.successes,
                  100.0 * recent.successes / recent.of);
    line += text;
  }
  return line;
}

void EpisodeLines::watch(const Desk& desk) {
  desk_ = &desk;
  if (!desk.history().episodes().empty()) {
    printed_ = desk.history().episodes().back().episode;
  }
}

void EpisodeLines::on_events(std::span<const Event> events) {
  // The label of an episode comes at its end or a moment later; when the next one begins, it is
  // late.
  for (const Event& event : events) {
    if (!std::holds_alternative<EpisodeStarted>(event.payload)) continue;
    for (const EpisodeRow& row : desk_->history().episodes()) {
      if (row.ended && row.episode > printed_ && row.episode + 1 < event.episode) print(row);
    }
  }
}

void EpisodeLines::on_status() {
  for (const EpisodeRow& row : desk_->history().episodes()) {
    if (row.episode > printed_ && row.ended && row.outcome() != LabelValue::kNone) print(row);
  }
}

void EpisodeLines::print(const EpisodeRow& row) {
  printed_ = row.episode;
  std::fprintf(stream_, "%s\n", episode_line(row, desk_->history().recent_success()).c_str());
  std::fflush(stream_);
}

}  // namespace nudge
