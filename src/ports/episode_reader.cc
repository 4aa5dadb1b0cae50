#include "src/ports/episode_reader.h"

#include <algorithm>
#include <utility>

#include "src/ports/episode_wire.h"

namespace nudge {
namespace {

constexpr std::size_t kOpenFiles = 4;
constexpr std::size_t kMaxSteps = 1u << 18;  // seven hours at 10 Hz; later ones are not shown

struct KnownStep {
  std::uint32_t policy_step = 0;
  RecordPlace place;
};

}  // namespace

struct EpisodeReader::Opened {
  EpisodeId episode = 0;
  std::unique_ptr<SegmentReader> segment;
  std::vector<KnownStep> steps;  // in order
  std::uint64_t end = 0;         // looked through up to here
  bool damaged = false;
};

SegmentPlace place_of(const EpisodeRecord& record) {
  return {.episode = record.episode, .path = record.path, .end_offset = record.end_offset};
}

EpisodeReader::EpisodeReader(FileSystem& files, Duration policy_period)
    : files_(files), policy_period_(policy_period) {}
EpisodeReader::~EpisodeReader() = default;

Result<EpisodeReader::Opened*> EpisodeReader::open(const SegmentPlace& place) {
  const auto known = std::find_if(opened_.begin(), opened_.end(), [&](const Opened& opened) {
    return opened.episode == place.episode;
  });
  if (known != opened_.end()) {
    opened_.splice(opened_.begin(), opened_, known);
    return &opened_.front();
  }
  auto segment = SegmentReader::open(files_, place.path);
  if (!segment.ok()) return segment.status();
  if ((*segment)->spec().episode != place.episode) {
    return data_loss(place.path + " belongs to another episode; run the log's check");
  }
  Opened opened;
  opened.episode = place.episode;
  opened.end = (*segment)->first();
  opened.segment = *std::move(segment);
  opened_.push_front(std::move(opened));
  if (opened_.size() > kOpenFiles) opened_.pop_back();
  return &opened_.front();
}

// Looks through what has come since; `also` is shown what is found.
Status EpisodeReader::go_on(Opened& opened, std::uint64_t end, const SegmentReader::Visit& also) {
  if (opened.end >= end) return {};
  const auto whole =
      opened.segment->scan(opened.end, end, [&](const StepView& step, const RecordPlace& place) {
        if (!opened.steps.empty() && step.policy_step <= opened.steps.back().policy_step) {
          opened.damaged = true;  // out of order: one that lies there twice
          return true;
        }
        if (opened.steps.size() < kMaxSteps) {
          opened.steps.push_back({.policy_step = step.policy_step, .place = place});
        }
        return also == nullptr || also(step, place);
      });
  if (!whole.ok()) return whole.status();
  opened.damaged = opened.damaged || !*whole;
  opened.end = end;
  return {};
}

std::string EpisodeReader::episode(const EpisodeRecord& record) {
  EpisodeSteps found;
  const SegmentPlace place = place_of(record);
  if (place.path.empty()) {
    found.recorded = true;  // it has no step yet
    return encode_episode(record, found, policy_period_);
  }
  Result<Opened*> opened = open(place);
  if (opened.ok()) {
    Opened& segment = **opened;
    found.recorded = true;
    // All of it is read again, which also finds what has been damaged since.
    segment.steps.clear();
    segment.end = segment.segment->first();
    segment.damaged = false;
    const std::vector<std::string>& names = segment.segment->spec().cameras;
    std::vector<CameraSpec> cameras(names.size());
    const Status read =
        go_on(segment, place.end_offset, [&](const StepView& step, const RecordPlace&) {
          for (std::size_t i = 0; i < step.images; ++i) {
            const ImageView image = step.image(i);
            CameraSpec& camera = cameras[image.camera];
            if (!camera.name.empty()) continue;
            camera = {.name = names[image.camera], .width = image.width, .height = image.height};
          }
          if (!found.truncated && !found.columns.add(step)) found.truncated = true;
          return true;
        });
    found.damaged = segment.damaged || !read.ok();
    found.truncated = found.truncated || segment.steps.size() >= kMaxSteps;
    std::erase_if(cameras, [](const CameraSpec& camera) { return camera.name.empty(); });
    found.cameras = std::move(cameras);
  }
  return encode_episode(record, found, policy_period_);
}

Result<std::string> EpisodeReader::frame(const SegmentPlace& place, const std::string& camera,
                                         std::uint32_t step) {
  const auto none = [&](const std::string& why) {
    return not_found("episode " + std::to_string(place.episode) + " has " + why);
  };
  if (place.path.empty()) return none("no steps yet");
  Result<Opened*> opened = open(place);
  if (!opened.ok()) return opened.status();
  Opened& segment = **opened;
  NUDGE_TRY(go_on(segment, place.end_offset, nullptr));
  const auto at = std::lower_bound(
      segment.steps.begin(), segment.steps.end(), step,
      [](const KnownStep& known, std::uint32_t wanted) { return known.policy_step < wanted; });
  if (at == segment.steps.end() || at->policy_step != step) {
    return none("no step " + std::to_string(step) + " on disk");
  }
  const Result<StepView> record = segment.segment->read(at->place);
  if (!record.ok()) return record.status();
  const auto& names = segment.segment->spec().cameras;
  for (std::size_t i = 0; i < record->images; ++i) {
    const ImageView image = record->image(i);
    if (names[image.camera] != camera) continue;
    return std::string(reinterpret_cast<const char*>(image.jpeg.data()), image.jpeg.size());
  }
  return none("no frame of '" + camera + "' at step " + std::to_string(step));
}

}  // namespace nudge
