#include "src/learning/learner_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(double s) { return Instant(from_seconds(s)); }

// The child's end is the kernel's to report; ask until it has.
Status wait_for_death(LearnerProcess& process, Instant now) {
  for (int i = 0; i < 500; ++i) {
    Status status = process.keep_alive(now);
    if (!process.running()) return status;
    ::usleep(10'000);
  }
  return internal("the child is still there");
}

LearnerProcessOptions options_for(const char* script) {
  LearnerProcessOptions options;
  options.command = {"/bin/sh", "-c", script};
  options.nice = 0;
  return options;
}

TEST(LearnerProcess, StartsAtTheFirstCall) {
  LearnerProcess process(options_for("sleep 100"));
  EXPECT_FALSE(process.running());
  ASSERT_TRUE(process.keep_alive(at(1)).ok());
  EXPECT_TRUE(process.running());
}

TEST(LearnerProcess, SaysHowTheChildEnded) {
  LearnerProcess process(options_for("exit 3"));
  ASSERT_TRUE(process.keep_alive(at(1)).ok());
  const Status death = wait_for_death(process, at(1));
  EXPECT_EQ(death.code(), Code::kUnavailable);
  EXPECT_NE(death.message().find("exit code 3"), std::string::npos) << death.message();
}

TEST(LearnerProcess, WaitsLongerAfterEachDeath) {
  LearnerProcess process(options_for("exit 1"));
  double now = 1;
  double expected = 1;
  for (int death = 0; death < 5; ++death) {
    ASSERT_TRUE(process.keep_alive(at(now)).ok());
    ASSERT_TRUE(process.running());
    ASSERT_FALSE(wait_for_death(process, at(now)).ok());
    EXPECT_DOUBLE_EQ(nudge::seconds(process.next_start() - at(now)), expected);
    (void)process.keep_alive(at(now + expected - 0.01));
    EXPECT_FALSE(process.running()) << "started before its pause was over";
    now += expected;
    expected = std::min(expected * 2, 60.0);
  }
  EXPECT_EQ(process.deaths(), 5u);
}

TEST(LearnerProcess, ForgetsItsDeathsAfterALongHealthyRun) {
  LearnerProcess process(options_for("sleep 100"));
  ASSERT_TRUE(process.keep_alive(at(1)).ok());
  ASSERT_EQ(::kill(process.pid(), SIGKILL), 0);
  ASSERT_FALSE(wait_for_death(process, at(1)).ok());
  ASSERT_TRUE(process.keep_alive(at(2)).ok());
  ASSERT_EQ(::kill(process.pid(), SIGKILL), 0);
  ASSERT_FALSE(wait_for_death(process, at(100)).ok());
  EXPECT_DOUBLE_EQ(nudge::seconds(process.next_start() - at(100)), 1.0);
}

TEST(LearnerProcess, EndsAStubbornChild) {
  LearnerProcess process(options_for("trap '' TERM; while :; do sleep 1; done"));
  ASSERT_TRUE(process.keep_alive(at(1)).ok());
  const int pid = process.pid();
  process.stop();
  EXPECT_FALSE(process.running());
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(LearnerProcess, GivesTheChildNoneOfItsFiles) {
  // The write end of this pipe must not survive into the child.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LearnerProcess process(options_for("sleep 100"));
  ASSERT_TRUE(process.keep_alive(at(1)).ok());
  ::close(ends[1]);
  char byte;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0) << "somebody else holds the pipe open";
  ::close(ends[0]);
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(LearnerProcess, KeepsOneOldLogAndBeginsAnewWhenItHasGrownLong) {
  const test::TempFolder folder;
  LearnerProcessOptions options = options_for("echo said");
  options.log_file = folder / "learner.log";
  options.log_bytes = 10;
  const auto life = [&](double now) {
    LearnerProcess process(options);
    ASSERT_TRUE(process.keep_alive(at(now)).ok());
    ASSERT_FALSE(wait_for_death(process, at(now)).ok());
  };
  std::ofstream(options.log_file) << "short\n";
  life(1);
  EXPECT_EQ(content(options.log_file), "short\nsaid\n");
  EXPECT_FALSE(std::filesystem::exists(options.log_file + ".1"));
  life(2);
  EXPECT_EQ(content(options.log_file), "said\n");
  EXPECT_EQ(content(options.log_file + ".1"), "short\nsaid\n");
}

}  // namespace
}  // namespace nudge
