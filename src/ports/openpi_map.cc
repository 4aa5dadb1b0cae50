#include "src/ports/openpi_map.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

namespace nudge {
namespace {

struct Preset {
  const char* cameras;
  const char* state;
  const char* actions;
  double hz;
  std::size_t horizon;
};

// The conventions of openpi's own examples, with the rates of the controllers that they drive:
// DROID's joint velocities are shares of 0.2 rad a step at 15 Hz; LIBERO's operational-space
// controller moves by at most 5 cm and 0.5 rad a step at 20 Hz; ALOHA's joints are told positions.
const std::map<std::string, Preset, std::less<>>& presets() {
  static const std::map<std::string, Preset, std::less<>> table = {
      {"droid",
       {"exterior=observation/exterior_image_1_left:224x224 "
        "wrist=observation/wrist_image_left:224x224",
        "joint_1=observation/joint_position[0]:rad:-2.9:2.9 "
        "joint_2=observation/joint_position[1]:rad:-1.8:1.8 "
        "joint_3=observation/joint_position[2]:rad:-2.9:2.9 "
        "joint_4=observation/joint_position[3]:rad:-3.1:0 "
        "joint_5=observation/joint_position[4]:rad:-2.9:2.9 "
        "joint_6=observation/joint_position[5]:rad:0:3.8 "
        "joint_7=observation/joint_position[6]:rad:-2.9:2.9 "
        "closed=observation/gripper_position[0]:1:0:1",
        "joint_1:rate:rad/s:3:1 joint_2:rate:rad/s:3:1 joint_3:rate:rad/s:3:1 "
        "joint_4:rate:rad/s:3:1 joint_5:rate:rad/s:3:1 joint_6:rate:rad/s:3:1 "
        "joint_7:rate:rad/s:3:1 closed:command:1/s:4:0:1",
        15, 10}},
      {"libero",
       {"front=observation/image:224x224 wrist=observation/wrist_image:224x224",
        "tool_x=observation/state[0]:m:-1:1 tool_y=observation/state[1]:m:-1:1 "
        "tool_z=observation/state[2]:m:0:2 turn_x=observation/state[3]:rad:-6.3:6.3 "
        "turn_y=observation/state[4]:rad:-6.3:6.3 turn_z=observation/state[5]:rad:-6.3:6.3 "
        "finger_1=observation/state[6]:m:-0.05:0.05 finger_2=observation/state[7]:m:-0.05:0.05",
        "tool_x:rate:m/s:1:1 tool_y:rate:m/s:1:1 tool_z:rate:m/s:1:1 turn_x:rate:rad/s:10:1 "
        "turn_y:rate:rad/s:10:1 turn_z:rate:rad/s:10:1 closed:command:1/s:8:-1:1",
        20, 10}},
      {"aloha",
       {"high=images/cam_high:224x224 low=images/cam_low:224x224 "
        "left_wrist=images/cam_left_wrist:224x224 right_wrist=images/cam_right_wrist:224x224",
        "left_1=state[0]:rad:-3.2:3.2 left_2=state[1]:rad:-3.2:3.2 left_3=state[2]:rad:-3.2:3.2 "
        "left_4=state[3]:rad:-3.2:3.2 left_5=state[4]:rad:-3.2:3.2 left_6=state[5]:rad:-3.2:3.2 "
        "left_gripper=state[6]:1:0:1 right_1=state[7]:rad:-3.2:3.2 right_2=state[8]:rad:-3.2:3.2 "
        "right_3=state[9]:rad:-3.2:3.2 right_4=state[10]:rad:-3.2:3.2 "
        "right_5=state[11]:rad:-3.2:3.2 right_6=state[12]:rad:-3.2:3.2 "
        "right_gripper=state[13]:1:0:1",
        "left_1:position:rad/s:6 left_2:position:rad/s:6 left_3:position:rad/s:6 "
        "left_4:position:rad/s:6 left_5:position:rad/s:6 left_6:position:rad/s:6 "
        "left_gripper:command:1/s:4:0:1 right_1:position:rad/s:6 right_2:position:rad/s:6 "
        "right_3:position:rad/s:6 right_4:position:rad/s:6 right_5:position:rad/s:6 "
        "right_6:position:rad/s:6 right_gripper:command:1/s:4:0:1",
        50, 50}},
  };
  return table;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    if (at != ' ' || end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}
std::optional<std::size_t> count(std::string_view text) {
  std::size_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Status unreadable(std::string_view setting, std::string_view item, std::string_view example) {
  return invalid_argument("openpi." + std::string(setting) + ": '" + std::string(item) +
                          "' cannot be read; write it as in " + std::string(example));
}

// "name=key:..."
struct Named {
  std::string name, key, rest;
};
std::optional<Named> named(const std::string& item) {
  const std::size_t equals = item.find('=');
  const std::size_t colon = item.find(':', equals == std::string::npos ? 0 : equals);
  if (equals == std::string::npos || colon == std::string::npos || equals == 0) return std::nullopt;
  return Named{item.substr(0, equals), item.substr(equals + 1, colon - equals - 1),
               item.substr(colon + 1)};
}

Result<OpenpiCamera> read_camera(const std::string& item) {
  const Status wrong = unreadable("cameras", item, "front=observation/image:224x224");
  const std::optional<Named> parts = named(item);
  if (!parts || parts->key.empty()) return wrong;
  const std::vector<std::string> size = split(parts->rest, 'x');
  if (size.size() != 2) return wrong;
  const std::optional<std::size_t> width = count(size[0]), height = count(size[1]);
  if (!width || !height || *width < 1 || *height < 1 || *width > 4096 || *height > 4096) {
    return wrong;
  }
  return OpenpiCamera{.spec = {.name = parts->name,
                               .width = static_cast<int>(*width),
                               .height = static_cast<int>(*height)},
                      .key = parts->key};
}

Result<OpenpiStateChannel> read_state(const std::string& item) {
  const Status wrong = unreadable("state", item, "tool_x=observation/state[0]:m:-1:1");
  const std::optional<Named> parts = named(item);
  if (!parts || !parts->key.ends_with(']')) return wrong;
  const std::size_t bracket = parts->key.rfind('[');
  if (bracket == std::string::npos || bracket == 0) return wrong;
  const std::string_view inside =
      std::string_view(parts->key).substr(bracket + 1, parts->key.size() - bracket - 2);
  const std::optional<std::size_t> index = count(inside);
  const std::vector<std::string> rest = split(parts->rest, ':');
  if (!index || *index > 4096 || rest.size() != 3 || rest[0].empty()) return wrong;
  const std::optional<double> lower = number(rest[1]), upper = number(rest[2]);
  if (!lower || !upper || !(*lower < *upper)) return wrong;
  return OpenpiStateChannel{.channel = {.name = parts->name,
                                        .unit = rest[0],
                                        .lower = static_cast<float>(*lower),
                                        .upper = static_cast<float>(*upper)},
                            .key = parts->key.substr(0, bracket),
                            .index = *index};
}

Result<OpenpiColumn> read_column(const std::string& item,
                                 const std::vector<OpenpiStateChannel>& state) {
  const Status wrong = unreadable(
      "actions", item, "tool_x:rate:m/s:1:1, left_1:position:rad/s:6 or closed:command:1/s:4:0:1");
  const std::vector<std::string> parts = split(item, ':');
  if (parts.size() < 4 || parts[0].empty() || parts[2].empty()) return wrong;
  const std::optional<double> rate = number(parts[3]);
  if (!rate || !(*rate > 0)) return wrong;
  OpenpiColumn column;
  column.channel = {.name = parts[0],
                    .unit = parts[2],
                    .lower = static_cast<float>(-*rate),
                    .upper = static_cast<float>(*rate)};
  const auto shown = std::ranges::find_if(
      state, [&](const OpenpiStateChannel& one) { return one.channel.name == parts[0]; });
  if (shown != state.end()) {
    column.measured = static_cast<std::size_t>(shown - state.begin());
    column.lower = shown->channel.lower;
    column.upper = shown->channel.upper;
  }
  if (parts[1] == "rate" && parts.size() == 5) {
    const std::optional<double> full = number(parts[4]);
    if (!full || *full == 0) return wrong;
    column.full = *full;
    return column;
  }
  if (parts[1] == "position" && parts.size() == 4) {
    column.motion = OpenpiMotion::kPosition;
    if (!column.measured) {
      return invalid_argument("openpi.actions: '" + item +
                              "' is a position, so openpi.state must have a number of that name");
    }
    return column;
  }
  if (parts[1] == "command" && parts.size() == 6) {
    const std::optional<double> lower = number(parts[4]), upper = number(parts[5]);
    if (!lower || !upper || !(*lower < *upper)) return wrong;
    column.motion = OpenpiMotion::kCommand;
    column.lower = *lower;
    column.upper = *upper;
    return column;
  }
  return wrong;
}

template <typename T, typename Read>
Status read_all(const std::string& text, Read read, std::vector<T>& out) {
  for (const std::string& item : split(text, ' ')) {
    Result<T> one = read(item);
    if (!one.ok()) return one.status();
    out.push_back(*std::move(one));
  }
  return {};
}

}  // namespace

Result<OpenpiMap> OpenpiMap::make(const OpenpiMapOptions& options) {
  const auto found = presets().find(options.preset);
  if (found == presets().end()) {
    return invalid_argument("openpi.preset: '" + options.preset +
                            "' is none of droid, libero, aloha");
  }
  const Preset& preset = found->second;
  const auto chosen = [](const std::string& text, const char* otherwise) {
    return text == "preset" ? std::string(otherwise) : text;
  };
  OpenpiMap map;
  map.prompt_ = options.prompt;
  map.horizon_ = options.horizon == 0 ? preset.horizon : options.horizon;
  if (map.horizon_ > 64) return invalid_argument("openpi.horizon must be at most 64");
  if (options.cameras != "none") {
    NUDGE_TRY(read_all(chosen(options.cameras, preset.cameras), read_camera, map.cameras_));
  }
  NUDGE_TRY(read_all(chosen(options.state, preset.state), read_state, map.state_));
  NUDGE_TRY(read_all(
      chosen(options.actions, preset.actions),
      [&map](const std::string& item) { return read_column(item, map.state_); }, map.columns_));
  if (map.state_.empty() || map.state_.size() > 256) {
    return invalid_argument("openpi.state must name 1 to 256 numbers");
  }
  if (map.columns_.empty() || map.columns_.size() > 64) {
    return invalid_argument("openpi.actions must name 1 to 64 columns");
  }
  if (map.cameras_.size() > 16) return invalid_argument("openpi.cameras must be at most 16");

  RobotSpec& spec = map.spec_;
  spec.id = chosen(options.robot, options.preset.c_str());
  const double hz = options.hz > 0 ? options.hz : preset.hz;
  const auto ticks = std::max<std::int64_t>(1, std::llround(std::ceil(50.0 / hz - 1e-9)));
  spec.control_period = from_seconds(1.0 / (hz * static_cast<double>(ticks)));
  spec.policy_period = spec.control_period * ticks;
  for (const OpenpiCamera& camera : map.cameras_) {
    spec.observation.cameras.push_back(camera.spec);
  }
  for (const OpenpiStateChannel& one : map.state_) {
    spec.observation.proprioception.push_back(one.channel);
    spec.observation.object_state.push_back(one.channel);
  }
  for (const OpenpiColumn& column : map.columns_) spec.action.channels.push_back(column.channel);
  return map;
}

double OpenpiMap::step_seconds() const { return seconds(spec_.policy_period); }

Result<Observation> OpenpiMap::observation(const OpenpiMessage& request) const {
  Observation observation;
  std::string key;
  std::vector<double> numbers;
  for (const OpenpiStateChannel& one : state_) {
    if (one.key != key || numbers.empty()) {
      const OpenpiValue* const value = request.find(one.key);
      if (value == nullptr) {
        return invalid_argument("the observation has no '" + one.key +
                                "'; openpi.state or openpi.preset says where its state is");
      }
      Result<std::vector<double>> read = openpi_numbers(*value);
      if (!read.ok()) {
        return invalid_argument("'" + one.key + "' " + read.status().message());
      }
      numbers = *std::move(read);
      key = one.key;
    }
    if (one.index >= numbers.size()) {
      return invalid_argument("'" + one.key + "' has " + std::to_string(numbers.size()) +
                              " numbers; openpi.state asks for number " +
                              std::to_string(one.index));
    }
    observation.proprioception.push_back(static_cast<float>(numbers[one.index]));
  }
  observation.object_state = observation.proprioception;
  return observation;
}

std::string OpenpiMap::prompt(const OpenpiMessage& request) const {
  return std::string(request.text(prompt_));
}

std::vector<float> OpenpiMap::rates(const OpenpiChunk& chunk, std::span<const double> rest) const {
  const std::size_t width = columns_.size();
  std::vector<float> rates(chunk.numbers.size());
  for (std::size_t c = 0; c < width; ++c) {
    const OpenpiColumn& column = columns_[c];
    const double step = double{column.channel.upper} * step_seconds();
    double before = rest[c];
    for (std::size_t r = 0; r < chunk.horizon; ++r) {
      const double now = chunk.numbers[r * width + c];
      if (column.motion == OpenpiMotion::kRate) {
        rates[r * width + c] = static_cast<float>(now / column.full);
        continue;
      }
      const bool jumps = column.motion == OpenpiMotion::kCommand;
      const double rate = (now - before) / step;
      rates[r * width + c] = static_cast<float>(jumps ? std::clamp(rate, -1.0, 1.0) : rate);
      // What jumps gets there at its full rate; what does not is there after the step.
      before = jumps ? before + std::clamp(now - before, -step, step) : now;
    }
  }
  return rates;
}

OpenpiChunk OpenpiMap::chunk(std::span<const float> rates, std::span<const double> stay,
                             const std::string& dtype) const {
  const std::size_t width = columns_.size();
  const std::size_t rows = rates.size() / width;
  std::vector<double> numbers(horizon_ * width);
  for (std::size_t c = 0; c < width; ++c) {
    const OpenpiColumn& column = columns_[c];
    const double step = double{column.channel.upper} * step_seconds();
    double at = stay[c];
    for (std::size_t r = 0; r < horizon_; ++r) {
      const double rate = r < rows ? double{rates[r * width + c]} : 0.0;
      double& number = numbers[r * width + c];
      if (column.motion == OpenpiMotion::kRate) {
        number = openpi_number_within(rate * column.full, 0, dtype);
        continue;
      }
      // What is outside already is not thrown back in.
      const double low = std::min(at, column.lower), high = std::max(at, column.upper);
      at = std::clamp(at + rate * step, low, high);
      number = at;
    }
  }
  return make_openpi_chunk(horizon_, width, std::move(numbers), dtype);
}

Result<OpenpiChunk> OpenpiMap::edited(const OpenpiChunk& chunk, std::span<const float> rates,
                                      std::span<const float> edited,
                                      std::span<const double> rest) const {
  const std::size_t width = columns_.size();
  const std::size_t size = chunk.horizon * width;
  if (chunk.width != width || chunk.numbers.size() != size || rates.size() != size ||
      edited.size() != size || rest.size() != width) {
    return invalid_argument("the edit of a chunk of " + std::to_string(chunk.horizon) + " x " +
                            std::to_string(chunk.width) + " has " + std::to_string(edited.size()) +
                            " numbers");
  }
  const auto finite = [](float x) { return std::isfinite(x); };
  if (!std::ranges::all_of(rates, finite) || !std::ranges::all_of(edited, finite)) {
    return invalid_argument("the edit of a chunk holds a number that is not finite");
  }
  std::vector<double> numbers = chunk.numbers;
  for (std::size_t c = 0; c < width; ++c) {
    const OpenpiColumn& column = columns_[c];
    const double step = double{column.channel.upper} * step_seconds();
    double apart = 0;                    // kPosition: so far
    double to = rest[c], was = rest[c];  // kCommand: where the edit leads, and where it led before
    for (std::size_t r = 0; r < chunk.horizon; ++r) {
      const double rate = double{edited[r * width + c]}, before = double{rates[r * width + c]};
      double& number = numbers[r * width + c];
      switch (column.motion) {
        case OpenpiMotion::kRate: number += (rate - before) * column.full; break;
        case OpenpiMotion::kPosition: {
          apart += (rate - before) * step;
          // What is outside already is not thrown back in.
          const double low = std::min(number, column.lower), high = std::max(number, column.upper);
          number = std::clamp(number + apart, low, high);
          break;
        }
        case OpenpiMotion::kCommand: {
          to = std::clamp(to + rate * step, std::min(to, column.lower), std::max(to, column.upper));
          was = std::clamp(was + before * step, std::min(was, column.lower),
                           std::max(was, column.upper));
          if (std::abs(to - was) > step / 2) number = to;
          break;
        }
      }
    }
  }
  return make_openpi_chunk(chunk.horizon, width, std::move(numbers), chunk.dtype);
}

Result<OpenpiScreened> OpenpiMap::screen(OpenpiChunk chunk, std::span<const float> state,
                                         std::span<const double> max_rate, double slack) const {
  const std::size_t width = columns_.size();
  if (chunk.width != width || chunk.numbers.size() != chunk.horizon * width ||
      state.size() != state_.size() || max_rate.size() != width) {
    return invalid_argument("a chunk of " + std::to_string(chunk.horizon) + " x " +
                            std::to_string(chunk.width) + " does not fit this robot");
  }
  // Before any limit: what is not a number is beyond none.
  if (!std::ranges::all_of(chunk.numbers, [](double x) { return std::isfinite(x); }) ||
      !std::ranges::all_of(state, [](float x) { return std::isfinite(x); })) {
    return invalid_argument(
        "a chunk, or the state it begins at, holds a number that is not finite");
  }
  OpenpiScreened screened;
  std::vector<double> numbers = chunk.numbers;
  for (std::size_t c = 0; c < width; ++c) {
    const OpenpiColumn& column = columns_[c];
    if (column.motion == OpenpiMotion::kCommand) {
      for (std::size_t r = 0; r < chunk.horizon; ++r) {
        double& number = numbers[r * width + c];
        const double inside = std::clamp(number, column.lower, column.upper);
        // A policy overshoots the end of a gripper's way by its own noise.
        const double room = slack * (column.upper - column.lower);
        if (std::abs(number - inside) <= room) continue;
        number = openpi_number_within(inside, (column.lower + column.upper) / 2, chunk.dtype);
        screened.as_is = false;
      }
      continue;
    }
    const bool is_rate = column.motion == OpenpiMotion::kRate;
    const double step = is_rate ? column.full : double{column.channel.upper} * step_seconds();
    double before = is_rate ? 0.0 : double{state[*column.measured]};
    for (std::size_t r = 0; r < chunk.horizon; ++r) {
      double& number = numbers[r * width + c];
      const double rate = (number - before) / step;
      if (std::abs(rate) > max_rate[c] + slack) {
        number = openpi_number_within(before + std::copysign(max_rate[c], rate) * step, before,
                                      chunk.dtype);
        screened.as_is = false;
      }
      if (!is_rate) before = number;
    }
  }
  screened.chunk = screened.as_is
                       ? std::move(chunk)
                       : make_openpi_chunk(chunk.horizon, width, std::move(numbers), chunk.dtype);
  return screened;
}

std::vector<double> OpenpiMap::rest(std::span<const float> state,
                                    std::span<const double> told) const {
  std::vector<double> rest(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const OpenpiColumn& column = columns_[c];
    if (column.motion == OpenpiMotion::kRate) continue;
    const bool command = column.motion == OpenpiMotion::kCommand;
    if (command && c < told.size()) {
      rest[c] = told[c];
    } else if (column.measured) {
      rest[c] = double{state[*column.measured]};
    } else {
      rest[c] = column.lower;
    }
  }
  return rest;
}

}  // namespace nudge
