// Words move the tool of the simulated kitchen by about what was said, beside what the policy does.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "feedback/motion_words.h"
#include "src/learning/settings.h"
#include "src/loop/controller.h"
#include "src/sim/kitchen_robot.h"

namespace nudge {
namespace {

const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};

// Tool x, y, z and gripper opening after four seconds of a policy that drives steadily, with `said`
// after half a second.
std::array<double, 4> end_of_run(const std::string& said, AuthorityState* state = nullptr) {
  std::array<double, 4> end{};
  KitchenOptions options;
  options.actuation_noise = 0;
  auto robot = KitchenRobot::create(options);
  EXPECT_TRUE(robot.ok()) << robot.status().message();
  EXPECT_TRUE((*robot)->reset(7).ok());
  Config config;
  const RobotSpec& spec = (*robot)->spec();
  auto controller = Controller::make(**robot, controller_options(config, spec, {}));
  EXPECT_TRUE(controller.ok()) << controller.status().message();
  const auto words = MotionWords::make(motion_words_config(config, spec));
  EXPECT_TRUE(words.ok()) << words.status().message();
  (*controller)->begin_episode(1, (*robot)->now());
  std::vector<AuthorityAct> acts = {{.id = "start", .actor = kAnna, .body = HandBack{}}};
  for (int tick = 0; tick < 200; ++tick) {
    const Instant now = (*robot)->now();
    if ((*controller)->player().needs_chunk(now)) {
      ActionChunk chunk;
      chunk.horizon = static_cast<std::size_t>(config.policy.horizon);
      chunk.action_size = spec.action.size();
      chunk.version = 1;
      chunk.observed = now;
      for (std::size_t i = 0; i < chunk.horizon; ++i) {
        chunk.actions.insert(chunk.actions.end(), {0.05f, 0.05f, 0.0f, 0.0f});
      }
      (void)(*controller)->player().load(std::move(chunk), now);
    }
    if (tick == 25 && !said.empty()) {
      Understood understood = (*words)({.text = said});
      auto* nudge = std::get_if<NudgeBias>(&understood.motion);
      EXPECT_NE(nudge, nullptr) << said << ": " << understood.understood_as;
      if (nudge != nullptr) acts.push_back({.id = "w", .actor = kAnna, .body = *nudge});
    }
    ControlInputs inputs;
    inputs.acts = acts;
    const TickOutcome outcome = (*controller)->tick(now, WallTime{}, inputs);
    acts.clear();
    if (state != nullptr) *state = outcome.decision->state;
    // Nobody applied anything: the world goes on by itself.
    const bool applied = (*robot)->now() != now;
    EXPECT_TRUE(applied || (*robot)->advance().ok());
  }
  const auto seen = (*robot)->observe();
  for (std::size_t i = 0; i < 4; ++i) end[i] = double{seen->proprioception[i]};
  return end;
}

class NudgeInTheKitchen : public ::testing::Test {
 protected:
  // How far the words took the tool from where the policy alone ends.
  std::array<double, 4> effect_of_words(const std::string& said) {
    static const std::array<double, 4> alone = end_of_run("");
    AuthorityState state = AuthorityState::kHold;
    std::array<double, 4> moved = end_of_run(said, &state);
    EXPECT_EQ(state, AuthorityState::kAuto);
    for (std::size_t i = 0; i < 4; ++i) moved[i] -= alone[i];
    std::printf("\"%s\": %+.1f %+.1f %+.1f mm, gripper %+.1f mm\n", said.c_str(), 1e3 * moved[0],
                1e3 * moved[1], 1e3 * moved[2], 1e3 * moved[3]);
    return moved;
  }
};

TEST_F(NudgeInTheKitchen, MovesTheToolAsFarAsWasSaid) {
  struct Case {
    const char* said;
    std::size_t axis;
    double metres;
  };
  for (const Case& each : {Case{"2 cm down", 2, -0.02}, Case{"1 cm up", 2, 0.01},
                           Case{"a lot lower", 2, -0.05}, Case{"3 cm to your left", 1, 0.03},
                           Case{"2 cm to the left", 1, -0.02}, Case{"2 cm forward", 0, 0.02}}) {
    const auto moved = effect_of_words(each.said);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double wanted = axis == each.axis ? each.metres : 0;
      EXPECT_NEAR(moved[axis], wanted, 0.1 * std::abs(each.metres) + 0.001) << each.said << axis;
    }
  }
}

TEST_F(NudgeInTheKitchen, MovesBothWaysAtOnce) {
  const auto moved = effect_of_words("2 cm lower and 1 cm to the right");
  EXPECT_NEAR(moved[2], -0.02, 0.003);
  EXPECT_NEAR(moved[1], 0.01, 0.002);
  EXPECT_NEAR(moved[0], 0, 0.002);
}

TEST_F(NudgeInTheKitchen, ClosesTheGripper) {
  EXPECT_LT(effect_of_words("close the gripper")[3], -0.05);
  EXPECT_NEAR(effect_of_words("close the gripper a bit")[3], -0.01, 0.004);
}

}  // namespace
}  // namespace nudge
