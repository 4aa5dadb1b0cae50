// Any bytes as what the learner sends, and as what it is sent: a stream that comes in pieces. A
// learner that was taken over writes whatever it likes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "src/learning/learner_wire.h"

namespace {

constexpr std::size_t kMaxBody = 1 << 16;

// Reads messages out of the stream, in pieces of `piece` bytes, and tries each as both.
void read_stream(std::span<const std::uint8_t> data, std::size_t piece) {
  using namespace nudge;
  LearnerWireReader reader(kMaxBody);
  while (!data.empty()) {
    const std::span<std::byte> room = reader.room();
    if (room.empty()) std::abort();
    const std::size_t count = std::min({room.size(), data.size(), piece});
    std::copy_n(reinterpret_cast<const std::byte*>(data.data()), count, room.begin());
    data = data.subspan(count);
    if (!reader.took(count).ok()) return;
    const auto whole = reader.take();
    if (!whole) continue;
    if (whole->header.size() > kMaxLearnerHeader || whole->body.size() > kMaxBody) std::abort();
    if (const auto message = decode_learner_message(*whole); message.ok()) {
      const WireMessage again = encode(*message);
      const auto back = decode_learner_message(again);
      if (!back.ok() || encode(*back) != again) std::abort();
    }
    if (const auto message = decode_daemon_message(*whole); message.ok()) {
      const WireMessage again = encode(*message);
      const auto back = decode_daemon_message(again);
      if (!back.ok() || encode(*back) != again) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  read_stream(std::span(data + 1, size - 1), 1 + data[0]);
  return 0;
}
