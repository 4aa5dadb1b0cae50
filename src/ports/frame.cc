#include "src/ports/frame.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace nudge {
namespace {

constexpr std::array<std::byte, 4> kMagic = {std::byte{'N'}, std::byte{'U'}, std::byte{'D'},
                                             std::byte{'G'}};
constexpr std::size_t kLengthAt = 8;  // of the body's length, in the header

// The position is the number on the wire: append only.
constexpr std::array kCodes = {Code::kOk,
                               Code::kInvalidArgument,
                               Code::kNotFound,
                               Code::kAlreadyExists,
                               Code::kFailedPrecondition,
                               Code::kPermissionDenied,
                               Code::kResourceExhausted,
                               Code::kUnavailable,
                               Code::kDeadlineExceeded,
                               Code::kDataLoss,
                               Code::kAborted,
                               Code::kUnimplemented,
                               Code::kInternal};

constexpr std::uint64_t kFarthestTime = std::uint64_t{1} << 62;  // ns

}  // namespace

std::string_view to_string(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kVersion: return "version";
    case RefusalReason::kMalformed: return "malformed";
    case RefusalReason::kBusy: return "busy";
    case RefusalReason::kSpecDiffers: return "spec_differs";
    case RefusalReason::kNoSession: return "no_session";
    case RefusalReason::kClockJumped: return "clock_jumped";
    case RefusalReason::kToken: return "token";
    case RefusalReason::kOtherRobot: return "other_robot";
    case RefusalReason::kRate: return "rate";
  }
  return "unknown";
}

std::uint16_t wire_code(Code code) {
  const auto found = std::find(kCodes.begin(), kCodes.end(), code);
  return static_cast<std::uint16_t>(found - kCodes.begin());
}

Code code_of_wire(std::uint16_t number) {
  return number < kCodes.size() ? kCodes[number] : Code::kInternal;
}

WireWriter::WireWriter(WireBytes& out, WireType type, std::uint32_t session, std::uint8_t minor)
    : out_(out) {
  out_.clear();
  for (const std::byte byte : kMagic) out_.push_back(byte);
  u8(kWireMajor);
  u8(minor);
  u16(static_cast<std::uint16_t>(type));
  u32(0);  // the length, known at the end
  u32(session);
}

WireWriter::~WireWriter() {
  const auto length = static_cast<std::uint32_t>(out_.size() - kWireHeader);
  for (int i = 0; i < 4; ++i) {
    out_[kLengthAt + static_cast<std::size_t>(i)] = static_cast<std::byte>(length >> (8 * i));
  }
}

void WireWriter::number(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void WireWriter::floats(std::span<const float> values) {
  for (const float value : values) u32(std::bit_cast<std::uint32_t>(value));
}

void WireWriter::bytes(std::span<const std::uint8_t> values) {
  const auto raw = std::as_bytes(values);
  out_.insert(out_.end(), raw.begin(), raw.end());
}

void WireWriter::text(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  out_.insert(out_.end(), begin, begin + text.size());
}

void WireWriter::short_text(std::string_view text, std::size_t limit) {
  if (text.size() > limit) {
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  u16(static_cast<std::uint16_t>(text.size()));
  this->text(text);
}

Result<WireReader> WireReader::open(std::span<const std::byte> frame) {
  if (frame.size() < kWireHeader) {
    return invalid_argument("a frame of " + std::to_string(frame.size()) +
                            " bytes is shorter than its header");
  }
  if (!std::equal(kMagic.begin(), kMagic.end(), frame.begin())) {
    return invalid_argument("a frame does not begin with NUDG");
  }
  WireReader reader;
  reader.body_ = frame.subspan(kMagic.size());
  reader.major_ = reader.u8();
  reader.minor_ = reader.u8();
  reader.type_ = reader.u16();
  const std::uint32_t length = reader.u32();
  reader.session_ = reader.u32();
  if (length != reader.body_.size()) {
    return invalid_argument("a frame's body has " + std::to_string(reader.body_.size()) +
                            " bytes, its header says " + std::to_string(length));
  }
  return reader;
}

std::string_view WireReader::rest() const {
  return {reinterpret_cast<const char*>(body_.data()), body_.size()};
}

std::span<const std::byte> WireReader::take(std::size_t bytes) {
  if (!broken_.empty() || bytes > body_.size()) {
    require(false, "it is cut off");
    return {};
  }
  const auto taken = body_.first(bytes);
  body_ = body_.subspan(bytes);
  return taken;
}

std::uint64_t WireReader::number(std::size_t bytes) {
  std::uint64_t value = 0;
  int shift = 0;
  for (const std::byte byte : take(bytes)) {
    value |= std::to_integer<std::uint64_t>(byte) << shift;
    shift += 8;
  }
  return value;
}

Instant WireReader::instant() {
  const std::uint64_t value = u64();
  // Two's complement: +-2^62 is what both signs allow.
  require(value + kFarthestTime < 2 * kFarthestTime, "a time is out of range");
  return broken_.empty() ? Instant(Duration(static_cast<std::int64_t>(value))) : Instant{};
}

std::vector<float> WireReader::floats(std::size_t count) {
  if (count > body_.size() / 4) {
    require(false, "it is cut off");
    return {};
  }
  std::vector<float> values(count);
  for (float& value : values) value = std::bit_cast<float>(u32());
  return values;
}

std::vector<std::uint8_t> WireReader::bytes(std::size_t count) {
  const auto taken = take(count);
  std::vector<std::uint8_t> values(taken.size());
  if (!taken.empty()) std::memcpy(values.data(), taken.data(), taken.size());
  return values;
}

std::string WireReader::short_text(std::size_t limit) {
  const std::size_t length = u16();
  require(length <= limit, "a text is too long");
  const auto taken = broken_.empty() ? take(length) : std::span<const std::byte>();
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

void WireReader::require(bool holds, std::string_view what) {
  if (!holds && broken_.empty()) broken_ = what;
}

Status WireReader::finish() const {
  if (major_ != kWireMajor) {
    return unimplemented("the peer speaks version " + std::to_string(major_) +
                         " of the protocol, this build speaks " + std::to_string(kWireMajor));
  }
  const std::string where = "message of type " + std::to_string(type_) + ": ";
  if (!broken_.empty()) return invalid_argument(where + std::string(broken_));
  if (!body_.empty() && minor_ <= kWireMinor) {
    return invalid_argument(where + std::to_string(body_.size()) + " bytes too many");
  }
  return {};
}

Status check_json_bounds(std::string_view text, std::size_t max_bytes, int max_depth) {
  if (text.size() > max_bytes) {
    return invalid_argument("the text has " + std::to_string(text.size()) + " bytes, more than " +
                            std::to_string(max_bytes));
  }
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > max_depth) {
        return invalid_argument("the text is nested deeper than " + std::to_string(max_depth));
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return {};
}

bool printable_name(std::string_view text, std::size_t limit) {
  return !text.empty() && text.size() <= limit &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace nudge
