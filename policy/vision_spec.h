// The project's own eyes: a small convolutional network over a robot's cameras, whose maps the
// instruction modulates (FiLM; Perez et al., "FiLM: visual reasoning with a general conditioning
// layer", 2018). This is the file it is kept in, safetensors with its architecture as JSON; what
// runs it is vision_backbone.h, what trains it vision_trainer.h. docs/reference/backbone-format.md
// describes it.
//
//   per camera   side x side pixels, four convolutions (layers_of()), ReLU; before the ReLU of all
//                but the first, each map is scaled and shifted by the instruction
//   trunk        all maps, flattened, and proprioception: `hidden` units, modulated, ReLU
//   features     `features` units, ReLU
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "policy/safetensors.h"

namespace nudge {

inline constexpr std::size_t kMaxVisionFile = 64u << 20;  // bytes
inline constexpr std::size_t kMaxSentences = 1024;        // that a file knows
inline constexpr std::size_t kWordsHidden = 64;           // units between sentence and modulation

struct VisionLayer {
  std::int64_t maps = 0, kernel = 0, stride = 0;  // padded by half the kernel
};
inline constexpr std::size_t kVisionLayers = 4;

// Stored as JSON in the file's metadata ("backbone").
struct VisionSpec {
  std::vector<std::string> cameras;     // 1..4, in the order in which the network takes them
  std::size_t side = 64;                // pixels, a multiple of 4 x stride from 16 to 256
  std::size_t stride = 2;               // pixels, of the first layer: 2 or 4
  std::size_t proprioception_size = 0;  // 0..256
  std::size_t sentence_size = 0;        // numbers of a sentence's vector, 1..4096
  std::size_t hidden = 256;             // 1..2048
  std::size_t features = 64;            // 1..kMaxFeatures
  std::string encoder;  // hash of the encoder that made the sentences' vectors, at most 64 bytes
  std::string supervision;  // for people: what it was trained to tell; at most 1,000 bytes

  friend bool operator==(const VisionSpec&, const VisionSpec&) = default;
  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// Sentences that the network was trained with, and their vectors: they are understood where the
// encoder is not at hand.
struct KnownSentences {
  std::vector<std::string> text;  // at most kMaxSentences, each at most 256 bytes
  std::vector<float> vectors;     // [text.size(), sentence_size]

  friend bool operator==(const KnownSentences&, const KnownSentences&) = default;
};

// Together they make side / (4 x stride) rows and columns. Maps from the prototype of two rendered
// cameras.
std::array<VisionLayer, kVisionLayers> layers_of(const VisionSpec& spec);

// Names and shapes of all tensors of a network, in a fixed order. "known" is not among them.
std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors_of(const VisionSpec& spec);

struct VisionFile {
  VisionSpec spec;
  KnownSentences known;
  std::map<std::string, std::vector<float>> tensors;  // all of tensors_of(), finite

  // kDataLoss, kInvalidArgument: not such a file; a tensor is missing, of another shape, or holds a
  // value that is not finite. Tensors are F16 or F32.
  static Result<VisionFile> parse(std::vector<std::byte> bytes);
  // Equal files give equal bytes. What the network multiplies with is F16, the rest F32. `parse()`
  // of it gives the rounded values. kInvalidArgument when something does not fit the spec, or is
  // too large for F16.
  Result<std::vector<std::byte>> write() const;
};

}  // namespace nudge
