// Any bytes as a frame of the robot's protocol: first as they are, then with a header that tells
// the truth about length and version, so that the checks behind it are reached as well.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "src/ports/robot_wire.h"

namespace {

using nudge::WireBytes;

// What was accepted can be written, and what is written reads as itself, bit for bit.
void look(std::span<const std::byte> frame) {
  WireBytes once, twice;
  if (const auto message = nudge::decode_robot_message(frame); message.ok()) {
    if (!encode(message->message, message->session, once).ok()) {
      // A hello that is near its bound may be longer with our spacing and digits.
      if (message->message.index() != 0) std::abort();
      return;
    }
    const auto again = nudge::decode_robot_message(once);
    if (!again.ok() || !encode(again->message, again->session, twice).ok()) std::abort();
    if (once != twice) std::abort();
  }
  if (const auto command = nudge::decode_robot_command(frame); command.ok()) {
    if (!encode(command->message, command->session, once).ok()) std::abort();
    const auto again = nudge::decode_robot_command(once);
    if (!again.ok() || !encode(again->message, again->session, twice).ok()) std::abort();
    if (once != twice) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  look(bytes);
  if (size < nudge::kWireHeader) return 0;
  WireBytes frame(bytes.begin(), bytes.end());
  constexpr char kMagic[] = "NUDG";
  for (std::size_t i = 0; i < 4; ++i) frame[i] = static_cast<std::byte>(kMagic[i]);
  frame[4] = std::byte{nudge::kWireMajor};
  frame[5] &= std::byte{nudge::kWireMinor};  // any that is understood
  for (std::size_t i = 0; i < 4; ++i) {
    frame[8 + i] = static_cast<std::byte>((size - nudge::kWireHeader) >> (8 * i));
  }
  look(frame);
  return 0;
}
