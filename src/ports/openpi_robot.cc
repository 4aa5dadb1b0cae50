#include "src/ports/openpi_robot.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nudge {
namespace {

std::string milliseconds_text(Duration d) {
  return std::to_string(static_cast<int>(std::lround(1000 * seconds(d)))) + " ms";
}

}  // namespace

OpenpiRobot::OpenpiRobot(std::shared_ptr<const OpenpiMap> map, std::shared_ptr<OpenpiLink> link,
                         OpenpiRobotOptions options)
    : map_(std::move(map)), link_(std::move(link)), options_(options) {
  newest_.observation.time = Instant::min();
}

Result<Observation> OpenpiRobot::observe() {
  if (!link_->connected) return unavailable("the robot's program is not connected");
  if (rests_) return unavailable("the robot's program asks for nothing");
  return newest_.observation;
}

Status OpenpiRobot::apply(const Action& action, Instant) {
  if (action.size() != spec().action.size()) {
    return invalid_argument("an action has " + std::to_string(action.size()) + " values, not " +
                            std::to_string(spec().action.size()));
  }
  if (!std::ranges::all_of(action, [](float v) { return std::isfinite(v); })) {
    return invalid_argument("an action is not finite");
  }
  if (link_->stopped) return failed_precondition("the robot is stopped until reset_estop()");
  return {};  // what it asks for next is answered with the tick's verdict
}

void OpenpiRobot::hold() { link_->holds.fetch_add(1, std::memory_order_acq_rel); }

void OpenpiRobot::estop() {
  link_->stopped = true;
  link_->wake();
}

Status OpenpiRobot::reset_estop() {
  link_->stopped = false;
  return {};
}

AskingNews OpenpiRobot::take_news() {
  AskingNews news;
  if (std::optional<OpenpiLink::Asked> asked = link_->asked.try_take()) {
    news.new_episode = asked->episodes != newest_.episodes;
    if (!asked_ || asked->prompt != newest_.prompt) news.instruction = asked->prompt;
    newest_ = *std::move(asked);
    asked_ = true;
  }
  const Instant now = options_.clock();
  const Instant answered{Duration(link_->answered.load())};
  rests_ = !link_->connected || !asked_ ||
           (!link_->waiting && now - std::max(answered, newest_.observation.time) > options_.gap);
  news.proposal = link_->proposal.try_take();
  heeded_ = link_->holds_asked.load(std::memory_order_acquire);
  news.hold = link_->hold.try_take().value_or("");
  if (std::optional<std::string> trouble = link_->trouble.try_take()) {
    trouble_ = *std::move(trouble);
  }
  news.trouble = trouble_;
  const Duration plays(link_->plays_ns.load());
  if (plays == Duration::zero()) {
    news.caution =
        "A takeover acts with the program's next request; STOP does not end a chunk that "
        "it is playing.";
    return news;
  }
  news.caution = "A takeover acts within " + milliseconds_text(plays) +
                 ", with the program's next request; STOP does not end a chunk that it is playing.";
  if (plays > options_.fresh && !options_.slow_takeover) {
    news.no_takeover = "the robot's program plays " + milliseconds_text(plays) +
                       " before it asks again, and a person must be heard within " +
                       milliseconds_text(options_.fresh) +
                       "; let it ask after fewer steps, or set openpi.slow_takeover";
  }
  return news;
}

void OpenpiRobot::plan(const ActionChunk& chunk) {
  link_->plan.put(chunk);
  link_->wake();
}

void OpenpiRobot::decided(TickVerdict verdict) {
  link_->decided.put({.verdict = std::move(verdict),
                      .now = options_.clock(),
                      .holds = link_->holds.load(std::memory_order_acquire),
                      .heeded = heeded_});
  if (link_->waiting) link_->wake();
}

}  // namespace nudge
