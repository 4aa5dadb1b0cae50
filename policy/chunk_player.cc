#include "policy/chunk_player.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace nudge {

Status ChunkPlayerOptions::validate() const {
  if (policy_period <= Duration::zero()) {
    return invalid_argument("chunk player: policy_period must be positive");
  }
  if (horizon < 1 || horizon > 64) return invalid_argument("chunk player: horizon must be 1..64");
  if (action_size < 1 || action_size > 64) {
    return invalid_argument("chunk player: action_size must be 1..64");
  }
  if (replan_after < 1 || replan_after > horizon) {
    return invalid_argument("chunk player: replan_after must be 1..horizon");
  }
  if (blend < Duration::zero()) {
    return invalid_argument("chunk player: blend must not be negative");
  }
  return {};
}

ChunkPlayer::ChunkPlayer(ChunkPlayerOptions options) : options_(options) {}

Status ChunkPlayer::load(ActionChunk chunk, Instant now) {
  if (chunk.horizon != options_.horizon || chunk.action_size != options_.action_size ||
      chunk.actions.size() != options_.horizon * options_.action_size) {
    return invalid_argument("chunk: " + std::to_string(chunk.actions.size()) + " numbers as " +
                            std::to_string(chunk.horizon) + " x " +
                            std::to_string(chunk.action_size) + "; this robot takes " +
                            std::to_string(options_.horizon) + " x " +
                            std::to_string(options_.action_size));
  }
  if (!std::all_of(chunk.actions.begin(), chunk.actions.end(),
                   [](float x) { return std::isfinite(x); })) {
    return invalid_argument("chunk: of version " + std::to_string(chunk.version) +
                            " holds a number that is not finite");
  }
  if (chunk.observed > now) return invalid_argument("chunk: observed in the future");
  if ((current_ && chunk.observed <= current_->observed) ||
      (oldest_ && chunk.observed < *oldest_)) {
    return aborted("chunk: older than the one in use, or than the last flush");
  }
  const auto row = row_of(chunk, now);
  if (!row) return deadline_exceeded("chunk: all of its rows have passed; inference is too slow");

  const bool blends = options_.blend > Duration::zero() && current_ &&
                      current_->version == chunk.version && row_of(*current_, now);
  if (blends) {
    previous_ = std::move(current_);
    ramp_begin_ = now;
  } else {
    previous_.reset();
  }
  first_row_ = *row;
  current_ = std::move(chunk);
  return {};
}

std::optional<std::size_t> ChunkPlayer::row_of(const ActionChunk& chunk, Instant now) const {
  if (now < chunk.observed) return std::nullopt;
  const auto row = static_cast<std::uint64_t>((now - chunk.observed) / options_.policy_period);
  if (row >= chunk.horizon) return std::nullopt;
  return static_cast<std::size_t>(row);
}

std::optional<std::size_t> ChunkPlayer::row(Instant now) const {
  return current_ ? row_of(*current_, now) : std::nullopt;
}

Action ChunkPlayer::at(Instant now) const {
  Action action(options_.action_size);
  at(now, action.data());
  return action;
}

void ChunkPlayer::at(Instant now, float* out) const {
  const auto index = row(now);
  if (!index) {
    std::fill_n(out, options_.action_size, 0.0f);
    return;
  }
  std::copy_n(current_->row(*index), options_.action_size, out);
  const Duration into_ramp = now - ramp_begin_;
  if (!previous_ || into_ramp >= options_.blend) return;
  // When the former chunk ends within the ramp, its last row stands in: a jump to zero there would
  // be the jolt that the ramp is to prevent.
  const float* const former =
      previous_->row(row_of(*previous_, now).value_or(options_.horizon - 1));
  const auto share = static_cast<float>(seconds(into_ramp) / seconds(options_.blend));
  for (std::size_t i = 0; i < options_.action_size; ++i) {
    out[i] = share * out[i] + (1.0f - share) * former[i];
  }
}

bool ChunkPlayer::needs_chunk(Instant now) const {
  const auto index = row(now);
  return !index || *index >= options_.replan_after;
}

bool ChunkPlayer::exhausted(Instant now) const { return !row(now); }

Duration ChunkPlayer::lateness(Instant now) const {
  if (!current_) return Duration::zero();
  const Instant end =
      current_->observed + static_cast<std::int64_t>(options_.horizon) * options_.policy_period;
  return std::max(now - end, Duration::zero());
}

void ChunkPlayer::flush(Instant now) {
  current_.reset();
  previous_.reset();
  first_row_ = 0;
  oldest_ = now;
}

}  // namespace nudge
