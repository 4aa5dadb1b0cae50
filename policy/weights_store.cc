#include "policy/weights_store.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "policy/flat_object.h"

namespace nudge {
namespace {

constexpr std::string_view kWeightsSuffix = ".safetensors";
constexpr std::string_view kManifestSuffix = ".manifest.json";
constexpr std::string_view kReasonSuffix = ".reason";
constexpr std::string_view kRejectedSuffix = ".rejected";

std::string name_of(WeightsVersion version, std::string_view suffix) {
  return std::to_string(version) + std::string(suffix);
}

// The version of "<version><suffix>"; nothing for any other name. "007" is another name than "7".
std::optional<WeightsVersion> version_of(std::string_view name, std::string_view suffix) {
  if (name.size() <= suffix.size() || name.substr(name.size() - suffix.size()) != suffix) {
    return std::nullopt;
  }
  name.remove_suffix(suffix.size());
  WeightsVersion version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (error != std::errc() || end != name.data() + name.size() || version == 0 ||
      std::to_string(version) != name) {
    return std::nullopt;
  }
  return version;
}

std::string rejected(std::string name) { return std::move(name) + std::string(kRejectedSuffix); }

constexpr std::string_view kBasePrefix = "base-";

// Of a base's files, without their suffixes.
std::string base_stem(const std::string& hash) { return std::string(kBasePrefix) + hash; }

// The hash in a name "base-<hash><suffix>", set aside or not; nothing for any other name.
std::optional<std::string> base_of(std::string_view name) {
  if (!name.starts_with(kBasePrefix)) return std::nullopt;
  name.remove_prefix(kBasePrefix.size());
  const std::string_view hash = name.substr(0, name.find('.'));
  if (!sha256_from_hex(hash).ok()) return std::nullopt;
  return std::string(hash);
}

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Status unless_missing(const Status& status) {
  return status.code() == Code::kNotFound ? Status() : status;
}

}  // namespace

Status check_base(const Weights& base, const Weights& weights) {
  const HeadSpec &its = base.head(), &ours = weights.head();
  if (to_hex(base.hash()) != weights.lineage().base_hash) {
    return invalid_argument("the base is not the one that the weights name");
  }
  if (its.reference_chunk || its.feature_size != ours.feature_size ||
      its.proprioception_size != ours.proprioception_size || its.action_size != ours.action_size ||
      its.horizon != ours.horizon ||
      base.lineage().backbone_hash != weights.lineage().backbone_hash) {
    return invalid_argument(
        "the base is not a head that acts alone, on the features and for the actions of the "
        "weights that edit it");
  }
  return {};
}

Result<std::shared_ptr<const Weights>> read_base(Folder& folder, const Weights& weights) {
  const std::string& hash = weights.lineage().base_hash;
  if (hash.empty()) return invalid_argument("the weights name no base");
  const std::string name = base_stem(hash) + std::string(kWeightsSuffix);
  Result<std::vector<std::byte>> bytes = folder.read(name, WeightsStore::kMaxWeightsBytes);
  if (bytes.status().code() == Code::kNotFound) return not_found(name + " is gone");
  if (!bytes.ok()) return bytes.status().with_context(name);
  Result<std::shared_ptr<const Weights>> base = Weights::parse(*std::move(bytes));
  if (!base.ok()) return data_loss(name + " is damaged: " + base.status().message());
  if (const Status fits = check_base(**base, weights); !fits.ok()) {
    return data_loss(name + ": " + fits.message());
  }
  return base;
}

Result<std::vector<std::string>> problems_of_bases(Folder& folder) {
  const Result<std::vector<std::string>> names = folder.list();
  if (!names.ok()) return names.status();
  std::vector<std::string> problems;
  std::set<std::string> named;
  for (const std::string& name : *names) {
    if (!version_of(name, kManifestSuffix)) continue;
    const Result<std::vector<std::byte>> bytes = folder.read(name, Manifest::kMaxBytes);
    if (!bytes.ok()) return bytes.status().with_context(name);
    std::string_view text = text_of(*bytes);
    if (text.ends_with('\n')) text.remove_suffix(1);
    const Result<FlatObject> manifest = FlatObject::parse(text);
    if (!manifest.ok() || !manifest->values().contains("base")) continue;
    const Result<std::string> base = manifest->get<std::string>("base");
    if (base.ok() && sha256_from_hex(*base).ok()) named.insert(*base);
  }
  for (const std::string& hash : named) {
    const std::string stem = base_stem(hash);
    const std::string file = stem + std::string(kWeightsSuffix);
    const Result<std::vector<std::byte>> bytes = folder.read(file, WeightsStore::kMaxWeightsBytes);
    const bool signed_by_somebody =
        std::binary_search(names->begin(), names->end(), stem + std::string(kManifestSuffix));
    if (bytes.status().code() == Code::kNotFound || !signed_by_somebody) {
      problems.push_back(stem + ", the base that weights edit, is not there");
    } else if (!bytes.ok() && bytes.status().code() != Code::kDataLoss) {
      return bytes.status().with_context(file);
    } else if (!bytes.ok() || to_hex(sha256(*bytes)) != hash) {
      problems.push_back(file + ", the base that weights edit, was changed");
    }
  }
  return problems;
}

WeightsStore::WeightsStore(std::unique_ptr<Folder> folder, SigningKey key, std::string robot)
    : folder_(std::move(folder)), key_(std::move(key)), robot_(std::move(robot)) {}

Result<WeightsStore> WeightsStore::open(std::unique_ptr<Folder> folder, SigningKey key,
                                        std::string robot) {
  if (folder == nullptr) return invalid_argument("weights store: no folder given");
  if (robot.empty() || robot.size() > 64) {
    return invalid_argument("weights store: the robot's id must have 1..64 bytes");
  }
  WeightsStore store(std::move(folder), std::move(key), std::move(robot));
  const Result<std::vector<std::string>> names = store.folder_->list();
  if (!names.ok()) return names.status().with_context("weights store");
  for (const std::string& name : *names) {
    if (name.ends_with(kTemporarySuffix)) {
      NUDGE_TRY(unless_missing(store.folder_->remove(name)).with_context("weights store"));
    }
    const auto version = version_of(name, kWeightsSuffix);
    if (version &&
        !std::binary_search(names->begin(), names->end(), name_of(*version, kManifestSuffix))) {
      NUDGE_TRY(store.quarantine(*version, "there is no manifest: publishing was interrupted"));
    }
  }
  return store;
}

Status WeightsStore::put(const std::string& name, std::span<const std::byte> bytes) {
  return replace_file(*folder_, name, bytes);
}

Result<Manifest> WeightsStore::publish(const Weights& weights, const PublishRequest& request) {
  const std::string place = "weights version " + std::to_string(request.version);
  const auto bytes = weights.file().bytes();
  if (bytes.size() > kMaxWeightsBytes) {
    return invalid_argument(place + ": " + std::to_string(bytes.size()) + " bytes; at most " +
                            std::to_string(kMaxWeightsBytes) + " are stored");
  }
  const Result<std::vector<std::string>> names = folder_->list();
  if (!names.ok()) return names.status().with_context(place);
  const std::string manifest_name = name_of(request.version, kManifestSuffix);
  if (std::binary_search(names->begin(), names->end(), manifest_name)) {
    // Perhaps from a try whose last step failed: the same weights are there, then, and only their
    // durability is in question.
    const Result<StoredWeights> stored = load_whole(request.version, weights.hash());
    if (!stored.ok() || stored->manifest.parent != request.parent) {
      return already_exists(place + ": is in the folder already; a version is never replaced");
    }
    NUDGE_TRY(keep_base(weights, request).with_context(place));
    NUDGE_TRY(folder_->sync().with_context(place));
    return stored->manifest;
  }

  Manifest manifest;
  manifest.version = request.version;
  manifest.hash = weights.hash();
  manifest.size = bytes.size();
  manifest.parent = request.parent;
  manifest.kind = weights.lineage().kind;
  manifest.report = request.report;
  manifest.created = request.created;
  manifest.robot = robot_;
  if (!weights.lineage().base_hash.empty()) {
    const Result<Sha256> base = sha256_from_hex(weights.lineage().base_hash);
    if (!base.ok()) return base.status().with_context(place);
    manifest.base = *base;
  }
  const Result<std::string> text = write_manifest(manifest, key_);
  if (!text.ok()) return text.status().with_context(place);

  NUDGE_TRY(keep_base(weights, request).with_context(place));
  // Weights first, and durable before the manifest that makes them exist.
  NUDGE_TRY(put(name_of(request.version, kWeightsSuffix), bytes).with_context(place));
  NUDGE_TRY(put(manifest_name, std::as_bytes(std::span(*text))).with_context(place));
  return manifest;
}

Status WeightsStore::keep_base(const Weights& weights, const PublishRequest& request) {
  const std::string& hash = weights.lineage().base_hash;
  if (hash.empty() != (request.base == nullptr)) {
    return invalid_argument(hash.empty() ? "a base was given, and the weights name none"
                                         : "the base that the weights name was not given");
  }
  if (hash.empty()) return {};
  NUDGE_TRY(check_base(*request.base, weights));
  const Status there = load_base(weights).status();
  if (there.ok()) return folder_->sync();  // see publish()
  if (there.code() != Code::kNotFound && there.code() != Code::kDataLoss &&
      there.code() != Code::kPermissionDenied) {
    return there;
  }
  const auto bytes = request.base->file().bytes();
  if (bytes.size() > kMaxWeightsBytes) {
    return invalid_argument("the base has " + std::to_string(bytes.size()) + " bytes; at most " +
                            std::to_string(kMaxWeightsBytes) + " are stored");
  }
  const Result<std::string> text = write_manifest(BaseManifest{.hash = request.base->hash(),
                                                               .size = bytes.size(),
                                                               .report = request.base_report,
                                                               .created = request.created,
                                                               .robot = robot_},
                                                  key_);
  if (!text.ok()) return text.status();
  const std::string stem = base_stem(hash);
  NUDGE_TRY(put(stem + std::string(kWeightsSuffix), bytes));
  return put(stem + std::string(kManifestSuffix), std::as_bytes(std::span(*text)));
}

// kNotFound: it does not exist, for want of a manifest.
Result<std::shared_ptr<const Weights>> WeightsStore::load_base(const Weights& weights) {
  const std::string stem = base_stem(weights.lineage().base_hash);
  const Result<std::vector<std::byte>> text =
      folder_->read(stem + std::string(kManifestSuffix), Manifest::kMaxBytes);
  if (text.status().code() == Code::kNotFound) {
    return not_found("is not there, or was set aside: it has no signed manifest");
  }
  if (!text.ok()) return text.status();
  const Result<BaseManifest> manifest = read_base_manifest(text_of(*text), public_key());
  if (!manifest.ok()) return manifest.status();
  if (manifest->robot != robot_) {
    return data_loss("the manifest belongs to robot \"" + manifest->robot + "\"");
  }
  if (to_hex(manifest->hash) != weights.lineage().base_hash) {
    return data_loss("the manifest belongs to another base");
  }
  // Hashes the bytes it then parses.
  Result<std::shared_ptr<const Weights>> base = read_base(*folder_, weights);
  if (base.status().code() == Code::kNotFound) return data_loss(base.status().message());
  if (base.ok() && (*base)->file().bytes().size() != manifest->size) {
    return data_loss("the file and its manifest differ in size");
  }
  return base;
}

Result<StoredWeights> WeightsStore::load_whole(WeightsVersion version,
                                               const std::optional<Sha256>& expected) {
  const Result<std::vector<std::byte>> text =
      folder_->read(name_of(version, kManifestSuffix), Manifest::kMaxBytes);
  if (!text.ok()) return text.status();
  const Result<Manifest> manifest = read_manifest(text_of(*text), public_key());
  if (!manifest.ok()) return manifest.status();
  if (manifest->version != version) {
    return data_loss("the manifest belongs to version " + std::to_string(manifest->version) +
                     "; files of another version were put in this one's place");
  }
  if (manifest->robot != robot_) {
    return data_loss("the manifest belongs to robot \"" + manifest->robot + "\"");
  }
  if (expected && manifest->hash != *expected) {
    return data_loss("the manifest's hash is not the one in the log");
  }
  if (manifest->size > kMaxWeightsBytes) return data_loss("the manifest's size is out of range");

  Result<std::vector<std::byte>> bytes =
      folder_->read(name_of(version, kWeightsSuffix), manifest->size);
  if (!bytes.ok()) {
    if (bytes.status().code() == Code::kNotFound) {
      return data_loss("there is a manifest, but no weights file");
    }
    return bytes.status();
  }
  if (bytes->size() != manifest->size) {
    return data_loss("the weights file has " + std::to_string(bytes->size()) +
                     " bytes, the manifest says " + std::to_string(manifest->size));
  }
  // Hashes the bytes it then parses.
  Result<std::shared_ptr<const Weights>> weights = Weights::parse(std::move(*bytes));
  if (!weights.ok()) {
    return Status(Code::kDataLoss, "the weights file is damaged: " + weights.status().message());
  }
  if ((*weights)->hash() != manifest->hash) {
    return data_loss("the weights file's hash is not the manifest's");
  }
  if ((*weights)->lineage().kind != manifest->kind) {
    return data_loss("the weights file and the manifest differ in kind");
  }
  if ((*weights)->lineage().base_hash != (manifest->base ? to_hex(*manifest->base) : "")) {
    return data_loss("the weights file and the manifest differ in the base");
  }
  return StoredWeights{*manifest, std::move(*weights), nullptr};
}

Result<StoredWeights> WeightsStore::load(WeightsVersion version,
                                         const std::optional<Sha256>& expected) {
  const std::string place = "weights version " + std::to_string(version);
  const auto outcome = [](const Status& aside) {
    return aside.ok() ? std::string(" (set aside as *.rejected)")
                      : " (could not be set aside: " + aside.message() + ")";
  };
  Result<StoredWeights> stored = load_whole(version, expected);
  if (stored.status().code() == Code::kDataLoss) {
    const Status aside = quarantine(version, stored.status().message());
    return data_loss(place + ": " + stored.status().message() + outcome(aside));
  }
  if (!stored.ok()) return stored.status().with_context(place);
  const std::string& hash = stored->weights->lineage().base_hash;
  if (hash.empty()) return stored;
  Result<std::shared_ptr<const Weights>> base = load_base(*stored->weights);
  const std::string place_of_base = place + ": the base that they edit, " + base_stem(hash);
  if (base.status().code() == Code::kDataLoss) {
    const Status aside = set_aside(base_stem(hash), base.status().message());
    return data_loss(place_of_base + ": " + base.status().message() + outcome(aside));
  }
  // What names it is there all the same.
  if (base.status().code() == Code::kNotFound) {
    return data_loss(place_of_base + ": " + base.status().message());
  }
  if (!base.ok()) return base.status().with_context(place_of_base);
  stored->base = *std::move(base);
  return stored;
}

Status WeightsStore::quarantine(WeightsVersion version, const std::string& reason) {
  return set_aside(std::to_string(version), reason)
      .with_context("weights version " + std::to_string(version));
}

Status WeightsStore::set_aside(const std::string& stem, const std::string& reason) {
  // The manifest goes first, and durably: without it a version does not exist any more.
  for (const std::string_view suffix : {kManifestSuffix, kWeightsSuffix}) {
    const std::string name = stem + std::string(suffix);
    NUDGE_TRY(unless_missing(folder_->rename(name, rejected(name))));
    NUDGE_TRY(folder_->sync());
  }
  const std::string text = reason + "\n";
  return put(rejected(stem + std::string(kReasonSuffix)), std::as_bytes(std::span(text)));
}

Result<std::vector<WeightsVersion>> WeightsStore::versions() {
  const Result<std::vector<std::string>> names = folder_->list();
  if (!names.ok()) return names.status().with_context("weights store");
  std::vector<WeightsVersion> versions;
  for (const std::string& name : *names) {
    if (const auto version = version_of(name, kManifestSuffix)) versions.push_back(*version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

Result<std::size_t> WeightsStore::prune(const std::vector<WeightsVersion>& keep,
                                        std::size_t newest) {
  const Result<std::vector<std::string>> names = folder_->list();
  if (!names.ok()) return names.status().with_context("weights store");
  std::set<WeightsVersion> stored, set_aside;
  std::vector<WeightsVersion> staying;
  for (const std::string& name : *names) {
    for (const std::string_view suffix : {kManifestSuffix, kWeightsSuffix, kReasonSuffix}) {
      if (const auto version = version_of(name, suffix)) stored.insert(*version);
      if (const auto version = version_of(name, rejected(std::string(suffix)))) {
        set_aside.insert(*version);
      }
    }
  }
  const auto drop_newest = [](std::set<WeightsVersion>& versions, std::size_t count) {
    for (; count > 0 && !versions.empty(); --count) versions.erase(std::prev(versions.end()));
  };
  drop_newest(stored, newest);
  drop_newest(set_aside, kDefaultKeep);
  for (const WeightsVersion version : keep) stored.erase(version);
  for (const std::string& name : *names) {
    const auto version = version_of(name, kManifestSuffix);
    if (version && !stored.contains(*version)) staying.push_back(*version);
  }

  const auto remove = [this](const std::string& name) {
    return unless_missing(folder_->remove(name)).with_context("weights store");
  };
  for (const WeightsVersion version : stored) NUDGE_TRY(remove(name_of(version, kManifestSuffix)));
  if (!stored.empty())
    NUDGE_TRY(folder_->sync().with_context("weights store"));  // see quarantine()
  for (const WeightsVersion version : stored) NUDGE_TRY(remove(name_of(version, kWeightsSuffix)));
  for (const WeightsVersion version : set_aside) {
    for (const std::string_view suffix : {kManifestSuffix, kWeightsSuffix, kReasonSuffix}) {
      NUDGE_TRY(remove(rejected(name_of(version, suffix))));
    }
  }
  if (!stored.empty() || !set_aside.empty()) {
    NUDGE_TRY(folder_->sync().with_context("weights store"));
  }
  NUDGE_TRY(prune_bases(staying, *names).with_context("weights store"));
  return stored.size();
}

// `versions`: those that stay; `names`: of all files.
Status WeightsStore::prune_bases(const std::vector<WeightsVersion>& versions,
                                 const std::vector<std::string>& names) {
  std::set<std::string> unnamed;
  for (const std::string& name : names) {
    if (const auto hash = base_of(name)) unnamed.insert(*hash);
  }
  if (unnamed.empty()) return {};
  for (const WeightsVersion version : versions) {
    const Result<std::vector<std::byte>> text =
        folder_->read(name_of(version, kManifestSuffix), Manifest::kMaxBytes);
    if (!text.ok()) return text.status();
    const Result<Manifest> manifest = read_manifest(text_of(*text), public_key());
    // What cannot be read may name any of them.
    if (!manifest.ok()) return {};
    if (manifest->base) unnamed.erase(to_hex(*manifest->base));
  }
  for (const std::string_view suffix : {kManifestSuffix, kWeightsSuffix, kReasonSuffix}) {
    for (const std::string& hash : unnamed) {
      const std::string name = base_stem(hash) + std::string(suffix);
      NUDGE_TRY(unless_missing(folder_->remove(name)));
      NUDGE_TRY(unless_missing(folder_->remove(rejected(name))));
    }
    NUDGE_TRY(folder_->sync());  // the manifest goes first, see set_aside()
  }
  return {};
}

}  // namespace nudge
