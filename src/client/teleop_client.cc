#include "src/client/teleop_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "src/client/dealer.h"
#include "src/loop/clock.h"

namespace nudge {
namespace {

constexpr Duration kBetweenHellos = std::chrono::milliseconds(250);
constexpr Duration kBetweenSigns = std::chrono::milliseconds(500);
constexpr Duration kLongestNap = std::chrono::milliseconds(50);
constexpr Duration kSilence = std::chrono::seconds(1);
constexpr std::size_t kMaxAcks = 1024;
constexpr int kBatch = 1024;

std::string random_instance() {
  std::random_device source;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 16; ++i) text.push_back(kDigits[source() % 16]);
  return text;
}

}  // namespace

struct TeleopClient::Impl {
  Dealer dealer;
  TeleopHello hello;
  TeleopWelcome welcome;
  std::uint32_t session = 0;  // 0: not welcome
  Instant heard{}, next_hello{}, next_sign{};
  std::optional<TeleopState> state;
  std::vector<Ack> acks;
  Status refused, last_refusal;
  WireBytes buffer;

  bool send(const TeleopMessage& message, std::uint32_t as) {
    if (!encode(message, as, buffer).ok() || !dealer.send(buffer)) return false;
    next_sign = steady_now() + kBetweenSigns;
    return true;
  }

  void keep_up() {
    const Instant now = steady_now();
    if (session == 0 && refused.ok() && now >= next_hello) {
      next_hello = now + (send(hello, 0) ? kBetweenHellos : kLongestNap);
    }
    if (session != 0 && now >= next_sign) {
      if (!send(TeleopAlive{}, session)) next_sign = now + kLongestNap;
    }
    read_all();
  }

  void read_all() {
    for (int i = 0; i < kBatch; ++i) {
      const auto bytes = dealer.receive();
      if (!bytes) return;
      Result<Framed<TeleopReply>> framed = decode_teleop_reply(*bytes);
      if (framed.ok()) take(framed->session, std::move(framed->message));
    }
  }

  void take(std::uint32_t number, TeleopReply&& reply) {
    if (auto* said = std::get_if<TeleopWelcome>(&reply)) {
      if (number == 0 || said->version != kWireMajor) return;
      session = number;
      welcome = std::move(*said);
      state.reset();
      heard = steady_now();
    } else if (auto* refusal = std::get_if<Refusal>(&reply)) {
      take_refusal(*refusal);
    } else if (session != 0 && number == session) {
      heard = steady_now();
      if (auto* newer = std::get_if<TeleopState>(&reply)) {
        state = std::move(*newer);
      } else if (auto* ack = std::get_if<Ack>(&reply)) {
        if (acks.size() < kMaxAcks) acks.push_back(std::move(*ack));
      }
    }
  }

  void take_refusal(const Refusal& refusal) {
    session = 0;
    const std::string text = "the daemon refused: " + refusal.text;
    switch (refusal.reason) {
      case RefusalReason::kNoSession:
      case RefusalReason::kClockJumped: break;
      // May be cured by waiting, a little longer than usual.
      case RefusalReason::kRate:
      case RefusalReason::kBusy:
        last_refusal = failed_precondition(text);
        next_hello = steady_now() + kBetweenHellos;
        break;
      case RefusalReason::kToken: refused = permission_denied(text); break;
      case RefusalReason::kVersion: refused = unimplemented(text); break;
      default: refused = failed_precondition(text); break;
    }
  }
};

TeleopClient::TeleopClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TeleopClient::~TeleopClient() {
  if (impl_->session != 0) (void)impl_->send(TeleopBye{}, impl_->session);
}

Result<std::unique_ptr<TeleopClient>> TeleopClient::connect(const TeleopClientOptions& options) {
  if (!printable_name(options.name, 64) || !printable_name(options.program, 64) ||
      !printable_name(options.robot, 64) || !printable_name(options.token, 256)) {
    return invalid_argument(
        "name, program and robot must be 1 to 64 printable bytes, the token 1 to 256");
  }
  if (options.every > kMaxStateEvery) {
    return invalid_argument("every must be at most " + std::to_string(kMaxStateEvery));
  }
  auto impl = std::make_unique<Impl>();
  impl->hello = {.program = options.program,
                 .instance = random_instance(),
                 .name = options.name,
                 .token = options.token,
                 .robot = options.robot,
                 .every = options.every};
  NUDGE_TRY(impl->dealer.connect(options.endpoint, kMaxTeleopReply,
                                 {options.server_key, options.key_file}));
  const Instant end = steady_now() + options.patience;
  while (impl->session == 0 && impl->refused.ok() && steady_now() < end) {
    impl->keep_up();
    if (impl->session == 0 && impl->refused.ok()) impl->dealer.wait(kLongestNap);
  }
  if (!impl->refused.ok()) return impl->refused;
  if (impl->session == 0) {
    if (!impl->last_refusal.ok()) return impl->last_refusal;
    return unavailable("no daemon answers at " + options.endpoint +
                       "; start it, or set the endpoint to where its teleop port is");
  }
  return std::unique_ptr<TeleopClient>(new TeleopClient(std::move(impl)));
}

const TeleopWelcome& TeleopClient::welcome() const { return impl_->welcome; }

std::optional<TeleopState> TeleopClient::receive(Duration timeout) {
  const Instant end = steady_now() + timeout;
  while (true) {
    impl_->keep_up();
    if (impl_->state) return std::exchange(impl_->state, std::nullopt);
    const Instant now = steady_now();
    if (now >= end || !impl_->refused.ok()) return std::nullopt;
    impl_->dealer.wait(std::min(end - now, kLongestNap));
  }
}

std::vector<Ack> TeleopClient::take_acks() {
  impl_->keep_up();
  return std::exchange(impl_->acks, {});
}

Status TeleopClient::send_jog(const JogCommand& jog) {
  NUDGE_TRY(encode(TeleopMessage(jog), impl_->session, impl_->buffer));
  if (impl_->session == 0 || !impl_->send(jog, impl_->session)) {
    return unavailable("the daemon is not connected");
  }
  return {};
}

Status TeleopClient::send_feedback(const FeedbackMessage& message) {
  Result<std::string> text = feedback_text(message);
  if (!text.ok()) return text.status();
  const TeleopMessage feedback = TeleopFeedback{*std::move(text)};
  NUDGE_TRY(encode(feedback, impl_->session, impl_->buffer));
  if (impl_->session == 0 || !impl_->send(feedback, impl_->session)) {
    return unavailable("the daemon is not connected");
  }
  return {};
}

bool TeleopClient::connected() const {
  return impl_->session != 0 && steady_now() - impl_->heard < kSilence;
}
const Status& TeleopClient::refused() const { return impl_->refused; }

}  // namespace nudge
