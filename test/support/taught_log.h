// A log with episodes of every kind that a data set is made from, with real pictures.
#pragma once

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <memory>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "replay/log.h"
#include "test/support/log_samples.h"

namespace nudge::test {

// A JPEG of random stripes. Sides are even, so that videos keep them.
inline std::vector<std::uint8_t> small_jpeg(Random& random, int width = 32, int height = 24) {
  std::vector<std::uint8_t> rgb(static_cast<std::size_t>(3 * width * height));
  const auto red = static_cast<std::uint8_t>(random.below(256));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = rgb.data() + 3 * (y * width + x);
      pixel[0] = red;
      pixel[1] = static_cast<std::uint8_t>(255 * (x / 8 % 2));
      pixel[2] = static_cast<std::uint8_t>(8 * y);
    }
  }
  tjhandle handle = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(
      tjCompress2(handle, rgb.data(), width, 0, height, TJPF_RGB, &out, &size, TJSAMP_420, 90, 0),
      0);
  std::vector<std::uint8_t> jpeg(out, out + size);
  tjFree(out);
  tjDestroy(handle);
  return jpeg;
}

inline SegmentSpec taught_spec(bool pictures = true) {
  SegmentSpec spec;
  spec.feature_size = 2;
  spec.proprioception_size = 3;
  spec.action_size = 2;
  spec.backbone_hash = std::string(64, 'b');
  if (pictures) spec.cameras = {"front", "wrist"};
  return spec;
}

// Writes episodes; what each is follows from its number:
//   1 demonstration, success    2 deployment with a recovery and a correction, words, an undo
//   3 deployment, success       4 deployment labelled discard     5 evaluation     then 1 to 5
//   again
class TaughtLog {
 public:
  explicit TaughtLog(const std::string& dir, std::uint64_t seed = 1, bool pictures = true)
      : random_(seed), spec_(taught_spec(pictures)) {
    LogOptions options;
    options.dir = dir;
    options.boot = "boot-" + std::to_string(seed);
    options.segment_grow_bytes = 64 << 10;
    options.ballast_bytes = 4 << 10;
    auto log = Log::open(posix_files(), options);
    EXPECT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    if (log_->durable() == 0) {
      event(Booted{"nudge", "arm-1"}, 0);
      EXPECT_TRUE(log_->commit().ok());
    }
  }

  float largest = 1;  // of actions; more than 1 is no rate

  Log& log() { return *log_; }
  Random& random() { return random_; }

  void episode(std::uint32_t steps = 12) {
    const auto id = log_->start_episode(spec_);
    ASSERT_TRUE(id.ok()) << id.status().message();
    const int kind = static_cast<int>((*id - 1) % 5) + 1;
    const EpisodePurpose purpose = kind == 1   ? EpisodePurpose::kDemonstration
                                   : kind == 5 ? EpisodePurpose::kEvaluation
                                               : EpisodePurpose::kDeployment;
    event(EpisodeStarted{purpose, *id, kind == 3 ? "push it" : "lift it"}, *id);
    SpanId span = 0;
    for (std::uint32_t i = 0; i < steps; ++i) {
      if (kind == 2 && i == 4) {
        span = log_->next_span_id();
        event(SpanOpened{span, SpanKind::kTakeover, 1, i}, *id, i);
        event(Words{"a bit lower", WordsUse::kComment, ""}, *id, i);
      }
      Step step = sample_step(random_, *id, i, spec_, false);
      for (auto* rates : {&step.proposed, &step.requested, &step.executed}) {
        for (float& rate : *rates) rate *= largest / 2;
      }
      step.time = Instant(std::chrono::milliseconds(100 * i));
      step.flags = 0;
      step.weights = kind == 1 ? 0 : 7;
      step.source = kind == 1   ? ControlSource::kHuman
                    : span != 0 ? ControlSource::kHuman
                                : ControlSource::kPolicy;
      step.span = span;
      for (const std::string& camera : spec_.cameras) {
        if (i % 3 == 1) continue;  // the last one is shown again
        Image image;
        image.camera = camera;
        image.width = 32;
        image.height = 24;
        image.captured = step.time;
        image.jpeg = small_jpeg(random_);
        step.images.push_back(std::move(image));
      }
      const auto sequence = log_->append(step);
      ASSERT_TRUE(sequence.ok()) << sequence.status().message();
      if (kind == 2 && i == 8) {
        event(SpanClosed{span, SpanEnd::kReleased, 8, true}, *id, i);
        event(SpanSplit{span, 6}, *id, i);
        span = 0;
        event(InstructionChanged{"put it down"}, *id, i + 1);
      }
    }
    if (kind == 1 || kind == 3) label(*id, LabelValue::kSuccess);
    if (kind == 2) event(StepsDiscarded{*id, 10, 10}, *id, steps);
    if (kind == 4) label(*id, LabelValue::kDiscard);
    event(EpisodeEnded{EpisodeEnd::kTaskDone, steps}, *id, steps);
    ASSERT_TRUE(log_->commit().ok());
  }

  void label(EpisodeId episode, LabelValue value) { event(Label{episode, 0, value}, episode); }

 private:
  void event(Payload payload, EpisodeId episode, std::uint32_t step = 0) {
    Event event =
        sample_event("e" + std::to_string(log_->stats().appended) + "-" + std::to_string(++events_),
                     episode, std::move(payload));
    event.policy_step = step;
    const auto sequence = log_->append(std::move(event));
    EXPECT_TRUE(sequence.ok()) << sequence.status().message();
  }

  Random random_;
  SegmentSpec spec_;
  std::unique_ptr<Log> log_;
  std::uint64_t events_ = 0;
};

}  // namespace nudge::test
