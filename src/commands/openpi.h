// The robot of `nudge run` that asks over the openpi protocol: its map from the configuration, and
// its port.
#pragma once

#include <memory>

#include "policy/folder.h"
#include "src/config/config.h"
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

using OpenpiNotice = std::function<void(const std::string& message, bool trouble)>;
// `run_folder` keeps the key that programs beyond this machine must show, kOpenpiKeyFile, and the
// certificate. `editor`: as OpenpiPortOptions'. Errors of OpenpiPort and of the files.
Result<std::unique_ptr<OpenpiPort>> open_openpi_port(EventLoop& loop, const Config& config,
                                                     const OpenpiDriven& driven, Folder& run_folder,
                                                     ChunkEditor* editor, OpenpiNotice notice);
inline constexpr const char* kOpenpiKeyFile = "openpi.key";

}  // namespace nudge
