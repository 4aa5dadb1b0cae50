#include "src/ports/devices.h"

#include <sodium.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/ports/http_rules.h"
#include "src/ports/json_fields.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr int kMaxDepth = 6;
constexpr std::size_t kTokenBytes = 32, kFamilyBytes = 18;  // 18: whole characters of base64
constexpr std::size_t kFamilyText = 24, kRefreshText = 24 + 43;
constexpr std::size_t kTokens = 2;
constexpr std::size_t kMaxRobot = 64;

// base64url without padding: fits into a header, an URL and a WebSocket's subprotocol.
std::string random_text(std::size_t size) {
  std::vector<unsigned char> bytes(size);
  randombytes_buf(bytes.data(), bytes.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(size, kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), kVariant);
  text.pop_back();  // the zero at its end
  sodium_memzero(bytes.data(), bytes.size());
  return text;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  std::string text(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

template <typename Bytes>
bool read_hex(const std::string& text, Bytes& bytes) {
  std::size_t size = 0;
  return text.size() == 2 * bytes.size() &&
         sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &size,
                        nullptr) == 0 &&
         size == bytes.size();
}

template <typename Digest>
bool same(const Digest& a, const Digest& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch() / std::chrono::milliseconds(1);
}

// Far beyond any clock, and far from where the arithmetic of nanoseconds ends.
constexpr std::int64_t kLastMillisecond = 4'000'000'000'000;
// 2024: before this program was written. What a clock says before it is set.
constexpr WallTime kClockIsSet{std::chrono::hours(24 * 19'723)};
WallTime time_at(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

Status damaged(const std::string& what) {
  return data_loss(std::string("devices: ") + kDevicesFile + " " + what +
                   "; remove it, and pair the devices again");
}

}  // namespace

std::optional<Role> device_role(std::string_view name) {
  for (const Role role : {Role::kViewer, Role::kSupervisor, Role::kEngineer}) {
    if (to_string(role) == name) return role;
  }
  return std::nullopt;
}

Result<Devices> Devices::decode(std::string_view text, std::string robot) {
  if (text.size() > kMaxFile || json_depth(text, kMaxDepth) > kMaxDepth) {
    return damaged("is larger or deeper than it can be");
  }
  const nlohmann::json file = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || !file.is_object()) return damaged("is not JSON");
  Status status;
  JsonFields top(file, "devices", status);
  if (top.number("version", 1, INT32_MAX) > kVersion) {
    return unimplemented(std::string("devices: ") + kDevicesFile + " is of a newer Nudge");
  }
  Devices devices(std::move(robot));
  for (const nlohmann::json& row : top.list("devices", kMost)) {
    JsonFields fields(row, "devices.devices", status);
    Entry entry;
    Device& device = entry.device;
    device.id = fields.text("id", 18);
    std::array<unsigned char, 8> number{};
    if (!device.id.starts_with("d-") || !read_hex(device.id.substr(2), number)) {
      fields.fail("'id' is not d- and 16 hexadecimal digits");
    }
    if (const nlohmann::json* name = fields.find("name"); name != nullptr && name->is_string()) {
      device.name = presentable(name->get_ref<const std::string&>(), "");
    }
    if (device.name.empty()) fields.fail("'name' is not 1 to 64 bytes that can be shown");
    device.robot = fields.text("robot", kMaxRobot);
    const std::optional<Role> role = device_role(fields.text("role", 16));
    if (!role) fields.fail("'role' is none that a device may have");
    device.role = role.value_or(Role::kViewer);
    device.paired = time_at(fields.number("paired_ms", 0, kLastMillisecond));
    device.seen = time_at(fields.number("seen_ms", 0, kLastMillisecond));
    if (!read_hex(fields.text("family", 64), entry.family) ||
        !read_hex(fields.text("refresh", 64), entry.refresh)) {
      fields.fail("has a hash that is not 64 hexadecimal digits");
    }
    if (row.is_object() && row.contains("used") &&
        !read_hex(fields.text("used", 64), entry.used.emplace())) {
      fields.fail("has a hash that is not 64 hexadecimal digits");
    }
    for (const nlohmann::json& cell : fields.list("tokens", kTokens)) {
      JsonFields token(cell, "devices.devices.tokens", status);
      Token read;
      if (!read_hex(token.text("hash", 64), read.digest)) {
        token.fail("has a hash that is not 64 hexadecimal digits");
      }
      read.expires = time_at(token.number("expires_ms", 0, kLastMillisecond));
      entry.tokens.push_back(read);
    }
    if (!status.ok()) break;
    const bool twice =
        std::any_of(devices.entries_.begin(), devices.entries_.end(),
                    [&](const Entry& other) { return other.device.id == device.id; });
    if (twice) fields.fail("has one id twice");
    devices.entries_.push_back(std::move(entry));
  }
  if (!status.ok()) return damaged("is damaged (" + status.message() + ")");
  return devices;
}

std::string Devices::encode() const {
  Json rows = Json::array();
  for (const Entry& entry : entries_) {
    Json tokens = Json::array();
    for (const Token& token : entry.tokens) {
      tokens.push_back(
          {{"hash", hex_of(token.digest)}, {"expires_ms", milliseconds(token.expires)}});
    }
    Json row = {{"id", entry.device.id},
                {"name", entry.device.name},
                {"role", to_string(entry.device.role)},
                {"robot", entry.device.robot},
                {"paired_ms", milliseconds(entry.device.paired)},
                {"seen_ms", milliseconds(entry.device.seen)},
                {"family", hex_of(entry.family)},
                {"refresh", hex_of(entry.refresh)}};
    if (entry.used) row["used"] = hex_of(*entry.used);
    row["tokens"] = std::move(tokens);
    rows.push_back(std::move(row));
  }
  return Json({{"version", kVersion}, {"devices", rows}}).dump(2) + "\n";
}

Devices::Digest Devices::digest_of(std::string_view text) {
  Digest digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr, 0);
  return digest;
}

Grant Devices::issue(Entry& entry, std::string family, WallTime now) {
  entry.device.seen = std::max(entry.device.seen, now);
  Grant grant;
  grant.token = random_text(kTokenBytes);
  grant.refresh = std::move(family) + random_text(kTokenBytes);
  grant.expires = now + kTokenLife;
  grant.device = entry.device;
  entry.refresh = digest_of(grant.refresh);
  entry.tokens.push_back({digest_of(grant.token), grant.expires});
  if (entry.tokens.size() > kTokens) entry.tokens.erase(entry.tokens.begin());
  return grant;
}

Status Devices::has_room() const {
  if (entries_.size() < kMost) return {};
  return resource_exhausted("as many devices are paired as there may be (" + std::to_string(kMost) +
                            "); revoke one");
}

Result<Grant> Devices::pair(const std::string& name, Role role, WallTime now) {
  NUDGE_TRY(has_room());
  Entry entry;
  std::array<unsigned char, 8> number{};
  randombytes_buf(number.data(), number.size());
  entry.device = {.id = "d-" + hex_of(number),
                  .name = name,
                  .role = role,
                  .robot = robot_,
                  .paired = now,
                  .seen = now};
  std::string family = random_text(kFamilyBytes);
  entry.family = digest_of(family);
  Grant grant = issue(entry, std::move(family), now);
  entries_.push_back(std::move(entry));
  return grant;
}

Devices::Refreshed Devices::refresh(std::string_view refresh, WallTime now) {
  if (refresh.size() != kRefreshText) return {};
  const Digest family = digest_of(refresh.substr(0, kFamilyText));
  const Digest whole = digest_of(refresh);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return same(entry.family, family) && entry.device.robot == robot_ &&
           !is_forgotten(entry.device, now);
  });
  if (found == entries_.end()) return {};
  if (same(found->refresh, whole)) {
    return {.grant = rotate(*found, refresh, now), .revoked = {}};
  }
  // Two tabs of a page may ask at once, and an answer may be lost or come too late, be it for a
  // disk that stalls: nobody is wronged by the same answer once more.
  if (same(found->answered_for, whole) && may_repeat(*found, now)) {
    return {.grant = found->answer, .revoked = {}};
  }
  // The answer was lost, and the daemon that gave it ended: nobody has its secrets.
  if (found->used && same(*found->used, whole)) {
    if (!found->tokens.empty()) found->tokens.pop_back();
    return {.grant = rotate(*found, refresh, now), .revoked = {}};
  }
  std::string id = found->device.id;
  entries_.erase(found);
  return {.grant = {}, .revoked = std::move(id)};
}

Grant Devices::rotate(Entry& entry, std::string_view refresh, WallTime now) {
  Grant grant = issue(entry, std::string(refresh.substr(0, kFamilyText)), now);
  entry.answered_for = digest_of(refresh);
  entry.used = entry.answered_for;
  entry.answer = grant;
  entry.answered = now;
  return grant;
}

// A clock that was set back ends the time of an answer that has arrived.
bool Devices::may_repeat(const Entry& entry, WallTime now) {
  const bool recent = now >= entry.answered && now - entry.answered < kRetry;
  return entry.answer && (entry.used || recent);
}

bool Devices::is_forgotten(const Device& device, WallTime now) {
  return device.seen >= kClockIsSet && now >= expiry(device);
}

std::optional<Caller> Devices::who_is(std::string_view token, WallTime now) {
  const Digest digest = digest_of(token);
  Entry* found = nullptr;
  bool newest = false;
  for (Entry& entry : entries_) {
    for (const Token& held : entry.tokens) {
      if (!same(held.digest, digest) || now >= held.expires) continue;
      found = &entry;
      newest = &held == &entry.tokens.back();
    }
  }
  if (found == nullptr || found->device.robot != robot_) return std::nullopt;
  if (newest && found->used) {
    found->used.reset();
    changed_ = true;
  }
  return Caller{{found->device.name, found->device.role}, found->device.id};
}

bool Devices::revoke(std::string_view id) {
  return std::erase_if(entries_, [&](const Entry& entry) { return entry.device.id == id; }) > 0;
}

std::vector<std::string> Devices::expire(WallTime now) {
  std::vector<std::string> gone;
  for (Entry& entry : entries_) {
    // Since when it is unused is not known: from now on.
    if (entry.device.seen < kClockIsSet && now >= kClockIsSet) entry.device.seen = now;
    if (is_forgotten(entry.device, now)) gone.push_back(entry.device.id);
    if (!may_repeat(entry, now)) entry.answer.reset();
  }
  for (const std::string& id : gone) revoke(id);
  return gone;
}

bool Devices::has_token(std::string_view id, WallTime now) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.device.id == id &&
           std::any_of(entry.tokens.begin(), entry.tokens.end(),
                       [now](const Token& token) { return now < token.expires; });
  });
}

WallTime Devices::newest() const {
  WallTime newest{};
  for (const Entry& entry : entries_) newest = std::max(newest, entry.device.seen);
  return newest;
}

std::vector<Device> Devices::list() const {
  std::vector<Device> all;
  for (const Entry& entry : entries_) all.push_back(entry.device);
  return all;
}

}  // namespace nudge
