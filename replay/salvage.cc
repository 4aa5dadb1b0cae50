#include "replay/salvage.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "replay/chain_rows.h"
#include "replay/database.h"
#include "replay/event_codec.h"
#include "replay/event_row.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

constexpr std::uint64_t kCommitEvery = 2000;  // entries
constexpr std::size_t kCopyBlock = 1u << 20;  // bytes
constexpr std::size_t kOpenSegments = 4;      // files
// Of a log whose end is not known: what may have followed the newest step or signed head, which is
// renewed each minute. An entry each for sequence numbers, which have no gaps; far more than a
// minute's worth for those that may.
constexpr std::uint64_t kUnseenEntries = 1000;
constexpr std::uint64_t kUnseenNumbers = 100'000;

Status copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  auto source = files.open(from, OpenMode::kRead);
  if (!source.ok()) return source.status();
  auto target = files.open(to, OpenMode::kCreateNew);
  if (!target.ok()) return target.status();
  std::vector<std::byte> block(kCopyBlock);
  for (std::uint64_t at = 0;;) {
    const auto read = (*source)->pread(block, at);
    if (!read.ok()) return read.status();
    if (*read == 0) return {};
    NUDGE_TRY((*target)->pwrite(std::span(block).first(*read), at));
    at += *read;
  }
}

bool is_whole(Database& database) {
  const auto checked = database.text("PRAGMA integrity_check(1)");
  if (!checked.ok() || *checked != "ok") return false;
  const auto fits = chain_fits(database);
  return fits.ok() && *fits;
}

// The events that can be read, by sequence. Rows are asked for one by one: each search walks down
// the tree anew, so that a broken page hides only the rows that lie in it.
class EventRows {
 public:
  explicit EventRows(Database& database) : database_(database) {}

  Status read(std::map<Sequence, Event>& events) {
    auto prepared = database_.prepare(
        "SELECT sequence, id, kind, episode, policy_step, control_tick, time_ns, wall_time_ns, "
        "boot, actor, role, weights, payload_version, payload FROM events WHERE sequence >= ?1 "
        "ORDER BY sequence LIMIT 1");
    if (!prepared.ok()) return prepared.status();
    statement_ = *std::move(prepared);
    std::uint64_t from = 1;
    while (true) {
      Found found = at(from);
      if (found.broken) {
        const std::optional<std::uint64_t> behind = behind_damage(from);
        if (!behind) return {};
        from = *behind;
        continue;
      }
      if (found.sequence == 0) return {};
      if (found.event) events.emplace(found.sequence, *std::move(found.event));
      from = found.sequence + 1;
    }
  }

 private:
  struct Found {
    bool broken = false;
    Sequence sequence = 0;       // 0: there is none
    std::optional<Event> event;  // none: it does not decode
  };

  Found at(std::uint64_t from) {
    Found found;
    statement_.bind(1, from);
    const auto row = statement_.step();
    if (!row.ok()) {
      found.broken = true;
    } else if (*row) {
      found.sequence = statement_.natural(0);
      // A damaged row may claim to be anywhere.
      if (found.sequence < from) {
        found.broken = true;
      } else {
        Result<Event> event = event_of(statement_);
        all_decode_ = all_decode_ && event.ok();
        if (event.ok()) found.event = *std::move(event);
      }
    }
    statement_.reset();
    return found;
  }

  // The first number behind `broken` from which rows can be read again.
  std::optional<std::uint64_t> behind_damage(std::uint64_t broken) {
    std::uint64_t step = 1;
    while (step < std::uint64_t{1} << 40 && at(broken + step).broken) step *= 2;
    if (step >= std::uint64_t{1} << 40) return std::nullopt;
    std::uint64_t bad = broken + step / 2, good = broken + step;
    while (good - bad > 1) {
      const std::uint64_t middle = bad + (good - bad) / 2;
      (at(middle).broken ? bad : good) = middle;
    }
    return good;
  }

  Database& database_;
  Statement statement_;
  bool all_decode_ = true;

 public:
  bool all_decode() const { return all_decode_; }
};

struct StepPlace {
  Sequence sequence = 0;
  std::size_t segment = 0;  // index
  RecordPlace place;
};

struct Segment {
  std::string path;
  SegmentSpec spec;
};

class Salvage {
 public:
  // `rewriting`: null when a damaged log is saved.
  Salvage(FileSystem& files, std::string from, const LogOptions& to, const SalvageKnown& known,
          const LogRewriting* rewriting)
      : files_(files), from_(std::move(from)), to_(to), known_(known), rewriting_(rewriting) {}

  Result<SalvageReport> run() {
    NUDGE_TRY(files_.make_directory(to_.dir));
    NUDGE_TRY(read_events());
    NUDGE_TRY(read_segments());
    // Neither steps nor weights come before the first event.
    if (events_.empty() && (!steps_.empty() || known_.weights > 0)) report_.certain = false;
    for (const auto& [sequence, event] : events_) {
      if (event.episode != 0) note_end(event.episode, sequence);
      if (const auto* gone = std::get_if<EpisodeEvicted>(&event.payload)) {
        if (gone->first != 0) evicted_[gone->first] = *gone;
      }
    }
    look_for_numbers();
    auto log = Log::open(files_, to_);
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    NUDGE_TRY(write());
    report_.head = log_->head();
    return report_;
  }

 private:
  // ---- what there is ----

  Status read_events() {
    const std::string copy = to_.dir + "/damaged.db";
    const Status copied = copy_file(files_, from_ + "/log.db", copy);
    if (copied.code() == Code::kNotFound) {
      report_.database = false;
      return {};
    }
    NUDGE_TRY(copied);
    const Status journal = copy_file(files_, from_ + "/log.db-wal", copy + "-wal");
    if (!journal.ok() && journal.code() != Code::kNotFound) return journal;
    Status read;
    {
      auto database = Database::open(copy, Database::Mode::kExisting);
      read = database.status();
      if (database.ok()) {
        EventRows rows(**database);
        read = rows.read(events_);
        report_.certain = read.ok() && rows.all_decode() && is_whole(**database);
      }
    }
    // Whatever is wrong with it: what it gave is what there is.
    report_.database = read.ok();
    for (const char* suffix : {"", "-wal", "-shm"}) (void)files_.remove(copy + suffix);
    report_.events = events_.size();
    // Heads are of events.
    const Sequence newest = events_.empty() ? 0 : events_.rbegin()->first;
    if (newest < known_.head || known_.cut_off) report_.certain = false;
    return {};
  }

  Status read_segments() {
    const std::string folder = from_ + "/segments";
    const auto names = files_.list(folder);
    if (names.status().code() == Code::kNotFound) return {};
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      const std::string path = folder + "/" + name;
      auto reader = SegmentReader::open(files_, path);
      if (!reader.ok()) {
        ++report_.damaged_segments;
        continue;
      }
      auto file = files_.open(path, OpenMode::kRead);
      if (!file.ok()) return file.status();
      const auto size = (*file)->size();
      if (!size.ok()) return size.status();
      const std::size_t number = segments_.size();
      segments_.push_back({path, (*reader)->spec()});
      const EpisodeId episode = (*reader)->spec().episode;
      specs_.emplace(episode, (*reader)->spec());
      std::uint64_t end = (*reader)->first();
      bool gap = false;
      const auto whole =
          (*reader)->scan(end, *size, [&](const StepView& step, const RecordPlace& place) {
            highest_.span = std::max(highest_.span, step.span);
            highest_.weights = std::max(highest_.weights, step.weights);
            if (step.episode == episode && step.sequence != 0) {
              steps_.push_back({step.sequence, number, place});
              note_end(episode, step.sequence);
            }
            gap = gap || place.offset != end;
            end = place.offset + place.bytes;
            return true;
          });
      // Zeros behind the last record are space that was reserved, no damage.
      if (!whole.ok() || gap || (!*whole && !zeros_from(**file, end, *size))) {
        ++report_.damaged_segments;
      }
    }
    std::stable_sort(steps_.begin(), steps_.end(), [](const StepPlace& a, const StepPlace& b) {
      return a.sequence < b.sequence;
    });
    return {};
  }

  static bool zeros_from(File& file, std::uint64_t from, std::uint64_t end) {
    std::vector<std::byte> block(kCopyBlock);
    while (from < end) {
      const auto read = file.pread(
          std::span(block).first(std::min<std::uint64_t>(block.size(), end - from)), from);
      if (!read.ok() || *read == 0) return false;
      const auto bytes = std::span(block).first(*read);
      if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
        return false;
      }
      from += *read;
    }
    return true;
  }

  void note_end(EpisodeId episode, Sequence sequence) {
    Sequence& end = ends_[episode];
    end = std::max(end, sequence);
  }

  // ---- the new log ----

  Status write() {
    Sequence last = std::max(events_.empty() ? 0 : events_.rbegin()->first,
                             steps_.empty() ? 0 : steps_.back().sequence);
    if (known_.head > last + kMaxMissing) {
      return data_loss("the newest signed head is of entry " + std::to_string(known_.head) +
                       ", and the log has " + std::to_string(last) +
                       "; they do not belong together. Take audit/head.json away if it is not this "
                       "log's");
    }
    last = std::max(last, known_.head);
    known_end_ = last;
    if (!report_.certain) last += kUnseenEntries;
    auto next_step = steps_.begin();
    for (Sequence number = 1; number <= last; ++number) {
      while (next_step != steps_.end() && next_step->sequence < number) ++next_step;
      bool done = false;
      if (const auto event = events_.find(number); event != events_.end()) {
        const auto taken = take(event->second, number);
        if (!taken.ok()) return taken.status();
        done = *taken;
        if (!done) --report_.events;
      } else if (next_step != steps_.end() && next_step->sequence == number) {
        const auto taken = take(*next_step, number);
        if (!taken.ok()) return taken.status();
        done = *taken;
        report_.steps += done ? 1 : 0;
      } else {
        const auto placed = place_evicted(number);
        if (!placed.ok()) return placed.status();
        done = *placed;
      }
      if (!done) NUDGE_TRY(fill(number));
      if (number % kCommitEvery == 0) NUDGE_TRY(log_->commit());
    }
    if (rewriting_ != nullptr) {
      if (report_.lost > 0 || report_.damaged_segments > 0 || !report_.database) {
        return data_loss(from_ + " is damaged: run 'nudge log salvage' first");
      }
      return log_->commit();
    }
    if (log_->open_episode() != 0) NUDGE_TRY(close(last + 1));
    std::string said =
        std::to_string(report_.lost) + " entries of the damaged log could not be read";
    if (!report_.certain) {
      if (highest_.weights > 0) {
        NUDGE_TRY(append(
            "salvage:weights:" + to_.boot,
            WeightsRolledBack{.from = highest_.weights, .to = 0, .reason = "log_damaged"}, 0));
      }
      NUDGE_TRY(append("salvage:learning:" + to_.boot,
                       LearningPaused{"the log was damaged: who was withdrawn may be forgotten"},
                       0));
      Floors floors = highest_;
      const std::uint64_t unseen = report_.lost + kUnseenNumbers;
      floors.episode += unseen;
      floors.span += unseen;
      floors.weights += unseen;
      floors.lease += unseen;
      said += "; " + floors.print();
    }
    NUDGE_TRY(append(std::string(Floors::kId) + to_.boot, Fault{"salvage", said}, 0));
    return log_->commit();
  }

  // The numbers that were found.
  void look_for_numbers() {
    highest_.weights = std::max(highest_.weights, known_.weights);
    for (const Segment& segment : segments_) {
      highest_.episode = std::max(highest_.episode, segment.spec.episode);
    }
    for (const auto& [sequence, event] : events_) {
      highest_.episode = std::max(highest_.episode, event.episode);
      highest_.weights = std::max(highest_.weights, event.weights);
      const std::uint64_t subject = subject_of(event.payload);
      if (std::holds_alternative<SpanOpened>(event.payload)) {
        highest_.span = std::max(highest_.span, subject);
      } else if (std::holds_alternative<WeightsAccepted>(event.payload)) {
        highest_.weights = std::max(highest_.weights, subject);
      } else if (std::holds_alternative<LeaseGranted>(event.payload)) {
        highest_.lease = std::max(highest_.lease, subject);
      } else if (event.id.starts_with(Floors::kId)) {
        const auto* fault = std::get_if<Fault>(&event.payload);
        const auto before = fault != nullptr ? Floors::parse(fault->detail) : std::nullopt;
        if (!before) continue;
        highest_.episode = std::max(highest_.episode, before->episode);
        highest_.span = std::max(highest_.span, before->span);
        highest_.weights = std::max(highest_.weights, before->weights);
        highest_.lease = std::max(highest_.lease, before->lease);
      }
    }
  }

  // Whether the log took it, under the number that it has.
  Result<bool> took(const Result<Sequence>& appended, Sequence number) {
    if (!appended.ok()) {
      const Code code = appended.status().code();
      if (code == Code::kInvalidArgument || code == Code::kFailedPrecondition) return false;
      return appended.status();
    }
    return *appended == number;  // another: its id is there twice, and nothing was appended
  }

  Result<bool> start(EpisodeId episode) {
    if (log_->open_episode() == episode) return true;
    if (log_->open_episode() != 0 || episode == 0) return false;
    SegmentSpec spec;
    spec.action_size = 1;
    if (const auto known = specs_.find(episode); known != specs_.end()) spec = known->second;
    spec.episode = episode;
    if (rewriting_ != nullptr) spec = rewriting_->segment(spec);
    const auto started = log_->start_episode(spec);
    if (started.ok()) return true;
    if (started.status().code() == Code::kInvalidArgument) return false;
    return started.status();
  }

  Result<bool> take(const Event& event, Sequence number) {
    if (rewriting_ != nullptr) rewriting_->event(event);
    if (std::holds_alternative<EpisodeEvicted>(event.payload)) {
      const Status evicted = log_->evict(event);
      if (evicted.code() == Code::kInvalidArgument || evicted.code() == Code::kFailedPrecondition) {
        return false;
      }
      NUDGE_TRY(evicted);
      return log_->stats().appended == number;
    }
    if (std::holds_alternative<EpisodeStarted>(event.payload)) {
      const auto started = start(event.episode);
      if (!started.ok() || !*started) return started;
    }
    return took(log_->append(event), number);
  }

  Result<bool> take(const StepPlace& where, Sequence number) {
    const Segment& segment = segments_[where.segment];
    const auto started = start(segment.spec.episode);
    if (!started.ok() || !*started) return started;
    auto reader = reader_of(where.segment);
    if (!reader.ok()) return reader.status();
    const auto view = (*reader)->read(where.place);
    if (!view.ok()) return false;  // the disk gives something else than a moment ago
    Step step = copy_of(*view, segment.spec);
    if (rewriting_ != nullptr) NUDGE_TRY(rewriting_->step(segment.spec, step));
    return took(log_->append(step), number);
  }

  // Steps that were evicted have their numbers still, and go again when their event comes.
  Result<bool> place_evicted(Sequence number) {
    auto after = evicted_.upper_bound(number);
    if (after == evicted_.begin()) return false;
    const EpisodeEvicted& gone = std::prev(after)->second;
    if (number > gone.last) return false;
    const auto started = start(gone.episode);
    if (!started.ok() || !*started) return started;
    Step step;
    step.episode = gone.episode;
    step.policy_step = placed_[gone.episode]++;
    return took(log_->append(step), number);
  }

  Status append(std::string id, Payload payload, EpisodeId episode) {
    Event event;
    event.id = std::move(id);
    event.episode = episode;
    event.time = to_.now;
    event.wall_time = to_.wall_now;
    event.boot = to_.boot;
    event.actor = {"nudge", Role::kScript};
    event.payload = std::move(payload);
    return log_->append(std::move(event)).status();
  }
  Status close(Sequence number) {
    return append("salvage:" + std::to_string(number), EpisodeEnded{EpisodeEnd::kAborted, 0},
                  log_->open_episode());
  }
  // Stands for an entry that cannot be read. When nothing more comes of the open episode, it was
  // that episode's end, as likely as not; and it has to end.
  Status fill(Sequence number) {
    const bool seen = number <= known_end_;
    report_.lost += seen ? 1 : 0;
    const EpisodeId open = log_->open_episode();
    if (open != 0 && ends_[open] < number) return close(number);
    return append("salvage:" + std::to_string(number),
                  Fault{"salvage", "entry " + std::to_string(number) +
                                       (seen ? " could not be read" : " may have been there")},
                  0);
  }

  Result<SegmentReader*> reader_of(std::size_t segment) {
    if (const auto known = readers_.find(segment); known != readers_.end()) {
      return known->second.get();
    }
    auto reader = SegmentReader::open(files_, segments_[segment].path);
    if (!reader.ok()) return reader.status();
    if (readers_.size() >= kOpenSegments) readers_.erase(readers_.begin());
    return (readers_[segment] = *std::move(reader)).get();
  }

  FileSystem& files_;
  std::string from_;
  LogOptions to_;
  SalvageKnown known_;
  const LogRewriting* rewriting_;
  SalvageReport report_;
  Floors highest_;
  Sequence known_end_ = 0;  // the last entry that there was for certain
  std::map<Sequence, Event> events_;
  std::vector<StepPlace> steps_;  // sorted
  std::vector<Segment> segments_;
  std::map<EpisodeId, SegmentSpec> specs_;
  std::map<EpisodeId, Sequence> ends_;          // the last entry that is known of each
  std::map<Sequence, EpisodeEvicted> evicted_;  // by first step
  std::map<EpisodeId, std::uint32_t> placed_;   // steps that stand for evicted ones
  std::map<std::size_t, std::unique_ptr<SegmentReader>> readers_;
  std::unique_ptr<Log> log_;
};

constexpr std::string_view kNames[] = {"numbers go on behind episode ", ", span ", ", weights ",
                                       ", lease "};

}  // namespace

std::string Floors::print() const {
  const std::uint64_t numbers[] = {episode, span, weights, lease};
  std::string text;
  for (std::size_t i = 0; i < 4; ++i) text.append(kNames[i]).append(std::to_string(numbers[i]));
  return text;
}

std::optional<Floors> Floors::parse(std::string_view text) {
  const std::size_t begin = text.find(kNames[0]);
  if (begin == std::string_view::npos) return std::nullopt;
  text.remove_prefix(begin);
  std::uint64_t numbers[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    if (!text.starts_with(kNames[i])) return std::nullopt;
    text.remove_prefix(kNames[i].size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), numbers[i]);
    // What is stored of a number is a signed one.
    if (error != std::errc() || numbers[i] > INT64_MAX / 2) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  if (!text.empty()) return std::nullopt;
  return Floors{
      .episode = numbers[0], .span = numbers[1], .weights = numbers[2], .lease = numbers[3]};
}

namespace {

Result<SalvageReport> made_anew(FileSystem& files, const std::string& from, const LogOptions& to,
                                const SalvageKnown& known, const LogRewriting* rewriting) {
  const auto there = files.exists(to.dir);
  if (!there.ok()) return there.status();
  if (*there) return already_exists(to.dir + " is there already; remove it first");
  const auto names = files.list(from);
  if (!names.ok()) return names.status();
  const bool log = std::any_of(names->begin(), names->end(), [](const std::string& name) {
    return name == "log.db" || name == "segments";
  });
  if (!log) return not_found("there is no log in " + from);
  return Salvage(files, from, to, known, rewriting).run();
}

}  // namespace

Result<SalvageReport> salvage_log(FileSystem& files, const std::string& from, const LogOptions& to,
                                  const SalvageKnown& known) {
  return made_anew(files, from, to, known, nullptr);
}

Result<SalvageReport> copy_log(FileSystem& files, const std::string& from, const LogOptions& to,
                               const LogRewriting& rewriting) {
  return made_anew(files, from, to, {}, &rewriting);
}

}  // namespace nudge
