// MP4 through the ffmpeg program, which is a process of its own: its libraries, some of them GPL,
// are no part of Nudge. Pictures go in and come out as JPEGs, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"

namespace nudge {

enum class VideoCodec : std::uint8_t { kAv1, kH264 };
// As info.json names them: "av1", "h264".
std::string codec_name(VideoCodec codec);

// The ffmpeg in PATH; kUnavailable says which package has it.
Result<std::string> find_ffmpeg();
// Whether that ffmpeg can write the codec.
Status check_codec(const std::string& ffmpeg, VideoCodec codec);

// One thread. Blocks while ffmpeg is slower than its caller.
class VideoEncoder {
 public:
  // Writes `path` (replaced). Frame i is shown at i / fps seconds. kUnavailable.
  static Result<std::unique_ptr<VideoEncoder>> start(const std::string& ffmpeg,
                                                     const std::string& path, int fps,
                                                     VideoCodec codec);
  ~VideoEncoder();  // an encoder that was not finished is ended, and its file is of no use

  // All frames are of one size. kInternal with ffmpeg's own words when it has given up.
  Status add(std::span<const std::byte> jpeg);
  // Waits until the file is complete.
  Status finish();

 private:
  VideoEncoder();
  struct State;
  std::unique_ptr<State> state_;
};

// One thread.
class VideoDecoder {
 public:
  // Of any video, or of PNGs (or other pictures) laid back to back in one file.
  enum class Input { kVideo, kPictures };
  static Result<std::unique_ptr<VideoDecoder>> start(const std::string& ffmpeg,
                                                     const std::string& path, Input input);
  ~VideoDecoder();

  // The next frame as a JPEG (at most 64 MiB); none at the end. kDataLoss with ffmpeg's own words
  // when it cannot read on.
  Result<std::optional<std::vector<std::byte>>> next();

 private:
  VideoDecoder();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nudge
