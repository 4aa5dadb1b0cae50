#include "src/ports/openpi_robot.h"

#include <gtest/gtest.h>

#include <limits>

namespace nudge {
namespace {

using std::chrono::milliseconds;

Instant now_is{std::chrono::seconds(10)};
Instant test_clock() { return now_is; }

class OpenpiRobotTest : public ::testing::Test {
 protected:
  OpenpiRobotTest() { make({}); }
  void make(OpenpiRobotOptions options) {
    now_is = Instant(std::chrono::seconds(10));
    options.clock = test_clock;
    auto map = OpenpiMap::make({.preset = "libero"});
    EXPECT_TRUE(map.ok());
    link_ = std::make_shared<OpenpiLink>();
    robot_ = std::make_unique<OpenpiRobot>(std::make_shared<const OpenpiMap>(*std::move(map)),
                                           link_, options);
  }
  // What the port does with a request, and with its answer.
  void ask(std::string prompt = "lift", std::uint64_t episodes = 1) {
    OpenpiLink::Asked asked;
    asked.observation.time = now_is;
    asked.observation.proprioception.assign(8, 0.5f);
    asked.prompt = std::move(prompt);
    asked.episodes = episodes;
    link_->connected = true;
    link_->waiting = true;
    link_->asked.put(std::move(asked));
  }
  void answer() {
    link_->waiting = false;
    link_->answered = now_is.time_since_epoch().count();
  }

  std::shared_ptr<OpenpiLink> link_;
  std::unique_ptr<OpenpiRobot> robot_;
};

TEST_F(OpenpiRobotTest, RestsUntilItsProgramAsks) {
  (void)robot_->take_news();
  EXPECT_TRUE(robot_->resetting());
  EXPECT_NE(robot_->observe().status().message().find("not connected"), std::string::npos);
  ask();
  const AskingNews news = robot_->take_news();
  EXPECT_TRUE(news.new_episode);
  EXPECT_EQ(news.instruction, "lift");
  EXPECT_FALSE(robot_->resetting());
  ASSERT_TRUE(robot_->observe().ok());
  EXPECT_EQ(robot_->observe()->time, now_is);
}

TEST_F(OpenpiRobotTest, RestsAgainWhenItAsksForNothingForLong) {
  ask();
  (void)robot_->take_news();
  now_is += std::chrono::seconds(5);
  (void)robot_->take_news();
  EXPECT_FALSE(robot_->resetting()) << "it waits for an answer";
  answer();
  now_is += milliseconds(1900);
  (void)robot_->take_news();
  EXPECT_FALSE(robot_->resetting()) << "it plays";
  now_is += milliseconds(200);
  (void)robot_->take_news();
  EXPECT_TRUE(robot_->resetting());
  EXPECT_NE(robot_->observe().status().message().find("asks for nothing"), std::string::npos);
}

TEST_F(OpenpiRobotTest, NamesAnotherTaskAndEpisodeOnce) {
  ask();
  (void)robot_->take_news();
  ask("lift", 1);
  AskingNews news = robot_->take_news();
  EXPECT_FALSE(news.new_episode);
  EXPECT_FALSE(news.instruction.has_value());
  ask("pour", 2);
  news = robot_->take_news();
  EXPECT_TRUE(news.new_episode);
  EXPECT_EQ(news.instruction, "pour");
  news = robot_->take_news();
  EXPECT_FALSE(news.new_episode);
  EXPECT_FALSE(news.instruction.has_value());
}

TEST_F(OpenpiRobotTest, SaysHowLateATakeoverIsAndRefusesOneThatIsTooLate) {
  ask();
  EXPECT_NE(robot_->take_news().caution.find("next request"), std::string::npos);
  link_->plays_ns = Duration(milliseconds(150)).count();
  AskingNews news = robot_->take_news();
  EXPECT_NE(news.caution.find("within 150 ms"), std::string::npos);
  EXPECT_EQ(news.no_takeover, "");
  link_->plays_ns = Duration(milliseconds(533)).count();
  news = robot_->take_news();
  EXPECT_NE(news.no_takeover.find("533 ms"), std::string::npos);
  make({.slow_takeover = true});
  ask();
  link_->plays_ns = Duration(milliseconds(533)).count();
  EXPECT_EQ(robot_->take_news().no_takeover, "");
}

TEST_F(OpenpiRobotTest, TroubleLastsUntilItIsOverAndAHoldIsSaidOnce) {
  ask();
  link_->trouble.put("the upstream has gone");
  link_->hold.put("the upstream has gone");
  AskingNews news = robot_->take_news();
  EXPECT_EQ(news.trouble, "the upstream has gone");
  EXPECT_EQ(news.hold, "the upstream has gone");
  news = robot_->take_news();
  EXPECT_EQ(news.trouble, "the upstream has gone");
  EXPECT_EQ(news.hold, "");
  link_->trouble.put("");
  EXPECT_EQ(robot_->take_news().trouble, "");
}

TEST_F(OpenpiRobotTest, RefusesActionsThatAreNoneAndAllWhileStopped) {
  EXPECT_TRUE(robot_->apply(Action(7, 0.1f), now_is).ok());
  EXPECT_FALSE(robot_->apply(Action(6, 0.1f), now_is).ok());
  Action bad(7, 0.1f);
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(robot_->apply(bad, now_is).ok());
  robot_->estop();
  EXPECT_TRUE(link_->stopped);
  EXPECT_FALSE(robot_->apply(Action(7, 0.1f), now_is).ok());
  EXPECT_TRUE(robot_->reset_estop().ok());
  EXPECT_TRUE(robot_->apply(Action(7, 0.1f), now_is).ok());
}

TEST_F(OpenpiRobotTest, AHoldUndoesTheVerdictBeforeIt) {
  robot_->decided({.state = AuthorityState::kAuto});
  const auto decided = link_->decided.try_take();
  ASSERT_TRUE(decided.has_value());
  EXPECT_EQ(decided->holds, link_->holds);
  robot_->hold();
  EXPECT_NE(decided->holds, link_->holds);
}

}  // namespace
}  // namespace nudge
