#include "src/sim/level.h"

#include <algorithm>
#include <cctype>

#include "src/sim/burner_level.h"
#include "src/sim/drawer_level.h"
#include "src/sim/lift_level.h"
#include "src/sim/places_level.h"

namespace nudge {
namespace {

constexpr std::uint64_t kTaskStream = 3;  // of Random::derive, beside those of the robot
constexpr std::size_t kDrawerChannels = 4;

Channel channel(const std::string& name, const char* unit, double lower, double upper) {
  return {name, unit, static_cast<float>(lower), static_cast<float>(upper)};
}

constexpr const char* kAxes[] = {"_x", "_y", "_z"};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalpha(letter)) {
      words.back() += static_cast<char>(std::tolower(letter));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  return words;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

KitchenLevel::KitchenLevel(LevelData data) : data_(std::move(data)) {}

std::vector<Channel> KitchenLevel::channels() const {
  const auto& lo = kWorkspaceLower;
  const auto& hi = kWorkspaceUpper;
  std::vector<Channel> all;
  const auto from_tool = [&](const std::string& name) {
    for (int i = 0; i < 3; ++i) {
      all.push_back(channel(name + "_from_tool" + kAxes[i], "m", lo[i] - hi[i], hi[i] - lo[i]));
    }
  };
  for (const KitchenObject& object : data_.objects) {
    for (int i = 0; i < 3; ++i) {
      all.push_back(channel(object.name + kAxes[i], "m", lo[i], hi[i]));
    }
    from_tool(object.name);
  }
  if (data_.drawer) {
    all.push_back(channel("drawer_open", "m", 0, kDrawerTravel));
    from_tool("handle");
  }
  for (const std::string& word : data_.words) all.push_back(channel("task_" + word, "1", 0, 1));
  return all;
}

std::vector<float> KitchenLevel::object_state(const KitchenState& state) const {
  std::vector<float> all;
  const auto from_tool = [&](const Vec3& at) {
    for (int i = 0; i < 3; ++i) all.push_back(static_cast<float>(at[i] - state.tool[i]));
  };
  for (const Vec3& object : state.objects) {
    for (const double v : object) all.push_back(static_cast<float>(v));
    from_tool(object);
  }
  if (data_.drawer) {
    all.push_back(static_cast<float>(state.drawer));
    from_tool(drawer_handle(state.drawer));
  }
  for (const std::string& word : data_.words) {
    all.push_back(contains(data_.tasks[state.task].words, word) ? 1.0f : 0.0f);
  }
  return all;
}

Result<KitchenState> KitchenLevel::state_of(const Observation& observation) const {
  const auto& p = observation.proprioception;
  const auto& o = observation.object_state;
  const std::size_t drawer = 6 * data_.objects.size();
  const std::size_t words = drawer + (data_.drawer ? kDrawerChannels : 0);
  const std::size_t size = words + data_.words.size();
  if (p.size() != kKitchenProprioceptionSize || o.size() != size) {
    return invalid_argument("observation has " + std::to_string(p.size()) +
                            " values of proprioception and " + std::to_string(o.size()) +
                            " of object state; level " + std::to_string(data_.number) +
                            " of the kitchen has " + std::to_string(kKitchenProprioceptionSize) +
                            " and " + std::to_string(size));
  }
  KitchenState state;
  state.tool = {p[kToolX], p[kToolY], p[kToolZ]};
  state.opening = p[kGripperOpening];
  for (std::size_t i = 0; i < drawer; i += 6) state.objects.push_back({o[i], o[i + 1], o[i + 2]});
  if (data_.drawer) state.drawer = o[drawer];
  for (std::size_t task = 0; task < data_.tasks.size(); ++task) {
    bool fits = true;
    for (std::size_t w = 0; w < data_.words.size(); ++w) {
      fits = fits && contains(data_.tasks[task].words, data_.words[w]) == (o[words + w] > 0.5f);
    }
    if (fits) state.task = task;
  }
  return state;
}

std::size_t KitchenLevel::task_of(std::uint64_t seed) const {
  return Random::derive(seed, kTaskStream) % data_.tasks.size();
}

std::size_t KitchenLevel::task_meant(std::string_view instruction, std::size_t otherwise) const {
  const std::vector<std::string> said = words_of(instruction);
  for (std::size_t task = 0; task < data_.tasks.size(); ++task) {
    bool fits = !data_.words.empty();
    for (const std::string& word : data_.words) {
      fits = fits && contains(data_.tasks[task].words, word) == contains(said, word);
    }
    if (fits) return task;
  }
  return otherwise;
}

const std::vector<const KitchenLevel*>& kitchen_levels() {
  static const std::vector<const KitchenLevel*> levels = {&lift_level(), &drawer_level(),
                                                          &burner_level(), &places_level()};
  return levels;
}

Result<const KitchenLevel*> kitchen_level(int number) {
  const auto& levels = kitchen_levels();
  if (number < 1 || static_cast<std::size_t>(number) > levels.size()) {
    return not_found("the kitchen has no level " + std::to_string(number) + "; there are 1 to " +
                     std::to_string(levels.size()));
  }
  return levels[static_cast<std::size_t>(number - 1)];
}

}  // namespace nudge
