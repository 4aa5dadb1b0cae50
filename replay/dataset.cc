#include "replay/dataset.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "nudge/half.h"
#include "nudge/hold_out.h"
#include "replay/outcome.h"
#include "replay/person.h"
#include "replay/segment.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

using Row = Sampler::Row;
constexpr std::uint32_t kNoSpan = 0xffffffff;
constexpr std::uint32_t kEndless = 0xffffffff;  // last step of an open span
constexpr std::uint8_t kNoClass = 0xff;
constexpr std::uint8_t kTakenOut = 0xfe;     // no class, since a label says so
constexpr std::uint8_t kQuarantined = 0xfd;  // no class, since its takeover is suspect
bool has_class(std::uint8_t step_class) { return step_class < kSampleClasses; }
constexpr std::uint64_t kDropAtOnce = 1u << 12;    // rows, at least
constexpr std::uint32_t kMaxSupervisors = 10'000;  // later ones share the last number

enum RowFlag : std::uint8_t {
  kRowDiscarded = 1,  // undone
  kRowNoData = 2,     // a column is missing, not finite, or of another backbone
  kRowStale = 4,      // the robot held during part of it
  kRowSlowed = 8,     // words had slowed the policy
};

// What the dataset keeps of a step; the rest stays in the segment.
struct StepRow {
  std::uint64_t offset = 0;   // of the record in the segment
  std::uint32_t episode = 0;  // index
  std::uint32_t policy_step = 0;
  std::uint32_t span = kNoSpan;  // index
  ControlSource source = ControlSource::kHold;
  std::uint8_t flags = 0;              // RowFlag
  std::uint8_t step_class = kNoClass;  // SampleClass, also when it is dropped; or one of the three
  bool has_reference : 1 = false;      // whole and finite
  std::uint8_t token : 2 = 0;          // its own Advantage; 0: its class's
};
static_assert(sizeof(StepRow) == 24);

// Address of each column of the record at offset 0, were there one: records have a fixed layout, so
// adding a record's offset gives its columns without parsing it. Of a segment that is not mapped:
// how far behind a record's start; adding the place where it was read to gives its columns.
struct Columns {
  std::uintptr_t features = 0;
  std::uintptr_t proprioception = 0;
  std::uintptr_t action = 0;  // executed; requested where nobody knows what was executed
  std::uintptr_t reference = 0;
  bool of_requested = false;
};

constexpr std::uint32_t kNobody = 0xffffffff;

// A label, so that it can be taken out again with its person's teaching.
struct Said {
  std::uint32_t person = kNobody;
  Role role = Role::kScript;
  LabelValue value = LabelValue::kNone;
};

struct EpisodeState {
  EpisodeId id = 0;
  std::optional<EpisodePurpose> purpose;  // none: EpisodeStarted not seen
  std::uint32_t shape = 0;                // of the robot in that boot; index, 0: not told
  bool ended = false;
  std::uint32_t open_span = kNoSpan;   // the takeover that is under way, index
  std::uint32_t starter = kNobody;     // number of the person who began it
  std::uint32_t task = 0;              // the instruction that it began with, index
  std::vector<Said> said;              // of the whole episode, in order
  bool kept_back = false;              // held out, or may still turn out to be
  bool usable = false;                 // the segment has our sizes and backbone
  bool evicted = false;                // its steps were deleted
  std::uint64_t corrected_number = 0;  // 0: none (yet)
  Outcome outcome;
  Row first_row = 0;
  std::uint32_t rows = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> discards;      // steps, both included
  std::vector<std::uint32_t> takeovers;                               // first steps, sorted
  std::vector<std::pair<std::uint32_t, std::uint32_t>> instructions;  // from step, sentence
  std::vector<std::pair<std::uint32_t, std::uint32_t>> words;         // at step, utterance
  std::unique_ptr<Mapping> mapping;
  std::unique_ptr<SegmentMap> map;  // over `mapping`; until the episode has ended
};

struct SpanState {
  std::uint32_t episode = 0;       // index; meaningful once opened
  bool opened = false;             // SpanOpened was seen
  std::uint32_t person = kNobody;  // number of who opened it
  std::vector<Said> said;          // in order
  SpanKind kind = SpanKind::kTakeover;
  std::uint32_t supervisor = 0;  // number, from 1
  std::uint32_t first_step = 0;
  std::uint32_t last_step = kEndless;
  std::uint32_t correction_from = 0;
  bool empty = false;
  bool link_lost = false;
  bool closed = false;
  std::uint32_t steps = 0, clamped = 0;  // driven, and those of them that the limits cut
  std::vector<std::uint32_t> words;      // utterances that may stand for the instruction
  bool undone = false;                   // the words that caused it were taken back
  Outcome outcome;
};

// Something that was said, as the last features of a row.
struct Sentence {
  std::string text;
  std::vector<float> features;  // empty: not asked for yet, or it has none
  bool asked = false;
};

// A sentence that somebody said once, and may have taken back.
struct Utterance {
  std::uint32_t sentence = 0;  // index
  bool undone = false;
  std::uint32_t person = kNobody;  // number of who said it
};

// Blocks of 2^Shift that never move: growing copies nothing and wastes at most one block.
template <typename T, std::size_t Shift>
class Blocks {
 public:
  T& operator[](std::size_t i) { return blocks_[i >> Shift][i & kMask]; }
  const T& operator[](std::size_t i) const { return blocks_[i >> Shift][i & kMask]; }
  std::size_t size() const { return size_; }
  T& emplace_back() {
    if ((size_ & kMask) == 0) blocks_.push_back(std::make_unique<T[]>(kMask + 1));
    return (*this)[size_++];
  }

 private:
  static constexpr std::size_t kMask = (std::size_t{1} << Shift) - 1;
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::size_t size_ = 0;
};
using RowStore = Blocks<StepRow, 16>;

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

void prefetch(std::uintptr_t begin, std::size_t bytes) {
  constexpr std::uintptr_t kLine = 64;
  for (std::uintptr_t at = begin & ~(kLine - 1); at < begin + bytes; at += kLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(at));
  }
}

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

struct Dataset::State {
  State(FileSystem& f, DatasetOptions o) : files(f), options(std::move(o)) {
    const auto period = std::max<Duration::rep>(1, options.policy_period.count());
    const auto steps = (options.before_takeover.count() + period - 1) / period;
    lead = static_cast<std::uint32_t>(std::clamp<Duration::rep>(steps, 0, 1'000'000));
    words_lead = static_cast<std::uint32_t>(
        std::clamp<Duration::rep>(options.relabel_before.count() / period, 0, 1'000'000));
    for (const std::string& name : options.excluded_supervisors) {
      withdrawn.emplace(person_of(name));
    }
  }

  FileSystem& files;
  DatasetOptions options;
  std::uint32_t lead = 0;        // steps ahead of a takeover
  std::uint32_t words_lead = 0;  // steps ahead of a span, in which words are meant for it
  Sequence prefix = 0;

  Blocks<EpisodeState, 6> episodes;
  Blocks<Columns, 6> columns;  // by episode; apart, so that sampling touches little memory
  std::unordered_map<EpisodeId, std::uint32_t> episode_index;  // never iterated
  Blocks<SpanState, 6> spans;
  std::unordered_map<SpanId, std::uint32_t> span_index;       // never iterated
  std::unordered_map<std::string, std::uint32_t> words_span;  // by id of the words; never iterated
  std::unordered_set<std::string> words_undone;               // ids; never iterated
  std::vector<Sentence> sentences;
  std::unordered_map<std::string, std::uint32_t> sentence_index;  // by text; never iterated
  std::vector<Utterance> utterances;
  std::unordered_map<std::string, std::uint32_t> utterance_index;  // by id; never iterated
  std::vector<std::uint32_t> instructions;  // sentences that were in force, each once
  std::optional<bool> words_fit_;           // see words_fit(); none: not known yet
  std::vector<std::string> tasks;           // instructions that episodes began with, each once
  std::unordered_map<std::string, std::uint32_t> task_index;  // never iterated
  std::vector<std::string> supervisors;                       // number - 1
  std::unordered_map<std::string, std::uint32_t> supervisor_number;
  std::vector<std::string> people;                               // who taught anything, by number
  std::unordered_map<std::string, std::uint32_t> person_number;  // never iterated
  std::unordered_set<std::string> withdrawn;                     // never iterated
  std::optional<std::uint32_t> open_episode;
  std::vector<std::string> shapes = {""};  // Booted::shape of all boots, each once
  std::uint32_t boot_shape = 0;            // of the newest boot, index
  std::string folder;                      // of the segments; empty: none was read yet
  std::unordered_map<std::uint32_t, std::string>
      elsewhere;        // files that lie in another, by episode
  std::string scanned;  // path of the segment that is read
  Status unread;
  std::uint64_t evicted_rows = 0, dropped_rows = 0;  // still in memory; not any more
  std::uint64_t corrected_episodes = 0;
  std::uint64_t held_out_episodes = 0;
  std::uint64_t discarded = 0, taken_out = 0, quarantined = 0, unusable = 0, missing = 0;

  RowStore rows;
  Sampler sampler;
  std::vector<Row> drawn;  // reused between batches

  // ---- finding ----

  std::uint32_t episode_at(EpisodeId id) {
    const auto [found, is_new] =
        episode_index.try_emplace(id, static_cast<std::uint32_t>(episodes.size()));
    if (is_new) {
      episodes.emplace_back().id = id;
      columns.emplace_back();
    }
    return found->second;
  }
  std::uint32_t span_at(SpanId id) {
    const auto [found, is_new] =
        span_index.try_emplace(id, static_cast<std::uint32_t>(spans.size()));
    if (is_new) spans.emplace_back();
    return found->second;
  }
  std::uint32_t sentence_at(const std::string& text) {
    const auto [found, is_new] =
        sentence_index.try_emplace(text, static_cast<std::uint32_t>(sentences.size()));
    if (is_new) sentences.push_back({.text = text, .features = {}, .asked = false});
    return found->second;
  }
  void instruct(EpisodeState& episode, std::uint32_t from_step, const std::string& text) {
    if (options.instruction_size == 0 || text.empty()) return;
    const std::uint32_t sentence = sentence_at(text);
    episode.instructions.emplace_back(from_step, sentence);
    if (std::find(instructions.begin(), instructions.end(), sentence) == instructions.end()) {
      instructions.push_back(sentence);
    }
  }
  // Null: whoever makes them could not.
  const std::vector<float>* features_of(std::uint32_t number) {
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
  // Of a person, through however many connections they taught.
  std::uint32_t supervisor_at(const Actor& actor) {
    const std::string name(person_of(actor.name));
    const auto found = supervisor_number.find(name);
    if (found != supervisor_number.end()) return found->second;
    if (supervisors.size() >= kMaxSupervisors) return kMaxSupervisors;
    supervisors.push_back(name);
    const auto number = static_cast<std::uint32_t>(supervisors.size());
    supervisor_number.emplace(name, number);
    return number;
  }
  std::uint32_t person_at(const Actor& actor) {
    const std::string name(person_of(actor.name));
    const auto [found, is_new] =
        person_number.try_emplace(name, static_cast<std::uint32_t>(people.size()));
    if (is_new) people.push_back(name);
    return found->second;
  }
  bool is_excluded(std::uint32_t person) const {
    return person != kNobody && withdrawn.contains(people[person]);
  }
  Outcome outcome_of(const std::vector<Said>& said) const {
    Outcome outcome;
    for (const Said& one : said) {
      if (!is_excluded(one.person)) outcome.add(one.role, one.value);
    }
    return outcome;
  }
  // First row of the episode at or behind a policy step.
  Row row_from(const EpisodeState& episode, std::uint32_t policy_step) const {
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

  // ---- what a step is ----

  bool covers(const SpanState& span, std::uint32_t policy_step) const {
    const LabelValue outcome = span.outcome.value();
    return span.opened && !is_excluded(span.person) && !span.empty && !span.undone &&
           outcome != LabelValue::kFailure && outcome != LabelValue::kDiscard &&
           policy_step >= span.first_step && policy_step <= span.last_step;
  }

  // Suspect, and nobody has vouched for it. Only once it is closed: a span that began against the
  // limits may go on well.
  bool in_quarantine(const SpanState& span) const {
    if (!span.closed || span.kind != SpanKind::kTakeover) return false;
    if (span.outcome.value() == LabelValue::kSuccess) return false;
    return (options.quarantine_link_lost && span.link_lost) ||
           (span.steps > 0 && span.clamped >= options.quarantine_clamped * span.steps);
  }

  bool of_other_shape(const EpisodeState& episode) const {
    if (episode.shape == 0) return false;
    if (options.shape.empty()) return boot_shape != 0 && episode.shape != boot_shape;
    return shapes[episode.shape] != options.shape;
  }

  bool leads_to_takeover(const StepRow& row, const EpisodeState& episode) const {
    const auto next =
        std::upper_bound(episode.takeovers.begin(), episode.takeovers.end(), row.policy_step);
    return next != episode.takeovers.end() && *next - row.policy_step <= lead;
  }

  // Whether the episode went well; none: nobody said so, or it is not to be learned from.
  std::optional<bool> went_well(const EpisodeState& episode) const {
    if (!episode.purpose || episode.evicted || of_other_shape(episode)) return {};
    const LabelValue outcome = episode.outcome.value();
    if (outcome == LabelValue::kDiscard) return {};
    if (*episode.purpose == EpisodePurpose::kDemonstration) {
      if (is_excluded(episode.starter)) return {};
      return outcome != LabelValue::kFailure;
    }
    if (*episode.purpose != EpisodePurpose::kDeployment || outcome == LabelValue::kNone) return {};
    return outcome == LabelValue::kSuccess;
  }

  std::optional<SampleClass> classify(const StepRow& row, const EpisodeState& episode) const {
    if (row.flags != 0 || !episode.purpose || episode.evicted || of_other_shape(episode)) return {};
    const LabelValue outcome = episode.outcome.value();
    if (outcome == LabelValue::kDiscard) return {};
    const bool driven = row.source == ControlSource::kHuman || row.source == ControlSource::kScript;

    if (*episode.purpose == EpisodePurpose::kDemonstration) {
      if (!driven || is_excluded(episode.starter) || outcome == LabelValue::kFailure) return {};
      if (row.span != kNoSpan && !covers(spans[row.span], row.policy_step)) return {};
      return SampleClass::kDemonstration;
    }
    if (*episode.purpose != EpisodePurpose::kDeployment) return {};

    if (row.span != kNoSpan) {
      const SpanState& span = spans[row.span];
      if (!covers(span, row.policy_step)) return {};
      if (span.kind == SpanKind::kNudge) {
        if (row.source != ControlSource::kNudge) return {};
        return SampleClass::kNudged;
      }
      if (!driven) return {};
      return row.policy_step < span.correction_from ? SampleClass::kRecovery
                                                    : SampleClass::kCorrection;
    }
    if (row.source != ControlSource::kPolicy) return {};
    if (leads_to_takeover(row, episode)) return SampleClass::kBeforeTakeover;
    if (outcome == LabelValue::kSuccess) return SampleClass::kAutonomousSuccess;
    if (outcome == LabelValue::kFailure) return SampleClass::kAutonomousFailure;
    return {};
  }

  // Whether a step that is of no class would be of one but for a label.
  bool is_taken_out(const StepRow& row, const EpisodeState& episode) const {
    if (row.flags != 0 || !episode.purpose || row.source == ControlSource::kHold) return false;
    if (episode.evicted) return false;
    if (*episode.purpose == EpisodePurpose::kEvaluation) return false;
    if (episode.outcome.value() == LabelValue::kDiscard) return true;
    if (row.span == kNoSpan || !spans[row.span].opened) return false;
    const LabelValue outcome = spans[row.span].outcome.value();
    return outcome == LabelValue::kDiscard || outcome == LabelValue::kFailure;
  }

  bool is_dropped(SampleClass c) const {
    return (c == SampleClass::kBeforeTakeover &&
            options.before_takeover_advantage == Advantage::kNone) ||
           (c == SampleClass::kAutonomousFailure &&
            options.autonomous_failure_advantage == Advantage::kNone);
  }
  Advantage advantage_of(const StepRow& row) const {
    if (!has_class(row.step_class)) return Advantage::kNone;
    if (row.token != 0) return static_cast<Advantage>(row.token);
    const auto c = static_cast<SampleClass>(row.step_class);
    if (c == SampleClass::kBeforeTakeover) return options.before_takeover_advantage;
    if (c == SampleClass::kAutonomousFailure) return options.autonomous_failure_advantage;
    return options.advantage;
  }

  void place(Row number) {
    StepRow& row = rows[number];
    const EpisodeState& episode = episodes[row.episode];
    std::optional<SampleClass> c = classify(row, episode);
    const bool suspect = c && (*c == SampleClass::kCorrection || *c == SampleClass::kRecovery) &&
                         in_quarantine(spans[row.span]);
    if (suspect) c.reset();
    taken_out -= row.step_class == kTakenOut ? 1 : 0;
    quarantined -= row.step_class == kQuarantined ? 1 : 0;
    row.step_class = c                            ? static_cast<std::uint8_t>(*c)
                     : suspect                    ? kQuarantined
                     : is_taken_out(row, episode) ? kTakenOut
                                                  : kNoClass;
    taken_out += row.step_class == kTakenOut ? 1 : 0;
    quarantined += row.step_class == kQuarantined ? 1 : 0;
    Sampler::StratumId to = Sampler::kNowhere;
    if (c && (row.token != 0 || !is_dropped(*c))) {
      const bool human = *c == SampleClass::kCorrection || *c == SampleClass::kRecovery ||
                         *c == SampleClass::kNudged;
      to = sampler.stratum(*c, human ? spans[row.span].supervisor : 0, episode.kept_back);
    }
    sampler.move(number, to);
  }
  void place_from(std::uint32_t episode_number, std::uint32_t first_step,
                  std::uint32_t last_step = kEndless) {
    const EpisodeState& episode = episodes[episode_number];
    const Row end = episode.first_row + episode.rows;
    for (Row row = row_from(episode, first_step); row < end && rows[row].policy_step <= last_step;
         ++row) {
      place(row);
    }
  }
  void keep_back_if_needed(std::uint32_t episode_number) {
    EpisodeState& episode = episodes[episode_number];
    const bool may_be_next = episode.purpose == EpisodePurpose::kDeployment && !episode.ended &&
                             is_held_out(corrected_episodes + 1);
    const bool keep =
        episode.corrected_number > 0 ? is_held_out(episode.corrected_number) : may_be_next;
    if (keep == episode.kept_back) return;
    episode.kept_back = keep;
    place_from(episode_number, 0);
  }
  void end_episode(std::uint32_t episode_number) {
    episodes[episode_number].ended = true;
    episodes[episode_number].map.reset();
    if (open_episode == episode_number) open_episode.reset();
    keep_back_if_needed(episode_number);
  }

  // ---- events ----

  void fold(const Event&, const Booted& booted) {
    if (shapes[boot_shape] == booted.shape) return;
    const auto known = std::find(shapes.begin(), shapes.end(), booted.shape);
    boot_shape = static_cast<std::uint32_t>(known - shapes.begin());
    if (known == shapes.end()) shapes.push_back(booted.shape);
    if (!options.shape.empty()) return;
    for (std::uint32_t number = 0; number < episodes.size(); ++number) place_from(number, 0);
  }
  void fold(const Event& event, const EpisodeStarted& started) {
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
  void fold(const Event& event, const InstructionChanged& changed) {
    const auto episode = episode_index.find(event.episode);
    if (episode == episode_index.end()) return;
    instruct(episodes[episode->second], event.policy_step, changed.instruction);
  }
  // Said during a span or shortly before it: a label for what the person then does.
  void fold(const Event& event, const Words& said) {
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
  void fold(const Event& event, const EpisodeEnded&) { end_episode(episode_at(event.episode)); }

  void fold(const Event& event, const SpanOpened& opened) {
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
      from -= std::min(from, lead);
    }
    place_from(number, from);
  }
  void fold(const Event&, const SpanClosed& closed) {
    SpanState& span = spans[span_at(closed.span)];
    span.last_step = closed.last_step;
    span.empty = closed.last_step < span.first_step;
    span.closed = true;
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
  void fold(const Event&, const SpanSplit& split) {
    SpanState& span = spans[span_at(split.span)];
    span.correction_from = split.correction_from;
    if (span.opened) place_from(span.episode, span.first_step, span.last_step);
  }
  void fold(const Event& event, const Label& label) {
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
  void fold(const Event&, const StepsDiscarded& undo) {
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
  void fold(const Event&, const WordsActed& acted) {
    const std::uint32_t number = span_at(acted.span);
    words_span.insert_or_assign(acted.words, number);
    if (const auto said = utterance_index.find(acted.words); said != utterance_index.end()) {
      spans[number].words.push_back(said->second);
    }
    if (words_undone.contains(acted.words)) undo(number);
  }
  // May come before its words have moved anything, and stays.
  void fold(const Event&, const WordsUndone& undone) {
    if (!words_undone.insert(undone.words).second) return;
    if (const auto said = utterance_index.find(undone.words); said != utterance_index.end()) {
      utterances[said->second].undone = true;
    }
    if (const auto span = words_span.find(undone.words); span != words_span.end()) {
      undo(span->second);
    }
  }
  void undo(std::uint32_t span_number) {
    SpanState& span = spans[span_number];
    span.undone = true;
    if (span.opened) place_from(span.episode, span.first_step, span.last_step);
  }
  void fold(const Event&, const CorrectionsWithdrawn& act) {
    if (withdrawn.emplace(person_of(act.supervisor)).second) person_changed(act.supervisor);
  }
  void fold(const Event&, const CorrectionsRestored& act) {
    if (withdrawn.erase(std::string(person_of(act.supervisor))) > 0) {
      person_changed(act.supervisor);
    }
  }
  // Whether this person's teaching counts has changed: every episode with some of it is looked at
  // anew.
  void person_changed(const std::string& name) {
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
  // A reader that still has the file mapped, and one that starts over, have the same dataset.
  void fold(const Event&, const EpisodeEvicted& gone) {
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
  // What is left is numbered anew, in order.
  void drop_evicted_rows() {
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
  template <typename Other>
  void fold(const Event&, const Other&) {}  // teaches nothing

  // ---- steps ----

  // Maps the file as it is now and closes it: a life has more episodes than a process may have
  // open files.
  Status map_segment(std::uint32_t number, const StepsRef& steps) {
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
  Status look_at(EpisodeState& episode, const SegmentSpec& spec, const StepsRef& steps) const {
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
  // Steps of a mapped segment, to be visited with checksums: a disk that changed a number would
  // otherwise teach it to the robot.
  template <typename Visit>
  Status visit_mapped(std::uint32_t number, const StepsRef& steps, const Visit& visit) {
    NUDGE_TRY(map_segment(number, steps));
    return episodes[number].map->scan(steps.first_offset, steps.end_offset, SegmentMap::Check::kCrc,
                                      visit);
  }
  // The same of one that is read. The reader passes over what is damaged: there the steps end here.
  template <typename Visit>
  Status visit_read(std::uint32_t number, const StepsRef& steps, const Visit& visit) {
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
  void remember_path(std::uint32_t number, const std::string& path) {
    const std::string name = segment_file_name(episodes[number].id);
    if (folder.empty() && path.ends_with("/" + name)) {
      folder = path.substr(0, path.size() - name.size());
    }
    if (path != folder + name) elsewhere[number] = path;
  }
  std::string path_of(std::uint32_t number) const {
    const auto other = elsewhere.find(number);
    return other != elsewhere.end() ? other->second
                                    : folder + segment_file_name(episodes[number].id);
  }

  void locate_columns(std::uint32_t number) {
    const EpisodeState& episode = episodes[number];
    for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
      if (rows[row].flags & kRowNoData) continue;
      locate_columns(number, episode.map->step_at(rows[row].offset));
      return;
    }
  }
  void locate_columns(std::uint32_t number, const StepView& step) {
    const std::uintptr_t start =
        options.mapped ? step.offset : reinterpret_cast<std::uintptr_t>(step.record.data());
    columns[number] = {reinterpret_cast<std::uintptr_t>(step.features.data()) - start,
                       reinterpret_cast<std::uintptr_t>(step.proprioception.data()) - start,
                       reinterpret_cast<std::uintptr_t>(action_of(step).data()) - start,
                       reinterpret_cast<std::uintptr_t>(step.reference.data()) - start,
                       step.executed.empty()};
  }

  // A robot that plays chunks by itself does not say what it did: what it was told has to do.
  static std::span<const float> action_of(const StepView& step) {
    return step.executed.empty() ? step.requested : step.executed;
  }

  bool has_data(const EpisodeState& episode, const StepView& step) const {
    return episode.usable && step.features.size() == options.feature_size &&
           step.proprioception.size() == options.proprioception_size &&
           action_of(step).size() == options.action_size && all_finite(step.features) &&
           all_finite(step.proprioception) && all_finite(action_of(step));
  }

  Status add(std::uint32_t number, const StepView& step) {
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

  // ---- reading ----

  // Whether the step of `row` + 1 belongs to a window that has come as far as `row`.
  bool goes_on(Row row) const {
    if (row + 1 >= rows.size()) return false;
    const StepRow& a = rows[row];
    const StepRow& b = rows[row + 1];
    const bool same_class = a.step_class == b.step_class ||
                            (a.step_class == static_cast<std::uint8_t>(SampleClass::kRecovery) &&
                             b.step_class == static_cast<std::uint8_t>(SampleClass::kCorrection));
    return a.episode == b.episode && a.policy_step + 1 == b.policy_step && a.span == b.span &&
           a.source == b.source && same_class && has_class(b.step_class);
  }

  // `at`: what the columns' addresses begin from, the row's offset in a mapped segment.
  std::span<const Half> features(const StepRow& row, std::uintptr_t at) const {
    return {reinterpret_cast<const Half*>(columns[row.episode].features + at),
            options.feature_size};
  }
  const float* proprioception(const StepRow& row, std::uintptr_t at) const {
    return reinterpret_cast<const float*>(columns[row.episode].proprioception + at);
  }
  const float* executed(const StepRow& row, std::uintptr_t at) const {
    return reinterpret_cast<const float*>(columns[row.episode].action + at);
  }
  const float* reference(const StepRow& row, std::uintptr_t at) const {
    return reinterpret_cast<const float*>(columns[row.episode].reference + at);
  }

  void shape_batch(std::size_t size, std::size_t horizon, Batch& batch) const {
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
  // Steps of a chunk that starts here.
  std::size_t length_from(Row start, std::size_t horizon) const {
    if (horizon == 0) return 0;
    std::size_t length = 1;
    for (Row at = start; length < horizon && goes_on(at); ++at) ++length;
    return length;
  }
  // One chunk of `length` steps; `at(h)` for the step `h` behind the start, 0 also when length is.
  template <typename At>
  void fill(Batch& batch, std::size_t out, Row start, std::size_t length, const At& at) const {
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
    const float* action = nullptr;
    for (std::size_t h = 0; h < horizon; ++h) {
      if (h < length) action = executed(rows[start + h], at(h));
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

  // Bytes of a record up to the end of its columns.
  std::size_t bytes_to_read(const StepRow& row) const {
    const Columns& c = columns[row.episode];
    std::size_t bytes = std::max({c.features + options.feature_size * sizeof(Half),
                                  c.proprioception + options.proprioception_size * sizeof(float),
                                  c.action + options.action_size * sizeof(float)});
    if (row.has_reference) {
      bytes = std::max(bytes, c.reference + options.horizon * options.action_size * sizeof(float));
    }
    return bytes;
  }
  // A probe of a segment that is not mapped. What cannot be read any more is left out.
  void read(std::span<const Row> starts, std::size_t horizon, Batch& batch) {
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
      const auto got =
          file->pread(std::as_writable_bytes(std::span(into)).first(bytes), row.offset);
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
  Batch probe(std::span<const Row> starts, std::size_t horizon) {
    Batch batch;
    if (options.mapped) {
      gather(starts, horizon, batch);
    } else {
      read(starts, horizon, batch);
    }
    return batch;
  }

  // Fills the batch with one chunk per row. Records are scattered over gigabytes, so the addresses
  // of a group are asked for before any is read.
  void gather(std::span<const Row> starts, std::size_t horizon, Batch& batch) const {
    const std::size_t size = starts.size(), f = options.feature_size,
                      p = options.proprioception_size, a = options.action_size,
                      chunk = options.horizon * a;
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

  // Whether sentences are encoded here as they were when the steps were recorded: seen once, by the
  // first row whose instruction is known. Another encoder's numbers would teach nonsense.
  bool words_fit(const StepRow& row, std::span<const float> recorded) {
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
  // Puts other sentences in the place of some rows' instructions: see DatasetOptions::relabel.
  void change_instructions(std::span<const Row> starts, Batch& batch, Random& random) {
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
  static std::optional<std::uint32_t> instruction_at(const EpisodeState& episode,
                                                     std::uint32_t policy_step) {
    std::optional<std::uint32_t> sentence;
    for (const auto& [from, number] : episode.instructions) {
      if (from <= policy_step) sentence = number;
    }
    return sentence;
  }

  // Rows of a class in log order, so that nothing depends on how they came to their stratum.
  std::vector<Row> rows_of(SampleClass sample_class, bool held_out) const {
    std::vector<Row> found;
    for (const Sampler::Stratum& s : sampler.strata()) {
      if (s.sample_class != sample_class || s.held_out != held_out) continue;
      found.insert(found.end(), s.rows.begin(), s.rows.end());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

Dataset::Dataset(FileSystem& files, DatasetOptions options)
    : state_(std::make_unique<State>(files, std::move(options))) {}
Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

Sequence Dataset::prefix() const { return state_->prefix; }
Status Dataset::take_unread() { return std::exchange(state_->unread, {}); }
std::size_t Dataset::steps_in_memory() const { return state_->rows.size(); }
std::size_t Dataset::bytes_per_step() { return sizeof(StepRow) + Sampler::bytes_per_row(); }

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

void Dataset::pass_over(const StepsRef& steps) {
  if (steps.last <= state_->prefix) return;
  state_->missing += steps.last - std::max(steps.first - 1, state_->prefix);
  state_->prefix = steps.last;
}

Status Dataset::sample(Batch& batch, std::size_t size, const Mix& mix, Random& random) {
  if (!state_->options.mapped) {
    return failed_precondition("dataset: its segments are not mapped; only probes are drawn of it");
  }
  NUDGE_TRY(state_->sampler.prepare(mix));
  state_->drawn.resize(size);
  state_->sampler.draw(state_->drawn, random);
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
    const StepRow& row = state_->rows[number];
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
    const EpisodeState& episode = s.episodes[i];
    const std::optional<bool> success = s.went_well(episode);
    if (!success) continue;
    JudgedEpisode one;
    one.episode = episode.id;
    one.purpose = *episode.purpose;
    one.task = s.tasks[episode.task];
    one.success = *success;
    one.held_out = episode.kept_back;
    for (Row number = episode.first_row; number < episode.first_row + episode.rows; ++number) {
      const StepRow& row = s.rows[number];
      if ((row.flags & ~kRowSlowed) != 0 || row.source == ControlSource::kHold) continue;
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
    StepRow& row = s.rows[token.row];
    if (row.source != ControlSource::kPolicy) continue;
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
    const EpisodeState& episode = state_->episodes[state_->rows[row].episode];
    if (episode.purpose != EpisodePurpose::kDeployment || episode.evicted ||
        state_->of_other_shape(episode)) {
      left = episode.first_row;
      continue;
    }
    if (!(state_->rows[row].flags & (kRowNoData | kRowDiscarded))) found.push_back(row);
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
    const EpisodeState& episode = s.episodes[i];
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
  const EpisodeState& episode = state_->episodes[found->second];
  if (episode.evicted) return counts;
  for (Row row = episode.first_row; row < episode.first_row + episode.rows; ++row) {
    const std::uint8_t c = state_->rows[row].step_class;
    ++counts[has_class(c) ? c : kSampleClasses];
  }
  return counts;
}

}  // namespace nudge
