// Any bytes as something that a person says to a robot at work.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "feedback/motion_words.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  static const MotionWords words = [] {
    MotionWordsConfig config;
    config.action.channels = {{"tool_x", "m/s", -0.25f, 0.25f},
                              {"tool_y", "m/s", -0.25f, 0.25f},
                              {"tool_z", "m/s", -0.25f, 0.25f},
                              {"tool_yaw", "rad/s", -1.0f, 1.0f},
                              {"gripper", "1/s", -2.0f, 2.0f}};
    return *MotionWords::make(config);
  }();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Meaning meaning = read_sentence(text);
  check((meaning.kind == Meaning::Kind::kMove) == !meaning.moves.empty());
  check(meaning.moves.size() <= 3);
  check((meaning.kind == Meaning::Kind::kNotUnderstood) == !meaning.why.empty());
  const Understood understood = words({.text = text});
  check(!understood.understood_as.empty());
  if (const auto* nudge = std::get_if<NudgeBias>(&understood.motion)) {
    check(nudge->bias.size() == 5 && nudge->length > Duration::zero());
    check(nudge->length <= std::chrono::seconds(2));
    const auto effect = effect_of(*nudge, NudgeBounds{});
    for (std::size_t i = 0; i < 5; ++i) {
      check(std::isfinite(nudge->bias[i]) && std::abs(nudge->bias[i]) <= 0.5f + 1e-6f);
      if (i < 3) check(std::abs(effect[i]) <= 0.05 / 0.25 + 1e-3);
    }
  }
  if (const auto* speed = std::get_if<SpeedChange>(&understood.motion)) {
    check(speed->scale > 0 && speed->scale <= 2);
  }
  return 0;
}
