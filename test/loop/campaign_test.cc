#include "src/loop/campaign.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(Campaign, WorksOnAllTasksUnlessSomeAreNamed) {
  Config config;
  config.kitchen.level = 4;
  const auto all = tasks_worked_on(config);
  ASSERT_TRUE(all.ok());
  EXPECT_TRUE(all->empty());
  config.demo.tasks = "put the can on the tray; put the mug in the sink";
  const auto some = tasks_worked_on(config);
  ASSERT_TRUE(some.ok()) << some.status().message();
  EXPECT_EQ(*some, (std::vector<std::size_t>{5, 0}));
}

TEST(Campaign, ATaskThatTheLevelLacksIsNamedBesideThoseThatThereAre) {
  Config config;
  config.kitchen.level = 3;
  config.demo.tasks = "put the pot on the left burner;";
  const auto tasks = tasks_worked_on(config);
  EXPECT_EQ(tasks.status().code(), Code::kInvalidArgument);
  EXPECT_NE(tasks.status().message().find("has no task \"\""), std::string::npos);
  EXPECT_NE(tasks.status().message().find("put the pot on the right burner"), std::string::npos);
}

}  // namespace
}  // namespace nudge
