#include "policy/weights_store.h"

#include <algorithm>
#include <charconv>
#include <set>

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

Status unless_missing(const Status& status) {
  return status.code() == Code::kNotFound ? Status() : status;
}

}  // namespace

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
  const Result<std::string> text = write_manifest(manifest, key_);
  if (!text.ok()) return text.status().with_context(place);

  // Weights first, and durable before the manifest that makes them exist.
  NUDGE_TRY(put(name_of(request.version, kWeightsSuffix), bytes).with_context(place));
  NUDGE_TRY(put(manifest_name, std::as_bytes(std::span(*text))).with_context(place));
  return manifest;
}

Result<StoredWeights> WeightsStore::load_whole(WeightsVersion version,
                                               const std::optional<Sha256>& expected) {
  const Result<std::vector<std::byte>> text =
      folder_->read(name_of(version, kManifestSuffix), Manifest::kMaxBytes);
  if (!text.ok()) return text.status();
  const Result<Manifest> manifest =
      read_manifest({reinterpret_cast<const char*>(text->data()), text->size()}, public_key());
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
  return StoredWeights{*manifest, std::move(*weights)};
}

Result<StoredWeights> WeightsStore::load(WeightsVersion version,
                                         const std::optional<Sha256>& expected) {
  Result<StoredWeights> stored = load_whole(version, expected);
  if (stored.ok()) return stored;
  const std::string place = "weights version " + std::to_string(version);
  if (stored.status().code() != Code::kDataLoss) return stored.status().with_context(place);
  const Status aside = quarantine(version, stored.status().message());
  const std::string outcome = aside.ok() ? " (set aside as *.rejected)"
                                         : " (could not be set aside: " + aside.message() + ")";
  return data_loss(place + ": " + stored.status().message() + outcome);
}

Status WeightsStore::quarantine(WeightsVersion version, const std::string& reason) {
  const std::string place = "weights version " + std::to_string(version);
  // The manifest goes first, and durably: without it the version does not exist any more.
  for (const std::string_view suffix : {kManifestSuffix, kWeightsSuffix}) {
    const std::string name = name_of(version, suffix);
    NUDGE_TRY(unless_missing(folder_->rename(name, rejected(name))).with_context(place));
    NUDGE_TRY(folder_->sync().with_context(place));
  }
  const std::string text = reason + "\n";
  NUDGE_TRY(put(rejected(name_of(version, kReasonSuffix)), std::as_bytes(std::span(text)))
                .with_context(place));
  return {};
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
  return stored.size();
}

}  // namespace nudge
