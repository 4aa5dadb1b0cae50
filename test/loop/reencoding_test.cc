// Logs of the real kitchen with its cameras, recorded by one pair of eyes and encoded by another.
#include "src/loop/reencoding.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "replay/event_codec.h"
#include "replay/segment_reader.h"
#include "src/loop/clock.h"
#include "src/loop/deployment.h"
#include "src/loop/perception.h"
#include "test/support/small_eyes.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;

// Breaks off after some pictures, as a killed process would.
class TiredBackbone final : public Backbone {
 public:
  TiredBackbone(Backbone& eyes, std::size_t encodes) : eyes_(eyes), left_(encodes) {}
  std::size_t feature_size() const override { return eyes_.feature_size(); }
  std::vector<std::string> cameras() const override { return eyes_.cameras(); }
  const std::string& hash() const override { return eyes_.hash(); }
  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& instruction) override {
    if (left_-- == 0) return internal("too tired");
    return eyes_.encode(observation, instruction);
  }

 private:
  Backbone& eyes_;
  std::size_t left_;
};

class ReencodingTest : public testing::Test {
 protected:
  ReencodingTest() {
    write("old.safetensors", 1);
    write("new.safetensors", 2);
  }
  void SetUp() override {
    old_ = record("old", "old.safetensors");
    if (old_.code() == Code::kUnavailable) GTEST_SKIP() << old_.message();
    ASSERT_TRUE(old_.ok()) << old_.message();
  }

  void write(const std::string& name, std::uint64_t seed) {
    VisionFile file = test::small_eyes(seed, kKitchenProprioceptionSize);
    file.known.text[0] = kKitchenInstruction;
    const std::vector<std::byte> bytes = *file.write();
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  Config config(const std::string& eyes) {
    Config config;
    config.policy.backbone = folder_ / eyes;
    config.words.encoder = "none";
    return config;
  }
  Status record(const std::string& state, const std::string& eyes) {
    DeploymentOptions options;
    options.config = config(eyes);
    options.state_folder = folder_ / state;
    options.learn = false;
    auto deployment = Deployment::open(options);
    if (!deployment.ok()) return deployment.status();
    spec_ = (*deployment)->robot().observation;
    return (*deployment)->demonstrate(2, 7, {});
  }
  std::unique_ptr<Backbone> backbone(const std::string& eyes) {
    return *make_backbone(config(eyes), spec_);
  }
  Result<ReencodeReport> reencode(const std::string& state, Backbone& eyes) {
    return reencode_log(posix_files(), folder_ / state, eyes, steady_now(), wall_now(),
                        [](std::uint64_t, std::uint64_t) {});
  }
  // Of all steps, by sequence.
  std::map<Sequence, std::vector<Half>> features(const std::string& state) {
    std::map<Sequence, std::vector<Half>> found;
    for (const auto& entry : fs::directory_iterator(folder_ / (state + "/log/segments"))) {
      auto reader = SegmentReader::open(posix_files(), entry.path());
      EXPECT_TRUE(reader.ok());
      EXPECT_TRUE((*reader)
                      ->scan((*reader)->first(), entry.file_size(),
                             [&](const StepView& step, const RecordPlace&) {
                               found[step.sequence].assign(step.features.begin(),
                                                           step.features.end());
                               return true;
                             })
                      .ok());
    }
    return found;
  }
  std::map<std::string, std::string> segments(const std::string& state) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_ / (state + "/log/segments"))) {
      std::ifstream in(entry.path(), std::ios::binary);
      found[entry.path().filename()] = {std::istreambuf_iterator<char>(in), {}};
    }
    return found;
  }
  std::vector<Event> events(const std::string& state) {
    auto log = Log::open(posix_files(), {.dir = folder_ / (state + "/log"),
                                         .boot = "look",
                                         .now = steady_now(),
                                         .wall_now = wall_now(),
                                         .read_only = true});
    EXPECT_TRUE(log.ok()) << log.status().message();
    EXPECT_TRUE((*log)->verify()->ok());
    return *(*log)->events({}, 0, 10'000);
  }

  test::TempFolder folder_;
  ObservationSpec spec_;
  Status old_;
};

TEST_F(ReencodingTest, FeaturesBecomeThoseThatTheNewEyesWouldHaveRecorded) {
  ASSERT_TRUE(record("new", "new.safetensors").ok());
  const auto recorded = features("new");
  ASSERT_GT(recorded.size(), 20u);
  ASSERT_NE(features("old"), recorded);
  const auto report = reencode("old", *backbone("new.safetensors"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->encoded, recorded.size());
  EXPECT_EQ(report->without, 0u);
  EXPECT_EQ(features("old"), recorded);
}

TEST_F(ReencodingTest, EventsKeepNumberIdAndContentAndTheOldLogIsKept) {
  const auto before = events("old");
  const auto old_features = features("old");
  const auto report = reencode("old", *backbone("new.safetensors"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  const auto after = events("old");
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].sequence, before[i].sequence);
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_EQ(*encode_payload(after[i].payload), *encode_payload(before[i].payload));
  }
  fs::rename(report->set_aside, folder_ / "kept");
  fs::create_directories(folder_ / "aside");
  fs::rename(folder_ / "kept", folder_ / "aside/log");
  EXPECT_EQ(features("aside"), old_features);
  EXPECT_FALSE(fs::exists(folder_ / "old/log.reencoding"));
}

TEST_F(ReencodingTest, ARunThatWasBrokenOffIsGoneOnWithAndEndsTheSame) {
  fs::copy(folder_ / "old", folder_ / "broken", fs::copy_options::recursive);
  const auto eyes = backbone("new.safetensors");
  const auto whole = reencode("old", *eyes);
  ASSERT_TRUE(whole.ok()) << whole.status().message();

  TiredBackbone tired(*eyes, 12);
  const auto before = segments("broken");
  EXPECT_EQ(reencode("broken", tired).status().code(), Code::kInternal);
  EXPECT_EQ(segments("broken"), before);  // not touched
  const std::string cache = folder_ / "broken/log.reencoding/features";
  fs::resize_file(cache, fs::file_size(cache) - 5);  // the last write was torn
  const auto resumed = reencode("broken", *eyes);
  ASSERT_TRUE(resumed.ok()) << resumed.status().message();
  EXPECT_EQ(resumed->reused, 11u);
  EXPECT_EQ(resumed->encoded + resumed->reused, whole->encoded);
  EXPECT_EQ(segments("broken"), segments("old"));
}

TEST_F(ReencodingTest, AfterAnotherChangeOfEyesNothingOfTheBrokenOffRunIsUsed) {
  const auto eyes = backbone("new.safetensors");
  TiredBackbone tired(*eyes, 5);
  write("third.safetensors", 3);
  EXPECT_FALSE(reencode("old", tired).ok());
  const auto report = reencode("old", *backbone("third.safetensors"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->reused, 0u);
}

TEST_F(ReencodingTest, WithTheSameEyesEveryStepKeepsWhatItHas) {
  const auto before = features("old");
  const auto report = reencode("old", *backbone("old.safetensors"));
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->kept, before.size());
  EXPECT_EQ(report->encoded, 0u);
  EXPECT_EQ(report->set_aside, "");
  EXPECT_EQ(features("old"), before);
}

TEST_F(ReencodingTest, ARunThatWasKilledWhileTheNewLogWasPutInPlaceIsFinished) {
  const auto eyes = backbone("new.safetensors");
  const auto report = reencode("old", *eyes);
  ASSERT_TRUE(report.ok()) << report.status().message();
  const auto made = segments("old");
  // As it is between the two renames: the old log is aside, the new one complete and not in place.
  fs::create_directories(folder_ / "old/log.reencoding");
  fs::rename(folder_ / "old/log", folder_ / "old/log.reencoding/log");
  std::ofstream(folder_ / "old/log.reencoding/complete") << "";
  const auto again = reencode("old", *eyes);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->kept, report->steps);
  EXPECT_EQ(segments("old"), made);
  EXPECT_FALSE(fs::exists(folder_ / "old/log.reencoding"));
}

TEST_F(ReencodingTest, ALogWithoutPicturesStaysAsItIs) {
  DeploymentOptions options;
  options.state_folder = folder_ / "blind";
  options.learn = false;
  {
    auto deployment = Deployment::open(options);
    ASSERT_TRUE(deployment.ok()) << deployment.status().message();
    ASSERT_TRUE((*deployment)->demonstrate(1, 7, {}).ok());
  }
  const auto before = segments("blind");
  const auto report = reencode("blind", *backbone("new.safetensors"));
  EXPECT_EQ(report.status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(segments("blind"), before);
  EXPECT_EQ(reencode("nowhere", *backbone("new.safetensors")).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace nudge
