#include "src/learning/rollout.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "policy/trainer.h"
#include "test/support/altered_weights.h"
#include "test/support/learning_log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::altered_weights;
using test::child_lineage;
using test::Tensors;

// A real log, real weights on a real disk, the real gate; what is offered is broken in one way
// each.
class RolloutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    use_one_torch_thread();
    log_.emplace(folder_ / "log");
    log_->demonstrations();
    log_->begin();
    log_->steps(20, ControlSource::kPolicy);
    log_->end();
    log_->commit();
    dataset_.emplace(log_->dataset(config_));
    options_.folder = folder_ / "weights";
    options_.robot = "small";
    options_.gate = gate_options(config_);
    options_.head = head_spec(config_, test::small_shape());
    options_.backbone_hash = test::small_shape().backbone_hash;
    reopen();
    base_ = test::base_weights(*dataset_, config_);
    const Admission first = offer(base_, Offered::kByEngineer);
    ASSERT_TRUE(first.report.accepted) << first.report.reason << ": " << first.report.detail;
    ASSERT_EQ(first.version, 1u);
    take(first);
    apply(WeightsPromoted{.version = 1});
    apply(WeightsLive{.version = 1});
    parent_ = *Weights::parse(base_);
  }

  void reopen() {
    rollout_.reset();
    auto rollout = Rollout::open(options_);
    ASSERT_TRUE(rollout.ok()) << rollout.status().message();
    rollout_ = *std::move(rollout);
    ASSERT_TRUE(rollout_->refresh_probes(*dataset_).ok());
  }
  Admission offer(const std::vector<std::byte>& bytes, Offered by = Offered::kByLearner) {
    auto admission = rollout_->consider(bytes, by, history_, next_version_, WallTime{});
    EXPECT_TRUE(admission.ok()) << admission.status().message();
    return admission.ok() ? *std::move(admission) : Admission{};
  }
  void apply(Payload payload) {
    Event event;
    event.sequence = ++sequence_;
    event.payload = std::move(payload);
    history_.apply(event);
  }
  void take(const Admission& admission) {
    apply(admission.record());
    ++next_version_;
  }
  // A child of `parent` that moved a little.
  std::vector<std::byte> child(const Weights& parent, float by = 0.001f) const {
    return altered_weights(parent, child_lineage(parent), [&](Tensors& tensors) {
      tensors.at(test::output_layer(parent) + ".bias")[0] += by;
    });
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  // Refused, for this reason, with a record for the log, and without a trace on disk.
  void expect_refused(const std::vector<std::byte>& bytes, const std::string& reason) {
    const std::vector<std::string> before = files();
    const Admission admission = offer(bytes);
    EXPECT_FALSE(admission.report.accepted);
    EXPECT_EQ(admission.report.reason, reason) << admission.report.detail;
    EXPECT_EQ(admission.version, 0u);
    EXPECT_EQ(admission.head.head, nullptr);
    const Payload record = admission.record();
    ASSERT_TRUE(std::holds_alternative<WeightsRejected>(record));
    EXPECT_EQ(std::get<WeightsRejected>(record).reason, reason);
    EXPECT_EQ(std::get<WeightsRejected>(record).hash, sha256(bytes));
    EXPECT_FALSE(std::get<WeightsRejected>(record).detail.empty());
    EXPECT_EQ(files(), before);
  }

  test::TempFolder folder_;
  Config config_ = test::small_config();
  std::optional<test::LearningLog> log_;
  std::optional<Dataset> dataset_;
  RolloutOptions options_;
  std::unique_ptr<Rollout> rollout_;
  WeightsHistory history_;
  Sequence sequence_ = 0;
  WeightsVersion next_version_ = 1;
  std::vector<std::byte> base_;
  std::shared_ptr<const Weights> parent_;
};

TEST_F(RolloutTest, RefusesWeightsThatAreNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_refused(altered_weights(*parent_, child_lineage(*parent_),
                                   [&](Tensors& tensors) { tensors.at("net.0.bias")[3] = value; }),
                   "non_finite");
  }
}

TEST_F(RolloutTest, RefusesWeightsThatAreFiniteButActToInfinity) {
  options_.gate.max_relative_change = 1e300;
  reopen();
  expect_refused(altered_weights(*parent_, child_lineage(*parent_),
                                 [&](Tensors& tensors) {
                                   for (float& v : tensors.at("net.1.weight")) v *= 1e30f;
                                   for (float& v : tensors.at("net.2.weight")) v *= 1e30f;
                                 }),
                 "non_finite");
}

TEST_F(RolloutTest, RefusesBytesThatAreNoWeights) {
  expect_refused({}, "wrong_shape");
  expect_refused(std::vector<std::byte>(5000, std::byte{0x5a}), "wrong_shape");
  std::vector<std::byte> cut = child(*parent_);
  cut.resize(cut.size() / 2);
  expect_refused(cut, "wrong_shape");
}

TEST_F(RolloutTest, RefusesAnotherArchitecture) {
  Config other = config_;
  other.policy.hidden = 16;
  other.learner.base_steps = 1;
  expect_refused(test::base_weights(*dataset_, other), "wrong_shape");
}

TEST_F(RolloutTest, RefusesFeaturesOfAnotherBackbone) {
  Lineage lineage = child_lineage(*parent_);
  lineage.backbone_hash = std::string(64, 'e');
  expect_refused(altered_weights(*parent_, lineage, [](Tensors&) {}), "wrong_backbone");
}

TEST_F(RolloutTest, RefusesAParentThatIsNotTheRunningOne) {
  Lineage lineage = child_lineage(*parent_);
  lineage.parent_hash = std::string(64, 'e');
  expect_refused(altered_weights(*parent_, lineage, [](Tensors&) {}), "wrong_parent");
  lineage.parent_hash = "";
  expect_refused(altered_weights(*parent_, lineage, [](Tensors&) {}), "wrong_parent");
}

TEST_F(RolloutTest, RefusesAParentThatWasRolledBack) {
  const Admission second = offer(child(*parent_));
  take(second);
  apply(WeightsLive{.version = 2});
  const auto bad = Weights::parse(child(*parent_));
  apply(WeightsRolledBack{.from = 2, .to = 1, .reason = "clamp_rate"});
  expect_refused(child(**bad, 0.002f), "wrong_parent");
}

TEST_F(RolloutTest, RefusesAStepThatIsTooFar) {
  expect_refused(altered_weights(*parent_, child_lineage(*parent_),
                                 [&](Tensors& tensors) {
                                   for (float& v : tensors.at("net.1.weight")) v *= 3;
                                 }),
                 "too_far");
}

TEST_F(RolloutTest, RefusesANormaliserThatMoved) {
  expect_refused(altered_weights(*parent_, child_lineage(*parent_),
                                 [](Tensors& tensors) { tensors.at("norm.action.mean")[0] += 1; }),
                 "too_far");
}

TEST_F(RolloutTest, RefusesWhatForgetsTheDemonstrations) {
  options_.gate.max_relative_change = 100;
  reopen();
  expect_refused(
      altered_weights(*parent_, child_lineage(*parent_),
                      [&](Tensors& tensors) {
                        for (float& v : tensors.at(test::output_layer(*parent_) + ".bias")) v += 3;
                      }),
      "forgets");
}

TEST_F(RolloutTest, RefusesWildActions) {
  options_.gate.max_relative_change = 1e9;
  options_.gate.demonstration_ratio = 1e9;
  reopen();
  expect_refused(
      altered_weights(*parent_, child_lineage(*parent_),
                      [&](Tensors& tensors) {
                        for (float& v : tensors.at(test::output_layer(*parent_) + ".bias")) v += 99;
                      }),
      "wild_actions");
}

TEST_F(RolloutTest, OnlyAnEngineerMayBringWeightsTrainedFromScratch) {
  EXPECT_FALSE(offer(base_, Offered::kByLearner).report.accepted);
  const Admission admission = offer(base_, Offered::kByEngineer);
  EXPECT_TRUE(admission.report.accepted) << admission.report.detail;
}

TEST_F(RolloutTest, AnAcceptedVersionIsStoredSignedAndReadyToRun) {
  const std::vector<std::byte> bytes = child(*parent_);
  const Admission admission = offer(bytes);
  ASSERT_TRUE(admission.report.accepted) << admission.report.detail;
  EXPECT_EQ(admission.version, 2u);
  EXPECT_EQ(admission.parent, 1u);
  EXPECT_EQ(admission.kind, WeightsKind::kFull);
  ASSERT_NE(admission.head.head, nullptr);
  EXPECT_EQ(admission.head.version, 2u);
  EXPECT_EQ(admission.head.head->weights().hash(), sha256(bytes));
  EXPECT_TRUE(std::filesystem::exists(options_.folder + "/2.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(options_.folder + "/2.manifest.json"));
  const Payload record = admission.record();
  ASSERT_TRUE(std::holds_alternative<WeightsAccepted>(record));
  EXPECT_EQ(std::get<WeightsAccepted>(record).hash, sha256(bytes));
}

TEST_F(RolloutTest, AnAcceptedVersionLoadsAgainAfterARestart) {
  const std::vector<std::byte> bytes = child(*parent_);
  take(offer(bytes));
  reopen();
  const auto loaded = rollout_->load(2, history_);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->version, 2u);
  EXPECT_EQ(loaded->head->weights().hash(), sha256(bytes));
}

// Features mean something else to another backbone, whatever their number.
TEST_F(RolloutTest, AConfirmedVersionOfAnotherBackboneIsNotLoaded) {
  options_.backbone_hash = std::string(64, 'e');
  reopen();
  const auto loaded = rollout_->load(1, history_);
  EXPECT_EQ(loaded.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(loaded.status().message().find("v1 was trained on another backbone"), std::string::npos)
      << loaded.status().message();
}

TEST_F(RolloutTest, AConfirmedVersionOfOtherSizesIsNotLoaded) {
  ++options_.head.horizon;
  reopen();
  EXPECT_EQ(rollout_->load(1, history_).status().code(), Code::kFailedPrecondition);
}

TEST_F(RolloutTest, AVersionThatEditsNothingIsNotLoadedWhereAReferenceIsToBeEdited) {
  options_.head.reference_chunk = options_.head.edit = true;
  reopen();
  EXPECT_EQ(rollout_->load(1, history_).status().code(), Code::kFailedPrecondition);
}

TEST_F(RolloutTest, AVersionThatTheLogDoesNotKnowIsNotLoaded) {
  ASSERT_TRUE(
      offer(child(*parent_)).report.accepted);  // stored, but its event never became durable
  reopen();
  EXPECT_EQ(rollout_->load(2, history_).status().code(), Code::kNotFound);
}

class DamagedWeightsTest : public RolloutTest {
 protected:
  void damage(WeightsVersion version) {
    const std::string path = options_.folder + "/" + std::to_string(version) + ".safetensors";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file) << path;
    file.seekp(-100, std::ios::end);
    file.put('\x7f');
  }
};

TEST_F(DamagedWeightsTest, ADamagedFileIsRefusedAndSetAside) {
  damage(1);
  reopen();
  EXPECT_EQ(rollout_->load(1, history_).status().code(), Code::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(options_.folder + "/1.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(options_.folder + "/1.safetensors.rejected"));
  EXPECT_EQ(rollout_->load(1, history_).status().code(), Code::kNotFound);
}

TEST_F(DamagedWeightsTest, AWholeFileInPlaceOfAnotherIsRefused) {
  take(offer(child(*parent_)));
  std::filesystem::copy_file(options_.folder + "/1.safetensors", options_.folder + "/2.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  reopen();
  EXPECT_EQ(rollout_->load(2, history_).status().code(), Code::kDataLoss);
}

TEST_F(DamagedWeightsTest, AnEngineerCanReplaceConfirmedWeightsThatAreDamaged) {
  damage(1);
  reopen();
  ASSERT_FALSE(rollout_->load(1, history_).ok());
  const Admission admission = offer(base_, Offered::kByEngineer);
  EXPECT_TRUE(admission.report.accepted) << admission.report.detail;
}

TEST_F(DamagedWeightsTest, TheLearnerCannotReplaceThem) {
  damage(1);
  reopen();
  ASSERT_FALSE(rollout_->load(1, history_).ok());
  expect_refused(base_, "wrong_parent");
  expect_refused(child(*parent_), "wrong_parent");
}

// ---- the base that weights edit ----

class BasedWeightsTest : public RolloutTest {
 protected:
  void SetUp() override {
    RolloutTest::SetUp();
    alone_ = parent_;
    config_.policy.reference = PolicyReference::kBase;
    options_.folder = folder_ / "edits";
    options_.head = head_spec(config_, test::small_shape());
    options_.base = true;
    history_ = WeightsHistory();
    next_version_ = 1;
    reopen();
  }

  // An untrained head that edits this base; without one: that does not say what it edits.
  std::vector<std::byte> edit_of(const std::vector<std::byte>& base) {
    Lineage lineage;
    lineage.config_hash = training_config_hash(config_);
    lineage.backbone_hash = test::small_shape().backbone_hash;
    if (!base.empty()) lineage.base_hash = to_hex(sha256(base));
    const auto bytes =
        initial_weights(options_.head, dataset_->demonstration_probe(10'000, 1), 1, lineage);
    EXPECT_TRUE(bytes.ok()) << bytes.status().message();
    return *bytes;
  }
  // Another head that acts alone.
  std::vector<std::byte> other_base() const {
    return altered_weights(*alone_, alone_->lineage(), [&](Tensors& tensors) {
      tensors.at(test::output_layer(*alone_) + ".bias")[0] += 0.1f;
    });
  }

  Admission bring(const std::vector<std::byte>& weights, const std::vector<std::byte>& base) {
    auto admission = rollout_->consider(weights, Offered::kByEngineer, history_, next_version_,
                                        WallTime{}, {}, base);
    EXPECT_TRUE(admission.ok()) << admission.status().message();
    return admission.ok() ? *std::move(admission) : Admission{};
  }
  void install(const std::vector<std::byte>& base) {
    const Admission admission = bring(edit_of(base), base);
    ASSERT_TRUE(admission.report.accepted)
        << admission.report.reason << ": " << admission.report.detail;
    take(admission);
    apply(WeightsPromoted{.version = admission.version});
    apply(WeightsLive{.version = admission.version});
  }
  void expect_not_brought(const std::vector<std::byte>& weights, const std::vector<std::byte>& base,
                          const std::string& reason) {
    const std::vector<std::string> before = files();
    const Admission admission = bring(weights, base);
    EXPECT_FALSE(admission.report.accepted);
    EXPECT_EQ(admission.report.reason, reason) << admission.report.detail;
    EXPECT_EQ(files(), before) << "nothing of what was refused is kept";
  }
  std::string base_file(const std::vector<std::byte>& base) const {
    return options_.folder + "/base-" + to_hex(sha256(base)) + ".safetensors";
  }
  // What is edited where a version runs.
  std::vector<float> proposed_to(WeightsVersion version) {
    auto loaded = rollout_->load(version, history_);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    if (!loaded.ok() || loaded->base == nullptr) return {};
    Observation seen;
    seen.proprioception = {0.1f, 0.2f};
    return (**loaded->base->propose(seen, "", {0.1f, 0.2f, 0.3f, 0.4f}, 1)).actions;
  }

  std::shared_ptr<const Weights> alone_;  // of base_
};

TEST_F(BasedWeightsTest, ComeWithTheirBaseAndTheirChildrenEditTheSameOne) {
  install(base_);
  EXPECT_TRUE(std::filesystem::exists(base_file(base_)));
  const auto first = Weights::parse(edit_of(base_));
  const Admission second = offer(child(**first));
  ASSERT_TRUE(second.report.accepted) << second.report.detail;
  EXPECT_NE(second.head.base, nullptr);
  take(second);
  EXPECT_EQ(proposed_to(2), proposed_to(1));
  reopen();
  EXPECT_EQ(proposed_to(2).size(), 8u);
}

TEST_F(BasedWeightsTest, GoBackTogetherWithTheirOwnBase) {
  install(base_);
  const std::vector<float> old = proposed_to(1);
  install(other_base());
  EXPECT_NE(proposed_to(2), old);
  EXPECT_EQ(proposed_to(1), old);
  reopen();
  EXPECT_EQ(proposed_to(1), old) << "and after a restart";
}

TEST_F(BasedWeightsTest, AreRefusedWhereTheyNameAnotherBaseThanTheirParents) {
  install(base_);
  const auto first = *Weights::parse(edit_of(base_));
  Lineage lineage = child_lineage(*first);
  lineage.base_hash = to_hex(sha256(other_base()));
  expect_refused(altered_weights(*first, lineage, [](Tensors&) {}), "wrong_parent");
  lineage.base_hash.clear();
  expect_refused(altered_weights(*first, lineage, [](Tensors&) {}), "wrong_shape");
}

TEST_F(BasedWeightsTest, AreRefusedWithoutABaseOrWithAnother) {
  expect_not_brought(edit_of(base_), {}, "wrong_parent");
  expect_not_brought(edit_of({}), {}, "wrong_shape");
  expect_not_brought(edit_of(base_), other_base(), "wrong_shape");
}

TEST_F(BasedWeightsTest, AreRefusedWithABaseThatTheGateRefuses) {
  install(base_);
  const auto spoilt = [&](float value) {
    return altered_weights(*alone_, alone_->lineage(), [&](Tensors& tensors) {
      tensors.at(test::output_layer(*alone_) + ".bias")[0] = value;
    });
  };
  const std::vector<std::byte> nan = spoilt(std::numeric_limits<float>::quiet_NaN());
  expect_not_brought(edit_of(nan), nan, "non_finite");
  const std::vector<std::byte> wild = spoilt(1000);
  expect_not_brought(edit_of(wild), wild, "wild_actions");
  EXPECT_EQ(proposed_to(1).size(), 8u) << "what runs keeps its base";
}

TEST_F(BasedWeightsTest, AreNotLoadedWhenTheirBaseWasChanged) {
  install(base_);
  {
    std::fstream file(base_file(base_), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);
    file.put('\x7f');
  }
  reopen();
  const Status status = rollout_->load(1, history_).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("the base that they edit"), std::string::npos)
      << status.message();
  // Nor does anything descend from them.
  expect_refused(child(**Weights::parse(edit_of(base_))), "wrong_parent");
  install(other_base());  // an engineer makes it work again
  EXPECT_EQ(proposed_to(2).size(), 8u);
}

TEST_F(BasedWeightsTest, OfAnEarlierVersionThatNameNoneAreNotLoaded) {
  options_.base = false;
  reopen();
  take(bring(edit_of({}), {}));
  apply(WeightsPromoted{.version = 1});
  EXPECT_TRUE(rollout_->load(1, history_).ok()) << "of another source they go on";
  options_.base = true;
  reopen();
  const Status status = rollout_->load(1, history_).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("does not name the base"), std::string::npos) << status.message();
}

TEST_F(BasedWeightsTest, AreNotRunWhereTheReferenceIsSomebodyElses) {
  install(base_);
  options_.base = false;
  reopen();
  EXPECT_EQ(rollout_->load(1, history_).status().code(), Code::kFailedPrecondition);
  expect_not_brought(edit_of(base_), base_, "wrong_shape");
}

// Rolling back twice in a row leads to what was confirmed before; its file must be there.
TEST_F(RolloutTest, PruningKeepsWhatASecondRollbackLeadsTo) {
  for (int version = 2; version <= 45; ++version) {
    const auto bytes = child(*parent_);
    parent_ = *Weights::parse(bytes);
    take(offer(bytes));
    apply(WeightsLive{.version = static_cast<WeightsVersion>(version)});
    if (version == 2 || version == 22) {
      apply(WeightsConfirmed{.version = static_cast<WeightsVersion>(version)});
    }
  }
  ASSERT_EQ(history_.roll_back_target(), 22u);
  ASSERT_TRUE(rollout_->prune(history_).ok());
  EXPECT_TRUE(rollout_->load(22, history_).ok());
  EXPECT_TRUE(rollout_->load(2, history_).ok());
}

TEST_F(RolloutTest, PruningKeepsTheLiveTheConfirmedAndTheNewest) {
  options_.keep = 1;
  reopen();
  for (int i = 2; i <= 5; ++i) {
    const Admission admission = offer(child(*parent_, 0.001f * static_cast<float>(i)));
    ASSERT_TRUE(admission.report.accepted) << admission.report.detail;
    take(admission);
  }
  apply(WeightsLive{.version = 3});
  ASSERT_TRUE(rollout_->prune(history_).ok());
  for (const int version : {1, 3, 5}) {
    EXPECT_TRUE(rollout_->load(static_cast<WeightsVersion>(version), history_).ok()) << version;
  }
  reopen();
  for (const int version : {1, 3, 5}) {
    EXPECT_TRUE(rollout_->load(static_cast<WeightsVersion>(version), history_).ok()) << version;
  }
  for (const int version : {2, 4}) {
    EXPECT_EQ(rollout_->load(static_cast<WeightsVersion>(version), history_).status().code(),
              Code::kNotFound)
        << version;
  }
}

}  // namespace
}  // namespace nudge
