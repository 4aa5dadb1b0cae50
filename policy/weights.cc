#include "policy/weights.h"

#include <sodium.h>

#include <limits>

#include "policy/flat_object.h"

namespace nudge {
namespace {

// Metadata keys of a weights file. Others are ignored, so that a newer writer may add some.
constexpr const char* kFormatKey = "nudge.weights";
constexpr const char* kFormatVersion = "1";  // raised when an older reader would be wrong
constexpr const char* kHeadKey = "head";
constexpr const char* kLineageKey = "lineage";

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kTimeFrequencies = 16;
constexpr std::size_t kTimeEmbedding = 2 * kTimeFrequencies;  // a sine and a cosine of each
constexpr std::size_t kAdvantageRows = 3;
constexpr std::size_t kAdvantageEmbedding = 16;

Status check_range(const char* name, std::size_t value, std::size_t low, std::size_t high) {
  if (value >= low && value <= high) return {};
  return invalid_argument(std::string("head: ") + name + " is " + std::to_string(value) +
                          "; it must be " + std::to_string(low) + ".." + std::to_string(high));
}

Status check_hash(const char* name, const std::string& hex) {
  if (hex.empty() || sha256_from_hex(hex).ok()) return {};
  return invalid_argument(std::string("lineage: ") + name +
                          " must be empty or a SHA-256 in 64 lower-case hex digits");
}

const char* name_of(HeadKind kind) { return kind == HeadKind::kFlow ? "flow" : "regression"; }
const char* name_of(WeightsKind kind) {
  return kind == WeightsKind::kFull ? "full" : "provisional";
}

FlatObject to_object(const HeadSpec& spec) {
  FlatObject object;
  object.set("kind", std::string(name_of(spec.kind)));
  object.set("feature_size", std::uint64_t{spec.feature_size});
  object.set("proprioception_size", std::uint64_t{spec.proprioception_size});
  object.set("action_size", std::uint64_t{spec.action_size});
  object.set("horizon", std::uint64_t{spec.horizon});
  object.set("hidden", std::uint64_t{spec.hidden});
  object.set("layers", std::uint64_t{spec.layers});
  object.set("euler_steps", std::uint64_t{spec.euler_steps});
  object.set("reference_chunk", spec.reference_chunk);
  // Only where it is true: files of heads that replace stay as every version has written them.
  if (spec.edit) object.set("edit", true);
  return object;
}

Result<HeadSpec> head_from(const FlatObject& object) {
  HeadSpec spec;
  const Result<std::string> kind = object.get<std::string>("kind");
  if (!kind.ok()) return kind.status();
  if (*kind == name_of(HeadKind::kFlow)) {
    spec.kind = HeadKind::kFlow;
  } else if (*kind == name_of(HeadKind::kRegression)) {
    spec.kind = HeadKind::kRegression;
  } else {
    return unimplemented("\"kind\" is a head that this build does not know");
  }
  const std::pair<const char*, std::size_t*> sizes[] = {
      {"feature_size", &spec.feature_size},
      {"proprioception_size", &spec.proprioception_size},
      {"action_size", &spec.action_size},
      {"horizon", &spec.horizon},
      {"hidden", &spec.hidden},
      {"layers", &spec.layers},
      {"euler_steps", &spec.euler_steps},
  };
  for (const auto& [name, size] : sizes) {
    const Result<std::uint64_t> value = object.get<std::uint64_t>(name);
    if (!value.ok()) return value.status();
    *size = static_cast<std::size_t>(*value);
  }
  const Result<bool> reference = object.get<bool>("reference_chunk");
  if (!reference.ok()) return reference.status();
  spec.reference_chunk = *reference;
  if (object.values().contains("edit")) {
    const Result<bool> edit = object.get<bool>("edit");
    if (!edit.ok()) return edit.status();
    // One way to write each head, so that equal heads have equal bytes.
    if (!*edit) return data_loss("\"edit\" is false, which is written by leaving it out");
    spec.edit = true;
  }
  // A field we do not know may change what the tensors mean.
  if (object.values().size() != to_object(spec).values().size()) {
    return unimplemented("it has a field that this build does not know; use a newer Nudge");
  }
  NUDGE_TRY(spec.validate());
  return spec;
}

FlatObject to_object(const Lineage& lineage) {
  FlatObject object;
  object.set("parent_hash", lineage.parent_hash);
  object.set("kind", std::string(name_of(lineage.kind)));
  object.set("prefix", std::uint64_t{lineage.prefix});
  object.set("seed", std::uint64_t{lineage.seed});
  object.set("config_hash", lineage.config_hash);
  object.set("backbone_hash", lineage.backbone_hash);
  object.set("steps", std::uint64_t{lineage.steps});
  // Only where there are any: all other files stay as every version has written them.
  if (!lineage.base_hash.empty()) object.set("base_hash", lineage.base_hash);
  if (!lineage.origin_hash.empty()) object.set("origin_hash", lineage.origin_hash);
  return object;
}

Status check(const Lineage& lineage, const HeadSpec& head) {
  if (!lineage.base_hash.empty() && !head.edit) {
    return invalid_argument("lineage: base_hash names a base, and the head edits nothing");
  }
  if (!lineage.origin_hash.empty() && lineage.origin_hash == lineage.parent_hash) {
    return invalid_argument(
        "lineage: origin_hash is the parent's, which is written by leaving it out");
  }
  NUDGE_TRY(check_hash("base_hash", lineage.base_hash));
  NUDGE_TRY(check_hash("origin_hash", lineage.origin_hash));
  NUDGE_TRY(check_hash("parent_hash", lineage.parent_hash));
  NUDGE_TRY(check_hash("config_hash", lineage.config_hash));
  return check_hash("backbone_hash", lineage.backbone_hash);
}

Result<Lineage> lineage_from(const FlatObject& object, const HeadSpec& head) {
  Lineage lineage;
  const std::pair<const char*, std::string*> hashes[] = {
      {"parent_hash", &lineage.parent_hash},
      {"config_hash", &lineage.config_hash},
      {"backbone_hash", &lineage.backbone_hash},
  };
  for (const auto& [name, hash] : hashes) {
    const Result<std::string> value = object.get<std::string>(name);
    if (!value.ok()) return value.status();
    *hash = *value;
  }
  const Result<std::string> kind = object.get<std::string>("kind");
  if (!kind.ok()) return kind.status();
  if (*kind == name_of(WeightsKind::kFull)) {
    lineage.kind = WeightsKind::kFull;
  } else if (*kind == name_of(WeightsKind::kProvisional)) {
    lineage.kind = WeightsKind::kProvisional;
  } else {
    return data_loss("\"kind\" is neither full nor provisional");
  }
  const Result<std::uint64_t> prefix = object.get<std::uint64_t>("prefix");
  if (!prefix.ok()) return prefix.status();
  lineage.prefix = *prefix;
  const Result<std::uint64_t> seed = object.get<std::uint64_t>("seed");
  if (!seed.ok()) return seed.status();
  lineage.seed = *seed;
  const Result<std::uint64_t> steps = object.get<std::uint64_t>("steps");
  if (!steps.ok()) return steps.status();
  if (*steps > std::numeric_limits<std::uint32_t>::max()) {
    return data_loss("\"steps\" is out of range");
  }
  lineage.steps = static_cast<std::uint32_t>(*steps);
  const std::pair<const char*, std::string*> optional[] = {
      {"base_hash", &lineage.base_hash},
      {"origin_hash", &lineage.origin_hash},
  };
  for (const auto& [name, hash] : optional) {
    if (!object.values().contains(name)) continue;
    const Result<std::string> value = object.get<std::string>(name);
    if (!value.ok()) return value.status();
    if (value->empty()) {
      return data_loss('"' + std::string(name) + "\" is empty, which is written by leaving it out");
    }
    *hash = *value;
  }
  NUDGE_TRY(check(lineage, head));
  return lineage;
}

Result<FlatObject> object_in(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    return data_loss(std::string("weights: metadata key \"") + key + "\" is missing");
  }
  Result<FlatObject> object = FlatObject::parse(found->second);
  if (!object.ok()) return object.status().with_context(std::string("weights: ") + key);
  return object;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

std::size_t elements(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

}  // namespace

Status HeadSpec::validate() const {
  if (kind != HeadKind::kFlow && kind != HeadKind::kRegression) {
    return invalid_argument("head: kind is neither flow nor regression");
  }
  NUDGE_TRY(check_range("feature_size", feature_size, 1, kMaxFeatures));
  NUDGE_TRY(check_range("proprioception_size", proprioception_size, 0, 256));
  NUDGE_TRY(check_range("action_size", action_size, 1, 64));
  NUDGE_TRY(check_range("horizon", horizon, 1, 64));
  NUDGE_TRY(check_range("hidden", hidden, 1, 2048));
  NUDGE_TRY(check_range("layers", layers, 1, 8));
  NUDGE_TRY(check_range("euler_steps", euler_steps, 1, 64));
  if (edit && !reference_chunk) {
    return invalid_argument(
        "head: edit is true, and reference_chunk is not; there is nothing to edit");
  }
  return {};
}

Sha256 sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  static_assert(std::tuple_size_v<Sha256> == crypto_hash_sha256_BYTES);
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  return hash;
}

std::string to_hex(const Sha256& hash) {
  std::string hex;
  hex.reserve(2 * hash.size());
  for (const std::uint8_t byte : hash) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

Result<Sha256> sha256_from_hex(std::string_view hex) {
  Sha256 hash{};
  if (hex.size() != 2 * hash.size()) {
    return invalid_argument("a SHA-256 has 64 hex digits, not " + std::to_string(hex.size()));
  }
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const std::size_t digit = kDigits.find(hex[i]);
    if (digit == std::string_view::npos) {
      return invalid_argument("a SHA-256 is written in lower-case hex digits");
    }
    hash[i / 2] = static_cast<std::uint8_t>(hash[i / 2] << 4 | digit);
  }
  return hash;
}

std::vector<std::pair<std::string, std::vector<std::int64_t>>> tensors_of(const HeadSpec& spec) {
  const bool flow = spec.kind == HeadKind::kFlow;
  const std::size_t chunk = spec.horizon * spec.action_size;
  const std::size_t input = (flow ? chunk : 0) + (spec.reference_chunk ? chunk : 0) +
                            (spec.edit ? 1 : 0) + spec.feature_size + spec.proprioception_size +
                            (flow ? kTimeEmbedding : 0) + kAdvantageEmbedding;

  std::vector<std::pair<std::string, std::vector<std::int64_t>>> list;
  const auto add = [&list](std::string name, std::initializer_list<std::size_t> shape) {
    list.emplace_back(std::move(name), std::vector<std::int64_t>(shape.begin(), shape.end()));
  };
  for (std::size_t i = 0; i <= spec.layers; ++i) {
    const std::size_t in = i == 0 ? input : spec.hidden;
    const std::size_t out = i == spec.layers ? chunk : spec.hidden;
    const std::string layer = "net." + std::to_string(i);
    add(layer + ".weight", {out, in});
    add(layer + ".bias", {out});
  }
  if (flow) add("time_frequencies", {kTimeFrequencies});
  add("advantage", {kAdvantageRows, kAdvantageEmbedding});
  const auto add_normaliser = [&add](const std::string& name, std::size_t size) {
    if (size == 0) return;
    add("norm." + name + ".mean", {size});
    add("norm." + name + ".scale", {size});
  };
  add_normaliser("feature", spec.feature_size);
  add_normaliser("proprioception", spec.proprioception_size);
  add_normaliser("action", spec.action_size);
  return list;
}

Result<std::shared_ptr<const Weights>> Weights::parse(std::vector<std::byte> bytes) {
  const Sha256 hash = sha256(bytes);
  Result<SafetensorsFile> file = SafetensorsFile::parse(std::move(bytes));
  if (!file.ok()) return file.status().with_context("weights");

  const auto format = file->metadata().find(kFormatKey);
  if (format == file->metadata().end()) {
    return data_loss(std::string("weights: metadata key \"") + kFormatKey +
                     "\" is missing; this is not a weights file of Nudge");
  }
  if (format->second != kFormatVersion) {
    return unimplemented("weights: the file's format is not version " +
                         std::string(kFormatVersion) + ", the only one this build reads");
  }
  const Result<FlatObject> head_object = object_in(*file, kHeadKey);
  if (!head_object.ok()) return head_object.status();
  const Result<HeadSpec> head = head_from(*head_object);
  if (!head.ok()) return head.status().with_context("weights: head");
  const Result<FlatObject> lineage_object = object_in(*file, kLineageKey);
  if (!lineage_object.ok()) return lineage_object.status();
  const Result<Lineage> lineage = lineage_from(*lineage_object, *head);
  if (!lineage.ok()) return lineage.status().with_context("weights: lineage");

  const auto wanted = tensors_of(*head);
  for (const auto& [name, shape] : wanted) {
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end()) {
      return data_loss("weights: tensor \"" + name + "\" is missing");
    }
    if (found->second.dtype != Dtype::kF32) {
      return data_loss("weights: tensor \"" + name + "\" is not F32");
    }
    if (found->second.shape != shape) {
      return data_loss("weights: tensor \"" + name + "\" has shape " +
                       shape_text(found->second.shape) + ", the head asks for " +
                       shape_text(shape));
    }
  }
  if (file->tensors().size() != wanted.size()) {
    return data_loss("weights: the file has " + std::to_string(file->tensors().size()) +
                     " tensors, the head asks for " + std::to_string(wanted.size()));
  }

  std::shared_ptr<Weights> weights(new Weights);
  weights->file_ = std::move(*file);
  weights->head_ = *head;
  weights->lineage_ = *lineage;
  weights->hash_ = hash;
  return std::shared_ptr<const Weights>(std::move(weights));
}

Result<std::vector<std::byte>> write_weights(
    const HeadSpec& head, const Lineage& lineage,
    const std::map<std::string, std::vector<float>>& tensors) {
  NUDGE_TRY(head.validate());
  NUDGE_TRY(check(lineage, head));

  std::map<std::string, TensorToWrite> to_write;
  for (const auto& [name, shape] : tensors_of(head)) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      return invalid_argument("weights: tensor \"" + name + "\" is missing");
    }
    if (found->second.size() != elements(shape)) {
      return invalid_argument("weights: tensor \"" + name + "\" has " +
                              std::to_string(found->second.size()) +
                              " numbers, the head asks for " + shape_text(shape));
    }
    to_write[name] = {Dtype::kF32, shape, std::as_bytes(std::span(found->second))};
  }
  if (to_write.size() != tensors.size()) {
    return invalid_argument("weights: " + std::to_string(tensors.size()) +
                            " tensors given, the head asks for " + std::to_string(to_write.size()));
  }
  const Result<std::string> head_text = to_object(head).dump();
  if (!head_text.ok()) return head_text.status();
  const Result<std::string> lineage_text = to_object(lineage).dump();
  if (!lineage_text.ok()) return lineage_text.status();
  return write_safetensors(
      {{kFormatKey, kFormatVersion}, {kHeadKey, *head_text}, {kLineageKey, *lineage_text}},
      to_write);
}

}  // namespace nudge
