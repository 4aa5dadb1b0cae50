// Between the numbers of an openpi program and those of the daemon: which key is which camera,
// which number of its state and which column of its chunks is which channel. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "src/ports/openpi_wire.h"

namespace nudge {

struct OpenpiCamera {
  CameraSpec spec;
  std::string key;  // "observation/image"
};
struct OpenpiStateChannel {
  Channel channel;
  std::string key;  // "observation/state"
  std::size_t index = 0;
};

// How a column of a chunk moves its channel.
enum class OpenpiMotion {
  kRate,      // the column is the rate itself, or the motion of one step: 0 is "stay"
  kPosition,  // a position to go to, in the channel's unit: where it is now is "stay"
  kCommand,   // a position that may be jumped to, as grippers are told
};
struct OpenpiColumn {
  Channel channel;  // upper: its rate at 1, per second; lower: -upper
  OpenpiMotion motion = OpenpiMotion::kRate;
  double full = 1;                      // kRate: what stands in the column at rate 1
  std::optional<std::size_t> measured;  // kPosition, kCommand: the state channel that shows it
  double lower = 0, upper = 0;          // of the position
};

struct OpenpiMapOptions {
  std::string preset = "droid";  // droid, libero, aloha
  // "preset", or in the notation of docs/reference/openpi-port.md
  std::string robot = "preset";
  std::string cameras = "preset";
  std::string state = "preset";
  std::string actions = "preset";
  std::string prompt = "prompt";
  double hz = 0;            // 0: the preset's
  std::size_t horizon = 0;  // 0: the preset's
};

// What has become of a chunk on its way to the robot.
struct OpenpiScreened {
  OpenpiChunk chunk;
  bool as_is = true;  // no number was changed
};

// Immutable; any thread.
class OpenpiMap {
 public:
  // kInvalidArgument with the item that cannot be read, and what it should look like.
  static Result<OpenpiMap> make(const OpenpiMapOptions& options);

  // The robot as the daemon knows it. Its object state is its state: what its features are made of
  // while no backbone looks at its cameras. Steps are policy steps; control ticks divide them, and
  // last at most 20 ms.
  const RobotSpec& spec() const { return spec_; }
  std::size_t horizon() const { return horizon_; }
  double step_seconds() const;
  const std::vector<OpenpiCamera>& cameras() const { return cameras_; }
  const std::vector<OpenpiColumn>& columns() const { return columns_; }

  // The state that a request tells, without pictures and time. kInvalidArgument: a key is missing
  // or too short; the message names it.
  Result<Observation> observation(const OpenpiMessage& request) const;
  // The instruction; empty: none.
  std::string prompt(const OpenpiMessage& request) const;
  // The request with another one. None: it has none to replace.
  std::optional<std::string> with_prompt(std::string_view request, std::string_view prompt) const {
    return with_openpi_text(request, prompt_, prompt);
  }

  // The rates that a chunk of the map's horizon and width asks for, from where the robot was;
  // `rest` as of rest(). Commands jump, so that theirs are cut to 1, for as long as it takes to get
  // there.
  std::vector<float> rates(const OpenpiChunk& chunk, std::span<const double> rest) const;

  // `chunk`, whose rates are `rates`, moved by as much as `edited` differs from them, both
  // [horizon, columns]. Bit for bit the same where they do not differ. A command goes to where
  // `edited` leads as soon as that is more than half a step from where `rates` lead.
  // kInvalidArgument: another size, or a rate that is not finite.
  Result<OpenpiChunk> edited(const OpenpiChunk& chunk, std::span<const float> rates,
                             std::span<const float> edited, std::span<const double> rest) const;

  // The chunk that moves at `rates` [rows, columns], and then stays where it is, for all of the
  // horizon. `stay`: where positions are kept and commands begin, see rest(). Rates are rounded
  // towards 0, positions to the nearest number of `dtype`.
  OpenpiChunk chunk(std::span<const float> rates, std::span<const double> stay,
                    const std::string& dtype) const;

  // A chunk within the limits: what moves faster than `max_rate` and `slack` allow is cut to
  // max_rate, and not rounded beyond it. `max_rate` has one number for each column.
  // kInvalidArgument: another size, or a number that is not finite, which no limit would stop.
  Result<OpenpiScreened> screen(OpenpiChunk chunk, std::span<const float> state,
                                std::span<const double> max_rate, double slack) const;

  // Where each column stays: measured, or else (and for commands) as it was told last; `told` is
  // empty before anything was.
  std::vector<double> rest(std::span<const float> state, std::span<const double> told) const;

 private:
  RobotSpec spec_;
  std::size_t horizon_ = 0;
  std::vector<OpenpiCamera> cameras_;
  std::vector<OpenpiStateChannel> state_;
  std::vector<OpenpiColumn> columns_;
  std::string prompt_;
};

}  // namespace nudge
