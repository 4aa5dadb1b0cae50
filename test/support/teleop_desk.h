// A desk that keeps what ports bring, and shows what a test says. It belongs to the loop's thread,
// as ports do.
#pragma once

#include <utility>
#include <vector>

#include "src/ports/desk.h"

namespace nudge::test {

class TeleopDesk final : public Desk {
 public:
  explicit TeleopDesk(RobotSpec robot) {
    info_.robot = std::move(robot);
    info_.program = "nudge test";
    info_.boot = "boot-1";
    info_.fresh = std::chrono::milliseconds(200);
  }

  const DeskInfo& info() const override { return info_; }
  const Snapshot& snapshot() const override { return now; }
  const History& history() const override { return history_; }
  const LearningStatus& learning() const override { return learning_; }
  const LearningLedger& ledger() const override { return ledger_; }
  const DatasetCounts& dataset() const override { return dataset_; }
  bool recording() const override { return true; }
  const StorageStatus& storage() const override { return storage_; }
  const std::string& log_head() const override { return head_; }
  std::span<const Image> frames() const override { return {}; }

  void submit(FeedbackMessage message, Reply reply) override {
    const bool jog = std::holds_alternative<JogCommand>(message.body);
    const std::string id = message.id;
    if (judge) {
      judge(std::move(message), std::move(reply));
      return;
    }
    messages.push_back(std::move(message));
    if (jog) return;
    if (answer_at_once) {
      reply(Ack{id, {}, "done", 0, {}});
    } else {
      waiting.push_back(std::move(reply));
    }
  }
  void submit(OperatorMessage message, const Actor&, Reply reply) override {
    const std::string id = message.id;
    acts.push_back(std::move(message));
    reply(Ack{id, {}, "done", 0, {}});
  }

  // A device does not look back.
  void read_episode(EpisodeId, Read reply) override { reply(not_found("no past here")); }
  void read_frame(EpisodeId, std::string, std::uint32_t, Read reply) override {
    reply(not_found("no past here"));
  }

  EpisodeId episode_of(SpanId) const override { return 0; }
  void snapshot_log(Read reply) override { reply(unimplemented("there is no log here")); }

  Snapshot now;
  std::function<void(FeedbackMessage, Reply)> judge;  // instead of keeping it
  std::vector<FeedbackMessage> messages;
  std::vector<OperatorMessage> acts;
  std::vector<Reply> waiting;
  bool answer_at_once = true;

 private:
  DeskInfo info_;
  History history_;
  std::string head_;
  LearningStatus learning_;
  StorageStatus storage_;
  LearningLedger ledger_;
  DatasetCounts dataset_;
};

}  // namespace nudge::test
