#include "src/daemon/keeper.h"

#include <pthread.h>

#include <map>
#include <utility>
#include <vector>

#include "src/ports/private_file.h"

namespace nudge {
namespace {

constexpr std::size_t kMostWaiting = 256;
constexpr Duration kPatience = std::chrono::seconds(1);

}  // namespace

Keeper::Keeper(std::unique_ptr<Folder> folder, EventLoop& loop)
    : folder_(std::move(folder)), loop_(loop), jobs_(kMostWaiting) {}

Keeper::~Keeper() { stop(); }

void Keeper::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-keeper");
}

void Keeper::stop() {
  jobs_.close();
  if (thread_.joinable()) thread_.join();
}

void Keeper::save(std::string name, std::string text, std::function<void(Status)> done) {
  Job job{std::move(name), std::move(text), std::move(done)};
  if (jobs_.try_push(std::move(job))) return;
  loop_.post([done = std::move(job.done)] {
    done(resource_exhausted("too many changes wait for the disk; try again"));
  });
}

void Keeper::run() {
  std::vector<Job> taken;
  while (jobs_.take_all(taken, kPatience) || !jobs_.closed()) {
    std::map<std::string, const Job*> newest;
    for (const Job& job : taken) newest[job.name] = &job;
    std::map<std::string, Status> results;
    for (const auto& [name, job] : newest) {
      results[name] = replace_private(*folder_, name, job->text);
    }
    for (Job& job : taken) {
      loop_.post([done = std::move(job.done), result = results.at(job.name)] { done(result); });
    }
  }
}

}  // namespace nudge
