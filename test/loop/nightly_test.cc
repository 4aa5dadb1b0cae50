#include "src/loop/nightly.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "policy/trainer.h"
#include "src/loop/first_training.h"
#include "test/support/nightly_log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::NightlyLog;
using test::TempFolder;
using Json = nlohmann::json;
namespace fs = std::filesystem;

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void fill(NightlyLog& log, int failures = 8) {
  for (int i = 0; i < 6; ++i) log.demonstration();
  for (int i = 0; i < 10; ++i) log.corrected();
  for (int i = 0; i < 8; ++i) log.alone(true);
  for (int i = 0; i < failures; ++i) log.alone(false);
}

class NightlyTest : public ::testing::Test {
 protected:
  void SetUp() override { use_one_torch_thread(); }

  std::string state(const std::string& name = "state") const { return folder_ / name; }
  // A log as `fill` writes it, and, unless `weights` is false, a confirmed version.
  void prepare(bool weights = true, int failures = 8) {
    {
      NightlyLog log(state());
      fill(log, failures);
    }
    if (weights) confirm();
  }
  void confirm() {
    auto training = FirstTraining::open({.config = config_, .state_folder = state(), .notice = {}});
    ASSERT_TRUE(training.ok()) << training.status().message();
    const auto made = (*training)->train(Material::kDemonstrations, {});
    ASSERT_TRUE(made.ok()) << made.status().message();
    const auto version = (*training)->install(made->weights, made->base);
    ASSERT_TRUE(version.ok()) << version.status().message();
    first_ = *version;
  }
  std::string copy(const std::string& name) const {
    fs::copy(state(), state(name), fs::copy_options::recursive);
    return state(name);
  }
  Result<NightlyResult> run(const std::string& folder, std::function<bool()> should_stop = {}) {
    return run_nightly({.config = config_,
                        .state_folder = folder,
                        .notice = {},
                        .on_progress = {},
                        .should_stop = std::move(should_stop)});
  }
  NightlyResult done(const std::string& folder) {
    Result<NightlyResult> result = run(folder);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? *std::move(result) : NightlyResult{};
  }
  static std::string weights_in(const std::string& folder, WeightsVersion version) {
    return bytes_of(folder + "/weights/" + std::to_string(version) + ".safetensors");
  }
  static Json report_in(const std::string& folder) {
    Json report = Json::parse(bytes_of(folder + "/nightly/report.json"));
    report.erase("report");  // where it lies
    return report;
  }
  static std::set<std::string> files_in(const std::string& folder) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  TempFolder folder_{TempFolder::Where::kMemory};
  Config config_ = test::nightly_config();
  WeightsVersion first_ = 0;
};

TEST_F(NightlyTest, PromotesWhatItTrainedThroughTheGateAndLeavesPlanAndReport) {
  prepare();
  const NightlyResult result = done(state());
  EXPECT_EQ(result.outcome, NightlyOutcome::kPromoted) << result.detail;
  EXPECT_EQ(result.before, first_);
  EXPECT_GT(result.version, first_);
  EXPECT_EQ(files_in(state() + "/nightly"),
            (std::set<std::string>{"plan.json", "report.html", "report.json"}));
  auto after = FirstTraining::open({.config = config_, .state_folder = state(), .notice = {}});
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->history().confirmed(), result.version);
  const auto weights = (*after)->weights(result.version);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ((*weights)->lineage().prefix, result.material);
  EXPECT_EQ((*weights)->lineage().config_hash, result.config_hash);
  EXPECT_EQ((*weights)->lineage().steps, 100u);
}

TEST_F(NightlyTest, ARunThatIsStoppedAgainAndAgainEndsAsOneThatIsNot) {
  prepare();
  const std::string whole = copy("whole"), pieces = copy("pieces");
  const NightlyResult expected = done(whole);
  ASSERT_EQ(expected.outcome, NightlyOutcome::kPromoted) << expected.detail;
  int runs = 0;
  std::set<std::string> seen;  // stages that a run was stopped after
  for (;; ++runs) {
    ASSERT_LT(runs, 60);
    int left = 43;  // a leg is 40 steps long
    const auto result = run(pieces, [&] { return --left < 0; });
    if (result.ok()) break;
    ASSERT_EQ(result.status().code(), Code::kAborted) << result.status().message();
    seen.merge(files_in(pieces + "/nightly"));
  }
  EXPECT_GE(runs, 8);
  for (const char* stage :
       {"value-0.safetensors", "value-4.safetensors", "confirmed-40.safetensors",
        "confirmed-100.safetensors", "scratch-80.safetensors"}) {
    EXPECT_TRUE(seen.contains(stage)) << stage;
  }
  EXPECT_EQ(weights_in(pieces, expected.version), weights_in(whole, expected.version));
  EXPECT_EQ(report_in(pieces), report_in(whole));
}

// A kill leaves the files as they are after any one call: here after each piece of work, and with
// the next one half written.
TEST_F(NightlyTest, APieceThatWasHalfWrittenIsMadeAgain) {
  prepare();
  const std::string whole = copy("whole"), broken = copy("broken");
  const NightlyResult expected = done(whole);
  int left = 150;
  ASSERT_EQ(run(broken, [&] { return --left < 0; }).status().code(), Code::kAborted);
  const std::string nightly = broken + "/nightly/";
  std::ofstream(nightly + "value-4.safetensors.tmp") << "half";
  std::ofstream(nightly + "candidate.safetensors.tmp") << "half";
  fs::resize_file(nightly + "value-2.safetensors", 1000);  // a disk that loses what was synced
  const NightlyResult result = done(broken);
  EXPECT_EQ(result.version, expected.version);
  EXPECT_EQ(weights_in(broken, expected.version), weights_in(whole, expected.version));
  EXPECT_EQ(report_in(broken), report_in(whole));
}

TEST_F(NightlyTest, AKillBetweenPromotionAndReportPromotesNothingTwice) {
  prepare();
  const std::string whole = copy("whole");
  const NightlyResult expected = done(whole);
  // Stopped last before the gate; then as if the verdict had been lost.
  int calls = 0;
  const std::string counted = copy("counted");
  ASSERT_TRUE(run(counted, [&] {
                ++calls;
                return false;
              }).ok());
  int left = calls - 1;
  ASSERT_EQ(run(state(), [&] { return --left < 0; }).status().code(), Code::kAborted);
  ASSERT_TRUE(files_in(state() + "/nightly").contains("candidate.safetensors"));
  fs::copy(state() + "/nightly", folder_ / "kept", fs::copy_options::recursive);
  ASSERT_EQ(done(state()).version, expected.version);
  fs::remove_all(state() + "/nightly");
  fs::copy(folder_ / "kept", state() + "/nightly", fs::copy_options::recursive);
  const NightlyResult again = done(state());
  EXPECT_EQ(again.outcome, NightlyOutcome::kPromoted);
  EXPECT_EQ(again.version, expected.version);
  EXPECT_EQ(again.before, expected.before);
  EXPECT_FALSE(
      fs::exists(state() + "/weights/" + std::to_string(expected.version + 1) + ".safetensors"));
  EXPECT_EQ(report_in(state()), report_in(whole));
}

TEST_F(NightlyTest, WithNothingNewItDoesNothing) {
  prepare();
  const NightlyResult first = done(state());
  ASSERT_EQ(first.outcome, NightlyOutcome::kPromoted) << first.detail;
  const std::string report = bytes_of(first.report);
  { NightlyLog boot_alone(state(), "boot-2"); }
  const NightlyResult second = done(state());
  EXPECT_EQ(second.outcome, NightlyOutcome::kNothingNew);
  EXPECT_EQ(second.version, first.version);
  EXPECT_EQ(bytes_of(second.report), report);
  {
    NightlyLog log(state(), "boot-3");
    log.alone(false);
  }
  const NightlyResult third = done(state());
  EXPECT_NE(third.outcome, NightlyOutcome::kNothingNew);
  EXPECT_EQ(third.before, first.version);
}

TEST_F(NightlyTest, WhatAnotherPlanLeftIsNotGoneOnWith) {
  prepare();
  const std::string fresh = copy("fresh");
  int left = 150;
  ASSERT_EQ(run(state(), [&] { return --left < 0; }).status().code(), Code::kAborted);
  config_.learner.seed = 5;
  const NightlyResult expected = done(fresh), result = done(state());
  EXPECT_EQ(result.outcome, expected.outcome);
  EXPECT_EQ(weights_in(state(), result.version), weights_in(fresh, expected.version));
}

TEST_F(NightlyTest, FailuresTeachThroughTheirTokens) {
  prepare();
  const NightlyResult result = done(state());
  EXPECT_EQ(result.about_advantage, "");
  ASSERT_EQ(result.tasks.size(), 1u);
  EXPECT_EQ(result.tasks[0].task, "lift it");
  EXPECT_EQ(result.tasks[0].episodes, 32u);
  EXPECT_EQ(result.tasks[0].successes, 24u);
  EXPECT_GT(result.tasks[0].policy.positive, 50u);
  EXPECT_GT(result.tasks[0].policy.negative, 50u);
  ASSERT_TRUE(result.value.has_value());
  EXPECT_EQ(result.value->failures, 8u);
  EXPECT_EQ(result.value->calibration.size(), 10u);
  EXPECT_GT(result.value->told_apart, 0.5);
  for (const CalibrationBin& bin : result.value->calibration) {
    EXPECT_LE(bin.interval.low, bin.outcome);
    EXPECT_GE(bin.interval.high, bin.outcome);
  }
}

TEST_F(NightlyTest, DemonstrationsThatFailedTeachThroughTheirTokensAndNotWithout) {
  prepare();
  {
    NightlyLog log(state(), "boot-2");
    for (int i = 0; i < 3; ++i) log.failed_demonstration();
  }
  const std::string without = copy("without");
  const NightlyResult judged = done(state());
  ASSERT_EQ(judged.tasks.size(), 1u);
  EXPECT_GT(judged.tasks[0].shown.positive, 0u);
  EXPECT_LE(judged.tasks[0].shown.positive + judged.tasks[0].shown.negative, 3u * 30);
  config_.nightly.advantage = false;
  const NightlyResult discarded = done(without);
  const auto shown = [](const NightlyResult& result) {
    return result.counts.trainable[static_cast<std::size_t>(SampleClass::kDemonstration)];
  };
  EXPECT_EQ(shown(discarded), 6u * 20);
  EXPECT_EQ(shown(judged), shown(discarded) + judged.tasks[0].shown.positive);
}

TEST_F(NightlyTest, WithTooFewFailuresItTrainsWithoutJudgingSteps) {
  prepare(true, 2);
  const NightlyResult result = done(state());
  EXPECT_NE(result.about_advantage.find("2 failures"), std::string::npos) << result.about_advantage;
  EXPECT_TRUE(result.tasks.empty());
  EXPECT_EQ(result.outcome, NightlyOutcome::kPromoted) << result.detail;
}

TEST_F(NightlyTest, HeldOutCorrectionsChooseBetweenTheTwoTrainings) {
  prepare();
  const NightlyResult result = done(state());
  ASSERT_EQ(result.candidates.size(), 2u);
  EXPECT_EQ(result.candidates[0].name, "confirmed");
  EXPECT_EQ(result.candidates[1].name, "scratch");
  EXPECT_EQ(result.candidates[0].held_out_episodes, 2u);
  const bool scratch = *result.candidates[1].held_out_error < *result.candidates[0].held_out_error;
  EXPECT_EQ(result.candidates[1].chosen, scratch);
  EXPECT_EQ(result.candidates[0].chosen, !scratch);
}

TEST_F(NightlyTest, BelowTheGatesFewestHeldOutEpisodesTheSmallerStepIsTaken) {
  prepare();
  config_.gate.min_heldout_episodes = 5;
  const NightlyResult result = done(state());
  EXPECT_TRUE(result.candidates[0].chosen);
}

TEST_F(NightlyTest, WithoutConfirmedWeightsItTrainsFromScratch) {
  prepare(false);
  const NightlyResult result = done(state());
  EXPECT_EQ(result.outcome, NightlyOutcome::kPromoted) << result.detail;
  EXPECT_EQ(result.before, 0u);
  ASSERT_EQ(result.candidates.size(), 1u);
  EXPECT_EQ(result.candidates[0].name, "scratch");
  EXPECT_FALSE(result.held_out.front().before.has_value());
}

TEST_F(NightlyTest, WhatTheGateRefusesIsReportedAndChangesNothing) {
  prepare();
  config_.nightly.from_scratch = false;
  config_.gate.max_change = 0.001;
  const NightlyResult result = done(state());
  EXPECT_EQ(result.outcome, NightlyOutcome::kRefused);
  EXPECT_NE(result.detail.find("too_far"), std::string::npos) << result.detail;
  auto after = FirstTraining::open({.config = config_, .state_folder = state(), .notice = {}});
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->history().confirmed(), first_);
  EXPECT_NE(bytes_of(result.report).find("Not promoted"), std::string::npos);
  after->reset();
  EXPECT_EQ(done(state()).outcome, NightlyOutcome::kNothingNew);
}

TEST_F(NightlyTest, WhenTheGateRefusesTheBetterTrainingTheOtherIsOffered) {
  prepare();
  config_.gate.min_heldout_episodes = 5;  // the one from the confirmed version is preferred,
  config_.gate.max_change = 0.001;        // and refused; without a parent there is no such bound
  const NightlyResult result = done(state());
  ASSERT_EQ(result.candidates.size(), 2u);
  EXPECT_NE(result.candidates[0].refused.find("too_far"), std::string::npos)
      << result.candidates[0].refused;
  EXPECT_FALSE(result.candidates[0].chosen);
  EXPECT_TRUE(result.candidates[1].chosen);
  EXPECT_EQ(result.candidates[1].refused, "");
  EXPECT_EQ(result.outcome, NightlyOutcome::kPromoted) << result.detail;
  EXPECT_EQ(result.detail, "");
  auto after = FirstTraining::open({.config = config_, .state_folder = state(), .notice = {}});
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->history().confirmed(), result.version);
  EXPECT_EQ((*(*after)->weights(result.version))->lineage().parent_hash, "");
  EXPECT_EQ(report_in(state()).at("candidates").at(0).at("chosen"), false);
}

TEST_F(NightlyTest, ARunThatWasKilledAfterTheFirstRefusalOffersTheOtherOnce) {
  prepare();
  config_.gate.min_heldout_episodes = 5;
  config_.gate.max_change = 0.001;
  const std::string whole = copy("whole"), counted = copy("counted");
  const NightlyResult expected = done(whole);
  int calls = 0;
  ASSERT_TRUE(run(counted, [&] {
                ++calls;
                return false;
              }).ok());
  int left = calls - 1;  // the last one is asked before the second verdict
  ASSERT_EQ(run(state(), [&] { return --left < 0; }).status().code(), Code::kAborted);
  ASSERT_TRUE(files_in(state() + "/nightly").contains("verdict-confirmed.json"));
  fs::copy(state() + "/nightly", folder_ / "kept", fs::copy_options::recursive);
  const NightlyResult resumed = done(state());
  ASSERT_EQ(resumed.outcome, expected.outcome);
  Json report = report_in(state()), of_whole = report_in(whole);
  // A process that was killed does not remember the number that it gave the refused one.
  report.erase("version");
  of_whole.erase("version");
  EXPECT_EQ(report, of_whole);
  fs::remove_all(state() + "/nightly");  // as if the second verdict had been lost
  fs::copy(folder_ / "kept", state() + "/nightly", fs::copy_options::recursive);
  EXPECT_EQ(done(state()).version, resumed.version);
  EXPECT_FALSE(
      fs::exists(state() + "/weights/" + std::to_string(resumed.version + 1) + ".safetensors"));
}

TEST_F(NightlyTest, WhatARunThatWasKilledAtItsVeryEndHasLeftIsRemovedByTheNext) {
  prepare();
  const NightlyResult first = done(state());
  std::ofstream(state() + "/nightly/value-0.safetensors") << "left behind";
  EXPECT_EQ(done(state()).version, first.version);
  EXPECT_EQ(files_in(state() + "/nightly").size(), 3u) << "plan and report";
}

TEST_F(NightlyTest, ConfirmedWeightsOfAnotherArchitectureAreRefusedBeforeAnythingIsTrained) {
  prepare();
  config_.policy.hidden = 32;
  const auto result = run(state());
  EXPECT_EQ(result.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(result.status().message().find("another architecture"), std::string::npos);
}

TEST_F(NightlyTest, TheReportSaysWhoTaughtWhatChangedAndHowGoodTheValuesAre) {
  {
    NightlyLog log(state());
    log.person.name = "<b>lena & co";
    fill(log);
    log.instruction = "pour \"it\"";
    for (int i = 0; i < 6; ++i) log.corrected();
    for (int i = 0; i < 5; ++i) log.demonstration();
  }
  confirm();
  const NightlyResult result = done(state());
  const std::string page = bytes_of(result.report);
  for (const char* part :
       {"Nightly training of arm-7", "are promoted", "&lt;b&gt;lena &amp; co",
        "pour &quot;it&quot;", "lift it", "Held-out corrections", "Demonstrations", "Who taught",
        "corrections", "How good the value function is", "expected return",
        "Advantages of what the policy did", "this robot cannot be simulated here", "<svg",
        "prefers-color-scheme"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  for (const char* part : {"<b>", "<script", "http://", "https://", "src=", "url(", "nan", "inf"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
  const Json report = report_in(state());
  EXPECT_EQ(report.at("outcome"), "promoted");
  EXPECT_EQ(report.at("people").at(0).at("name"), "<b>lena & co");
  EXPECT_EQ(report.at("held_out_corrections").at(0).at("episodes"), 3);
  EXPECT_EQ(report.at("tasks").size(), 2u);
}

TEST_F(NightlyTest, ALogWithoutDemonstrationsOrWeightsIsRefused) {
  {
    NightlyLog log(state());
    log.alone(true);
  }
  EXPECT_EQ(run(state()).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(run(folder_ / "nothing").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace nudge
