// What the reference implementation (transformers' BertModel and BertTokenizer, mean pooling,
// length 1) made of some sentences.
#pragma once

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "policy/safetensors.h"
#include "test/support/golden.h"

namespace nudge::test {

struct GoldenSentence {
  std::string text;
  std::vector<std::int64_t> tokens;
};

// "tiny" or "minilm".
inline std::vector<GoldenSentence> golden_sentences(const std::string& model) {
  std::istringstream lines(old_golden("words/" + model + "-tokens.tsv"));
  std::vector<GoldenSentence> sentences;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const std::size_t tab = line.find('\t');
    GoldenSentence& sentence = sentences.emplace_back();
    sentence.text = line.substr(0, tab);
    for (std::size_t at = 0; (at = sentence.text.find("\\t")) != std::string::npos;) {
      sentence.text.replace(at, 2, "\t");
    }
    std::istringstream numbers(line.substr(tab + 1));
    for (std::int64_t number = 0; numbers >> number;) sentence.tokens.push_back(number);
  }
  return sentences;
}

// One row per sentence.
inline std::vector<std::vector<float>> golden_vectors(const std::string& model) {
  const std::string bytes = old_golden("words/" + model + "-vectors.safetensors");
  std::vector<std::byte> content(bytes.size());
  std::memcpy(content.data(), bytes.data(), bytes.size());
  const auto file = SafetensorsFile::parse(std::move(content));
  if (!file.ok()) throw std::runtime_error(file.status().message());
  const TensorView& view = file->tensors().at("vectors");
  const auto width = static_cast<std::size_t>(view.shape[1]);
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(view.shape[0]));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].resize(width);
    std::memcpy(rows[i].data(), view.bytes.data() + i * width * sizeof(float),
                width * sizeof(float));
  }
  return rows;
}

}  // namespace nudge::test
