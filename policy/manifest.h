// What the gate states about one accepted set of weights, and signs.
//
// File: one canonical JSON object (FlatObject) and a newline. The signature is over the text
// "nudge.weights.manifest" + newline + the same object without its "signature" in canonical form;
// the line in front keeps a signature from ever being valid for another kind of text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/signing_key.h"

namespace nudge {

struct Manifest {
  static constexpr std::uint64_t kFormat = 1;        // raised when an older reader would be wrong
  static constexpr std::size_t kMaxReport = 65'536;  // bytes
  static constexpr std::size_t kMaxBytes = 262'144;

  WeightsVersion version = 0;
  Sha256 hash{};              // of the weights file's bytes
  std::uint64_t size = 0;     // bytes of the weights file
  WeightsVersion parent = 0;  // 0: none, the first
  WeightsKind kind = WeightsKind::kFull;
  std::string report;  // the gate's figures, one line of JSON; at most kMaxReport bytes
  WallTime created;    // at or after 1970
  std::string robot;   // RobotSpec::id, 1..64 bytes

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// The file's text. kInvalidArgument for a field out of its range.
Result<std::string> write_manifest(const Manifest& manifest, const SigningKey& key);

// Verifies, then returns. kDataLoss: not in canonical form, a field missing or out of range, the
// signature does not match; kPermissionDenied: signed by another key; kUnimplemented: a newer
// format.
Result<Manifest> read_manifest(std::string_view text, const PublicKey& key);

}  // namespace nudge
