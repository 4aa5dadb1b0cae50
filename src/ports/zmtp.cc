#include "src/ports/zmtp.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace nudge {
namespace {

constexpr std::size_t kGreetingSize = 64;
constexpr std::uint8_t kMore = 1, kLong = 2, kCommand = 4;
constexpr std::uint8_t kInnerMore = 1, kInnerCommand = 2;  // in CURVE's MESSAGE
constexpr std::string_view kNull = "NULL", kCurve = "CURVE";
constexpr std::size_t kMechanismSize = 20;  // padded with zeros
using Greeting = std::array<std::byte, kGreetingSize>;
// Signature, version 3.1, mechanism, whether we are its server, then zeros.
constexpr Greeting greeting_of(std::string_view mechanism, bool server) {
  Greeting text{};
  text[0] = std::byte{0xff};
  text[9] = std::byte{0x7f};
  text[10] = std::byte{3};
  text[11] = std::byte{1};
  for (std::size_t i = 0; i < mechanism.size(); ++i) {
    text[12 + i] = static_cast<std::byte>(mechanism[i]);
  }
  text[12 + kMechanismSize] = std::byte{server};
  return text;
}
constexpr Greeting kNullGreeting = greeting_of(kNull, false);  // NULL has no server
constexpr Greeting kCurveGreeting = greeting_of(kCurve, true);

constexpr std::string_view kMetadata{
    "\x0bSocket-Type\0\0\0\x06ROUTER"
    "\x08Identity\0\0\0\0",
    1 + 11 + 4 + 6 + 1 + 8 + 4};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
void append(std::vector<std::byte>& out, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}
// A frame with this body, which `fill` appends.
void append_frame(std::vector<std::byte>& out, std::uint8_t flags, std::size_t size,
                  const auto& fill) {
  if (size < 256) {
    out.push_back(std::byte{flags});
    out.push_back(static_cast<std::byte>(size));
  } else {
    out.push_back(static_cast<std::byte>(flags | kLong));
    for (int shift = 56; shift >= 0; shift -= 8) {
      out.push_back(static_cast<std::byte>(std::uint64_t{size} >> shift));
    }
  }
  fill(out);
}
void append_command(std::vector<std::byte>& out, std::string_view name, std::string_view data,
                    CurveSession* curve) {
  const auto body = [&](std::vector<std::byte>& to) {
    to.push_back(static_cast<std::byte>(name.size()));
    append(to, name);
    append(to, data);
  };
  const std::size_t size = 1 + name.size() + data.size();
  if (curve == nullptr) return append_frame(out, kCommand, size, body);
  std::vector<std::byte> plain;
  body(plain);
  append_frame(out, 0, size + CurveSession::kOverhead, [&](std::vector<std::byte>& to) {
    curve->append_message(kInnerCommand, plain, to);
  });
}
std::uint64_t big_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

Status no_zmtp() { return invalid_argument("the peer does not speak ZMTP"); }

Status check_greeting(std::string_view greeting, bool curve) {
  if (greeting[0] != '\xff' || (greeting[9] & 1) == 0) {
    return no_zmtp();
  }
  if (static_cast<std::uint8_t>(greeting[10]) < 3) {
    return invalid_argument("the peer speaks an older ZMTP than 3");
  }
  std::string expected(curve ? kCurve : kNull);
  expected.resize(kMechanismSize, '\0');
  if (greeting.substr(12, kMechanismSize) != expected) {
    return invalid_argument(curve ? "the peer does not want to be encrypted by CURVE"
                                  : "the peer wants another mechanism than NULL");
  }
  return {};
}

// Of READY: u8 length and name, u32 length and value, each. Names count without case.
Status check_properties(std::string_view text) {
  constexpr std::string_view kName = "socket-type";
  bool is_dealer = false;
  while (!text.empty()) {
    const std::size_t name_size = static_cast<std::uint8_t>(text[0]);
    if (name_size == 0 || text.size() < 1 + name_size + 4) break;
    const std::string_view name = text.substr(1, name_size);
    const std::uint64_t value_size =
        big_endian(std::as_bytes(std::span(text.substr(1 + name_size, 4))));
    text.remove_prefix(1 + name_size + 4);
    if (value_size > text.size()) return invalid_argument("a property of READY is cut off");
    const bool same =
        std::equal(name.begin(), name.end(), kName.begin(), kName.end(),
                   [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
    if (same) is_dealer = text.substr(0, value_size) == "DEALER";
    text.remove_prefix(value_size);
  }
  if (!text.empty()) return invalid_argument("a property of READY is cut off");
  if (!is_dealer) return invalid_argument("the peer is no DEALER");
  return {};
}

}  // namespace

void ZmtpReader::forget() {
  if (kept_.capacity() > kSmall) {
    kept_ = {};
  } else {
    kept_.clear();
  }
  if (plain_.capacity() > kSmall) plain_ = {};
  shown_ = false;
}

// The next `size` bytes, once they are there; without a copy when they came at once.
std::optional<std::span<const std::byte>> ZmtpReader::gather(std::span<const std::byte>& bytes,
                                                             std::size_t size) {
  const auto taken = bytes.first(std::min(bytes.size(), size - kept_.size()));
  bytes = bytes.subspan(taken.size());
  if (kept_.empty() && taken.size() == size) return taken;
  const std::size_t now = kept_.size() + taken.size();
  // Grows with what arrives, not with what was announced.
  if (now > kept_.capacity()) kept_.reserve(std::min(size, 2 * now));
  kept_.insert(kept_.end(), taken.begin(), taken.end());
  if (now < size) return std::nullopt;
  return kept_;
}

Result<std::optional<ZmtpPiece>> ZmtpReader::next(std::span<const std::byte>& bytes) {
  using Nothing = std::optional<ZmtpPiece>;
  if (shown_) forget();
  if (expects_ == Expects::kGreeting) {
    // Whoever speaks something else is known by their first byte.
    if (kept_.empty() && !bytes.empty() && bytes[0] != kNullGreeting[0]) return no_zmtp();
    const auto greeting = gather(bytes, kGreetingSize);
    if (!greeting) return Nothing();
    NUDGE_TRY(check_greeting(text_of(*greeting), curve_ != nullptr));
    forget();
    expects_ = Expects::kHeader;
  }
  if (expects_ == Expects::kHeader) {
    if (kept_.empty() && bytes.empty()) return Nothing();
    const auto flags = std::to_integer<std::uint8_t>(kept_.empty() ? bytes[0] : kept_[0]);
    const auto header = gather(bytes, (flags & kLong) != 0 ? 9 : 2);
    if (!header) return Nothing();
    NUDGE_TRY(take_header(*header));
    forget();
    expects_ = Expects::kBody;
  }
  const auto body = gather(bytes, size_);
  if (!body) return Nothing();
  expects_ = Expects::kHeader;
  shown_ = true;
  std::span<const std::byte> said = *body;
  bool command = (flags_ & kCommand) != 0;
  bool more = (flags_ & kMore) != 0;
  if (curve_ != nullptr && ready_) {
    // The flags outside are not authenticated, and say nothing.
    const auto opened = curve_->open(said, plain_);
    if (!opened.ok()) return opened.status();
    said = opened->payload;
    command = (opened->flags & kInnerCommand) != 0;
    more = (opened->flags & kInnerMore) != 0;
    if ((opened->flags & ~(kInnerCommand | kInnerMore)) != 0 || (command && more)) {
      return invalid_argument("a message has flags that do not exist");
    }
    if (command && said.size() > kMaxZmtpCommand) {
      return invalid_argument("a command is too long");
    }
  }
  if (!command) return Nothing(take_message(said, more));
  Result<ZmtpPiece> piece = ready_ ? take_command(said) : take_handshake(said);
  if (!piece.ok()) return piece.status();
  return Nothing(*piece);
}

ZmtpPiece ZmtpReader::take_message(std::span<const std::byte> body, bool more) {
  const bool whole = !std::exchange(in_parts_, more);
  using Kind = ZmtpPiece::Kind;
  return {more ? Kind::kNothing : whole ? Kind::kMessage : Kind::kParts, body};
}

Status ZmtpReader::take_header(std::span<const std::byte> header) {
  flags_ = std::to_integer<std::uint8_t>(header[0]);
  const std::uint64_t size = big_endian(header.subspan(1));
  const bool command = (flags_ & kCommand) != 0;
  if ((flags_ & ~(kMore | kLong | kCommand)) != 0 || (command && (flags_ & kMore) != 0)) {
    return invalid_argument("a frame has flags that do not exist");
  }
  if (!command && !ready_) return invalid_argument("a message came before READY");
  std::size_t limit = command ? kMaxZmtpCommand : max_message_;
  if (curve_ != nullptr && ready_) {
    if ((flags_ & kMore) != 0) return invalid_argument("a frame of CURVE has a successor");
    limit += CurveSession::kOverhead;
  }
  if (size > limit) {
    return invalid_argument("a frame has " + std::to_string(size) + " bytes, more than " +
                            std::to_string(limit));
  }
  size_ = static_cast<std::size_t>(size);
  return {};
}

namespace {

// Empty: the body has none.
std::string_view name_of(std::string_view body) {
  const std::size_t size = body.empty() ? 0 : static_cast<std::uint8_t>(body[0]);
  return size == 0 || body.size() < 1 + size ? std::string_view() : body.substr(1, size);
}

}  // namespace

Result<ZmtpPiece> ZmtpReader::take_handshake(std::span<const std::byte> body) {
  const std::string_view name = name_of(text_of(body));
  if (curve_ == nullptr) {
    if (name != "READY") return invalid_argument("the first command is not READY");
    NUDGE_TRY(check_properties(text_of(body).substr(1 + name.size())));
    ready_ = true;
    return ZmtpPiece{ZmtpPiece::Kind::kReady, {}};
  }
  std::vector<std::byte> answer;
  if (curve_->expects() == CurveSession::Expects::kHello) {
    NUDGE_TRY(curve_->take_hello(body, answer));
  } else {
    const auto metadata = curve_->take_initiate(body);
    if (!metadata.ok()) return metadata.status();
    NUDGE_TRY(check_properties(text_of(*metadata)));
    curve_->append_ready(std::as_bytes(std::span(kMetadata)), answer);
    ready_ = true;
  }
  plain_.clear();
  append_frame(plain_, kCommand, answer.size(), [&](std::vector<std::byte>& to) {
    to.insert(to.end(), answer.begin(), answer.end());
  });
  return ZmtpPiece{ready_ ? ZmtpPiece::Kind::kReady : ZmtpPiece::Kind::kAnswer, plain_};
}

Result<ZmtpPiece> ZmtpReader::take_command(std::span<const std::byte> body) {
  const std::string_view text = text_of(body);
  const std::string_view name = name_of(text);
  if (name.empty()) return invalid_argument("a command has no name");
  if (name == "PING") {
    // After two bytes that say how long the peer means to wait.
    const auto rest = body.subspan(1 + name.size());
    if (rest.size() < 2 || rest.size() > 2 + kMaxPingContext) {
      return invalid_argument("a PING has a wrong length");
    }
    return ZmtpPiece{ZmtpPiece::Kind::kPing, rest.subspan(2)};
  }
  if (name == "READY" || name == "ERROR") return invalid_argument("the peer starts over");
  return ZmtpPiece{ZmtpPiece::Kind::kNothing, {}};
}

std::span<const std::byte> zmtp_greeting(bool curve) {
  return curve ? kCurveGreeting : kNullGreeting;
}

void append_zmtp_ready(std::vector<std::byte>& out) {
  append_command(out, "READY", kMetadata, nullptr);
}

void append_zmtp_ping(std::vector<std::byte>& out, CurveSession* curve) {
  // No time to live: whether we are there is theirs to judge.
  append_command(out, "PING", std::string_view("\0\0", 2), curve);
}

void append_zmtp_pong(std::vector<std::byte>& out, std::span<const std::byte> context,
                      CurveSession* curve) {
  append_command(out, "PONG", text_of(context), curve);
}

void append_zmtp_message(std::vector<std::byte>& out, std::span<const std::byte> message,
                         CurveSession* curve) {
  const std::size_t size = message.size() + (curve != nullptr ? CurveSession::kOverhead : 0);
  append_frame(out, 0, size, [&](std::vector<std::byte>& to) {
    if (curve != nullptr) return curve->append_message(0, message, to);
    to.insert(to.end(), message.begin(), message.end());
  });
}

}  // namespace nudge
