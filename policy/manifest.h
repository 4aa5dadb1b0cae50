// What the gate states about one accepted set of weights, and about a base that weights edit, and
// signs.
//
// File: one canonical JSON object (FlatObject) and a newline. The signature is over the text
// "nudge.weights.manifest" ("nudge.base.manifest") + newline + the same object without its
// "signature" in canonical form; the line in front keeps a signature from ever being valid for
// another kind of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/signing_key.h"

namespace nudge {

struct Manifest {
  // Raised when an older reader would be wrong: one that knows no bases must not run what names
  // one.
  static constexpr std::uint64_t kFormat = 1;
  static constexpr std::uint64_t kFormatWithBase = 2;
  static constexpr std::size_t kMaxReport = 65'536;  // bytes
  static constexpr std::size_t kMaxBytes = 262'144;

  WeightsVersion version = 0;
  Sha256 hash{};              // of the weights file's bytes
  std::uint64_t size = 0;     // bytes of the weights file
  WeightsVersion parent = 0;  // 0: none, the first
  WeightsKind kind = WeightsKind::kFull;
  std::string report;          // the gate's figures, one line of JSON; at most kMaxReport bytes
  WallTime created;            // at or after 1970
  std::string robot;           // RobotSpec::id, 1..64 bytes
  std::optional<Sha256> base;  // Lineage::base_hash of the weights; none: they name none

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Of a frozen base head, which belongs to no version: several may edit it.
struct BaseManifest {
  static constexpr std::uint64_t kFormat = 1;

  Sha256 hash{};           // of the file's bytes
  std::uint64_t size = 0;  // bytes of the file
  std::string report;      // the gate's figures, as above
  WallTime created;        // at or after 1970
  std::string robot;       // RobotSpec::id, 1..64 bytes

  friend bool operator==(const BaseManifest&, const BaseManifest&) = default;
};

// The file's text. kInvalidArgument for a field out of its range.
Result<std::string> write_manifest(const Manifest& manifest, const SigningKey& key);
Result<std::string> write_manifest(const BaseManifest& manifest, const SigningKey& key);

// Verifies, then returns. kDataLoss: not in canonical form, a field missing or out of range, the
// signature does not match; kPermissionDenied: signed by another key; kUnimplemented: a newer
// format.
Result<Manifest> read_manifest(std::string_view text, const PublicKey& key);
Result<BaseManifest> read_base_manifest(std::string_view text, const PublicKey& key);

}  // namespace nudge
