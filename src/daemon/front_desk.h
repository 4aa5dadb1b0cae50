// The io thread's middle: what people send through any port is judged here, what the other threads
// tell is collected here, and the ports are told.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "feedback/broker.h"
#include "nudge/robot.h"
#include "src/daemon/links.h"
#include "src/loop/clock.h"
#include "src/loop/help_calibration.h"
#include "src/ports/desk.h"
#include "src/ports/episode_index.h"
#include "src/ports/event_loop.h"

namespace nudge {

// What is durable so far, as folds over the log. The desk goes on where the daemon's start ended.
struct Past {
  History history;
  EpisodeIndex episodes;
  LearningLedger ledger;
  HelpCalibration help = HelpCalibration();
  EpisodeId newest_episode = 0;  // that has begun, recorded or not; 0: none yet
  SpanId newest_span = 0;        // 0: none yet

  // In order, each once. True: the policy asks for help by other thresholds now.
  bool apply(const Event& event);
  void apply(const StepsRef& steps) { episodes.apply(steps); }
};

// Lives on the loop's thread.
class FrontDesk final : public Desk {
 public:
  // `robot` (for STOP alone), `links` and `loop` outlive it. `clock`: the robot's steady clock.
  // Errors of Broker::make().
  static Result<std::unique_ptr<FrontDesk>> make(Robot& robot, Links& links, EventLoop& loop,
                                                 DeskInfo info, Past past,
                                                 Understand understand = understand_only_stop,
                                                 Instant (*clock)() = steady_now);

  void add(DeskListener& listener) { listeners_.push_back(&listener); }
  void start();  // begins to look at the links
  void stop();
  // The writer or the archive has something to tell. Any thread.
  void wake();

  // One look at the links, as the loop makes it 200 times a second; for tests with a clock of their
  // own.
  void look();

  const DeskInfo& info() const override { return info_; }
  const Snapshot& snapshot() const override { return snapshot_; }
  const History& history() const override { return past_.history; }
  const LearningStatus& learning() const override { return learning_; }
  const LearningLedger& ledger() const override { return past_.ledger; }
  const DatasetCounts& dataset() const override { return dataset_; }
  bool recording() const override { return writer_.recording; }
  const StorageStatus& storage() const override { return storage_; }
  const std::string& log_head() const override { return writer_.head; }
  std::span<const Image> frames() const override { return frames_; }
  const WriterStatus& writer() const { return writer_; }

  void submit(FeedbackMessage message, Reply reply) override;
  void submit(OperatorMessage message, const Actor& actor, Reply reply) override;
  void read_episode(EpisodeId episode, Read reply) override;
  void read_frame(EpisodeId episode, std::string camera, std::uint32_t step, Read reply) override;
  EpisodeId episode_of(SpanId span) const override;
  void snapshot_log(Read reply) override;
  // Has the log keep what somebody did that is no message. `done`, which may be empty, is called
  // once, when it is durable or when the log does not take it.
  void record(Payload what, const Actor& who, std::function<void(Status)> done);

 private:
  FrontDesk(Robot& robot, Links& links, EventLoop& loop, DeskInfo info, Past past,
            Instant (*clock)());
  void take_snapshot();
  void take_notices();
  void take_readings();
  void read(ArchiveRequest request, Read reply);
  void answer(const Ack& ack);
  void update_learning();
  void update_storage();
  Situation situation() const;
  void episode_seen(EpisodeId episode);
  Status complete(FeedbackMessage& message) const;

  Robot& robot_;
  Links& links_;
  EventLoop& loop_;
  DeskInfo info_;
  Past past_;
  Instant (*clock_)();
  DatasetCounts dataset_;
  std::unique_ptr<Broker> broker_;
  Snapshot snapshot_;
  std::vector<Image> frames_;
  WriterStatus writer_;
  HeadExportStatus head_export_;
  StorageStatus storage_;
  GateStatus gate_;
  LearningStatus learning_;
  std::uint32_t newest_step_ = 0;  // of that episode; its last, when it is over
  std::vector<DeskListener*> listeners_;
  // Who waits for the answer to an id; a message sent twice has two.
  std::unordered_multimap<std::string, Reply> waiting_;
  std::unordered_map<std::string, Reply> operators_;
  std::unordered_map<std::string, std::function<void(Status)>> records_;  // who waits, by id
  std::uint64_t newest_record_ = 0;
  std::unordered_map<std::uint64_t, Read> readings_;  // asked of the archive, by number
  std::uint64_t newest_reading_ = 0;
  std::vector<Read> snapshots_;  // who waits for a copy of the database
  std::vector<ArchiveAnswer> read_;
  std::vector<WriterNotice> notices_;
  std::vector<GateAnswer> gate_answers_;
  std::atomic<bool> awake_{false};
  std::shared_ptr<void> looking_;
  std::shared_ptr<void> alive_;  // for callbacks that outlive it
  int looks_ = 0;
};

}  // namespace nudge
