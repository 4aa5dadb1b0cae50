// Segment files: the bulk of an episode. One preallocated file per episode holds a header and, one
// after the other, a checksummed record per step. Written by the log, mapped read-only by readers.
//
// Layout, little-endian, every record starts at a multiple of 8:
//   header   0 "NUDGESEG"  8 u32 version  12 u32 header bytes  16 u64 episode
//            24 u32 features F  28 u32 proprioception P  32 u32 actions A  36 u32 cameras C
//            40 char[64] backbone hash  104 char[64] x C camera names  then u32 reference rows R,
//            u32 CRC-32C of all before it. Version 1 has no references (R = 0), version 2 has some
//   record   0 u32 CRC-32C of all that follows  4 u32 record bytes (padding included; 0: no record)
//            8 u64 sequence  16 u64 episode  24 u64 control tick  32 i64 time  40 i64 wall time
//            48 u64 weights  56 u64 span  64 u32 policy step  68 u32 flags  72 u8 source
//            73 u8 present (bit 0 features, 1 proprioception, 2 proposed, 3 requested, 4 executed,
//            5 reference)  74 u16 images N  76 u32 age of the reference, control ticks
//            80 f32 x P proprioception, f32 x A proposed, requested, executed, f32 x R x A
//               reference, f16 x F features (zero when not present), zeros up to a multiple of 8
//            then per image: u16 camera, u16 0, u32 jpeg bytes, u32 width, u32 height, i64 captured
//            then the JPEGs back to back, zeros up to a multiple of 8
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/event.h"
#include "nudge/half.h"
#include "nudge/status.h"
#include "replay/file.h"

namespace nudge {

inline constexpr std::size_t kMaxProprioception = 256;
inline constexpr std::size_t kMaxActionSize = 64;
inline constexpr std::size_t kMaxReferenceRows = 64;
inline constexpr std::size_t kMaxCameras = 16;
inline constexpr std::size_t kMaxCameraName = 63;       // bytes
inline constexpr std::size_t kMaxJpegBytes = 4u << 20;  // per image
inline constexpr std::uint64_t kMaxSegmentBytes = 64ull << 30;

// What all steps of a segment have in common.
struct SegmentSpec {
  EpisodeId episode = 0;                // given by the log
  std::size_t feature_size = 0;         // of the backbone, 0..kMaxFeatures; 0: features not kept
  std::size_t proprioception_size = 0;  // 0..kMaxProprioception
  std::size_t action_size = 0;          // 1..kMaxActionSize
  std::string backbone_hash;            // hex SHA-256 that keys the features; empty: none
  std::vector<std::string> cameras;     // names, each 1..kMaxCameraName bytes and unique
  std::size_t reference_rows = 0;       // of reference chunks, 0..kMaxReferenceRows; 0: none kept

  friend bool operator==(const SegmentSpec&, const SegmentSpec&) = default;
  // kInvalidArgument naming the first field out of its range.
  Status validate() const;
};

// The name of an episode's file.
std::string segment_file_name(EpisodeId episode);

// A JPEG inside a mapped segment.
struct ImageView {
  std::size_t camera = 0;  // index into SegmentSpec::cameras
  int width = 0;           // pixels
  int height = 0;          // pixels
  Instant captured;        // robot's steady clock, when the exposure ended
  std::span<const std::byte> jpeg;
};

// A step inside a mapped segment; fields as in Step. All spans point into the mapping and are valid
// until SegmentMap::refresh() or the end of the map. A vector that the step did not have is empty.
struct StepView {
  Sequence sequence = 0;
  EpisodeId episode = 0;
  std::uint32_t policy_step = 0;
  ControlTick control_tick = 0;
  Instant time;
  WallTime wall_time;
  WeightsVersion weights = 0;
  ControlSource source = ControlSource::kHold;
  std::uint32_t flags = 0;
  SpanId span = 0;
  std::span<const Half> features;         // [feature_size], fp16
  std::span<const float> proprioception;  // [proprioception_size]
  std::span<const float> proposed;        // [action_size]
  std::span<const float> requested;       // [action_size]
  std::span<const float> executed;        // [action_size]
  std::span<const float> reference;       // [reference_rows, action_size]
  std::uint32_t reference_age = 0;
  std::size_t images = 0;  // how many; image(i) gives them

  std::uint64_t offset = 0;           // of this record in its file
  std::uint64_t next = 0;             // offset of the byte after it, where the next record starts
  std::span<const std::byte> record;  // all of it, as it is in the file

  ImageView image(std::size_t i) const;  // i < images; walks the i images before it

 private:
  friend class SegmentMap;
  const std::byte* image_table_ = nullptr;
};

// Bytes of a step as a record of this segment, appended to `out`. Pure. kInvalidArgument when a
// vector has neither size 0 nor the segment's, or an image names no camera of the segment, or is
// too large; `out` is then unchanged.
// `sequence` is stored in place of the step's own.
Status encode_step(const SegmentSpec& spec, const Step& step, Sequence sequence,
                   std::vector<std::byte>& out);
// What a record holds, with features as floats, cameras by name and the sequence it was stored
// under. A camera that `spec` has not gets no name.
Step copy_of(const StepView& view, const SegmentSpec& spec);
std::vector<std::byte> encode_header(const SegmentSpec& spec);  // spec is valid
// Checks magic, version, bounds and CRC. kDataLoss; kUnimplemented for a newer version.
// `header_bytes` gets where the first record starts.
Result<SegmentSpec> decode_header(std::span<const std::byte> bytes, std::uint64_t* header_bytes);

// Writes one segment. Owned by the log's thread.
class SegmentWriter {
 public:
  // Makes the file (kAlreadyExists when there is one), reserves `grow_bytes`, writes and syncs the
  // header and its directory entry.
  static Result<std::unique_ptr<SegmentWriter>> create(FileSystem& files, const std::string& path,
                                                       const SegmentSpec& spec,
                                                       std::uint64_t grow_bytes);
  ~SegmentWriter();

  // Encodes into memory and returns the offset that the record will have. Errors of encode_step().
  // The second form stores `sequence` in place of the step's own, which saves a copy of the step.
  Result<std::uint64_t> append(const Step& step) { return append(step, step.sequence); }
  Result<std::uint64_t> append(const Step& step, Sequence sequence);
  // Writes what append() collected with one call and makes it durable. On an error nothing is lost:
  // the same bytes are written again by the next sync().
  Status sync();
  // Cuts the reserved space behind the last synced record.
  Status finish();

  const SegmentSpec& spec() const;
  const std::string& path() const;
  std::uint64_t end() const;          // offset behind the last appended record
  std::uint64_t synced() const;       // offset behind the last durable record
  std::size_t pending_bytes() const;  // end() - synced()
  // What was appended from `offset` on, which is not below synced(). Valid until the next call.
  std::span<const std::byte> appended(std::uint64_t offset) const;

 private:
  SegmentWriter();
  struct State;
  std::unique_ptr<State> state_;
};

// Maps one segment read-only. For one thread at a time; concurrent const calls are fine.
class SegmentMap {
 public:
  // Maps all of the file and checks its header. kNotFound, kDataLoss, kUnimplemented.
  static Result<std::unique_ptr<SegmentMap>> open(FileSystem& files, const std::string& path);
  // The same over memory that outlives the map and starts at a multiple of 8 (kInvalidArgument
  // otherwise); `name` stands for the path in messages.
  static Result<std::unique_ptr<SegmentMap>> view(std::span<const std::byte> bytes,
                                                  std::string name);
  ~SegmentMap();

  const SegmentSpec& spec() const;
  const std::string& path() const;
  std::uint64_t first() const;  // offset of the first record
  std::uint64_t size() const;   // bytes mapped, the reserved zeros included

  // Maps again when the file has grown beyond size(). Invalidates all views, not offsets.
  Status refresh();

  enum class Check { kBounds, kCrc };
  // Calls `visit` for each record in [from, end), both record boundaries (from = first() for all;
  // end = as committed by the log, StepsRef::end_offset). Every record's structure is checked
  // against the bounds, and that sequences rise; with kCrc also its checksum. Stops early when
  // `visit` returns false. kDataLoss with the offset at the first damaged record, after visiting
  // those before it.
  Status scan(std::uint64_t from, std::uint64_t end, Check check,
              const std::function<bool(const StepView&)>& visit) const;
  // Where the unbroken run of valid records (CRC, consecutive layout) starting at `from` ends.
  std::uint64_t valid_end(std::uint64_t from) const;

  // Cheap access to a record that scan() has visited (or the log has committed): no checksum, no
  // bounds check. Any other offset is a bug of the caller.
  StepView step_at(std::uint64_t offset) const;
  // A copy of a record, checksum and bounds checked. Features come back as floats. kDataLoss.
  Result<Step> decode(std::uint64_t offset) const;

 private:
  SegmentMap();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
