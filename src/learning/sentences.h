// Sentences for the policy and the learner: which encoder is used, and how a backbone and a dataset
// hear it.
#pragma once

#include <memory>
#include <string>

#include "nudge/status.h"
#include "policy/backbone.h"
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

// What a policy perceives: the state of the robot's objects, and behind it the instruction, if
// policy.instruction_size is above 0. `note` gets SentenceSource::note. Errors of
// make_state_backbone() and sentence_source().
Result<std::unique_ptr<Backbone>> make_backbone(const Config& config, const ObservationSpec& spec,
                                                std::string* note = nullptr);

// The dataset may put other sentences in the place of instructions: learner.relabel, learner.swap.
// Nothing when policy.instruction_size is 0.
Status let_relabel(const Config& config, DatasetOptions& options);

}  // namespace nudge
