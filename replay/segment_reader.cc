#include "replay/segment_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace nudge {
namespace {

constexpr std::uint64_t kWindow = 1u << 20;  // bytes
constexpr std::uint64_t kMaxHeader = 108 + 64 * kMaxCameras + 4;
// Features, three actions and cameras at their largest, with room to spare.
constexpr std::uint64_t kMaxRecord = kMaxCameras * kMaxJpegBytes + (64u << 10);
constexpr std::uint64_t kAlignment = 8;

std::uint32_t size_field(const std::byte* record) {
  std::uint32_t size = 0;
  std::memcpy(&size, record + 4, sizeof size);
  return size;
}

}  // namespace

struct SegmentReader::State {
  std::unique_ptr<File> file;
  std::string path;
  SegmentSpec spec;
  std::uint64_t header = 0;  // bytes
  // The header, and behind it the records of the window: so it reads as a segment of its own. In
  // words, for SegmentMap wants multiples of 8.
  std::vector<std::uint64_t> words;
  std::uint64_t start = 0;  // offset in the file of what lies behind the header
  std::uint64_t held = 0;   // bytes of it
  std::unique_ptr<SegmentMap> view;

  std::byte* bytes() { return reinterpret_cast<std::byte*>(words.data()); }

  // Reads [from, from + size) as far as the file goes.
  Status fill(std::uint64_t from, std::uint64_t size) {
    view.reset();
    const std::uint64_t needed = (header + size + kAlignment - 1) / kAlignment;
    words.resize(needed);
    // One long record must not hold its memory for ever.
    if (words.capacity() > 4 * std::max(needed, kWindow / kAlignment)) words.shrink_to_fit();
    const auto read = file->pread({bytes() + header, static_cast<std::size_t>(size)}, from);
    if (!read.ok()) return read.status();
    start = from;
    held = *read;
    auto made = SegmentMap::view({bytes(), static_cast<std::size_t>(header + held)}, path);
    if (!made.ok()) return made.status();
    view = *std::move(made);
    return {};
  }

  // Offset of the first whole record at or behind `from`; `end` when there is none. Only records
  // of at most half a window are looked for.
  Result<std::uint64_t> search(std::uint64_t from, std::uint64_t end) {
    std::uint64_t at = from;
    while (at < end) {
      NUDGE_TRY(fill(at, std::min(kWindow, end - at)));
      if (held < kAlignment) return end;
      const std::uint64_t stop = start + held;
      std::uint64_t next = stop;  // where the next window begins
      for (; at + kAlignment <= stop; at += kAlignment) {
        const std::uint64_t local = header + (at - start);
        const std::uint64_t size = size_field(bytes() + local);
        if (size == 0 || size % kAlignment != 0 || size > kWindow / 2 || size > end - at) continue;
        if (at + size > stop) {
          // Might be whole if more of it were here.
          if (at == start) continue;
          next = at;
          break;
        }
        if (view->valid_end(local) > local) return at;
      }
      at = next;
    }
    return end;
  }
};

SegmentReader::SegmentReader() : state_(std::make_unique<State>()) {}
SegmentReader::~SegmentReader() = default;

Result<std::unique_ptr<SegmentReader>> SegmentReader::open(FileSystem& files,
                                                           const std::string& path) {
  std::unique_ptr<SegmentReader> reader(new SegmentReader());
  State& state = *reader->state_;
  state.path = path;
  auto file = files.open(path, OpenMode::kRead);
  if (!file.ok()) return file.status();
  state.file = *std::move(file);
  state.words.resize((kMaxHeader + kAlignment - 1) / kAlignment);
  const auto read = state.file->pread({state.bytes(), kMaxHeader}, 0);
  if (!read.ok()) return read.status();
  auto spec = decode_header({state.bytes(), *read}, &state.header);
  if (!spec.ok()) return spec.status().with_context(path);
  state.spec = *std::move(spec);
  return reader;
}

const SegmentSpec& SegmentReader::spec() const { return state_->spec; }
std::uint64_t SegmentReader::first() const { return state_->header; }

Result<bool> SegmentReader::scan(std::uint64_t from, std::uint64_t end, const Visit& visit) {
  State& state = *state_;
  bool whole = true;
  std::uint64_t at = std::max(from, state.header);
  std::uint64_t window = kWindow;
  while (at < end) {
    NUDGE_TRY(state.fill(at, std::min(window, end - at)));
    std::uint64_t good = at;
    bool enough = false;
    const Status scanned =
        state.view->scan(state.header, state.header + state.held, SegmentMap::Check::kCrc,
                         [&](const StepView& step) {
                           const std::uint64_t offset = at + (step.offset - state.header);
                           good = at + (step.next - state.header);
                           enough = !visit(step, {.offset = offset, .bytes = good - offset});
                           return !enough;
                         });
    if (enough) return whole;
    if (scanned.ok() && state.held > 0) {
      at = good;
      continue;
    }
    if (good >
        at) {  // the window ends within a record; or what follows is damaged, as is seen then
      at = good;
      window = kWindow;
      continue;
    }
    const std::uint64_t size =
        state.held >= kAlignment ? size_field(state.bytes() + state.header) : 0;
    if (size > state.held && size <= kMaxRecord && size <= end - at && window < size) {
      window = size;  // a long one
      continue;
    }
    whole = false;
    if (state.held == 0) return whole;  // the file has been cut off
    auto next = state.search(at + kAlignment, end);
    if (!next.ok()) return next.status();
    at = *next;
    window = kWindow;
  }
  return whole;
}

Result<StepView> SegmentReader::read(const RecordPlace& place) {
  State& state = *state_;
  if (place.bytes > kMaxRecord) return invalid_argument(state.path + ": no record is that long");
  NUDGE_TRY(state.fill(place.offset, place.bytes));
  std::optional<StepView> found;
  NUDGE_TRY(state.view->scan(state.header, state.header + state.held, SegmentMap::Check::kCrc,
                             [&](const StepView& step) {
                               found = step;
                               return false;
                             }));
  if (!found) {
    return data_loss(state.path + ": the record at " + std::to_string(place.offset) + " is gone");
  }
  return *found;
}

}  // namespace nudge
