#include "src/learning/learner_port.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);

class LearnerPortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("nudge-port-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string socket() const { return (folder_ / "run" / "learner").string(); }

  static LearnerHello hello(int pid) { return {.pid = pid, .config_hash = "c", .core_type = ""}; }

  std::filesystem::path folder_;
};

TEST_F(LearnerPortTest, CarriesMessagesBothWays) {
  auto port = LearnerPort::bind(socket());
  ASSERT_TRUE(port.ok()) << port.status().message();
  auto link = DaemonLink::connect((*port)->endpoint());
  ASSERT_TRUE(link.ok());
  ASSERT_TRUE((*link)->send(LearnerMessage(hello(1))).ok());
  const auto message = (*port)->receive(kPatience);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<LearnerHello>(*message).pid, 1);
  ASSERT_TRUE((*port)->send(DaemonMessage(FeedItems{.durable = 9, .page = {}})).ok());
  const auto answer = (*link)->receive(kPatience);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(std::get<FeedItems>(*answer).durable, 9u);
}

TEST_F(LearnerPortTest, SaysNothingIsConnectedBeforeAHello) {
  auto port = LearnerPort::bind(socket());
  ASSERT_TRUE(port.ok());
  EXPECT_FALSE((*port)->connected());
  EXPECT_EQ((*port)->send(DaemonMessage(LearnerStop{})).code(), Code::kUnavailable);
}

TEST_F(LearnerPortTest, ListensOnlyToTheNewestLearner) {
  auto port = LearnerPort::bind(socket());
  ASSERT_TRUE(port.ok());
  auto old_link = DaemonLink::connect((*port)->endpoint());
  auto new_link = DaemonLink::connect((*port)->endpoint());
  ASSERT_TRUE((*old_link)->send(LearnerMessage(hello(1))).ok());
  ASSERT_TRUE((*port)->receive(kPatience).has_value());
  ASSERT_TRUE((*new_link)->send(LearnerMessage(hello(2))).ok());
  ASSERT_TRUE((*port)->receive(kPatience).has_value());
  ASSERT_TRUE((*old_link)->send(LearnerMessage(LearnerProgress{.through = 5, .trouble = {}})).ok());
  EXPECT_FALSE((*port)->receive(std::chrono::milliseconds(300)).has_value());
  EXPECT_EQ((*port)->refused_messages(), 1u);
}

TEST_F(LearnerPortTest, KeepsItsFolderClosedToOthers) {
  auto port = LearnerPort::bind(socket());
  ASSERT_TRUE(port.ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(LearnerPortTest, RefusesAFolderThatOthersCanEnter) {
  std::filesystem::create_directories(folder_ / "run");
  std::filesystem::permissions(folder_ / "run", std::filesystem::perms::all);
  EXPECT_EQ(LearnerPort::bind(socket()).status().code(), Code::kPermissionDenied);
}

TEST_F(LearnerPortTest, RefusesAPathThatIsTooLongForASocket) {
  const auto result = LearnerPort::bind("/tmp/" + std::string(120, 'x') + "/learner");
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
