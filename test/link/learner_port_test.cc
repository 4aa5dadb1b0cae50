#include "src/learning/learner_port.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace nudge {
namespace {

using std::chrono::milliseconds;

constexpr Duration kPatience = std::chrono::seconds(30);
constexpr std::size_t kMaxWeights = 1 << 20;

class LearnerPortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("nudge-port-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string socket() const { return (folder_ / "run" / "learner").string(); }

  static LearnerHello hello(int pid) {
    LearnerHello hello;
    hello.pid = pid;
    return hello;
  }

  // A learner that has said hello, and is the one.
  std::unique_ptr<DaemonLink> let_in(LearnerPort& port, int pid) const {
    auto link = DaemonLink::connect(port.endpoint());
    EXPECT_TRUE(link.ok()) << link.status().message();
    EXPECT_TRUE((*link)->send(LearnerMessage(hello(pid))).ok());
    std::optional<LearnerMessage> message = port.receive(kPatience);
    EXPECT_TRUE(message && std::holds_alternative<LearnerHello>(*message));
    port.admit();
    return *std::move(link);
  }

  std::filesystem::path folder_;
};

TEST_F(LearnerPortTest, CarriesMessagesBothWays) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok()) << port.status().message();
  auto link = DaemonLink::connect((*port)->endpoint());
  ASSERT_TRUE(link.ok());
  ASSERT_TRUE((*link)->send(LearnerMessage(hello(1))).ok());
  const auto message = (*port)->receive(kPatience);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<LearnerHello>(*message).pid, 1);
  (*port)->admit();
  ASSERT_TRUE((*port)->send(DaemonMessage(FeedItems{.durable = 9, .page = {}})).ok());
  const auto answer = (*link)->receive(kPatience);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(std::get<FeedItems>(*answer).durable, 9u);
}

TEST_F(LearnerPortTest, SaysNothingIsConnectedBeforeAHello) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  EXPECT_FALSE((*port)->connected());
  EXPECT_EQ((*port)->send(DaemonMessage(LearnerStop{})).code(), Code::kUnavailable);
}

TEST_F(LearnerPortTest, ListensOnlyToTheNewestLearnerThatWasLetIn) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto old_link = let_in(**port, 1);
  auto new_link = let_in(**port, 2);
  EXPECT_FALSE(old_link->receive(kPatience).has_value());
  EXPECT_FALSE(old_link->open()) << "the old one was not cut off";
  ASSERT_TRUE(new_link->send(LearnerMessage(LearnerProgress{.through = 6, .trouble = {}})).ok());
  const auto message = (*port)->receive(kPatience);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<LearnerProgress>(*message).through, 6u);
}

TEST_F(LearnerPortTest, TakesNothingOfOneThatIsTurnedAwayAndKeepsTheOneBefore) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto learner = let_in(**port, 1);
  auto stranger = DaemonLink::connect((*port)->endpoint());
  ASSERT_TRUE((*stranger)->send(LearnerMessage(hello(2))).ok());
  ASSERT_TRUE((*port)->receive(kPatience).has_value());
  (*port)->turn_away();
  const auto told = (*stranger)->receive(kPatience);
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(std::holds_alternative<LearnerStop>(*told));
  (void)(*stranger)->send(LearnerMessage(CandidateMessage{}));
  ASSERT_TRUE(learner->send(LearnerMessage(LearnerProgress{.through = 5, .trouble = {}})).ok());
  const auto message = (*port)->receive(kPatience);
  ASSERT_TRUE(message.has_value());
  EXPECT_TRUE(std::holds_alternative<LearnerProgress>(*message));
}

TEST_F(LearnerPortTest, TurnsAwayWhomNobodyAnswers) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto link = DaemonLink::connect((*port)->endpoint());
  ASSERT_TRUE((*link)->send(LearnerMessage(hello(1))).ok());
  ASSERT_TRUE((*port)->receive(kPatience).has_value());
  EXPECT_FALSE((*port)->receive(Duration::zero()).has_value());
  EXPECT_FALSE((*port)->connected());
  EXPECT_EQ((*port)->refused_messages(), 1u);
}

TEST_F(LearnerPortTest, TakesNoWeightsBeforeItHasLetSomebodyIn) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto link = DaemonLink::connect((*port)->endpoint());
  CandidateMessage candidate;
  candidate.weights.resize(1000);
  (void)(*link)->send(LearnerMessage(candidate));
  EXPECT_FALSE((*port)->receive(milliseconds(100)).has_value());
  EXPECT_EQ((*port)->refused_messages(), 1u);
  EXPECT_FALSE((*link)->receive(kPatience).has_value());
  EXPECT_FALSE((*link)->open());
}

TEST_F(LearnerPortTest, CutsOffALearnerThatAnnouncesMoreWeightsThanItsHeadCanHave) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto link = let_in(**port, 1);
  CandidateMessage candidate;
  candidate.weights.resize(kMaxWeights + 1);
  std::thread sender([&] { (void)link->send(LearnerMessage(candidate)); });
  while ((*port)->connected()) {
    EXPECT_FALSE((*port)->receive(milliseconds(10)).has_value());
  }
  sender.join();
  EXPECT_FALSE(link->receive(kPatience).has_value());
  EXPECT_FALSE(link->open());
  const Status trouble = (*port)->take_trouble();
  EXPECT_NE(trouble.message().find("1048577 bytes, more than 1048576"), std::string::npos)
      << trouble.message();
  EXPECT_TRUE((*port)->take_trouble().ok()) << "told twice";
}

TEST_F(LearnerPortTest, BringsWeightsThatAreLargerThanTheSocketsRoom) {
  auto port = LearnerPort::bind(socket(), 16u << 20);
  ASSERT_TRUE(port.ok());
  auto link = let_in(**port, 1);
  CandidateMessage candidate;
  candidate.weights.resize(9'000'000);
  for (std::size_t i = 0; i < candidate.weights.size(); ++i) {
    candidate.weights[i] = static_cast<std::byte>(i * 7);
  }
  std::thread sender([&] { EXPECT_TRUE(link->send(LearnerMessage(candidate)).ok()); });
  std::optional<LearnerMessage> message;
  while (!message && (*port)->connected()) message = (*port)->receive(Duration::zero());
  sender.join();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<CandidateMessage>(*message).weights, candidate.weights);
}

TEST_F(LearnerPortTest, HoldsOneMessageToALearnerThatDoesNotRead) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto link = let_in(**port, 1);
  FeedItems items;
  items.durable = 7;
  items.page.resize(kMaxPageBytes);  // more than the kernel takes
  ASSERT_TRUE((*port)->send(DaemonMessage(items)).ok());
  EXPECT_FALSE((*port)->can_send());
  EXPECT_EQ((*port)->send(DaemonMessage(items)).code(), Code::kUnavailable);
  EXPECT_TRUE((*port)->connected());
  std::optional<DaemonMessage> got;
  while (!got && link->open()) {
    (void)(*port)->receive(Duration::zero());
    got = link->receive(milliseconds(1));
  }
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(std::get<FeedItems>(*got).page.size(), kMaxPageBytes);
  EXPECT_TRUE((*port)->can_send());
}

TEST_F(LearnerPortTest, KnowsAtOnceThatALearnerIsGone) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  auto link = let_in(**port, 1);
  link.reset();
  EXPECT_FALSE((*port)->receive(milliseconds(100)).has_value());
  EXPECT_FALSE((*port)->connected());
}

TEST_F(LearnerPortTest, HearsALearnerAmongStrangersWhoSayNothing) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  std::vector<std::unique_ptr<DaemonLink>> strangers;
  for (int i = 0; i < 20; ++i) {
    strangers.push_back(*DaemonLink::connect((*port)->endpoint()));
    (void)(*port)->receive(Duration::zero());
  }
  auto learner = let_in(**port, 1);
  EXPECT_TRUE((*port)->connected());
}

TEST_F(LearnerPortTest, ListensWhereAKilledDaemonHasLeftItsSocket) {
  std::filesystem::create_directories(folder_ / "run");
  std::filesystem::permissions(folder_ / "run", std::filesystem::perms::owner_all);
  std::ofstream(socket()) << "";
  EXPECT_TRUE(LearnerPort::bind(socket(), kMaxWeights).ok());
}

TEST_F(LearnerPortTest, KeepsItsFolderClosedToOthers) {
  auto port = LearnerPort::bind(socket(), kMaxWeights);
  ASSERT_TRUE(port.ok());
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(LearnerPortTest, RefusesAFolderThatOthersCanEnter) {
  std::filesystem::create_directories(folder_ / "run");
  std::filesystem::permissions(folder_ / "run", std::filesystem::perms::all);
  EXPECT_EQ(LearnerPort::bind(socket(), kMaxWeights).status().code(), Code::kPermissionDenied);
}

TEST_F(LearnerPortTest, RefusesAPathThatIsTooLongForASocket) {
  const auto result = LearnerPort::bind("/tmp/" + std::string(120, 'x') + "/learner", kMaxWeights);
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
