#include "src/ports/camera_views.h"

#include <algorithm>
#include <chrono>

namespace nudge {
namespace {

constexpr std::uint16_t kFrameVersion = 1;
constexpr std::size_t kFrameHeader = 24;

void put(std::uint8_t*& at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
}

// As docs/reference/supervisor-port.md draws it.
std::vector<std::uint8_t> frame_of(const Image& image, std::size_t camera, std::uint32_t sequence,
                                   Instant now) {
  const auto age = std::chrono::duration_cast<std::chrono::microseconds>(now - image.captured);
  std::vector<std::uint8_t> bytes(kFrameHeader + image.jpeg.size());
  std::uint8_t* at = bytes.data();
  put(at, camera, 2);
  put(at, kFrameVersion, 2);
  put(at, sequence, 4);
  put(at, static_cast<std::uint64_t>(image.captured.time_since_epoch().count()), 8);
  put(at, static_cast<std::uint64_t>(image.width), 2);
  put(at, static_cast<std::uint64_t>(image.height), 2);
  put(at, static_cast<std::uint64_t>(std::clamp<std::int64_t>(age.count(), 0, UINT32_MAX)), 4);
  std::copy(image.jpeg.begin(), image.jpeg.end(), at);
  return bytes;
}

}  // namespace

CameraViews::CameraViews(std::span<const CameraSpec> cameras, Duration frame_timeout)
    : frame_timeout_(frame_timeout), sequences_(cameras.size()) {
  for (const CameraSpec& camera : cameras) names_.push_back(camera.name);
}

bool CameraViews::has(const std::string& camera) const {
  return std::find(names_.begin(), names_.end(), camera) != names_.end();
}

std::vector<std::size_t> CameraViews::want(ConnectionId viewer,
                                           std::span<const std::string> names) {
  std::vector<std::size_t> anew;
  std::vector<View>& views = viewers_[viewer];
  views.resize(names_.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    const bool before = views[i].wanted;
    views[i].wanted = std::find(names.begin(), names.end(), names_[i]) != names.end();
    if (!views[i].wanted || before) continue;
    views[i] = {.wanted = true, .sent = 0, .in_flight = std::nullopt};
    anew.push_back(i);
  }
  return anew;
}

bool CameraViews::see(ConnectionId viewer, const FrameSeen& seen) {
  View* const view = find(viewer, seen.camera);
  if (view == nullptr || seen.sequence != view->sent) return false;  // of one that was given up
  view->in_flight.reset();
  return true;
}

void CameraViews::forget(ConnectionId viewer) { viewers_.erase(viewer); }

void CameraViews::renew(std::size_t camera) {
  if (camera >= sequences_.size()) return;
  ++sequences_[camera];
  if (sequences_[camera] == 0) ++sequences_[camera];  // 0 is none
}

std::optional<std::vector<std::uint8_t>> CameraViews::next(ConnectionId viewer, std::size_t camera,
                                                           std::span<const Image> frames,
                                                           Instant now) {
  View* const view = find(viewer, camera);
  if (view == nullptr) return std::nullopt;
  if (view->in_flight && now - *view->in_flight >= frame_timeout_) view->in_flight.reset();
  if (!view->wanted || view->in_flight || view->sent == sequences_[camera]) return std::nullopt;
  if (camera >= frames.size() || frames[camera].jpeg.empty()) return std::nullopt;
  view->sent = sequences_[camera];
  view->in_flight = now;
  return frame_of(frames[camera], camera, view->sent, now);
}

CameraViews::View* CameraViews::find(ConnectionId viewer, std::size_t camera) {
  const auto known = viewers_.find(viewer);
  return known == viewers_.end() || camera >= names_.size() ? nullptr : &known->second[camera];
}

}  // namespace nudge
