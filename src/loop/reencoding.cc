#include "src/loop/reencoding.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "replay/crc32c.h"
#include "replay/salvage.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

constexpr std::array<char, 8> kMagic = {'N', 'U', 'D', 'G', 'E', 'F', 'E', '1'};
constexpr std::size_t kHashBytes = 64;
constexpr std::size_t kHeaderBytes = kMagic.size() + kHashBytes;
constexpr std::size_t kSyncRows = 256;

// What was encoded so far, in the order of the log: a header (magic, the backbone's hash), then per
// step its sequence (u64), its features (f32, little-endian) and their CRC-32C. Whatever does not
// follow from what stands before it is cut off and made again.
class FeatureCache {
 public:
  static Result<std::unique_ptr<FeatureCache>> open(FileSystem& files, const std::string& path,
                                                    const Backbone& backbone) {
    Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kCreate);
    if (!file.ok()) return file.status();
    std::unique_ptr<FeatureCache> cache(
        new FeatureCache(*std::move(file), backbone.feature_size()));
    std::array<std::byte, kHeaderBytes> header{}, wanted{};
    std::memcpy(wanted.data(), kMagic.data(), kMagic.size());
    std::memcpy(wanted.data() + kMagic.size(), backbone.hash().data(),
                std::min(kHashBytes, backbone.hash().size()));
    const auto read = cache->file_->pread(header, 0);
    if (!read.ok()) return read.status();
    if (*read != header.size() || header != wanted) {
      NUDGE_TRY(cache->file_->truncate(0));
      NUDGE_TRY(cache->file_->pwrite(wanted, 0));
      cache->reading_ = false;
    }
    return cache;
  }

  // Of this step, if it is the next one; empty otherwise, and from then on.
  Result<std::vector<float>> next(Sequence sequence) {
    std::vector<float> features;
    if (!reading_) return features;
    const auto read = file_->pread(row_, at_);
    if (!read.ok()) return read.status();
    if (*read == row_.size()) {
      Sequence of = 0;
      std::uint32_t crc = 0;
      std::memcpy(&of, row_.data(), sizeof of);
      std::memcpy(&crc, row_.data() + row_.size() - sizeof crc, sizeof crc);
      const auto covered = std::span(row_).first(row_.size() - sizeof crc);
      if (of == sequence && crc32c(covered) == crc) {
        features.resize(size_);
        std::memcpy(features.data(), row_.data() + sizeof of, size_ * sizeof(float));
        at_ += row_.size();
        return features;
      }
    }
    reading_ = false;
    NUDGE_TRY(file_->truncate(at_));
    return features;
  }

  Status put(Sequence sequence, const std::vector<float>& features) {
    std::memcpy(row_.data(), &sequence, sizeof sequence);
    std::memcpy(row_.data() + sizeof sequence, features.data(), size_ * sizeof(float));
    const std::uint32_t crc = crc32c(std::span(row_).first(row_.size() - sizeof(std::uint32_t)));
    std::memcpy(row_.data() + row_.size() - sizeof crc, &crc, sizeof crc);
    NUDGE_TRY(file_->pwrite(row_, at_));
    at_ += row_.size();
    return ++unsynced_ % kSyncRows == 0 ? file_->sync() : Status();
  }

 private:
  FeatureCache(std::unique_ptr<File> file, std::size_t size)
      : file_(std::move(file)),
        size_(size),
        row_(sizeof(Sequence) + size * sizeof(float) + sizeof(std::uint32_t)) {}

  std::unique_ptr<File> file_;
  std::size_t size_;
  std::vector<std::byte> row_;  // reused
  std::uint64_t at_ = kHeaderBytes;
  bool reading_ = true;
  std::size_t unsynced_ = 0;
};

class Reencoding {
 public:
  Reencoding(Backbone& backbone, FeatureCache& cache, std::uint64_t total,
             const OnReencoded& on_progress)
      : backbone_(backbone), cache_(cache), total_(total), on_progress_(on_progress) {}

  void hear(const Event& event) {
    if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
      instruction_ = started->instruction;
    } else if (const auto* changed = std::get_if<InstructionChanged>(&event.payload)) {
      instruction_ = changed->instruction;
    }
  }
  SegmentSpec rewritten(SegmentSpec spec) const {
    spec.feature_size = backbone_.feature_size();
    spec.backbone_hash = backbone_.hash();
    return spec;
  }
  Status rewrite(const SegmentSpec& spec, Step& step) {
    ++report.steps;
    on_progress_(step.sequence, total_);
    if (spec.backbone_hash == backbone_.hash()) {
      ++report.kept;
      return {};
    }
    Result<std::vector<float>> known = cache_.next(step.sequence);
    if (!known.ok()) return known.status();
    if (!known->empty()) {
      step.features = *std::move(known);
      ++report.reused;
      return {};
    }
    Observation seen;
    seen.time = step.time;
    seen.proprioception = step.proprioception;
    seen.images = step.images;
    Result<std::vector<float>> made = backbone_.encode(seen, instruction_);
    const Code code = made.status().code();
    if (code == Code::kUnavailable || code == Code::kInvalidArgument) {
      step.features.clear();
      ++report.without;
      return {};
    }
    if (!made.ok()) return made.status().with_context("step " + std::to_string(step.sequence));
    NUDGE_TRY(cache_.put(step.sequence, *made));
    step.features = *std::move(made);
    ++report.encoded;
    return {};
  }

  ReencodeReport report;

 private:
  Backbone& backbone_;
  FeatureCache& cache_;
  std::uint64_t total_;
  const OnReencoded& on_progress_;
  std::string instruction_;  // in force
};

}  // namespace

Result<ReencodeReport> reencode_log(FileSystem& files, const std::string& state_folder,
                                    Backbone& backbone, Instant now, WallTime wall,
                                    const OnReencoded& on_progress) {
  const std::string folder = state_folder + "/log", work = state_folder + "/log.reencoding";
  const std::string name = std::to_string(wall.time_since_epoch() / std::chrono::seconds(1));
  LogOptions options;
  options.boot = "reencode-" + name;
  options.now = now;
  options.wall_now = wall;
  const std::string complete = state_folder + "/" + kReencodedMark;
  const Result<std::string> finished = finish_replacement(files, state_folder);
  if (!finished.ok()) return finished.status();
  const Result<bool> there = files.exists(folder + "/log.db");
  if (!there.ok()) return there.status();
  if (!*there) return not_found("there is no log in " + state_folder + "; name it with --state");
  std::uint64_t total = 0;
  {
    // Not read-only: what a crash has left open is closed first, once and for all.
    options.dir = folder;
    const Result<std::unique_ptr<Log>> log = open_state_log(files, state_folder, options);
    if (!log.ok()) return log.status();
    NUDGE_TRY((*log)->commit());
    NUDGE_TRY((*log)->checkpoint());
    total = (*log)->durable();
  }
  const Result<std::unique_ptr<File>> lock = files.open(folder + "/lock", OpenMode::kCreate);
  if (!lock.ok()) return lock.status();
  if (!(*lock)->lock().ok()) {
    return unavailable(folder + ": the log is in use; stop the daemon first");
  }
  NUDGE_TRY(files.make_directory(work));
  const Status unmarked = files.remove(complete);
  if (!unmarked.ok() && unmarked.code() != Code::kNotFound) return unmarked;
  Result<std::unique_ptr<FeatureCache>> cache =
      FeatureCache::open(files, work + "/features", backbone);
  if (!cache.ok()) return cache.status();
  options.dir = state_folder + "/" + kReencoded;
  // Half a log is made again, from the features that are there: copying takes little time.
  NUDGE_TRY(files.remove_folder(options.dir));
  Reencoding reencoding(backbone, **cache, total, on_progress);
  const Result<SalvageReport> copied =
      copy_log(files, folder, options,
               {.event = [&](const Event& event) { reencoding.hear(event); },
                .segment = [&](const SegmentSpec& spec) { return reencoding.rewritten(spec); },
                .step = [&](const SegmentSpec& spec,
                            Step& step) { return reencoding.rewrite(spec, step); }});
  if (!copied.ok()) return copied.status();
  ReencodeReport& report = reencoding.report;
  if (report.encoded + report.reused + report.kept == 0) {
    NUDGE_TRY(files.remove_folder(work));
    return failed_precondition("of " + std::to_string(report.steps) +
                               " steps not one has the pictures that this backbone looks at: the "
                               "log stays as it is");
  }
  if (report.kept == report.steps) {
    NUDGE_TRY(files.remove_folder(work));
    return report;
  }
  {
    const Result<std::unique_ptr<File>> mark = files.open(complete, OpenMode::kCreate);
    if (!mark.ok()) return mark.status();
    NUDGE_TRY((*mark)->sync());
    NUDGE_TRY(files.sync_directory(work));
  }
  report.set_aside = state_folder + "/" + std::string(kBeforePrefix) + name;
  NUDGE_TRY(replace_log(files, state_folder, kReencoded, report.set_aside));
  // The daemon signs one in any case.
  (void)seal_new_log(state_folder, copied->head, wall);
  NUDGE_TRY(files.remove_folder(work));
  return report;
}

}  // namespace nudge
