// A level of the kitchen: what lies on the counter, what is to be done with it, when it is done and
// how far along it is. A level is data and four functions, in a file pair of its own; robot,
// expert, scripted supervisor and evaluation know levels only through this header, so that they
// cannot disagree.
//
// Several tasks may share a level, each with its instruction. The robot is told which one is in
// force (Robot::instruct) and says so in its object state, for those who see that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/random.h"
#include "nudge/status.h"
#include "nudge/types.h"
#include "src/sim/task.h"

namespace nudge {

// Everything that a task is about, in the base frame.
struct KitchenState {
  Vec3 tool{};                // m, between the finger pads
  double opening = 0;         // between the finger pads, m
  std::vector<Vec3> objects;  // centres, m, in the order of LevelData::objects
  double drawer = 0;          // how far it is open, m; 0 where there is none
  std::size_t task = 0;       // the one in force, in the order of LevelData::tasks
};

// Something that the gripper can hold: to physics a box, whatever it looks like.
struct KitchenObject {
  std::string name;  // of its body, its free joint and its channels
  Vec3 half{};       // m; its centre's height at rest on the counter is half[2]
};

struct KitchenTask {
  std::string instruction;         // as an episode begins with it
  std::vector<std::string> words;  // those of LevelData::words that tell it from the other tasks
};

// Where things lie when an episode starts.
struct KitchenStart {
  struct Lying {
    double x = 0, y = 0, yaw = 0;  // m, rad
  };
  std::vector<Lying> objects;  // in the order of LevelData::objects
  double drawer = 0;           // m open
};

struct LevelData {
  int number = 0;
  std::string title;  // for people
  // MJCF of this level's bodies and geoms, included in the kitchen's world.
  const char* scene = nullptr;
  // Prefix of the names of furniture that is left out here; empty: nothing.
  std::string without;
  std::vector<KitchenObject> objects;
  bool drawer = false;
  std::vector<std::string> words;  // each is a channel of the object state when there are any
  std::vector<KitchenTask> tasks;
  std::vector<std::string> subgoals;  // for people, in the order in which they are reached
  std::uint32_t episode_steps = 0;    // policy steps after which an episode is over
  int done_ticks = 0;                 // control ticks in a row that success must last
  StartRegion starts;                 // where objects may lie at a start
  StartRegion demonstrated;           // the part that demonstrations show
};

// How a hand moves in this episode.
struct HandStyle {
  double hover = 0.07;  // m above an object, on the way to it
  double speed = 1.0;   // normalised
  bool hasty = false;   // lets go of things before they are where they belong
  Vec3 sway{};          // the hand's unsteadiness now, normalised rate
};

// What a person who knows the task would do, one policy step after the other. Remembers only what a
// moment's look does not show: that the fingers are about to close, or to let go.
class KitchenSkill {
 public:
  virtual ~KitchenSkill() = default;
  virtual void begin() = 0;  // forgets the episode before
  virtual Action act(const KitchenState& state, const HandStyle& style) = 0;
  virtual std::unique_ptr<KitchenSkill> copy() const = 0;  // as it is now
};

// Constant and shared; any thread.
class KitchenLevel {
 public:
  explicit KitchenLevel(LevelData data);
  virtual ~KitchenLevel() = default;
  const LevelData& data() const { return data_; }

  // A start with everything in `region`. Every call draws the same number of values.
  virtual KitchenStart start(Random& random, const StartRegion& region) const = 0;
  // How many sub-goals are reached, at this instant. All of them: the task is done.
  virtual std::size_t reached(const KitchenState& state) const = 0;
  // How far along the task is, in metres of motion; higher is nearer to done. Rises along any
  // sensible way of doing it.
  virtual double progress(const KitchenState& state) const = 0;
  virtual std::unique_ptr<KitchenSkill> make_skill() const = 0;

  bool done(const KitchenState& state) const { return reached(state) == data_.subgoals.size(); }

  // Layout of Observation::object_state: of each object its centre and the same minus the tool
  // point; then, where there is a drawer, how far it is open and its handle minus the tool point;
  // then for each word 1 if it is in the task in force, else 0.
  std::vector<Channel> channels() const;
  std::vector<float> object_state(const KitchenState& state) const;
  // kInvalidArgument when the sizes are not this level's.
  Result<KitchenState> state_of(const Observation& observation) const;

  // The task that a seed draws.
  std::size_t task_of(std::uint64_t seed) const;
  // The one task whose words are all in the text and in which no word of the text is missing;
  // `otherwise` when there is none.
  std::size_t task_meant(std::string_view instruction, std::size_t otherwise) const;

 private:
  LevelData data_;
};

// In the order of their numbers.
const std::vector<const KitchenLevel*>& kitchen_levels();
// kNotFound; the message names those that there are.
Result<const KitchenLevel*> kitchen_level(int number);

}  // namespace nudge
