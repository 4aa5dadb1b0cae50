#include "src/learning/rollout.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "src/loop/reference_sources.h"

namespace nudge {
namespace {

constexpr std::uint64_t kProbeSeed = 7;  // any fixed number: the same probes while the data stays

bool is_lost(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kDataLoss ||
         status.code() == Code::kPermissionDenied;
}

// Older versions kept the key beside the weights.
Status move_key(const std::string& from, const std::string& to) {
  Result<std::unique_ptr<Folder>> old_folder = open_folder(from);
  if (!old_folder.ok()) return old_folder.status();
  Result<std::unique_ptr<Folder>> new_folder = open_folder(to);
  if (!new_folder.ok()) return new_folder.status();
  const std::filesystem::path source = std::filesystem::path(from) / SigningKey::kFileName;
  const std::filesystem::path target = std::filesystem::path(to) / SigningKey::kFileName;
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(source, error)) ||
      std::filesystem::exists(std::filesystem::symlink_status(target, error))) {
    return {};
  }
  std::filesystem::rename(source, target, error);
  if (error) {
    return unavailable("the signing key cannot be moved to " + target.string() + ": " +
                       error.message());
  }
  NUDGE_TRY((*new_folder)->sync());
  return (*old_folder)->sync();
}

}  // namespace

Payload Admission::record() const {
  if (report.accepted) {
    return WeightsAccepted{.version = version,
                           .hash = hash,
                           .parent = parent,
                           .kind = kind,
                           .report = report.to_json()};
  }
  return WeightsRejected{
      .hash = hash, .parent = parent, .reason = report.reason, .detail = report.detail};
}

Result<std::unique_ptr<Rollout>> Rollout::open(const RolloutOptions& options) {
  Result<std::unique_ptr<Folder>> folder = open_folder(options.folder);
  if (!folder.ok()) return folder.status();
  if (!options.key_folder.empty()) NUDGE_TRY(move_key(options.folder, options.key_folder));
  Result<std::unique_ptr<Folder>> keys =
      open_folder(options.key_folder.empty() ? options.folder : options.key_folder);
  if (!keys.ok()) return keys.status();
  Result<SigningKey> key = SigningKey::load_or_create(**keys);
  if (!key.ok()) return key.status();
  Result<WeightsStore> store =
      WeightsStore::open(*std::move(folder), *std::move(key), options.robot);
  if (!store.ok()) return store.status();
  Result<std::unique_ptr<Gate>> gate = Gate::create(options.gate);
  if (!gate.ok()) return gate.status();
  NUDGE_TRY(options.head.validate());
  return std::unique_ptr<Rollout>(new Rollout(options, *std::move(store), *std::move(gate)));
}

Rollout::Rollout(const RolloutOptions& options, WeightsStore store, std::unique_ptr<Gate> gate)
    : options_(options), store_(std::move(store)), gate_(std::move(gate)) {}

Status Rollout::refresh_probes(const Dataset& dataset) {
  ProbeSet probes;
  probes.held_out = dataset.held_out_probe(options_.probe_held_out);
  probes.demonstrations = dataset.demonstration_probe(options_.probe_demonstrations, kProbeSeed);
  probes.recent = dataset.recent_observations(options_.probe_recent);
  probes.recent.horizon = options_.head.horizon;  // observations have no actions of their own
  probes.recent.action_size = options_.head.action_size;
  return gate_->set_probes(std::move(probes));
}

Result<const StoredWeights*> Rollout::stored(WeightsVersion version,
                                             const WeightsHistory& history) {
  if (const auto it = cache_.find(version); it != cache_.end()) return &it->second;
  const WeightsRecord* record = history.find(version);
  if (record == nullptr) return not_found("the log knows no weights v" + std::to_string(version));
  Result<StoredWeights> stored = store_.load(version, record->hash);
  if (!stored.ok()) return stored.status();
  return &cache_.insert_or_assign(version, *std::move(stored)).first->second;
}

Result<std::shared_ptr<const Weights>> Rollout::weights(WeightsVersion version,
                                                        const WeightsHistory& history) {
  const Result<const StoredWeights*> found = stored(version, history);
  if (!found.ok()) return found.status();
  return (*found)->weights;
}

Result<LoadedHead> Rollout::ready_head(WeightsVersion version,
                                       std::shared_ptr<const Weights> weights,
                                       const std::shared_ptr<const Weights>& base) {
  Result<std::unique_ptr<ActionHead>> head = ActionHead::load(std::move(weights));
  if (!head.ok()) return head.status();
  NUDGE_TRY((*head)->warm_up());
  LoadedHead ready{.version = version, .head = std::shared_ptr<ActionHead>(*std::move(head))};
  if (base == nullptr) return ready;
  if (base_ == nullptr || base_hash_ != base->hash()) {
    Result<std::shared_ptr<ReferenceSource>> source = base_source(base);
    if (!source.ok()) return source.status().with_context("the base that they edit");
    base_ = *std::move(source);
    base_hash_ = base->hash();
  }
  ready.base = base_;
  return ready;
}

Result<Rollout::JudgedBase> Rollout::judge_base(const Weights& candidate, WeightsVersion parent,
                                                std::span<const std::byte> base) {
  JudgedBase judged;
  const auto refused = [&](std::string reason, std::string detail) {
    judged.reason = std::move(reason);
    judged.detail = std::move(detail);
    return judged;
  };
  const std::string& named = candidate.lineage().base_hash;
  if (options_.base != !named.empty()) {
    return refused("wrong_shape", options_.base
                                      ? "does not name the base that it edits"
                                      : "edits a base, and policy.reference names another source");
  }
  if (!options_.base) return judged;
  if (base.empty()) {
    const auto it = cache_.find(parent);
    if (it == cache_.end() || it->second.weights->lineage().base_hash != named) {
      return refused("wrong_parent", "edits another base than its parent, and came without it");
    }
    judged.weights = it->second.base;
    return judged;
  }
  Result<std::shared_ptr<const Weights>> parsed =
      Weights::parse(std::vector<std::byte>(base.begin(), base.end()));
  const Status whole = parsed.ok() ? check_base(**parsed, candidate) : parsed.status();
  if (!whole.ok()) return refused("wrong_shape", whole.message());
  // As weights that act alone and are the first are judged.
  GateContext context;
  context.head = (*parsed)->head();
  context.backbone_hash = options_.backbone_hash;
  Result<GateReport> report = gate_->check(*parsed, context);
  if (!report.ok()) return report.status();
  judged.report = *std::move(report);
  if (!judged.report.accepted) {
    return refused(judged.report.reason, "the base that it edits: " + judged.report.detail);
  }
  judged.weights = *std::move(parsed);
  return judged;
}

Result<Admission> Rollout::consider(std::span<const std::byte> bytes, Offered offered,
                                    const WeightsHistory& history, WeightsVersion version,
                                    WallTime now, const Fits& fits,
                                    std::span<const std::byte> base) {
  Admission admission;
  admission.hash = sha256(bytes);
  Result<std::shared_ptr<const Weights>> candidate =
      Weights::parse(std::vector<std::byte>(bytes.begin(), bytes.end()));
  if (!candidate.ok()) {
    admission.report.reason = "wrong_shape";
    admission.report.detail = candidate.status().message();
    return admission;
  }
  admission.kind = (*candidate)->lineage().kind;

  // Parents: what is live, the full version behind it, and the newest full version, which the
  // next one replaces even while it waits for its turn.
  GateContext context;
  context.head = options_.head;
  context.backbone_hash = options_.backbone_hash;
  std::set<WeightsVersion> parents = {history.live(), history.full_ancestor(history.live()),
                                      history.newest_full(), history.confirmed()};
  parents.erase(0);
  // Of the robot as it once was: nothing may descend from it, or be compared with it.
  std::erase_if(parents, [&](WeightsVersion parent) { return fits && !fits(parent); });
  for (const WeightsVersion parent : parents) {
    Result<std::shared_ptr<const Weights>> loaded = weights(parent, history);
    // A version that is damaged or gone is nobody's parent any more, and must not keep others from
    // taking its place; nor is one without the base that it edits.
    if (is_lost(loaded.status())) continue;
    if (!loaded.ok()) return loaded.status();
    if (!runs_here(**loaded).ok()) continue;
    if (to_hex((*loaded)->hash()) == (*candidate)->lineage().parent_hash) admission.parent = parent;
    context.parents.push_back(*loaded);
  }
  std::erase_if(cache_, [&](const auto& entry) { return !parents.contains(entry.first); });
  const bool from_scratch = (*candidate)->lineage().parent_hash.empty();
  if (offered == Offered::kByEngineer && from_scratch) context.parents.clear();
  if (offered == Offered::kByLearner && from_scratch && context.parents.empty()) {
    admission.report.reason = "wrong_parent";
    admission.report.detail = "the learner trains from what runs, and nothing that may run is left";
    return admission;
  }
  for (const WeightsVersion judge : {history.confirmed(), history.newest_full()}) {
    const auto it = cache_.find(judge);
    const bool comparable = it != cache_.end() && runs_here(*it->second.weights).ok();
    if (context.reference == nullptr && comparable) context.reference = it->second.weights;
  }

  Result<GateReport> report = gate_->check(*candidate, context);
  if (!report.ok()) return report.status();
  admission.report = *std::move(report);
  if (!admission.report.accepted) return admission;
  const Result<JudgedBase> judged = judge_base(**candidate, admission.parent, base);
  if (!judged.ok()) return judged.status();
  if (!judged->reason.empty()) {
    admission.report.accepted = false;
    admission.report.reason = judged->reason;
    admission.report.detail = judged->detail;
    return admission;
  }

  // A crash between publishing and logging leaves a number used up that the log does not know of.
  const Result<std::vector<WeightsVersion>> stored = store_.versions();
  if (!stored.ok()) return stored.status();
  while (std::binary_search(stored->begin(), stored->end(), version)) ++version;

  Result<LoadedHead> head = ready_head(version, *candidate, judged->weights);
  if (!head.ok()) return head.status();
  Result<Manifest> manifest =
      store_.publish(**candidate, {.version = version,
                                   .parent = admission.parent,
                                   .report = admission.report.to_json(),
                                   .created = now,
                                   .base = judged->weights,
                                   .base_report = judged->report.to_json()});
  if (!manifest.ok()) return manifest.status();
  admission.version = version;
  admission.head = *std::move(head);
  return admission;
}

Result<LoadedHead> Rollout::load(WeightsVersion version, const WeightsHistory& history) {
  const Result<const StoredWeights*> loaded = stored(version, history);
  if (!loaded.ok()) return loaded.status();
  if (const Status runs = runs_here(*(*loaded)->weights); !runs.ok()) {
    return Status(runs.code(), "v" + std::to_string(version) + " " + runs.message());
  }
  return ready_head(version, (*loaded)->weights, (*loaded)->base);
}

Status Rollout::runs_here(const Weights& weights) const {
  const HeadSpec& its = weights.head();
  const HeadSpec& ours = options_.head;
  const char* const anew = "; train anew with 'nudge train', or configure what it was made for";
  if (weights.lineage().backbone_hash != options_.backbone_hash) {
    return failed_precondition(std::string("was trained on another backbone's features") + anew);
  }
  if (its.reference_chunk != ours.reference_chunk || its.edit != ours.edit) {
    return failed_precondition(std::string(its.edit ? "edits a reference and there is none"
                                                    : "edits nothing, and policy.reference asks "
                                                      "for a head that does") +
                               anew);
  }
  if (options_.base != !weights.lineage().base_hash.empty()) {
    return failed_precondition(std::string(options_.base
                                               ? "does not name the base that it edits, as weights "
                                                 "of an earlier version do not"
                                               : "edits a base, and policy.reference names another "
                                                 "source") +
                               anew);
  }
  if (its.feature_size != ours.feature_size || its.action_size != ours.action_size ||
      its.proprioception_size != ours.proprioception_size || its.horizon != ours.horizon) {
    return failed_precondition(
        "has " + std::to_string(its.feature_size) + " features, " +
        std::to_string(its.proprioception_size) + " values of proprioception and chunks of " +
        std::to_string(its.horizon) + " times " + std::to_string(its.action_size) +
        " actions, where " + std::to_string(ours.feature_size) + ", " +
        std::to_string(ours.proprioception_size) + " and " + std::to_string(ours.horizon) +
        " times " + std::to_string(ours.action_size) + " are in use" + anew);
  }
  return {};
}

Status Rollout::prune(const WeightsHistory& history) {
  std::vector<WeightsVersion> keep = {history.live(),
                                      history.full_ancestor(history.live()),
                                      history.newest_full(),
                                      history.origin(),
                                      history.confirmed(),
                                      history.roll_back_target(),
                                      history.confirmed_before()};
  std::erase(keep, WeightsVersion{0});
  const Result<std::size_t> removed = store_.prune(keep, options_.keep);
  return removed.ok() ? Status{} : removed.status();
}

}  // namespace nudge
