#include "src/ports/caller_rates.h"

#include <algorithm>
#include <iterator>
#include <variant>

#include "src/ports/addresses.h"

namespace nudge {
namespace {

// Callers that rates are kept of: all roles and devices, and more addresses than come together.
constexpr std::size_t kMostCallers = 128, kMostAddresses = 1024;
constexpr std::string_view kFeedback = "/api/v1/feedback";  // where brakes come over REST

// All who show one token of the machine are one.
std::string rated_as(const Actor& actor, const std::string& device) {
  return device.empty() ? "as " + std::string(to_string(actor.role)) : device;
}

bool is_brake(const FeedbackMessage& message) {
  if (std::holds_alternative<Stop>(message.body) || std::holds_alternative<Hold>(message.body) ||
      std::holds_alternative<TakeoverRequest>(message.body) ||
      std::holds_alternative<Release>(message.body)) {
    return true;
  }
  const auto* words = std::get_if<WordsMessage>(&message.body);
  return words != nullptr && understand_only_stop(*words).use == WordsUse::kHold;
}

// Whether it ends motion that there may be in this state.
bool ends_motion(const FeedbackMessage& message, AuthorityState state) {
  if (std::holds_alternative<Stop>(message.body)) return state != AuthorityState::kEstop;
  return std::holds_alternative<Hold>(message.body) && state != AuthorityState::kHold &&
         state != AuthorityState::kFaultHold && state != AuthorityState::kEstop;
}

}  // namespace

CallerRates::CallerRates(const CallerRatesOptions& options)
    : reads_(options.reads_per_second, kMostCallers),
      acts_(options.acts_per_second, kMostCallers),
      brakes_(options.brakes_per_second, kMostCallers),
      public_reads_(options.public_reads_per_second, kMostAddresses),
      public_acts_(options.public_acts_per_second, kMostAddresses) {}

bool CallerRates::counted(bool taken) {
  if (!taken) ++limited_;
  return taken;
}

bool CallerRates::take(HttpRequest& head, std::optional<std::uint64_t> body_bytes, Instant now) {
  const bool act = head.method == "POST";
  if (!head.actor) {
    return counted((act ? public_acts_ : public_reads_).take(network_of(head.peer), now));
  }
  // Commands have no share in what a page with their role may send.
  const std::string caller =
      head.peer == kThisMachine ? head.peer : rated_as(*head.actor, head.device);
  if ((act ? acts_ : reads_).take(caller, now)) return true;
  // Whether it ends the robot's motion stands in its body, which is read if it can be that.
  head.beyond_rate =
      act && head.path == kFeedback && body_bytes.value_or(SIZE_MAX) <= kMaxBrakeText;
  return counted(head.beyond_rate);
}

bool CallerRates::may_spare(std::string_view body) {
  constexpr std::string_view kTypes[] = {"\"stop\"", "\"hold\"", "\"takeover\"", "\"release\"",
                                         "\"words\""};
  return counted(body.size() <= kMaxBrakeText &&
                 std::any_of(std::begin(kTypes), std::end(kTypes), [&](std::string_view type) {
                   return body.find(type) != std::string_view::npos;
                 }));
}

bool CallerRates::spare(const Result<ClientMessage>& message, const HttpRequest& request,
                        AuthorityState state, Instant now) {
  const auto* feedback = message.ok() ? std::get_if<FeedbackMessage>(&*message) : nullptr;
  return counted(feedback != nullptr && is_brake(*feedback) &&
                 (brakes_.take(rated_as(*request.actor, request.device), now) ||
                  ends_motion(*feedback, state)));
}

bool CallerRates::take(const ClientMessage& message, const Actor& actor, const std::string& device,
                       Instant now) {
  const auto* feedback = std::get_if<FeedbackMessage>(&message);
  // What is put into the log, or decided: all that has an id but asking, which only tells.
  const bool act = feedback != nullptr
                       ? !std::holds_alternative<JogCommand>(feedback->body) && !is_brake(*feedback)
                       : std::holds_alternative<OperatorMessage>(message);
  return !act || counted(acts_.take(rated_as(actor, device), now));
}

}  // namespace nudge
