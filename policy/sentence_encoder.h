// Sentences as vectors: a pretrained BERT that was trained to put sentences of like meaning next to
// each other (Reimers and Gurevych, "Sentence-BERT", 2019; MiniLM: Wang et al., 2020). The model is
// a folder in the form in which such models are published:
//
//   model.safetensors  the tensors, named as BERT's are
//   vocab.txt          WordPieces' vocabulary
//   config.json        num_attention_heads, layer_norm_eps, hidden_act "gelu"
//
// scripts/setup.sh --for words fetches all-MiniLM-L6-v2, 384 numbers a sentence.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// One thread at a time per instance. Takes milliseconds: off the step thread.
class SentenceEncoder {
 public:
  // Reads and checks the folder. kNotFound: a file is missing, and the message says how to get it;
  // kDataLoss, kInvalidArgument: not such a model.
  static Result<std::unique_ptr<SentenceEncoder>> load(const std::string& folder);
  ~SentenceEncoder();
  SentenceEncoder(const SentenceEncoder&) = delete;
  SentenceEncoder& operator=(const SentenceEncoder&) = delete;

  std::size_t size() const;  // numbers of a vector
  // Hex SHA-256 of everything that decides what encode() returns.
  const std::string& hash() const;

  // The mean of the last layer over all tokens, at length 1. Sentences that were encoded before are
  // looked up (the newest 1,000). What lies behind 256 tokens counts nothing. kInternal: LibTorch
  // failed.
  Result<std::vector<float>> encode(std::string_view sentence);

  // How often encode() had to compute.
  std::size_t computed() const;

 private:
  SentenceEncoder();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
