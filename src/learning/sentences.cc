#include "src/learning/sentences.h"

#include <cstdlib>
#include <filesystem>

#include "policy/sentence_encoder.h"

namespace nudge {
namespace {

// Where scripts/setup.sh --for words puts it.
std::string fetched_folder() {
  std::filesystem::path cache;
  if (const char* named = std::getenv("XDG_CACHE_HOME"); named != nullptr && *named != '\0') {
    cache = named;
  } else if (const char* home = std::getenv("HOME"); home != nullptr) {
    cache = std::filesystem::path(home) / ".cache";
  }
  return (cache / "nudge/encoders/all-MiniLM-L6-v2").string();
}

}  // namespace

Result<SentenceSource> sentence_source(const Config& config) {
  const std::string& chosen = config.words.encoder;
  const bool fetched = chosen == "fetched";
  SentenceSource source;
  if (chosen != "none") {
    const std::string folder = fetched ? fetched_folder() : chosen;
    // Asked first: the folder is not to be made by looking for it.
    std::error_code error;
    const bool there = std::filesystem::exists(folder + "/model.safetensors", error);
    if (there || !fetched) {
      Result<std::unique_ptr<SentenceEncoder>> encoder = SentenceEncoder::load(folder);
      if (!encoder.ok()) return encoder.status();
      const std::shared_ptr<SentenceEncoder> shared = *std::move(encoder);
      source.hash = shared->hash();
      source.encode = [shared](const std::string& sentence) { return shared->encode(sentence); };
      return source;
    }
    source.note =
        "there is no sentence encoder, so that instructions are told apart by their words and not "
        "by their meaning; 'scripts/setup.sh --for words' fetches one";
  }
  source.hash = "hashed words 1";
  source.encode = [](const std::string& sentence) -> Result<std::vector<float>> {
    return hashed_sentence(sentence);
  };
  return source;
}

Status let_relabel(const Config& config, DatasetOptions& options) {
  if (config.policy.instruction_size == 0) return {};
  Result<SentenceSource> source = sentence_source(config);
  if (!source.ok()) return source.status();
  options.instruction_size = static_cast<std::size_t>(config.policy.instruction_size);
  options.relabel = config.learner.relabel;
  options.swap = config.learner.swap;
  options.instruction_features = [encode = source->encode, size = options.instruction_size](
                                     const std::string& sentence) -> Result<std::vector<float>> {
    Result<std::vector<float>> vector = encode(sentence);
    if (!vector.ok()) return vector.status();
    return project_sentence(*vector, size);
  };
  return {};
}

}  // namespace nudge
