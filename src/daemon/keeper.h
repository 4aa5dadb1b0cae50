// Brings small private files to disk for the io thread, which never waits for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "policy/folder.h"
#include "src/handoff/bounded_queue.h"
#include "src/ports/event_loop.h"

namespace nudge {

// start() and stop() belong to one thread, save() to the loop's.
class Keeper {
 public:
  // `loop` must outlive it.
  Keeper(std::unique_ptr<Folder> folder, EventLoop& loop);
  ~Keeper();

  void start();
  void stop();  // when what was given is on disk

  // Replaces the file, in the order of the calls; of texts for one file that wait, only the newest
  // is written. `done` is called on the loop's thread. kResourceExhausted: too many wait; else
  // errors of Folder.
  void save(std::string name, std::string text, std::function<void(Status)> done);

 private:
  struct Job {
    std::string name, text;
    std::function<void(Status)> done;
  };
  void run();

  std::unique_ptr<Folder> folder_;
  EventLoop& loop_;
  BoundedQueue<Job> jobs_;
  std::thread thread_;
};

}  // namespace nudge
