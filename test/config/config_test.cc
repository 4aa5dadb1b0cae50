#include "src/config/config.h"

#include <gtest/gtest.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "test/support/test_data.h"

namespace nudge {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const std::string kSource =
    std::filesystem::path(test::test_data()).parent_path().parent_path().string();

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "nudge-config-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& text) {
    const std::string path = folder_ + "/robot.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  // The message of a file that is refused.
  std::string refusal(const std::string& text) {
    const auto loaded = load_config({.file = write(text)});
    EXPECT_FALSE(loaded.ok()) << text;
    return loaded.ok() ? "" : loaded.status().message();
  }

  std::string folder_;
};

TEST(Config, DefaultsAreValid) {
  const Status status = check_config(Config{});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(load_config({}).ok());
}

TEST(Config, EveryKeyHasMeaningRangeDefaultAndOrigin) {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name << " stands twice in the table";
    EXPECT_FALSE(key.default_value.empty()) << key.name;
    EXPECT_FALSE(key.allowed.empty()) << key.name;
    EXPECT_FALSE(key.origin_of_default.empty()) << key.name;
    ASSERT_FALSE(key.meaning.empty()) << key.name;
    EXPECT_EQ(key.meaning.back(), '.') << key.name;
    EXPECT_EQ(key.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_."),
              std::string::npos);
  }
  EXPECT_GT(names.size(), 50u);
}

// A field without a row in the table could not be set: its bytes would never be looked at. The
// sizes are those of the sections' fields, so adding one without a row fails here.
TEST(Config, EveryFieldOfEverySectionHasARow) {
  std::size_t bytes = 0;
  for (const ConfigKey& key : config_keys()) {
    if (key.type == "integer" || key.type == "number") bytes += 8;
    if (key.type == "text") bytes += sizeof(std::string);
    if (key.type == "list") bytes += sizeof(std::vector<double>);
    if (key.name == "policy.reference") continue;  // in the padding of the truth value behind it
    if (key.type == "one of")
      // Padded, or two in a row.
      bytes += key.name == "policy.head" || key.name == "robot.driver" || key.name == "ports.tls" ||
                       key.name.ends_with(".device") || key.name == "learner.share_of" ||
                       key.name == "demo.wrong"
                   ? 8
                   : 4;
    if (key.type == "true or false") bytes += 8;  // padded
  }
  EXPECT_EQ(bytes, sizeof(Config));
}

// With NUDGE_WRITE_DOCS=1 in the environment the next two write their files instead.
void expect_file(const std::string& path, const std::string& text) {
  if (std::getenv("NUDGE_WRITE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  EXPECT_EQ(read_file(path), text) << "run this test once with NUDGE_WRITE_DOCS=1";
}

TEST(Config, TheDefaultFileEqualsTheDefaultsOfTheProgram) {
  expect_file(kSource + "/configs/default.toml", default_config_file());
}

TEST(Config, TheReferencePageEqualsTheTable) {
  expect_file(kSource + "/docs/how-to/configuration.md", configuration_page());
}

TEST(Config, TheDefaultFileLoadsToTheDefaults) {
  const auto loaded = load_config({.file = kSource + "/configs/default.toml"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_EQ(*config_value(loaded->config, key.name), key.default_value) << key.name;
    EXPECT_EQ(loaded->sources.at(key.name).origin, ConfigOrigin::kFile) << key.name;
  }
}

TEST(Config, EveryShippedDeploymentLoads) {
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/configs")) {
    if (entry.path().extension() != ".toml") continue;
    const auto loaded = load_config({.file = entry.path().string()});
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  }
}

TEST_F(ConfigFile, ALaterSourceWinsAndIsNamedAsTheOrigin) {
  const std::string file = write("[learner]\nbatch = 32\nmicro_steps = 21\nfull_steps = 301\n");
  const auto loaded = load_config(
      {.file = file,
       .environment = {{"NUDGE_LEARNER__BATCH", "64"}, {"NUDGE_LEARNER__MICRO_STEPS", "22"}},
       .sets = {"learner.batch=96"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->config.learner.batch, 96);
  EXPECT_EQ(loaded->config.learner.micro_steps, 22);
  EXPECT_EQ(loaded->config.learner.full_steps, 301);
  EXPECT_EQ(loaded->config.learner.seed, 1);
  EXPECT_EQ(loaded->sources.at("learner.batch").where, "--set");
  EXPECT_EQ(loaded->sources.at("learner.micro_steps").where,
            "environment NUDGE_LEARNER__MICRO_STEPS");
  EXPECT_EQ(loaded->sources.at("learner.full_steps").where, file + ":4");
  EXPECT_EQ(loaded->sources.at("learner.seed").where, "default");
}

TEST_F(ConfigFile, EveryTypeOfValueIsReadFromAFile) {
  const auto loaded = load_config(
      {.file = write("[state]\ndir = \"arm-2\"\n[limits]\nmax_rate = [0.5, 1, 0.25]\n"
                     "[policy]\nhead = \"regression\"\n[learner]\nclip = 2\nfull_rate = 1e-4\n"
                     "[sim]\ncameras = true\n[logging]\nformat = \"json\"\nlevel = \"debug\"\n")});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->config.state.dir, "arm-2");
  EXPECT_EQ(loaded->config.limits.max_rate, (std::vector<double>{0.5, 1.0, 0.25}));
  EXPECT_EQ(loaded->config.policy.head, PolicyHead::kRegression);
  EXPECT_EQ(loaded->config.learner.clip, 2.0);
  EXPECT_EQ(loaded->config.learner.full_rate, 1e-4);
  EXPECT_TRUE(loaded->config.sim.cameras);
  EXPECT_EQ(loaded->config.logging.format, LogFormat::kJson);
  EXPECT_EQ(loaded->config.logging.level, LogLevel::kDebug);
}

TEST(Config, EveryTypeOfValueIsReadFromText) {
  const auto loaded = load_config(
      {.sets = {"state.dir=arm-2", "limits.max_rate=0.5, 1,0.25", "limits.workspace_lower=[0,0,0]",
                "limits.workspace_upper=[1,1,1]", "policy.head=regression", "learner.clip=2",
                "learner.full_rate=1e-4", "sim.cameras=true", "logging.level=warn"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->config.state.dir, "arm-2");
  EXPECT_EQ(loaded->config.limits.max_rate, (std::vector<double>{0.5, 1.0, 0.25}));
  EXPECT_EQ(loaded->config.limits.workspace_upper.size(), 3u);
  EXPECT_EQ(loaded->config.policy.head, PolicyHead::kRegression);
  EXPECT_EQ(loaded->config.learner.full_rate, 1e-4);
  EXPECT_TRUE(loaded->config.sim.cameras);
  EXPECT_EQ(loaded->config.logging.level, LogLevel::kWarn);
}

TEST_F(ConfigFile, AValueOutOfRangeNamesKeyValuePlaceAndRange) {
  const std::string message = refusal("[learner]\n\nbatch = 5000\n");
  EXPECT_NE(message.find("robot.toml:3: "), std::string::npos) << message;
  EXPECT_NE(message.find("learner.batch = 5000"), std::string::npos) << message;
  EXPECT_NE(message.find("1 to 4096"), std::string::npos) << message;
}

TEST_F(ConfigFile, AnUnknownKeyIsRefusedWithTheNearestOne) {
  EXPECT_NE(refusal("[learner]\nbacth = 5\n").find("did you mean \"learner.batch\"?"),
            std::string::npos);
  EXPECT_NE(refusal("[lerner]\nbatch = 5\n").find("did you mean \"learner.batch\"?"),
            std::string::npos);
  EXPECT_NE(refusal("batch = 5\n").find("every key stands in a [section]"), std::string::npos);
  EXPECT_EQ(refusal("[other]\nsomething_else_entirely = 5\n").find("did you mean"),
            std::string::npos);
}

TEST(Config, AnUnknownKeyOfTheEnvironmentOrTheCommandLineIsRefused) {
  const auto environment = load_config({.environment = {{"NUDGE_LEARNER__BATHC", "5"}}});
  ASSERT_FALSE(environment.ok());
  EXPECT_NE(environment.status().message().find("did you mean \"learner.batch\"?"),
            std::string::npos);
  const auto flag = load_config({.sets = {"learner.bath=5"}});
  ASSERT_FALSE(flag.ok());
  EXPECT_NE(flag.status().message().find("did you mean \"learner.batch\"?"), std::string::npos);
  EXPECT_FALSE(load_config({.sets = {"learner.batch"}}).ok());
}

TEST(Config, VariablesWithoutASectionAreOfNoConcern) {
  EXPECT_TRUE(load_config({.environment = {{"NUDGE_TOKEN", "x"}, {"PATH", "/bin"}}}).ok());
}

TEST_F(ConfigFile, AllProblemsOfAFileAreToldAtOnce) {
  const std::string message = refusal(
      "[learner]\nbatch = 0\nclip = \"big\"\n[policy]\nhead = \"mlp\"\n[state]\ndir = \"\"\n");
  EXPECT_NE(message.find(":2: "), std::string::npos) << message;
  EXPECT_NE(message.find(":3: "), std::string::npos) << message;
  EXPECT_NE(message.find("flow, regression"), std::string::npos) << message;
  EXPECT_NE(message.find("state.dir"), std::string::npos) << message;
}

TEST_F(ConfigFile, NumbersThatAreNotFiniteAreRefused) {
  EXPECT_NE(refusal("[learner]\nclip = nan\n").find("learner.clip"), std::string::npos);
  EXPECT_NE(refusal("[learner]\nclip = inf\n").find("learner.clip"), std::string::npos);
  EXPECT_NE(refusal("[limits]\nmax_rate = [1.0, nan]\n").find("limits.max_rate"),
            std::string::npos);
  EXPECT_FALSE(load_config({.sets = {"learner.clip=nan"}}).ok());
}

TEST_F(ConfigFile, AFractionIsNoIntegerAndTextIsNoNumber) {
  EXPECT_NE(refusal("[learner]\nbatch = 128.5\n").find("integer"), std::string::npos);
  EXPECT_NE(refusal("[learner]\nbatch = \"128\"\n").find("integer"), std::string::npos);
  EXPECT_NE(refusal("[limits]\nmax_rate = [\"a\"]\n").find("list"), std::string::npos);
  EXPECT_NE(refusal("[learner]\nbatch = {a = 1}\n").find("integer"), std::string::npos);
  EXPECT_FALSE(load_config({.sets = {"learner.batch=12x"}}).ok());
  EXPECT_FALSE(load_config({.sets = {"learner.batch="}}).ok());
  EXPECT_FALSE(load_config({.sets = {"learner.batch=99999999999999999999"}}).ok());
}

TEST_F(ConfigFile, ABrokenFileNamesItsLine) {
  EXPECT_NE(refusal("[learner]\nbatch = = 3\n").find("robot.toml:2: not TOML"), std::string::npos);
  EXPECT_NE(refusal("[[[\n= \"\\u00").find("not TOML"), std::string::npos);
}

TEST_F(ConfigFile, DeeplyNestedInputIsRefusedNotFollowed) {
  refusal("[a]\nx = " + std::string(100'000, '[') + "\n");
}

TEST_F(ConfigFile, AFileBeyondAMebibyteIsNotParsed) {
  EXPECT_NE(refusal(std::string((1 << 20) + 1, '#')).find("larger than 1 MiB"), std::string::npos);
}

TEST(Config, AMissingFileIsNotFound) {
  const auto loaded = load_config({.file = "/nonexistent/robot.toml"});
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kNotFound);
}

TEST(Config, TheSharesOfABatchSumToOne) {
  EXPECT_TRUE(
      load_config({.sets = {"learner.share_corrections=0.5", "learner.share_demonstrations=0.5"}})
          .ok());
  const auto loaded = load_config({.sets = {"learner.share_corrections=0.7"}});
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.status().message().find("must be 1"), std::string::npos);
}

TEST(Config, RulesAcrossKeysAreChecked) {
  const char* const kBroken[] = {"limits.workspace_lower=0,0,0", "limits.clamps_to_hold=50",
                                 "policy.replan_after=9",        "authority.lease_ms=100",
                                 "authority.reacquire_s=0.4",    "learner.restart_max_s=0.5",
                                 "authority.camera_same_ms=400"};
  for (const char* set : kBroken) EXPECT_FALSE(load_config({.sets = {set}}).ok()) << set;
  EXPECT_FALSE(
      load_config({.sets = {"limits.workspace_lower=0,0,1", "limits.workspace_upper=1,1,1"}}).ok());
}

TEST(Config, AnUpstreamIsEditedOnlyWhereThereIsOne) {
  const std::string edit = "policy.reference=upstream", asks = "robot.driver=openpi";
  const std::string far = "openpi.upstream=wss://gpu.example:8000";
  EXPECT_TRUE(load_config({.sets = {edit, asks, far}}).ok());
  EXPECT_FALSE(load_config({.sets = {edit, far}}).ok());
  EXPECT_FALSE(load_config({.sets = {edit, asks}}).ok());
  EXPECT_FALSE(load_config({.sets = {asks, "openpi.upstream=http://gpu.example:8000"}}).ok());
}

TEST(Config, TheFileOfSignedHeadsIsNamedByItsWholePath) {
  EXPECT_FALSE(load_config({.sets = {"log.heads_file=robot-7.heads"}}).ok());
  EXPECT_TRUE(load_config({.sets = {"log.heads_file=/mnt/audit/robot-7.heads"}}).ok());
}

TEST(Config, ADeviceIsAutoCpuOrCuda) {
  EXPECT_EQ(load_config({})->config.learner.device, DeviceUse::kAuto);
  EXPECT_EQ(load_config({})->config.policy.device, DeviceUse::kAuto);
  const auto named = load_config({.sets = {"learner.device=cuda", "policy.device=cpu"}});
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->config.learner.device, DeviceUse::kCuda);
  EXPECT_EQ(named->config.policy.device, DeviceUse::kCpu);
  const auto wrong = load_config({.sets = {"learner.device=gpu"}});
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().message().find("auto, cpu, cuda"), std::string::npos);
}

TEST(Config, AConfigMadeInCodeIsHeldToTheSameRanges) {
  Config config;
  config.learner.batch = 0;
  const Status status = check_config(config);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("learner.batch"), std::string::npos);
}

TEST_F(ConfigFile, WhatIsPrintedLoadsToTheSameValues) {
  const auto first = load_config({.sets = {"learner.batch=64", "state.dir=a \"b\"\t\\c",
                                           "policy.head=regression", "limits.max_rate=0.1,1"}});
  ASSERT_TRUE(first.ok()) << first.status().message();
  const auto second = load_config({.file = write(print_config(*first))});
  ASSERT_TRUE(second.ok()) << second.status().message();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_EQ(*config_value(first->config, key.name), *config_value(second->config, key.name));
  }
}

TEST(Config, PrintingNamesTheOrigin) {
  const auto loaded = load_config({.sets = {"learner.batch=64"}});
  ASSERT_TRUE(loaded.ok());
  const std::string text = print_config(*loaded);
  EXPECT_NE(text.find("batch = 64"), std::string::npos);
  EXPECT_NE(text.find("# --set"), std::string::npos);
  EXPECT_NE(text.find("# default"), std::string::npos);
  const std::string json = print_config_json(*loaded);
  EXPECT_NE(json.find("\"learner.batch\""), std::string::npos);
  EXPECT_NE(json.find("\"--set\""), std::string::npos);
}

TEST(Config, WhatIsPrintedAsJsonIsJson) {
  const auto loaded =
      load_config({.sets = {"state.dir=a \"b\"\t\\c", "limits.workspace_lower=0,0.00001,0",
                            "limits.workspace_upper=1,1,1"}});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const auto json = nlohmann::json::parse(print_config_json(*loaded));
  EXPECT_EQ(json.size(), config_keys().size());
  EXPECT_EQ(json["state.dir"]["value"], "a \"b\"\t\\c");
  EXPECT_EQ(json["learner.batch"]["value"], 128);
  EXPECT_EQ(json["limits.workspace_lower"]["value"][1], 0.00001);
  EXPECT_EQ(json["limits.workspace_lower"]["origin"], "--set");
}

TEST(Config, TextThatIsNotUtf8IsRefused) {
  EXPECT_TRUE(load_config({.sets = {"state.dir=k\xc3\xbc"
                                    "che/\xf0\x9f\xa4\x96"}})
                  .ok());
  for (const char* bytes : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(load_config({.sets = {std::string("state.dir=x") + bytes}}).ok());
  }
}

TEST(Config, TrainingTextChangesWithTheMathematicsAndNotWithThePlayback) {
  Config config;
  const std::string before = training_text(config);
  config.learner.nice = 5;
  config.policy.blend_ms = 0;
  config.policy.backbone = "elsewhere.pt";
  config.learner.seed = 9;
  config.learner.device = config.policy.device = DeviceUse::kCuda;
  config.state.dir = "elsewhere";
  EXPECT_EQ(training_text(config), before);
  config.learner.batch = 64;
  EXPECT_NE(training_text(config), before);
}

TEST(Config, AnUnknownNameHasNoValue) {
  const auto value = config_value(Config{}, "learner.bath");
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace nudge
