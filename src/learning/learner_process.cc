#include "src/learning/learner_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace nudge {
namespace {

constexpr int kNotStarted = 127;  // what a shell answers, too

std::string how_it_ended(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted) {
    return "it could not be started; is the program still where it was?";
  }
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "unknown status " + std::to_string(status);
}

}  // namespace

LearnerProcess::LearnerProcess(LearnerProcessOptions options)
    : options_(std::move(options)), pause_(options_.restart_first) {}

LearnerProcess::~LearnerProcess() { stop(); }

Status LearnerProcess::keep_alive(Instant now) {
  if (pid_ > 0) {
    const std::optional<std::string> end = reap();
    if (!end) return {};
    ++deaths_;
    if (now - started_ >= options_.healthy_after) pause_ = options_.restart_first;
    next_start_ = now + pause_;
    const double wait = seconds(pause_);
    pause_ = std::min(pause_ * 2, options_.restart_max);
    return unavailable(options_.name + " ended (" + *end +
                       "); the robot works on without it, next start in " +
                       std::to_string(wait).substr(0, 4) + " s" +
                       (options_.log_file.empty() ? "" : "; see " + options_.log_file));
  }
  if (starts_ > 0 && now < next_start_) return {};
  return spawn(now);
}

// Where this fails the log grows on, up to what the sandbox lets the child write.
void LearnerProcess::rotate_log() const {
  struct stat info {};
  if (options_.log_file.empty() || ::stat(options_.log_file.c_str(), &info) != 0) return;
  if (static_cast<std::uint64_t>(info.st_size) <= options_.log_bytes) return;
  (void)std::rename(options_.log_file.c_str(), (options_.log_file + ".1").c_str());
}

Status LearnerProcess::spawn(Instant now) {
  rotate_log();
  // Everything that allocates happens before fork(): the child may only make plain system calls.
  std::vector<char*> argv;
  for (std::string& argument : options_.command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int parent = ::getpid();
  const int pid = ::fork();
  if (pid < 0) return unavailable(std::string("cannot start the learner: ") + std::strerror(errno));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kNotStarted);
    ::setpgid(0, 0);  // a terminal's Ctrl-C is the daemon's to hear, which then ends the learner
    if (::nice(options_.nice) == -1 && errno != 0)
      errno = 0;  // running at normal niceness is no error
    if (!options_.log_file.empty()) {
      const int log =
          ::open(options_.log_file.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
      if (log >= 0) {
        ::dup2(log, STDOUT_FILENO);
        ::dup2(log, STDERR_FILENO);
      }
    }
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) ::dup2(null, STDIN_FILENO);
    // Nothing of the daemon's leaks into the child: no lock, no socket, no key.
    ::close_range(3, ~0U, 0);
    ::execv(argv[0], argv.data());
    ::_exit(kNotStarted);
  }
  pid_ = pid;
  started_ = now;
  ++starts_;
  return {};
}

std::optional<std::string> LearnerProcess::reap() {
  int status = 0;
  const int pid = ::waitpid(pid_, &status, WNOHANG);
  if (pid == 0) return std::nullopt;
  pid_ = 0;
  return pid < 0 ? std::string("lost track of it") : how_it_ended(status);
}

void LearnerProcess::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

void LearnerProcess::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (int i = 0; i < 100; ++i) {
    if (reap()) return;
    ::usleep(10'000);
  }
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = 0;
}

}  // namespace nudge
