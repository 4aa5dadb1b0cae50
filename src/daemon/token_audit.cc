#include "src/daemon/token_audit.h"

#include <utility>

namespace nudge {

void TokenAudit::apply(const Event& event) {
  if (const auto* changed = std::get_if<TokenChanged>(&event.payload)) {
    known_[changed->role] = changed->id;
  }
}

std::vector<Payload> TokenAudit::changes_to(const Access& now) {
  std::vector<Payload> changes;
  for (const Role role : Access::kRolesByRank) {
    const std::string& token = now.token(role);
    std::string id = token.empty() ? std::string() : token_id(token);
    if (known_[role] == id) continue;
    known_[role] = id;
    changes.emplace_back(TokenChanged{.role = role, .id = std::move(id)});
  }
  return changes;
}

}  // namespace nudge
