// CURVE (rfc.zeromq.org/spec/26), the encryption of ZMTP, the server's part: Curve25519, XSalsa20
// and Poly1305 through libsodium. No socket here, and nothing of ZMTP's frames but their bodies.
//
//   client                                  server
//   HELLO     its short-term key C'    ──▶
//                                      ◀──  WELCOME   our short-term key S', a cookie
//   INITIATE  cookie, its own key C,   ──▶
//             vouch, metadata
//                                      ◀──  READY     metadata
//   MESSAGE   flags and payload        ◀─▶  MESSAGE
//
// Whether C may come in is for the caller: CURVE itself takes any key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "policy/folder.h"

namespace nudge {

using CurveKey = std::array<std::uint8_t, 32>;

// Keys are shown and typed in Z85 (rfc.zeromq.org/spec/32), 40 characters, as libzmq does.
std::string to_z85(const CurveKey& key);
std::optional<CurveKey> from_z85(std::string_view text);

// A pair of long-term keys. Movable only; wipes its memory.
class CurveIdentity {
 public:
  // Reads the pair from `file` in `folder`, where it is made, mode 0600, when there is none.
  // kPermissionDenied when others have access to it; kDataLoss when it is no such file.
  static Result<CurveIdentity> load_or_create(Folder& folder, const std::string& file);
  static CurveIdentity make();  // from the operating system's entropy

  CurveIdentity(CurveIdentity&& other) noexcept;
  CurveIdentity& operator=(CurveIdentity&& other) noexcept;
  ~CurveIdentity();

  const CurveKey& public_key() const { return public_; }
  const CurveKey& secret_key() const { return secret_; }

 private:
  CurveIdentity() = default;
  CurveKey public_{}, secret_{};
};

// The file of a pair: both keys in Z85. For programs of their own: `nudge auth key make` writes it.
inline constexpr std::size_t kCurveFileSize = 18 + 40 + 1 + 40 + 1;

// One connection. Every body is judged by its size before anything is computed.
class CurveSession {
 public:
  // `server` outlives it.
  explicit CurveSession(const CurveIdentity& server) : server_(server) {}
  ~CurveSession();
  CurveSession(const CurveSession&) = delete;
  CurveSession& operator=(const CurveSession&) = delete;

  // A command's body, name included. kInvalidArgument: not what had to come now, or not made with
  // the right keys; the session is then over.
  // Appends the body of WELCOME to `answer`.
  Status take_hello(std::span<const std::byte> body, std::vector<std::byte>& answer);
  // Gives the client's metadata; client_key() is known from here on.
  Result<std::vector<std::byte>> take_initiate(std::span<const std::byte> body);
  // Body of READY.
  void append_ready(std::span<const std::byte> metadata, std::vector<std::byte>& answer);

  enum class Expects { kHello, kInitiate, kMessages };
  Expects expects() const { return expects_; }
  const CurveKey& client_key() const { return client_; }

  static constexpr std::size_t kOverhead = 8 + 8 + 16 + 1;  // of MESSAGE over its payload
  struct Opened {
    std::uint8_t flags = 0;              // 1: more parts follow, 2: a command
    std::span<const std::byte> payload;  // in the buffer given
  };
  // The body of MESSAGE; `plain` holds what was in it. A nonce that does not rise, as of a message
  // sent again, and a byte that was changed are kInvalidArgument.
  Result<Opened> open(std::span<const std::byte> body, std::vector<std::byte>& plain);
  // Appends the body of MESSAGE. Bodies have to be sent in the order in which they were made.
  void append_message(std::uint8_t flags, std::span<const std::byte> payload,
                      std::vector<std::byte>& out);

 private:
  const CurveIdentity& server_;
  Expects expects_ = Expects::kHello;
  CurveKey client_{};                  // C
  CurveKey client_short_{};            // C'
  CurveKey short_{}, short_secret_{};  // S', s'
  CurveKey shared_{};                  // of C' and S'
  std::array<std::uint8_t, 96> cookie_{};
  std::uint64_t heard_ = 0;  // last nonce of the client
  std::uint64_t said_ = 0;   // ours
};

}  // namespace nudge
