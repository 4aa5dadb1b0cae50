#include "src/ports/episode_reader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "replay/log.h"
#include "src/ports/openapi.h"
#include "test/support/golden.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

const Actor kAnna = {.name = "anna#1", .role = Role::kSupervisor};
const Actor kSelf = {.name = "nudge", .role = Role::kScript};

// A real log, its index, and a reader over it.
class EpisodeReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.ballast_bytes = 0;
    auto log = Log::open(posix_files(), options);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
  }

  void append(Payload payload, const Actor& actor = kSelf) {
    Event event;
    event.id = "e:" + std::to_string(++id_);
    event.episode = log_->open_episode();
    event.policy_step = step_;
    event.time = now_;
    event.wall_time = WallTime(milliseconds(1'764'029'000'000) + now_.time_since_epoch());
    event.boot = "boot-1";
    event.actor = actor;
    event.weights = 3;
    event.payload = std::move(payload);
    const auto sequence = log_->append(std::move(event));
    ASSERT_TRUE(sequence.ok()) << sequence.status().message();
  }
  EpisodeId begin() {
    SegmentSpec spec;
    spec.proprioception_size = 1;
    spec.action_size = 2;
    spec.cameras = {"front", "wrist"};
    const auto episode = log_->start_episode(spec);
    EXPECT_TRUE(episode.ok());
    step_ = 0;
    append(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift the red block"});
    return *episode;
  }
  // The wrist sees every other step.
  void steps(int count, ControlSource source, SpanId span = 0) {
    for (int i = 0; i < count; ++i) {
      Step step;
      step.episode = log_->open_episode();
      step.policy_step = step_++;
      step.time = now_ += milliseconds(100);
      step.weights = 3;
      step.source = source;
      step.span = span;
      if (source == ControlSource::kHuman) step.flags = kStepClamped;
      step.proprioception = {0};
      if (source == ControlSource::kPolicy) step.proposed = {0.25F, -0.1F};
      step.executed = {0.1F, static_cast<float>(step.policy_step)};
      for (const char* camera : {"front", "wrist"}) {
        if (camera[0] == 'w' && step.policy_step % 2 == 1) continue;
        Image image;
        image.camera = camera;
        image.width = camera[0] == 'w' ? 96 : 128;
        image.height = 64;
        image.jpeg = {0xff, 0xd8, static_cast<std::uint8_t>(step.policy_step),
                      static_cast<std::uint8_t>(camera[0])};
        step.images.push_back(std::move(image));
      }
      ASSERT_TRUE(log_->append(step).ok());
    }
  }
  // One corrected episode of ten steps.
  EpisodeId corrected() {
    const EpisodeId episode = begin();
    steps(3, ControlSource::kPolicy);
    append(SpanOpened{1, SpanKind::kTakeover, 1, 3}, kAnna);
    steps(4, ControlSource::kHuman, 1);
    append(SpanClosed{1, SpanEnd::kReleased, 6, true}, kAnna);
    steps(3, ControlSource::kPolicy);
    append(EpisodeEnded{EpisodeEnd::kTaskDone, 10});
    commit();
    return episode;
  }
  void commit() {
    ASSERT_TRUE(log_->commit().ok());
    const auto items = log_->feed(folded_ + 1, 100'000);
    ASSERT_TRUE(items.ok());
    for (const FeedItem& item : *items) {
      index_.apply(item);
      folded_ = last_sequence(item);
    }
  }
  json episode(EpisodeId id) {
    const EpisodeRecord* record = index_.find(id);
    EXPECT_NE(record, nullptr);
    text_ = reader_.episode(*record);
    return json::parse(text_);
  }
  Result<std::string> frame(EpisodeId id, const std::string& camera, std::uint32_t step) {
    return reader_.frame(place_of(*index_.find(id)), camera, step);
  }
  void flip(EpisodeId id, std::uint64_t offset) {
    std::fstream file(index_.find(id)->path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const char byte = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 1));
  }

  test::TempFolder folder_;
  std::unique_ptr<Log> log_;
  EpisodeIndex index_;
  EpisodeReader reader_{posix_files(), milliseconds(100)};
  std::string text_;
  Instant now_{std::chrono::seconds(5)};
  std::uint32_t step_ = 0;
  int id_ = 0;
  Sequence folded_ = 0;
};

TEST_F(EpisodeReaderTest, TellsAnEpisodeStepByStep) {
  const EpisodeId id = corrected();
  append(Label{id, 0, LabelValue::kSuccess}, kAnna);
  append(Label{id, 1, LabelValue::kSuccess}, kAnna);
  append(SpanSplit{1, 5}, kAnna);
  append(StepsDiscarded{id, 8, 9}, kAnna);
  commit();
  const json told = episode(id);
  EXPECT_EQ(text_, test::golden("ports/past-episode.json", text_));
  const json schemas = json::parse(openapi_json())["components"]["schemas"];
  const auto check = [&](const json& schema, const json& sent) {
    for (const auto& [name, value] : sent.items()) {
      EXPECT_TRUE(schema["properties"].contains(name)) << name;
    }
    EXPECT_EQ(schema["properties"].size(), sent.size());
  };
  check(schemas["PastEpisode"], told);
  check(schemas["PastEpisode"]["properties"]["step"], told["step"]);
  check(schemas["PastSpan"], told["spans"][0]);
  const std::vector<std::string> source = told["step"]["source"];
  for (std::size_t i = 0; i < source.size(); ++i) {
    const auto& span = told["spans"][0];
    const bool driven = i >= span["first_step"] && i <= span["last_step"];
    EXPECT_EQ(source[i], driven ? "human" : "policy") << i;
  }
  for (const char* column : {"source", "weights", "seconds", "proposed", "executed", "clamped"}) {
    EXPECT_EQ(told["step"][column].size(), told["steps"]) << column;
  }
}

TEST_F(EpisodeReaderTest, GivesTheFrameOfACameraAtAStep) {
  const EpisodeId id = corrected();
  for (const std::uint32_t step : {0u, 9u, 4u}) {
    const auto jpeg = frame(id, "front", step);
    ASSERT_TRUE(jpeg.ok()) << jpeg.status().message();
    EXPECT_EQ(*jpeg, (std::string{'\xff', '\xd8', static_cast<char>(step), 'f'}));
  }
  EXPECT_EQ(frame(id, "wrist", 2)->back(), 'w');
  EXPECT_EQ(frame(id, "wrist", 1).status().code(), Code::kNotFound) << "it saw nothing then";
  EXPECT_EQ(frame(id, "front", 10).status().code(), Code::kNotFound);
  EXPECT_EQ(frame(id, "rear", 0).status().code(), Code::kNotFound);
}

TEST_F(EpisodeReaderTest, FollowsTheEpisodeThatRuns) {
  const EpisodeId id = begin();
  commit();
  json told = episode(id);
  EXPECT_EQ(told["steps"], 0);
  EXPECT_TRUE(told["recorded"]);
  EXPECT_FALSE(told["ended"]);
  EXPECT_EQ(frame(id, "front", 0).status().code(), Code::kNotFound);

  steps(3, ControlSource::kPolicy);
  EXPECT_EQ(episode(id)["steps"], 0) << "nothing before it is durable";
  append(SpanOpened{1, SpanKind::kTakeover, 1, 3}, kAnna);
  steps(2, ControlSource::kHuman, 1);
  commit();
  told = episode(id);
  EXPECT_EQ(told["steps"], 5);
  EXPECT_EQ(told["spans"][0]["last_step"], 4) << "as far as it has come";
  EXPECT_TRUE(told["spans"][0]["reason"].is_null());
  EXPECT_TRUE(frame(id, "front", 4).ok());
  EXPECT_FALSE(frame(id, "front", 5).ok());
  steps(2, ControlSource::kHuman, 1);
  commit();
  EXPECT_TRUE(frame(id, "front", 6).ok());
  EXPECT_EQ(episode(id)["steps"], 7);
  append(EpisodeEnded{EpisodeEnd::kReset, 7});
  commit();
  EXPECT_TRUE(episode(id)["ended"]);
}

TEST_F(EpisodeReaderTest, ShowsWhatIsMissingAtItsPlace) {
  const EpisodeId id = begin();
  steps(2, ControlSource::kPolicy);
  append(StepsLost{2, 3, false});
  step_ = 5;
  steps(2, ControlSource::kPolicy);
  append(EpisodeEnded{EpisodeEnd::kTaskDone, 7});
  commit();
  const json told = episode(id);
  EXPECT_EQ(told["step"]["source"],
            json({"policy", "policy", "lost", "lost", "lost", "policy", "policy"}));
  EXPECT_TRUE(told["step"]["executed"][3].is_null());
  EXPECT_EQ(told["step"]["executed"][5][1], 5.0);
  EXPECT_EQ(told["lost"][0]["first_step"], 2);
  EXPECT_EQ(told["lost"][0]["count"], 3);
}

TEST_F(EpisodeReaderTest, GivesWhatIsReadableOfADamagedSegmentAndSaysSo) {
  const EpisodeId id = corrected();
  ASSERT_FALSE(episode(id)["damaged"]);
  const std::uint64_t size = index_.find(id)->end_offset;
  flip(id, size / 2);
  const json told = episode(id);
  EXPECT_TRUE(told["recorded"]);
  EXPECT_TRUE(told["damaged"]);
  EXPECT_EQ(told["step"]["source"].size(), 10u);
  int lost = 0;
  for (const auto& source : told["step"]["source"]) lost += source == "lost" ? 1 : 0;
  EXPECT_EQ(lost, 1);
  EXPECT_TRUE(frame(id, "front", 9).ok());
}

TEST_F(EpisodeReaderTest, TellsWhatTheLogKnowsOfASegmentThatIsGone) {
  const EpisodeId id = corrected();
  const std::string path = index_.find(id)->path;
  std::filesystem::remove(path);
  json told = episode(id);
  EXPECT_FALSE(told["recorded"]);
  EXPECT_EQ(told["spans"].size(), 1u);
  EXPECT_EQ(told["steps"], 10);
  EXPECT_TRUE(told["step"]["source"].empty());
  EXPECT_EQ(frame(id, "front", 0).status().code(), Code::kNotFound);
  std::ofstream(path) << "no segment";
  told = episode(id);
  EXPECT_FALSE(told["recorded"]);
  EXPECT_EQ(frame(id, "front", 0).status().code(), Code::kDataLoss);
}

TEST_F(EpisodeReaderTest, ReadsMoreEpisodesThanItKeepsOpen) {
  std::vector<EpisodeId> ids;
  for (int i = 0; i < 7; ++i) {
    ids.push_back(begin());
    steps(i + 1, ControlSource::kPolicy);
    append(EpisodeEnded{EpisodeEnd::kTaskDone, static_cast<std::uint32_t>(i + 1)});
    commit();
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      EXPECT_TRUE(frame(ids[i], "front", static_cast<std::uint32_t>(i)).ok());
      EXPECT_FALSE(frame(ids[i], "front", static_cast<std::uint32_t>(i + 1)).ok());
    }
  }
}

TEST_F(EpisodeReaderTest, SaysWhenAnEpisodeHasMoreStepsThanAnAnswerHasRoomFor) {
  // 64 channels and numbers of many digits: a thousand steps are more than a megabyte.
  SegmentSpec spec;
  spec.action_size = 64;
  const auto id = log_->start_episode(spec);
  ASSERT_TRUE(id.ok());
  append(EpisodeStarted{EpisodePurpose::kDeployment, 1, "x"});
  Random random(1);
  for (std::uint32_t i = 0; i < 12'000; ++i) {
    Step step;
    step.episode = *id;
    step.policy_step = i;
    step.executed = step.proposed = test::sample_floats(random, 64);
    ASSERT_TRUE(log_->append(step).ok());
    if (i % 1000 == 999) commit();
  }
  append(EpisodeEnded{EpisodeEnd::kTaskDone, 12'000});
  commit();
  const json told = episode(*id);
  EXPECT_TRUE(told["truncated"]);
  EXPECT_FALSE(told["damaged"]);
  EXPECT_EQ(told["steps"], 12'000);
  EXPECT_GT(told["step"]["source"].size(), 3'000u);
  EXPECT_LT(text_.size(), 9u << 20);
}

}  // namespace
}  // namespace nudge
