// The robot of `nudge run` that asks over the openpi protocol: its map from the configuration, and
// its port.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "policy/folder.h"
#include "src/config/config.h"
#include "src/daemon/entrance.h"
#include "src/daemon/followed_file.h"
#include "src/ports/event_loop.h"
#include "src/ports/openpi_port.h"
#include "src/ports/openpi_robot.h"

namespace nudge {

struct OpenpiDriven {
  std::shared_ptr<const OpenpiMap> map;
  std::shared_ptr<OpenpiLink> link;
  std::unique_ptr<OpenpiRobot> robot;
};

// kInvalidArgument: the [openpi] section does not describe a robot.
Result<OpenpiDriven> openpi_robot(const Config& config);
// What the rest of the configuration has to be for it: chunks are as long as its own.
Config with_openpi_chunks(const Config& config, const OpenpiMap& map);
// The same for commands that have no robot yet; of other robots, the configuration itself.
Result<Config> with_openpi_chunks(const Config& config);

inline constexpr const char* kOpenpiKeyFile = "openpi.key";  // in the state folder's run/
// The key that programs must show; kNotFound: none has been made yet.
Result<std::string> read_openpi_key(Folder& run_folder);
// The same, but under a ChangeLock of the folder, and made when there is none.
Result<std::string> openpi_key(Folder& run_folder);
// Another one in its place, likewise.
Status renew_openpi_key(Folder& run_folder);

using OpenpiNotice = std::function<void(const std::string& message, bool trouble)>;

// The port, with a key and a certificate that may change while it is served. One thread, which need
// not be the loop's.
class OpenpiService {
 public:
  // `run_folder`, the state folder's run/, keeps the key that programs beyond this machine must
  // show, and the certificate. `editor`: as OpenpiPortOptions'. Errors of OpenpiPort and of the
  // files.
  static Result<std::unique_ptr<OpenpiService>> open(EventLoop& loop, const Config& config,
                                                     const OpenpiDriven& driven,
                                                     const std::string& run_folder,
                                                     ChunkEditor* editor, OpenpiNotice notice);

  std::uint16_t port() const { return port_->port(); }
  // As Daemon::tend(), and as often: follows the key's file, and once a minute the machine's
  // addresses and the certificate's days. While the loop runs, or for the last time.
  void tend();

 private:
  OpenpiService(EventLoop& loop, OpenpiNotice notice) : loop_(loop), notice_(std::move(notice)) {}
  void follow_key();
  void follow_entrance();

  EventLoop& loop_;
  OpenpiNotice notice_;
  Config config_;  // of the entrance
  std::string path_;
  std::unique_ptr<Folder> folder_;
  std::optional<FollowedFile> key_file_;  // none: no key is needed
  std::optional<Entrance> entrance_;      // none: in clear, on this machine
  Instant entrance_seen_{};
  std::unique_ptr<OpenpiPort> port_;
};

}  // namespace nudge
