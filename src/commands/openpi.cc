#include "src/commands/openpi.h"

#include <sodium.h>
#include <algorithm>

#include <array>
#include <filesystem>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/addresses.h"
#include "src/ports/change_lock.h"
#include "src/ports/private_file.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxKey = 512;
constexpr Duration kEntrancePeriod = std::chrono::minutes(1);

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

std::string new_key() {
  std::array<unsigned char, 32> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  std::string text(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();  // the zero at its end
  return text;
}

Result<std::string> upstream_key(const std::string& file) {
  const std::filesystem::path path = std::filesystem::absolute(file);
  std::error_code none;
  if (!std::filesystem::exists(path, none)) {  // whose folder is made when it is opened
    return not_found("openpi.upstream_key: there is no file " + file);
  }
  Result<std::unique_ptr<Folder>> folder = open_folder(path.parent_path().string());
  if (!folder.ok()) return folder.status().with_context("openpi.upstream_key");
  Result<std::string> key = read_private(**folder, path.filename().string(), kMaxKey);
  if (key.status().code() == Code::kPermissionDenied) {
    return permission_denied("openpi.upstream_key: others may read " + file +
                             ", or you may not; give it mode 0600, and make it yours");
  }
  if (!key.ok()) return key.status().with_context("openpi.upstream_key");
  std::string text = trimmed(*std::move(key));
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
  if (text.empty() || !plain) {
    return invalid_argument("openpi.upstream_key: " + file + " is no key of one line");
  }
  return text;
}

bool lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

}  // namespace

Result<std::string> read_openpi_key(Folder& run_folder) {
  Result<std::string> key = read_private(run_folder, kOpenpiKeyFile, kMaxKey);
  if (!key.ok()) return key.status().with_context(kOpenpiKeyFile);
  std::string text = trimmed(*std::move(key));
  if (text.size() < 16) {
    return data_loss(std::string(kOpenpiKeyFile) +
                     " is shorter than 16 characters; remove it, and another is made");
  }
  return text;
}

Result<std::string> openpi_key(Folder& run_folder) {
  const Result<std::string> key = read_openpi_key(run_folder);
  if (key.status().code() != Code::kNotFound) return key;
  NUDGE_TRY(renew_openpi_key(run_folder));
  return read_openpi_key(run_folder);
}

Status renew_openpi_key(Folder& run_folder) {
  return replace_private(run_folder, kOpenpiKeyFile, new_key() + "\n");
}

Result<OpenpiDriven> openpi_robot(const Config& config) {
  const Config::Openpi& openpi = config.openpi;
  OpenpiMapOptions options;
  options.preset = openpi.preset;
  options.robot = openpi.robot;
  options.cameras = openpi.cameras;
  options.state = openpi.state;
  options.actions = openpi.actions;
  options.prompt = openpi.prompt;
  options.hz = openpi.hz;
  options.horizon = static_cast<std::size_t>(openpi.horizon);
  Result<OpenpiMap> map = OpenpiMap::make(options);
  if (!map.ok()) return map.status();
  OpenpiDriven driven;
  driven.map = std::make_shared<const OpenpiMap>(*std::move(map));
  driven.link = std::make_shared<OpenpiLink>();
  OpenpiRobotOptions robot;
  robot.clock = steady_now;
  robot.policy_elsewhere = openpi.upstream != "none";
  robot.gap = from_seconds(openpi.gap_s);
  robot.fresh = from_milliseconds(static_cast<double>(config.authority.fresh_ms));
  robot.slow_takeover = openpi.slow_takeover;
  driven.robot = std::make_unique<OpenpiRobot>(driven.map, driven.link, robot);
  return driven;
}

Result<Config> with_openpi_chunks(const Config& config) {
  if (config.robot.driver != RobotDriver::kOpenpi) return config;
  const Result<OpenpiDriven> driven = openpi_robot(config);
  if (!driven.ok()) return driven.status();
  return with_openpi_chunks(config, *driven->map);
}

Config with_openpi_chunks(const Config& config, const OpenpiMap& map) {
  Config changed = config;
  changed.policy.horizon = static_cast<std::int64_t>(map.horizon());
  changed.policy.replan_after = std::min(config.policy.replan_after, changed.policy.horizon);
  return changed;
}

Result<std::unique_ptr<OpenpiService>> OpenpiService::open(EventLoop& loop, const Config& config,
                                                           const OpenpiDriven& driven,
                                                           const std::string& run_folder,
                                                           ChunkEditor* editor,
                                                           OpenpiNotice notice) {
  std::unique_ptr<OpenpiService> service(new OpenpiService(loop, notice));
  service->path_ = run_folder;
  Result<std::unique_ptr<Folder>> folder = open_folder(run_folder);
  if (!folder.ok()) return folder.status();
  service->folder_ = *std::move(folder);
  const Config::Openpi& openpi = config.openpi;
  OpenpiPortOptions options;
  options.address = openpi.address;
  options.port = static_cast<std::uint16_t>(openpi.port);
  options.program = "nudge " NUDGE_VERSION;
  const bool beyond = !is_loopback_address(openpi.address);
  if (beyond || openpi.require_key) {
    const Result<ChangeLock> lock = ChangeLock::take(run_folder);
    if (!lock.ok()) return lock.status();
    service->key_file_.emplace(run_folder + "/" + kOpenpiKeyFile);
    Result<std::string> key = openpi_key(*service->folder_);
    if (!key.ok()) return key.status();
    options.key = *std::move(key);
  }
  if (beyond && config.ports.tls == TlsUse::kOff) {
    return invalid_argument("openpi.address = " + openpi.address +
                            " is beyond this machine, and needs TLS and a key; ports.tls is "
                            "\"off\": set it to \"auto\", or keep to 127.0.0.1");
  }
  if (beyond) {
    service->config_ = config;
    service->config_.ports.address = openpi.address;
    Result<Entrance> entrance = open_entrance(service->config_, *service->folder_, wall_now());
    if (!entrance.ok()) return entrance.status();
    service->entrance_ = *std::move(entrance);
    options.tls = service->entrance_->tls;
    options.names = service->entrance_->names;
  }
  options.gap_begins_episode = lists(openpi.new_episode, "gap");
  options.prompt_begins_episode = lists(openpi.new_episode, "prompt");
  options.connection_begins_episode = lists(openpi.new_episode, "connect");
  options.reset_begins_episode = lists(openpi.new_episode, "reset");
  options.gap = from_seconds(openpi.gap_s);
  options.fresh = from_milliseconds(static_cast<double>(config.authority.fresh_ms));
  options.answer = from_seconds(openpi.answer_s);
  options.stalled = from_milliseconds(static_cast<double>(config.authority.watchdog_ms));
  options.max_rate = config.limits.max_rate;
  options.slack = config.limits.slack;
  options.jpeg_quality = static_cast<int>(config.sim.jpeg_quality);
  options.editor = editor;
  if (openpi.upstream != "none") options.upstream.url = openpi.upstream;
  if (openpi.upstream_ca != "system") options.upstream.authorities = openpi.upstream_ca;
  if (openpi.upstream_fingerprint != "none") {
    options.upstream.fingerprint = openpi.upstream_fingerprint;
  }
  if (openpi.upstream_key != "none") {
    Result<std::string> key = upstream_key(openpi.upstream_key);
    if (!key.ok()) return key.status();
    options.upstream.key = *std::move(key);
  }
  options.notice = std::move(notice);
  Result<std::unique_ptr<OpenpiPort>> port =
      OpenpiPort::listen(loop, std::move(options), driven.map, driven.link);
  if (!port.ok()) return port.status();
  service->port_ = *std::move(port);
  return service;
}

void OpenpiService::tend() {
  if (key_file_ && key_file_->changed()) follow_key();
  const Instant now = steady_now();
  if (!entrance_ || now - entrance_seen_ < kEntrancePeriod) return;
  entrance_seen_ = now;
  follow_entrance();
}

void OpenpiService::follow_key() {
  Result<std::string> key = read_openpi_key(*folder_);
  if (key.status().code() == Code::kNotFound) {
    // Nobody waits here: whoever holds the lock is changing the file, which is looked at again.
    if (const auto lock = ChangeLock::take(path_, Duration()); lock.ok()) {
      key = openpi_key(*folder_);
    } else {
      key = lock.status();
    }
  }
  if (key.status().code() == Code::kUnavailable) return key_file_->look_again();
  if (!key.ok()) {
    notice_("the key lets nobody in: " + key.status().message(), true);
    key = new_key();  // which nobody has
  }
  loop_.post(
      [port = port_.get(), key = *std::move(key)]() mutable { port->set_key(std::move(key)); });
}

void OpenpiService::follow_entrance() {
  Result<std::optional<Entrance>> newest = renewed(*entrance_, config_, *folder_, wall_now());
  if (!newest.ok()) {
    notice_("the certificate stays as it is: " + newest.status().message(), true);
    return;
  }
  if (!*newest) return;
  entrance_ = **std::move(newest);
  notice_("the machine's addresses or the certificate have changed; SHA-256 " +
              entrance_->certificate.fingerprint,
          false);
  loop_.post([port = port_.get(), tls = entrance_->tls, names = entrance_->names]() mutable {
    port->renew(std::move(tls), names);
  });
}

}  // namespace nudge
