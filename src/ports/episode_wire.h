// JSON of one episode of the past, as docs/reference/supervisor-port.md specifies it. Written by
// hand where it is long: a number for each step, channel and driver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nudge/time.h"
#include "nudge/types.h"
#include "replay/segment.h"
#include "src/ports/episode_index.h"

namespace nudge {

// The columns of steps, written as the steps come. One entry for each policy step from 0 on: those
// that are missing have the source "lost" and no numbers.
class StepColumns {
 public:
  // In rising order of policy_step. False: there is no room for it, nor for any later one.
  bool add(const StepView& step);

  std::uint32_t count() const { return count_; }  // entries
  Duration length() const { return first_ ? newest_ - *first_ : Duration{}; }
  std::string text() const;  // the object

  static constexpr std::size_t kMaxBytes = 8u << 20;  // of the text

 private:
  void miss(std::uint32_t until);
  std::size_t size() const;

  std::uint32_t count_ = 0;
  std::optional<Instant> first_;
  Instant newest_;
  std::string source_, weights_, seconds_, proposed_, executed_, clamped_;
};

// What a reader found on disk.
struct EpisodeSteps {
  StepColumns columns;
  std::vector<CameraSpec> cameras;  // of which there are frames
  bool recorded = false;            // the segment could be read
  bool damaged = false;             // steps that were acknowledged could not
  bool truncated = false;           // there are more steps than the answer has room for
};

std::string encode_episode(const EpisodeRecord& record, const EpisodeSteps& steps,
                           Duration policy_period);

}  // namespace nudge
