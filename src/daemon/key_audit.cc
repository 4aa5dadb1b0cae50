#include "src/daemon/key_audit.h"

#include <tuple>
#include <utility>

namespace nudge {
namespace {

KeyAdded told_as(const Keyring::Entry& entry) {
  return {.name = entry.name,
          .use = entry.use == Keyring::Use::kRobot ? KeyUse::kRobot : KeyUse::kTeleop,
          .role = entry.role,
          .key = to_z85(entry.key)};
}

bool same(const KeyAdded& a, const KeyAdded& b) {
  return std::tie(a.name, a.use, a.role, a.key) == std::tie(b.name, b.use, b.role, b.key);
}

}  // namespace

void KeyAudit::apply(const Event& event) {
  if (const auto* added = std::get_if<KeyAdded>(&event.payload)) {
    known_.insert_or_assign(added->name, *added);
  } else if (const auto* removed = std::get_if<KeyRemoved>(&event.payload)) {
    known_.erase(removed->name);
  }
}

std::vector<Payload> KeyAudit::changes_to(const Keyring& now) {
  std::map<std::string, KeyAdded> next;
  for (const Keyring::Entry& entry : now.list()) next.emplace(entry.name, told_as(entry));
  std::vector<Payload> changes;
  for (const auto& [name, key] : known_) {
    const auto still = next.find(name);
    if (still != next.end() && same(still->second, key)) continue;
    changes.emplace_back(KeyRemoved{.name = name, .key = key.key});
  }
  for (const auto& [name, key] : next) {
    const auto before = known_.find(name);
    if (before != known_.end() && same(before->second, key)) continue;
    changes.emplace_back(key);
  }
  known_ = std::move(next);
  return changes;
}

}  // namespace nudge
