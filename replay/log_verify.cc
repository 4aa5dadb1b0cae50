#include <algorithm>
#include <set>
#include <unordered_map>

#include "replay/event_row.h"
#include "replay/log_state.h"
#include "replay/segment_reader.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxProblems = 100;

std::string steps_of(const ChainedRun& run) {
  return "steps " + std::to_string(run.first) + " to " + std::to_string(run.last);
}

}  // namespace

// Walks events and runs side by side, in the order of their sequence, and makes every link anew.
class Log::State::Verifier {
 public:
  Verifier(State& log, std::vector<ChainHead> heads) : log_(log), heads_(std::move(heads)) {
    std::sort(heads_.begin(), heads_.end(),
              [](const ChainHead& a, const ChainHead& b) { return a.sequence < b.sequence; });
    head_ = heads_.begin();
  }

  Result<VerifyReport> run() {
    report_.last = log_.durable;
    NUDGE_TRY(check_database());
    NUDGE_TRY(list_segments());
    NUDGE_TRY(walk());
    judge_end();
    return std::move(report_);
  }

 private:
  void problem(std::string what) {
    if (report_.problems.size() >= kMaxProblems) return;
    // Damaged text is quoted, and people's terminals are to survive it.
    std::replace_if(
        what.begin(), what.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    report_.problems.push_back(std::move(what));
  }
  // The walk meets the sequence in order, so the first place told is the first there is.
  void problem_at(Sequence sequence, std::string what) {
    if (report_.first_bad == 0) report_.first_bad = sequence;
    problem(std::move(what));
  }

  Status check_database() {
    auto check = log_.database->prepare("PRAGMA integrity_check");
    if (!check.ok()) return check.status();
    for (;;) {
      const auto row = check->step();
      if (!row.ok()) problem("log.db: " + row.status().message());
      if (!row.ok() || !*row) return {};
      if (check->text(0) != "ok") problem("log.db: " + std::string(check->text(0)));
    }
  }

  // How far each was committed, and which files there should be.
  Status list_segments() {
    std::set<std::string> known;
    auto segments = log_.database->prepare("SELECT episode, file, committed_bytes FROM segments");
    if (!segments.ok()) return segments.status();
    for (;;) {
      const auto row = segments->step();
      if (!row.ok()) return row.status().with_context("log");
      if (!*row) break;
      ++report_.segments;
      committed_[segments->natural(0)] = segments->natural(2);
      known.emplace(segments->text(1));
    }
    const auto names = log_.files->list(log_.segments_dir());
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (!known.contains(name)) problem("segments/" + name + ": the log does not know this file");
    }
    return {};
  }

  Status walk() {
    const auto later = log_.database->number("SELECT coalesce(max(linked_later), 0) FROM chain");
    if (!later.ok()) return later.status();
    report_.linked_later = static_cast<Sequence>(*later);
    link_ = chain_origin(report_.linked_later);
    auto events = log_.select_events("ORDER BY sequence");
    if (!events.ok()) return events.status();
    auto runs = log_.database->prepare("SELECT " + std::string(kRunColumns) +
                                       " FROM runs ORDER BY first_sequence");
    if (!runs.ok()) return runs.status();
    auto more_events = events->step();
    auto more_runs = runs->step();
    for (;;) {
      if (!more_events.ok()) return more_events.status().with_context("log");
      if (!more_runs.ok()) return more_runs.status().with_context("log");
      if (!*more_events && !*more_runs) return {};
      if (*more_events && (!*more_runs || events->natural(0) < runs->natural(0))) {
        take_event(*events);
        more_events = events->step();
      } else {
        take_run(chained_run(*runs));
        more_runs = runs->step();
      }
    }
  }

  void arrive(Sequence first, Sequence last) {
    if (first != expected_) {
      problem_at(std::min(first, expected_), "sequence " + std::to_string(expected_) +
                                                 " should come next, " + std::to_string(first) +
                                                 " is there");
    }
    expected_ = last + 1;
  }

  void take_event(const Statement& row) {
    const Sequence sequence = row.natural(0);
    arrive(sequence, sequence);
    ++report_.events;
    if (!ids_.emplace(row.text(1)).second) {
      problem("event " + std::to_string(sequence) + ": its id is there twice");
    }
    if (const auto event = event_of(row); !event.ok()) {
      problem_at(sequence, event.status().message());
    }
    // The next link is tried from the one that is stored: so only what was changed is named.
    const ChainHash expected = chain_link(link_, trail_, chained_event(row));
    link_ = hash_of(row, 15).value_or(ChainHash{});
    if (link_ != expected) {
      problem_at(sequence, "event " + std::to_string(sequence) + " (" + std::string(row.text(2)) +
                               "): its link does not fit: it was changed, or something just "
                               "before it was changed, removed or inserted");
    }
    trail_.clear();
    compare_heads(sequence);
  }

  void compare_heads(Sequence sequence) {
    for (; head_ != heads_.end() && head_->sequence <= sequence; ++head_) {
      if (*head_ == ChainHead{sequence, link_}) {
        agreed_ = sequence;
        continue;
      }
      problem_at(agreed_ + 1, "the head kept of event " + std::to_string(head_->sequence) +
                                  " is not what the log holds there: an event from " +
                                  std::to_string(agreed_ + 1) + " to " +
                                  std::to_string(head_->sequence) +
                                  " was changed, and the links after it made anew");
      head_ = heads_.end() - 1;  // those after it say the same
    }
  }

  void take_run(const ChainedRun& run) {
    arrive(run.first, run.last);
    trail_.push_back(run);
    if (log_.evicted.contains(run.episode)) {
      report_.evicted_steps += run.last - run.first + 1;
    } else if (run.end_offset > committed_[run.episode]) {
      problem_at(run.first, steps_of(run) + " lie behind what their segment committed");
    } else if (const Status status = read_steps(run); !status.ok()) {
      problem_at(run.first, status.message());
    }
    const auto before = reached_.find(run.episode);
    if (before != reached_.end() && before->second != run.first_offset) {
      problem_at(run.first, steps_of(run) + " do not follow those before them in their segment");
    }
    reached_[run.episode] = run.end_offset;
  }

  Status read_steps(const ChainedRun& run) {
    const std::string path = log_.segment_path(run.episode);
    if (reader_ == nullptr || read_ != path) {
      auto opened = SegmentReader::open(*log_.files, path);
      if (!opened.ok()) return opened.status();
      reader_ = *std::move(opened);
      read_ = path;
    }
    if (reader_->spec().episode != run.episode) return data_loss(path + ": of another episode");
    Sequence expected = run.first;
    std::uint64_t end = run.first_offset;
    bool in_order = true;
    ChainHash digest{};
    const auto visit = [&](const StepView& step, const RecordPlace& place) {
      // What is damaged is passed over, and what is behind it begins elsewhere.
      if (place.offset != end) return false;
      end += place.bytes;
      in_order = step.sequence == expected;
      ++expected;
      ++report_.steps;
      if (run.digest) digest = chain_record(digest, step.record);
      return in_order;
    };
    const Result<bool> whole = reader_->scan(run.first_offset, run.end_offset, visit);
    if (!whole.ok()) return whole.status();
    if (in_order && end != run.end_offset) {
      return data_loss(path + ": at byte " + std::to_string(end) +
                       ": the record is cut off, or its checksum does not match");
    }
    if (!in_order || expected != run.last + 1) {
      return data_loss(path + ": the steps are not " + std::to_string(run.first) + " to " +
                       std::to_string(run.last));
    }
    if (!run.digest) {
      report_.unhashed_steps += run.last - run.first + 1;
    } else if (digest != *run.digest) {
      return data_loss(path + ": the " + steps_of(run) + " were changed after they were stored");
    }
    return {};
  }

  void judge_end() {
    if (expected_ != log_.durable + 1) {
      problem("the log ends at " + std::to_string(expected_ - 1) + ", not at " +
              std::to_string(log_.durable));
    }
    if (head_ != heads_.end()) {
      problem_at(expected_, "the log is cut off: it ends at " + std::to_string(expected_ - 1) +
                                ", and the head kept of event " +
                                std::to_string(heads_.back().sequence) +
                                " says that there was more; the first that is missing is " +
                                std::to_string(expected_));
    }
  }

  State& log_;
  std::vector<ChainHead> heads_;
  std::vector<ChainHead>::iterator head_;  // the next that the walk will meet
  VerifyReport report_;

  std::unordered_map<EpisodeId, std::uint64_t> committed_, reached_;  // bytes in its segment
  std::set<std::string, std::less<>> ids_;
  ChainHash link_{};               // of the newest event
  std::vector<ChainedRun> trail_;  // runs behind it
  Sequence agreed_ = 0;            // newest head that the log holds
  Sequence expected_ = 1;          // what comes next
  std::unique_ptr<SegmentReader> reader_;
  std::string read_;  // its path
};

Result<VerifyReport> Log::verify(std::vector<ChainHead> heads) {
  return State::Verifier(*state_, std::move(heads)).run();
}

}  // namespace nudge
