#include "replay/chain.h"

#include <sodium.h>

namespace nudge {
namespace {

static_assert(std::tuple_size_v<ChainHash> == crypto_generichash_BYTES);

// Everything that goes into a hash has a fixed size or says how long it is, so that no two
// different rows give the same bytes.
class Hasher {
 public:
  Hasher() { crypto_generichash_init(&state_, nullptr, 0, sizeof(ChainHash)); }

  void bytes(std::span<const std::byte> data) {
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(data.data()),
                              data.size());
  }
  void hash(const ChainHash& value) { bytes(std::as_bytes(std::span(value))); }
  void number(std::uint64_t value) {
    std::array<std::uint8_t, 8> little;
    for (std::size_t i = 0; i < 8; ++i) little[i] = static_cast<std::uint8_t>(value >> (8 * i));
    bytes(std::as_bytes(std::span(little)));
  }
  void text(std::string_view value) {
    number(value.size());
    bytes(std::as_bytes(std::span(value)));
  }
  ChainHash done() {
    ChainHash hash;
    crypto_generichash_final(&state_, hash.data(), hash.size());
    return hash;
  }

 private:
  crypto_generichash_state state_;
};

}  // namespace

ChainHash chain_origin(Sequence linked_later) {
  // Finds the fastest code for this processor; without it all works the same.
  [[maybe_unused]] static const int started = sodium_init();
  Hasher hasher;
  hasher.text("nudge-log-chain-1");
  hasher.number(linked_later);
  return hasher.done();
}

ChainHash chain_record(const ChainHash& before, std::span<const std::byte> record) {
  Hasher hasher;
  hasher.hash(before);
  hasher.bytes(record);
  return hasher.done();
}

ChainHash chain_link(const ChainHash& before, std::span<const ChainedRun> runs,
                     const ChainedEvent& event) {
  Hasher hasher;
  hasher.hash(before);
  hasher.number(runs.size());
  for (const ChainedRun& run : runs) {
    hasher.number(run.first);
    hasher.number(run.last);
    hasher.number(run.episode);
    hasher.number(run.first_offset);
    hasher.number(run.end_offset);
    hasher.number(run.digest.has_value() ? 1 : 0);
    hasher.hash(run.digest.value_or(ChainHash{}));
  }
  hasher.number(event.sequence);
  hasher.text(event.id);
  hasher.text(event.kind);
  hasher.number(event.subject);
  hasher.number(event.episode);
  hasher.number(event.policy_step);
  hasher.number(event.control_tick);
  hasher.number(static_cast<std::uint64_t>(event.time_ns));
  hasher.number(static_cast<std::uint64_t>(event.wall_time_ns));
  hasher.text(event.boot);
  hasher.text(event.actor);
  hasher.number(event.role);
  hasher.number(event.weights);
  hasher.number(event.payload_version);
  hasher.text(event.payload);
  return hasher.done();
}

}  // namespace nudge
