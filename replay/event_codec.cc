#include "replay/event_codec.h"

#include <algorithm>
#include <utility>

#include "nudge/utf8.h"
#include "replay/json_fields.h"
#include "replay/packed_fields.h"

namespace nudge {
namespace {

static_assert(packed_fields::kMaxText == json_fields::kMaxText,
              "what the log stores, the feed carries");

constexpr std::size_t kMaxWords = 1000;
constexpr std::size_t kHashText = 64;  // hex SHA-256
constexpr std::size_t kMaxId = 64;
constexpr std::size_t kMaxBoot = 36;
constexpr std::size_t kMaxActor = 64;
constexpr std::size_t kMaxKind = 64;

// One specialisation per kind: its stable name and its list of fields, which reading and writing
// share; `first_fields` are those of payload versions below `kSince`, where they were others. `P`
// is the struct, const when writing.
template <typename T>
struct Kind;

template <>
struct Kind<Booted> {
  static constexpr std::string_view kName = "booted";
  static constexpr std::uint32_t kSince = 3;
  static void first_fields(auto& a, auto& p) {
    a.field("program", p.program);
    a.field("robot", p.robot);
  }
  static void fields(auto& a, auto& p) {
    first_fields(a, p);
    a.field("spec", p.spec);
    a.field("shape", p.shape, kHashText);
  }
};
template <>
struct Kind<EpisodeStarted> {
  static constexpr std::string_view kName = "episode_started";
  static void fields(auto& a, auto& p) {
    a.field("purpose", p.purpose, EpisodePurpose::kEvaluation);
    a.field("seed", p.seed);
    a.field("instruction", p.instruction);
  }
};
template <>
struct Kind<EpisodeEnded> {
  static constexpr std::string_view kName = "episode_ended";
  static void fields(auto& a, auto& p) {
    a.field("reason", p.reason, EpisodeEnd::kAborted);
    a.field("steps", p.steps);
  }
};
template <>
struct Kind<SpanOpened> {
  static constexpr std::string_view kName = "span_opened";
  static void fields(auto& a, auto& p) {
    a.field("span", p.span);
    a.field("kind", p.kind, SpanKind::kNudge);
    a.field("epoch", p.epoch);
    a.field("first_step", p.first_step);
  }
};
template <>
struct Kind<SpanClosed> {
  static constexpr std::string_view kName = "span_closed";
  static void fields(auto& a, auto& p) {
    a.field("span", p.span);
    a.field("reason", p.reason, SpanEnd::kStopped);
    a.field("last_step", p.last_step);
    a.field("complete", p.complete);
  }
};
template <>
struct Kind<SpanSplit> {
  static constexpr std::string_view kName = "span_split";
  static void fields(auto& a, auto& p) {
    a.field("span", p.span);
    a.field("correction_from", p.correction_from);
  }
};
template <>
struct Kind<StepsLost> {
  static constexpr std::string_view kName = "steps_lost";
  static void fields(auto& a, auto& p) {
    a.field("first_step", p.first_step);
    a.field("count", p.count);
    a.field("human", p.human);
  }
};
template <>
struct Kind<AuthorityChanged> {
  static constexpr std::string_view kName = "authority_changed";
  static void fields(auto& a, auto& p) {
    a.field("from", p.from, AuthorityState::kEstop);
    a.field("to", p.to, AuthorityState::kEstop);
    a.field("cause", p.cause);
  }
};
template <>
struct Kind<LeaseGranted> {
  static constexpr std::string_view kName = "lease_granted";
  static void fields(auto& a, auto& p) { a.field("epoch", p.epoch); }
};
template <>
struct Kind<LeaseEnded> {
  static constexpr std::string_view kName = "lease_ended";
  static void fields(auto& a, auto& p) {
    a.field("epoch", p.epoch);
    a.field("cause", p.cause);
  }
};
template <>
struct Kind<Words> {
  static constexpr std::string_view kName = "words";
  static void fields(auto& a, auto& p) {
    a.field("text", p.text, kMaxWords);
    a.field("use", p.use, WordsUse::kSpeed);
    a.field("understood_as", p.understood_as);
  }
};
template <>
struct Kind<InstructionChanged> {
  static constexpr std::string_view kName = "instruction_changed";
  static void fields(auto& a, auto& p) { a.field("instruction", p.instruction); }
};
template <>
struct Kind<Label> {
  static constexpr std::string_view kName = "label";
  static void fields(auto& a, auto& p) {
    a.field("episode", p.episode);
    a.field("span", p.span);
    a.field("value", p.value, LabelValue::kDiscard);
  }
};
template <>
struct Kind<StepsDiscarded> {
  static constexpr std::string_view kName = "steps_discarded";
  static void fields(auto& a, auto& p) {
    a.field("episode", p.episode);
    a.field("first_step", p.first_step);
    a.field("last_step", p.last_step);
  }
};
template <>
struct Kind<CandidateReceived> {
  static constexpr std::string_view kName = "candidate_received";
  static constexpr std::uint32_t kSince = 2;
  static void first_fields(auto& a, auto& p) {
    a.field("hash", p.hash);
    a.field("parent", p.parent);
    a.field("kind", p.kind, WeightsKind::kFull);
    a.field("prefix", p.prefix);
    a.field("train_seconds", p.train_seconds);
  }
  static void fields(auto& a, auto& p) {
    first_fields(a, p);
    a.field("steps", p.steps);
    a.field("loss", p.loss);
    a.field("correction_episodes", p.correction_episodes);
    a.field("correction_steps", p.correction_steps);
    a.field("demonstration_steps", p.demonstration_steps);
  }
};
template <>
struct Kind<WeightsAccepted> {
  static constexpr std::string_view kName = "weights_accepted";
  static void fields(auto& a, auto& p) {
    a.field("version", p.version);
    a.field("hash", p.hash);
    a.field("parent", p.parent);
    a.field("kind", p.kind, WeightsKind::kFull);
    a.field("report", p.report);
  }
};
template <>
struct Kind<WeightsRejected> {
  static constexpr std::string_view kName = "weights_rejected";
  static void fields(auto& a, auto& p) {
    a.field("hash", p.hash);
    a.field("parent", p.parent);
    a.field("reason", p.reason);
    a.field("detail", p.detail);
  }
};
template <>
struct Kind<WeightsLive> {
  static constexpr std::string_view kName = "weights_live";
  static void fields(auto& a, auto& p) { a.field("version", p.version); }
};
template <>
struct Kind<WeightsConfirmed> {
  static constexpr std::string_view kName = "weights_confirmed";
  static void fields(auto& a, auto& p) { a.field("version", p.version); }
};
template <>
struct Kind<WeightsRolledBack> {
  static constexpr std::string_view kName = "weights_rolled_back";
  static void fields(auto& a, auto& p) {
    a.field("from", p.from);
    a.field("to", p.to);
    a.field("reason", p.reason);
  }
};
template <>
struct Kind<WeightsPromoted> {
  static constexpr std::string_view kName = "weights_promoted";
  static void fields(auto& a, auto& p) { a.field("version", p.version); }
};
template <>
struct Kind<LearningPaused> {
  static constexpr std::string_view kName = "learning_paused";
  static void fields(auto& a, auto& p) { a.field("reason", p.reason); }
};
template <>
struct Kind<LearningResumed> {
  static constexpr std::string_view kName = "learning_resumed";
  static void fields(auto&, auto&) {}
};
template <>
struct Kind<Fault> {
  static constexpr std::string_view kName = "fault";
  static void fields(auto& a, auto& p) {
    a.field("code", p.code);
    a.field("detail", p.detail);
  }
};
template <>
struct Kind<Stopped> {
  static constexpr std::string_view kName = "stopped";
  static void fields(auto&, auto&) {}
};
template <>
struct Kind<StopReset> {
  static constexpr std::string_view kName = "stop_reset";
  static void fields(auto&, auto&) {}
};
template <>
struct Kind<WordsConfirmed> {
  static constexpr std::string_view kName = "words_confirmed";
  static void fields(auto& a, auto& p) { a.field("words", p.words); }
};
template <>
struct Kind<WordsActed> {
  static constexpr std::string_view kName = "words_acted";
  static void fields(auto& a, auto& p) {
    a.field("words", p.words);
    a.field("span", p.span);
  }
};
template <>
struct Kind<WordsUndone> {
  static constexpr std::string_view kName = "words_undone";
  static void fields(auto& a, auto& p) { a.field("words", p.words); }
};
template <>
struct Kind<HelpAsked> {
  static constexpr std::string_view kName = "help_asked";
  static void fields(auto& a, auto& p) {
    a.field("help", p.help);
    a.field("reason", p.reason, HelpReason::kBoth);
    a.field("score", p.score);
  }
};
template <>
struct Kind<HelpEnded> {
  static constexpr std::string_view kName = "help_ended";
  static void fields(auto& a, auto& p) {
    a.field("help", p.help);
    a.field("reason", p.reason, HelpEnd::kEpisodeEnded);
  }
};
template <>
struct Kind<HelpScored> {
  static constexpr std::string_view kName = "help_scored";
  static void fields(auto& a, auto& p) {
    a.field("disagreement", p.disagreement);
    a.field("travel", p.travel);
    a.field("seconds", p.seconds);
  }
};
template <>
struct Kind<CorrectionsWithdrawn> {
  static constexpr std::string_view kName = "corrections_withdrawn";
  static void fields(auto& a, auto& p) { a.field("supervisor", p.supervisor); }
};
template <>
struct Kind<CorrectionsRestored> {
  static constexpr std::string_view kName = "corrections_restored";
  static void fields(auto& a, auto& p) { a.field("supervisor", p.supervisor); }
};
template <>
struct Kind<EpisodeEvicted> {
  static constexpr std::string_view kName = "episode_evicted";
  static void fields(auto& a, auto& p) {
    a.field("episode", p.episode);
    a.field("worth", p.worth, EpisodeWorth::kCorrected);
    a.field("first", p.first);
    a.field("last", p.last);
    a.field("steps", p.steps);
    a.field("bytes", p.bytes);
  }
};
template <>
struct Kind<PairingCodeMade> {
  static constexpr std::string_view kName = "pairing_code_made";
  static void fields(auto& a, auto& p) { a.field("role", p.role, Role::kEngineer); }
};
template <>
struct Kind<DevicePaired> {
  static constexpr std::string_view kName = "device_paired";
  static void fields(auto& a, auto& p) {
    a.field("device", p.device);
    a.field("name", p.name);
    a.field("role", p.role, Role::kEngineer);
    a.field("from", p.from);
  }
};
template <>
struct Kind<DeviceRevoked> {
  static constexpr std::string_view kName = "device_revoked";
  static void fields(auto& a, auto& p) {
    a.field("device", p.device);
    a.field("name", p.name);
    a.field("reason", p.reason, DeviceEnd::kUnused);
  }
};
template <>
struct Kind<KeyAdded> {
  static constexpr std::string_view kName = "key_added";
  static void fields(auto& a, auto& p) {
    a.field("name", p.name);
    a.field("use", p.use, KeyUse::kTeleop);
    a.field("role", p.role, Role::kEngineer);
    a.field("key", p.key);
  }
};
template <>
struct Kind<KeyRemoved> {
  static constexpr std::string_view kName = "key_removed";
  static void fields(auto& a, auto& p) {
    a.field("name", p.name);
    a.field("key", p.key);
  }
};

template <>
struct Kind<TokenChanged> {
  static constexpr std::string_view kName = "token_changed";
  static void fields(auto& a, auto& p) {
    a.field("role", p.role, Role::kEngineer);
    a.field("id", p.id);
  }
};

// Fills `out` with the payload called `kind`; false when there is no such kind.
template <std::size_t I = 0>
bool read_kind(std::string_view kind, std::uint32_t version, auto& reader, Payload& out) {
  if constexpr (I == std::variant_size_v<Payload>) {
    return false;
  } else {
    using T = std::variant_alternative_t<I, Payload>;
    if (kind != Kind<T>::kName) return read_kind<I + 1>(kind, version, reader, out);
    T payload;
    if constexpr (requires { Kind<T>::first_fields(reader, payload); }) {
      version < Kind<T>::kSince ? Kind<T>::first_fields(reader, payload)
                                : Kind<T>::fields(reader, payload);
    } else {
      Kind<T>::fields(reader, payload);
    }
    out = std::move(payload);
    return true;
  }
}

void write_kind(const Payload& payload, auto& writer) {
  std::visit([&]<typename T>(const T& p) { Kind<T>::fields(writer, p); }, payload);
}

// What surrounds a payload: the members of Event, except that times are nanoseconds, and what says
// which payload it is.
struct Envelope {
  std::int64_t time = 0;
  std::int64_t wall_time = 0;
  std::string kind;
  std::uint32_t version = 0;
};

void envelope_fields(auto& a, auto& event, auto&& envelope) {
  a.field("id", event.id, kMaxId);
  a.field("sequence", event.sequence);
  a.field("episode", event.episode);
  a.field("policy_step", event.policy_step);
  a.field("control_tick", event.control_tick);
  a.field("time_ns", envelope.time);
  a.field("wall_time_ns", envelope.wall_time);
  a.field("boot", event.boot, kMaxBoot);
  a.field("actor", event.actor.name, kMaxActor);
  a.field("role", event.actor.role, Role::kEngineer);
  a.field("weights", event.weights);
  a.field("kind", envelope.kind, kMaxKind);
  a.field("payload_version", envelope.version);
}

Envelope envelope_of(const Event& event) {
  return {.time = event.time.time_since_epoch().count(),
          .wall_time = event.wall_time.time_since_epoch().count(),
          .kind = std::string(kind_of(event.payload)),
          .version = kPayloadVersion};
}

bool is_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == ':' || c == '-';
}

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

Status unknown(std::string_view kind) {
  return unimplemented("event of the unknown kind '" + std::string(kind.substr(0, kMaxKind)) +
                       "': written by a newer version of Nudge; use that one");
}

}  // namespace

std::string_view kind_of(const Payload& payload) {
  return std::visit([]<typename T>(const T&) { return Kind<T>::kName; }, payload);
}

std::uint64_t subject_of(const Payload& payload) {
  return std::visit(Overloaded{[](const SpanOpened& p) -> std::uint64_t { return p.span; },
                               [](const SpanClosed& p) -> std::uint64_t { return p.span; },
                               [](const SpanSplit& p) -> std::uint64_t { return p.span; },
                               [](const WordsActed& p) -> std::uint64_t { return p.span; },
                               [](const LeaseGranted& p) -> std::uint64_t { return p.epoch; },
                               [](const LeaseEnded& p) -> std::uint64_t { return p.epoch; },
                               [](const Label& p) -> std::uint64_t { return p.episode; },
                               [](const StepsDiscarded& p) -> std::uint64_t { return p.episode; },
                               [](const EpisodeEvicted& p) -> std::uint64_t { return p.episode; },
                               [](const WeightsAccepted& p) -> std::uint64_t { return p.version; },
                               [](const WeightsLive& p) -> std::uint64_t { return p.version; },
                               [](const WeightsConfirmed& p) -> std::uint64_t { return p.version; },
                               [](const WeightsRolledBack& p) -> std::uint64_t { return p.from; },
                               [](const WeightsPromoted& p) -> std::uint64_t { return p.version; },
                               [](const auto&) -> std::uint64_t { return 0; }},
                    payload);
}

Result<std::string> encode_payload(const Payload& payload) {
  json_fields::Writer writer;
  write_kind(payload, writer);
  auto text = writer.text();
  if (!text.ok()) return text.status().with_context(kind_of(payload));
  if (text->size() > kMaxPayloadBytes) {
    return invalid_argument(std::string(kind_of(payload)) + ": more than " +
                            std::to_string(kMaxPayloadBytes) + " bytes");
  }
  return text;
}

Result<Payload> decode_payload(std::string_view kind, std::uint32_t version,
                               std::span<const std::byte> json) {
  if (version == 0 || version > kPayloadVersion) {
    return unimplemented("event payload of version " + std::to_string(version) +
                         "; this build reads up to " + std::to_string(kPayloadVersion) +
                         ": use the version that wrote it, or a newer one");
  }
  if (json.size() > kMaxPayloadBytes) {
    return invalid_argument("event payload: more than " + std::to_string(kMaxPayloadBytes) +
                            " bytes");
  }
  const nlohmann::json object = json_fields::parse(json);
  Payload payload;
  json_fields::Reader reader(object);
  if (!read_kind(kind, version, reader, payload)) return unknown(kind);
  if (const Status status = reader.finish(); !status.ok()) return status.with_context(kind);
  return payload;
}

Result<std::string> event_line(const Event& event) {
  NUDGE_TRY(validate_envelope(event));
  const auto payload = encode_payload(event.payload);
  if (!payload.ok()) return payload.status();
  json_fields::Writer writer;
  envelope_fields(writer, event, envelope_of(event));
  writer.field("payload", *payload, kMaxPayloadBytes);
  return writer.text();
}

Status pack(const Event& event, packed_fields::Writer& writer) {
  NUDGE_TRY(validate_envelope(event));
  envelope_fields(writer, event, envelope_of(event));
  write_kind(event.payload, writer);
  return writer.status();
}

Result<Event> unpack_event(packed_fields::Reader& reader) {
  Event event;
  Envelope envelope;
  envelope_fields(reader, event, envelope);
  NUDGE_TRY(reader.status());
  NUDGE_TRY(validate_envelope(event));
  event.time = Instant(Duration(envelope.time));
  event.wall_time = WallTime(Duration(envelope.wall_time));
  if (envelope.version != kPayloadVersion) {
    return unimplemented("event payload of version " + std::to_string(envelope.version) +
                         ", where this build writes " + std::to_string(kPayloadVersion));
  }
  if (!read_kind(envelope.kind, envelope.version, reader, event.payload)) {
    return unknown(envelope.kind);
  }
  if (!reader.status().ok()) return reader.status().with_context(envelope.kind);
  return event;
}

Status validate_envelope(const Event& event) {
  if (event.id.empty() || event.id.size() > kMaxId ||
      !std::all_of(event.id.begin(), event.id.end(), is_id_character)) {
    return invalid_argument("event: id must be 1 to 64 of A-Z a-z 0-9 _ . : -");
  }
  if (event.boot.size() > kMaxBoot) return invalid_argument("event: boot is longer than 36 bytes");
  if (event.actor.name.size() > kMaxActor) {
    return invalid_argument("event: the actor's name is longer than 64 bytes");
  }
  if (!is_utf8(event.boot) || !is_utf8(event.actor.name)) {
    return invalid_argument("event: boot or the actor's name is not valid UTF-8");
  }
  if (event.actor.role > Role::kEngineer) return invalid_argument("event: no such role");
  return {};
}

}  // namespace nudge
