#include "policy/instruction_features.h"

#include <cmath>
#include <utility>

#include "nudge/random.h"
#include "nudge/types.h"
#include "policy/weights.h"

namespace nudge {
namespace {

constexpr std::uint64_t kSigns = 4'711;  // of the projection; another seed is another backbone

class InstructedBackbone final : public Backbone {
 public:
  InstructedBackbone(std::unique_ptr<Backbone> eyes, EncodeSentence encode,
                     const std::string& encoder_hash, std::size_t size)
      : eyes_(std::move(eyes)), encode_(std::move(encode)), size_(size) {
    const std::string text = "instruction 1\n" + eyes_->hash() + "\n" + encoder_hash + "\n" +
                             std::to_string(size) + "\n";
    hash_ = to_hex(sha256(std::as_bytes(std::span(text))));
  }

  std::size_t feature_size() const override { return eyes_->feature_size() + size_; }
  std::vector<std::string> cameras() const override { return eyes_->cameras(); }
  const std::string& hash() const override { return hash_; }

  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& instruction) override {
    if (instruction != sentence_ || words_.empty()) {
      std::vector<float> words(size_, 0.0f);
      if (!instruction.empty()) {
        Result<std::vector<float>> vector = encode_(instruction);
        if (!vector.ok()) return vector.status().with_context("instruction");
        words = project_sentence(*vector, size_);
      }
      words_ = std::move(words);
      sentence_ = instruction;
    }
    Result<std::vector<float>> features = eyes_->encode(observation, instruction);
    if (features.ok()) features->insert(features->end(), words_.begin(), words_.end());
    return features;
  }

 private:
  std::unique_ptr<Backbone> eyes_;
  EncodeSentence encode_;
  std::size_t size_;
  std::string hash_;
  std::string sentence_;      // of words_
  std::vector<float> words_;  // [size_]; empty: none yet
};

}  // namespace

std::vector<float> hashed_sentence(const std::string& sentence) {
  constexpr std::size_t kBuckets = 256;
  constexpr std::uint64_t kPrime = 0x100000001b3, kBegin = 0xcbf29ce484222325;  // FNV-1a
  std::vector<float> vector(kBuckets, 0.0f);
  std::uint64_t hash = kBegin;
  const auto end_word = [&] {
    if (hash != kBegin) vector[hash % kBuckets] += (hash >> 32 & 1) != 0 ? 1.0f : -1.0f;
    hash = kBegin;
  };
  for (const char c : sentence) {
    const bool upper = c >= 'A' && c <= 'Z';
    const auto byte = static_cast<unsigned char>(upper ? c + ('a' - 'A') : c);
    const bool of_word =
        byte >= 0x80 || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
    if (!of_word) {
      end_word();
      continue;
    }
    hash = (hash ^ byte) * kPrime;
  }
  end_word();
  double squares = 0;
  for (const float v : vector) squares += static_cast<double>(v) * v;
  if (squares > 0) {
    for (float& v : vector) v = static_cast<float>(v / std::sqrt(squares));
  }
  return vector;
}

std::vector<float> project_sentence(std::span<const float> vector, std::size_t size) {
  std::vector<float> out(size, 0.0f);
  Random random(kSigns);
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));
  for (std::size_t i = 0; i < size; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < vector.size(); ++k) {
      sum += (random.next() & 1) != 0 ? vector[k] : -vector[k];
    }
    out[i] = static_cast<float>(scale * sum);
  }
  return out;
}

Result<std::unique_ptr<Backbone>> with_instruction(std::unique_ptr<Backbone> eyes,
                                                   EncodeSentence encode,
                                                   const std::string& encoder_hash,
                                                   std::size_t size) {
  if (size == 0 || eyes->feature_size() + size > kMaxFeatures) {
    return invalid_argument("an instruction of " + std::to_string(size) + " numbers behind " +
                            std::to_string(eyes->feature_size()) + " features: at least 1, and " +
                            std::to_string(kMaxFeatures) + " together, is allowed");
  }
  return std::unique_ptr<Backbone>(
      std::make_unique<InstructedBackbone>(std::move(eyes), std::move(encode), encoder_hash, size));
}

}  // namespace nudge
