// The folder of accepted weights. Two files a version:
//   <version>.safetensors    the weights, as the gate saw them
//   <version>.manifest.json  what the gate states about them, signed (manifest.h)
// The manifest is written last and makes the version exist: a crash at any moment leaves the folder
// with or without the new version, never with a mixture. What is damaged is set aside as
// <file>.rejected with <version>.reason.rejected beside it.
//
// A frozen base head that weights edit (Lineage::base_hash) lies beside them, under its hash:
//   base-<hash>.safetensors, base-<hash>.manifest.json
// It is there, durably, before the first version that names it, never changes, and stays for as
// long as a version names it. Without it, whole and signed, no version that names it is loaded.
//
//   Result<std::unique_ptr<Folder>> folder = open_folder(path);
//   Result<SigningKey> key = SigningKey::load_or_create(**folder);
//   Result<WeightsStore> store = WeightsStore::open(std::move(*folder), std::move(*key), robot_id);
//   Result<Manifest> manifest = store->publish(*weights, {version, parent, report, wall_time});
//   Result<StoredWeights> stored = store->load(version);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"
#include "policy/folder.h"
#include "policy/manifest.h"
#include "policy/signing_key.h"
#include "policy/weights.h"

namespace nudge {

struct StoredWeights {
  Manifest manifest;
  std::shared_ptr<const Weights> weights;
  std::shared_ptr<const Weights> base;  // that `weights` edit; null: they name none
};

struct PublishRequest {
  WeightsVersion version = 0;  // > 0, not in the folder yet
  WeightsVersion parent = 0;   // < version
  std::string report;          // the gate's, at most Manifest::kMaxReport bytes
  WallTime created;
  // What the weights edit, which must be what they name; null: they name none.
  std::shared_ptr<const Weights> base = nullptr;
  std::string base_report = {};  // the gate's of `base`, stated where it is not in the folder yet
};

// kInvalidArgument: not the one that `weights` name, or no head that acts alone, on the same
// features, for chunks of the same size.
Status check_base(const Weights& base, const Weights& weights);

// Used by one thread at a time, the gate's. Every function blocks on the disk.
class WeightsStore {
 public:
  // Bound on a weights file: the largest head that HeadSpec allows has some 130 MB.
  static constexpr std::uint64_t kMaxWeightsBytes = 256ull * 1024 * 1024;
  // Versions that prune() keeps whatever their state, so that "undo" has somewhere to go.
  static constexpr std::size_t kDefaultKeep = 5;

  // Clears away what an interrupted publish() left: removes temporary files, sets aside weights
  // without a manifest. `robot`: RobotSpec::id, goes into every manifest.
  static Result<WeightsStore> open(std::unique_ptr<Folder> folder, SigningKey key,
                                   std::string robot);

  // Signs and stores; durable when it returns. The kind comes from the weights' lineage. A base
  // that is in the folder, whole, stays as it is; one that was damaged is made anew.
  // kAlreadyExists: the version is in the folder with other weights or another parent;
  // kInvalidArgument: see PublishRequest; and the folder's errors, after which load() finds the
  // version whole or not at all, and publish() may be tried again.
  Result<Manifest> publish(const Weights& weights, const PublishRequest& request);

  // Reads each file once and verifies, hashes and parses the same bytes: form, signature, key,
  // version (an older one under a newer name is refused), robot, hash, size, kind, base. The same
  // for the base that the version names. `expected`: the hash that the log holds for this version,
  // when the caller knows it.
  // kNotFound: no such version; kPermissionDenied: signed by another key; kDataLoss: damaged or
  // substituted, and set aside by quarantine() before this returns, or its base is, or is gone: a
  // damaged base is set aside, and the version stays; and the folder's errors.
  Result<StoredWeights> load(WeightsVersion version,
                             const std::optional<Sha256>& expected = std::nullopt);

  // Sets a version's files aside so that nothing loads them again; people may still look at them.
  Status quarantine(WeightsVersion version, const std::string& reason);

  // Versions with a manifest, rising. Says nothing about whether they are whole.
  Result<std::vector<WeightsVersion>> versions();

  // Removes all but the newest `newest` versions and those in `keep` (the confirmed ones, and what
  // is live), and the bases that none of the others names; of what was set aside, keeps the newest
  // kDefaultKeep. Returns how many versions went.
  Result<std::size_t> prune(const std::vector<WeightsVersion>& keep,
                            std::size_t newest = kDefaultKeep);

  const PublicKey& public_key() const { return key_.public_key(); }

 private:
  WeightsStore(std::unique_ptr<Folder> folder, SigningKey key, std::string robot);
  Result<StoredWeights> load_whole(WeightsVersion version, const std::optional<Sha256>& expected);
  Result<std::shared_ptr<const Weights>> load_base(const Weights& weights);
  Status keep_base(const Weights& weights, const PublishRequest& request);
  Status set_aside(const std::string& stem, const std::string& reason);
  Status prune_bases(const std::vector<WeightsVersion>& versions,
                     const std::vector<std::string>& names);
  Status put(const std::string& name, std::span<const std::byte> bytes);

  std::unique_ptr<Folder> folder_;
  SigningKey key_;
  std::string robot_;
};

// For who has no key, and moves no robot: the base that `weights` name, out of a folder of weights,
// checked against its name. kInvalidArgument: they name none; kNotFound, kDataLoss; errors of
// Folder.
Result<std::shared_ptr<const Weights>> read_base(Folder& folder, const Weights& weights);

// Of a folder of weights that is a copy: what is wrong with the bases that its versions name, one
// sentence each. Looks at no signature: a copy may be without the key. Errors of Folder.
Result<std::vector<std::string>> problems_of_bases(Folder& folder);

}  // namespace nudge
