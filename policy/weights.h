// One set of weights: immutable, self-describing, content-addressed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"
#include "policy/safetensors.h"

namespace nudge {

enum class HeadKind { kFlow, kRegression };

// The architecture of an action head. Stored as JSON in the weights file's metadata ("head").
struct HeadSpec {
  HeadKind kind = HeadKind::kFlow;
  std::size_t feature_size = 0;         // of the backbone, 1..kMaxFeatures
  std::size_t proprioception_size = 0;  // 0..256
  std::size_t action_size = 0;          // 1..64
  std::size_t horizon = 8;              // rows of a chunk, 1..64
  std::size_t hidden = 256;             // width of each hidden layer, 1..2048
  std::size_t layers = 3;               // hidden layers, 1..8
  std::size_t euler_steps = 5;          // flow only, 1..64
  bool reference_chunk = false;         // also conditioned on a reference chunk [horizon, action]
  // The head's output is added to the reference chunk, rather than put in its place; needs
  // reference_chunk. See policy/head.h. Absent in files of heads that replace.
  bool edit = false;

  friend bool operator==(const HeadSpec&, const HeadSpec&) = default;
  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// Where a set of weights came from. Stored in the metadata ("lineage"), so that equal training
// gives equal bytes: no time, no machine, no version number (the gate gives that, in the manifest).
struct Lineage {
  std::string parent_hash;  // hex SHA-256 of the parent's bytes; empty: trained from scratch
  WeightsKind kind = WeightsKind::kFull;
  Sequence prefix = 0;  // trained on the log up to and including this
  std::uint64_t seed = 0;
  std::string config_hash;    // hex SHA-256 of the training configuration's canonical text
  std::string backbone_hash;  // hex SHA-256 that keys the cached features
  std::uint32_t steps = 0;    // optimiser steps of this round
  // Hex SHA-256 of the frozen base head whose chunks these weights edit; empty, and then absent in
  // the file: they edit none, or what somebody else proposes. Only heads with HeadSpec::edit.
  std::string base_hash = {};
  // Hex SHA-256 of the weights that the round trained from; empty, and then absent in the file:
  // its parent.
  std::string origin_hash = {};

  friend bool operator==(const Lineage&, const Lineage&) = default;
};

Sha256 sha256(std::span<const std::byte> bytes);
std::string to_hex(const Sha256& hash);  // 64 lower-case digits
// kInvalidArgument unless `hex` is 64 lower-case digits.
Result<Sha256> sha256_from_hex(std::string_view hex);

// Immutable; shared between threads as shared_ptr<const Weights>.
class Weights {
 public:
  // Parses and checks form: safetensors rules, metadata present and in range, every tensor the
  // HeadSpec asks for and no other, right shapes, all F32. Does NOT look for NaN: that is the
  // gate's, so that its refusal has its own reason. kDataLoss / kInvalidArgument.
  static Result<std::shared_ptr<const Weights>> parse(std::vector<std::byte> bytes);

  const HeadSpec& head() const { return head_; }
  const Lineage& lineage() const { return lineage_; }
  const Sha256& hash() const { return hash_; }  // of the bytes
  const SafetensorsFile& file() const { return file_; }

 private:
  Weights() = default;
  SafetensorsFile file_;
  HeadSpec head_;
  Lineage lineage_;
  Sha256 hash_{};
};

// Names and shapes of the tensors of a head, the one list that writer, reader, trainer and
// inference agree on:
//   "net.<i>.weight" [out, in], "net.<i>.bias" [out] for i = 0..layers (the last is the output)
//   "time_frequencies" [16] (flow only), "advantage" [3, 16] (embedding rows: none, positive,
//   negative), "norm.feature.mean" / ".scale" [feature_size], the same for "norm.proprioception"
//   (absent when its size is 0), "norm.action.mean" / ".scale" [action_size]; normalised = (x -
//   mean) / scale.
// Input of net.0, in order: x_t [horizon * action_size] (flow only), reference chunk (if any), 1
// when there is a reference and 0 when not (edit only), features, proprioception, time embedding
// [32] (flow only), advantage embedding [16].
std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors_of(const HeadSpec& spec);

// Assembles a weights file from the tensors of tensors_of(), each row-major float.
Result<std::vector<std::byte>> write_weights(
    const HeadSpec& head, const Lineage& lineage,
    const std::map<std::string, std::vector<float>>& tensors);

}  // namespace nudge
