// ZMTP 3, the protocol between ZeroMQ sockets, as far as the server of DEALERs with messages of one
// part needs it, with the mechanisms NULL and CURVE (rfc.zeromq.org/spec/23, 26 and 37). No socket
// here: bytes in, pieces out. What a connection says: a greeting of 64 bytes, the commands of its
// mechanism's handshake, then messages and commands in frames of flags, length (1 or 8 bytes) and
// body, which CURVE wraps in encrypted ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "nudge/status.h"
#include "src/ports/curve.h"

namespace nudge {

inline constexpr std::size_t kMaxZmtpCommand = 1024;  // bytes; ours and libzmq's have below 100
inline constexpr std::size_t kMaxPingContext = 16;    // bytes, as the protocol says

struct ZmtpPiece {
  enum class Kind {
    kAnswer,   // the body is a frame that has to be sent now
    kReady,    // the handshake is over, and the peer a DEALER. With CURVE, the body is the frame
               // that lets it in; it came with CurveSession::client_key()
    kMessage,  // a frame that is a whole message
    kParts,    // the last frame of a message with more than one
    kPing,     // to be answered with its context
    kNothing,  // asks for nothing: PONG, a command from the future, a part with a successor
  };
  Kind kind = Kind::kNothing;
  std::span<const std::byte> body;  // of a message; context of a ping. Until the next call
};

// Cuts what a peer says into pieces. A frame is judged by its header, before its body is kept.
class ZmtpReader {
 public:
  // `curve` outlives it; null: the mechanism is NULL.
  explicit ZmtpReader(std::size_t max_message, CurveSession* curve = nullptr)
      : max_message_(max_message), curve_(curve) {}

  // Takes from the front of `bytes`, and gives the next whole piece; none: all has been taken.
  // kInvalidArgument: the peer breaks the protocol, or a frame is too long. It has to be closed,
  // and this must not be called again.
  Result<std::optional<ZmtpPiece>> next(std::span<const std::byte>& bytes);

  // Bytes of memory that an unfinished frame takes; 0 for a small one. At most twice what has
  // arrived of it, whatever its header announces.
  std::size_t held() const {
    return (kept_.capacity() > kSmall ? kept_.capacity() : 0) +
           (plain_.capacity() > kSmall ? plain_.capacity() : 0);
  }

 private:
  static constexpr std::size_t kSmall = 64u << 10;  // memory that is used again
  enum class Expects { kGreeting, kHeader, kBody };

  std::optional<std::span<const std::byte>> gather(std::span<const std::byte>& bytes,
                                                   std::size_t size);
  void forget();
  Status take_header(std::span<const std::byte> header);
  Result<ZmtpPiece> take_handshake(std::span<const std::byte> body);
  Result<ZmtpPiece> take_command(std::span<const std::byte> body);
  ZmtpPiece take_message(std::span<const std::byte> body, bool more);

  std::size_t max_message_;
  CurveSession* curve_;
  Expects expects_ = Expects::kGreeting;
  bool ready_ = false;            // READY has been said
  bool in_parts_ = false;         // the message frame before had a successor
  std::uint8_t flags_ = 0;        // of the frame whose body is expected,
  std::size_t size_ = 0;          // and its size
  std::vector<std::byte> kept_;   // of what is not complete
  bool shown_ = false;            // what is kept was the last piece
  std::vector<std::byte> plain_;  // of the last frame, decrypted; or the answer to it
};

// What the server says. The append functions add to what is there; with `curve` frames are
// encrypted, and have to be sent in the order in which they were made.
// The mechanism's. With NULL, READY follows at once.
std::span<const std::byte> zmtp_greeting(bool curve = false);
void append_zmtp_ready(std::vector<std::byte>& out);
void append_zmtp_ping(std::vector<std::byte>& out, CurveSession* curve = nullptr);
void append_zmtp_pong(std::vector<std::byte>& out, std::span<const std::byte> context,
                      CurveSession* curve = nullptr);
void append_zmtp_message(std::vector<std::byte>& out, std::span<const std::byte> message,
                         CurveSession* curve = nullptr);

}  // namespace nudge
