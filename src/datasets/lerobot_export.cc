#include "src/datasets/lerobot_export.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "replay/person.h"
#include "replay/segment_reader.h"
#include "src/datasets/episode_story.h"
#include "src/datasets/lerobot_rows.h"
#include "src/datasets/lerobot_tables.h"
#include "src/datasets/parquet_writer.h"

namespace nudge {
namespace {

constexpr std::size_t kPage = 1'000;              // episodes asked for at a time
constexpr std::uint64_t kMaxLedger = 1ull << 30;  // bytes
constexpr const char* kLedger = "meta/nudge.jsonl";

std::string purpose_name(EpisodePurpose purpose) {
  switch (purpose) {
    case EpisodePurpose::kDeployment: return "deployment";
    case EpisodePurpose::kDemonstration: return "demonstration";
    case EpisodePurpose::kEvaluation: return "evaluation";
  }
  return "deployment";
}

std::string outcome_name(LabelValue value) {
  switch (value) {
    case LabelValue::kSuccess: return "success";
    case LabelValue::kFailure: return "failure";
    case LabelValue::kDiscard: return "discard";
    case LabelValue::kNone: break;
  }
  return "none";
}

// Makes the folders of a path below `root`.
Status make_folders(FileSystem& files, const std::string& root, const std::string& path) {
  for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
    NUDGE_TRY(files.make_directory(root + "/" + path.substr(0, at)));
  }
  return {};
}

Result<std::string> read_file(FileSystem& files, const std::string& path, std::uint64_t most) {
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const Result<std::uint64_t> size = (*file)->size();
  if (!size.ok()) return size.status();
  if (*size > most) return data_loss(path + " is too large to be what it should be");
  std::string text(*size, '\0');
  const Result<std::size_t> got =
      (*file)->pread(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  if (!got.ok()) return got.status();
  text.resize(*got);
  return text;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class Exporter {
 public:
  using Progress = std::function<void(std::uint64_t, std::uint64_t)>;
  Exporter(FileSystem& files, Log& log, const LerobotExportOptions& options,
           const Progress& progress)
      : files_(files), log_(log), options_(options), progress_(progress) {}

  Result<LerobotExportReport> run() {
    NUDGE_TRY(open());
    Result<std::vector<EpisodeSummary>> chosen = choose();
    if (!chosen.ok()) return chosen.status();
    if (!shape_) NUDGE_TRY(shape_by_pictures(*chosen));
    for (const EpisodeSummary& episode : *chosen) total_ += episode.steps;
    for (const EpisodeSummary& episode : *chosen) {
      NUDGE_TRY(take(episode));
      done_ += episode.steps;
      progress_(std::min(done_, total_), total_);
    }
    NUDGE_TRY(commit_group());
    if (!shape_) {
      std::string why = "there is no episode to export";
      if (!report_.skipped.empty()) {
        why += "; episode " + std::to_string(report_.skipped.front().first) + ": " +
               report_.skipped.front().second;
      }
      return not_found(why);
    }
    NUDGE_TRY(write_derived());
    report_.episodes = episodes_.size();
    report_.rows = rows_;
    report_.shape = *shape_;
    return std::move(report_);
  }

 private:
  std::string at(const std::string& path) const { return options_.dir + "/" + path; }
  std::string pending(const std::string& name) const { return at(".nudge/" + name); }
  static std::string pending_video(std::size_t camera) {
    return "video-" + std::to_string(camera) + ".mp4";
  }

  // ---- what is there already ----

  Status open() {
    NUDGE_TRY(files_.make_directory(options_.dir));
    Result<bool> ledger = files_.exists(at(kLedger));
    if (!ledger.ok()) return ledger.status();
    if (!*ledger) {
      const Result<bool> foreign = files_.exists(at("meta/info.json"));
      if (!foreign.ok()) return foreign.status();
      if (*foreign) {
        return already_exists(options_.dir +
                              " holds a data set that Nudge did not export; name "
                              "another folder");
      }
    }
    NUDGE_TRY(files_.make_directory(at(".nudge")));
    NUDGE_TRY(files_.make_directory(at("meta")));
    Result<std::unique_ptr<File>> lock = files_.open(pending("lock"), OpenMode::kCreate);
    if (!lock.ok()) return lock.status();
    lock_ = *std::move(lock);
    if (const Status taken = lock_->lock(); !taken.ok()) {
      return unavailable("another export is at work in " + options_.dir);
    }
    if (*ledger) NUDGE_TRY(read_ledger());
    NUDGE_TRY(finish_renames());
    return clear_pending();
  }

  Status read_ledger() {
    Result<std::string> text = read_file(files_, at(kLedger), kMaxLedger);
    if (!text.ok()) return text.status();
    // A line that was being written when the power went has no end, and counts for nothing.
    const std::size_t whole = text->rfind('\n');
    ledger_bytes_ = whole == std::string::npos ? 0 : whole + 1;
    std::string_view rest(text->data(), ledger_bytes_);
    bool head = true;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      if (head) {
        Result<LerobotShape> shape = parse_ledger_head(line);
        if (!shape.ok()) return shape.status();
        shape_ = *std::move(shape);
        head = false;
        continue;
      }
      Result<LerobotEpisode> episode = parse_ledger_line(line);
      if (!episode.ok()) return episode.status();
      if (episode->index != episodes_.size() || episode->from != rows_) {
        return data_loss(at(kLedger) + " has a gap; export into another folder");
      }
      remember(*std::move(episode));
    }
    if (!shape_) return {};
    const LerobotShape& s = *shape_;
    const auto differs = [&](const std::string& what, const std::string& has) {
      return failed_precondition("the data set in " + options_.dir + " has " + what + " " + has +
                                 "; export as that, or into another folder");
    };
    if (s.source != options_.source) {
      return failed_precondition("the data set in " + options_.dir +
                                 " was exported from another log; export into another folder");
    }
    if (s.version != options_.version) return differs("version", version_name(s.version));
    if (s.pictures != options_.pictures) {
      return differs("--pictures", s.pictures == PictureStorage::kVideo      ? "video"
                                   : s.pictures == PictureStorage::kEmbedded ? "embedded"
                                                                             : "none");
    }
    if (s.pictures == PictureStorage::kVideo && s.codec != options_.codec) {
      return differs("--codec", codec_name(s.codec));
    }
    if (options_.fps != 0 && s.fps != options_.fps) return differs("--fps", std::to_string(s.fps));
    return {};
  }

  void remember(LerobotEpisode episode) {
    rows_ += episode.length;
    groups_ = std::max(groups_, episode.group + 1);
    for (const std::string& task : episode.tasks) task_index(task);
    episodes_.push_back(std::move(episode));
  }

  std::size_t task_index(const std::string& task) {
    const auto found = tasks_.find(task);
    if (found != tasks_.end()) return found->second;
    const std::size_t index = task_names_.size();
    tasks_[task] = index;
    task_names_.push_back(task);
    return index;
  }

  // Gives the files of the newest committed group their names.
  Status finish_renames() {
    if (groups_ == 0) return {};
    const std::uint64_t group = groups_ - 1;
    NUDGE_TRY(give_name("data.parquet", data_path(shape_->version, group)));
    const std::vector<std::string> videos = shape_->video_features();
    for (std::size_t i = 0; i < videos.size(); ++i) {
      NUDGE_TRY(give_name(pending_video(i), video_path(shape_->version, videos[i], group)));
    }
    return {};
  }

  Status give_name(const std::string& from, const std::string& to) {
    const Result<bool> there = files_.exists(at(to));
    if (!there.ok()) return there.status();
    if (*there) return {};
    NUDGE_TRY(make_folders(files_, options_.dir, to));
    const Status renamed = files_.rename(pending(from), at(to));
    if (renamed.code() == Code::kNotFound) {
      return data_loss(at(to) + " is gone; export into another folder");
    }
    NUDGE_TRY(renamed);
    return sync_parent(files_, at(to));
  }

  Status clear_pending() {
    const Result<std::vector<std::string>> names = files_.list(at(".nudge"));
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (name != "lock") NUDGE_TRY(files_.remove(pending(name)));
    }
    return {};
  }

  // ---- which episodes ----

  Result<std::vector<EpisodeSummary>> choose() {
    Result<std::map<EpisodeId, EpisodeStory>> stories = episode_stories(log_);
    if (!stories.ok()) return stories.status();
    stories_ = *std::move(stories);
    std::map<EpisodeId, const LerobotEpisode*> exported;
    for (const LerobotEpisode& episode : episodes_) exported[episode.log_episode] = &episode;
    std::vector<EpisodeSummary> chosen;
    for (EpisodeId from = 1;;) {
      const Result<std::vector<EpisodeSummary>> page = log_.episodes(from, kPage);
      if (!page.ok()) return page.status();
      if (page->empty()) return chosen;
      from = page->back().episode + 1;
      for (const EpisodeSummary& e : *page) {
        if (const auto found = exported.find(e.episode); found != exported.end()) {
          NUDGE_TRY(compare(e, *found->second));
          continue;
        }
        if (e.episode < options_.first || e.episode > options_.last || !e.ended) continue;
        const bool wanted = e.purpose == EpisodePurpose::kDeployment      ? options_.deployments
                            : e.purpose == EpisodePurpose::kDemonstration ? options_.demonstrations
                                                                          : options_.evaluations;
        if (!wanted || e.outcome == LabelValue::kDiscard) continue;
        if (options_.successes_only && e.outcome != LabelValue::kSuccess) continue;
        chosen.push_back(e);
      }
    }
  }

  Status compare(const EpisodeSummary& now, const LerobotEpisode& then) {
    const auto story = stories_.find(now.episode);
    if (story == stories_.end() || story->second.event != then.event) {
      return failed_precondition("the data set in " + options_.dir +
                                 " was exported from another log; export into another folder");
    }
    Result<std::vector<SpanSummary>> spans = log_.spans(now.episode);
    if (!spans.ok()) return spans.status();
    if (EpisodeMarks(story->second, now.outcome, *std::move(spans)).judged() != then.judged) {
      ++report_.relabelled;
    }
    return {};
  }

  void skip(EpisodeId episode, std::string why) {
    report_.skipped.emplace_back(episode, std::move(why));
  }

  // ---- one episode ----

  Result<ExaminedEpisode> examine(const EpisodeSummary& episode) {
    ExaminedEpisode out;
    Result<std::unique_ptr<SegmentReader>> reader = SegmentReader::open(files_, episode.path);
    if (!reader.ok()) {
      if (reader.status().code() == Code::kNotFound) {
        out.refused = "its steps are gone (" + episode.path + ")";
        return out;
      }
      if (reader.status().code() != Code::kDataLoss) return reader.status();
      out.refused = reader.status().message();
      return out;
    }
    out.spec = (*reader)->spec();
    out.first_picture.resize(out.spec.cameras.size());
    out.size.resize(out.spec.cameras.size());
    std::vector<double> periods;
    std::int64_t last_step = -1;
    Instant last_time{};
    bool incomplete = false;
    const Result<bool> whole = (*reader)->scan(
        (*reader)->first(), episode.bytes, [&](const StepView& view, const RecordPlace&) {
          ++out.rows;
          out.steps.push_back(view.policy_step);
          const bool has_state = view.proprioception.size() == out.spec.proprioception_size;
          const bool has_features = view.features.size() == out.spec.feature_size;
          incomplete = incomplete || !has_state || !has_features || view.executed.empty();
          if (last_step + 1 == view.policy_step && last_step >= 0 &&
              (view.flags & kStepShort) == 0 && periods.size() < 4'096) {
            periods.push_back(std::chrono::duration<double>(view.time - last_time).count());
          }
          last_step = view.policy_step;
          last_time = view.time;
          if (options_.pictures == PictureStorage::kNone) return true;
          for (std::size_t i = 0; i < view.images; ++i) {
            const ImageView image = view.image(i);
            const PictureSize size = {image.width, image.height};
            auto& first = out.first_picture[image.camera];
            if (!first) {
              first.emplace(image.jpeg.begin(), image.jpeg.end());
              const Result<PictureSize> real = jpeg_size(image.jpeg);
              if (!real.ok() || *real != size) {
                out.refused = "a picture of camera " + out.spec.cameras[image.camera] +
                              " is no JPEG of the size that the log says";
              }
              out.size[image.camera] = size;
            } else if (out.size[image.camera] != size) {
              out.refused = "camera " + out.spec.cameras[image.camera] + " changes its size";
            }
          }
          return true;
        });
    if (!whole.ok()) return whole.status();
    if (!*whole) out.refused = "its segment is damaged; 'nudge log verify' says more";
    if (incomplete) out.refused = "steps lack their state, features or executed action";
    if (out.rows == 0) out.refused = "it has no steps";
    if (!periods.empty()) {
      auto middle = periods.begin() + static_cast<std::ptrdiff_t>(periods.size() / 2);
      std::nth_element(periods.begin(), middle, periods.end());
      out.period = *middle;
    }
    return out;
  }

  Status make_shape(const ExaminedEpisode& first) {
    LerobotShape shape;
    shape.version = options_.version;
    shape.pictures = options_.pictures;
    shape.codec = options_.codec;
    shape.source = options_.source;
    const RobotNames names = fitted(options_.robot, first.spec);
    shape.robot = names.robot;
    shape.state = names.state;
    shape.action = names.action;
    shape.features = names.object_state;
    shape.features_are_environment = !names.state_backbone.empty();
    shape.backbone = first.spec.feature_size > 0 ? first.spec.backbone_hash : "";
    for (std::size_t c = 0; c < first.spec.cameras.size(); ++c) {
      if (!first.first_picture[c]) continue;
      if (first.spec.cameras[c].find('/') != std::string::npos) {
        return invalid_argument("camera \"" + first.spec.cameras[c] +
                                "\" has a slash in its name, which LeRobot does not take");
      }
      shape.cameras.push_back({first.spec.cameras[c], stored_size(first.size[c])});
    }
    double period = std::chrono::duration<double>(names.policy_period).count();
    if (period <= 0) period = first.period;
    if (options_.fps == 0 && period <= 0) {
      return invalid_argument(
          "the log does not say how many steps a second the policy makes; say "
          "it with --fps");
    }
    shape.fps = options_.fps != 0 ? options_.fps
                                  : std::clamp(static_cast<int>(std::lround(1 / period)), 1, 1'000);
    shape_ = std::move(shape);
    return append_ledger(ledger_head(*shape_));
  }

  // A data set has the cameras of the first episode that has pictures: whoever recorded some wants
  // them, and every row of a data set has all of them.
  Status shape_by_pictures(const std::vector<EpisodeSummary>& chosen) {
    if (options_.pictures == PictureStorage::kNone) return {};
    for (const EpisodeSummary& episode : chosen) {
      const auto reader = SegmentReader::open(files_, episode.path);
      const Code code = reader.status().code();
      if (code == Code::kNotFound || code == Code::kDataLoss) continue;  // take() says so
      if (!reader.ok()) return reader.status();
      if ((*reader)->spec().cameras.empty()) continue;
      const Result<ExaminedEpisode> examined = examine(episode);
      if (!examined.ok()) return examined.status();
      const bool seen = std::any_of(examined->first_picture.begin(), examined->first_picture.end(),
                                    [](const auto& picture) { return picture.has_value(); });
      if (examined->refused.empty() && seen) return make_shape(*examined);
    }
    return {};
  }

  // Of a picture in the data set: a video has even sides.
  PictureSize stored_size(PictureSize size) const {
    if (options_.pictures == PictureStorage::kVideo) {
      size.width += size.width % 2;
      size.height += size.height % 2;
    }
    return size;
  }

  // Why an episode does not fit the data set; empty: it does.
  std::string misfit(const ExaminedEpisode& e) const {
    const LerobotShape& s = *shape_;
    if (e.spec.proprioception_size != s.state.size() || e.spec.action_size != s.action.size()) {
      return "it is of another robot than the data set: " +
             std::to_string(e.spec.proprioception_size) + " numbers of state and " +
             std::to_string(e.spec.action_size) + " of action, not " +
             std::to_string(s.state.size()) + " and " + std::to_string(s.action.size());
    }
    if (e.spec.feature_size != s.features.size() ||
        (e.spec.feature_size > 0 && e.spec.backbone_hash != s.backbone)) {
      return "its features come from another backbone than the data set's";
    }
    for (const LerobotCamera& camera : s.cameras) {
      const auto found = std::find(e.spec.cameras.begin(), e.spec.cameras.end(), camera.name);
      const auto c = static_cast<std::size_t>(found - e.spec.cameras.begin());
      if (found == e.spec.cameras.end() || !e.first_picture[c]) {
        return "it has no pictures of camera " + camera.name +
               "; with --pictures none it is taken all the same";
      }
      if (stored_size(e.size[c]) != camera.size) {
        return "its pictures of camera " + camera.name + " have another size";
      }
    }
    return {};
  }

  Status take(const EpisodeSummary& episode) {
    Result<ExaminedEpisode> examined = examine(episode);
    if (!examined.ok()) return examined.status();
    if (examined->refused.empty()) {
      if (!shape_) NUDGE_TRY(make_shape(*examined));
      examined->refused = misfit(*examined);
    }
    if (!examined->refused.empty()) {
      skip(episode.episode, examined->refused);
      return {};
    }
    if (!group_) NUDGE_TRY(begin_group());
    NUDGE_TRY(write_episode(episode, *examined));
    const bool full = shape_->version == LerobotVersion::kV21 ||
                      group_->data->bytes() >= options_.group_bytes ||
                      group_->data->rows() >= options_.group_rows;
    return full ? commit_group() : Status();
  }

  Status write_episode(const EpisodeSummary& episode, const ExaminedEpisode& examined) {
    const EpisodeStory& story = stories_.at(episode.episode);
    Result<std::vector<SpanSummary>> spans = log_.spans(episode.episode);
    if (!spans.ok()) return spans.status();
    const EpisodeMarks marks(story, episode.outcome, *std::move(spans));

    LerobotEpisode record;
    record.index = episodes_.size() + group_->episodes.size();
    record.from = rows_ + group_->data->rows();
    record.length = examined.rows;
    record.group = groups_;
    record.group_row = group_->data->rows();
    record.log_episode = episode.episode;
    record.event = story.event;
    record.judged = marks.judged();
    record.purpose = purpose_name(episode.purpose);
    record.outcome = outcome_name(episode.outcome);
    record.people = marks.people();

    LerobotSink sink{.data = group_->data.get(), .videos = {}};
    for (const auto& video : group_->videos) sink.videos.push_back(video.get());
    LerobotRows rows({*shape_, episode, examined, story, marks}, std::move(record), std::move(sink),
                     [this](const std::string& task) { return task_index(task); });
    Result<std::unique_ptr<SegmentReader>> reader = SegmentReader::open(files_, episode.path);
    if (!reader.ok()) return reader.status();
    Status failed;
    const auto visit = [&](const StepView& view, const RecordPlace&) {
      failed = rows.add(view);
      if (rows.rows() % 64 == 0) progress_(std::min(done_ + rows.rows(), total_), total_);
      return failed.ok();
    };
    const Result<bool> whole = (*reader)->scan((*reader)->first(), episode.bytes, visit);
    NUDGE_TRY(failed);
    if (!whole.ok()) return whole.status();
    if (!*whole || rows.rows() != examined.rows) {
      return data_loss(episode.path + " changed while it was exported");
    }
    group_->episodes.push_back(rows.finish());
    return group_->data->end_group();
  }

  // ---- groups: files that are committed together ----

  struct Group {
    std::unique_ptr<ParquetWriter> data;
    std::vector<std::unique_ptr<VideoEncoder>> videos;  // by camera
    std::vector<LerobotEpisode> episodes;
  };

  Status begin_group() {
    NUDGE_TRY(clear_pending());
    Group group;
    Result<std::unique_ptr<ParquetWriter>> data =
        ParquetWriter::create(files_, pending("data.parquet"), lerobot_fields(*shape_));
    if (!data.ok()) return data.status();
    group.data = *std::move(data);
    for (std::size_t i = 0; i < shape_->video_features().size(); ++i) {
      Result<std::unique_ptr<VideoEncoder>> video = VideoEncoder::start(
          options_.ffmpeg, pending(pending_video(i)), shape_->fps, shape_->codec);
      if (!video.ok()) return video.status();
      group.videos.push_back(*std::move(video));
    }
    group_ = std::move(group);
    return {};
  }

  Status commit_group() {
    if (!group_) return {};
    NUDGE_TRY(group_->data->finish());
    for (std::size_t i = 0; i < group_->videos.size(); ++i) {
      NUDGE_TRY(group_->videos[i]->finish());
      Result<std::unique_ptr<File>> file = files_.open(pending(pending_video(i)), OpenMode::kWrite);
      if (!file.ok()) return file.status();
      NUDGE_TRY((*file)->sync());
    }
    NUDGE_TRY(files_.sync_directory(at(".nudge")));
    std::string lines;
    for (const LerobotEpisode& episode : group_->episodes) lines += ledger_line(episode);
    NUDGE_TRY(append_ledger(lines));
    // From here on the group is part of the data set.
    std::vector<LerobotEpisode> episodes = std::move(group_->episodes);
    group_.reset();
    for (LerobotEpisode& episode : episodes) {
      ++report_.new_episodes;
      report_.new_rows += episode.length;
      remember(std::move(episode));
    }
    NUDGE_TRY(finish_renames());
    // What follows from the book is written as seldom as keeps its cost in proportion to the data.
    if (groups_ < derived_groups_ + std::max<std::uint64_t>(1, derived_groups_ / 8)) return {};
    return write_derived();
  }

  Status append_ledger(const std::string& lines) {
    const bool first = ledger_bytes_ == 0;
    Result<std::unique_ptr<File>> file = files_.open(at(kLedger), OpenMode::kCreate);
    if (!file.ok()) return file.status();
    NUDGE_TRY((*file)->truncate(ledger_bytes_));
    NUDGE_TRY((*file)->pwrite(bytes_of(lines), ledger_bytes_));
    NUDGE_TRY((*file)->sync());
    if (first) NUDGE_TRY(sync_parent(files_, at(kLedger)));
    ledger_bytes_ += lines.size();
    return {};
  }

  // ---- what follows from the book ----

  Status replace(const std::string& path, std::string_view text) {
    NUDGE_TRY(make_folders(files_, options_.dir, path));
    const std::string draft = pending("draft");
    {
      Result<std::unique_ptr<File>> file = files_.open(draft, OpenMode::kCreate);
      if (!file.ok()) return file.status();
      NUDGE_TRY((*file)->truncate(0));
      NUDGE_TRY((*file)->pwrite(bytes_of(text), 0));
      NUDGE_TRY((*file)->sync());
    }
    return settle(draft, path);
  }

  Status settle(const std::string& draft, const std::string& path) {
    NUDGE_TRY(files_.rename(draft, at(path)));
    return sync_parent(files_, at(path));
  }

  Result<std::unique_ptr<ParquetWriter>> draft_table(const std::string& path,
                                                     std::vector<ParquetField> fields,
                                                     ParquetMetadata metadata = {}) {
    NUDGE_TRY(make_folders(files_, options_.dir, path));
    const Result<bool> old = files_.exists(pending("draft"));
    if (!old.ok()) return old.status();
    if (*old) NUDGE_TRY(files_.remove(pending("draft")));
    return ParquetWriter::create(files_, pending("draft"), std::move(fields), std::move(metadata));
  }

  Status write_derived() {
    derived_groups_ = groups_;
    if (shape_->version == LerobotVersion::kV21) {
      std::string tasks, episodes, statistics;
      for (std::size_t i = 0; i < task_names_.size(); ++i) tasks += task_line(i, task_names_[i]);
      for (const LerobotEpisode& episode : episodes_) {
        episodes += episode_line(episode);
        statistics += episode_stats_line(episode);
      }
      NUDGE_TRY(replace("meta/tasks.jsonl", tasks));
      NUDGE_TRY(replace("meta/episodes.jsonl", episodes));
      NUDGE_TRY(replace("meta/episodes_stats.jsonl", statistics));
    } else {
      NUDGE_TRY(write_tasks());
      NUDGE_TRY(write_episodes());
      NUDGE_TRY(replace("meta/stats.json", stats_json(overall_statistics(episodes_))));
    }
    return replace("meta/info.json",
                   info_json(*shape_, episodes_.size(), rows_, task_names_.size(), groups_));
  }

  Status write_tasks() {
    constexpr const char* kPath = "meta/tasks.parquet";
    Result<std::unique_ptr<ParquetWriter>> table =
        draft_table(kPath, task_fields(), {{"pandas", pandas_task_index()}});
    if (!table.ok()) return table.status();
    NUDGE_TRY(write_task_rows(task_names_, **table));
    NUDGE_TRY((*table)->finish());
    return settle(pending("draft"), kPath);
  }

  Status write_episodes() {
    constexpr const char* kPath = "meta/episodes/chunk-000/file-000.parquet";
    Result<std::unique_ptr<ParquetWriter>> table =
        draft_table(kPath, episode_fields(*shape_, episodes_));
    if (!table.ok()) return table.status();
    NUDGE_TRY(write_episode_rows(*shape_, episodes_, **table));
    NUDGE_TRY((*table)->finish());
    return settle(pending("draft"), kPath);
  }

  FileSystem& files_;
  Log& log_;
  const LerobotExportOptions& options_;
  const Progress& progress_;
  std::unique_ptr<File> lock_;
  std::optional<LerobotShape> shape_;
  std::uint64_t ledger_bytes_ = 0;
  std::vector<LerobotEpisode> episodes_;  // committed
  std::uint64_t rows_ = 0;                // of them
  std::uint64_t groups_ = 0;              // likewise
  std::uint64_t derived_groups_ = 0;      // when info.json and the like were written last
  std::map<std::string, std::size_t> tasks_;
  std::vector<std::string> task_names_;
  std::map<EpisodeId, EpisodeStory> stories_;
  std::optional<Group> group_;
  std::uint64_t done_ = 0, total_ = 0;  // steps
  LerobotExportReport report_;
};

}  // namespace

Result<LerobotExportReport> export_lerobot(
    FileSystem& files, Log& log, const LerobotExportOptions& options,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return Exporter(files, log, options, progress).run();
}

}  // namespace nudge
