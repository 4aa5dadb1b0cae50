#include "src/ports/keyring.h"

#include <sodium.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/ports/devices.h"
#include "src/ports/json_fields.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxName = 40;  // with its "#t" and number, still an actor's name

Status damaged(const std::string& what) {
  return data_loss(std::string(kKeyringFile) + " " + what +
                   "; remove it, and add the keys again with 'nudge auth key add'");
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-';
         });
}

// Keys of scripts do not come from people, but drive as any other.
std::optional<Role> role_of(std::string_view name) {
  if (name == to_string(Role::kScript)) return Role::kScript;
  return device_role(name);
}

}  // namespace

std::string_view to_string(Keyring::Use use) {
  return use == Keyring::Use::kRobot ? "robot" : "teleop";
}

Result<Keyring> Keyring::decode(std::string_view text) {
  if (text.size() > kMaxFile || json_depth(text, kMaxDepth) > kMaxDepth) {
    return damaged("is larger or deeper than it can be");
  }
  const nlohmann::json file = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || !file.is_object()) return damaged("is not JSON");
  Status status;
  JsonFields top(file, "keys", status);
  if (top.number("version", 1, INT32_MAX) > 1) {
    return unimplemented(std::string(kKeyringFile) + " is of a newer Nudge");
  }
  Keyring keyring;
  for (const nlohmann::json& row : top.list("keys", kMost)) {
    JsonFields fields(row, "keys.keys", status);
    Entry entry;
    entry.name = fields.text("name", kMaxName);
    const std::string use = fields.text("use", 16);
    if (use != "robot" && use != "teleop") fields.fail("'use' is neither robot nor teleop");
    entry.use = use == "robot" ? Use::kRobot : Use::kTeleop;
    const std::optional<Role> role = role_of(fields.text("role", 16));
    if (!role) fields.fail("'role' is none that a key may have");
    entry.role = role.value_or(Role::kViewer);
    const std::optional<CurveKey> key = from_z85(fields.text("key", 40));
    if (!key) fields.fail("'key' is not 40 characters of Z85");
    entry.key = key.value_or(CurveKey{});
    if (!status.ok()) break;
    if (const Status added = keyring.add(std::move(entry)); !added.ok()) {
      return damaged("is wrong (" + added.message() + ")");
    }
  }
  if (!status.ok()) return damaged("is wrong (" + status.message() + ")");
  return keyring;
}

std::string Keyring::encode() const {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Entry& entry : entries_) {
    rows.push_back({{"name", entry.name},
                    {"use", to_string(entry.use)},
                    {"role", to_string(entry.role)},
                    {"key", to_z85(entry.key)}});
  }
  return nlohmann::ordered_json({{"version", 1}, {"keys", std::move(rows)}}).dump(1) + "\n";
}

std::optional<Actor> Keyring::who_is(Use use, const CurveKey& key) const {
  std::optional<Actor> who;
  for (const Entry& entry : entries_) {
    const bool same = sodium_memcmp(entry.key.data(), key.data(), key.size()) == 0;
    if (same && entry.use == use) who = Actor{entry.name, entry.role};
  }
  return who;
}

Status Keyring::add(Entry entry) {
  if (!is_name(entry.name)) {
    return invalid_argument("a key's name must be 1 to 40 of A-Z a-z 0-9 _ . -");
  }
  for (const Entry& other : entries_) {
    if (other.name == entry.name) {
      return already_exists("there is a key called '" + entry.name + "'; revoke it first");
    }
    if (other.key == entry.key) {
      return already_exists("this key is there already, as '" + other.name + "'");
    }
  }
  if (entries_.size() >= kMost) {
    return resource_exhausted("there are " + std::to_string(kMost) + " keys already");
  }
  if (entry.use == Use::kRobot) entry.role = Role::kScript;
  entries_.push_back(std::move(entry));
  return {};
}

bool Keyring::remove(std::string_view name) {
  return std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; }) > 0;
}

}  // namespace nudge
