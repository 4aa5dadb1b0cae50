// The learner as a child process: started niced, watched, started again with growing pauses. A
// crash, a hang or a full memory there cannot touch control.
//
// Thread: one thread at a time. Never blocks, except stop().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

struct LearnerProcessOptions {
  std::vector<std::string> command;                   // program and arguments; no shell
  std::string name = "the learner";                   // for people
  int nice = 10;                                      // added to the child's niceness
  Duration restart_first = std::chrono::seconds(1);   // pause before the first restart
  Duration restart_max = std::chrono::seconds(60);    // pauses double up to this
  Duration healthy_after = std::chrono::seconds(30);  // a run this long resets the pause
  // The child's stdout and stderr, added to what is there; empty: inherited. What is longer than
  // `log_bytes` before a start is kept as "<log_file>.1", in place of the one before.
  std::string log_file;
  std::uint64_t log_bytes = 4u << 20;
};

class LearnerProcess {
 public:
  explicit LearnerProcess(LearnerProcessOptions options);
  ~LearnerProcess();  // stop()
  LearnerProcess(const LearnerProcess&) = delete;
  LearnerProcess& operator=(const LearnerProcess&) = delete;

  // Starts the child, or starts it again once its pause is over. Call regularly. kUnavailable with
  // how the child ended, once for each end.
  Status keep_alive(Instant now);

  bool running() const { return pid_ > 0; }
  int pid() const { return pid_; }  // 0: not running
  std::uint32_t starts() const { return starts_; }
  std::uint32_t deaths() const { return deaths_; }
  Instant next_start() const { return next_start_; }  // meaningful while not running

  // Ends a child that hangs; keep_alive() then finds it dead, and starts another after the pause.
  void kill();
  // Ends the child (SIGTERM, after a second SIGKILL) and waits for it.
  void stop();

 private:
  Status spawn(Instant now);
  void rotate_log() const;
  std::optional<std::string> reap();

  LearnerProcessOptions options_;
  int pid_ = 0;
  std::uint32_t starts_ = 0;
  std::uint32_t deaths_ = 0;
  Instant started_{};
  Instant next_start_{};
  Duration pause_{};
};

}  // namespace nudge
