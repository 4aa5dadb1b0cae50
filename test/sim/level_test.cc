#include "src/sim/level.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "src/sim/demonstrator.h"
#include "src/sim/kitchen_robot.h"
#include "src/sim/scripted_supervisor.h"
#include "test/support/perturbed_kitchen.h"

namespace nudge {
namespace {

// Every promise here is each level's.
class EveryLevel : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    auto robot = KitchenRobot::create({.level = GetParam()});
    ASSERT_TRUE(robot.ok()) << robot.status().message();
    robot_ = *std::move(robot);
  }
  const KitchenLevel& level() const { return robot_->level(); }

  std::unique_ptr<KitchenRobot> robot_;
};

TEST_P(EveryLevel, DescribesTheObjectStateThatItsRobotReports) {
  const auto channels = robot_->spec().observation.object_state;
  const Observation seen = *robot_->observe();
  ASSERT_EQ(channels.size(), seen.object_state.size());
  std::set<std::string> names;
  for (const Channel& channel : channels) names.insert(channel.name);
  EXPECT_EQ(names.size(), channels.size());
}

TEST_P(EveryLevel, ReadsBackFromAnObservationWhatTheWorldIs) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    const KitchenState world = robot_->state();
    const auto seen = level().state_of(*robot_->observe());
    ASSERT_TRUE(seen.ok());
    EXPECT_EQ(seen->task, world.task);
    EXPECT_NEAR(seen->drawer, world.drawer, 1e-6);
    ASSERT_EQ(seen->objects.size(), world.objects.size());
    for (std::size_t i = 0; i < world.objects.size(); ++i) {
      for (int axis = 0; axis < 3; ++axis) {
        EXPECT_NEAR(seen->objects[i][axis], world.objects[i][axis], 1e-6);
      }
    }
  }
}

TEST_P(EveryLevel, RefusesAnObservationOfAnotherRobotAndItsExpertDoesNothing) {
  EXPECT_EQ(level().state_of(Observation{}).status().code(), Code::kInvalidArgument);
  Expert expert({}, level());
  EXPECT_EQ(expert.act(Observation{}), Action(kKitchenActionSize, 0.0f));
}

TEST_P(EveryLevel, StartsUnsolvedWithItsObjectsWhereItSays) {
  const LevelData& data = level().data();
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    const KitchenState world = robot_->state();
    EXPECT_EQ(level().reached(world), 0u);
    for (const Vec3& object : world.objects) {
      EXPECT_TRUE(data.starts.contains(object[0], object[1]));
    }
  }
}

TEST_P(EveryLevel, DrawsEachOfItsTasksAndSaysWhichInWords) {
  std::set<std::string> said;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    const std::string& words = robot_->instruction_for(seed);
    EXPECT_EQ(level().data().tasks[robot_->state().task].instruction, words);
    said.insert(words);
  }
  EXPECT_EQ(said.size(), level().data().tasks.size());
}

TEST_P(EveryLevel, UnderstandsItsOwnInstructionsAndKeepsItsTaskWhenOthersAreSaid) {
  ASSERT_TRUE(robot_->reset(1).ok());
  const auto& tasks = level().data().tasks;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    robot_->instruct(tasks[task].instruction);
    EXPECT_EQ(robot_->state().task, task);
    robot_->instruct("tidy up");
    EXPECT_EQ(robot_->state().task, task);
  }
}

TEST_P(EveryLevel, IsDoneByItsExpertFromNearlyEveryStart) {
  Expert expert({}, level());
  int done = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    expert.begin();
    done += *expert_finishes(*robot_, expert);
  }
  EXPECT_GE(done, 39);
}

TEST_P(EveryLevel, IsDoneByItsExpertFromWhateverAFailingPolicyLeavesBehind) {
  Expert expert({}, level());
  int done = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    ASSERT_TRUE(perturb(*robot_, seed).ok());
    expert.begin();
    done += *expert_finishes(*robot_, expert);
  }
  EXPECT_GE(done, 37);
}

TEST_P(EveryLevel, IsShownByDemonstrationsFromItsPartOfTheStarts) {
  const StartRegion part = level().data().demonstrated;
  int done = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    bool first = true;
    const auto shown = demonstrate(*robot_, seed, {}, [&](const Observation& o, const Action&) {
      if (first) {
        const KitchenState seen = *level().state_of(o);
        for (const Vec3& object : seen.objects) {
          EXPECT_TRUE(part.contains(object[0], object[1]));
        }
      }
      first = false;
      return Status{};
    });
    ASSERT_TRUE(shown.ok()) << shown.status().message();
    done += *shown;
  }
  EXPECT_GE(done, 19);
}

TEST_P(EveryLevel, HasProgressThatRisesWhileTheExpertWorksAndIsHighestAtTheEnd) {
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    Expert expert({}, level());
    double best = -10;
    bool done = false;
    for (std::uint32_t step = 0; step < level().data().episode_steps && !done; ++step) {
      const Observation o = *robot_->observe();
      const double now = level().progress(*level().state_of(o));
      EXPECT_GT(now, best - 0.03) << "seed " << seed << " step " << step;
      best = std::max(best, now);
      done = o.success;
      ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(o)).ok());
    }
  }
}

TEST_P(EveryLevel, LetsTheSupervisorAloneWhileTheExpertWorks) {
  SupervisorOptions patient;
  patient.time_limit_steps = level().data().episode_steps;
  ScriptedSupervisor supervisor(patient, level());
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    Expert expert({}, level());
    supervisor.begin(seed);
    for (Supervision says; says.act != SupervisorAct::kLabel;) {
      const Observation o = *robot_->observe();
      says = supervisor.step(o, false);
      ASSERT_NE(says.act, SupervisorAct::kTakeOver) << "seed " << seed;
      ASSERT_TRUE(hold_for_policy_step(*robot_, expert.act(o)).ok());
    }
  }
}

TEST_P(EveryLevel, IsBroughtHomeByTheSupervisorWithAPolicyThatStandsStill) {
  SupervisorOptions patient;
  patient.time_limit_steps = 3 * level().data().episode_steps;
  ScriptedSupervisor supervisor(patient, level());
  int done = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    ASSERT_TRUE(robot_->reset(seed).ok());
    supervisor.begin(seed);
    bool human = false;
    for (Supervision says; says.act != SupervisorAct::kLabel;) {
      says = supervisor.step(*robot_->observe(), human);
      if (says.act == SupervisorAct::kTakeOver) human = true;
      if (says.act == SupervisorAct::kHandBack) human = false;
      done += says.label == LabelValue::kSuccess;
      const Action action = says.act == SupervisorAct::kJog ? says.jog : Action{0, 0, 0, 0};
      ASSERT_TRUE(hold_for_policy_step(*robot_, action).ok());
    }
  }
  EXPECT_GE(done, 9);
}

TEST_P(EveryLevel, RepeatsAnEpisodeBitwiseHoweverItLooks) {
  auto dressed = KitchenRobot::create({.level = GetParam(), .random_looks = true});
  ASSERT_TRUE(dressed.ok());
  const auto play = [](KitchenRobot& robot) {
    EXPECT_TRUE(perturb(robot, 7).ok());
    return robot.positions();
  };
  const auto first = play(*robot_);
  EXPECT_EQ(first, play(*robot_));
  EXPECT_EQ(first, play(**dressed));
}

INSTANTIATE_TEST_SUITE_P(Kitchen, EveryLevel, ::testing::Values(1, 2, 3, 4));

TEST(KitchenLevels, HaveNumbersFromOneAndRefuseOthersByName) {
  int number = 0;
  for (const KitchenLevel* level : kitchen_levels()) EXPECT_EQ(level->data().number, ++number);
  for (const int wrong : {0, -1, number + 1}) {
    EXPECT_EQ(kitchen_level(wrong).status().code(), Code::kNotFound);
  }
  EXPECT_EQ(KitchenRobot::create({.level = 9}).status().code(), Code::kNotFound);
}

TEST(KitchenLevels, MeanATaskByItsWordsInAnyCaseAndNotByHalfOfThem) {
  const KitchenLevel& places = **kitchen_level(4);
  EXPECT_EQ(places.task_meant("Please put that CAN onto the tray!", 0), 5u);
  EXPECT_EQ(places.task_meant("the sponge, into the sink", 0), 2u);
  EXPECT_EQ(places.task_meant("put the can away", 3), 3u);
  EXPECT_EQ(places.task_meant("the mug in the sink or on the tray", 3), 3u);
  EXPECT_EQ(places.task_meant("put the cans in the sink", 3), 3u);
}

}  // namespace
}  // namespace nudge
