// The key that accepted weights are signed with: Ed25519 (RFC 8032) through libsodium. The daemon's
// gate holds it; the learner never sees it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "policy/folder.h"

namespace nudge {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

// False for any change of the text, the signature or the key. Any thread.
bool verify(const PublicKey& key, std::string_view text, const Signature& signature);

// Movable only; wipes its memory. sign() may be called from any thread.
class SigningKey {
 public:
  static constexpr const char* kFileName = "signing.key";

  // Reads the key from kFileName in `folder`; when there is none, makes one from the operating
  // system's entropy and stores it durably with mode 0600 before it is returned. An existing file
  // is never replaced: kDataLoss when it is damaged, kPermissionDenied when others have access to
  // it (weights they signed would pass as ours), and the folder's errors.
  static Result<SigningKey> load_or_create(Folder& folder);

  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&& other) noexcept;
  ~SigningKey();

  const PublicKey& public_key() const { return public_; }
  Signature sign(std::string_view text) const;

 private:
  SigningKey() = default;
  void wipe();

  std::array<std::uint8_t, 64> secret_{};  // libsodium's form: seed and public key
  PublicKey public_{};
};

}  // namespace nudge
