// A million random moments on a fake clock: whatever people, programs, links, policies and clocks
// do, these sentences stay true. A failure names its seed and tick, and replays identically.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "nudge/random.h"
#include "test/feedback/authority_rig.h"

namespace nudge {
namespace {

using S = AuthorityState;

const std::array<Actor, 6> kPeople = {kAnna,      kBen,     kEva,
                                      kViewerVic, kProgram, Actor{"carl", Role::kSupervisor}};

// Channel 3 tells who made a command: nobody's wish may pass for another's.
float mark(std::size_t who) { return 0.1f + 0.1f * static_cast<float>(who); }

// Leader arms are compared by their height.
AuthorityConfig jointed_config() {
  AuthorityConfig config = usual_config();
  config.joints = {2};
  return config;
}

LimitsConfig boxed_limits() {
  LimitsConfig limits;
  limits.workspace = WorkspaceBox{{-0.2, -0.2, 0.0}, {0.2, 0.2, 0.3}};
  return limits;
}

// What the world did in one tick, kept apart from the machine's own memory.
struct World {
  explicit World(std::uint64_t seed) : random(seed), rig(jointed_config(), {}, boxed_limits()) {
    rig.position = {0, 0, 0.1f};
    rig.proposing = true;
  }

  bool chance(double p) { return random.uniform() < p; }

  template <typename Body>
  void maybe(double p, Body body) {
    if (!chance(p)) return;
    const Actor& who = kPeople[random.below(kPeople.size())];
    rig.act(who, std::move(body), chance(0.9) ? "id-" + std::to_string(ids++) : "");
  }

  void prepare() {
    // Calm and stormy stretches, so that every state is reached and also left by rare events.
    if (chance(0.002)) storm = chance(0.3);
    const double rare = storm ? 0.02 : 0.0004;
    if (chance(0.004)) driver = random.below(kPeople.size());
    if (chance(0.01)) link_up = chance(0.85);
    if (chance(0.01)) thumb = chance(0.85);
    if (chance(0.02)) broken_stick = chance(0.03);
    if (chance(0.005)) policy_hangs = chance(0.05);

    maybe(0.01, TakeoverRequest{});
    maybe(0.004, Release{});
    maybe(0.02, HandBack{});
    maybe(rare, Hold{});
    maybe(rare, Stop{});
    maybe(0.03, ResetStop{});
    maybe(0.05, ResetFault{});
    maybe(0.01,
          NudgeBias{{static_cast<float>(random.uniform(-2, 2)), 0, chance(0.02) ? kNan : 0.3f, 0},
                    from_seconds(random.uniform(-0.1, 4)),
                    "w-" + std::to_string(random.below(3))});
    maybe(0.003, EndNudge{"w-" + std::to_string(random.below(3))});
    maybe(0.003, SpeedChange{chance(0.5), chance(0.05) ? double{kNan} : random.uniform(-0.2, 3)});
    if (chance(0.02)) {  // the driver does what is sensible
      rig.act(kPeople[driver], TakeoverRequest{}, "id-" + std::to_string(ids++));
    }
    if (chance(rare)) ++rig.in.stop_presses;

    if (link_up && chance(0.9)) {
      JogCommand& jog = rig.jog(kPeople[driver], wish());
      jog.action[3] = mark(driver);
      // Some are leader arms, close to the robot or not.
      if (driver % 2 == 1) {
        jog.leader = {rig.position[2] + (chance(0.1) ? 0.2f : 0.0f)};
        if (chance(rare)) jog.leader[0] = kNan;
        if (chance(rare)) jog.leader.push_back(0);
      }
      jog.dead_man = thumb;
      jog.echoed_tick -= std::min<ControlTick>(jog.echoed_tick, random.below(4));
      if (chance(rare)) jog.robot = "kitchen-2";
      if (chance(rare)) jog.epoch += random.below(3) - 1;
      if (chance(rare)) jog.echoed_tick += 10;
      if (chance(rare)) jog.echoed_tick -= std::min<ControlTick>(jog.echoed_tick, 30);
      if (chance(rare)) jog.sequence -= std::min<std::uint64_t>(jog.sequence, random.below(5));
      if (chance(broken_stick ? 0.3 : rare)) jog.action[random.below(4)] = kNan;
      if (chance(rare)) jog.action.pop_back();
      if (chance(rare)) rig.sent.actor = kPeople[random.below(kPeople.size())];
      queue.push_back(rig.sent);
    }
    // A link that stalls delivers late, in bursts, of which the newest survives; some come twice.
    rig.jogged = false;
    if (!queue.empty() && chance(storm ? 0.5 : 0.97)) {
      rig.sent = chance(rare) ? queue.front() : queue.back();
      rig.jogged = true;
      if (!chance(rare)) queue.clear();
    }

    if (chance(0.05)) rig.proposing = chance(0.97) && !policy_hangs;
    if (chance(0.1)) rig.proposal = wish();
    rig.proposal.resize(chance(rare / 4) ? 3 : 4);
    if (chance(rare / 4)) rig.proposal[0] = kNan;
    rig.proposed_from.reset();
    if (chance(0.2)) rig.proposed_from = rig.now - from_seconds(random.uniform(0, 1));
    rig.in.robot_finite = !chance(rare / 4);
    rig.observed_age = from_seconds(chance(rare / 4) ? 0.3 : random.uniform(0, 0.05));
    rig.in.weights_failed = chance(rare / 4);
    reset_for_a_while(rare);
    if (chance(0.006)) frozen_since = chance(0.25) ? std::optional(rig.now) : std::nullopt;
    rig.in.oldest_frame = frozen_since.value_or(rig.now);
    if (chance(rare / 4)) rig.now += from_seconds(0.25);
    if (chance(rare / 8)) rig.now -= from_seconds(0.05);
    if (chance(rare / 8)) --rig.tick;
  }

  // A robot that resets shows its last state until it is done, and perhaps a little longer.
  void reset_for_a_while(double rare) {
    if (chance(0.002)) rig.in.resetting = chance(0.1);
    rig.in.reset_failed = chance(rare / 4) ? "the gripper is stuck" : "";
    if (rig.in.resetting) {
      looks_back = static_cast<int>(random.below(8));
      old_view = old_view.value_or(rig.now);
    } else if (old_view && looks_back-- <= 0) {
      old_view.reset();
    }
    if (old_view) rig.observed_age = rig.now - *old_view;
  }

  Action wish() {
    const double size = chance(0.1) ? 2.0 : 1.0;
    Action action(4);
    for (float& rate : action) rate = static_cast<float>(random.uniform(-size, size));
    return action;
  }

  Random random;
  Rig rig;
  bool storm = false;
  bool link_up = true;
  bool thumb = true;
  bool broken_stick = false;
  bool policy_hangs = false;
  std::optional<Instant> old_view;
  int looks_back = 0;
  std::optional<Instant> frozen_since;
  std::size_t driver = 0;
  std::vector<SentJog> queue;
  std::uint64_t ids = 0;
};

// The sentences. They remember only what the world did and what came out.
class Sentences {
 public:
  void before(const World& world) {
    acts_ = world.rig.acts;
    jogged_ = world.rig.jogged;
    sent_ = world.rig.sent;
    presses_ = world.rig.in.stop_presses;
    from_ = world.rig.state();
    lease_before_ = world.rig.authority.lease();
    proposed_ = world.rig.proposing ? world.rig.proposal : Action{};
    position_ = world.rig.position;
    now_ = world.rig.now;
    resetting_ = world.rig.in.resetting;
    if (resetting_) reset_seen_ = now_;
    observed_ = now_ - world.rig.observed_age;
    frame_ = world.rig.in.oldest_frame;
  }

  void after(World& world) {
    const Decision& d = *world.rig.decision;
    states_seen_.insert(d.state);

    ASSERT_TRUE(first_ || d.state == world.rig.state());
    if (first_) {
      ASSERT_NE(d.state, S::kAuto) << "boot is HOLD";
      ASSERT_NE(d.state, S::kHuman) << "boot is HOLD";
      first_ = false;
    }
    executed_is_finite_and_within_limits(d);
    the_log_tells_the_whole_story_along_the_table(d);
    stop_is_final(d);
    the_policy_does_not_drive_blind(d);
    nothing_moves_while_the_robot_resets_or_has_not_been_seen_since(d);
    nothing_resumes_by_itself(d);
    one_lease_at_most_and_epochs_only_grow(d);
    every_act_with_an_id_is_answered_once(d);
    sources_match_states(d);
    people_move_the_robot_only_with_fresh_commands_of_their_own(d);

    if (d.motion == Motion::kApply) {
      for (std::size_t i = 0; i < 3; ++i) {
        world.rig.position[i] += d.executed[i] * 0.25f * 0.02f;
        const double lower = i == 2 ? 0.0 : -0.2;
        const double upper = i == 2 ? 0.3 : 0.2;
        ASSERT_GE(world.rig.position[i], lower - 1e-5) << "the box holds";
        ASSERT_LE(world.rig.position[i], upper + 1e-5) << "the box holds";
      }
    }
    last_executed_ = d.executed;
    ticks_[world.rig.tick] = now_;
    while (ticks_.size() > 64) ticks_.erase(ticks_.begin());
  }

  const std::set<S>& states_seen() const { return states_seen_; }
  const std::set<std::pair<S, std::string>>& transitions_seen() const { return transitions_seen_; }

 private:
  void executed_is_finite_and_within_limits(const Decision& d) {
    ASSERT_EQ(d.executed.size(), 4u);
    for (std::size_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(std::isfinite(d.executed[i]));
      ASSERT_LE(std::abs(d.executed[i]), 1.0f);
      if (d.motion == Motion::kApply) {
        ASSERT_LE(std::abs(d.executed[i] - last_executed_[i]), 0.3 + 1e-3) << "no jump";
      } else {
        ASSERT_EQ(d.executed[i], 0.0f) << "standing still is zero";
      }
      if (d.requested.empty()) {
        ASSERT_LE(std::abs(d.executed[i]), std::abs(last_executed_[i])) << "only ever slower";
        ASSERT_GE(d.executed[i] * last_executed_[i], 0.0f) << "slowing down does not reverse";
      }
    }
    for (const float rate : d.requested) ASSERT_TRUE(std::isfinite(rate));
  }

  void the_log_tells_the_whole_story_along_the_table(const Decision& d) {
    S at = from_;
    for (const AuthorityRecord& record : d.records) {
      const auto* change = std::get_if<AuthorityChanged>(&record.payload);
      if (change == nullptr) continue;
      ASSERT_EQ(change->from, at);
      const auto table = transition_table();
      ASSERT_TRUE(std::any_of(table.begin(), table.end(), [&](const TransitionRule& rule) {
        return rule.from == change->from && rule.to == change->to &&
               to_string(rule.trigger) == change->cause;
      })) << change->cause;
      transitions_seen_.insert({change->from, change->cause});
      at = change->to;
    }
    ASSERT_EQ(at, d.state);
    ASSERT_EQ(d.span_end.has_value(), from_ == S::kHuman && d.state != S::kHuman);
  }

  void stop_is_final(const Decision& d) {
    const bool stop = presses_ > presses_before_ || has<Stop>([](const Actor&) { return true; });
    presses_before_ = presses_;
    if (stop) {
      ASSERT_EQ(d.state, S::kEstop) << "STOP acts within the tick";
    }
    if (from_ == S::kEstop && d.state != S::kEstop) {
      ASSERT_FALSE(stop);
      ASSERT_TRUE(has<ResetStop>([](const Actor& who) {
        return who.role == Role::kSupervisor || who.role == Role::kEngineer;
      })) << "only a person's reset ends STOP";
    }
    ASSERT_EQ(d.motion == Motion::kEstop, d.state == S::kEstop);
    ASSERT_EQ(d.stop_latched, d.state == S::kEstop);
    if (d.state == S::kFaultHold) {
      ASSERT_EQ(d.motion, Motion::kHold);
    }
    if (from_ == S::kFaultHold && d.state != S::kFaultHold && d.state != S::kEstop) {
      ASSERT_TRUE(has<ResetFault>([](const Actor& who) { return who.role == Role::kEngineer; }))
          << "only an engineer's reset ends a fault";
    }
  }

  void nothing_moves_while_the_robot_resets_or_has_not_been_seen_since(const Decision& d) {
    if (!resetting_ && observed_ >= reset_seen_) return;
    ASSERT_NE(d.motion, Motion::kApply);
    ASSERT_EQ(d.source, ControlSource::kHold);
    if (d.state == S::kAuto) {
      ASSERT_EQ(from_, S::kAuto) << "no policy begins during a reset";
    }
    if (d.state == S::kHuman) {
      ASSERT_EQ(from_, S::kHuman) << "nobody begins to drive during a reset";
    }
  }

  void the_policy_does_not_drive_blind(const Decision& d) {
    if (frame_ >= now_ - std::chrono::milliseconds(500)) return;
    if (d.state != S::kAuto) return;
    ASSERT_EQ(from_, S::kAuto) << "nobody hands back to a frozen camera";
    ASSERT_LE(now_ - reset_seen_, std::chrono::milliseconds(500)) << "but just after a reset";
  }

  void nothing_resumes_by_itself(const Decision& d) {
    if (has<HandBack>([](const Actor& who) { return who.role != Role::kViewer; })) {
      handed_back_ = true;
    } else if (d.state != S::kHandback && d.state != S::kAuto) {
      handed_back_ = false;
    }
    if (d.state == S::kAuto || d.state == S::kHandback) {
      ASSERT_TRUE(handed_back_) << "the policy drives only after a deliberate hand-back";
    }
    if (d.state == S::kAuto && from_ != S::kAuto) {
      ASSERT_EQ(from_, S::kHandback);
    }
    if ((d.state == S::kTakeover && from_ != S::kTakeover) ||
        (d.state == S::kHuman && from_ != S::kTakeover && from_ != S::kHuman)) {
      ASSERT_TRUE(has<TakeoverRequest>([](const Actor& who) { return who.role != Role::kViewer; }));
    }
  }

  void one_lease_at_most_and_epochs_only_grow(const Decision& d) {
    bool held = lease_before_.holder.has_value();
    LeaseEpoch epoch = lease_before_.epoch;
    for (const AuthorityRecord& record : d.records) {
      if (const auto* granted = std::get_if<LeaseGranted>(&record.payload)) {
        ASSERT_FALSE(held) << "granted while somebody held it";
        ASSERT_EQ(granted->epoch, epoch + 1) << "every grant takes the next number";
        held = true;
        epoch = granted->epoch;
      } else if (const auto* ended = std::get_if<LeaseEnded>(&record.payload)) {
        ASSERT_TRUE(held);
        ASSERT_EQ(ended->epoch, epoch);
        held = false;
      }
    }
    ASSERT_EQ(d.lease.holder.has_value(), held);
    ASSERT_EQ(d.lease.epoch, epoch);
    if (d.state == S::kTakeover || d.state == S::kHuman) {
      ASSERT_TRUE(held) << "driving needs the lease";
    }
    if (d.state != S::kTakeover && d.state != S::kHuman && d.state != S::kHold) {
      ASSERT_FALSE(held) << "nobody holds the lease while nobody can drive";
    }
    if (held) {
      ASSERT_NE(d.lease.holder->role, Role::kViewer);
    }
  }

  void every_act_with_an_id_is_answered_once(const Decision& d) {
    std::vector<std::string> asked;
    for (const AuthorityAct& act : acts_) {
      if (!act.id.empty()) asked.push_back(act.id);
    }
    ASSERT_EQ(d.answers.size(), asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
      ASSERT_EQ(d.answers[i].id, asked[i]);
      const auto logged = std::count_if(d.records.begin(), d.records.end(),
                                        [&](const auto& record) { return record.id == asked[i]; });
      ASSERT_EQ(logged, d.answers[i].logged ? 1 : 0);
    }
  }

  void sources_match_states(const Decision& d) {
    switch (d.source) {
      case ControlSource::kPolicy:
        ASSERT_EQ(d.state, S::kAuto);
        for (std::size_t i = 0; i < 4; ++i) {
          ASSERT_FLOAT_EQ(d.requested[i], static_cast<float>(d.speed * double{proposed_[i]}));
        }
        break;
      case ControlSource::kNudge:
        ASSERT_EQ(d.state, S::kAuto);
        for (std::size_t i = 0; i < 4; ++i) {
          const double policy = d.speed * double{proposed_[i]};
          ASSERT_LE(std::abs(double{d.requested[i]} - policy), 0.5 + 1e-6) << "nudges are bounded";
        }
        break;
      case ControlSource::kHuman: ASSERT_EQ(d.state, S::kHuman); break;
      case ControlSource::kHold: ASSERT_TRUE(d.requested.empty()); break;
      case ControlSource::kScript: FAIL();
    }
    ASSERT_GE(d.speed, 0.25);
    ASSERT_LE(d.speed, 1.0) << "words never make the policy faster";
    // A nudge lives two seconds, unless another one follows.
    if (has<NudgeBias>([](const Actor&) { return true; })) nudged_ = now_;
    if (d.source == ControlSource::kNudge) {
      ASSERT_LE(now_ - nudged_, std::chrono::seconds(2)) << "nudges expire";
    }
  }

  void people_move_the_robot_only_with_fresh_commands_of_their_own(const Decision& d) {
    // An independent reading of the rules for commands: the newest that could count.
    if (jogged_) {
      const JogCommand& c = sent_.command;
      const auto echoed = ticks_.find(c.echoed_tick);
      const bool counts =
          d.lease.holder && sent_.actor.name == d.lease.holder->name && c.epoch == d.lease.epoch &&
          c.robot == "kitchen-1" && c.dead_man && echoed != ticks_.end() &&
          now_ - echoed->second < std::chrono::milliseconds(200) && c.action.size() == 4 &&
          (c.leader.empty() || (c.leader.size() == 1 && std::isfinite(c.leader[0]))) &&
          std::all_of(c.action.begin(), c.action.end(), [](float v) { return std::isfinite(v); });
      if (counts) candidates_.push_back({c, echoed->second});
      if (candidates_.size() > 64) candidates_.erase(candidates_.begin());
    }
    if (d.state == S::kHuman && from_ == S::kTakeover) {
      const auto aligned = [&](const Candidate& candidate) {
        const std::vector<float>& leader = candidate.command.leader;
        return candidate.command.epoch == d.lease.epoch &&
               (leader.empty() || std::abs(leader[0] - position_[2]) <= 0.1f + 1e-6f);
      };
      ASSERT_TRUE(std::any_of(candidates_.begin(), candidates_.end(), aligned))
          << "a leader arm begins to drive only where the robot is";
    }
    if (d.source != ControlSource::kHuman) return;
    ++human_ticks_;
    const auto found =
        std::find_if(candidates_.rbegin(), candidates_.rend(), [&](const Candidate& candidate) {
          return candidate.command.epoch == d.lease.epoch &&
                 candidate.command.action == d.requested &&
                 now_ - candidate.echoed <= std::chrono::milliseconds(200);
        });
    ASSERT_NE(found, candidates_.rend()) << "no motion without a fresh command of the holder";
  }

  template <typename Body, typename Who>
  bool has(Who who) const {
    return std::any_of(acts_.begin(), acts_.end(), [&](const AuthorityAct& act) {
      return std::holds_alternative<Body>(act.body) && who(act.actor);
    });
  }

  struct Candidate {
    JogCommand command;
    Instant echoed;
  };
  bool first_ = true;
  std::vector<AuthorityAct> acts_;
  bool jogged_ = false;
  SentJog sent_;
  std::uint64_t presses_ = 0;
  std::uint64_t presses_before_ = 0;
  S from_ = S::kHold;
  Lease lease_before_;
  Action proposed_;
  std::vector<float> position_;
  Instant now_;
  Instant nudged_;
  bool handed_back_ = false;
  bool resetting_ = false;
  Instant reset_seen_ = Instant::min();
  Instant observed_, frame_;
  Action last_executed_{0, 0, 0, 0};
  std::map<ControlTick, Instant> ticks_;
  std::vector<Candidate> candidates_;
  std::set<S> states_seen_;
  std::set<std::pair<S, std::string>> transitions_seen_;

 public:
  std::uint64_t human_ticks_ = 0;
};

TEST(AuthorityProperty, TheSentencesHoldForAMillionRandomTicks) {
  constexpr int kRuns = 100;
  constexpr int kTicks = 10'000;
  std::set<std::pair<S, std::string>> transitions;
  std::set<S> states;
  std::uint64_t human_ticks = 0;
  std::map<S, std::uint64_t> ticks_in;
  for (int seed = 1; seed <= kRuns; ++seed) {
    World world(static_cast<std::uint64_t>(seed));
    Sentences sentences;
    for (int i = 0; i < kTicks; ++i) {
      world.prepare();
      sentences.before(world);
      world.rig.step();
      ++ticks_in[world.rig.state()];
      sentences.after(world);
      if (testing::Test::HasFatalFailure()) {
        FAIL() << "seed " << seed << ", tick " << i << ", state " << to_string(world.rig.state());
      }
    }
    transitions.insert(sentences.transitions_seen().begin(), sentences.transitions_seen().end());
    states.insert(sentences.states_seen().begin(), sentences.states_seen().end());
    human_ticks += sentences.human_ticks_;
  }
  // The storm must have reached what it is meant to test.
  EXPECT_EQ(states.size(), 7u);
  EXPECT_GT(human_ticks, 50'000u);
  for (const auto& [state, count] : ticks_in) {
    RecordProperty(std::string(to_string(state)), std::to_string(count));
    EXPECT_GT(count, 10'000u) << to_string(state);
  }
  std::set<std::pair<S, std::string>> rules;
  for (const TransitionRule& rule : transition_table()) {
    rules.insert({rule.from, std::string(to_string(rule.trigger))});
  }
  for (const auto& [from, cause] : rules) {
    if (cause == "takeover_timeout") continue;  // ten silent seconds do not happen in this world
    EXPECT_TRUE(transitions.count({from, cause})) << to_string(from) << " " << cause;
  }
}

TEST(AuthorityProperty, TheSameSeedGivesTheSameDecisions) {
  World one(42);
  World two(42);
  for (int i = 0; i < 20'000; ++i) {
    one.prepare();
    two.prepare();
    const Decision& a = one.rig.step();
    const Decision& b = two.rig.step();
    ASSERT_EQ(a.state, b.state) << i;
    ASSERT_EQ(a.executed, b.executed) << i;
    ASSERT_EQ(a.lease, b.lease) << i;
    ASSERT_EQ(a.records.size(), b.records.size()) << i;
  }
}

}  // namespace
}  // namespace nudge
