// The simulated kitchen as a robot: a seven-joint arm with a two-finger gripper at a counter, on
// MuJoCo. Everything about the scene is in kitchen.xml, which is compiled into the program.
//
// The simulation owns its clock: time passes only inside apply() and advance(), one control tick
// each, as fast as the caller likes. In real time the caller paces the calls.
//
// Rendering and LibTorch share a process in either order with Debian 12's packages. Other builds of
// LibTorch carry libraries of their own that can keep GL from loading afterwards: with those,
// create the first KitchenRobot with cameras before anything of LibTorch runs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "nudge/random.h"
#include "nudge/robot.h"
#include "src/sim/kitchen_looks.h"
#include "src/sim/level.h"

namespace nudge {

struct KitchenOptions {
  // Standard deviation of the error of motion over a policy step, per axis, as a share of the
  // motion: 0.05 strays 1.25 mm (one sigma) in a step at full speed, as the 1 mm of the prototype.
  // 0: none.
  double actuation_noise = 0.05;
  // Half width of the random offset of the tool at the start of an episode, m along each axis.
  double home_jitter = 0.01;
  // Makes the two cameras known in spec() and opens a GL context in create().
  bool cameras = false;
  // Which level: src/sim/level.h.
  int level = 1;
  // Draws colours, lights, distractors and small shifts of the cameras anew with each seed, from a
  // stream of their own: what moves stays as it is.
  bool random_looks = false;
  // 1..100, turbojpeg's scale. 85 keeps the edges that a small network lives on, at about 4 kB.
  int jpeg_quality = 85;
};

// Where everything is. What it looks like and the task are not of it.
struct KitchenLayout {
  std::vector<double> positions;  // of every joint, as MuJoCo lays them out
  double gripper_target = 0;      // m of opening; less than there is: how firm the grip is
};

class KitchenRobot final : public Robot {
 public:
  // kInvalidArgument: an option out of range. kUnavailable: cameras were asked for and no software
  // or hardware GL is installed; the message names the packages.
  static Result<std::unique_ptr<KitchenRobot>> create(const KitchenOptions& options = {});
  ~KitchenRobot() override;
  KitchenRobot(const KitchenRobot&) = delete;
  KitchenRobot& operator=(const KitchenRobot&) = delete;

  // id "kitchen"; 50 Hz control, 10 Hz policy; layouts as in task.h and level.h; cameras "front"
  // and "wrist", 128x128, if asked for. Any thread.
  const RobotSpec& spec() const override;

  const KitchenLevel& level() const;  // any thread

  // Objects anywhere in the level's region, turned a little, arm at home with jitter, gripper open,
  // and one of the level's tasks. Equal seeds and actions give bitwise equal states; only the clock
  // goes on.
  Status reset(std::uint64_t seed) override;
  // The same with the objects in a part of the region. kInvalidArgument: region empty or not within
  // the whole one.
  Status reset_in(std::uint64_t seed, const StartRegion& region);
  // Step thread, tests: puts the block somewhere else, at rest, yaw 0. Region is not checked.
  void place_block(double x, double y);
  // The same of any object of the level, at a height; and of the drawer, where there is one.
  void place_object(std::size_t object, const Vec3& centre, double yaw);
  void set_drawer(double open);

  KitchenLayout layout() const;  // step thread
  // Puts everything back as it was, and at rest, as a person would: objects that stand on the
  // worktop come to lie up to `apart` m elsewhere in x and y, each way, but not within other
  // things. `layout` is of a robot of the same level. Step thread.
  void put_back(const KitchenLayout& layout, double apart, Random& random);

  // What the seed's task is called. instruction() is that of the last reset; empty where the level
  // has a single task, which people may call what they like.
  const std::string& instruction_for(std::uint64_t seed) const;
  std::string instruction() const override;
  // A task is meant when its words are said (KitchenLevel::task_meant); otherwise nothing changes.
  void instruct(const std::string& instruction) override;
  // The world as it is now. Step thread.
  KitchenState state() const;

  // Images are there only while render(true), at most one set per policy period; in between the
  // last one is repeated with its own capture time. kUnavailable: the GL context was lost.
  Result<Observation> observe() override;
  // A frame of each camera, of the scene as the last observe() saw it: for who looks at some
  // observations only. Empty without KitchenOptions::cameras. kUnavailable: the GL context was
  // lost. Step thread.
  Result<std::vector<Image>> pictures();
  // Whether observe() renders; off at first. No effect without KitchenOptions::cameras. Step
  // thread.
  void render(bool on);

  // Simulates one control tick (20 ms, 10 steps of physics). The motion ends with the call, so the
  // deadline is kept by construction. kInvalidArgument: wrong size or a value that is not finite;
  // values outside [-1, 1] are clamped. kFailedPrecondition: estop. kInternal: the physics became
  // unstable; reset() first.
  Status apply(const Action& action, Instant deadline) override;
  // Simulates one control tick of standing still: the world goes on while nobody drives. Allowed
  // under estop. Step thread.
  Status advance();

  void hold() override;
  void estop() override;
  Status reset_estop() override;

  // The simulated clock. Starts at one second, never goes back, not even at reset(). Step thread.
  Instant now() const;
  // Lets it jump forward, to follow a real clock; an earlier time is ignored. Step thread.
  void advance_clock_to(Instant time);
  // Every joint's position, as MuJoCo lays them out: what KitchenCameras renders. Step thread.
  std::vector<double> positions() const;
  // How the scene looks in this episode; null: as it was drawn up. Step thread.
  std::shared_ptr<const KitchenLooks> looks() const;
  // Control ticks simulated since create(). Step thread.
  ControlTick ticks() const;

 private:
  KitchenRobot();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
