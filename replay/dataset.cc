#include "replay/dataset.h"

#include <algorithm>
#include <cmath>

#include "replay/dataset_state.h"
#include "replay/person.h"

namespace nudge {
namespace {

using Row = Sampler::Row;

// Mean and variance in one pass, per column (Welford, "Note on a method for calculating corrected
// sums of squares and products", 1962).
class Moments {
 public:
  explicit Moments(std::size_t size) : mean_(size, 0), squares_(size, 0), now_(size, 0) {}
  std::span<float> next() { return now_; }
  void add() {
    ++count_;
    const double share = 1.0 / static_cast<double>(count_);
    for (std::size_t i = 0; i < now_.size(); ++i) {
      const double before = now_[i] - mean_[i];
      mean_[i] += before * share;
      squares_[i] += before * (now_[i] - mean_[i]);
    }
  }
  void result(std::vector<float>& mean, std::vector<float>& scale) const {
    mean.assign(mean_.begin(), mean_.end());
    scale.assign(mean_.size(), 0);
    for (std::size_t i = 0; i < mean_.size() && count_ > 0; ++i) {
      scale[i] = static_cast<float>(std::sqrt(squares_[i] / static_cast<double>(count_)));
    }
  }

 private:
  std::uint64_t count_ = 0;
  std::vector<double> mean_, squares_;
  std::vector<float> now_;
};

}  // namespace

Status DatasetOptions::validate() const {
  const auto range = [](const char* name, std::size_t value, std::size_t low,
                        std::size_t high) -> Status {
    if (value >= low && value <= high) return {};
    return invalid_argument("dataset: " + std::string(name) + " is " + std::to_string(value) +
                            "; it must be from " + std::to_string(low) + " to " +
                            std::to_string(high));
  };
  NUDGE_TRY(range("feature_size", feature_size, 0, kMaxFeatures));
  NUDGE_TRY(range("proprioception_size", proprioception_size, 0, kMaxProprioception));
  NUDGE_TRY(range("action_size", action_size, 1, kMaxActionSize));
  NUDGE_TRY(range("horizon", horizon, 1, 64));
  if (policy_period <= Duration::zero()) {
    return invalid_argument("dataset: policy_period must be above 0");
  }
  if (before_takeover < Duration::zero()) {
    return invalid_argument("dataset: before_takeover must not be negative");
  }
  if (instruction_size > feature_size) {
    return invalid_argument("dataset: instruction_size is more than feature_size");
  }
  if (!(relabel >= 0 && relabel <= 1 && swap >= 0 && swap <= 1)) {
    return invalid_argument("dataset: relabel and swap are probabilities, 0 to 1");
  }
  if (!(quarantine_clamped > 0)) {
    return invalid_argument("dataset: quarantine_clamped must be above 0");
  }
  return {};
}

Dataset::State::State(FileSystem& file_system, DatasetOptions wanted)
    : files(file_system), options(std::move(wanted)) {
  const auto period = std::max<Duration::rep>(1, options.policy_period.count());
  const auto steps = (options.before_takeover.count() + period - 1) / period;
  lead = static_cast<std::uint32_t>(std::clamp<Duration::rep>(steps, 0, 1'000'000));
  words_lead = static_cast<std::uint32_t>(
      std::clamp<Duration::rep>(options.relabel_before.count() / period, 0, 1'000'000));
  for (const std::string& name : options.excluded_supervisors) {
    withdrawn.emplace(person_of(name));
  }
}

Dataset::Dataset(FileSystem& files, DatasetOptions options)
    : state_(std::make_unique<State>(files, std::move(options))) {}
Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

const std::vector<EpisodeId>& Dataset::refused_takeovers() const { return state_->refused; }
Sequence Dataset::prefix() const { return state_->prefix; }
Status Dataset::take_unread() { return std::exchange(state_->unread, {}); }
std::size_t Dataset::steps_in_memory() const { return state_->rows.size(); }
std::size_t Dataset::bytes_per_step() { return sizeof(State::StepRow) + Sampler::bytes_per_row(); }

Status Dataset::apply(const FeedItem& item) {
  if (const auto* event = std::get_if<Event>(&item)) return apply(*event);
  return apply_steps(std::get<StepsRef>(item));
}

Status Dataset::apply(const Event& event) {
  if (event.sequence <= state_->prefix) return {};
  std::visit([&](const auto& payload) { state_->fold(event, payload); }, event.payload);
  state_->prefix = event.sequence;
  return {};
}

void Dataset::pass_over(const StepsRef& steps) {
  if (steps.last <= state_->prefix) return;
  state_->missing += steps.last - std::max(steps.first - 1, state_->prefix);
  state_->prefix = steps.last;
}

Status Dataset::sample(Batch& batch, std::size_t size, const Mix& mix, Random& random,
                       const Fresh& fresh) {
  if (!state_->options.mapped) {
    return failed_precondition("dataset: its segments are not mapped; only probes are drawn of it");
  }
  NUDGE_TRY(state_->sampler.prepare(mix));
  std::vector<Row>& drawn = state_->drawn;
  drawn.resize(size);
  std::size_t part = 0;
  if (fresh.share > 0) {
    const std::vector<Row> corrections = state_->corrections_of(fresh.episode);
    if (!corrections.empty()) {
      part = static_cast<std::size_t>(
          std::lround(std::min(fresh.share, 1.0) * static_cast<double>(size)));
    }
    for (std::size_t i = 0; i < part; ++i) drawn[i] = corrections[random.below(corrections.size())];
  }
  state_->sampler.draw(std::span(drawn).subspan(part), random);
  state_->gather(state_->drawn, state_->options.horizon, batch);
  state_->change_instructions(state_->drawn, batch, random);
  return {};
}

Normaliser Dataset::normaliser() const {
  const DatasetOptions& options = state_->options;
  Moments features(options.feature_size), proprioception(options.proprioception_size),
      action(options.action_size);
  Normaliser result;
  for (const Row number : state_->rows_of(SampleClass::kDemonstration, false)) {
    const State::State::StepRow& row = state_->rows[number];
    to_float(state_->features(row, row.offset), features.next());
    features.add();
    std::copy_n(state_->proprioception(row, row.offset), options.proprioception_size,
                proprioception.next().begin());
    proprioception.add();
    std::copy_n(state_->executed(row, row.offset), options.action_size, action.next().begin());
    action.add();
    ++result.steps;
  }
  features.result(result.feature_mean, result.feature_scale);
  proprioception.result(result.proprioception_mean, result.proprioception_scale);
  action.result(result.action_mean, result.action_scale);
  return result;
}

std::vector<JudgedEpisode> Dataset::judged_episodes() const {
  const State& s = *state_;
  std::vector<JudgedEpisode> judged;
  for (std::size_t i = 0; i < s.episodes.size(); ++i) {
    const State::EpisodeState& episode = s.episodes[i];
    const std::optional<bool> success = s.went_well(episode);
    if (!success) continue;
    JudgedEpisode one;
    one.episode = episode.id;
    one.purpose = *episode.purpose;
    one.task = s.tasks[episode.task];
    one.success = *success;
    one.held_out = episode.kept_back;
    for (Row number = episode.first_row; number < episode.first_row + episode.rows; ++number) {
      const State::State::StepRow& row = s.rows[number];
      if ((row.flags & ~State::kRowSlowed) != 0 || row.source == ControlSource::kHold) continue;
      const bool before = row.source == ControlSource::kPolicy && s.leads_to_takeover(row, episode);
      one.steps.push_back({number, row.policy_step, row.source, before});
    }
    if (!one.steps.empty()) judged.push_back(std::move(one));
  }
  return judged;
}

Batch Dataset::observe(std::span<const std::uint32_t> rows) const {
  Batch batch;
  state_->gather(rows, 0, batch);
  return batch;
}

Status Dataset::set_advantages(std::span<const StepAdvantage> tokens) {
  State& s = *state_;
  for (const StepAdvantage& token : tokens) {
    if (token.row < s.rows.size() && token.advantage <= Advantage::kNegative) continue;
    return invalid_argument("dataset: there is no step of row " + std::to_string(token.row) +
                            ", or no token of number " +
                            std::to_string(static_cast<int>(token.advantage)));
  }
  for (const StepAdvantage& token : tokens) {
    State::StepRow& row = s.rows[token.row];
    row.token = static_cast<std::uint8_t>(token.advantage) & 3;
    s.place(token.row);
  }
  return {};
}

Batch Dataset::demonstration_probe(std::size_t max, std::uint64_t seed) const {
  std::vector<Row> rows = state_->rows_of(SampleClass::kDemonstration, false);
  if (rows.size() > max) {
    Random random(seed);
    for (std::size_t i = 0; i < max; ++i) {  // the first `max` places of a shuffle
      std::swap(rows[i], rows[i + random.below(rows.size() - i)]);
    }
    rows.resize(max);
    std::sort(rows.begin(), rows.end());
  }
  return state_->probe(rows, state_->options.horizon);
}

Batch Dataset::held_out_probe(std::size_t max) const {
  std::vector<Row> rows = state_->rows_of(SampleClass::kCorrection, true);
  std::erase_if(rows, [&](Row row) {  // kept back only for now
    return state_->episodes[state_->rows[row].episode].corrected_number == 0;
  });
  if (rows.size() > max) {
    for (std::size_t i = 0; i < max; ++i) rows[i] = rows[i * rows.size() / max];
    rows.resize(max);
  }
  return state_->probe(rows, state_->options.horizon);
}

Batch Dataset::recent_observations(std::size_t max) const {
  std::vector<Row> found;
  for (std::size_t left = state_->rows.size(); left > 0 && found.size() < max;) {
    const Row row = static_cast<Row>(left - 1);
    const State::EpisodeState& episode = state_->episodes[state_->rows[row].episode];
    if (episode.purpose != EpisodePurpose::kDeployment || episode.evicted ||
        state_->of_other_shape(episode)) {
      left = episode.first_row;
      continue;
    }
    if (!(state_->rows[row].flags & (State::kRowNoData | State::kRowDiscarded)))
      found.push_back(row);
    --left;
  }
  std::reverse(found.begin(), found.end());
  return state_->probe(found, 0);
}

DatasetCounts Dataset::counts() const {
  const State& s = *state_;
  DatasetCounts counts;
  counts.prefix = s.prefix;
  counts.steps = s.rows.size() + s.dropped_rows;
  counts.discarded = s.discarded;
  counts.taken_out = s.taken_out;
  counts.quarantined = s.quarantined;
  counts.unusable = s.unusable;
  counts.missing = s.missing;
  counts.corrected_episodes = s.corrected_episodes;
  counts.held_out_episodes = s.held_out_episodes;
  for (const std::string& name : s.supervisors) counts.supervisors.push_back({name, 0, 0, 0, 0});
  for (const Sampler::Stratum& stratum : s.sampler.strata()) {
    const auto c = static_cast<std::size_t>(stratum.sample_class);
    const std::uint64_t n = stratum.rows.size();
    (stratum.held_out ? counts.held_out : counts.trainable)[c] += n;
    if (stratum.supervisor == 0) continue;
    SupervisorCounts& by = counts.supervisors[stratum.supervisor - 1];
    if (stratum.held_out) {
      by.held_out += n;
    } else if (stratum.sample_class == SampleClass::kCorrection) {
      by.corrections += n;
    } else if (stratum.sample_class == SampleClass::kRecovery) {
      by.recoveries += n;
    } else {
      by.nudged += n;
    }
  }
  for (std::size_t i = 0; i < s.episodes.size(); ++i) {
    const State::EpisodeState& episode = s.episodes[i];
    if (!episode.purpose) continue;
    ++counts.episodes;
    if (s.of_other_shape(episode)) {
      ++counts.other_shape_episodes;
      if (!episode.evicted) counts.other_shape += episode.rows;
    }
    switch (*episode.purpose) {
      case EpisodePurpose::kDeployment:
        ++counts.deployments;
        counts.successes += episode.outcome.value() == LabelValue::kSuccess;
        counts.failures += episode.outcome.value() == LabelValue::kFailure;
        counts.discards += episode.outcome.value() == LabelValue::kDiscard;
        break;
      case EpisodePurpose::kDemonstration: ++counts.demonstrations; break;
      case EpisodePurpose::kEvaluation: ++counts.evaluations; break;
    }
  }
  return counts;
}

std::array<std::uint64_t, kSampleClasses + 1> Dataset::counts(EpisodeId id) const {
  std::array<std::uint64_t, kSampleClasses + 1> counts{};
  const auto found = state_->episode_index.find(id);
  if (found == state_->episode_index.end()) return counts;
  const State::EpisodeState& episode = state_->episodes[found->second];
  if (episode.evicted) return counts;
  for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
    const std::uint8_t c = state_->rows[row].step_class;
    ++counts[State::has_class(c) ? c : kSampleClasses];
  }
  return counts;
}

}  // namespace nudge
