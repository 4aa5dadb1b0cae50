// What a head knows of the instruction: a few numbers behind the backbone's features.
//
// A sentence's vector is long, and a head on a robot has seen few sentences, so the vector is cut
// to a few numbers by fixed random signs, which keep distances between sentences (Achlioptas,
// "Database-friendly random projections", 2003). They stand last among the features, so that the
// learner can put another sentence in their place: what people said while they corrected, or what
// was meant by nobody (replay/dataset.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "policy/backbone.h"

namespace nudge {

// A sentence's vector; SentenceEncoder's, or another's.
using EncodeSentence = std::function<Result<std::vector<float>>(const std::string& sentence)>;

// A vector of length 1 that knows no meaning: sentences with the same words, in lower case and in
// whatever order, get the same one. For where there is no encoder.
std::vector<float> hashed_sentence(const std::string& sentence);

// `vector` as `size` numbers; of a vector of length 1 they have about length 1, too. Equal on all
// machines.
std::vector<float> project_sentence(std::span<const float> vector, std::size_t size);

// `eyes`, and behind its features `size` numbers for the instruction. `encoder_hash` keys what
// `encode` returns. An instruction that is empty gives zeros. kInvalidArgument when that is more
// than kMaxFeatures together, or size is 0.
Result<std::unique_ptr<Backbone>> with_instruction(std::unique_ptr<Backbone> eyes,
                                                   EncodeSentence encode,
                                                   const std::string& encoder_hash,
                                                   std::size_t size);

}  // namespace nudge
