#include "replay/teachers.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using Names = std::vector<std::string>;

class TeachersTest : public testing::Test {
 protected:
  void log(const std::string& actor, Payload payload) {
    Event event;
    event.sequence = ++sequence;
    event.actor = {actor, Role::kSupervisor};
    event.payload = std::move(payload);
    teachers.apply(event);
  }
  // A round on everything so far, and its acceptance.
  void accept(WeightsVersion version, WeightsVersion parent) {
    Sha256 hash{};
    hash[0] = static_cast<std::uint8_t>(version);
    const Sequence prefix = sequence;
    log("nudge", CandidateReceived{.hash = hash, .parent = parent, .prefix = prefix});
    log("nudge", WeightsAccepted{.version = version, .hash = hash, .parent = parent, .report = {}});
  }
  // Weights without a round, as an engineer brings them.
  void install(WeightsVersion version) {
    Sha256 hash{};
    hash[1] = static_cast<std::uint8_t>(version);
    log("nudge", WeightsAccepted{.version = version, .hash = hash, .report = {}});
  }
  void teach(const std::string& actor) { log(actor, SpanOpened{.span = sequence}); }

  Teachers teachers;
  Sequence sequence = 0;
};

TEST_F(TeachersTest, WeightsMayHaveLearnedFromWhoTaughtBeforeTheirRound) {
  install(1);
  teach("anna#d-0123456789abcdef");
  accept(2, 1);
  teach("bert");
  accept(3, 2);
  EXPECT_EQ(teachers.taint(3), Names());  // nobody is withdrawn
  log("eve", CorrectionsWithdrawn{"anna"});
  EXPECT_EQ(teachers.withdrawn(), Names{"anna"});
  EXPECT_EQ(teachers.taint(1), Names());
  EXPECT_EQ(teachers.taint(2), Names{"anna"});
  EXPECT_EQ(teachers.taint(3), Names{"anna"});
  log("eve", CorrectionsWithdrawn{"bert"});
  EXPECT_EQ(teachers.taint(2), Names{"anna"});
  EXPECT_EQ(teachers.taint(3), (Names{"anna", "bert"}));
}

TEST_F(TeachersTest, WeightsThatDescendFromTaintedOnesAreTaintedToo) {
  teach("anna");
  accept(1, 0);
  log("eve", CorrectionsWithdrawn{"anna"});
  accept(2, 1);
  EXPECT_EQ(teachers.taint(2), Names{"anna"});
}

TEST_F(TeachersTest, WeightsThatAreMadeAnewAfterAWithdrawalAreWithoutIt) {
  teach("anna");
  teach("bert");
  accept(1, 0);
  log("eve", CorrectionsWithdrawn{"anna"});
  install(2);
  EXPECT_EQ(teachers.taint(1), Names{"anna"});
  EXPECT_EQ(teachers.taint(2), Names());
}

TEST_F(TeachersTest, ARestoredPersonTaintsNothingAndTeachesAgain) {
  teach("anna");
  accept(1, 0);
  log("eve", CorrectionsWithdrawn{"anna"});
  log("eve", CorrectionsRestored{"anna"});
  EXPECT_EQ(teachers.taint(1), Names());
  install(2);
  log("eve", CorrectionsWithdrawn{"anna"});
  EXPECT_EQ(teachers.taint(2), Names{"anna"});
}

TEST_F(TeachersTest, OnlyWhoHasTaughtCanBeWithdrawnAndOnlyOnce) {
  teach("anna#t3");
  log("cara", Label{.episode = 1, .value = LabelValue::kSuccess});
  const Status unknown = withdrawable(teachers, "bert");
  EXPECT_EQ(unknown.code(), Code::kNotFound);
  EXPECT_NE(unknown.message().find("anna, cara"), std::string::npos);
  EXPECT_TRUE(withdrawable(teachers, "anna").ok());
  EXPECT_EQ(restorable(teachers, "anna").code(), Code::kFailedPrecondition);
  log("eve", CorrectionsWithdrawn{"anna"});
  EXPECT_EQ(withdrawable(teachers, "anna").code(), Code::kFailedPrecondition);
  EXPECT_TRUE(restorable(teachers, "anna").ok());
}

}  // namespace
}  // namespace nudge
