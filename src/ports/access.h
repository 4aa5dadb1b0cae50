// Who may use the ports: one random token per role, made on the first start and kept in a file that
// only its owner can read. A token is shown to people by the command that starts the program, and
// never written into a log.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "nudge/types.h"
#include "policy/folder.h"

namespace nudge {

inline constexpr const char* kTokensFile = "tokens.json";

// Tells two tokens or keys apart, and opens nothing: the beginning of the hash.
std::string token_id(std::string_view token);

// A value type.
class Access {
 public:
  static constexpr Role kRolesByRank[] = {Role::kEngineer, Role::kSupervisor, Role::kViewer,
                                          Role::kScript};

  Access() = default;  // nobody has access

  // Reads `folder`/tokens.json; makes it, mode 0600, with 256 random bits per role, when there is
  // none. A role that the file leaves out has no token: so access is taken away. kPermissionDenied
  // when somebody else owns the file or may look into it; kDataLoss when it is no such file. Under
  // a ChangeLock of the folder, as all changes of the file.
  static Result<Access> load_or_create(Folder& folder);
  // Only reads; kNotFound when there is no file.
  static Result<Access> load(Folder& folder);
  Status save(Folder& folder) const;

  // Whose token this is; the name is the role's, "engineer". Takes as long for one that is nearly
  // right as for any other: only hashes are compared, and always all of them.
  std::optional<Actor> who_is(std::string_view token) const;

  // Empty: the role has none.
  const std::string& token(Role role) const { return tokens_[static_cast<std::size_t>(role)]; }
  void renew(Role role);   // another token in its place
  void revoke(Role role);  // none

 private:
  static constexpr std::size_t kRoles = 4;
  using Digest = std::array<unsigned char, 32>;

  void set(Role role, std::string token);
  static Digest digest_of(std::string_view token);

  std::array<std::string, kRoles> tokens_;  // by Role
  std::array<Digest, kRoles> digests_{};
};

}  // namespace nudge
