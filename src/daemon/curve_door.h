// What the ZeroMQ ports need to be open beyond this machine: the daemon's own key, and the list of
// those that may come in, followed as `nudge auth key` changes it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "policy/folder.h"
#include "src/ports/curve.h"
#include "src/ports/event_loop.h"
#include "src/ports/keyring.h"

namespace nudge {

inline constexpr const char* kCurveKeyFile = "curve.key";  // in the state folder's run/, mode 0600

// Create and destroy it while the loop does not run; all else belongs to the loop's thread.
class CurveDoor {
 public:
  // Told what people should know: a list that cannot be read. Any thread.
  using Tell = std::function<void(const std::string& message)>;

  // Makes the key when there is none. `loop` must outlive it. Errors of CurveIdentity and Folder;
  // kDataLoss for a damaged list.
  static Result<std::unique_ptr<CurveDoor>> open(const std::string& run_folder, EventLoop& loop,
                                                 Tell tell);
  ~CurveDoor();
  CurveDoor(const CurveDoor&) = delete;
  CurveDoor& operator=(const CurveDoor&) = delete;

  const std::shared_ptr<const CurveIdentity>& identity() const { return identity_; }
  // For RouterOptions::admits. The door must outlive it.
  std::function<std::optional<Actor>(const CurveKey&)> admits(Keyring::Use use) const;
  // The list in force: empty while its file is none.
  const Keyring& keyring() const { return keyring_; }
  // Called whenever the list has become another, at most half a second after its file.
  void on_change(std::function<void()> call) { changed_.push_back(std::move(call)); }

 private:
  CurveDoor(std::unique_ptr<Folder> folder, EventLoop& loop, Tell tell);
  Result<Keyring> read();
  void watch();

  std::unique_ptr<Folder> folder_;  // the watching thread's, once it runs
  EventLoop& loop_;
  Tell tell_;
  std::shared_ptr<const CurveIdentity> identity_;
  Keyring keyring_;
  std::string text_;  // of the file that was read last
  std::vector<std::function<void()>> changed_;
  std::shared_ptr<CurveDoor*> self_;  // what is posted may be run when the door is gone
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
