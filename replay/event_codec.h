// Events as bytes: payloads as the JSON text that the log stores, and whole ones as a line of JSON
// for people or packed for the feed. All of them share one list of fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "nudge/status.h"
#include "replay/packed_fields.h"

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

// A whole event as one line of JSON, its payload as a text in it. kInvalidArgument, as above.
Result<std::string> event_line(const Event& event);

// The fields of an event one behind the other, and the reverse, strict, which leaves what follows.
// kInvalidArgument; kUnimplemented for a kind or a version of payloads that this build does not
// write.
Status pack(const Event& event, packed_fields::Writer& writer);
Result<Event> unpack_event(packed_fields::Reader& reader);

// Bounds of an event's envelope: id, boot, actor, role. kInvalidArgument naming the field.
Status validate_envelope(const Event& event);

}  // namespace nudge
