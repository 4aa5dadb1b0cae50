// A real log with demonstrations and corrected episodes of a small robot that exists in numbers
// only: four features, two actions. Equal calls write equal logs.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "policy/trainer.h"
#include "replay/dataset.h"
#include "replay/log.h"
#include "src/config/config.h"
#include "src/learning/settings.h"
#include "src/loop/recorder.h"

namespace nudge::test {

inline const Actor kLena = {.name = "lena", .role = Role::kSupervisor};

// A head that trains in milliseconds, and rounds to match.
inline Config small_config() {
  Config config;
  config.policy.hidden = 32;
  config.policy.layers = 2;
  config.policy.horizon = 4;
  config.policy.replan_after = 2;
  config.learner.batch = 32;
  config.learner.base_steps = 300;
  config.learner.micro_steps = 10;
  config.learner.full_steps = 60;
  return config;
}

inline PolicyShape small_shape() {
  return {.feature_size = 4,
          .proprioception_size = 2,
          .action_size = 2,
          .policy_period = std::chrono::milliseconds(100),
          .backbone_hash = std::string(64, 'b')};
}

class LearningLog {
 public:
  explicit LearningLog(const std::string& folder) : folder_(folder) {
    LogOptions options;
    options.dir = folder;
    options.boot = "boot-1";
    options.ballast_bytes = 0;
    auto log = Log::open(posix_files(), options);
    EXPECT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    recorder_.emplace(*log_, "boot-1", Actor{.name = "test", .role = Role::kScript});
  }

  Log& log() { return *log_; }
  Sequence append(Payload payload, const Actor& actor = kLena) {
    const Status status = recorder_->append(std::move(payload), moment(), actor, "");
    EXPECT_TRUE(status.ok()) << status.message();
    return log_->stats().appended;
  }
  void commit() {
    const Status status = log_->commit();
    EXPECT_TRUE(status.ok()) << status.message();
  }

  void begin(EpisodePurpose purpose = EpisodePurpose::kDeployment) {
    SegmentSpec segment;
    segment.feature_size = 4;
    segment.proprioception_size = 2;
    segment.action_size = 2;
    segment.backbone_hash = small_shape().backbone_hash;
    const auto episode = recorder_->begin_episode(
        {.purpose = purpose, .seed = 0, .instruction = "do it"}, segment, moment());
    ASSERT_TRUE(episode.ok()) << episode.status().message();
    episode_ = *episode;
    step_ = 0;
    const EpisodeId looks = std::exchange(looks_like_, 0);
    random_ = Random(Random::derive(77, looks != 0 ? looks : episode_));
  }
  // The next episode sees what the one of this number would.
  void looks_like(EpisodeId number) { looks_like_ = number; }
  // Steps whose action is a rule of what is seen; corrections follow another rule.
  void steps(int count, ControlSource source, SpanId span = 0) {
    for (int i = 0; i < count; ++i) {
      Step step;
      step.episode = episode_;
      step.policy_step = step_++;
      step.time = now_ += std::chrono::milliseconds(100);
      step.source = source;
      step.span = span;
      for (int f = 0; f < 4; ++f) {
        step.features.push_back(static_cast<float>(random_.uniform(-1, 1)));
      }
      step.proprioception = {static_cast<float>(random_.uniform()),
                             static_cast<float>(random_.uniform())};
      const float sign = source == ControlSource::kHuman ? -1.0f : 1.0f;
      step.executed = {0.5f * step.features[0] + 0.2f * step.proprioception[0],
                       sign * 0.5f * step.features[1]};
      step.requested = step.executed;
      const Status status = recorder_->append(std::move(step));
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  SpanId open_span(const Actor& actor = kLena) {
    const SpanId span = log_->next_span_id();
    append(SpanOpened{.span = span, .epoch = span, .first_step = step_}, actor);
    return span;
  }
  // Returns the sequence of SpanClosed.
  Sequence correction(int count, const Actor& actor = kLena) {
    const SpanId span = open_span(actor);
    steps(count, ControlSource::kHuman, span);
    return append(SpanClosed{.span = span, .last_step = step_ - 1}, actor);
  }
  // Returns the sequence of EpisodeEnded.
  Sequence end(LabelValue label = LabelValue::kNone, const Actor& actor = kLena) {
    if (label != LabelValue::kNone) append(Label{.episode = episode_, .value = label}, actor);
    const Status status = recorder_->end_episode(EpisodeEnd::kTaskDone, step_, moment());
    EXPECT_TRUE(status.ok()) << status.message();
    return log_->stats().appended;
  }

  void demonstrations(int count = 4) {
    for (int i = 0; i < count; ++i) {
      begin(EpisodePurpose::kDemonstration);
      steps(30, ControlSource::kScript);
      end(LabelValue::kSuccess);
    }
  }
  Sequence corrected_episode(const Actor& actor = kLena) {
    begin();
    steps(15, ControlSource::kPolicy);
    correction(12, actor);
    steps(5, ControlSource::kPolicy);
    return end(LabelValue::kSuccess, actor);
  }

  // Everything durable, folded `portion` items at a time.
  Dataset dataset(const Config& config, std::size_t portion = 1000) {
    Dataset dataset(posix_files(), dataset_options(config, small_shape()));
    while (dataset.prefix() < log_->durable()) {
      const auto items = log_->feed(dataset.prefix() + 1, portion);
      EXPECT_TRUE(items.ok()) << items.status().message();
      for (const FeedItem& item : *items) {
        const Status status = dataset.apply(item);
        EXPECT_TRUE(status.ok()) << status.message();
      }
    }
    return dataset;
  }

 private:
  Moment moment() const { return {.now = now_, .wall = {}, .policy_step = step_}; }

  std::string folder_;
  std::unique_ptr<Log> log_;
  std::optional<Recorder> recorder_;
  Instant now_{std::chrono::seconds(1)};
  EpisodeId episode_ = 0, looks_like_ = 0;
  std::uint32_t step_ = 0;
  Random random_{0};
};

// Weights trained on the demonstrations in `dataset`, without a parent.
inline std::vector<std::byte> base_weights(Dataset& dataset, const Config& config) {
  const auto seed = static_cast<std::uint64_t>(config.learner.seed);
  Lineage lineage;
  lineage.prefix = dataset.prefix();
  lineage.config_hash = training_config_hash(config);
  lineage.backbone_hash = small_shape().backbone_hash;
  const auto fresh = initial_weights(head_spec(config, small_shape()),
                                     dataset.demonstration_probe(10'000, seed), seed, lineage);
  EXPECT_TRUE(fresh.ok()) << fresh.status().message();
  const auto start = Weights::parse(*fresh);
  EXPECT_TRUE(start.ok()) << start.status().message();
  auto trainer = Trainer::create(*start, nullptr, base_trainer_options(config));
  EXPECT_TRUE(trainer.ok()) << trainer.status().message();
  Mix mix;
  mix.share.fill(0);
  mix.share[static_cast<std::size_t>(SampleClass::kDemonstration)] = 1;
  Random random(seed);
  Batch batch;
  for (std::int64_t step = 0; step < config.learner.base_steps; ++step) {
    Status status =
        dataset.sample(batch, static_cast<std::size_t>(config.learner.batch), mix, random);
    EXPECT_TRUE(status.ok()) << status.message();
    status = (*trainer)->step(batch);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  const auto bytes = (*trainer)->weights(lineage);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return *bytes;
}

}  // namespace nudge::test
