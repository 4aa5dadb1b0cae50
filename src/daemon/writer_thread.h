// The writer thread: the log and its feed. Everything that happened reaches the disk here, in
// order, and is acknowledged only then; the learner process is fed from here, too.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "replay/log.h"
#include "replay/retention.h"
#include "src/config/config.h"
#include "src/daemon/links.h"
#include "src/daemon/stop_latch.h"
#include "src/learning/learner_host.h"
#include "src/loop/recorder.h"
#include "src/ports/signed_head.h"

namespace nudge {

// A file of the state folder that could not be written at the start.
struct UnwrittenFile {
  std::string trouble;            // for people: which, why, and what does not work meanwhile
  std::function<Status()> write;  // tries it again; called on the writer thread
};

struct WriterThreadOptions {
  Instant (*clock)() = nullptr;
  WallTime (*wall)() = nullptr;
  std::string boot;
  Actor self;           // the daemon
  SegmentSpec segment;  // of every episode, without its number
  Sequence fed = 0;     // what gate and io know already
  WeightsVersion live = 0;
  Duration commit_every = std::chrono::milliseconds(250);  // of steps that nobody waits for
  std::optional<HeadSeal> seal;                            // none: the log's head is not signed
  Duration seal_every = std::chrono::seconds(60);          // while there is something new
  bool export_heads = false;                               // into Links::signed_heads
  std::uint64_t budget_bytes = 0;                          // of all segments; 0: none
  Duration rewrite_every = std::chrono::seconds(5);        // while there are some
  std::string snapshot;                                    // path of copies of the log's database
};

// start() and stop() belong to one thread.
class WriterThread {
 public:
  using Tell = std::function<void(LogLevel, std::string_view component, const std::string&)>;
  // Wakes the io thread: there are notices. Any thread.
  using Wake = std::function<void()>;

  // `log` and `links` outlive it. `host` may be null: nothing is learned.
  WriterThread(Log& log, StopLatch latch, std::unique_ptr<LearnerHost> host, Links& links,
               WriterThreadOptions options, Tell tell, Wake wake);
  ~WriterThread();
  // Tried again until it is written. Before start().
  void add_unwritten(UnwrittenFile file) { unwritten_.push_back(std::move(file)); }
  void start();
  // Takes what is still in the queue, commits, and ends the learner. Close the senders first.
  void stop();

  // One turn, waiting up to `patience` for something to do; for tests.
  void turn(Duration patience);

 private:
  void run();
  void write_latch();
  void take(WriterItem& item);
  void take(StepReport& report);
  void settle(bool all);
  bool settle(StepReport& report, bool last_chance);
  void record_help(const StepReport& report, const Moment& moment);
  void end_episode(EpisodeEnd reason, std::uint32_t steps, const Moment& moment);
  void take(FeedbackRecord& record);
  void take(RecordWanted& record);
  void check(const Status& status, std::string_view what);
  void commit();
  void make_room();
  void take_snapshot();
  void go_on_with_snapshot();
  void pass_on();
  void pass_candidate_on();
  void serve_learner();
  void seal(bool now);
  void write_unwritten();
  void publish();
  Moment now_moment() const;

  Log& log_;
  StopLatch latch_;
  std::unique_ptr<LearnerHost> host_;
  Links& links_;
  WriterThreadOptions options_;
  Tell tell_;
  Wake wake_;
  Recorder recorder_;
  std::vector<WriterItem> items_;

  struct Waiting {
    StepReport report;
    Instant came;
  };
  std::deque<Waiting> waiting_;        // the first waits for its features
  std::deque<StepFeatures> features_;  // whose step has not ended yet
  Moment moment_;                      // newest that the step thread told
  EpisodeId unrecorded_ = 0;           // the episode that the disk had no room for
  bool commit_wanted_ = false;
  Instant committed_{};
  Sequence sealed_ = 0;  // of the head signed last
  Instant sealed_at_{};
  Retention retention_;
  bool room_wanted_ = true;  // an episode has ended, or the daemon has just begun
  std::vector<UnwrittenFile> unwritten_;
  std::string over_budget_;  // for people; empty: it is not
  Instant rewritten_at_{};
  bool snapshotting_ = false;
  std::string seal_trouble_;
  std::vector<std::string> waiting_ids_;
  // Nothing of them is logged, and yet they rest on what is: "you have the lease already".
  std::vector<ActAnswer> unlogged_;
  WriterNotice notice_;
  Sequence fed_ = 0;  // through here gate and io have been told
  bool recording_ = true;
  bool latch_wanted_ = false;
  std::string trouble_, learner_trouble_;
  Instant learner_seen_{};
  std::optional<GateItem> candidate_;  // that the gate's queue had no room for
  bool loose_told_ = false;            // the learner is not confined
  std::uint64_t replaced_told_ = 0;    // candidates
  Instant replaced_told_at_{};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
