#include "src/sim/live_kitchen.h"

namespace nudge {
namespace {

constexpr Duration kFramePeriod = std::chrono::milliseconds(66);  // some 15 frames a second
constexpr Duration kFilmPatience = std::chrono::milliseconds(50);

}  // namespace

Result<std::unique_ptr<LiveKitchen>> LiveKitchen::create(const KitchenOptions& options,
                                                         Clock clock) {
  KitchenOptions without = options;
  without.cameras = false;
  Result<std::unique_ptr<KitchenRobot>> robot = KitchenRobot::create(without);
  if (!robot.ok()) return robot.status();
  std::unique_ptr<KitchenCameras> cameras;
  if (options.cameras) {
    Result<std::unique_ptr<KitchenCameras>> made =
        KitchenCameras::create((*robot)->level(), options.jpeg_quality);
    if (!made.ok()) return made.status();
    cameras = *std::move(made);
  }
  return std::unique_ptr<LiveKitchen>(
      new LiveKitchen(*std::move(robot), std::move(cameras), clock));
}

LiveKitchen::LiveKitchen(std::unique_ptr<KitchenRobot> robot,
                         std::unique_ptr<KitchenCameras> cameras, Clock clock)
    : robot_(std::move(robot)), cameras_(std::move(cameras)), clock_(clock), spec_(robot_->spec()) {
  if (cameras_) spec_.observation.cameras = cameras_->cameras();
}

LiveKitchen::~LiveKitchen() { stop(); }

void LiveKitchen::start() {
  if (!cameras_ || filming_.joinable()) return;
  stop_ = false;
  filming_ = std::thread([this] { film(); });
}

void LiveKitchen::stop() {
  stop_ = true;
  if (filming_.joinable()) filming_.join();
}

void LiveKitchen::film() {
  while (!stop_) {
    const std::optional<Scene> scene = scenes_.take(kFilmPatience);
    if (!scene) continue;
    Result<std::vector<Image>> frames =
        cameras_->render(scene->positions, scene->looks.get(), scene->captured);
    // A camera that fails is one that delivers nothing: its last frame grows old, which people see.
    if (frames.ok()) filmed_.put(*std::move(frames));
  }
}

Status LiveKitchen::reset(std::uint64_t seed) {
  moved_ = true;
  return robot_->reset(seed);
}

Result<Observation> LiveKitchen::observe() {
  if (!moved_) NUDGE_TRY(robot_->advance());
  moved_ = false;
  Result<Observation> observation = robot_->observe();
  if (!observation.ok()) return observation;
  observation->time = clock_();
  if (cameras_) {
    if (observation->time >= next_frame_) {
      next_frame_ = observation->time + kFramePeriod;
      scenes_.put({.positions = robot_->positions(),
                   .looks = robot_->looks(),
                   .captured = observation->time});
    }
    if (std::optional<std::vector<Image>> frames = filmed_.try_take()) frames_ = *std::move(frames);
    observation->images = frames_;
  }
  return observation;
}

Status LiveKitchen::apply(const Action& action, Instant deadline) {
  Status applied = robot_->apply(action, deadline);
  if (applied.ok()) moved_ = true;
  return applied;
}

std::string LiveKitchen::instruction() const { return robot_->instruction(); }
void LiveKitchen::instruct(const std::string& instruction) { robot_->instruct(instruction); }

void LiveKitchen::hold() { robot_->hold(); }
void LiveKitchen::estop() { robot_->estop(); }
Status LiveKitchen::reset_estop() { return robot_->reset_estop(); }

}  // namespace nudge
