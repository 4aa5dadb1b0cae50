#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "policy/gate.h"
#include "policy/head.h"
#include "policy/input_layout.h"

namespace nudge {
namespace {

// 90 % quantile of Student's t with `df` degrees of freedom: the asymptotic expansion of Abramowitz
// and Stegun, 26.7.5; within 0.002 of the tables from df = 3 on. Tables below.
double t_quantile_90(std::size_t df) {
  if (df <= 1) return 3.078;
  if (df == 2) return 1.886;
  const double z = 1.2815515655446004, n = static_cast<double>(df);
  const double z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

std::string text(const char* format, double a, double b) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, format, a, b);
  return buffer;
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// The first tensor that holds a value which is not finite; empty: none.
std::string non_finite_tensor(const Weights& weights) {
  for (const auto& [name, view] : weights.file().tensors()) {
    if (!all_finite(values_of(weights, name))) return name;
  }
  return {};
}

bool is_trained(const std::string& name) { return name.starts_with("net.") || name == "advantage"; }

// Root mean square that a tensor is taken to have at least. The output layer of a head that edits
// begins as zeros; its first steps are measured against what other heads' begins as.
double smallest_length(const HeadSpec& head, const std::string& name, const GateOptions& options) {
  const bool output = name.starts_with("net." + std::to_string(head.layers) + ".");
  if (!head.edit || !output) return options.change_floor;
  return std::max(options.change_floor, 1 / std::sqrt(3.0 * static_cast<double>(head.hidden)));
}

// A head that edits is born without a first training, so that its first round goes further than any
// later one: 1.1 was seen of a good one. What it does is judged like any other's.
constexpr double kFirstRound = 2;

// Whether a head that edits was never trained: it passes every reference on.
bool is_untrained(const Weights& weights) {
  if (!weights.head().edit) return false;
  const std::string output = "net." + std::to_string(weights.head().layers);
  for (const char* part : {".weight", ".bias"}) {
    for (const float v : values_of(weights, output + part)) {
      if (v != 0) return false;
    }
  }
  return true;
}

HeadBatch conditions(const Batch& batch, const HeadSpec& head, double guidance) {
  HeadBatch in;
  in.size = batch.size;
  in.features = batch.features;
  in.proprioception = batch.proprioception;
  in.advantage = batch.advantage;
  if (head.reference_chunk) {
    in.reference = batch.reference;
    in.has_reference = batch.has_reference;
  }
  in.guidance = static_cast<float>(guidance);
  return in;
}

Status check_probe(const char* what, const Batch& b, std::size_t limit, bool with_actions) {
  const auto wrong = [&](const std::string& why) {
    return invalid_argument(std::string("gate: ") + what + " probes: " + why);
  };
  if (b.size > limit) {
    return wrong(std::to_string(b.size) + " rows, allowed are " + std::to_string(limit));
  }
  const std::size_t chunk = b.horizon * b.action_size;
  if (b.features.size() != b.size * b.feature_size ||
      b.proprioception.size() != b.size * b.proprioception_size || b.advantage.size() != b.size ||
      (!b.reference.empty() &&
       (b.reference.size() != b.size * chunk || b.has_reference.size() != b.size)) ||
      (with_actions && (b.actions.size() != b.size * chunk || b.mask.size() != b.size * b.horizon ||
                        b.cluster.size() != b.size))) {
    return wrong("a column's length does not match the number of rows");
  }
  if (!all_finite(b.features) || !all_finite(b.proprioception) || !all_finite(b.reference)) {
    return wrong("an observation is not finite");
  }
  if (with_actions) {
    for (std::size_t i = 0; i < b.mask.size(); ++i) {
      const std::span<const float> action(b.actions.data() + i * b.action_size, b.action_size);
      if (b.mask[i] > 0 && !all_finite(action)) return wrong("an action is not finite");
    }
  }
  return {};
}

// Sums of absolute errors and of counted values, per cluster in order of its number.
struct Totals {
  std::map<std::uint64_t, std::pair<double, double>> clusters;  // error, count
  double mean() const {
    double error = 0, count = 0;
    for (const auto& [id, total] : clusters) {
      error += total.first;
      count += total.second;
    }
    return count > 0 ? error / count : 0;
  }
};

// Errors in units of `scale`, the same for both heads that are compared.
Totals errors_of(const Batch& batch, const std::vector<float>& chunks,
                 const std::vector<float>& scale) {
  Totals totals;
  for (std::size_t r = 0; r < batch.size; ++r) {
    auto& [error, count] = totals.clusters[batch.cluster[r]];
    for (std::size_t h = 0; h < batch.horizon; ++h) {
      const std::size_t i = r * batch.horizon + h;
      if (!(batch.mask[i] > 0)) continue;
      for (std::size_t c = 0; c < batch.action_size; ++c) {
        const std::size_t at = i * batch.action_size + c;
        error += std::abs(chunks[at] - batch.actions[at]) / scale[c];
      }
      count += static_cast<double>(batch.action_size);
    }
  }
  return totals;
}

}  // namespace

RatioBound clustered_change(std::span<const double> candidate, std::span<const double> reference) {
  const auto n = static_cast<double>(candidate.size());
  double difference = 0, base = 0;
  for (std::size_t i = 0; i < candidate.size(); ++i) {
    difference += candidate[i] - reference[i];
    base += reference[i];
  }
  RatioBound out;
  out.change = difference / base;
  double squares = 0;
  for (std::size_t i = 0; i < candidate.size(); ++i) {
    const double residual = candidate[i] - reference[i] - out.change * reference[i];
    squares += residual * residual;
  }
  const double error = std::sqrt(n / (n - 1) * squares) / base;
  out.upper = out.change + t_quantile_90(candidate.size() - 1) * error;
  return out;
}

std::string GateReport::to_json() const {
  const auto figure = [](double v) -> nlohmann::ordered_json {
    if (!std::isfinite(v)) return nullptr;
    return v;
  };
  const nlohmann::ordered_json json = {
      {"accepted", accepted},
      {"reason", reason},
      {"detail", detail},
      {"largest_change", figure(largest_change)},
      {"largest_change_name", largest_change_name},
      {"demonstration_error", figure(demonstration_error)},
      {"demonstration_error_reference", figure(demonstration_error_reference)},
      {"wild_share", figure(wild_share)},
      {"wild_share_reference", figure(wild_share_reference)},
      {"largest_action", figure(largest_action)},
      {"held_out_episodes", held_out_episodes},
      {"enough_evidence", enough_evidence},
      {"held_out_error", figure(held_out_error)},
      {"held_out_error_reference", figure(held_out_error_reference)},
      {"held_out_change", figure(held_out_change)},
      {"held_out_change_bound", figure(held_out_change_bound)},
  };
  // Names of tensors come from a checked list, but a detail may quote anything.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

struct Gate::Impl {
  GateOptions options;
  ProbeSet probes;
  std::vector<float> demonstration_noise, held_out_noise, recent_noise;

  // What the reference head does on the probes. Valid while `judged_by` is the reference.
  struct Outcome {
    Totals demonstrations, held_out;
    double wild_share = -1, largest_action = -1;
    bool finite = true;
  };
  std::shared_ptr<const Weights> judged_by;
  Outcome reference;

  Result<Outcome> run(ActionHead& head, const std::vector<float>& scale);
};

Result<Gate::Impl::Outcome> Gate::Impl::run(ActionHead& head, const std::vector<float>& scale) {
  Outcome out;
  std::vector<float> chunks;
  const auto sample = [&](const Batch& batch, const std::vector<float>& noise) -> Status {
    chunks.resize(noise.size());
    NUDGE_TRY(head.sample(conditions(batch, head.spec(), options.guidance), noise, chunks));
    out.finite = out.finite && all_finite(chunks);
    return {};
  };
  if (probes.demonstrations.size > 0) {
    NUDGE_TRY(sample(probes.demonstrations, demonstration_noise));
    out.demonstrations = errors_of(probes.demonstrations, chunks, scale);
  }
  if (probes.recent.size > 0) {
    NUDGE_TRY(sample(probes.recent, recent_noise));
    std::size_t wild = 0;
    out.largest_action = 0;
    for (const float v : chunks) {
      wild += !(std::abs(v) <= options.action_soft_limit) ? 1 : 0;
      out.largest_action = std::max(out.largest_action, static_cast<double>(std::abs(v)));
    }
    out.wild_share = static_cast<double>(wild) / static_cast<double>(chunks.size());
  }
  if (probes.held_out.size > 0) {
    NUDGE_TRY(sample(probes.held_out, held_out_noise));
    out.held_out = errors_of(probes.held_out, chunks, scale);
  }
  return out;
}

Gate::Gate() = default;
Gate::~Gate() = default;

Result<std::unique_ptr<Gate>> Gate::create(const GateOptions& o) {
  const bool valid = o.max_relative_change > 0 && o.change_floor > 0 &&
                     o.demonstration_ratio >= 1 && o.demonstration_slack >= 0 &&
                     o.loose_allowance >= 1 && o.action_soft_limit > 0 &&
                     o.action_soft_share >= 0 && o.action_hard_limit >= o.action_soft_limit &&
                     o.held_out_worse >= 0 && o.held_out_slack >= 0 && o.held_out_episodes >= 2 &&
                     std::isfinite(o.guidance);
  if (!valid) {
    return invalid_argument(
        "gate: an option is out of its range: limits and ratios must be positive, "
        "demonstration_ratio at least 1, action_hard_limit at least action_soft_limit, and "
        "held_out_episodes at least 2");
  }
  auto gate = std::unique_ptr<Gate>(new Gate());
  gate->impl_ = std::make_unique<Impl>();
  gate->impl_->options = o;
  return gate;
}

Status Gate::set_probes(ProbeSet probes) {
  NUDGE_TRY(check_probe("held-out", probes.held_out, kMaxProbeChunks, true));
  NUDGE_TRY(check_probe("demonstration", probes.demonstrations, kMaxProbeChunks, true));
  NUDGE_TRY(check_probe("recent", probes.recent, kMaxProbeObservations, false));
  Impl& g = *impl_;
  const auto noise = [&](const Batch& batch, std::uint64_t stream) {
    Random random(Random::derive(probes.noise_seed, stream));
    std::vector<float> values(batch.size * batch.horizon * batch.action_size);
    for (auto& v : values) v = static_cast<float>(random.normal());
    return values;
  };
  g.demonstration_noise = noise(probes.demonstrations, 1);
  g.held_out_noise = noise(probes.held_out, 2);
  g.recent_noise = noise(probes.recent, 3);
  g.probes = std::move(probes);
  g.judged_by = nullptr;
  return {};
}

Result<GateReport> Gate::check(const std::shared_ptr<const Weights>& candidate,
                               const GateContext& context) {
  Impl& g = *impl_;
  const GateOptions& o = g.options;
  if (candidate == nullptr) return invalid_argument("gate: no candidate");
  if (context.reference != nullptr && context.reference->head() != context.head) {
    return invalid_argument("gate: the reference weights are not of the running architecture");
  }
  for (const Batch* b : {&g.probes.held_out, &g.probes.demonstrations, &g.probes.recent}) {
    if (b->size > 0 &&
        (b->feature_size != context.head.feature_size ||
         b->proprioception_size != context.head.proprioception_size ||
         b->action_size != context.head.action_size || b->horizon != context.head.horizon)) {
      return invalid_argument("gate: the probes are not of the running architecture's sizes");
    }
  }

  GateReport report;
  const auto refuse = [&](std::string reason, std::string detail) {
    report.reason = std::move(reason);
    report.detail = std::move(detail);
    return report;
  };

  if (const std::string name = non_finite_tensor(*candidate); !name.empty()) {
    return refuse("non_finite", "tensor " + name + " holds a value that is not finite");
  }
  if (candidate->head() != context.head) {
    return refuse("wrong_shape", "the candidate's architecture is not the running one");
  }
  if (candidate->lineage().backbone_hash != context.backbone_hash) {
    return refuse("wrong_backbone", "trained on features of backbone \"" +
                                        candidate->lineage().backbone_hash + "\", running is \"" +
                                        context.backbone_hash + "\"");
  }

  const Weights* parent = nullptr;
  for (const auto& p : context.parents) {
    if (p != nullptr && to_hex(p->hash()) == candidate->lineage().parent_hash) parent = p.get();
  }
  const bool from_scratch = candidate->lineage().parent_hash.empty();
  if (parent == nullptr && !(from_scratch && context.parents.empty())) {
    return refuse("wrong_parent",
                  from_scratch ? "trained from scratch, while a version is live"
                               : "its parent " + candidate->lineage().parent_hash +
                                     " is neither live nor what the live version descends from");
  }

  if (parent != nullptr) {
    for (const auto& [name, view] : candidate->file().tensors()) {
      const std::vector<float> now = values_of(*candidate, name);
      const std::vector<float> then = values_of(*parent, name);
      if (then.size() != now.size()) {
        return refuse("wrong_shape", "tensor " + name + " has another size than the parent's");
      }
      if (!is_trained(name)) {
        // Rounds never change these; a change would give every number of the head another meaning.
        if (now != then) return refuse("too_far", "tensor " + name + " may not change in a round");
        continue;
      }
      double moved = 0, length = 0;
      for (std::size_t i = 0; i < now.size(); ++i) {
        const double d = static_cast<double>(now[i]) - then[i];
        moved += d * d;
        length += static_cast<double>(then[i]) * then[i];
      }
      const double floor =
          smallest_length(candidate->head(), name, o) * std::sqrt(static_cast<double>(now.size()));
      const double change = std::sqrt(moved) / std::max(std::sqrt(length), floor);
      if (change > report.largest_change) {
        report.largest_change = change;
        report.largest_change_name = name;
      }
    }
    const double allowed = o.max_relative_change * (is_untrained(*parent) ? kFirstRound : 1);
    if (report.largest_change > allowed) {
      return refuse("too_far", report.largest_change_name + ": " +
                                   text("moved by %.3f of its length, allowed is %.3f",
                                        report.largest_change, allowed));
    }
  }

  // Errors of both heads in the reference's units, so that a candidate cannot shrink its own.
  const std::vector<float> scale = values_of(
      context.reference != nullptr ? *context.reference : *candidate, "norm.action.scale");
  if (context.reference != nullptr && g.judged_by != context.reference) {
    auto head = ActionHead::load(context.reference);
    if (!head.ok()) return head.status().with_context("gate: reference");
    auto outcome = g.run(**head, scale);
    if (!outcome.ok()) return outcome.status().with_context("gate: reference");
    g.reference = *std::move(outcome);
    g.judged_by = context.reference;
  }
  auto head = ActionHead::load(candidate);
  if (!head.ok()) return refuse("wrong_shape", head.status().message());
  auto outcome = g.run(**head, scale);
  if (!outcome.ok()) return outcome.status().with_context("gate: candidate");
  if (!outcome->finite) {
    return refuse("non_finite", "an action sampled on the probes is not finite");
  }
  const bool comparable = context.reference != nullptr && g.reference.finite;

  if (g.probes.demonstrations.size > 0) {
    report.demonstration_error = outcome->demonstrations.mean();
    if (comparable) {
      report.demonstration_error_reference = g.reference.demonstrations.mean();
      const double before = report.demonstration_error_reference;
      const double allowance = (o.demonstration_ratio - 1) * before + o.demonstration_slack;
      const Lineage& lineage = candidate->lineage();
      const bool loose = lineage.kind == WeightsKind::kProvisional || lineage.parent_hash.empty();
      const double limit = before + (loose ? o.loose_allowance : 1) * allowance;
      if (report.demonstration_error > limit) {
        return refuse("forgets", text("error on demonstrations is %.4f, allowed is %.4f",
                                      report.demonstration_error, limit));
      }
    }
  }

  if (g.probes.recent.size > 0) {
    report.wild_share = outcome->wild_share;
    report.largest_action = outcome->largest_action;
    if (comparable) report.wild_share_reference = g.reference.wild_share;
    const double limit = std::max(0.0, report.wild_share_reference) + o.action_soft_share;
    if (report.largest_action > o.action_hard_limit) {
      return refuse("wild_actions",
                    text("an action of %.2f on a recent observation, allowed is %.2f",
                         report.largest_action, o.action_hard_limit));
    }
    if (report.wild_share > limit) {
      return refuse("wild_actions",
                    text("%.3f of the actions on recent observations are beyond the soft limit, "
                         "allowed is %.3f",
                         report.wild_share, limit));
    }
  }

  report.held_out_episodes = outcome->held_out.clusters.size();
  if (report.held_out_episodes > 0) report.held_out_error = outcome->held_out.mean();
  if (comparable && report.held_out_episodes > 0) {
    report.held_out_error_reference = g.reference.held_out.mean();
    if (report.held_out_episodes >= o.held_out_episodes) {
      std::vector<double> now, then;
      double count = 0, base = 0;
      for (const auto& [cluster, total] : outcome->held_out.clusters) {
        now.push_back(total.first);
        then.push_back(g.reference.held_out.clusters.at(cluster).first);
        count += total.second;
        base += then.back();
      }
      if (base > 0) {
        report.enough_evidence = true;
        const RatioBound bound = clustered_change(now, then);
        report.held_out_change = bound.change;
        report.held_out_change_bound = bound.upper;
        const double limit = o.held_out_worse + o.held_out_slack * count / base;
        if (bound.upper > limit) {
          return refuse("worse_on_held_out",
                        text("error on held-out corrections may have grown by %.1f %% (upper 90 %% "
                             "bound), allowed is %.1f %%",
                             100 * bound.upper, 100 * limit));
        }
      }
    }
  }

  report.accepted = true;
  report.reason = "accepted";
  if (!report.enough_evidence) report.detail = "held-out corrections: not enough evidence";
  return report;
}

}  // namespace nudge
