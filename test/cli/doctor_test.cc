#include "src/cli/doctor.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace nudge {
namespace {

NamedResult result_of(const std::vector<NamedResult>& results, const std::string& name) {
  const auto found = std::find_if(results.begin(), results.end(),
                                  [&](const NamedResult& r) { return r.name == name; });
  EXPECT_NE(found, results.end()) << name;
  return found == results.end() ? NamedResult{} : *found;
}

class Doctor : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "nudge-doctor-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    config_.state.dir = folder_ + "/state";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
  Config config_;
};

TEST_F(Doctor, ExaminesEveryPartAndAdvisesWhereSomethingIsMissing) {
  const auto results = run_checks(standard_checks(config_));
  EXPECT_EQ(results.size(), 9u);
  for (const NamedResult& r : results) {
    EXPECT_FALSE(r.result.detail.empty()) << r.name;
    if (r.result.state != CheckState::kOk) {
      EXPECT_FALSE(r.result.advice.empty()) << r.name;
    }
  }
}

TEST_F(Doctor, MeasuresTheDiskAndLeavesNothingBehind) {
  const auto disk = result_of(run_checks(standard_checks(config_)), "disk");
  EXPECT_NE(disk.result.detail.find("durable write takes"), std::string::npos)
      << disk.result.detail;
  EXPECT_TRUE(std::filesystem::is_empty(config_.state.dir));
}

TEST_F(Doctor, FailsWhenTheStateFolderCannotBeMade) {
  config_.state.dir = "/dev/null/state";
  const auto results = run_checks(standard_checks(config_));
  EXPECT_EQ(result_of(results, "disk").result.state, CheckState::kFail);
  EXPECT_TRUE(any_failed(results));
}

TEST_F(Doctor, FailsOnAWrongConfiguration) {
  config_.policy.replan_after = 64;
  const auto check = result_of(run_checks(standard_checks(config_)), "config");
  EXPECT_EQ(check.result.state, CheckState::kFail);
  EXPECT_NE(check.result.detail.find("replan_after"), std::string::npos);
}

TEST_F(Doctor, SaysThatADriverInThisProcessCannotSurviveIt) {
  const auto check = result_of(run_checks(standard_checks(config_)), "driver");
  EXPECT_NE(check.result.detail.find("a driver inside this process cannot stop a robot"),
            std::string::npos);
  EXPECT_NE(check.result.advice.find("a timeout in its controller or its hardware"),
            std::string::npos);
}

TEST_F(Doctor, SaysThatARemoteRobotNeedsATimeoutOfItsOwnAsWell) {
  config_.robot.driver = RobotDriver::kRemote;
  const auto check = result_of(run_checks(standard_checks(config_)), "driver");
  EXPECT_NE(check.result.detail.find("its client holds"), std::string::npos);
  EXPECT_NE(check.result.advice.find("hardware watchdog"), std::string::npos);
}

TEST(DoctorReport, IsReadableForPeopleAndForPrograms) {
  const std::vector<NamedResult> results =
      run_checks({{"robot",
                   [] {
                     return CheckResult{CheckState::kFail, "no answer\nfor 2 s", "switch it on"};
                   }},
                  {"page", [] {
                     return CheckResult{CheckState::kOk, "port 8080", ""};
                   }}});
  EXPECT_EQ(doctor_text(results),
            "check  state  found\n"
            "-----  -----  ---------------\n"
            "robot  fail   no answer\n"
            "              for 2 s\n"
            "              -> switch it on\n"
            "page   ok     port 8080\n");
  const auto json = nlohmann::json::parse(doctor_json(results));
  EXPECT_FALSE(json["ok"].get<bool>());
  EXPECT_EQ(json["checks"][0]["state"], "fail");
  EXPECT_EQ(json["checks"][0]["advice"], "switch it on");
  EXPECT_EQ(json["checks"][1]["name"], "page");
}

}  // namespace
}  // namespace nudge
