#include "src/daemon/archive_thread.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(100);
constexpr int kNice = 10;  // looking back waits for what moves the robot and for the log

}  // namespace

ArchiveThread::ArchiveThread(FileSystem& files, Duration policy_period, Links& links, Wake wake)
    : reader_(files, policy_period), links_(links), wake_(std::move(wake)) {}

ArchiveThread::~ArchiveThread() { stop(); }

void ArchiveThread::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-archive");
}

void ArchiveThread::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void ArchiveThread::run() {
  // On Linux a thread has a niceness of its own. Without it the thread works all the same.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  while (!stop_) {
    links_.archive.take_all(requests_, kPatience);
    for (ArchiveRequest& request : requests_) {
      if (stop_) return;
      Result<std::string> content = internal("nothing was read");
      if (const auto* episode = std::get_if<EpisodeRecord>(&request.wanted)) {
        content = reader_.episode(*episode);
      } else {
        const auto& frame = std::get<FrameWanted>(request.wanted);
        content = reader_.frame(frame.place, frame.camera, frame.step);
      }
      (void)links_.archive_answers.try_push(
          {.number = request.number, .content = std::move(content)});
      if (wake_) wake_();
    }
  }
}

}  // namespace nudge
