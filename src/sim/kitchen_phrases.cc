#include "src/sim/kitchen_phrases.h"

#include <initializer_list>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "nudge/random.h"

namespace nudge {
namespace {

using Texts = std::vector<std::string>;

constexpr std::string_view kArticles[] = {"the", "that", "this"};
constexpr std::string_view kOpenings[] = {
    "",     "please ", "could you ", "can you ",       "would you ",
    "now ", "robot, ", "go and ",    "I want you to ", "you should "};
constexpr std::string_view kEndings[] = {"", ", please", " now", " for me"};
constexpr std::string_view kPut[] = {"put",   "place",    "move",    "set",   "bring", "take",
                                     "shift", "carry",    "get",     "slide", "stand", "leave",
                                     "lay",   "transfer", "deliver", "push"};
constexpr std::string_view kLift[] = {"lift",    "raise",   "pick up", "grab",  "take",
                                      "hold up", "lift up", "get",     "hoist", "elevate"};
constexpr std::string_view kLifted[] = {"",
                                        " up",
                                        " off the table",
                                        " from the counter",
                                        " into the air",
                                        " up high",
                                        " off the worktop"};
constexpr std::string_view kClosing[] = {"and close it",
                                         "and shut it",
                                         "and push it shut",
                                         "then close the drawer",
                                         "then shut it",
                                         "and close the drawer",
                                         "and shut the drawer afterwards"};
constexpr std::string_view kBurner[] = {"burner",        "hob",         "hotplate", "ring",
                                        "cooking plate", "stove plate", "flame"};

// What things and places may be called. The first name is the one in instructions.
const std::vector<Texts>& things() {
  static const std::vector<Texts> all = {{"pot", "saucepan", "pan", "cooking pot"},
                                         {"mug", "cup", "coffee mug"},
                                         {"sponge", "dish sponge", "scrubber"},
                                         {"can", "tin", "soda can"},
                                         {"bowl", "dish"},
                                         {"block", "cube", "brick"}};
  return all;
}
const std::vector<Texts>& places() {
  static const std::vector<Texts> all = {
      {"in the sink", "into the sink", "inside the sink", "to the sink", "in the basin",
       "into the basin", "in the washbasin", "into the wash bowl of the sink", "down in the sink"},
      {"on the tray", "onto the tray", "to the tray", "on the serving tray", "onto the platter",
       "on top of the tray", "over onto the tray"},
      {"in the drawer", "into the drawer", "inside the drawer"}};
  return all;
}

Texts burner_places(const std::string& side) {
  Texts all = {"on the " + side + " side of the stove", "on the " + side + " of the stove",
               "to the " + side + " side of the cooker",
               "on the " + side + "-hand side of the hob"};
  for (const std::string_view name : kBurner) {
    const std::string burner(name);
    all.push_back("on the " + side + " " + burner);
    all.push_back("onto the " + side + " " + burner);
    all.push_back("to the " + side + " " + burner);
    all.push_back("over the " + side + " " + burner);
    all.push_back("on the " + side + "-hand " + burner);
    all.push_back("on the " + side + " one of the " + burner + "s");
    all.push_back("on the " + burner + " on the " + side);
    all.push_back("on the " + burner + " at the " + side);
    all.push_back("onto the " + burner + " to the " + side);
  }
  return all;
}

Texts ways_to_a_place(const std::string& place) {
  for (const char* side : {"left", "right"}) {
    if (place == "on the " + std::string(side) + " burner") return burner_places(side);
  }
  for (const Texts& ways : places()) {
    if (place == ways.front()) return ways;
  }
  return {};
}

// An instruction's parts: a thing lifted, or put into a place, and what is closed then.
struct Task {
  Texts things, places;
  bool lifted = false, closed = false;
};

// Nothing in it: not an instruction of the kitchen.
Task task_of(std::string_view instruction) {
  Task task;
  constexpr std::string_view kClose = " and close it";
  if (instruction.ends_with(kClose)) {
    task.closed = true;
    instruction.remove_suffix(kClose.size());
  }
  for (const Texts& names : things()) {
    if (instruction == "lift the " + names.front()) {
      task.things = names;
      task.lifted = true;
    } else if (const std::string put = "put the " + names.front() + " ";
               instruction.starts_with(put)) {
      task.places = ways_to_a_place(std::string(instruction.substr(put.size())));
      if (!task.places.empty()) task.things = names;
    }
  }
  return task;
}

class Speaker {
 public:
  Speaker(const Task& task, std::uint64_t seed) : task_(task), random_(seed) {}

  std::string say() {
    const std::string thing = one_of(task_.things);
    const std::string named = one_of(kArticles) + " " + thing;
    if (task_.lifted) {
      return one_of(kOpenings) + one_of(kLift) + " " + named + one_of(kLifted) + one_of(kEndings);
    }
    const std::string place = one_of(task_.places);
    const std::string close = task_.closed ? " " + one_of(kClosing) : "";
    const double form = random_.uniform();
    if (form < 0.60) {
      return one_of(kOpenings) + one_of(kPut) + " " + named + " " + place + close +
             one_of(kEndings);
    }
    if (form < 0.66) return "the " + thing + " goes " + place + close;
    if (form < 0.72) return "the " + thing + " should be " + place + close;
    if (form < 0.77) return "I want the " + thing + " " + place + close;
    if (form < 0.82) return named + " " + place + close + ", please";
    if (form < 0.87) return place + ", that is where the " + thing + " belongs" + close;
    if (form < 0.92) return "pick up " + named + " and " + one_of(kPut) + " it " + place + close;
    if (form < 0.96) return thing + " " + place + close;
    return "let us have the " + thing + " " + place + close;
  }

 private:
  std::string one_of(const auto& texts) {
    return std::string(texts[random_.below(std::size(texts))]);
  }

  const Task& task_;
  Random random_;
};

}  // namespace

std::vector<std::string> task_phrases(const std::string& instruction) {
  std::vector<std::string> phrases = {instruction};
  const auto with = [&](const std::string& verb, std::initializer_list<const char*> others) {
    if (!instruction.starts_with(verb + " ")) return;
    const std::string rest = instruction.substr(verb.size());
    for (const char* other : others) {
      phrases.push_back(other + rest);
      phrases.push_back("please " + std::string(other) + rest);
    }
  };
  with("put", {"place", "move", "set", "bring"});
  with("lift", {"raise", "pick up", "grab", "take"});
  return phrases;
}

std::vector<std::string> ways_to_say(const std::string& instruction, std::size_t count,
                                     std::uint64_t seed) {
  const Task task = task_of(instruction);
  if (task.things.empty()) return {};
  Speaker speaker(task, seed);
  std::set<std::string> said = {instruction};
  std::vector<std::string> ways;
  // Many are said twice before all that there are have been said.
  for (std::size_t tries = 0; ways.size() < count && tries < 20 * count; ++tries) {
    std::string way = speaker.say();
    if (said.insert(way).second) ways.push_back(std::move(way));
  }
  return ways;
}

}  // namespace nudge
