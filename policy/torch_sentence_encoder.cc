#include <torch/torch.h>

#include <cmath>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "policy/folder.h"
#include "policy/safetensors.h"
#include "policy/sentence_encoder.h"
#include "policy/weights.h"
#include "policy/word_pieces.h"

namespace nudge {
namespace {

constexpr std::uint64_t kMaxModelBytes = 1u << 30;
constexpr std::uint64_t kMaxConfigBytes = 64u << 10;
constexpr std::size_t kLongest = 256;      // tokens: what the model was trained on
constexpr std::size_t kRemembered = 1000;  // sentences

// A sum of x * w^T and b.
struct Linear {
  at::Tensor weight, bias;
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};
struct Norm {
  at::Tensor scale, bias;
  double epsilon = 1e-12;
  at::Tensor operator()(const at::Tensor& x) const {
    return at::layer_norm(x, {x.size(-1)}, scale, bias, epsilon);
  }
};
struct Layer {
  Linear query, key, value, attended, wide, narrow;
  Norm after_attention, after_all;
};

Status not_such(const std::string& what) {
  return invalid_argument("sentence encoder: " + what +
                          "; it must be a BERT with its usual names of tensors");
}

// Takes tensors by name, and remembers the first that is not as it should be.
class Reader {
 public:
  explicit Reader(const SafetensorsFile& file) : file_(file) {}

  // `shape`: -1 for a dimension that may be anything from 1 up.
  at::Tensor take(const std::string& name, std::vector<std::int64_t> shape) {
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) return fail("tensor " + name + " is missing");
    const TensorView& view = found->second;
    bool fits = view.dtype == Dtype::kF32 && view.shape.size() == shape.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] < 0 ? view.shape[i] >= 1 : view.shape[i] == shape[i];
    }
    if (!fits) return fail("tensor " + name + " has another shape or type");
    at::Tensor tensor = at::empty(view.shape, at::kFloat);
    std::memcpy(tensor.data_ptr<float>(), view.bytes.data(), view.bytes.size());
    if (!at::isfinite(tensor).all().item<bool>()) {
      return fail("tensor " + name + " holds a value that is not finite");
    }
    return tensor;
  }
  bool has(const std::string& name) const { return file_.tensors().contains(name); }
  Linear linear(const std::string& name, std::int64_t out, std::int64_t in) {
    return {take(name + ".weight", {out, in}), take(name + ".bias", {out})};
  }
  Norm norm(const std::string& name, std::int64_t size, double epsilon) {
    return {take(name + ".weight", {size}), take(name + ".bias", {size}), epsilon};
  }
  const Status& status() const { return status_; }

 private:
  at::Tensor fail(const std::string& what) {
    if (status_.ok()) status_ = not_such(what);
    return at::zeros({1, 1}, at::kFloat);
  }
  const SafetensorsFile& file_;
  Status status_;
};

Status missing(const std::string& what) {
  return not_found("there is no sentence encoder: " + what +
                   " is missing; fetch one with 'scripts/setup.sh --for words'");
}

Result<std::vector<std::byte>> read(Folder& folder, const std::string& path, const char* name,
                                    std::uint64_t most) {
  Result<std::vector<std::byte>> bytes = folder.read(name, most);
  if (bytes.status().code() == Code::kNotFound) return missing(path + "/" + name);
  return bytes;
}

}  // namespace

struct SentenceEncoder::Impl {
  explicit Impl(WordPieces p) : pieces(std::move(p)) {}

  WordPieces pieces;
  std::string hash;
  std::int64_t heads = 0;
  at::Tensor words, positions, type;  // [vocabulary, size], [longest, size], [size]
  Norm embedded;
  std::vector<Layer> layers;
  std::unordered_map<std::string, std::vector<float>> known;
  std::deque<std::string> oldest_first;
  std::size_t computed = 0;

  Status take(Reader& reader, double epsilon);
  std::vector<float> run(const std::vector<std::int64_t>& tokens) const;
};

Status SentenceEncoder::Impl::take(Reader& reader, double epsilon) {
  words = reader.take("embeddings.word_embeddings.weight",
                      {static_cast<std::int64_t>(pieces.size()), -1});
  const std::int64_t size = words.size(1);
  positions = reader.take("embeddings.position_embeddings.weight", {-1, size});
  type = reader.take("embeddings.token_type_embeddings.weight", {-1, size})[0];
  embedded = reader.norm("embeddings.LayerNorm", size, epsilon);
  NUDGE_TRY(reader.status());
  if (size > 4096 || size % heads != 0) return not_such("its width does not fit its heads");
  for (std::size_t i = 0; i < 48; ++i) {
    const std::string layer = "encoder.layer." + std::to_string(i) + ".";
    if (!reader.has(layer + "intermediate.dense.bias")) break;
    const std::int64_t wide = reader.take(layer + "intermediate.dense.bias", {-1}).size(0);
    layers.push_back({reader.linear(layer + "attention.self.query", size, size),
                      reader.linear(layer + "attention.self.key", size, size),
                      reader.linear(layer + "attention.self.value", size, size),
                      reader.linear(layer + "attention.output.dense", size, size),
                      reader.linear(layer + "intermediate.dense", wide, size),
                      reader.linear(layer + "output.dense", size, wide),
                      reader.norm(layer + "attention.output.LayerNorm", size, epsilon),
                      reader.norm(layer + "output.LayerNorm", size, epsilon)});
    NUDGE_TRY(reader.status());
  }
  if (layers.empty()) return not_such("it has no layers");
  return {};
}

std::vector<float> SentenceEncoder::Impl::run(const std::vector<std::int64_t>& tokens) const {
  const auto n = static_cast<std::int64_t>(tokens.size());
  const at::Tensor numbers = at::empty({n}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), numbers.data_ptr<std::int64_t>());
  at::Tensor x = embedded(words.index_select(0, numbers) + positions.narrow(0, 0, n) + type);
  const std::int64_t size = x.size(1), width = size / heads;
  // [tokens, size] as [heads, tokens, width]
  const auto by_head = [&](const at::Tensor& t) {
    return t.view({n, heads, width}).transpose(0, 1);
  };
  for (const Layer& layer : layers) {
    const at::Tensor weight =
        at::softmax(at::bmm(by_head(layer.query(x)), by_head(layer.key(x)).transpose(1, 2)) /
                        std::sqrt(static_cast<double>(width)),
                    -1);
    const at::Tensor seen =
        at::bmm(weight, by_head(layer.value(x))).transpose(0, 1).reshape({n, size});
    x = layer.after_attention(layer.attended(seen) + x);
    x = layer.after_all(layer.narrow(at::gelu(layer.wide(x))) + x);
  }
  const at::Tensor mean = x.mean(0);
  const at::Tensor unit = (mean / mean.norm().clamp_min(1e-12)).contiguous();
  return {unit.data_ptr<float>(), unit.data_ptr<float>() + size};
}

SentenceEncoder::SentenceEncoder() = default;
SentenceEncoder::~SentenceEncoder() = default;
std::size_t SentenceEncoder::size() const { return static_cast<std::size_t>(impl_->words.size(1)); }
const std::string& SentenceEncoder::hash() const { return impl_->hash; }
std::size_t SentenceEncoder::computed() const { return impl_->computed; }

Result<std::unique_ptr<SentenceEncoder>> SentenceEncoder::load(const std::string& path) {
  std::error_code error;
  // Asked first: open_folder() would make it.
  if (!std::filesystem::is_directory(path, error)) return missing(path);
  Result<std::unique_ptr<Folder>> folder = open_folder(path);
  if (!folder.ok()) return folder.status();
  Result<std::vector<std::byte>> model = read(**folder, path, "model.safetensors", kMaxModelBytes);
  if (!model.ok()) return model.status();
  Result<std::vector<std::byte>> vocabulary =
      read(**folder, path, "vocab.txt", kMaxVocabularyBytes);
  if (!vocabulary.ok()) return vocabulary.status();
  Result<std::vector<std::byte>> config = read(**folder, path, "config.json", kMaxConfigBytes);
  if (!config.ok()) return config.status();

  const auto text = [](const std::vector<std::byte>& bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const nlohmann::json settings =
      nlohmann::json::parse(text(*config), nullptr, /*allow_exceptions=*/false);
  if (!settings.is_object()) return not_such("config.json is no JSON object");
  const auto heads = settings.find("num_attention_heads");
  const auto epsilon = settings.find("layer_norm_eps");
  if (heads == settings.end() || !heads->is_number_integer() || heads->get<std::int64_t>() < 1 ||
      heads->get<std::int64_t>() > 256) {
    return not_such("config.json has no number num_attention_heads from 1 to 256");
  }
  if (epsilon == settings.end() || !epsilon->is_number() || !(epsilon->get<double>() > 0)) {
    return not_such("config.json has no positive number layer_norm_eps");
  }
  if (settings.value("hidden_act", nlohmann::json()) != "gelu") {
    return not_such("config.json names another hidden_act than gelu");
  }

  Result<WordPieces> pieces = WordPieces::make(text(*vocabulary));
  if (!pieces.ok()) return pieces.status().with_context("sentence encoder");
  auto impl = std::make_unique<Impl>(*std::move(pieces));
  impl->heads = heads->get<std::int64_t>();
  const std::string identity = "sentence encoder 1\n" + to_hex(sha256(*model)) + "\n" +
                               to_hex(sha256(*vocabulary)) + "\n" + to_hex(sha256(*config)) + "\n";
  impl->hash = to_hex(sha256(std::as_bytes(std::span(identity))));
  Result<SafetensorsFile> file = SafetensorsFile::parse(*std::move(model));
  if (!file.ok()) return file.status().with_context("sentence encoder");
  try {
    const at::InferenceMode inference;
    Reader reader(*file);
    NUDGE_TRY(impl->take(reader, epsilon->get<double>()));
  } catch (const std::exception& error) {
    return internal(std::string("sentence encoder: LibTorch failed while loading: ") +
                    error.what());
  }
  auto encoder = std::unique_ptr<SentenceEncoder>(new SentenceEncoder());
  encoder->impl_ = std::move(impl);
  return encoder;
}

Result<std::vector<float>> SentenceEncoder::encode(std::string_view sentence) {
  Impl& e = *impl_;
  std::string key(sentence.substr(0, kMaxSentenceBytes));
  if (const auto found = e.known.find(key); found != e.known.end()) return found->second;
  const auto longest =
      std::min<std::size_t>(kLongest, static_cast<std::size_t>(e.positions.size(0)));
  std::vector<float> vector;
  try {
    const at::InferenceMode inference;
    vector = e.run(e.pieces.split(key, std::max<std::size_t>(longest, 2)));
  } catch (const std::exception& error) {
    return internal(std::string("sentence encoder: LibTorch failed: ") + error.what());
  }
  ++e.computed;
  if (e.oldest_first.size() >= kRemembered) {
    e.known.erase(e.oldest_first.front());
    e.oldest_first.pop_front();
  }
  e.oldest_first.push_back(key);
  e.known.emplace(std::move(key), vector);
  return vector;
}

}  // namespace nudge
