#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "test/policy_torch/small_head.h"

namespace nudge {
namespace {

// A live head that knows the rule, and probes of it.
class GateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    use_one_torch_thread();
    live_ = trained(fresh(small_spec()), 1200);
  }
  static void TearDownTestSuite() { live_ = nullptr; }

  void SetUp() override {
    auto gate = Gate::create({});
    ASSERT_TRUE(gate.ok());
    gate_ = *std::move(gate);
    ASSERT_TRUE(gate_->set_probes(probes(8)).ok());
    context_ = {live_, {live_}, small_spec(), ""};
  }

  static ProbeSet probes(std::size_t held_out_episodes) {
    ProbeSet p;
    p.held_out = small_batch(8 * held_out_episodes, 31);
    p.demonstrations = small_batch(128, 32);
    p.recent = small_batch(32, 33);
    return p;
  }

  GateReport check(const std::shared_ptr<const Weights>& candidate) {
    auto report = gate_->check(candidate, context_);
    EXPECT_TRUE(report.ok()) << report.status().message();
    return *report;
  }

  template <typename Change>
  static std::shared_ptr<const Weights> child(Change change) {
    return altered(*live_, child_of(*live_), change);
  }

  static std::shared_ptr<const Weights> live_;
  std::unique_ptr<Gate> gate_;
  GateContext context_;
};
std::shared_ptr<const Weights> GateTest::live_;

TEST_F(GateTest, AcceptsARoundOnGoodData) {
  const auto report = check(trained(live_, 50, 0, TrainerOptions::full()));
  EXPECT_TRUE(report.accepted) << report.to_json();
  EXPECT_EQ(report.reason, "accepted");
  EXPECT_TRUE(report.enough_evidence);
  EXPECT_EQ(report.held_out_episodes, 8U);
}

TEST_F(GateTest, RefusesAValueThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto report = check(child([&](auto& t) { t["net.1.weight"][5] = bad; }));
    EXPECT_FALSE(report.accepted);
    EXPECT_EQ(report.reason, "non_finite");
    EXPECT_NE(report.detail.find("net.1.weight"), std::string::npos);
  }
}

TEST_F(GateTest, RefusesAnotherArchitecture) {
  HeadSpec other = small_spec();
  other.hidden = 16;
  const auto report = check(parsed(initial_weights(other, small_batch(64, 1), 1, {})));
  EXPECT_EQ(report.reason, "wrong_shape");
}

TEST_F(GateTest, RefusesWeightsForTheFeaturesOfAnotherBackbone) {
  Lineage lineage = child_of(*live_);
  lineage.backbone_hash = std::string(64, 'a');
  EXPECT_EQ(check(altered(*live_, lineage, [](auto&) {})).reason, "wrong_backbone");
}

TEST_F(GateTest, RefusesACandidateWithAnotherParent) {
  const auto stranger = fresh(small_spec(), 9);
  EXPECT_EQ(check(altered(*live_, child_of(*stranger), [](auto&) {})).reason, "wrong_parent");
  EXPECT_EQ(check(altered(*live_, {}, [](auto&) {})).reason, "wrong_parent");
}

TEST_F(GateTest, AcceptsAChildOfTheFullVersionThatALiveProvisionalOneDescendsFrom) {
  const auto provisional = trained(live_, 5, 0, TrainerOptions::micro());
  context_.reference = provisional;
  context_.parents = {provisional, live_};
  const auto report = check(trained(live_, 50, 0, TrainerOptions::full()));
  EXPECT_TRUE(report.accepted) << report.to_json();
}

TEST_F(GateTest, RefusesAFiniteButWildChange) {
  const auto report = check(child([](auto& t) {
    for (auto& v : t["net.1.weight"]) v *= 50;
  }));
  EXPECT_EQ(report.reason, "too_far");
  EXPECT_EQ(report.largest_change_name, "net.1.weight");
  EXPECT_NEAR(report.largest_change, 49, 1);
}

TEST_F(GateTest, RefusesARoundThatTouchesTheNormalisers) {
  EXPECT_EQ(check(child([](auto& t) { t["norm.action.scale"][0] *= 1.01F; })).reason, "too_far");
}

TEST_F(GateTest, LetsOnlyTheFirstRoundOfAHeadThatEditsGoTwiceAsFar) {
  const auto born = fresh(edit_spec());
  const auto moved = [](const Weights& from, float by) {
    return altered(from, child_of(from), [&](auto& tensors) {
      for (float& v : tensors["net.1.weight"]) v *= 1 + by;
      tensors["net.2.bias"][0] += 0.01F;
    });
  };
  ASSERT_TRUE(gate_->set_probes({}).ok());
  context_ = {born, {born}, edit_spec(), ""};
  EXPECT_TRUE(check(moved(*born, 1.5F)).accepted);
  EXPECT_EQ(check(moved(*born, 2.5F)).reason, "too_far");
  const auto taught = moved(*born, 0.5F);
  context_ = {taught, {taught}, edit_spec(), ""};
  EXPECT_EQ(check(moved(*taught, 1.5F)).reason, "too_far");
}

TEST_F(GateTest, LetsProvisionalAndParentlessWeightsForgetThreeTimesAsMuchAsFullOnes) {
  // Ever further off, until a full version is refused for it.
  const auto off_by = [](const Lineage& lineage, float offset) {
    return altered(*live_, lineage, [&](auto& t) {
      for (float& v : t["net." + std::to_string(live_->head().layers) + ".bias"]) v += offset;
    });
  };
  GateOptions options;
  options.max_relative_change = 100;
  options.held_out_worse = 100;
  gate_ = *Gate::create(options);
  ASSERT_TRUE(gate_->set_probes(probes(0)).ok());
  float offset = 0;
  while (check(off_by(child_of(*live_), offset)).accepted && offset < 1) offset += 0.02F;
  ASSERT_EQ(check(off_by(child_of(*live_), offset)).reason, "forgets");
  Lineage provisional = child_of(*live_);
  provisional.kind = WeightsKind::kProvisional;
  EXPECT_TRUE(check(off_by(provisional, offset)).accepted);
  EXPECT_EQ(check(off_by(provisional, 4 * offset)).reason, "forgets");
  context_.parents = {};
  Lineage none = child_of(*live_);
  none.parent_hash.clear();
  EXPECT_TRUE(check(off_by(none, offset)).accepted);
}

TEST_F(GateTest, RefusesToForgetTheDemonstrations) {
  // Another rule, learned well within the allowed change.
  const auto report = check(trained(live_, 300, 1.5, TrainerOptions::micro()));
  EXPECT_EQ(report.reason, "forgets") << report.to_json();
  EXPECT_GT(report.demonstration_error, report.demonstration_error_reference);
}

TEST_F(GateTest, RefusesWildActionsOnRecentObservations) {
  // Good where demonstrations are; the recent observations lie far away from them.
  ProbeSet p = probes(8);
  for (auto& f : p.recent.features) f = f * 400 - 800;
  ASSERT_TRUE(gate_->set_probes(p).ok());
  context_.reference = nullptr;  // nothing to compare with: the hard limit alone
  const auto report = check(trained(live_, 5, 0, TrainerOptions::full()));
  EXPECT_EQ(report.reason, "wild_actions") << report.to_json();
}

TEST_F(GateTest, RefusesWhatIsWorseOnHeldOutCorrections) {
  // Demonstrations follow the rule that the round keeps; the corrections need another.
  const auto taught = trained(live_, 600, 0.4);
  ProbeSet p = probes(8);
  p.held_out = small_batch(64, 31, 0.4);
  p.demonstrations = small_batch(128, 32);
  ASSERT_TRUE(gate_->set_probes(p).ok());
  context_ = {taught, {taught}, small_spec(), ""};
  const auto untaught = altered(*live_, child_of(*taught), [](auto&) {});
  const auto report = check(untaught);
  EXPECT_EQ(report.reason, "worse_on_held_out") << report.to_json();
  EXPECT_GT(report.held_out_change_bound, 0.10);
}

TEST_F(GateTest, LetsTheOtherChecksDecideBelowFiveHeldOutEpisodes) {
  const auto taught = trained(live_, 600, 0.4);
  ProbeSet p = probes(4);
  p.held_out = small_batch(32, 31, 0.4);
  ASSERT_TRUE(gate_->set_probes(p).ok());
  context_ = {taught, {taught}, small_spec(), ""};
  const auto report = check(altered(*live_, child_of(*taught), [](auto&) {}));
  EXPECT_TRUE(report.accepted) << report.to_json();
  EXPECT_FALSE(report.enough_evidence);
  EXPECT_EQ(report.detail, "held-out corrections: not enough evidence");
}

TEST_F(GateTest, TakesTheVeryFirstVersionWithoutAParent) {
  context_.reference = nullptr;
  context_.parents = {};
  const auto report = check(altered(*live_, {}, [](auto&) {}));
  EXPECT_TRUE(report.accepted) << report.to_json();
}

TEST_F(GateTest, GivesTheSameAnswerWhetherOrNotTheReferenceIsCached) {
  const auto candidate = trained(live_, 20, 0, TrainerOptions::micro());
  const auto first = check(candidate).to_json();
  EXPECT_EQ(check(candidate).to_json(), first);
  ASSERT_TRUE(gate_->set_probes(probes(8)).ok());
  EXPECT_EQ(check(candidate).to_json(), first);
}

TEST_F(GateTest, RefusesProbesThatWouldTakeTooLongOrAreNotNumbers) {
  ProbeSet many = probes(8);
  many.held_out = small_batch(kMaxProbeChunks + 1, 1);
  EXPECT_EQ(gate_->set_probes(many).code(), Code::kInvalidArgument);
  ProbeSet bad = probes(8);
  bad.recent.features[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(gate_->set_probes(bad).code(), Code::kInvalidArgument);
}

TEST(GateReport, IsOneLineOfJsonWhateverTheDetail) {
  GateReport report;
  report.reason = "forgets";
  report.detail = "a \"quote\"\nand \xff";
  report.wild_share = std::numeric_limits<double>::quiet_NaN();
  const std::string json = report.to_json();
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_NE(json.find("\"wild_share\":null"), std::string::npos);
}

TEST(ClusteredChange, IsTheRatioOfTheSumsWithAStudentBound) {
  // Every cluster changes alike: nothing is uncertain.
  const std::vector<double> then = {1, 2, 3, 4, 5}, alike = {1.1, 2.2, 3.3, 4.4, 5.5};
  EXPECT_NEAR(clustered_change(alike, then).change, 0.1, 1e-12);
  EXPECT_NEAR(clustered_change(alike, then).upper, 0.1, 1e-12);
  // Equal clusters: the bound is that of a mean, by hand: 0.1 + 1.533 * 0.0158 / ... with n = 5.
  const std::vector<double> ones(5, 1.0), spread = {1.0, 1.05, 1.1, 1.15, 1.2};
  const double error = std::sqrt(0.025 / 4 / 5);
  EXPECT_NEAR(clustered_change(spread, ones).change, 0.1, 1e-12);
  EXPECT_NEAR(clustered_change(spread, ones).upper, 0.1 + 1.533 * error, 1e-4);
}

TEST(ClusteredChange, BoundHoldsAboutNineTimesInTen) {
  Random random(1);
  int held = 0;
  const int trials = 2000;
  for (int i = 0; i < trials; ++i) {
    std::vector<double> then, now;
    for (int c = 0; c < 8; ++c) {
      const double size = random.uniform(5, 15);
      then.push_back(size);
      now.push_back(size * (1.05 + 0.1 * random.normal()));
    }
    held += clustered_change(now, then).upper >= 0.05 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(held) / trials, 0.9, 0.03);
}

}  // namespace
}  // namespace nudge
