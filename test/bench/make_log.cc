// Adds a long life to the log of a state folder that has an episode of its robot already (as
// 'nudge train --record' leaves it), for growth.py: steps of the same sizes under the same
// backbone, in the files and with the events that the daemon would have written.
//
//   make_log STATE STEPS [STEPS_OF_AN_EPISODE]
//
// Of ten episodes two are demonstrations; each of the others begins alone, is corrected for a tenth
// of its steps by one of six people, and is labelled a success. What steps hold is random.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "nudge/random.h"
#include "replay/log.h"

namespace nudge {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(100);

class Life {
 public:
  Life(Log& log, SegmentSpec spec, std::uint32_t episode_steps)
      : log_(log), spec_(std::move(spec)), episode_steps_(episode_steps) {
    step_.features.resize(spec_.feature_size);
    step_.proprioception.resize(spec_.proprioception_size);
    for (Action* action : {&step_.proposed, &step_.requested, &step_.executed}) {
      action->resize(spec_.action_size);
    }
    step_.weights = 1;
  }

  Status episode() {
    const Result<EpisodeId> id = log_.start_episode(spec_);
    if (!id.ok()) return id.status();
    const bool demonstration = *id % 10 < 2;
    step_.episode = *id;
    step_.policy_step = 0;
    person_ = {.name = "person-" + std::to_string(*id % 6), .role = Role::kSupervisor};
    NUDGE_TRY(tell(EpisodeStarted{
        .purpose = demonstration ? EpisodePurpose::kDemonstration : EpisodePurpose::kDeployment,
        .seed = *id,
        .instruction = "lift the red block"}));
    if (demonstration) {
      NUDGE_TRY(drive(episode_steps_, ControlSource::kScript, 0));
    } else {
      const std::uint32_t taught = std::max(1u, episode_steps_ / 10);
      NUDGE_TRY(drive(episode_steps_ / 2, ControlSource::kPolicy, 0));
      NUDGE_TRY(correct(taught));
      NUDGE_TRY(drive(episode_steps_ - episode_steps_ / 2 - taught, ControlSource::kPolicy, 0));
    }
    NUDGE_TRY(tell(EpisodeEnded{.reason = EpisodeEnd::kTaskDone, .steps = step_.policy_step}));
    if (!demonstration) NUDGE_TRY(tell(Label{*id, 0, LabelValue::kSuccess}));
    return log_.commit();
  }

 private:
  Status correct(std::uint32_t steps) {
    const SpanId span = log_.next_span_id();
    const LeaseEpoch epoch = log_.next_lease_epoch();
    using S = AuthorityState;
    NUDGE_TRY(tell(LeaseGranted{epoch}));
    NUDGE_TRY(tell(AuthorityChanged{S::kAuto, S::kTakeover, "takeover"}));
    NUDGE_TRY(tell(SpanOpened{span, SpanKind::kTakeover, epoch, step_.policy_step}));
    NUDGE_TRY(tell(AuthorityChanged{S::kTakeover, S::kHuman, "command"}));
    NUDGE_TRY(drive(steps, ControlSource::kHuman, span));
    NUDGE_TRY(tell(SpanClosed{span, SpanEnd::kReleased, step_.policy_step - 1, true}));
    NUDGE_TRY(tell(LeaseEnded{epoch, "handed_back"}));
    NUDGE_TRY(tell(AuthorityChanged{S::kHuman, S::kHandback, "handed_back"}));
    return tell(AuthorityChanged{S::kHandback, S::kAuto, "command"});
  }

  Status tell(Payload payload) {
    Event event;
    event.id = "made:" + std::to_string(step_.episode) + ":" + std::to_string(++told_);
    event.episode = step_.episode;
    event.policy_step = step_.policy_step;
    event.control_tick = step_.control_tick;
    event.time = step_.time;
    event.wall_time = step_.wall_time;
    event.boot = "made";
    event.actor = person_;
    event.weights = step_.weights;
    event.payload = std::move(payload);
    return log_.append(std::move(event)).status();
  }

  Status drive(std::uint32_t steps, ControlSource source, SpanId span) {
    step_.source = source;
    step_.span = span;
    for (std::uint32_t i = 0; i < steps; ++i) {
      for (auto* values : {&step_.features, &step_.proprioception, &step_.proposed,
                           &step_.requested, &step_.executed}) {
        for (float& value : *values) value = static_cast<float>(random_.uniform(-1, 1));
      }
      const Result<Sequence> appended = log_.append(step_);
      if (!appended.ok()) return appended.status();
      ++step_.policy_step;
      step_.control_tick += 5;
      step_.time += kStep;
      step_.wall_time += kStep;
    }
    return {};
  }

  Log& log_;
  SegmentSpec spec_;
  std::uint32_t episode_steps_;
  Step step_;
  Actor person_;
  Random random_{1};
  std::uint64_t told_ = 0;
};

Status make(const std::string& state, std::uint64_t steps, std::uint32_t episode_steps) {
  LogOptions options;
  options.dir = state + "/log";
  options.boot = "made";
  options.segment_grow_bytes = 64u << 10;
  const Result<std::unique_ptr<Log>> log = Log::open(posix_files(), options);
  if (!log.ok()) return log.status();
  const Result<std::vector<EpisodeSummary>> known = (*log)->episodes(0, 1);
  if (!known.ok()) return known.status();
  if (known->empty()) return failed_precondition(state + " has no episode to go by");
  const Result<std::unique_ptr<SegmentMap>> segment =
      SegmentMap::open(posix_files(), known->front().path);
  if (!segment.ok()) return segment.status();
  SegmentSpec spec = (*segment)->spec();
  spec.episode = 0;  // the log's to give
  Life life(**log, std::move(spec), episode_steps);
  for (std::uint64_t made = 0; made < steps; made += episode_steps) NUDGE_TRY(life.episode());
  return (*log)->checkpoint();
}

}  // namespace
}  // namespace nudge

int main(int argc, char** argv) {
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  const std::uint64_t steps = argc > 2 ? number(2) : 0;
  const std::uint64_t episode_steps = argc > 3 ? number(3) : 200;
  if (argc > 4 || steps == 0 || episode_steps < 2 || episode_steps > 100'000) {
    std::fprintf(stderr, "usage: make_log STATE STEPS [STEPS_OF_AN_EPISODE]\n");
    return 64;
  }
  const nudge::Status made = nudge::make(argv[1], steps, static_cast<std::uint32_t>(episode_steps));
  if (made.ok()) return 0;
  std::fprintf(stderr, "make_log: %s\n", made.message().c_str());
  return 1;
}
