// The daemon's side of learning: keeps the learner process alive, serves it the feed, collects its
// candidates.
//
// Not thread-safe: belongs to the thread that owns the log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replay/log.h"
#include "src/learning/learner_port.h"
#include "src/learning/learner_process.h"

namespace nudge {

struct LearnerHostOptions {
  std::string socket_path;        // of the ipc socket, in a folder of its own
  LearnerProcessOptions process;  // empty command: the learner is started by somebody else
  LearnerWelcome welcome;
  std::string config_hash;        // a learner with another one is turned away,
  bool require_confined = false;  // and so is one that is not confined by all that there is
  std::size_t max_candidate = kMaxCandidateBytes;  // bytes of weights
};

class LearnerHost {
 public:
  using ClockFunction = std::function<Instant()>;

  // Binds the socket; the process starts with the first serve().
  static Result<std::unique_ptr<LearnerHost>> open(const LearnerHostOptions& options,
                                                   ClockFunction clock);

  // Handles what has arrived, waiting up to `timeout` for it, and sends the learner what has become
  // durable in `log`. An error tells about the learner's end or a broken message; the daemon goes
  // on.
  Status serve(Log& log, Duration timeout);

  // For lockstep: serves until the learner has folded everything durable and finished every round
  // that was due. kDeadlineExceeded after `patience`, which ends the process; kUnavailable as soon
  // as the learner dies.
  Status catch_up(Log& log, Duration patience);

  // The newest of each kind, in the order in which they came: what is not taken gives way to the
  // next of its kind, or a learner could fill the memory with them.
  std::vector<CandidateMessage> take_candidates() { return std::exchange(candidates_, {}); }
  std::optional<CandidateMessage> take_candidate();  // the first of them
  std::uint64_t replaced_candidates() const { return replaced_; }
  const LearnerProgress& progress() const { return progress_; }
  const std::string& core_type() const { return core_type_; }
  // Of the learner that said hello last, whether it was let in or not; empty: none did.
  const std::string& sandbox() const { return sandbox_; }
  bool confined() const { return confined_; }
  bool connected() const { return port_->connected(); }
  std::uint32_t deaths() const { return process_ ? process_->deaths() : 0; }
  // A learner is there that has not been sent everything durable: it asks for more any moment.
  bool behind(const Log& log) const;
  int pid() const { return process_ ? process_->pid() : 0; }
  std::uint64_t refused_messages() const { return port_->refused_messages(); }

  void stop();  // tells the learner, then ends its process

 private:
  LearnerHost(const LearnerHostOptions& options, ClockFunction clock);
  // Of the feed: what stands from `from` through `through`, packed.
  struct Page {
    Sequence from = 0;
    Sequence through = 0;
    std::vector<std::byte> bytes;
  };
  static Result<Page> page_from(Sequence from, Log& log);

  Status handle(LearnerMessage message);
  Status greet(const LearnerHello& hello);
  void keep(CandidateMessage candidate);
  Status feed(Log& log);

  LearnerHostOptions options_;
  ClockFunction clock_;
  std::unique_ptr<LearnerPort> port_;
  std::unique_ptr<LearnerProcess> process_;
  std::optional<FeedRequest> wanted_;
  Sequence sent_through_ = 0;
  // The next page, made while a learner that is behind still folds the last one.
  std::optional<Page> ready_;
  LearnerProgress progress_;
  std::string core_type_, sandbox_;
  bool confined_ = false;
  std::uint64_t replaced_ = 0;
  std::vector<CandidateMessage> candidates_;
};

}  // namespace nudge
