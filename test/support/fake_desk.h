// The rest of the daemon, as ports see it: shows what it is given, and keeps what is submitted
// until the test answers.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "src/ports/desk.h"
#include "test/support/port_samples.h"

namespace nudge::test {

class FakeDesk final : public Desk {
 public:
  FakeDesk() {
    frames_now.resize(info_now.robot.observation.cameras.size());
    for (std::size_t i = 0; i < frames_now.size(); ++i) {
      frames_now[i].camera = info_now.robot.observation.cameras[i].name;
    }
  }

  const DeskInfo& info() const override { return info_now; }
  const Snapshot& snapshot() const override { return snapshot_now; }
  const History& history() const override { return history_now; }
  const LearningStatus& learning() const override { return learning_now; }
  const LearningLedger& ledger() const override { return ledger_now; }
  const DatasetCounts& dataset() const override { return dataset_now; }
  bool recording() const override { return recording_now; }
  const StorageStatus& storage() const override { return storage_now; }
  const std::string& log_head() const override { return head_now; }
  std::span<const Image> frames() const override { return frames_now; }
  void submit(FeedbackMessage message, Reply reply) override {
    feedback.push_back(std::move(message));
    replies.push_back(std::move(reply));
  }
  void submit(OperatorMessage message, const Actor& actor, Reply reply) override {
    acts.push_back(std::move(message));
    act_actors.push_back(actor);
    replies.push_back(std::move(reply));
  }

  void read_episode(EpisodeId episode, Read reply) override {
    asked.push_back({.episode = episode, .camera = "", .step = 0, .reply = std::move(reply)});
  }
  void read_frame(EpisodeId episode, std::string camera, std::uint32_t step, Read reply) override {
    asked.push_back(
        {.episode = episode, .camera = std::move(camera), .step = step, .reply = std::move(reply)});
  }

  void snapshot_log(Read reply) override { reply(unimplemented("there is no log here")); }
  EpisodeId episode_of(SpanId span) const override {
    const auto found = spans.find(span);
    return found == spans.end() ? 0 : found->second;
  }

  struct Asked {
    EpisodeId episode = 0;
    std::string camera;  // empty: all of the episode
    std::uint32_t step = 0;
    Read reply;
  };

  DeskInfo info_now = sample_desk_info();
  Snapshot snapshot_now = sample_snapshot();
  History history_now = sample_history();
  LearningStatus learning_now = sample_learning();
  LearningLedger ledger_now = sample_ledger();
  DatasetCounts dataset_now = sample_dataset();
  bool recording_now = true;
  StorageStatus storage_now;
  std::string head_now = R"({"format":"nudge-log-head-1"})";
  std::vector<Image> frames_now;

  std::vector<FeedbackMessage> feedback;  // submitted, oldest first
  std::vector<OperatorMessage> acts;
  std::vector<Actor> act_actors;
  std::vector<Reply> replies;         // of both kinds
  std::map<SpanId, EpisodeId> spans;  // that there are
  std::vector<Asked> asked;           // of the past, oldest first
};

}  // namespace nudge::test
