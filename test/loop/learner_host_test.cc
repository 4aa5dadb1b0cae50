// The daemon's side of the feed, against a learner that is a socket and asks for pages.
#include "src/learning/learner_host.h"

#include <gtest/gtest.h>

#include "src/loop/clock.h"
#include "test/support/log_script.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);

class LearnerHostTest : public testing::Test {
 protected:
  LearnerHostTest() {
    auto log = Log::open(posix_files(), test::script_options(folder_ / "log"));
    EXPECT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    open({});
    connect();
  }

  void open(LearnerHostOptions options) {
    host_.reset();
    options.socket_path = folder_ / "run/learner";
    auto host = LearnerHost::open(options, steady_now);
    EXPECT_TRUE(host.ok()) << host.status().message();
    host_ = *std::move(host);
  }

  void connect() {
    auto link = DaemonLink::connect("ipc://" + (folder_ / "run/learner"));
    ASSERT_TRUE(link.ok()) << link.status().message();
    link_ = *std::move(link);
  }
  void append(std::size_t events) {
    for (std::size_t i = 0; i < events; ++i) {
      const std::string id = "e" + std::to_string(++appended_);
      ASSERT_TRUE(log_->append(test::sample_event(id, 0, Stopped{})).ok());
    }
    ASSERT_TRUE(log_->commit().ok());
  }
  void send(LearnerMessage message) {
    const Status sent = link_->send(std::move(message));
    ASSERT_TRUE(sent.ok()) << sent.message();
  }
  // What the host says next, served until it says something.
  std::optional<DaemonMessage> hear() {
    const Instant start = steady_now();
    while (steady_now() - start < kPatience) {
      EXPECT_TRUE(host_->serve(*log_, std::chrono::milliseconds(1)).ok());
      if (auto message = link_->receive(std::chrono::milliseconds(1))) return message;
    }
    return std::nullopt;
  }
  static CandidateMessage candidate(WeightsKind kind, Sequence prefix) {
    CandidateMessage candidate;
    candidate.kind = kind;
    candidate.prefix = prefix;
    return candidate;
  }
  void greet() {
    send(LearnerHello{});
    const auto welcome = hear();
    ASSERT_TRUE(welcome && std::holds_alternative<LearnerWelcome>(*welcome));
  }
  std::vector<FeedItem> ask(Sequence from) {
    send(FeedRequest{.from = from});
    const auto answer = hear();
    if (!answer || !std::holds_alternative<FeedItems>(*answer)) {
      ADD_FAILURE() << "no page";
      return {};
    }
    const auto items = decode_feed(std::get<FeedItems>(*answer).page, kMaxFeedItems);
    EXPECT_TRUE(items.ok()) << items.status().message();
    return items.ok() ? *items : std::vector<FeedItem>{};
  }

  test::TempFolder folder_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<LearnerHost> host_;
  std::unique_ptr<DaemonLink> link_;
  std::size_t appended_ = 0;
};

TEST_F(LearnerHostTest, FeedsAWholeLogInOrderPageByPage) {
  append(3 * kMaxFeedItems + 7);
  greet();
  Sequence next = 1;
  std::size_t pages = 0;
  while (next <= log_->durable()) {
    const auto items = ask(next);
    ASSERT_FALSE(items.empty());
    for (const FeedItem& item : items) ASSERT_EQ(first_sequence(item), next++);
    ++pages;
  }
  EXPECT_EQ(pages, 4u);
}

TEST_F(LearnerHostTest, KnowsThatALearnerIsBehindUntilItHasBeenSentEverything) {
  append(kMaxFeedItems + 1);
  EXPECT_FALSE(host_->behind(*log_)) << "nobody is there";
  greet();
  EXPECT_TRUE(host_->behind(*log_));
  ask(1);
  EXPECT_TRUE(host_->behind(*log_));
  ask(kMaxFeedItems + 1);
  EXPECT_FALSE(host_->behind(*log_));
  append(1);
  EXPECT_TRUE(host_->behind(*log_));
}

TEST_F(LearnerHostTest, SendsWhatBecameDurableAfterAPageWasMadeReady) {
  append(2);
  greet();
  EXPECT_EQ(ask(1).size(), 2u);
  append(1);
  // Ready before it is asked for, with one item.
  ASSERT_TRUE(host_->serve(*log_, Duration::zero()).ok());
  append(1);
  EXPECT_EQ(ask(3).size(), 1u);
  EXPECT_EQ(ask(4).size(), 1u);
}

TEST_F(LearnerHostTest, SendsThePageThatWasAskedForNotTheOneThatIsReady) {
  append(2 * kMaxFeedItems);
  greet();
  ask(1);
  ASSERT_TRUE(host_->serve(*log_, Duration::zero()).ok());
  const auto items = ask(5);
  ASSERT_EQ(items.size(), kMaxFeedItems);
  EXPECT_EQ(first_sequence(items.front()), 5u);
}

TEST_F(LearnerHostTest, StartsOverWithANewLearner) {
  append(kMaxFeedItems + 5);
  greet();
  ask(1);
  connect();
  greet();
  const auto items = ask(1);
  ASSERT_EQ(items.size(), kMaxFeedItems);
  EXPECT_EQ(first_sequence(items.front()), 1u);
}

TEST_F(LearnerHostTest, AnswersARequestForWhatIsNotThereYetWhenItIs) {
  append(1);
  greet();
  ask(1);
  send(FeedRequest{.from = 2});
  ASSERT_TRUE(host_->serve(*log_, std::chrono::milliseconds(20)).ok());
  append(1);
  const auto answer = hear();
  ASSERT_TRUE(answer && std::holds_alternative<FeedItems>(*answer));
  EXPECT_EQ(std::get<FeedItems>(*answer).durable, 2u);
}

TEST_F(LearnerHostTest, TakesNothingFromALearnerWithAnotherConfiguration) {
  LearnerHostOptions options;
  options.config_hash = "ours";
  open(options);
  connect();
  LearnerHello hello;
  hello.config_hash = "wrong";
  send(hello);
  (void)link_->send(LearnerMessage(candidate(WeightsKind::kFull, 1)));
  Status served;
  for (int i = 0; i < 100 && served.ok(); ++i) {
    served = host_->serve(*log_, std::chrono::milliseconds(100));
  }
  EXPECT_EQ(served.code(), Code::kFailedPrecondition);
  for (int i = 0; i < 10; ++i) (void)host_->serve(*log_, std::chrono::milliseconds(1));
  EXPECT_FALSE(host_->connected());
  EXPECT_TRUE(host_->take_candidates().empty());
}

TEST_F(LearnerHostTest, SendsALearnerAwayThatIsNotConfinedWhereItHasToBe) {
  LearnerHostOptions options;
  options.require_confined = true;
  open(options);
  connect();
  LearnerHello hello;
  hello.sandbox = "seccomp, no landlock";
  send(hello);
  Status served;
  for (int i = 0; i < 100 && served.ok(); ++i) {
    served = host_->serve(*log_, std::chrono::milliseconds(100));
  }
  EXPECT_EQ(served.code(), Code::kFailedPrecondition);
  EXPECT_NE(served.message().find("seccomp, no landlock"), std::string::npos) << served.message();
  EXPECT_FALSE(host_->connected());
  EXPECT_FALSE(host_->confined());
  const auto told = link_->receive(kPatience);
  EXPECT_TRUE(told && std::holds_alternative<LearnerStop>(*told));

  connect();
  hello.confined = true;
  send(hello);
  const auto welcome = hear();
  ASSERT_TRUE(welcome && std::holds_alternative<LearnerWelcome>(*welcome));
  EXPECT_TRUE(host_->confined());
}

TEST_F(LearnerHostTest, KeepsTheNewestCandidateOfEachKindForALaterTaker) {
  greet();
  for (Sequence prefix = 1; prefix <= 5; ++prefix) {
    send(candidate(WeightsKind::kProvisional, prefix));
    send(candidate(WeightsKind::kFull, 10 + prefix));
  }
  send(LearnerProgress{.through = 1, .trouble = {}});
  while (host_->progress().through == 0) {
    ASSERT_TRUE(host_->serve(*log_, std::chrono::milliseconds(1)).ok());
  }
  EXPECT_EQ(host_->replaced_candidates(), 8u);
  const auto first = host_->take_candidate();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->prefix, 5u);
  const auto rest = host_->take_candidates();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].prefix, 15u);
  EXPECT_FALSE(host_->take_candidate().has_value());
}

TEST_F(LearnerHostTest, SaysWhyItCutALearnerOff) {
  LearnerHostOptions options;
  options.max_candidate = 10;
  open(options);
  connect();
  greet();
  CandidateMessage large = candidate(WeightsKind::kFull, 1);
  large.weights.resize(11);
  send(large);
  Status served;
  for (int i = 0; i < 100 && served.ok(); ++i) {
    served = host_->serve(*log_, std::chrono::milliseconds(100));
  }
  EXPECT_NE(served.message().find("11 bytes, more than 10"), std::string::npos) << served.message();
}

}  // namespace
}  // namespace nudge
