#include "src/commands/openpi.h"

#include <sodium.h>
#include <algorithm>

#include <array>
#include <fstream>
#include <iterator>
#include <utility>

#include "src/daemon/entrance.h"
#include "src/loop/clock.h"
#include "src/ports/addresses.h"
#include "src/ports/private_file.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxKey = 512;

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

Result<std::string> key_of(Folder& folder) {
  Result<std::string> key = read_private(folder, kOpenpiKeyFile, kMaxKey);
  if (key.status().code() == Code::kNotFound) {
    std::array<unsigned char, 32> bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    std::string text(2 * bytes.size() + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.back() = '\n';
    NUDGE_TRY(replace_private(folder, kOpenpiKeyFile, text));
    key = read_private(folder, kOpenpiKeyFile, kMaxKey);
  }
  if (!key.ok()) return key.status().with_context(kOpenpiKeyFile);
  std::string text = trimmed(*std::move(key));
  if (text.size() < 16) {
    return data_loss(std::string(kOpenpiKeyFile) +
                     " is shorter than 16 characters; remove it, and the next start makes one");
  }
  return text;
}

Result<std::string> upstream_key(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found("openpi.upstream_key: cannot read " + path);
  std::string text(kMaxKey + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  text = trimmed(std::move(text));
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
  if (text.empty() || text.size() > kMaxKey || !plain) {
    return invalid_argument("openpi.upstream_key: " + path + " is no key of one line");
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

Config with_openpi_chunks(const Config& config, const OpenpiMap& map) {
  Config changed = config;
  changed.policy.horizon = static_cast<std::int64_t>(map.horizon());
  changed.policy.replan_after = std::min(config.policy.replan_after, changed.policy.horizon);
  return changed;
}

Result<std::unique_ptr<OpenpiPort>> open_openpi_port(EventLoop& loop, const Config& config,
                                                     const OpenpiDriven& driven, Folder& run_folder,
                                                     OpenpiNotice notice) {
  const Config::Openpi& openpi = config.openpi;
  OpenpiPortOptions options;
  options.address = openpi.address;
  options.port = static_cast<std::uint16_t>(openpi.port);
  options.program = "nudge " NUDGE_VERSION;
  const bool beyond = !is_loopback_address(openpi.address);
  if (beyond || openpi.require_key) {
    Result<std::string> key = key_of(run_folder);
    if (!key.ok()) return key.status();
    options.key = *std::move(key);
  }
  if (beyond) {
    Config entrance_config = config;
    entrance_config.ports.address = openpi.address;
    Result<Entrance> entrance = open_entrance(entrance_config, run_folder, wall_now());
    if (!entrance.ok()) return entrance.status();
    options.tls = entrance->tls;
    options.names = entrance->names;
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
  if (openpi.upstream != "none") options.upstream = openpi.upstream;
  if (openpi.upstream_key != "none") {
    Result<std::string> key = upstream_key(openpi.upstream_key);
    if (!key.ok()) return key.status();
    options.upstream_key = *std::move(key);
  }
  options.notice = std::move(notice);
  return OpenpiPort::listen(loop, std::move(options), driven.map, driven.link);
}

}  // namespace nudge
