// Payloads of events as JSON text, as they are stored in the log and sent in the feed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "nudge/status.h"

namespace nudge {

// Version of the text that encode_payload() writes. It rises when a field of any kind changes.
// Older versions are read: 1 knew less of CandidateReceived, and 2 of Booted.
inline constexpr std::uint32_t kPayloadVersion = 3;
inline constexpr std::size_t kMaxPayloadBytes = 256u << 10;  // encoded

// Stable name of a payload's kind: "episode_started". Part of the log's format.
std::string_view kind_of(const Payload& payload);

// The number that queries of the log look up: span of Span* and WordsActed, version of Weights*,
// epoch of Lease*, episode of Label and StepsDiscarded; 0 for all other kinds. (WeightsRolledBack:
// `from`.)
std::uint64_t subject_of(const Payload& payload);

// One line of JSON with a field per member, enums as their numbers, hashes as hex. Equal payloads
// give equal bytes. kInvalidArgument for text that is not UTF-8, a number that is not finite, a
// text that is too long.
Result<std::string> encode_payload(const Payload& payload);

// The reverse, strict: every field present, none unknown, every enum in range. kInvalidArgument;
// kUnimplemented for a kind or a version that this build does not know.
Result<Payload> decode_payload(std::string_view kind, std::uint32_t version,
                               std::span<const std::byte> json);

// Bounds of an event's envelope: id, boot, actor. kInvalidArgument naming the field.
Status validate_envelope(const Event& event);

}  // namespace nudge
