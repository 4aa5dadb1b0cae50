// Steps, events and specs with every field set, made from a seed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nudge/event.h"
#include "nudge/random.h"
#include "replay/log.h"
#include "replay/segment.h"

namespace nudge::test {

inline SegmentSpec sample_spec() {
  SegmentSpec spec;
  spec.feature_size = 37;
  spec.proprioception_size = 9;
  spec.action_size = 4;
  spec.backbone_hash = std::string(64, 'a');
  spec.cameras = {"front", "wrist"};
  return spec;
}

inline std::vector<float> sample_floats(Random& random, std::size_t size) {
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(random.uniform(-2, 2));
  return values;
}

inline Image sample_image(Random& random, std::string camera, std::size_t bytes) {
  Image image;
  image.camera = std::move(camera);
  image.width = 128;
  image.height = 96;
  image.captured = Instant(Duration(static_cast<std::int64_t>(random.below(1u << 30))));
  image.jpeg.resize(bytes);
  for (auto& byte : image.jpeg) byte = static_cast<std::uint8_t>(random.next());
  return image;
}

// Features are exact in fp16, so that a step survives the round trip unchanged.
inline Step sample_step(Random& random, EpisodeId episode, std::uint32_t policy_step,
                        const SegmentSpec& spec, bool images = true) {
  Step step;
  step.episode = episode;
  step.policy_step = policy_step;
  step.control_tick = 5 * policy_step + 1;
  step.time = Instant(Duration(1'000'000 * static_cast<std::int64_t>(policy_step)));
  step.wall_time = WallTime(Duration(1'700'000'000'000'000'000 + policy_step));
  step.weights = random.below(100);
  step.source = static_cast<ControlSource>(random.below(5));
  step.flags = static_cast<std::uint32_t>(random.below(16));
  step.span = random.below(3);
  step.features.resize(spec.feature_size);
  for (float& value : step.features) {
    value = static_cast<float>(static_cast<int>(random.below(2001)) - 1000) / 8;
  }
  step.proprioception = sample_floats(random, spec.proprioception_size);
  if (random.below(4) != 0) step.proposed = sample_floats(random, spec.action_size);
  step.requested = sample_floats(random, spec.action_size);
  step.executed = sample_floats(random, spec.action_size);
  if (spec.reference_rows > 0 && random.below(4) != 0) {
    step.reference = sample_floats(random, spec.reference_rows * spec.action_size);
    step.reference_age = static_cast<std::uint32_t>(random.below(20));
  }
  if (images) {
    for (const std::string& camera : spec.cameras) {
      if (random.below(3) != 0) {
        step.images.push_back(sample_image(random, camera, random.below(300)));
      }
    }
  }
  return step;
}

inline Event sample_event(std::string id, EpisodeId episode, Payload payload) {
  Event event;
  event.id = std::move(id);
  event.episode = episode;
  event.policy_step = 3;
  event.control_tick = 17;
  event.time = Instant(Duration(123'456'789));
  event.wall_time = WallTime(Duration(1'700'000'000'123'456'789));
  event.boot = "5f9c1f0e-boot";
  event.actor = {"Ada \xC3\xA9", Role::kSupervisor};
  event.weights = 2;
  event.payload = std::move(payload);
  return event;
}

// One of every kind, in the order of the variant.
inline std::vector<Payload> every_payload() {
  Sha256 hash{};
  for (std::size_t i = 0; i < hash.size(); ++i) hash[i] = static_cast<std::uint8_t>(7 * i + 1);
  return {
      Booted{"nudge 0.1.0", "kitchen-1", R"({"id":"kitchen-1"})", std::string(64, 'a')},
      EpisodeStarted{EpisodePurpose::kEvaluation, 18446744073709551615u, "put the bowl away"},
      EpisodeEnded{EpisodeEnd::kTimeLimit, 321},
      SpanOpened{12, SpanKind::kNudge, 5, 40},
      SpanClosed{12, SpanEnd::kLinkLost, 61, false},
      SpanSplit{12, 50},
      StepsLost{70, 3, true},
      AuthorityChanged{AuthorityState::kAuto, AuthorityState::kTakeover, "dead_man"},
      LeaseGranted{6},
      LeaseEnded{6, "released"},
      Words{"ein bisschen h\xC3\xB6her \"bitte\"\n", WordsUse::kNudge, "up 2 cm"},
      InstructionChanged{"put it in the left drawer"},
      Label{4, 12, LabelValue::kFailure},
      StepsDiscarded{4, 10, 19},
      CandidateReceived{hash, 3, WeightsKind::kProvisional, 1234, 0.25, 20, 0.0125, 5, 61, 240},
      WeightsAccepted{4, hash, 3, WeightsKind::kFull, "{\"forgets\":0.01}"},
      WeightsRejected{hash, 3, "non_finite", "net.0.weight holds NaN"},
      WeightsLive{4},
      WeightsConfirmed{4},
      WeightsRolledBack{4, 3, "clamp_rate"},
      WeightsPromoted{1},
      LearningPaused{"two rollbacks"},
      LearningResumed{},
      Fault{"loop_gap", "412 ms"},
      Stopped{},
      StopReset{},
      WordsConfirmed{"tablet:17"},
      WordsActed{"tablet:17", 12},
      WordsUndone{"tablet:17"},
      HelpAsked{12, HelpReason::kNoProgress, 0.625},
      HelpEnded{12, HelpEnd::kDeclined},
      HelpScored{0.25, 0.125, 4.5},
      CorrectionsWithdrawn{"anna"},
      CorrectionsRestored{"anna"},
      EpisodeEvicted{4, EpisodeWorth::kNudged, 1200, 1290, 88, 36864},
      PairingCodeMade{Role::kEngineer},
      DevicePaired{"d-3f0a51c2b7e94d18", "Anna's tablet", Role::kSupervisor, "192.168.1.7"},
      DeviceRevoked{"d-3f0a51c2b7e94d18", "Anna's tablet", DeviceEnd::kCopied},
      KeyAdded{"left-arm", KeyUse::kTeleop, Role::kSupervisor,
               "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
      KeyRemoved{"left-arm", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"},
      TokenChanged{Role::kSupervisor, "c0ffee0123456789"},
  };
}

}  // namespace nudge::test
