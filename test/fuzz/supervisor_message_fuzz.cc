// Any bytes as a text message of the supervisor's or the teleop port.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "src/ports/supervisor_wire.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Actor actor = {"anna#1", Role::kSupervisor};
  RefusedMessage refused;
  const auto message = parse_client_message(text, actor, &refused);
  check(refused.id.empty() || is_message_id(refused.id));
  if (!message.ok()) {
    check(message.status().code() == Code::kInvalidArgument);
    // The refusal goes back to the sender, whatever bytes it names.
    (void)encode_ack(
        {.id = refused.id, .status = message.status(), .echo = {}, .epoch = 0, .holder = {}});
    (void)encode_problem(message.status());
    return 0;
  }
  check(size <= kMaxSupervisorMessage);
  check(json_depth(text, kMaxSupervisorDepth) <= kMaxSupervisorDepth);
  if (const auto* act = std::get_if<OperatorMessage>(&*message)) check(is_message_id(act->id));
  if (const auto* ask = std::get_if<AskToDrive>(&*message)) check(is_message_id(ask->id));
  if (const auto* wanted = std::get_if<FramesWanted>(&*message)) {
    check(wanted->cameras.size() <= 16);
  }
  if (const auto* ping = std::get_if<Ping>(&*message)) {
    check(std::isfinite(ping->sent));
    (void)encode_pong(*ping, Instant());
  }
  if (const auto* feedback = std::get_if<FeedbackMessage>(&*message)) {
    check(feedback->actor == actor);
    if (const auto* jog = std::get_if<JogCommand>(&feedback->body)) {
      check(jog->action.size() <= 64 && jog->robot.size() <= 64);
      check(std::all_of(jog->action.begin(), jog->action.end(),
                        [](float rate) { return std::isfinite(rate); }));
    } else {
      check(is_message_id(feedback->id) || std::holds_alternative<Stop>(feedback->body));
    }
    if (const auto* undo = std::get_if<UndoLast>(&feedback->body)) {
      check(std::isfinite(undo->seconds));
    }
  }
  return 0;
}
