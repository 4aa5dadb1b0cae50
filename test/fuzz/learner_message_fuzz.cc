// Any bytes as what the learner sends, and as what it is sent: frames one after the other, each
// behind its length in two bytes. A learner that was taken over writes whatever it likes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "src/learning/learner_wire.h"

namespace {

nudge::Frames frames_of(const std::uint8_t* data, std::size_t size) {
  nudge::Frames frames;
  while (size >= 2 && frames.size() < 8) {
    const std::size_t length = std::min<std::size_t>(data[0] | data[1] << 8, size - 2);
    const auto* begin = reinterpret_cast<const std::byte*>(data + 2);
    frames.emplace_back(begin, begin + length);
    data += 2 + length;
    size -= 2 + length;
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  if (const auto message = decode_learner_message(frames_of(data, size)); message.ok()) {
    const Frames again = encode(*message);
    const auto back = decode_learner_message(again);
    if (!back.ok() || encode(*back) != again) std::abort();
  }
  if (const auto message = decode_daemon_message(frames_of(data, size)); message.ok()) {
    const Frames again = encode(*message);
    const auto back = decode_daemon_message(again);
    if (!back.ok() || encode(*back) != again) std::abort();
  }
  return 0;
}
