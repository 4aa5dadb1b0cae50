#include "src/loop/state_folder.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "policy/folder.h"
#include "replay/file.h"

namespace nudge {
namespace {

constexpr const char* kConfigInForce = "config.toml";
constexpr std::uint64_t kMaxConfig = 1u << 20;  // bytes; load_config() reads no more

}  // namespace

Status make_state_folder(const std::string& path) {
  std::error_code error;
  std::vector<std::filesystem::path> fresh;  // folders that are made now, innermost first
  for (std::filesystem::path at = std::filesystem::absolute(path, error).lexically_normal();
       !at.empty() && !std::filesystem::exists(at, error) && at != at.parent_path();
       at = at.parent_path()) {
    fresh.push_back(at);
  }
  const bool made = std::filesystem::create_directories(path, error);
  if (error) {
    const std::string text =
        "cannot make the folder " + path + ": " + error.message() + "; choose another with --state";
    return error == std::errc::permission_denied ? permission_denied(text) : unavailable(text);
  }
  // A folder that was there keeps the rights that its owner gave it.
  if (made) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  // What is synced in a folder whose own name is not is lost with it when the power fails.
  for (const std::filesystem::path& at : fresh) {
    NUDGE_TRY(posix_files().sync_directory(at.parent_path().string()));
  }
  return {};
}

Status status_of(const std::error_code& error, const std::string& path) {
  if (!error) return {};
  const std::string text = path + ": " + error.message();
  if (error == std::errc::no_space_on_device) return resource_exhausted(text);
  return error == std::errc::permission_denied ? permission_denied(text) : unavailable(text);
}

Status write_config_in_force(const std::string& folder, const Config& config) {
  LoadedConfig loaded;
  loaded.config = config;
  for (const ConfigKey& key : config_keys()) {
    loaded.sources[key.name] = {.origin = ConfigOrigin::kFile, .where = "in force"};
  }
  const std::string text = print_config(loaded);
  const auto bytes = std::as_bytes(std::span(text));
  // A state folder may be a link: systemd makes it one.
  std::error_code error;
  const std::filesystem::path place = std::filesystem::canonical(folder, error);
  NUDGE_TRY(status_of(error, folder));
  Result<std::unique_ptr<Folder>> files = open_folder(place.string());
  if (!files.ok()) return files.status().with_context(kConfigInForce);
  // What is there already needs no room on a disk that is full.
  const Result<std::vector<std::byte>> before = (*files)->read(kConfigInForce, kMaxConfig);
  if (before.ok() && std::ranges::equal(*before, bytes)) return {};
  return replace_file(**files, kConfigInForce, bytes).with_context(kConfigInForce);
}

LogOptions state_log_options(const std::string& folder, const Config& config,
                             const std::string& boot, Instant now, WallTime wall) {
  LogOptions options;
  options.dir = folder + "/log";
  options.boot = boot;
  options.now = now;
  options.wall_now = wall;
  options.segment_grow_bytes = static_cast<std::uint64_t>(config.log.segment_bytes);
  options.checkpoint_bytes = static_cast<std::size_t>(config.log.wal_limit_bytes);
  return options;
}

// STOP outlives a restart: it holds until somebody has reset it.
Result<bool> stop_is_latched(Log& log) {
  const Result<std::vector<Event>> events = log.events({"stopped", "stop_reset"}, 1, SIZE_MAX);
  if (!events.ok()) return events.status();
  return !events->empty() && std::holds_alternative<Stopped>(events->back().payload);
}

// Unique over restarts: wall time is only a name here.
std::string new_boot_id(WallTime wall) {
  return "boot-" + std::to_string(wall.time_since_epoch().count());
}

}  // namespace nudge
