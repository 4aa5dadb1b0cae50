// Every state against every stimulus, and the document against the code.
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "test/feedback/authority_rig.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using S = AuthorityState;
constexpr std::array<S, 7> kStates = {S::kHold, S::kTakeover,  S::kHuman, S::kHandback,
                                      S::kAuto, S::kFaultHold, S::kEstop};

struct Stimulus {
  std::string name;
  std::function<void(Rig&)> apply;
  // Where it leads from HOLD, TAKEOVER, HUMAN, HANDBACK, AUTO, FAULT_HOLD, ESTOP.
  std::array<S, 7> to;
  std::string cause;  // of the last transition; unless nothing changes
};

constexpr S H = S::kHold, T = S::kTakeover, U = S::kHuman, B = S::kHandback, A = S::kAuto,
            F = S::kFaultHold, E = S::kEstop;

template <typename Body>
std::function<void(Rig&)> says(const Actor& who, Body body) {
  return [=](Rig& rig) {
    rig.act(who, body);
    rig.step();
  };
}

std::vector<Stimulus> stimuli() {
  return {
      {"STOP by a viewer", says(kViewerVic, Stop{}), {E, E, E, E, E, E, E}, "stopped"},
      {"a press of STOP counted beside the queue",
       [](Rig& rig) {
         ++rig.in.stop_presses;
         rig.step();
       },
       {E, E, E, E, E, E, E},
       "stopped"},
      {"hold by a viewer", says(kViewerVic, Hold{}), {H, H, H, H, H, F, E}, "hold_asked"},
      {"takeover by anna", says(kAnna, TakeoverRequest{}), {T, T, U, T, T, F, E}, "takeover_asked"},
      {"takeover by ben", says(kBen, TakeoverRequest{}), {T, T, U, T, T, F, E}, "takeover_asked"},
      {"takeover by an engineer",
       says(kEva, TakeoverRequest{}),
       {T, T, T, T, T, F, E},
       "takeover_asked"},
      {"takeover by a program",
       says(kProgram, TakeoverRequest{}),
       {H, T, U, T, T, F, E},
       "takeover_asked"},
      {"takeover by a viewer", says(kViewerVic, TakeoverRequest{}), {H, T, U, B, A, F, E}, ""},
      {"release by anna", says(kAnna, Release{}), {H, H, H, B, A, F, E}, "released"},
      {"release by ben", says(kBen, Release{}), {H, T, U, B, A, F, E}, ""},
      {"hand-back by anna", says(kAnna, HandBack{}), {B, B, B, B, A, F, E}, "hand_back_asked"},
      {"hand-back by an engineer",
       says(kEva, HandBack{}),
       {B, T, U, B, A, F, E},
       "hand_back_asked"},
      {"hand-back by a program", says(kProgram, HandBack{}), {H, T, U, B, A, F, E}, ""},
      {"STOP reset by anna", says(kAnna, ResetStop{}), {H, T, U, B, A, F, H}, "stop_reset"},
      {"STOP reset by a program", says(kProgram, ResetStop{}), {H, T, U, B, A, F, E}, ""},
      {"STOP reset by a viewer", says(kViewerVic, ResetStop{}), {H, T, U, B, A, F, E}, ""},
      {"fault reset by an engineer",
       says(kEva, ResetFault{}),
       {H, T, U, B, A, H, E},
       "fault_reset"},
      {"fault reset by anna", says(kAnna, ResetFault{}), {H, T, U, B, A, F, E}, ""},
      {"a nudge",
       says(kAnna, NudgeBias{{0, 0, -0.3f, 0}, std::chrono::seconds(1)}),
       {H, T, U, B, A, F, E},
       ""},
      {"a fresh command, dead-man held",
       [](Rig& rig) {
         rig.jog(kAnna);
         rig.step();
       },
       {H, U, U, B, A, F, E},
       "driving"},
      {"a command with the dead-man up",
       [](Rig& rig) {
         rig.jog(kAnna).dead_man = false;
         rig.step();
       },
       {H, T, H, B, A, F, E},
       "dead_man_released"},
      {"no command for longer than FRESH",
       [](Rig& rig) { rig.steps(12); },
       {H, T, H, B, A, F, E},
       "command_stale"},
      {"the robot's reset fails",
       [](Rig& rig) {
         rig.in.reset_failed = "the gripper is stuck";
         rig.step();
       },
       {H, H, H, H, H, F, E},
       "reset_failed"},
      {"a camera that matters freezes for 2 s",
       [](Rig& rig) {
         for (int i = 0; i < 102; ++i) {
           rig.in.oldest_frame = rig.now - std::chrono::milliseconds(501);
           if (rig.state() == U) rig.jog(kAnna);
           rig.step();
         }
       },
       {H, T, U, H, H, F, E},
       "camera_stale"},
      {"the robot resets for 20 s and shows no new state",
       [](Rig& rig) {
         rig.in.resetting = true;
         for (int i = 0; i < 1000; ++i) {
           rig.observed_age += kPeriod;
           rig.step();
         }
       },
       {H, T, H, B, A, F, E},
       ""},
      {"nothing but time, 10 s", [](Rig& rig) { rig.steps(501); }, {H, H, H, H, A, F, E}, ""},
      {"three commands with NaN",
       [](Rig& rig) {
         for (int i = 0; i < 3; ++i) {
           rig.jog(kAnna, {kNan, 0, 0, 0});
           rig.step();
         }
       },
       {H, H, H, B, A, F, E},
       "commands_not_finite"},
      {"eleven ticks commanded out of limits",
       [](Rig& rig) {
         for (int i = 0; i < 11; ++i) {
           rig.jog(kAnna, {3, 0, 0, 0});
           rig.step();
         }
       },
       {H, H, H, B, A, F, E},
       "out_of_limits"},
      {"eleven ticks proposed out of limits",
       [](Rig& rig) {
         rig.proposing = true;
         rig.proposal = {3, 0, 0, 0};
         for (int i = 0; i < 11; ++i) {
           if (rig.state() == U) rig.jog(kAnna);
           rig.step();
         }
       },
       {H, T, U, B, H, F, E},
       "out_of_limits"},
      {"a usable proposal",
       [](Rig& rig) {
         rig.proposing = true;
         rig.step();
       },
       {H, T, U, A, A, F, E},
       "policy_ready"},
      {"no proposal for more than 3 T",
       [](Rig& rig) {
         rig.proposing = false;
         rig.steps(5);
       },
       {H, T, U, B, F, F, E},
       "inference_late"},
      {"a proposal with NaN",
       [](Rig& rig) {
         rig.proposing = true;
         rig.proposal = {0, kNan, 0, 0};
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "policy_not_finite"},
      {"a proposal of the wrong size",
       [](Rig& rig) {
         rig.proposing = true;
         rig.proposal = {0, 0};
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "policy_wrong_size"},
      {"robot state not finite",
       [](Rig& rig) {
         rig.in.robot_finite = false;
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "robot_not_finite"},
      {"robot state older than FRESH",
       [](Rig& rig) {
         rig.observed_age = std::chrono::milliseconds(201);
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "robot_stale"},
      {"weights failed",
       [](Rig& rig) {
         rig.in.weights_failed = true;
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "weights_failed"},
      {"a gap between ticks longer than WDOG",
       [](Rig& rig) {
         rig.now += std::chrono::milliseconds(181);
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "loop_gap"},
      {"a tick number again",
       [](Rig& rig) {
         --rig.tick;
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "tick_disorder"},
      {"a clock that went back",
       [](Rig& rig) {
         rig.now -= 2 * kPeriod;
         rig.step();
       },
       {F, F, F, F, F, F, E},
       "tick_disorder"},
  };
}

TEST(AuthorityTable, EveryStateAnswersEveryStimulusAsSpecified) {
  for (const Stimulus& stimulus : stimuli()) {
    for (std::size_t i = 0; i < kStates.size(); ++i) {
      SCOPED_TRACE(stimulus.name + " in " + std::string(to_string(kStates[i])));
      Rig rig;
      rig.reach(kStates[i]);
      std::string cause;  // of the newest transition within the stimulus
      rig.on_transition = [&](const AuthorityChanged& change) { cause = change.cause; };
      stimulus.apply(rig);
      EXPECT_EQ(to_string(rig.state()), to_string(stimulus.to[i]));
      if (stimulus.to[i] != kStates[i] && !stimulus.cause.empty()) {
        EXPECT_EQ(cause, stimulus.cause);
      }
      if (stimulus.to[i] == kStates[i] && stimulus.cause.empty()) {
        EXPECT_EQ(cause, "");
      }
    }
  }
}

TEST(AuthorityTable, EveryTransitionOfTheTableHappensAndNoOther) {
  std::set<std::string> seen;
  const auto line = [](S from, std::string_view cause, S to) {
    return std::string(to_string(from)) + " " + std::string(cause) + " " +
           std::string(to_string(to));
  };
  for (const Stimulus& stimulus : stimuli()) {
    for (const S from : kStates) {
      Rig rig;
      rig.reach(from);
      rig.on_transition = [&](const AuthorityChanged& change) {
        seen.insert(line(change.from, change.cause, change.to));
      };
      stimulus.apply(rig);
    }
  }
  std::set<std::string> rules;
  for (const TransitionRule& rule : transition_table()) {
    EXPECT_TRUE(rules.insert(line(rule.from, to_string(rule.trigger), rule.to)).second)
        << "twice in the table: " << line(rule.from, to_string(rule.trigger), rule.to);
  }
  EXPECT_EQ(seen, rules);
}

TEST(AuthorityTable, OneStateAndTriggerLeadToOnePlace) {
  std::set<std::pair<S, Trigger>> keys;
  for (const TransitionRule& rule : transition_table()) {
    EXPECT_TRUE(keys.insert({rule.from, rule.trigger}).second);
  }
}

TEST(AuthorityTable, OnlyHandBackLeadsToAutoAndOnlyTakeoverToHuman) {
  for (const TransitionRule& rule : transition_table()) {
    if (rule.to == S::kAuto) {
      EXPECT_EQ(to_string(rule.from), "HANDBACK");
    }
    if (rule.to == S::kHuman) {
      EXPECT_EQ(to_string(rule.from), "TAKEOVER");
    }
    if (rule.from == S::kEstop) {
      EXPECT_EQ(to_string(rule.to), "HOLD");
    }
    if (rule.from == S::kFaultHold) {
      EXPECT_TRUE(rule.to == S::kHold || rule.to == S::kEstop);
    }
  }
}

TEST(AuthorityTable, CausesAreDistinctStableWords) {
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < kTriggers; ++i) {
    const std::string_view word = to_string(static_cast<Trigger>(i));
    EXPECT_NE(word, "unknown") << i;
    EXPECT_TRUE(words.insert(word).second) << word;
  }
  EXPECT_EQ(to_string(static_cast<Trigger>(kTriggers)), "unknown");
}

TEST(AuthorityTable, TheDocumentPrintsTheSameTable) {
  const std::string path = test::test_data() + "/../../docs/reference/authority.md";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  const auto trim = [](std::string text) {
    const auto first = text.find_first_not_of(" `");
    const auto last = text.find_last_not_of(" `");
    return first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
  };
  std::vector<std::string> documented;
  bool in_table = false;
  for (std::string text; std::getline(file, text);) {
    if (text == "| from | event | to | cause |") {
      in_table = true;
      std::getline(file, text);  // the rule under the heading
      continue;
    }
    if (!in_table) continue;
    if (text.empty() || text[0] != '|') break;
    std::stringstream cells(text.substr(1));
    std::string joined;
    for (std::string cell; std::getline(cells, cell, '|');) joined += trim(cell) + "|";
    documented.push_back(joined);
  }
  std::vector<std::string> coded;
  for (const TransitionRule& rule : transition_table()) {
    coded.push_back(std::string(to_string(rule.from)) + "|" + std::string(rule.event) + "|" +
                    std::string(to_string(rule.to)) + "|" + std::string(to_string(rule.trigger)) +
                    "|");
  }
  EXPECT_EQ(documented, coded);
}

}  // namespace
}  // namespace nudge
