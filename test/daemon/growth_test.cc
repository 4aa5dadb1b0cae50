// A daemon that works for weeks keeps what it needs and lets the rest go: what folds over the log
// hold in memory grows by little with each episode, and not at all with versions and messages.
#include <gtest/gtest.h>
#include <malloc.h>

#include "policy/round_planner.h"
#include "replay/dataset.h"
#include "replay/teachers.h"
#include "src/daemon/front_desk.h"
#include "src/ports/id_hashes.h"

namespace nudge {
namespace {

const Actor kLena = {.name = "lena", .role = Role::kSupervisor};
const Actor kNudge = {.name = "nudge", .role = Role::kScript};

// Of this process; 0 where a sanitizer keeps the books.
std::size_t bytes_in_use() { return ::mallinfo2().uordblks; }

// What happens in an episode when people teach all the time: a takeover, a label, two versions.
class Life {
 public:
  template <typename See>
  void live(std::size_t episodes, const See& see) {
    see_ = [&see](const Event& event) { see(event); };
    for (std::size_t i = 0; i < episodes; ++i) episode();
    see_ = nullptr;
  }
  EpisodeId newest() const { return episode_; }

 private:
  void say(Payload payload, const Actor& actor = kNudge) {
    Event event;
    event.sequence = ++sequence_;
    event.id = "message-of-some-length-" + std::to_string(sequence_);
    event.actor = actor;
    event.episode = episode_;
    event.boot = "boot-1";
    event.time = Instant(std::chrono::milliseconds(10 * sequence_));
    event.payload = std::move(payload);
    see_(event);
  }
  void version(WeightsKind kind) {
    const WeightsVersion parent = version_++;
    Sha256 hash{};
    for (std::size_t i = 0; i < 8; ++i) hash[i] = static_cast<std::uint8_t>(version_ >> (8 * i));
    say(CandidateReceived{.hash = hash, .parent = parent, .kind = kind, .prefix = sequence_});
    say(WeightsAccepted{.version = version_,
                        .hash = hash,
                        .parent = parent,
                        .kind = kind,
                        .report = std::string(700, 'r')});
    say(WeightsLive{.version = version_});
  }
  void episode() {
    ++episode_;
    say(EpisodeStarted{.purpose = EpisodePurpose::kDeployment, .instruction = "do it"});
    say(AuthorityChanged{
        .from = AuthorityState::kHold, .to = AuthorityState::kAuto, .cause = "started"});
    say(SpanOpened{.span = episode_, .kind = SpanKind::kTakeover, .first_step = 5}, kLena);
    say(SpanClosed{
        .span = episode_, .reason = SpanEnd::kReleased, .last_step = 9, .complete = true});
    version(WeightsKind::kProvisional);
    say(EpisodeEnded{.reason = EpisodeEnd::kTaskDone, .steps = 20});
    say(Label{.episode = episode_, .value = LabelValue::kSuccess}, kLena);
    version(WeightsKind::kFull);
    if (episode_ % 7 == 0) say(WeightsConfirmed{.version = version_});
  }

  std::function<void(const Event&)> see_;
  Sequence sequence_ = 0;
  EpisodeId episode_ = 0;
  WeightsVersion version_ = 0;
};

// Bytes more after each further episode, once the fold has seen `before`.
template <typename See>
double growth(std::size_t before, std::size_t after, const See& see) {
  Life life;
  life.live(before, see);
  const std::size_t then = bytes_in_use();
  life.live(after, see);
  return (static_cast<double>(bytes_in_use()) - static_cast<double>(then)) /
         static_cast<double>(after);
}

class Growth : public testing::Test {
 protected:
  void SetUp() override {
    if (bytes_in_use() == 0) GTEST_SKIP() << "a sanitizer's allocator does not tell";
  }
};

TEST_F(Growth, WhatPeopleSeeOfThePastIsBounded) {
  Past past;
  // Ids that people used are remembered in 16 to 32 bytes each, up to a million.
  EXPECT_LT(growth(3000, 6000, [&](const Event& event) { (void)past.apply(event); }), 200);
}

TEST_F(Growth, TheRoundPlannerKeepsANumberForEachCorrection) {
  RoundPlanner planner;
  EXPECT_LT(growth(3000, 6000, [&](const Event& event) { planner.apply(event); }), 150);
  EXPECT_LE(planner.weights().records().size(), WeightsHistory::kNewest);
}

TEST_F(Growth, WhoTaughtWhatIsKeptOnceForAllVersionsThatShareIt) {
  Teachers teachers;
  EXPECT_LT(growth(1000, 5000, [&](const Event& event) { teachers.apply(event); }), 1);
}

TEST_F(Growth, AnEpisodeTakesLittleOfTheDatasetBesidesItsSteps) {
  DatasetOptions options;
  options.action_size = 2;
  options.mapped = false;
  Dataset dataset(posix_files(), options);
  EXPECT_LT(growth(1000, 4000, [&](const Event& event) { (void)dataset.apply(event); }), 1000);
}

TEST(IdHashes, KeepsTheNewestAndForgetsTheOldest) {
  IdHashes ids(100);
  for (std::uint64_t id = 0; id < 1000; ++id) EXPECT_TRUE(ids.insert(id * 7919));
  for (std::uint64_t id = 900; id < 1000; ++id) {
    EXPECT_TRUE(ids.contains(id * 7919)) << id;
    EXPECT_FALSE(ids.insert(id * 7919)) << id;
  }
  EXPECT_FALSE(ids.contains(0));
  EXPECT_LE(ids.size(), 200u);
}

TEST(IdHashes, KnowsNumbersThatShareTheirPlace) {
  IdHashes ids(1000);
  for (std::uint64_t id = 0; id < 20; ++id) EXPECT_TRUE(ids.insert(id << 32));
  for (std::uint64_t id = 0; id < 20; ++id) EXPECT_TRUE(ids.contains(id << 32));
  EXPECT_FALSE(ids.contains(std::uint64_t{20} << 32));
}

}  // namespace
}  // namespace nudge
