// A line on the terminal for each episode: how it went, who drove how long, with which weights.
#pragma once

#include <cstdio>
#include <string>

#include "src/ports/desk.h"

namespace nudge {

// "episode  12  worked   4.6 s   policy 3.8 s, person 0.8 s in 1 takeover   v7   last 20: 17 (85
// %)".
std::string episode_line(const EpisodeRow& row, const SuccessRate& recent);

// Lives on the io thread.
class EpisodeLines final : public DeskListener {
 public:
  // Both outlive it. `desk` is set before the daemon starts.
  explicit EpisodeLines(std::FILE* stream) : stream_(stream) {}
  void watch(const Desk& desk);

  void on_events(std::span<const Event> events) override;
  void on_status() override;
  void on_frame(std::size_t) override {}

 private:
  void print(const EpisodeRow& row);

  std::FILE* stream_;
  const Desk* desk_ = nullptr;
  EpisodeId printed_ = 0;
};

}  // namespace nudge
