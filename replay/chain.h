// The chain: every event of the log carries a hash over itself and all that came before it, so that
// nobody changes, removes, inserts or reorders entries of the past unnoticed. What an unkeyed chain
// cannot show (that somebody made all links anew, or cut off the end) shows against a head that was
// signed and kept elsewhere (src/ports/signed_head.h).
//
//   digest of a run  d(0) = 32 zeros, d(k) = H(d(k-1), bytes of the k-th record)
//   link of an event H(link before, for each run since the event before: its row, the event's row)
//
// H is BLAKE2b with 32 bytes (RFC 7693); rows are laid out as in docs/reference/log-format.md.
// Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "nudge/event.h"

namespace nudge {

using ChainHash = std::array<std::uint8_t, 32>;

// How far the chain is, and its last link: what a signature is made over.
struct ChainHead {
  Sequence sequence = 0;  // of the last event; 0: there is none
  ChainHash link{};

  friend bool operator==(const ChainHead&, const ChainHead&) = default;
};

// An event's row as it is stored.
struct ChainedEvent {
  Sequence sequence = 0;
  std::string_view id, kind;
  std::uint64_t subject = 0;
  EpisodeId episode = 0;
  std::uint64_t policy_step = 0;
  ControlTick control_tick = 0;
  std::int64_t time_ns = 0;
  std::int64_t wall_time_ns = 0;
  std::string_view boot, actor;
  std::uint64_t role = 0;
  WeightsVersion weights = 0;
  std::uint64_t payload_version = 0;
  std::string_view payload;
};

// A run's row. No digest: schema version 1 wrote it.
struct ChainedRun {
  Sequence first = 0;
  Sequence last = 0;
  EpisodeId episode = 0;
  std::uint64_t first_offset = 0;
  std::uint64_t end_offset = 0;
  std::optional<ChainHash> digest;

  // Nothing lies between them. One without a digest, of schema version 1, stays as it is.
  bool continued_by(const ChainedRun& next) const {
    return digest && episode == next.episode && last + 1 == next.first &&
           end_offset == next.first_offset;
  }
};

// What stands before the first link. `linked_later`: events up to here got their links when schema
// version 2 came.
ChainHash chain_origin(Sequence linked_later);
// Digest of a run that goes on with this record; `before` is all zeros at the run's start.
ChainHash chain_record(const ChainHash& before, std::span<const std::byte> record);
// Link of `event`, with the runs between it and the event before.
ChainHash chain_link(const ChainHash& before, std::span<const ChainedRun> runs,
                     const ChainedEvent& event);

}  // namespace nudge
