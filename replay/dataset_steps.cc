#include <bit>

#include "replay/dataset_state.h"

namespace nudge {
namespace {

bool all_finite(std::span<const float> values) {
  std::uint32_t bad = 0;
  for (const float v : values) {
    bad |=
        static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(v) & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}
bool all_finite(std::span<const Half> values) {
  unsigned bad = 0;
  for (const Half v : values) bad |= static_cast<unsigned>((v & 0x7c00u) == 0x7c00u);
  return bad == 0;
}

}  // namespace

Status Dataset::State::map_segment(std::uint32_t number, const StepsRef& steps) {
  EpisodeState& episode = episodes[number];
  if (episode.map && steps.end_offset <= episode.map->size()) return {};
  const auto file = files.open(steps.path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const auto size = (*file)->size();
  if (!size.ok()) return size.status();
  if (*size == 0 || *size < steps.end_offset) {
    return data_loss("dataset: " + steps.path +
                     " ends before the steps that the log committed; run the log's check");
  }
  auto mapping = (*file)->map(*size);
  if (!mapping.ok()) return mapping.status();
  auto map = SegmentMap::view((*mapping)->bytes(), steps.path);
  if (!map.ok()) return map.status();
  NUDGE_TRY(look_at(episode, (*map)->spec(), steps));
  episode.map = *std::move(map);
  episode.mapping = *std::move(mapping);
  locate_columns(number);
  return {};
}

Status Dataset::State::look_at(EpisodeState& episode, const SegmentSpec& spec,
                               const StepsRef& steps) const {
  if (spec.episode != steps.episode) {
    return data_loss("dataset: " + steps.path + " belongs to episode " +
                     std::to_string(spec.episode) + ", not to " + std::to_string(steps.episode) +
                     "; run the log's check");
  }
  episode.usable = spec.feature_size == options.feature_size &&
                   spec.proprioception_size == options.proprioception_size &&
                   spec.action_size == options.action_size &&
                   (options.backbone_hash.empty() || spec.backbone_hash == options.backbone_hash);
  return {};
}

template <typename Visit>
Status Dataset::State::visit_mapped(std::uint32_t number, const StepsRef& steps,
                                    const Visit& visit) {
  NUDGE_TRY(map_segment(number, steps));
  return episodes[number].map->scan(steps.first_offset, steps.end_offset, SegmentMap::Check::kCrc,
                                    visit);
}

template <typename Visit>
Status Dataset::State::visit_read(std::uint32_t number, const StepsRef& steps, const Visit& visit) {
  auto reader = SegmentReader::open(files, steps.path);
  if (!reader.ok()) return reader.status();
  NUDGE_TRY(look_at(episodes[number], (*reader)->spec(), steps));
  remember_path(number, steps.path);
  Sequence expected = std::max(prefix + 1, steps.first);
  const Result<bool> whole = (*reader)->scan(steps.first_offset, steps.end_offset,
                                             [&](const StepView& read, const RecordPlace& place) {
                                               if (read.sequence > expected) return false;
                                               StepView step = read;
                                               step.offset = place.offset;
                                               step.next = place.offset + place.bytes;
                                               if (!visit(step)) return false;
                                               expected = std::max(expected, step.sequence + 1);
                                               return true;
                                             });
  if (whole.ok() || whole.status().code() == Code::kDataLoss) return whole.status();
  return data_loss("dataset: " + steps.path + " cannot be read: " + whole.status().message());
}

void Dataset::State::remember_path(std::uint32_t number, const std::string& path) {
  const std::string name = segment_file_name(episodes[number].id);
  if (folder.empty() && path.ends_with("/" + name)) {
    folder = path.substr(0, path.size() - name.size());
  }
  if (path != folder + name) elsewhere[number] = path;
}

std::string Dataset::State::path_of(std::uint32_t number) const {
  const auto other = elsewhere.find(number);
  return other != elsewhere.end() ? other->second : folder + segment_file_name(episodes[number].id);
}

void Dataset::State::locate_columns(std::uint32_t number) {
  const EpisodeState& episode = episodes[number];
  for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
    if (rows[row].flags & kRowNoData) continue;
    locate_columns(number, episode.map->step_at(rows[row].offset));
    return;
  }
}

void Dataset::State::locate_columns(std::uint32_t number, const StepView& step) {
  const std::uintptr_t start =
      options.mapped ? step.offset : reinterpret_cast<std::uintptr_t>(step.record.data());
  columns[number] = {reinterpret_cast<std::uintptr_t>(step.features.data()) - start,
                     reinterpret_cast<std::uintptr_t>(step.proprioception.data()) - start,
                     reinterpret_cast<std::uintptr_t>(action_of(step).data()) - start,
                     reinterpret_cast<std::uintptr_t>(step.reference.data()) - start,
                     step.executed.empty()};
}

std::span<const float> Dataset::State::action_of(const StepView& step) {
  return step.executed.empty() ? step.requested : step.executed;
}

bool Dataset::State::has_data(const EpisodeState& episode, const StepView& step) const {
  return episode.usable && step.features.size() == options.feature_size &&
         step.proprioception.size() == options.proprioception_size &&
         action_of(step).size() == options.action_size && all_finite(step.features) &&
         all_finite(step.proprioception) && all_finite(action_of(step));
}

Status Dataset::State::add(std::uint32_t number, const StepView& step) {
  EpisodeState& episode = episodes[number];
  const Row next = static_cast<Row>(rows.size());
  const bool in_order = episode.rows == 0 || (episode.first_row + episode.rows == next &&
                                              rows[next - 1].policy_step < step.policy_step);
  if (step.episode != episode.id || step.sequence <= prefix || !in_order) {
    return data_loss("dataset: " + scanned + " at " + std::to_string(step.offset) + ": step " +
                     std::to_string(step.policy_step) + " of episode " +
                     std::to_string(step.episode) + " is out of order; run the log's check");
  }
  if (rows.size() >= 0xffffffff) return resource_exhausted("dataset: more than 2^32 steps");
  if (episode.rows == 0) episode.first_row = next;

  StepRow row;
  row.offset = step.offset;
  row.episode = number;
  row.policy_step = step.policy_step;
  row.source = step.source;
  if (step.span != 0) {
    row.span = span_at(step.span);
    ++spans[row.span].steps;
    if (step.flags & kStepClamped) ++spans[row.span].clamped;
  }
  const Columns& located = columns[number];
  // Of one episode all steps are read from one column.
  const bool mixed = located.action != 0 && located.of_requested != step.executed.empty();
  if (!has_data(episode, step) || mixed) {
    row.flags |= kRowNoData;
  } else if (located.action == 0) {
    locate_columns(number, step);
  }
  row.has_reference = options.references && !(row.flags & kRowNoData) &&
                      step.reference.size() == options.horizon * options.action_size &&
                      all_finite(step.reference);
  if (step.flags & kStepStale) row.flags |= kRowStale;
  if (row.flags != 0) ++unusable;
  if (step.flags & kStepSlowed) row.flags |= kRowSlowed;
  for (const auto& [first, last] : episode.discards) {
    if (step.policy_step < first || step.policy_step > last) continue;
    row.flags |= kRowDiscarded;
    ++discarded;
    break;
  }
  rows.emplace_back() = row;
  sampler.add_row();
  ++episode.rows;
  prefix = step.sequence;
  place(next);
  return {};
}

Status Dataset::apply_steps(const StepsRef& steps) {
  if (steps.last <= state_->prefix) return {};
  const std::uint32_t number = state_->episode_at(steps.episode);
  state_->scanned = steps.path;
  Status added;
  const auto visit = [&](const StepView& step) {
    const bool known = step.sequence >= steps.first && step.sequence <= state_->prefix;
    if (known) return true;
    if (step.sequence > steps.last) return false;  // said below
    added = state_->add(number, step);
    return added.ok();
  };
  const Status visited = state_->options.mapped ? state_->visit_mapped(number, steps, visit)
                                                : state_->visit_read(number, steps, visit);
  if (visited.code() == Code::kNotFound) {
    pass_over(steps);
    return {};
  }
  if (!added.ok()) return added;
  NUDGE_TRY(visited);
  if (state_->prefix != steps.last) {
    return data_loss("dataset: " + steps.path + " holds no step with sequence " +
                     std::to_string(state_->options.mapped ? steps.last : state_->prefix + 1) +
                     "; run the log's check");
  }
  return {};
}

}  // namespace nudge
