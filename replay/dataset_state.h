// What a dataset holds in memory, for the files that dataset.h's functions are written in: events
// and where they lead (dataset_folding.cc), what each step teaches (dataset_classes.cc), steps and
// their columns (dataset_steps.cc), batches (dataset_batches.cc), all else (dataset.cc).
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "nudge/half.h"
#include "replay/dataset.h"
#include "replay/outcome.h"
#include "replay/segment.h"
#include "replay/segment_reader.h"

namespace nudge {

struct Dataset::State {
  using Row = Sampler::Row;
  static constexpr std::uint32_t kNoSpan = 0xffffffff;
  static constexpr std::uint32_t kEndless = 0xffffffff;  // last step of an open span
  static constexpr std::uint8_t kNoClass = 0xff;
  static constexpr std::uint8_t kTakenOut = 0xfe;     // no class, since a label says so
  static constexpr std::uint8_t kQuarantined = 0xfd;  // no class, since its takeover is suspect
  static bool has_class(std::uint8_t step_class) { return step_class < kSampleClasses; }
  static constexpr std::uint64_t kDropAtOnce = 1u << 12;    // rows, at least
  static constexpr std::uint32_t kMaxSupervisors = 10'000;  // later ones share the last number

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
    std::uint8_t step_class = kNoClass;  // SampleClass, also when dropped; or one of the three
    bool has_reference : 1 = false;      // whole and finite
    std::uint8_t token : 2 = 0;          // its own Advantage; 0: its class's
  };
  static_assert(sizeof(StepRow) == 24);

  // Address of each column of the record at offset 0, were there one: records have a fixed layout,
  // so adding a record's offset gives its columns without parsing it. Of a segment that is not
  // mapped: how far behind a record's start; adding the place where it was read to gives its
  // columns.
  struct Columns {
    std::uintptr_t features = 0;
    std::uintptr_t proprioception = 0;
    std::uintptr_t action = 0;  // executed; requested where nobody knows what was executed
    std::uintptr_t reference = 0;
    bool of_requested = false;
  };

  static constexpr std::uint32_t kNobody = 0xffffffff;

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
    bool refused = false;    // the gate holds it against the rounds that learned from it
    Sequence closed_at = 0;  // 0: it is open
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

  State(FileSystem& file_system, DatasetOptions wanted);

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
  std::map<Sha256, Sequence> judged;  // prefix of the full rounds that wait for the gate's word
  Sequence learned = 0;        // that far the gate has accepted what was taught, or set it aside
  Sequence first_refused = 0;  // prefix of the first full round that was refused since
  std::uint32_t refusals = 0;  // of full rounds, in a row
  std::vector<EpisodeId> refused;  // of each takeover that is in quarantine for it
  std::uint64_t evicted_rows = 0, dropped_rows = 0;  // still in memory; not any more
  std::uint64_t corrected_episodes = 0;
  std::uint64_t held_out_episodes = 0;
  std::uint64_t discarded = 0, taken_out = 0, quarantined = 0, unusable = 0, missing = 0;

  RowStore rows;
  Sampler sampler;
  std::vector<Row> drawn;  // reused between batches

  // ---- finding ----

  std::uint32_t episode_at(EpisodeId id);
  std::uint32_t span_at(SpanId id);
  std::uint32_t sentence_at(const std::string& text);
  void instruct(EpisodeState& episode, std::uint32_t from_step, const std::string& text);
  // Null: whoever makes them could not.
  const std::vector<float>* features_of(std::uint32_t number);
  // Of a person, through however many connections they taught.
  std::uint32_t supervisor_at(const Actor& actor);
  std::uint32_t person_at(const Actor& actor);
  bool is_excluded(std::uint32_t person) const {
    return person != kNobody && withdrawn.contains(people[person]);
  }
  Outcome outcome_of(const std::vector<Said>& said) const;
  // First row of the episode at or behind a policy step.
  Row row_from(const EpisodeState& episode, std::uint32_t policy_step) const;

  // ---- what a step is ----

  bool covers(const SpanState& span, std::uint32_t policy_step) const;
  // Suspect, and nobody has vouched for it. Only once it is closed: a span that began against the
  // limits may go on well.
  bool in_quarantine(const SpanState& span) const;
  bool of_other_shape(const EpisodeState& episode) const;
  bool leads_to_takeover(const StepRow& row, const EpisodeState& episode) const;
  static bool is_taken_over_later(const StepRow& row, const EpisodeState& episode);
  // Whether the episode went well; none: nobody said so, or it is not to be learned from.
  std::optional<bool> went_well(const EpisodeState& episode) const;
  std::optional<SampleClass> classify(const StepRow& row, const EpisodeState& episode) const;
  // Whether a step that is of no class would be of one but for a label.
  bool is_taken_out(const StepRow& row, const EpisodeState& episode) const;
  // Teaches nothing, unless the step has a token of its own.
  bool is_dropped(SampleClass c, const StepRow& row, const EpisodeState& episode) const;
  // Its row's token counts: of what people drove, in a failed demonstration alone.
  bool has_own_token(const StepRow& row) const;
  Advantage advantage_of(const StepRow& row) const;

  void place(Row number);
  void place_from(std::uint32_t episode_number, std::uint32_t first_step,
                  std::uint32_t last_step = kEndless);
  void keep_back_if_needed(std::uint32_t episode_number);
  void end_episode(std::uint32_t episode_number);

  // ---- events ----

  void fold(const Event&, const Booted& booted);
  void fold(const Event& event, const EpisodeStarted& started);
  void fold(const Event& event, const InstructionChanged& changed);
  // Said during a span or shortly before it: a label for what the person then does.
  void fold(const Event& event, const Words& said);
  void fold(const Event& event, const EpisodeEnded&) { end_episode(episode_at(event.episode)); }
  void fold(const Event& event, const SpanOpened& opened);
  void fold(const Event& event, const SpanClosed& closed);
  void fold(const Event&, const SpanSplit& split);
  void fold(const Event& event, const Label& label);
  void fold(const Event&, const StepsDiscarded& undo);
  void fold(const Event&, const WordsActed& acted);
  // May come before its words have moved anything, and stays.
  void fold(const Event&, const WordsUndone& undone);
  void undo(std::uint32_t span_number);
  void fold(const Event&, const CorrectionsWithdrawn& act);
  void fold(const Event&, const CorrectionsRestored& act);
  // Whether this person's teaching counts has changed: every episode with some of it is looked at
  // anew.
  void person_changed(const std::string& name);
  // The gate's word on full rounds: see Quarantine.
  void fold(const Event&, const CandidateReceived& candidate);
  void fold(const Event&, const WeightsAccepted& accepted);
  void fold(const Event&, const WeightsRejected& rejected);
  // A reader that still has the file mapped, and one that starts over, have the same dataset.
  void fold(const Event&, const EpisodeEvicted& gone);
  // What is left is numbered anew, in order.
  void drop_evicted_rows();
  template <typename Other>
  void fold(const Event&, const Other&) {}  // teaches nothing

  // ---- steps ----

  // Maps the file as it is now and closes it: a life has more episodes than a process may have
  // open files.
  Status map_segment(std::uint32_t number, const StepsRef& steps);
  Status look_at(EpisodeState& episode, const SegmentSpec& spec, const StepsRef& steps) const;
  // Steps of a mapped segment, to be visited with checksums: a disk that changed a number would
  // otherwise teach it to the robot.
  template <typename Visit>
  Status visit_mapped(std::uint32_t number, const StepsRef& steps, const Visit& visit);
  // The same of one that is read. The reader passes over what is damaged: there the steps end here.
  template <typename Visit>
  Status visit_read(std::uint32_t number, const StepsRef& steps, const Visit& visit);
  void remember_path(std::uint32_t number, const std::string& path);
  std::string path_of(std::uint32_t number) const;

  void locate_columns(std::uint32_t number);
  void locate_columns(std::uint32_t number, const StepView& step);
  // A robot that plays chunks by itself does not say what it did: what it was told has to do.
  static std::span<const float> action_of(const StepView& step);
  bool has_data(const EpisodeState& episode, const StepView& step) const;
  Status add(std::uint32_t number, const StepView& step);

  // ---- reading ----

  // Whether the step of `row` + 1 belongs to a window that has come as far as `row`.
  bool goes_on(Row row) const;

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

  void shape_batch(std::size_t size, std::size_t horizon, Batch& batch) const;
  // Steps of a chunk that starts here.
  std::size_t length_from(Row start, std::size_t horizon) const;
  // One chunk of `length` steps; `at(h)` for the step `h` behind the start, 0 also when length is.
  template <typename At>
  void fill(Batch& batch, std::size_t out, Row start, std::size_t length, const At& at) const;

  // Bytes of a record up to the end of its columns.
  std::size_t bytes_to_read(const StepRow& row) const;
  // A probe of a segment that is not mapped. What cannot be read any more is left out.
  void read(std::span<const Row> starts, std::size_t horizon, Batch& batch);
  Batch probe(std::span<const Row> starts, std::size_t horizon);

  // Fills the batch with one chunk per row. Records are scattered over gigabytes, so the addresses
  // of a group are asked for before any is read.
  void gather(std::span<const Row> starts, std::size_t horizon, Batch& batch) const;

  // Whether sentences are encoded here as they were when the steps were recorded: seen once, by the
  // first row whose instruction is known. Another encoder's numbers would teach nonsense.
  bool words_fit(const StepRow& row, std::span<const float> recorded);
  // Puts other sentences in the place of some rows' instructions: see DatasetOptions::relabel.
  void change_instructions(std::span<const Row> starts, Batch& batch, Random& random);
  static std::optional<std::uint32_t> instruction_at(const EpisodeState& episode,
                                                     std::uint32_t policy_step);

  // Those of an episode that may be drawn, in log order.
  std::vector<Row> corrections_of(EpisodeId id) const;
  // Rows of a class in log order, so that nothing depends on how they came to their stratum.
  std::vector<Row> rows_of(SampleClass sample_class, bool held_out) const;
};

}  // namespace nudge
