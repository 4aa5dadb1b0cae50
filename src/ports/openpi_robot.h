// A robot whose program asks over the openpi protocol, as the step thread sees it: every call
// returns at once. The socket is OpenpiPort's, on the io thread.
#pragma once

#include <memory>
#include <string>

#include "src/loop/asking_robot.h"
#include "src/ports/openpi_link.h"
#include "src/ports/openpi_map.h"

namespace nudge {

struct OpenpiRobotOptions {
  Instant (*clock)() = nullptr;
  bool policy_elsewhere = false;                    // an upstream's chunks are passed on
  Duration gap = std::chrono::seconds(2);           // without a request: the program rests
  Duration fresh = std::chrono::milliseconds(200);  // longest that a takeover may take, unless
  bool slow_takeover = false;                       // people may take over all the same
};

// Outlives connections, and the port. What it cannot do: the program plays each chunk to its end,
// whatever apply(), hold() or estop() say meanwhile; they decide what the next request is answered.
class OpenpiRobot final : public AskingRobot {
 public:
  OpenpiRobot(std::shared_ptr<const OpenpiMap> map, std::shared_ptr<OpenpiLink> link,
              OpenpiRobotOptions options);

  const RobotSpec& spec() const override { return map_->spec(); }
  // The program resets its scene by itself, before it asks.
  Status reset(std::uint64_t) override { return {}; }
  // The program asks for nothing: it is not there, or has rested since its last chunk.
  bool resetting() override { return rests_; }
  // kUnavailable while it rests, and says why.
  Result<Observation> observe() override;
  Status apply(const Action& action, Instant deadline) override;
  void hold() override;
  void estop() override;
  Status reset_estop() override;

  bool policy_elsewhere() const override { return options_.policy_elsewhere; }
  AskingNews take_news() override;
  Instant newest() const override { return newest_.observation.time; }
  void plan(const ActionChunk& chunk) override;
  void edited(const ActionChunk& chunk) override { plan(chunk); }
  void decided(TickVerdict verdict) override;

 private:
  std::shared_ptr<const OpenpiMap> map_;
  std::shared_ptr<OpenpiLink> link_;
  OpenpiRobotOptions options_;
  OpenpiLink::Asked newest_;
  bool asked_ = false;        // at least once
  std::uint64_t heeded_ = 0;  // see OpenpiLink::Decided
  bool rests_ = true;
  std::string trouble_;
};

}  // namespace nudge
