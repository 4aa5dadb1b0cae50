#include <cmath>
#include <cstring>

#include "replay/dataset_state.h"

namespace nudge {
namespace {

void prefetch(std::uintptr_t begin, std::size_t bytes) {
  constexpr std::uintptr_t kLine = 64;
  for (std::uintptr_t at = begin & ~(kLine - 1); at < begin + bytes; at += kLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(at));
  }
}

}  // namespace

bool Dataset::State::goes_on(Row row) const {
  if (row + 1 >= rows.size()) return false;
  const StepRow& a = rows[row];
  const StepRow& b = rows[row + 1];
  const bool same_class = a.step_class == b.step_class ||
                          (a.step_class == static_cast<std::uint8_t>(SampleClass::kRecovery) &&
                           b.step_class == static_cast<std::uint8_t>(SampleClass::kCorrection));
  return a.episode == b.episode && a.policy_step + 1 == b.policy_step && a.span == b.span &&
         a.source == b.source && same_class && has_class(b.step_class);
}

void Dataset::State::shape_batch(std::size_t size, std::size_t horizon, Batch& batch) const {
  const std::size_t f = options.feature_size, p = options.proprioception_size,
                    a = options.action_size;
  batch.size = size;
  batch.feature_size = f;
  batch.proprioception_size = p;
  batch.action_size = a;
  batch.horizon = horizon;
  batch.features.resize(size * f);
  batch.proprioception.resize(size * p);
  batch.actions.resize(size * horizon * a);
  batch.mask.resize(size * horizon);
  batch.weight.resize(size);
  batch.advantage.resize(size);
  batch.cluster.resize(size);
  // Of all rows or of none: a row without one gets zeros, which nobody reads.
  const std::size_t chunk = options.horizon * a;
  batch.reference.resize(options.references ? size * chunk : 0);
  batch.has_reference.resize(options.references ? size : 0);
}

std::size_t Dataset::State::length_from(Row start, std::size_t horizon) const {
  if (horizon == 0) return 0;
  std::size_t length = 1;
  for (Row at = start; length < horizon && goes_on(at); ++at) ++length;
  return length;
}

template <typename At>
void Dataset::State::fill(Batch& batch, std::size_t out, Row start, std::size_t length,
                          const At& at) const {
  const std::size_t horizon = batch.horizon, f = options.feature_size,
                    p = options.proprioception_size, a = options.action_size,
                    chunk = options.horizon * a;
  const StepRow& row = rows[start];
  const std::uintptr_t first = at(0);
  to_float(features(row, first), std::span<float>(batch.features).subspan(out * f, f));
  if (p > 0) {
    std::memcpy(batch.proprioception.data() + out * p, proprioception(row, first),
                p * sizeof(float));
  }
  float* actions = batch.actions.data() + out * horizon * a;
  float* mask = batch.mask.data() + out * horizon;
  const float* action = executed(row, first);
  for (std::size_t h = 0; h < horizon; ++h) {
    if (h > 0 && h < length) action = executed(rows[start + h], at(h));
    std::memcpy(actions + h * a, action, a * sizeof(float));
    mask[h] = h < length ? 1.0f : 0.0f;
  }
  if (options.references) {
    float* into = batch.reference.data() + out * chunk;
    batch.has_reference[out] = row.has_reference ? 1 : 0;
    if (row.has_reference) {
      std::memcpy(into, reference(row, first), chunk * sizeof(float));
    } else {
      std::fill_n(into, chunk, 0.0f);
    }
  }
  batch.weight[out] = 1;
  batch.advantage[out] = advantage_of(row);
  batch.cluster[out] = episodes[row.episode].id;
}

std::size_t Dataset::State::bytes_to_read(const StepRow& row) const {
  const Columns& c = columns[row.episode];
  std::size_t bytes = std::max({c.features + options.feature_size * sizeof(Half),
                                c.proprioception + options.proprioception_size * sizeof(float),
                                c.action + options.action_size * sizeof(float)});
  if (row.has_reference) {
    bytes = std::max(bytes, c.reference + options.horizon * options.action_size * sizeof(float));
  }
  return bytes;
}

void Dataset::State::read(std::span<const Row> starts, std::size_t horizon, Batch& batch) {
  shape_batch(starts.size(), horizon, batch);
  std::unique_ptr<File> file;
  std::uint32_t open = kNoSpan;
  Status opened;
  std::vector<std::vector<std::uint64_t>> records(std::max<std::size_t>(horizon, 1));
  const auto read_row = [&](const StepRow& row, std::vector<std::uint64_t>& into) -> Status {
    if (open != row.episode) {
      open = row.episode;
      auto made = files.open(path_of(row.episode), OpenMode::kRead);
      opened = made.status();
      if (made.ok()) file = *std::move(made);
    }
    NUDGE_TRY(opened);
    const std::size_t bytes = bytes_to_read(row);
    into.resize((bytes + 7) / 8);
    const auto got = file->pread(std::as_writable_bytes(std::span(into)).first(bytes), row.offset);
    if (!got.ok()) return got.status();
    if (*got == bytes) return {};
    return data_loss(path_of(row.episode) + " was cut off: the step at " +
                     std::to_string(row.offset) + " is gone");
  };
  std::size_t out = 0;
  for (const Row start : starts) {
    const std::size_t length = length_from(start, horizon);
    Status status;
    for (std::size_t h = 0; status.ok() && h < std::max<std::size_t>(length, 1); ++h) {
      status = read_row(rows[start + h], records[h]);
    }
    if (!status.ok()) {
      unread = std::move(status);
      continue;
    }
    fill(batch, out++, start, length,
         [&](std::size_t h) { return reinterpret_cast<std::uintptr_t>(records[h].data()); });
  }
  shape_batch(out, horizon, batch);
}

Batch Dataset::State::probe(std::span<const Row> starts, std::size_t horizon) {
  Batch batch;
  if (options.mapped) {
    gather(starts, horizon, batch);
  } else {
    read(starts, horizon, batch);
  }
  return batch;
}

void Dataset::State::gather(std::span<const Row> starts, std::size_t horizon, Batch& batch) const {
  const std::size_t size = starts.size(), f = options.feature_size, p = options.proprioception_size,
                    a = options.action_size, chunk = options.horizon * a;
  shape_batch(size, horizon, batch);
  constexpr std::size_t kGroup = 32;
  std::size_t lengths[kGroup];
  for (std::size_t begin = 0; begin < size; begin += kGroup) {
    const std::size_t n = std::min(kGroup, size - begin);
    const std::span<const Row> group = starts.subspan(begin, n);
    for (const Row row : group) {
      const Row last = static_cast<Row>(std::min<std::size_t>(rows.size() - 1, row + horizon));
      __builtin_prefetch(&rows[row]);
      for (Row at = row + 2; at <= last; at += 2) __builtin_prefetch(&rows[at]);
    }
    for (std::size_t i = 0; i < n; ++i) {
      const StepRow& row = rows[group[i]];
      const Columns& c = columns[row.episode];
      prefetch(c.features + row.offset, f * sizeof(Half));
      prefetch(c.proprioception + row.offset, p * sizeof(float));
      if (row.has_reference) prefetch(c.reference + row.offset, chunk * sizeof(float));
      std::size_t length = 0;
      if (horizon > 0) {
        prefetch(c.action + row.offset, a * sizeof(float));
        length = 1;
        for (Row at = group[i]; length < horizon && goes_on(at); ++at, ++length) {
          prefetch(c.action + rows[at + 1].offset, a * sizeof(float));
        }
      }
      lengths[i] = length;
    }
    for (std::size_t i = 0; i < n; ++i) {
      fill(batch, begin + i, group[i], lengths[i],
           [&](std::size_t h) { return std::uintptr_t{rows[group[i] + h].offset}; });
    }
  }
}

bool Dataset::State::words_fit(const StepRow& row, std::span<const float> recorded) {
  if (words_fit_) return *words_fit_;
  const auto mine = instruction_at(episodes[row.episode], row.policy_step);
  if (!mine) return false;
  const std::vector<float>* features = features_of(*mine);
  bool fits = features != nullptr;
  for (std::size_t k = 0; fits && k < recorded.size(); ++k) {
    fits = std::abs(recorded[k] - (*features)[k]) < 0.01f;  // fp16 is much finer
  }
  words_fit_ = fits;
  return fits;
}

void Dataset::State::change_instructions(std::span<const Row> starts, Batch& batch,
                                         Random& random) {
  const std::size_t e = options.instruction_size, f = options.feature_size;
  if (e == 0 || !options.instruction_features) return;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const StepRow& row = rows[starts[i]];
    const std::span<float> tail = std::span<float>(batch.features).subspan((i + 1) * f - e, e);
    if (!words_fit(row, tail)) continue;
    const double relabel = random.uniform(), swap = random.uniform();
    const std::vector<std::uint32_t>* said =
        row.span == kNoSpan || spans[row.span].words.empty() ? nullptr : &spans[row.span].words;
    std::optional<std::uint32_t> sentence;
    if (swap < options.swap) {
      const std::optional<std::uint32_t> mine =
          instruction_at(episodes[row.episode], row.policy_step);
      if (mine && instructions.size() > 1 && batch.advantage[i] == Advantage::kPositive) {
        // One of the others, each as likely.
        const auto place = static_cast<std::size_t>(
            std::find(instructions.begin(), instructions.end(), *mine) - instructions.begin());
        const std::size_t other = random.below(instructions.size() - 1);
        sentence = instructions[other < place ? other : other + 1];
      }
    } else if (said != nullptr && relabel < options.relabel) {
      const Utterance& utterance = utterances[(*said)[random.below(said->size())]];
      if (!utterance.undone && !is_excluded(utterance.person)) sentence = utterance.sentence;
    }
    const std::vector<float>* features = sentence ? features_of(*sentence) : nullptr;
    if (features == nullptr) continue;
    std::copy_n(features->begin(), e, tail.begin());
    if (swap < options.swap) batch.advantage[i] = Advantage::kNegative;
  }
}

std::optional<std::uint32_t> Dataset::State::instruction_at(const EpisodeState& episode,
                                                            std::uint32_t policy_step) {
  std::optional<std::uint32_t> sentence;
  for (const auto& [from, number] : episode.instructions) {
    if (from <= policy_step) sentence = number;
  }
  return sentence;
}

std::vector<Sampler::Row> Dataset::State::corrections_of(EpisodeId id) const {
  std::vector<Row> found;
  const auto index = episode_index.find(id);
  if (index == episode_index.end()) return found;
  const EpisodeState& episode = episodes[index->second];
  for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
    const Sampler::StratumId at = sampler.where(row);
    if (at == Sampler::kNowhere) continue;
    const Sampler::Stratum& stratum = sampler.strata()[at];
    if (stratum.sample_class == SampleClass::kCorrection && !stratum.held_out) found.push_back(row);
  }
  return found;
}

std::vector<Sampler::Row> Dataset::State::rows_of(SampleClass sample_class, bool held_out) const {
  std::vector<Row> found;
  for (const Sampler::Stratum& s : sampler.strata()) {
    if (s.sample_class != sample_class || s.held_out != held_out) continue;
    found.insert(found.end(), s.rows.begin(), s.rows.end());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace nudge
