#include <array>
#include <string_view>

#include "nudge/hold_out.h"
#include "replay/dataset_state.h"
#include "replay/person.h"

namespace nudge {
namespace {

// Words of WeightsRejected that speak of what the weights do, and so of what they were taught.
constexpr std::array<std::string_view, 4> kRefusedForActs = {"forgets", "wild_actions", "too_far",
                                                             "worse_on_held_out"};

}  // namespace

std::uint32_t Dataset::State::episode_at(EpisodeId id) {
  const auto [found, is_new] =
      episode_index.try_emplace(id, static_cast<std::uint32_t>(episodes.size()));
  if (is_new) {
    episodes.emplace_back().id = id;
    columns.emplace_back();
  }
  return found->second;
}

std::uint32_t Dataset::State::span_at(SpanId id) {
  const auto [found, is_new] = span_index.try_emplace(id, static_cast<std::uint32_t>(spans.size()));
  if (is_new) spans.emplace_back();
  return found->second;
}

std::uint32_t Dataset::State::sentence_at(const std::string& text) {
  const auto [found, is_new] =
      sentence_index.try_emplace(text, static_cast<std::uint32_t>(sentences.size()));
  if (is_new) sentences.push_back({.text = text, .features = {}, .asked = false});
  return found->second;
}

void Dataset::State::instruct(EpisodeState& episode, std::uint32_t from_step,
                              const std::string& text) {
  if (options.instruction_size == 0 || text.empty()) return;
  const std::uint32_t sentence = sentence_at(text);
  episode.instructions.emplace_back(from_step, sentence);
  if (std::find(instructions.begin(), instructions.end(), sentence) == instructions.end()) {
    instructions.push_back(sentence);
  }
}

const std::vector<float>* Dataset::State::features_of(std::uint32_t number) {
  Sentence& sentence = sentences[number];
  if (!sentence.asked) {
    sentence.asked = true;
    Result<std::vector<float>> made = options.instruction_features(sentence.text);
    if (made.ok() && made->size() == options.instruction_size) {
      sentence.features = *std::move(made);
    }
  }
  return sentence.features.empty() ? nullptr : &sentence.features;
}

std::uint32_t Dataset::State::supervisor_at(const Actor& actor) {
  const std::string name(person_of(actor.name));
  const auto found = supervisor_number.find(name);
  if (found != supervisor_number.end()) return found->second;
  if (supervisors.size() >= kMaxSupervisors) return kMaxSupervisors;
  supervisors.push_back(name);
  const auto number = static_cast<std::uint32_t>(supervisors.size());
  supervisor_number.emplace(name, number);
  return number;
}

std::uint32_t Dataset::State::person_at(const Actor& actor) {
  const std::string name(person_of(actor.name));
  const auto [found, is_new] =
      person_number.try_emplace(name, static_cast<std::uint32_t>(people.size()));
  if (is_new) people.push_back(name);
  return found->second;
}

Outcome Dataset::State::outcome_of(const std::vector<Said>& said) const {
  Outcome outcome;
  for (const Said& one : said) {
    if (!is_excluded(one.person)) outcome.add(one.role, one.value);
  }
  return outcome;
}

Sampler::Row Dataset::State::row_from(const EpisodeState& episode,
                                      std::uint32_t policy_step) const {
  Row low = episode.first_row, high = episode.first_row + episode.rows;
  while (low < high) {
    const Row middle = low + (high - low) / 2;
    if (rows[middle].policy_step < policy_step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void Dataset::State::fold(const Event&, const Booted& booted) {
  if (shapes[boot_shape] == booted.shape) return;
  const auto known = std::find(shapes.begin(), shapes.end(), booted.shape);
  boot_shape = static_cast<std::uint32_t>(known - shapes.begin());
  if (known == shapes.end()) shapes.push_back(booted.shape);
  if (!options.shape.empty()) return;
  for (std::uint32_t number = 0; number < episodes.size(); ++number) place_from(number, 0);
}

void Dataset::State::fold(const Event& event, const EpisodeStarted& started) {
  if (open_episode) end_episode(*open_episode);  // its end was lost
  const std::uint32_t number = episode_at(event.episode);
  EpisodeState& episode = episodes[number];
  episode.purpose = started.purpose;
  episode.starter = person_at(event.actor);
  episode.shape = boot_shape;
  const auto [task, is_new] =
      task_index.try_emplace(started.instruction, static_cast<std::uint32_t>(tasks.size()));
  if (is_new) tasks.push_back(started.instruction);
  episode.task = task->second;
  open_episode = number;
  instruct(episode, 0, started.instruction);
  keep_back_if_needed(number);
  place_from(number, 0);
}

void Dataset::State::fold(const Event& event, const InstructionChanged& changed) {
  const auto episode = episode_index.find(event.episode);
  if (episode == episode_index.end()) return;
  instruct(episodes[episode->second], event.policy_step, changed.instruction);
}

void Dataset::State::fold(const Event& event, const Words& said) {
  const bool of_motion = said.use == WordsUse::kNudge || said.use == WordsUse::kInstruction ||
                         said.use == WordsUse::kComment;
  if (options.instruction_size == 0 || !of_motion) return;
  const auto number = static_cast<std::uint32_t>(utterances.size());
  utterances.push_back(
      {sentence_at(said.text), words_undone.contains(event.id), person_at(event.actor)});
  utterance_index.insert_or_assign(event.id, number);
  const auto found = episode_index.find(event.episode);
  if (found == episode_index.end()) return;
  EpisodeState& episode = episodes[found->second];
  episode.words.emplace_back(event.policy_step, number);
  if (episode.open_span != kNoSpan) spans[episode.open_span].words.push_back(number);
}

void Dataset::State::fold(const Event& event, const SpanOpened& opened) {
  const std::uint32_t number = episode_at(event.episode);
  SpanState& span = spans[span_at(opened.span)];
  if (span.opened) return;
  span.opened = true;
  span.episode = number;
  span.kind = opened.kind;
  span.supervisor = supervisor_at(event.actor);
  span.person = person_at(event.actor);
  span.first_step = opened.first_step;
  std::uint32_t from = opened.first_step;
  if (opened.kind == SpanKind::kTakeover) {
    episodes[number].open_span = span_at(opened.span);
    for (const auto& [step, utterance] : episodes[number].words) {
      if (step <= opened.first_step && opened.first_step - step <= words_lead) {
        span.words.push_back(utterance);
      }
    }
    auto& takeovers = episodes[number].takeovers;
    takeovers.insert(std::upper_bound(takeovers.begin(), takeovers.end(), opened.first_step),
                     opened.first_step);
    from = 0;  // what led to it is no success, whatever the episode is labelled
  }
  place_from(number, from);
}

void Dataset::State::fold(const Event& event, const SpanClosed& closed) {
  SpanState& span = spans[span_at(closed.span)];
  span.last_step = closed.last_step;
  span.empty = closed.last_step < span.first_step;
  span.closed_at = event.sequence;
  span.link_lost = closed.reason == SpanEnd::kLinkLost;
  if (!span.opened) return;
  EpisodeState& episode = episodes[span.episode];
  if (episode.open_span == span_at(closed.span)) episode.open_span = kNoSpan;
  if (span.kind == SpanKind::kTakeover && closed.complete && !span.empty &&
      episode.purpose == EpisodePurpose::kDeployment && episode.corrected_number == 0) {
    episode.corrected_number = ++corrected_episodes;
    if (is_held_out(episode.corrected_number)) ++held_out_episodes;
    keep_back_if_needed(span.episode);
    if (open_episode && *open_episode != span.episode) keep_back_if_needed(*open_episode);
  }
  place_from(span.episode, span.first_step);
}

void Dataset::State::fold(const Event&, const SpanSplit& split) {
  SpanState& span = spans[span_at(split.span)];
  span.correction_from = split.correction_from;
  if (span.opened) place_from(span.episode, span.first_step, span.last_step);
}

void Dataset::State::fold(const Event& event, const Label& label) {
  const Said said{person_at(event.actor), event.actor.role, label.value};
  if (label.span == 0) {
    const std::uint32_t number = episode_at(label.episode);
    const LabelValue before = episodes[number].outcome.value();
    episodes[number].said.push_back(said);
    if (!is_excluded(said.person)) episodes[number].outcome.add(said.role, said.value);
    if (episodes[number].outcome.value() != before) place_from(number, 0);
    return;
  }
  SpanState& span = spans[span_at(label.span)];
  span.said.push_back(said);
  if (!is_excluded(said.person)) span.outcome.add(said.role, said.value);
  if (span.opened) place_from(span.episode, span.first_step, span.last_step);
}

void Dataset::State::fold(const Event&, const StepsDiscarded& undo) {
  if (undo.last_step < undo.first_step) return;
  const std::uint32_t number = episode_at(undo.episode);
  EpisodeState& episode = episodes[number];
  episode.discards.emplace_back(undo.first_step, undo.last_step);
  const Row end = episode.first_row + episode.rows;
  for (Row row = row_from(episode, undo.first_step);
       row < end && rows[row].policy_step <= undo.last_step; ++row) {
    if (!(rows[row].flags & kRowDiscarded)) ++discarded;
    rows[row].flags |= kRowDiscarded;
    place(row);
  }
}

void Dataset::State::fold(const Event&, const WordsActed& acted) {
  const std::uint32_t number = span_at(acted.span);
  words_span.insert_or_assign(acted.words, number);
  if (const auto said = utterance_index.find(acted.words); said != utterance_index.end()) {
    spans[number].words.push_back(said->second);
  }
  if (words_undone.contains(acted.words)) undo(number);
}

void Dataset::State::fold(const Event&, const WordsUndone& undone) {
  if (!words_undone.insert(undone.words).second) return;
  if (const auto said = utterance_index.find(undone.words); said != utterance_index.end()) {
    utterances[said->second].undone = true;
  }
  if (const auto span = words_span.find(undone.words); span != words_span.end()) {
    undo(span->second);
  }
}

void Dataset::State::undo(std::uint32_t span_number) {
  SpanState& span = spans[span_number];
  span.undone = true;
  if (span.opened) place_from(span.episode, span.first_step, span.last_step);
}

void Dataset::State::fold(const Event&, const CorrectionsWithdrawn& act) {
  if (withdrawn.emplace(person_of(act.supervisor)).second) person_changed(act.supervisor);
}

void Dataset::State::fold(const Event&, const CorrectionsRestored& act) {
  if (withdrawn.erase(std::string(person_of(act.supervisor))) > 0) {
    person_changed(act.supervisor);
  }
}

void Dataset::State::person_changed(const std::string& name) {
  const auto found = person_number.find(std::string(person_of(name)));
  if (found == person_number.end()) return;
  const std::uint32_t person = found->second;
  const auto spoke = [&](const std::vector<Said>& said) {
    return std::any_of(said.begin(), said.end(),
                       [&](const Said& one) { return one.person == person; });
  };
  std::vector<char> touched(episodes.size(), 0);
  for (std::size_t i = 0; i < episodes.size(); ++i) {
    if (episodes[i].starter != person && !spoke(episodes[i].said)) continue;
    episodes[i].outcome = outcome_of(episodes[i].said);
    touched[i] = 1;
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    SpanState& span = spans[i];
    if (span.person != person && !spoke(span.said)) continue;
    span.outcome = outcome_of(span.said);
    if (span.opened) touched[span.episode] = 1;
  }
  for (std::uint32_t i = 0; i < episodes.size(); ++i) {
    if (touched[i] != 0) place_from(i, 0);
  }
}

void Dataset::State::fold(const Event&, const CandidateReceived& candidate) {
  if (candidate.kind == WeightsKind::kFull) judged[candidate.hash] = candidate.prefix;
}

void Dataset::State::fold(const Event&, const WeightsAccepted& accepted) {
  if (accepted.kind != WeightsKind::kFull) return;
  refusals = 0;
  if (const auto round = judged.extract(accepted.hash)) learned = std::max(learned, round.mapped());
}

void Dataset::State::fold(const Event&, const WeightsRejected& rejected) {
  const auto round = judged.extract(rejected.hash);
  const bool for_its_acts = std::find(kRefusedForActs.begin(), kRefusedForActs.end(),
                                      rejected.reason) != kRefusedForActs.end();
  if (!round || !for_its_acts || options.quarantine_refused == 0) return;
  if (refusals++ == 0) first_refused = round.mapped();
  if (refusals < options.quarantine_refused) return;
  // What came later has not had three rounds of its own.
  for (std::size_t number = 0; number < spans.size(); ++number) {
    SpanState& span = spans[number];
    const bool taught = span.opened && span.kind == SpanKind::kTakeover &&
                        span.closed_at > learned && span.closed_at <= first_refused &&
                        !episodes[span.episode].kept_back;
    if (!taught) continue;
    span.refused = true;
    refused.push_back(episodes[span.episode].id);
    place_from(span.episode, span.first_step, span.last_step);
  }
  learned = std::max(learned, first_refused);
  refusals = 0;
}

void Dataset::State::fold(const Event&, const EpisodeEvicted& gone) {
  const std::uint32_t number = episode_at(gone.episode);
  EpisodeState& episode = episodes[number];
  if (episode.evicted) return;
  episode.evicted = true;
  place_from(number, 0);
  missing += episode.rows;
  columns[number] = {};
  episode.map.reset();
  episode.mapping.reset();
  episode.discards = {};
  episode.takeovers = {};
  episode.instructions = {};
  episode.words = {};
  for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
    if (rows[row].span != kNoSpan) spans[rows[row].span].words = {};
  }
  evicted_rows += episode.rows;
  if (evicted_rows > kDropAtOnce && evicted_rows > rows.size() / 2) drop_evicted_rows();
}

void Dataset::State::drop_evicted_rows() {
  std::vector<Row> to(rows.size(), Sampler::kGone);
  RowStore kept;
  for (Row row = 0; row < to.size(); ++row) {
    if (episodes[rows[row].episode].evicted) continue;
    to[row] = static_cast<Row>(kept.size());
    kept.emplace_back() = rows[row];
  }
  for (std::size_t i = 0; i < episodes.size(); ++i) {
    EpisodeState& episode = episodes[i];
    if (episode.evicted) episode.rows = 0;
    episode.first_row = episode.rows == 0 ? 0 : to[episode.first_row];
  }
  sampler.renumber(to);
  dropped_rows += rows.size() - kept.size();
  evicted_rows = 0;
  rows = std::move(kept);
}

}  // namespace nudge
