#include "replay/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace nudge {
namespace {

std::size_t index(SampleClass c) { return static_cast<std::size_t>(c); }

bool is_human(SampleClass c) {
  return c == SampleClass::kCorrection || c == SampleClass::kRecovery || c == SampleClass::kNudged;
}
// What keeps a policy from forgetting while it learns corrections.
bool is_anchor(SampleClass c) {
  return c == SampleClass::kDemonstration || c == SampleClass::kAutonomousSuccess;
}

// Water-filling: parts in proportion to `sizes`, none above `cap`; what a capped one may not take
// goes to the others. The parts sum to 1, or to less when the cap leaves no more.
std::vector<double> water_fill(const std::vector<double>& sizes, double cap) {
  std::vector<double> parts(sizes.size(), 0);
  std::vector<bool> full(sizes.size(), false);
  double left = 1;
  for (;;) {
    double open = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (!full[i]) open += sizes[i];
    }
    if (open <= 0) return parts;
    bool more = false;
    const double level = left / open;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (full[i] || sizes[i] * level <= cap) continue;
      full[i] = more = true;
      parts[i] = cap;
      left -= cap;
    }
    if (more) {
      left = std::max(left, 0.0);
      continue;
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (!full[i]) parts[i] = sizes[i] * level;
    }
    return parts;
  }
}

// A stratum of human feedback: its part of a batch, and its rows.
struct Fed {
  double mass = 0, rows = 0;
};

// The part that anchors have once no row of `fed` is drawn more than `most` times as often as one
// of their `anchor_rows`; `others` is the part of all else, which stays. With the strata in order
// of how often their rows are drawn, the first n of them held to the bound give
//   anchors = (1 - others - sum of the rest) / (1 + most * sum of the n's rows / anchor_rows),
// and n is the least for which the rest keep to the bound by themselves: holding one more to it
// never raises the anchors so far that one before it would not need to be.
double anchored_part(std::vector<Fed> fed, double others, double anchor_rows, double most) {
  std::sort(fed.begin(), fed.end(),
            [](const Fed& a, const Fed& b) { return a.mass * b.rows > b.mass * a.rows; });
  double rest = 0, held_rows = 0;
  for (const Fed& each : fed) rest += each.mass;
  for (const Fed& each : fed) {
    const double anchors = (1 - others - rest) / (1 + most * held_rows / anchor_rows);
    if (each.mass <= most * each.rows * anchors / anchor_rows) return anchors;
    rest -= each.mass;
    held_rows += each.rows;
  }
  return (1 - others - rest) / (1 + most * held_rows / anchor_rows);
}

}  // namespace

Status Mix::validate() const {
  double total = 0;
  for (std::size_t i = 0; i < share.size(); ++i) {
    if (!std::isfinite(share[i]) || share[i] < 0) {
      return invalid_argument("mix: the share of class " + std::to_string(i) +
                              " must be a number from 0 up");
    }
    total += share[i];
  }
  if (!(total > 0) || !std::isfinite(total)) {
    return invalid_argument("mix: at least one class needs a share above 0");
  }
  if (!(supervisor_cap > 0 && supervisor_cap <= 1)) {
    return invalid_argument("mix: supervisor_cap must be above 0 and at most 1");
  }
  if (!(oversampling >= 1)) return invalid_argument("mix: oversampling must be at least 1");
  return {};
}

Sampler::StratumId Sampler::stratum(SampleClass sample_class, std::uint32_t supervisor,
                                    bool held_out) {
  const auto key = std::tuple(sample_class, supervisor, held_out);
  if (const auto found = ids_.find(key); found != ids_.end()) return found->second;
  if (strata_.size() >= kNowhere) return kNowhere;
  const auto id = static_cast<StratumId>(strata_.size());
  strata_.push_back({sample_class, supervisor, held_out, {}});
  ids_.emplace(key, id);
  return id;
}

void Sampler::add_row() {
  if (rows_ % kBlock == 0) {
    places_.emplace_back();
    places_.back().reserve(kBlock);
  }
  places_.back().emplace_back();
  ++rows_;
}

void Sampler::move(Row row, StratumId to) {
  Place& place = places_[row / kBlock][row % kBlock];
  if (place.stratum == to) return;
  dirty_ = true;
  if (place.stratum != kNowhere) {
    std::vector<Row>& rows = strata_[place.stratum].rows;
    const std::uint32_t position = place.position;
    const Row last = rows.back();
    rows[position] = last;
    rows.pop_back();
    places_[last / kBlock][last % kBlock].position = position;
  }
  place.stratum = to;
  if (to != kNowhere) {
    std::vector<Row>& rows = strata_[to].rows;
    place.position = static_cast<std::uint32_t>(rows.size());
    rows.push_back(row);
  }
}

void Sampler::renumber(std::span<const Row> to) {
  std::vector<std::vector<Place>> before;
  before.swap(places_);
  const std::size_t count = std::exchange(rows_, 0);
  for (Row row = 0; row < count; ++row) {
    if (to[row] == kGone) continue;
    add_row();
    places_.back().back() = before[row / kBlock][row % kBlock];
  }
  for (Stratum& stratum : strata_) {
    for (Row& row : stratum.rows) row = to[row];
  }
}

Status Sampler::prepare(const Mix& mix) {
  if (!dirty_ && mix == mix_ && !table_.empty()) return {};
  NUDGE_TRY(mix.validate());
  table_.clear();
  dirty_ = true;

  std::array<double, kSampleClasses> shares = mix.share;
  const auto usable = [](const Stratum& s) { return !s.held_out && !s.rows.empty(); };
  if (std::none_of(strata_.begin(), strata_.end(), [&](const Stratum& s) {
        return usable(s) && s.sample_class == SampleClass::kDemonstration;
      })) {
    shares[index(SampleClass::kAutonomousSuccess)] +=
        std::exchange(shares[index(SampleClass::kDemonstration)], 0);
  }
  std::array<std::vector<std::size_t>, kSampleClasses> members;  // strata that may be drawn
  for (std::size_t i = 0; i < strata_.size(); ++i) {
    const Stratum& s = strata_[i];
    if (usable(s) && shares[index(s.sample_class)] > 0) {
      members[index(s.sample_class)].push_back(i);
    }
  }
  double total = 0;
  bool anchored = false, human = false;
  for (std::size_t c = 0; c < kSampleClasses; ++c) {
    if (members[c].empty()) continue;
    if (mix.by_rows) {
      std::size_t rows = 0;
      for (const std::size_t i : members[c]) rows += strata_[i].rows.size();
      shares[c] *= static_cast<double>(rows);
    }
    total += shares[c];
    anchored |= is_anchor(static_cast<SampleClass>(c));
    human |= is_human(static_cast<SampleClass>(c));
  }
  if (total <= 0) {
    return failed_precondition(
        "sampler: no step may be trained on yet; record a demonstration, correct the robot, or "
        "label an episode a success");
  }
  if (!anchored && !(human && mix.corrections_may_stand_alone)) {
    return failed_precondition(
        "sampler: there are corrections, but no demonstration and no autonomous success to train "
        "beside them; record a demonstration or label an episode a success");
  }

  // Within a class: in proportion to the rows, under the cap. Then what the caps left over goes to
  // demonstrations and autonomous successes.
  std::array<std::vector<double>, kSampleClasses> parts;
  std::array<double, kSampleClasses> mass{};
  double used = 0, takers = 0;
  for (std::size_t c = 0; c < kSampleClasses; ++c) {
    if (members[c].empty()) continue;
    const auto sample_class = static_cast<SampleClass>(c);
    std::vector<double> sizes;
    for (const std::size_t i : members[c]) {
      sizes.push_back(static_cast<double>(strata_[i].rows.size()));
    }
    const bool capped = is_human(sample_class) && sizes.size() >= 2;
    parts[c] = water_fill(sizes, capped ? mix.supervisor_cap : 1.0);
    double filled = 0;
    for (const double part : parts[c]) filled += part;
    for (double& part : parts[c]) part /= filled;
    mass[c] = shares[c] / total * std::min(filled, 1.0);
    used += mass[c];
    if (is_anchor(sample_class)) takers += mass[c];
  }
  const double left = std::max(0.0, 1.0 - used);
  for (std::size_t c = 0; c < kSampleClasses; ++c) {
    if (takers <= 0) {
      mass[c] /= used;
    } else if (is_anchor(static_cast<SampleClass>(c))) {
      mass[c] += left * mass[c] / takers;
    }
  }
  probabilities_.assign(strata_.size(), 0);
  for (std::size_t c = 0; c < kSampleClasses; ++c) {
    for (std::size_t k = 0; k < members[c].size(); ++k) {
      probabilities_[members[c][k]] = mass[c] * parts[c][k];
    }
  }
  if (std::isfinite(mix.oversampling)) hold_to_anchors(mix.oversampling);
  fill_table();
  mix_ = mix;
  dirty_ = false;
  return {};
}

void Sampler::hold_to_anchors(double most) {
  double anchors = 0, anchor_rows = 0, others = 0;
  std::vector<Fed> fed;
  for (std::size_t i = 0; i < strata_.size(); ++i) {
    const double mass = probabilities_[i];
    if (mass <= 0) continue;
    const auto rows = static_cast<double>(strata_[i].rows.size());
    if (is_anchor(strata_[i].sample_class)) {
      anchors += mass;
      anchor_rows += rows;
    } else if (is_human(strata_[i].sample_class)) {
      fed.push_back({mass, rows});
    } else {
      others += mass;
    }
  }
  if (anchors <= 0) return;
  anchor_rows = std::min(anchor_rows, Mix::kCountedAnchors);
  const double held = anchored_part(std::move(fed), others, anchor_rows, most);
  const double most_a_row = most * held / anchor_rows;
  for (std::size_t i = 0; i < strata_.size(); ++i) {
    double& mass = probabilities_[i];
    if (is_anchor(strata_[i].sample_class)) {
      mass *= held / anchors;
    } else if (is_human(strata_[i].sample_class)) {
      mass = std::min(mass, most_a_row * static_cast<double>(strata_[i].rows.size()));
    }
  }
}

void Sampler::fill_table() {
  std::vector<double> scaled;
  std::vector<std::size_t> small, large;  // slots
  for (std::size_t i = 0; i < probabilities_.size(); ++i) {
    if (probabilities_[i] <= 0) continue;
    table_.push_back({1, i, i});
    scaled.push_back(probabilities_[i]);
  }
  for (std::size_t s = 0; s < table_.size(); ++s) {
    scaled[s] *= static_cast<double>(table_.size());
    (scaled[s] < 1 ? small : large).push_back(s);
  }
  while (!small.empty() && !large.empty()) {
    const std::size_t less = small.back(), more = large.back();
    small.pop_back();
    table_[less].keep = scaled[less];
    table_[less].other = table_[more].own;
    scaled[more] -= 1 - scaled[less];
    if (scaled[more] < 1) {
      large.pop_back();
      small.push_back(more);
    }
  }
  // What is left over is 1 up to rounding, and keeps its own stratum.
}

void Sampler::draw(std::span<Row> rows, Random& random) const {
  // Two passes over small groups: the entries are in different cache lines of large vectors, and
  // asking for all of a group before reading any hides the waiting.
  constexpr std::size_t kGroup = 64;
  const Row* entries[kGroup];
  while (!rows.empty()) {
    const std::size_t n = std::min(kGroup, rows.size());
    for (std::size_t i = 0; i < n; ++i) {
      const Slot& slot = table_[random.below(table_.size())];
      const std::size_t s = random.uniform() < slot.keep ? slot.own : slot.other;
      const std::vector<Row>& from = strata_[s].rows;
      entries[i] = &from[random.below(from.size())];
      __builtin_prefetch(entries[i]);
    }
    for (std::size_t i = 0; i < n; ++i) rows[i] = *entries[i];
    rows = rows.subspan(n);
  }
}

}  // namespace nudge
