#include "src/cli/blas.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

namespace nudge {
namespace {

constexpr CpuFeatures kSkylake{.avx2_fma = true, .avx512_skylake = true};
constexpr CpuFeatures kHaswell{.avx2_fma = true, .avx512_skylake = false};
constexpr CpuFeatures kOld{};

// What blas_environment() would set, given these variables.
std::map<std::string, std::string> changes(const CpuFeatures& features, const std::string& core,
                                           const std::map<std::string, std::string>& variables) {
  const BlasEnvironment list =
      blas_environment(features, core, [&](const char* name) -> const char* {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      });
  return {list.begin(), list.end()};
}

TEST(Blas, CoreTypeFollowsTheFeaturesOfTheCpu) {
  EXPECT_EQ(blas_core_type(kSkylake), "SkylakeX");
  EXPECT_EQ(blas_core_type(kHaswell), "Haswell");
  EXPECT_EQ(blas_core_type(kOld), "");
}

TEST(Blas, AFallbackToOldKernelsIsCorrected) {
  EXPECT_EQ(changes(kSkylake, "Prescott", {}).at("OPENBLAS_CORETYPE"), "SkylakeX");
  EXPECT_EQ(changes(kHaswell, "prescott", {}).at("OPENBLAS_CORETYPE"), "Haswell");
  EXPECT_EQ(changes(kOld, "Prescott", {}).count("OPENBLAS_CORETYPE"), 0u);
}

TEST(Blas, AChoiceThatKnowsTheCpuIsLeftAlone) {
  for (const char* core : {"SapphireRapids", "Cooperlake", "SkylakeX", "Zen", "Haswell"}) {
    EXPECT_EQ(changes(kSkylake, core, {}).count("OPENBLAS_CORETYPE"), 0u) << core;
  }
  EXPECT_EQ(changes(kSkylake, "", {}).count("OPENBLAS_CORETYPE"), 0u) << "no OpenBLAS loaded";
}

TEST(Blas, WhatTheUserSetStays) {
  const auto made =
      changes(kSkylake, "Prescott", {{"OPENBLAS_CORETYPE", "Nehalem"}, {"OMP_NUM_THREADS", "4"}});
  EXPECT_EQ(made.count("OPENBLAS_CORETYPE"), 0u);
  EXPECT_EQ(made.count("OMP_NUM_THREADS"), 0u);
  EXPECT_EQ(made.at("OPENBLAS_NUM_THREADS"), "1");
}

TEST(Blas, NothingIsChangedTwice) {
  const auto first = changes(kSkylake, "Prescott", {});
  EXPECT_EQ(first.size(), 4u);
  EXPECT_TRUE(changes(kSkylake, "Prescott", first).empty());
  EXPECT_TRUE(changes(kSkylake, "Prescott", {{"NUDGE_BLAS_CHOSEN", "1"}}).empty())
      << "the guard alone is enough, so that a failing choice cannot loop";
}

TEST(Blas, NothingIsChangedWhenAllIsSet) {
  EXPECT_TRUE(
      changes(kSkylake, "SkylakeX", {{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "2"}})
          .empty());
}

// The program of the test below: this same test program, started with this test alone.
TEST(BlasRestart, DISABLED_Program) {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::vector<char*> argv;
  for (std::size_t i = 0; i < text.size(); i += std::char_traits<char>::length(&text[i]) + 1) {
    argv.push_back(&text[i]);
  }
  argv.push_back(nullptr);
  const std::string note = std::string(getenv("NUDGE_TEST_NOTE"));
  std::ofstream(note, std::ios::app) << "pid " << getpid() << " arguments " << argv.size() - 1
                                     << " last " << argv[argv.size() - 2] << "\n";
  ASSERT_TRUE(prefer_fast_blas(argv.data()).ok());
  std::ofstream(note, std::ios::app) << "threads " << getenv("OMP_NUM_THREADS") << "\n";
}

TEST(BlasRestart, StartsItselfAnewOnceWithTheSameArguments) {
  std::string folder = "/tmp/nudge-blas-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string note = folder + "/note";
  std::vector<std::string> arguments = {"blas", "--gtest_also_run_disabled_tests",
                                        "--gtest_filter=BlasRestart.DISABLED_Program",
                                        "--gtest_brief=1", "a b"};
  // Inherited variables would decide the outcome.
  std::vector<std::string> variables = {"NUDGE_TEST_NOTE=" + note, "PATH=/usr/bin:/bin"};
  for (const char* name : {"TSAN_OPTIONS", "ASAN_OPTIONS"}) {
    if (const char* value = getenv(name)) variables.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> argv, environment;
  for (auto& a : arguments) argv.push_back(a.data());
  for (auto& v : variables) environment.push_back(v.data());
  argv.push_back(nullptr);
  environment.push_back(nullptr);
  pid_t child = 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ASSERT_EQ(
      posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environment.data()), 0);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);

  std::ifstream in(note);
  std::string first, second, third;
  ASSERT_TRUE(std::getline(in, first));
  ASSERT_TRUE(std::getline(in, second));
  EXPECT_EQ(first, second) << "the process number and the arguments stay";
  EXPECT_NE(first.find("arguments 5 last a b"), std::string::npos) << first;
  ASSERT_TRUE(std::getline(in, third));
  EXPECT_EQ(third, "threads 1");
  EXPECT_FALSE(std::getline(in, third));
  unlink(note.c_str());
  rmdir(folder.c_str());
}

}  // namespace
}  // namespace nudge
