#include "feedback/motion_words.h"

#include <cmath>

#include "feedback/vocabulary.h"
#include "nudge/random.h"
#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;

MotionWordsConfig usual_words() {
  MotionWordsConfig config;
  config.action = four_channels();
  config.bounds = NudgeBounds::of(usual_config());
  return config;
}

Understood understand(const std::string& text, const MotionWordsConfig& config = usual_words(),
                      std::optional<Viewpoint> view = std::nullopt) {
  const auto words = MotionWords::make(config);
  EXPECT_TRUE(words.ok()) << words.status().message();
  return (*words)({.text = text, .meant = WordsUse::kInstruction, .view = view});
}

const NudgeBias& nudge_of(const Understood& understood) {
  static const NudgeBias none;
  const auto* nudge = std::get_if<NudgeBias>(&understood.motion);
  EXPECT_NE(nudge, nullptr) << understood.understood_as << understood.why;
  return nudge != nullptr ? *nudge : none;
}

// Metres that the nudge adds to what the policy does, by channel of four_channels().
std::vector<double> metres(const Understood& understood) {
  std::vector<double> moved = effect_of(nudge_of(understood), usual_words().bounds);
  for (double& each : moved) each *= 0.25;
  return moved;
}

// ---- directions ---------------------------------------------------------------------------------

TEST(MotionWords, MoveTheChannelsThatTheRobotHas) {
  EXPECT_NEAR(metres(understand("2 cm up"))[2], 0.02, 1e-4);
  EXPECT_NEAR(metres(understand("2 cm lower"))[2], -0.02, 1e-4);
  EXPECT_NEAR(metres(understand("forward 2 cm"))[0], 0.02, 1e-4);
  EXPECT_NEAR(metres(understand("back off 2 cm"))[0], -0.02, 1e-4);
  EXPECT_NEAR(metres(understand("to your left 2 cm"))[1], 0.02, 1e-4);
}

TEST(MotionWords, LeftIsThePersonsAsTheyLookAtTheRobot) {
  const auto facing = Viewpoint::kFacing, behind = Viewpoint::kBehind;
  EXPECT_NEAR(metres(understand("2 cm left"))[1], -0.02, 1e-4) << "face to face by default";
  EXPECT_NEAR(metres(understand("2 cm left", usual_words(), facing))[1], -0.02, 1e-4);
  EXPECT_NEAR(metres(understand("2 cm left", usual_words(), behind))[1], 0.02, 1e-4);
  EXPECT_NEAR(metres(understand("2 cm closer", usual_words(), facing))[0], 0.02, 1e-4);
  EXPECT_NEAR(metres(understand("2 cm closer", usual_words(), behind))[0], -0.02, 1e-4);
  EXPECT_NEAR(metres(understand("2 cm forward", usual_words(), behind))[0], 0.02, 1e-4);
  MotionWordsConfig config = usual_words();
  config.view = behind;
  EXPECT_NEAR(metres(understand("2 cm left", config))[1], 0.02, 1e-4);
}

TEST(MotionWords, TwoDirectionsMoveAtOnceAndNothingElseMoves) {
  const auto moved = metres(understand("2 cm lower and 1 cm to the left"));
  EXPECT_NEAR(moved[0], 0, 1e-12);
  EXPECT_NEAR(moved[1], -0.01, 1e-4);
  EXPECT_NEAR(moved[2], -0.02, 1e-4);
  EXPECT_EQ(moved[3], 0);
}

TEST(MotionWords, SayWhatWillHappen) {
  EXPECT_EQ(understand("a bit lower").understood_as, "move the tool 2 cm down");
  EXPECT_EQ(understand("a hair to the left").understood_as, "move the tool 1 cm to your left");
  EXPECT_EQ(understand("5mm closer and up").understood_as,
            "move the tool 5 mm towards you and 5 mm up");
  EXPECT_EQ(understand("close the gripper").understood_as, "close the gripper");
  EXPECT_EQ(understand("stop").understood_as, "stop: hold still");
  EXPECT_EQ(understand("half speed").understood_as, "work at 50 % of the policy's own speed");
  EXPECT_EQ(understand("put it away").understood_as, "instruction: put it away");
  EXPECT_EQ(understand("up down").understood_as,
            "not understood: the directions exclude each other");
}

TEST(MotionWords, CutWhatIsTooFarAndSaySo) {
  const Understood far = understand("20 cm lower");
  EXPECT_EQ(far.understood_as, "move the tool 5 cm down (at most 5 cm at a time)");
  EXPECT_NEAR(metres(far)[2], -0.05, 1e-4);
  EXPECT_NEAR(metres(understand("a lot lower"))[2], -0.05, 1e-4);
}

TEST(MotionWords, OnlyOpeningAndGoingBackAskBack) {
  EXPECT_TRUE(understand("let go").confirm);
  EXPECT_TRUE(understand("go back").confirm);
  for (const char* text : {"a bit lower", "close the gripper", "slower", "stop", "put it away"}) {
    EXPECT_FALSE(understand(text).confirm) << text;
  }
}

TEST(MotionWords, ChatterIsNeverATask) {
  EXPECT_EQ(understand("good job").use, WordsUse::kComment);
  EXPECT_EQ(understand("pick up the cup").use, WordsUse::kInstruction);
  EXPECT_EQ(understand("a bit lower").use, WordsUse::kNudge);
  EXPECT_EQ(understand("slower").use, WordsUse::kSpeed);
  EXPECT_EQ(understand("whoa").use, WordsUse::kHold);
}

// ---- robots of other kinds ----------------------------------------------------------------------

TEST(MotionWords, ARobotWithoutTheChannelIsToldWhy) {
  MotionWordsConfig config = usual_words();
  config.action.channels = {{"shoulder", "rad/s", -1.0f, 1.0f}};
  for (const char* text : {"a bit lower", "close the gripper", "turn left", "let go"}) {
    const Understood understood = understand(text, config);
    EXPECT_TRUE(std::holds_alternative<std::monostate>(understood.motion)) << text;
    EXPECT_FALSE(understood.why.empty());
    EXPECT_FALSE(understood.confirm) << "there is nothing to confirm";
  }
  config.axes = "none";
  EXPECT_FALSE(understand("a bit lower", config).why.empty());
}

TEST(MotionWords, AxesCanBeNamed) {
  MotionWordsConfig config = usual_words();
  config.action.channels = {{"z", "m/s", -0.1f, 0.1f}, {"yaw", "rad/s", -1.0f, 1.0f}};
  config.axes = "up=-z turn_left=+yaw";
  EXPECT_NEAR(0.1 * effect_of(nudge_of(understand("1 cm up", config)), config.bounds)[0], -0.01,
              1e-4);
  EXPECT_NEAR(effect_of(nudge_of(understand("turn left 10 degrees", config)), config.bounds)[1],
              10 * 3.14159265 / 180, 1e-3);
  for (const char* wrong : {"up=z", "up=+", "up", "over=+z", "up=+x", "=+z", "up=+z;left=+z"}) {
    config.axes = wrong;
    EXPECT_EQ(MotionWords::make(config).status().code(), Code::kInvalidArgument) << wrong;
  }
  config.axes = "auto";
  config.bit = 0.06;
  EXPECT_FALSE(MotionWords::make(config).ok()) << "a bit is more than the most";
}

TEST(MotionWords, ASlowRobotMovesAsFarAsItCanAndSaysSo) {
  MotionWordsConfig config = usual_words();
  config.action.channels = {{"tool_z", "m/s", -0.02f, 0.02f}};
  const Understood understood = understand("5 cm up", config);
  const double moved = 0.02 * effect_of(nudge_of(understood), config.bounds)[0];
  EXPECT_NEAR(moved, 0.018, 1e-3);
  EXPECT_NE(understood.understood_as.find("at most 1.8 cm"), std::string::npos)
      << understood.understood_as;
}

TEST(MotionWords, AChannelWithoutAUnitMovesByShares) {
  MotionWordsConfig config = usual_words();
  config.action.channels = {{"tool_z", "1/s", -1.0f, 1.0f}};
  const Understood understood = understand("a bit up", config);
  EXPECT_EQ(understood.understood_as, "move the tool a bit up");
  EXPECT_NEAR(effect_of(nudge_of(understood), config.bounds)[0], 0.2, 1e-3);
}

// ---- the plan -----------------------------------------------------------------------------------

TEST(NudgePlan, IsWhatTheAuthorityDoes) {
  for (const double wanted : {0.002, 0.01, 0.08, 0.2, 0.5, 0.9}) {
    const NudgeBounds bounds = NudgeBounds::of(usual_config());
    const NudgeBias nudge = plan_nudge({0, 0, -wanted, wanted / 2}, bounds);
    Rig rig;
    rig.proposal = {0.1f, 0, 0, 0};
    rig.reach(AuthorityState::kAuto);
    rig.act(kAnna, nudge, "n");
    std::vector<double> moved(4, 0.0);
    for (int i = 0; i < 130; ++i) {
      const Decision& decision = rig.step();
      for (std::size_t c = 0; c < 4; ++c) {
        moved[c] += 0.02 * (double{decision.executed[c]} - double{rig.proposal[c]});
      }
    }
    EXPECT_NEAR(moved[2], -wanted, 0.02 * wanted + 1e-4);
    EXPECT_NEAR(moved[3], wanted / 2, 0.02 * wanted + 1e-4);
    EXPECT_NEAR(effect_of(nudge, bounds)[2], moved[2], 1e-5);
  }
}

TEST(NudgePlan, KeepsTheDirectionOfWhatIsOutOfReach) {
  const NudgeBounds bounds;
  const std::vector<double> effect = effect_of(plan_nudge({5, -2.5}, bounds), bounds);
  EXPECT_NEAR(effect[0], largest_effect(bounds), 1e-3);
  EXPECT_NEAR(effect[1], -effect[0] / 2, 0.02);
}

TEST(NudgePlan, IsGentleWhileThereIsTime) {
  const NudgeBounds bounds;
  EXPECT_LE(std::abs(plan_nudge({0.2}, bounds).bias[0]), 0.27f);
  EXPECT_LT(plan_nudge({0.08}, bounds).length, milliseconds(700));
}

TEST(NudgePlan, StaysWithinItsBoundsWhateverIsWanted) {
  Random random(3);
  for (int round = 0; round < 500; ++round) {
    NudgeBounds bounds;
    bounds.bound = random.uniform(0.02, 1);
    bounds.ramp = random.uniform(0.005, 1);
    bounds.control_period = milliseconds(1 + random.below(20));
    const NudgeBias nudge =
        plan_nudge({random.uniform(-3, 3), random.uniform(-0.1, 0.1), 0}, bounds);
    EXPECT_GT(nudge.length, Duration::zero());
    EXPECT_LE(nudge.length, bounds.longest);
    for (const float rate : nudge.bias) {
      ASSERT_TRUE(std::isfinite(rate));
      ASSERT_LE(std::abs(rate), bounds.bound + 1e-6);
    }
    EXPECT_EQ(nudge.bias[2], 0.0f);
  }
}

// ---- whatever is said ---------------------------------------------------------------------------

TEST(MotionWords, NoSentenceMovesFurtherThanTheMostOrFasterThanTheBound) {
  const std::vector<std::string_view> vocabulary = nudge::vocabulary();
  Random random(21);
  int nudges = 0;
  const auto words = MotionWords::make(usual_words());
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t n = 1 + random.below(6); n > 0; --n) {
      text += std::string(vocabulary[random.below(vocabulary.size())]) + " ";
      if (random.below(10) == 0) text += std::to_string(random.below(60)) + " cm ";
    }
    const Understood understood = (*words)({.text = text});
    const auto* nudge = std::get_if<NudgeBias>(&understood.motion);
    if (nudge == nullptr) continue;
    ++nudges;
    const std::vector<double> effect = effect_of(*nudge, usual_words().bounds);
    for (std::size_t i = 0; i < 4; ++i) {
      ASSERT_LE(std::abs(nudge->bias[i]), 0.5f + 1e-6f) << text;
      const double most = i < 3 ? 0.05 / 0.25 : 0.5;  // the gripper's has no unit
      ASSERT_LE(std::abs(effect[i]), most + 1e-3) << text;
    }
  }
  EXPECT_GT(nudges, 50);
}

}  // namespace
}  // namespace nudge
