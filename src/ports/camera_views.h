// What each live viewer has wanted, been sent and not yet shown of each camera. The next frame of a
// camera goes out when the one before has been shown, and is the newest then: a slow line gets
// fewer frames, not older ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nudge/time.h"
#include "nudge/types.h"
#include "src/ports/http_server.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {

// The io thread. Cameras are numbered as in RobotSpec; what names one that does not exist changes
// nothing. Times are of the robot's steady clock. A viewer that has wanted nothing is not known.
class CameraViews {
 public:
  // A frame that nobody said to have seen for `frame_timeout` is taken for lost.
  CameraViews(std::span<const CameraSpec> cameras, Duration frame_timeout);

  bool has(const std::string& camera) const;

  // Replaces what the viewer has wanted before. Those that it did not want until now: it gets a
  // picture of these at once, though it may have had it before.
  std::vector<std::size_t> want(ConnectionId viewer, std::span<const std::string> names);
  // Whether it is the newest that was sent, and another may follow.
  bool see(ConnectionId viewer, const FrameSeen& seen);
  void forget(ConnectionId viewer);

  // There is a newer frame of the camera.
  void renew(std::size_t camera);
  // The newest frame of the camera, of `frames` (as Desk's), in the bytes that
  // docs/reference/supervisor-port.md draws; it counts as sent. None: there is none yet, the viewer
  // does not want it, has it, or has not shown the one before.
  std::optional<std::vector<std::uint8_t>> next(ConnectionId viewer, std::size_t camera,
                                                std::span<const Image> frames, Instant now);

 private:
  // A camera, as one viewer sees it.
  struct View {
    bool wanted = false;
    std::uint32_t sent = 0;            // sequence of the newest frame sent; 0: none
    std::optional<Instant> in_flight;  // since when it is on its way
  };
  View* find(ConnectionId viewer, std::size_t camera);

  std::vector<std::string> names_;
  Duration frame_timeout_;
  std::vector<std::uint32_t> sequences_;  // of the newest frame of each camera; 0: none
  std::map<ConnectionId, std::vector<View>> viewers_;
};

}  // namespace nudge
