#include "replay/segment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "replay/crc32c.h"

namespace nudge {
namespace {

static_assert(std::endian::native == std::endian::little,
              "segments are mapped as they are stored, little-endian");

constexpr char kMagic[8] = {'N', 'U', 'D', 'G', 'E', 'S', 'E', 'G'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kVersionWithReferences = 2;
constexpr std::size_t kNameField = 64;
constexpr std::size_t kHeaderFixed = 104;
constexpr std::size_t kRecordFixed = 80;
constexpr std::size_t kImageEntry = 24;
constexpr std::uint32_t kMaxPixels = 1u << 16;  // a side of an image

enum Present : std::uint8_t {
  kFeatures = 1,
  kProprioception = 2,
  kProposed = 4,
  kRequested = 8,
  kExecuted = 16,
  kReference = 32,
  kAllPresent = 63,
};

constexpr std::size_t align8(std::size_t n) { return (n + 7) & ~std::size_t{7}; }

template <typename T>
T load(const std::byte* at) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// Where the parts of a record lie, relative to its start. Equal for all records of a segment.
struct Layout {
  explicit Layout(const SegmentSpec& spec)
      : features(spec.feature_size),
        proprioception(spec.proprioception_size),
        actions(spec.action_size),
        proposed_at(kRecordFixed + 4 * proprioception),
        requested_at(proposed_at + 4 * actions),
        executed_at(requested_at + 4 * actions),
        reference(spec.reference_rows * spec.action_size),
        reference_at(executed_at + 4 * actions),
        features_at(reference_at + 4 * reference),
        images_at(align8(features_at + 2 * features)) {}

  std::size_t features, proprioception, actions;
  std::size_t proposed_at, requested_at, executed_at;
  std::size_t reference;  // numbers
  std::size_t reference_at, features_at, images_at;
};

Status wrong_size(const char* what, std::size_t got, std::size_t wanted) {
  return invalid_argument(std::string("step: ") + what + " has " + std::to_string(got) +
                          " numbers; this segment's steps have " + std::to_string(wanted) +
                          " or none");
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

Status SegmentSpec::validate() const {
  if (feature_size > kMaxFeatures) {
    return invalid_argument("segment: feature_size is " + std::to_string(feature_size) +
                            ", at most " + std::to_string(kMaxFeatures) + " fit");
  }
  if (proprioception_size > kMaxProprioception) {
    return invalid_argument("segment: proprioception_size is " +
                            std::to_string(proprioception_size) + ", at most " +
                            std::to_string(kMaxProprioception) + " fit");
  }
  if (action_size < 1 || action_size > kMaxActionSize) {
    return invalid_argument("segment: action_size is " + std::to_string(action_size) +
                            ", must be 1 to " + std::to_string(kMaxActionSize));
  }
  if (reference_rows > kMaxReferenceRows) {
    return invalid_argument("segment: reference_rows is " + std::to_string(reference_rows) +
                            ", at most " + std::to_string(kMaxReferenceRows) + " fit");
  }
  if (!backbone_hash.empty() &&
      (backbone_hash.size() != 64 ||
       !std::all_of(backbone_hash.begin(), backbone_hash.end(), is_hex))) {
    return invalid_argument("segment: backbone_hash must be 64 lower-case hex digits or empty");
  }
  if (cameras.size() > kMaxCameras) {
    return invalid_argument("segment: " + std::to_string(cameras.size()) + " cameras, at most " +
                            std::to_string(kMaxCameras) + " fit");
  }
  for (std::size_t i = 0; i < cameras.size(); ++i) {
    const std::string& name = cameras[i];
    if (name.empty() || name.size() > kMaxCameraName || name.find('\0') != std::string::npos) {
      return invalid_argument("segment: the name of camera " + std::to_string(i) +
                              " must have 1 to 63 bytes and no zero byte");
    }
    if (std::find(cameras.begin(), cameras.begin() + static_cast<std::ptrdiff_t>(i), name) !=
        cameras.begin() + static_cast<std::ptrdiff_t>(i)) {
      return invalid_argument("segment: two cameras are called " + name);
    }
  }
  return {};
}

std::vector<std::byte> encode_header(const SegmentSpec& spec) {
  const std::size_t size = kHeaderFixed + spec.cameras.size() * kNameField + 8;
  std::vector<std::byte> bytes(size);
  std::byte* at = bytes.data();
  std::memcpy(at, kMagic, sizeof kMagic);
  // A segment without references is written as it always was, for readers of the first version.
  store<std::uint32_t>(at + 8, spec.reference_rows > 0 ? kVersionWithReferences : kVersion);
  store<std::uint32_t>(at + 12, static_cast<std::uint32_t>(size));
  store<std::uint64_t>(at + 16, spec.episode);
  store<std::uint32_t>(at + 24, static_cast<std::uint32_t>(spec.feature_size));
  store<std::uint32_t>(at + 28, static_cast<std::uint32_t>(spec.proprioception_size));
  store<std::uint32_t>(at + 32, static_cast<std::uint32_t>(spec.action_size));
  store<std::uint32_t>(at + 36, static_cast<std::uint32_t>(spec.cameras.size()));
  std::memcpy(at + 40, spec.backbone_hash.data(), spec.backbone_hash.size());
  for (std::size_t i = 0; i < spec.cameras.size(); ++i) {
    std::memcpy(at + kHeaderFixed + i * kNameField, spec.cameras[i].data(), spec.cameras[i].size());
  }
  store<std::uint32_t>(at + size - 8, static_cast<std::uint32_t>(spec.reference_rows));
  store<std::uint32_t>(at + size - 4, crc32c({bytes.data(), size - 4}));
  return bytes;
}

Result<SegmentSpec> decode_header(std::span<const std::byte> bytes, std::uint64_t* header_bytes) {
  if (bytes.size() < kHeaderFixed + 8) return data_loss("segment header: file is too short");
  const std::byte* at = bytes.data();
  if (std::memcmp(at, kMagic, sizeof kMagic) != 0) {
    return data_loss("segment header: not a segment file");
  }
  const auto version = load<std::uint32_t>(at + 8);
  if (version != kVersion && version != kVersionWithReferences) {
    return unimplemented("segment header: format version " + std::to_string(version) +
                         "; this build reads " + std::to_string(kVersion) + " and " +
                         std::to_string(kVersionWithReferences));
  }
  const auto size = load<std::uint32_t>(at + 12);
  const auto cameras = load<std::uint32_t>(at + 36);
  if (cameras > kMaxCameras || size != kHeaderFixed + cameras * kNameField + 8 ||
      size > bytes.size()) {
    return data_loss("segment header: its size does not fit its content");
  }
  if (load<std::uint32_t>(at + size - 4) != crc32c(bytes.first(size - 4))) {
    return data_loss("segment header: checksum does not match");
  }
  const auto text = [](const std::byte* from) {
    const char* chars = reinterpret_cast<const char*>(from);
    return std::string(chars, std::find(chars, chars + kNameField, '\0'));
  };
  SegmentSpec spec;
  spec.episode = load<std::uint64_t>(at + 16);
  spec.feature_size = load<std::uint32_t>(at + 24);
  spec.reference_rows = load<std::uint32_t>(at + size - 8);
  if ((spec.reference_rows > 0) != (version == kVersionWithReferences)) {
    return data_loss("segment header: its version does not fit its content");
  }
  spec.proprioception_size = load<std::uint32_t>(at + 28);
  spec.action_size = load<std::uint32_t>(at + 32);
  spec.backbone_hash = text(at + 40);
  for (std::uint32_t i = 0; i < cameras; ++i) {
    spec.cameras.push_back(text(at + kHeaderFixed + i * kNameField));
  }
  if (const Status valid = spec.validate(); !valid.ok()) {
    return data_loss("segment header: " + valid.message());
  }
  if (header_bytes != nullptr) *header_bytes = size;
  return spec;
}

Status encode_step(const SegmentSpec& spec, const Step& step, Sequence sequence,
                   std::vector<std::byte>& out) {
  const Layout layout(spec);
  const auto fits = [](std::size_t size, std::size_t wanted) {
    return size == 0 || size == wanted;
  };
  if (!fits(step.features.size(), layout.features)) {
    return wrong_size("features", step.features.size(), layout.features);
  }
  if (!fits(step.proprioception.size(), layout.proprioception)) {
    return wrong_size("proprioception", step.proprioception.size(), layout.proprioception);
  }
  if (!fits(step.proposed.size(), layout.actions)) {
    return wrong_size("proposed action", step.proposed.size(), layout.actions);
  }
  if (!fits(step.requested.size(), layout.actions)) {
    return wrong_size("requested action", step.requested.size(), layout.actions);
  }
  if (!fits(step.executed.size(), layout.actions)) {
    return wrong_size("executed action", step.executed.size(), layout.actions);
  }
  if (!fits(step.reference.size(), layout.reference)) {
    return wrong_size("reference chunk", step.reference.size(), layout.reference);
  }
  if (step.images.size() > kMaxCameras) {
    return invalid_argument("step: " + std::to_string(step.images.size()) + " images, at most " +
                            std::to_string(kMaxCameras) + " fit");
  }
  if (step.source > ControlSource::kScript) {
    return invalid_argument("step: source " + std::to_string(static_cast<int>(step.source)) +
                            " does not exist");
  }
  std::size_t jpeg_bytes = 0;
  for (const Image& image : step.images) {
    if (std::find(spec.cameras.begin(), spec.cameras.end(), image.camera) == spec.cameras.end()) {
      return invalid_argument("step: this segment has no camera called '" + image.camera + "'");
    }
    if (image.jpeg.size() > kMaxJpegBytes) {
      return invalid_argument("step: the JPEG of camera " + image.camera + " has " +
                              std::to_string(image.jpeg.size()) + " bytes, at most " +
                              std::to_string(kMaxJpegBytes) + " fit");
    }
    if (image.width < 0 || image.height < 0 || image.width > static_cast<int>(kMaxPixels) ||
        image.height > static_cast<int>(kMaxPixels)) {
      return invalid_argument("step: the size of the image of camera " + image.camera +
                              " is out of range");
    }
    jpeg_bytes += image.jpeg.size();
  }

  const std::size_t size = align8(layout.images_at + step.images.size() * kImageEntry + jpeg_bytes);
  const std::size_t start = out.size();
  out.resize(start + size);  // zeros
  std::byte* at = out.data() + start;
  std::uint8_t present = 0;
  const auto put_floats = [&](const std::vector<float>& values, std::size_t offset, Present bit) {
    if (values.empty()) return;
    present = static_cast<std::uint8_t>(present | bit);
    std::memcpy(at + offset, values.data(), values.size() * sizeof(float));
  };
  put_floats(step.proprioception, kRecordFixed, kProprioception);
  put_floats(step.proposed, layout.proposed_at, kProposed);
  put_floats(step.requested, layout.requested_at, kRequested);
  put_floats(step.executed, layout.executed_at, kExecuted);
  put_floats(step.reference, layout.reference_at, kReference);
  if (!step.features.empty()) {
    present = static_cast<std::uint8_t>(present | kFeatures);
    Half halves[kMaxFeatures];
    to_half(step.features, {halves, step.features.size()});
    std::memcpy(at + layout.features_at, halves, step.features.size() * sizeof(Half));
  }

  std::byte* entry = at + layout.images_at;
  std::byte* jpeg = entry + step.images.size() * kImageEntry;
  for (const Image& image : step.images) {
    const auto camera = std::find(spec.cameras.begin(), spec.cameras.end(), image.camera);
    store<std::uint16_t>(entry, static_cast<std::uint16_t>(camera - spec.cameras.begin()));
    store<std::uint32_t>(entry + 4, static_cast<std::uint32_t>(image.jpeg.size()));
    store<std::uint32_t>(entry + 8, static_cast<std::uint32_t>(image.width));
    store<std::uint32_t>(entry + 12, static_cast<std::uint32_t>(image.height));
    store<std::int64_t>(entry + 16, image.captured.time_since_epoch().count());
    if (!image.jpeg.empty()) std::memcpy(jpeg, image.jpeg.data(), image.jpeg.size());
    entry += kImageEntry;
    jpeg += image.jpeg.size();
  }

  store<std::uint32_t>(at + 4, static_cast<std::uint32_t>(size));
  store<std::uint64_t>(at + 8, sequence);
  store<std::uint64_t>(at + 16, step.episode);
  store<std::uint64_t>(at + 24, step.control_tick);
  store<std::int64_t>(at + 32, step.time.time_since_epoch().count());
  store<std::int64_t>(at + 40, step.wall_time.time_since_epoch().count());
  store<std::uint64_t>(at + 48, step.weights);
  store<std::uint64_t>(at + 56, step.span);
  store<std::uint32_t>(at + 64, step.policy_step);
  store<std::uint32_t>(at + 68, step.flags);
  store<std::uint8_t>(at + 72, static_cast<std::uint8_t>(step.source));
  store<std::uint8_t>(at + 73, present);
  store<std::uint16_t>(at + 74, static_cast<std::uint16_t>(step.images.size()));
  if (!step.reference.empty()) store<std::uint32_t>(at + 76, step.reference_age);
  store<std::uint32_t>(at, crc32c({at + 4, size - 4}));
  return {};
}

// ---- SegmentWriter -----------------------------------------------------------------------------

struct SegmentWriter::State {
  std::unique_ptr<File> file;
  std::string path;
  SegmentSpec spec;
  std::uint64_t grow = 0;
  std::uint64_t reserved = 0;  // bytes of the file that really have space
  std::uint64_t synced = 0;
  std::vector<std::byte> pending;  // what belongs at `synced`

  // Reserves space up to `end` and some more, or just `end` when there is no room for more. The
  // space behind `end` is filled with zeros, not only allocated: a sync of bytes written over
  // others needs no commit of the file system's journal, a sync of bytes in a fresh extent does.
  Status reserve(std::uint64_t end) {
    if (end <= reserved) return {};
    const std::uint64_t step = std::max<std::uint64_t>(grow, 4096);
    const std::uint64_t target = (end + step - 1) / step * step;
    Status status = file->preallocate(target);
    if (status.code() == Code::kResourceExhausted) {
      status = file->preallocate(end);
      if (status.ok()) reserved = end;
      return status;
    }
    NUDGE_TRY(status);
    const std::vector<std::byte> zeros(std::min<std::uint64_t>(target - end, 1u << 20));
    for (std::uint64_t at = end; at < target;) {
      const std::uint64_t size = std::min<std::uint64_t>(target - at, zeros.size());
      NUDGE_TRY(file->pwrite(std::span(zeros).first(size), at));
      at += size;
    }
    reserved = target;
    return {};
  }
};

SegmentWriter::SegmentWriter() : state_(std::make_unique<State>()) {}
SegmentWriter::~SegmentWriter() = default;

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(FileSystem& files,
                                                             const std::string& path,
                                                             const SegmentSpec& spec,
                                                             std::uint64_t grow_bytes) {
  NUDGE_TRY(spec.validate());
  auto file = files.open(path, OpenMode::kCreateNew);
  if (!file.ok()) return file.status();
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter());
  State& state = *writer->state_;
  state.file = *std::move(file);
  state.path = path;
  state.spec = spec;
  state.grow = grow_bytes;
  const auto prepare = [&]() -> Status {
    const std::vector<std::byte> header = encode_header(spec);
    NUDGE_TRY(state.reserve(header.size()));
    NUDGE_TRY(state.file->pwrite(header, 0));
    NUDGE_TRY(state.file->sync());
    NUDGE_TRY(sync_parent(files, path));
    state.synced = header.size();
    return {};
  };
  if (const Status status = prepare(); !status.ok()) {
    (void)files.remove(path);  // ours, and still without a record; if that fails too, recovery
    return status;             // finds an empty segment
  }
  return writer;
}

Result<std::uint64_t> SegmentWriter::append(const Step& step, Sequence sequence) {
  State& state = *state_;
  const std::uint64_t offset = end();
  NUDGE_TRY(encode_step(state.spec, step, sequence, state.pending));
  if (end() > kMaxSegmentBytes) {
    state.pending.resize(static_cast<std::size_t>(offset - state.synced));
    return resource_exhausted(state.path + ": the segment is full; end the episode");
  }
  return offset;
}

Status SegmentWriter::sync() {
  State& state = *state_;
  if (state.pending.empty()) return {};
  NUDGE_TRY(state.reserve(end()));
  NUDGE_TRY(state.file->pwrite(state.pending, state.synced));
  NUDGE_TRY(state.file->sync());
  state.synced += state.pending.size();
  // A burst must not hold its memory for the rest of the episode.
  constexpr std::size_t kKeepBytes = 4u << 20;
  if (state.pending.capacity() > kKeepBytes) {
    state.pending = {};
  } else {
    state.pending.clear();
  }
  return {};
}

Status SegmentWriter::finish() {
  State& state = *state_;
  NUDGE_TRY(state.file->truncate(state.synced));
  state.reserved = state.synced;
  return {};
}

const SegmentSpec& SegmentWriter::spec() const { return state_->spec; }
const std::string& SegmentWriter::path() const { return state_->path; }
std::uint64_t SegmentWriter::end() const { return state_->synced + state_->pending.size(); }
std::uint64_t SegmentWriter::synced() const { return state_->synced; }
std::size_t SegmentWriter::pending_bytes() const { return state_->pending.size(); }
std::span<const std::byte> SegmentWriter::appended(std::uint64_t offset) const {
  return std::span<const std::byte>(state_->pending)
      .subspan(static_cast<std::size_t>(offset - state_->synced));
}

std::string segment_file_name(EpisodeId episode) {
  char name[40];
  std::snprintf(name, sizeof name, "episode-%09llu.seg", static_cast<unsigned long long>(episode));
  return name;
}

// ---- SegmentMap --------------------------------------------------------------------------------

struct SegmentMap::State {
  std::unique_ptr<File> file;  // null: a view of somebody else's memory
  std::unique_ptr<Mapping> mapping;
  std::span<const std::byte> bytes;
  std::string path;
  SegmentSpec spec;
  Layout layout{SegmentSpec{}};
  std::uint64_t first = 0;

  Status adopt(std::span<const std::byte> content) {
    bytes = content;
    auto decoded = decode_header(bytes, &first);
    if (!decoded.ok()) return decoded.status().with_context(path);
    spec = *std::move(decoded);
    layout = Layout(spec);
    return {};
  }

  // Null when the record at `offset` is whole and lies before `end`; otherwise what is wrong.
  const char* fault_at(std::uint64_t offset, std::uint64_t end, Check check) const {
    end = std::min<std::uint64_t>(end, bytes.size());
    if (offset < first || offset % 8 != 0) return "no record can start here";
    if (offset > end || end - offset < layout.images_at) return "the record is cut off";
    const std::byte* at = bytes.data() + offset;
    const auto size = load<std::uint32_t>(at + 4);
    if (size == 0) return "there is no record";
    if (size < layout.images_at || size % 8 != 0) return "the record's size is wrong";
    if (size > end - offset) return "the record is cut off";
    if (check == Check::kCrc && load<std::uint32_t>(at) != crc32c({at + 4, size - 4})) {
      return "the record's checksum does not match";
    }
    if (load<std::uint64_t>(at + 16) != spec.episode) return "the record is of another episode";
    if (load<std::uint8_t>(at + 72) > static_cast<std::uint8_t>(ControlSource::kScript)) {
      return "the record's source does not exist";
    }
    const auto present = load<std::uint8_t>(at + 73);
    if (present > kAllPresent || ((present & kReference) != 0 && layout.reference == 0)) {
      return "the record has unknown parts";
    }
    const auto images = load<std::uint16_t>(at + 74);
    if (images > kMaxCameras || size - layout.images_at < images * kImageEntry) {
      return "the record's images do not fit";
    }
    std::size_t used = layout.images_at + images * kImageEntry;
    for (std::size_t i = 0; i < images; ++i) {
      const std::byte* entry = at + layout.images_at + i * kImageEntry;
      const auto jpeg = load<std::uint32_t>(entry + 4);
      if (load<std::uint16_t>(entry) >= spec.cameras.size() || jpeg > kMaxJpegBytes ||
          load<std::uint32_t>(entry + 8) > kMaxPixels ||
          load<std::uint32_t>(entry + 12) > kMaxPixels) {
        return "an image of the record is out of range";
      }
      used += jpeg;
    }
    if (align8(used) != size) return "the record's images do not fit";
    return nullptr;
  }

  Status damaged(std::uint64_t offset, const char* what) const {
    return data_loss(path + ": at byte " + std::to_string(offset) + ": " + what);
  }
};

SegmentMap::SegmentMap() : state_(std::make_unique<State>()) {}
SegmentMap::~SegmentMap() = default;

Result<std::unique_ptr<SegmentMap>> SegmentMap::open(FileSystem& files, const std::string& path) {
  auto file = files.open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const auto size = (*file)->size();
  if (!size.ok()) return size.status();
  if (*size < kHeaderFixed) return data_loss(path + ": segment header: file is too short");
  auto mapping = (*file)->map(*size);
  if (!mapping.ok()) return mapping.status();
  std::unique_ptr<SegmentMap> map(new SegmentMap());
  State& state = *map->state_;
  state.path = path;
  state.file = *std::move(file);
  state.mapping = *std::move(mapping);
  NUDGE_TRY(state.adopt(state.mapping->bytes()));
  return map;
}

Result<std::unique_ptr<SegmentMap>> SegmentMap::view(std::span<const std::byte> bytes,
                                                     std::string name) {
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0) {
    return invalid_argument(name + ": a segment in memory must start at a multiple of 8");
  }
  std::unique_ptr<SegmentMap> map(new SegmentMap());
  map->state_->path = std::move(name);
  NUDGE_TRY(map->state_->adopt(bytes));
  return map;
}

const SegmentSpec& SegmentMap::spec() const { return state_->spec; }
const std::string& SegmentMap::path() const { return state_->path; }
std::uint64_t SegmentMap::first() const { return state_->first; }
std::uint64_t SegmentMap::size() const { return state_->bytes.size(); }

Status SegmentMap::refresh() {
  State& state = *state_;
  if (state.file == nullptr) return {};
  const auto size = state.file->size();
  if (!size.ok()) return size.status();
  if (*size <= state.bytes.size()) return {};
  auto mapping = state.file->map(*size);
  if (!mapping.ok()) return mapping.status();
  state.mapping = *std::move(mapping);
  state.bytes = state.mapping->bytes();
  return {};
}

Status SegmentMap::scan(std::uint64_t from, std::uint64_t end, Check check,
                        const std::function<bool(const StepView&)>& visit) const {
  const State& state = *state_;
  if (end > state.bytes.size()) {
    return data_loss(state.path + ": " + std::to_string(end) + " bytes were committed, " +
                     std::to_string(state.bytes.size()) + " are there");
  }
  Sequence before = 0;
  for (std::uint64_t offset = from; offset != end;) {
    if (const char* fault = state.fault_at(offset, end, check)) {
      return state.damaged(offset, fault);
    }
    const StepView step = step_at(offset);
    if (step.sequence <= before) return state.damaged(offset, "the sequence does not rise");
    before = step.sequence;
    if (!visit(step)) break;
    offset = step.next;
  }
  return {};
}

std::uint64_t SegmentMap::valid_end(std::uint64_t from) const {
  const State& state = *state_;
  Sequence before = 0;
  std::uint64_t offset = from;
  while (offset < state.bytes.size() &&
         state.fault_at(offset, state.bytes.size(), Check::kCrc) == nullptr) {
    const StepView step = step_at(offset);
    if (step.sequence <= before) break;
    before = step.sequence;
    offset = step.next;
  }
  return offset;
}

StepView SegmentMap::step_at(std::uint64_t offset) const {
  const State& state = *state_;
  const Layout& layout = state.layout;
  const std::byte* at = state.bytes.data() + offset;
  StepView step;
  step.sequence = load<std::uint64_t>(at + 8);
  step.episode = load<std::uint64_t>(at + 16);
  step.control_tick = load<std::uint64_t>(at + 24);
  step.time = Instant(Duration(load<std::int64_t>(at + 32)));
  step.wall_time = WallTime(Duration(load<std::int64_t>(at + 40)));
  step.weights = load<std::uint64_t>(at + 48);
  step.span = load<std::uint64_t>(at + 56);
  step.policy_step = load<std::uint32_t>(at + 64);
  step.flags = load<std::uint32_t>(at + 68);
  step.source = static_cast<ControlSource>(load<std::uint8_t>(at + 72));
  const auto present = load<std::uint8_t>(at + 73);
  step.images = load<std::uint16_t>(at + 74);
  const auto floats = [&](std::size_t where, std::size_t size, Present bit) {
    return std::span<const float>(reinterpret_cast<const float*>(at + where),
                                  (present & bit) != 0 ? size : 0);
  };
  step.proprioception = floats(kRecordFixed, layout.proprioception, kProprioception);
  step.proposed = floats(layout.proposed_at, layout.actions, kProposed);
  step.requested = floats(layout.requested_at, layout.actions, kRequested);
  step.executed = floats(layout.executed_at, layout.actions, kExecuted);
  step.reference = floats(layout.reference_at, layout.reference, kReference);
  step.reference_age = load<std::uint32_t>(at + 76);
  step.features = {reinterpret_cast<const Half*>(at + layout.features_at),
                   (present & kFeatures) != 0 ? layout.features : 0};
  step.offset = offset;
  step.next = offset + load<std::uint32_t>(at + 4);
  step.record = {at, load<std::uint32_t>(at + 4)};
  step.image_table_ = at + layout.images_at;
  return step;
}

ImageView StepView::image(std::size_t i) const {
  const std::byte* jpeg = image_table_ + images * kImageEntry;
  for (std::size_t before = 0; before < i; ++before) {
    jpeg += load<std::uint32_t>(image_table_ + before * kImageEntry + 4);
  }
  const std::byte* entry = image_table_ + i * kImageEntry;
  ImageView view;
  view.camera = load<std::uint16_t>(entry);
  view.width = static_cast<int>(load<std::uint32_t>(entry + 8));
  view.height = static_cast<int>(load<std::uint32_t>(entry + 12));
  view.captured = Instant(Duration(load<std::int64_t>(entry + 16)));
  view.jpeg = {jpeg, load<std::uint32_t>(entry + 4)};
  return view;
}

Result<Step> SegmentMap::decode(std::uint64_t offset) const {
  const State& state = *state_;
  if (const char* fault = state.fault_at(offset, state.bytes.size(), Check::kCrc)) {
    return state.damaged(offset, fault);
  }
  return copy_of(step_at(offset), state.spec);
}

Step copy_of(const StepView& view, const SegmentSpec& spec) {
  Step step;
  step.sequence = view.sequence;
  step.episode = view.episode;
  step.policy_step = view.policy_step;
  step.control_tick = view.control_tick;
  step.time = view.time;
  step.wall_time = view.wall_time;
  step.weights = view.weights;
  step.source = view.source;
  step.flags = view.flags;
  step.span = view.span;
  step.features.resize(view.features.size());
  to_float(view.features, step.features);
  step.proprioception.assign(view.proprioception.begin(), view.proprioception.end());
  step.proposed.assign(view.proposed.begin(), view.proposed.end());
  step.requested.assign(view.requested.begin(), view.requested.end());
  step.executed.assign(view.executed.begin(), view.executed.end());
  step.reference.assign(view.reference.begin(), view.reference.end());
  step.reference_age = view.reference_age;
  for (std::size_t i = 0; i < view.images; ++i) {
    const ImageView from = view.image(i);
    Image image;
    if (from.camera < spec.cameras.size()) image.camera = spec.cameras[from.camera];
    image.width = from.width;
    image.height = from.height;
    image.captured = from.captured;
    const auto* data = reinterpret_cast<const std::uint8_t*>(from.jpeg.data());
    image.jpeg.assign(data, data + from.jpeg.size());
    step.images.push_back(std::move(image));
  }
  return step;
}

}  // namespace nudge
