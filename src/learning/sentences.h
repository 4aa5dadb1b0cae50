// Sentences for the policy and the learner: which encoder is used, and how a dataset hears it.
#pragma once

#include <string>

#include "nudge/status.h"
#include "policy/instruction_features.h"
#include "replay/dataset.h"
#include "src/config/config.h"

namespace nudge {

struct SentenceSource {
  EncodeSentence encode;
  std::string hash;  // of what decides its vectors
  std::string note;  // what a person should know; empty: nothing
};

// As words.encoder says. Without a fetched encoder: hashed words, and a note that says so. An
// encoder that is named and cannot be read is an error of SentenceEncoder::load().
Result<SentenceSource> sentence_source(const Config& config);

// The dataset may put other sentences in the place of instructions: learner.relabel, learner.swap.
// Nothing when policy.instruction_size is 0.
Status let_relabel(const Config& config, DatasetOptions& options);

}  // namespace nudge
