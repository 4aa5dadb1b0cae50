#include "src/learning/learner_host.h"

#include <algorithm>
#include <utility>

namespace nudge {
namespace {

// So that a chatty peer cannot hold the caller; kMaxFeedItems does the same for a long log.
constexpr std::size_t kMessagesPerTurn = 64;
constexpr std::size_t kPageBytes = kMaxFeedPage / 2;
static_assert(kMaxFeedPage == kMaxPageBytes);

}  // namespace

Result<std::unique_ptr<LearnerHost>> LearnerHost::open(const LearnerHostOptions& options,
                                                       ClockFunction clock) {
  Result<std::unique_ptr<LearnerPort>> port =
      LearnerPort::bind(options.socket_path, options.max_candidate);
  if (!port.ok()) return port.status();
  std::unique_ptr<LearnerHost> host(new LearnerHost(options, std::move(clock)));
  host->port_ = *std::move(port);
  if (!options.process.command.empty()) {
    host->process_ = std::make_unique<LearnerProcess>(options.process);
  }
  return host;
}

LearnerHost::LearnerHost(const LearnerHostOptions& options, ClockFunction clock)
    : options_(options), clock_(std::move(clock)) {}

Status LearnerHost::serve(Log& log, Duration timeout) {
  Status trouble;
  if (process_) {
    trouble = process_->keep_alive(clock_());
    if (!trouble.ok()) wanted_.reset();
  }
  if (Status fed = feed(log); !fed.ok() && trouble.ok()) trouble = std::move(fed);
  for (std::size_t i = 0; i < kMessagesPerTurn; ++i) {
    std::optional<LearnerMessage> message = port_->receive(i == 0 ? timeout : Duration::zero());
    if (Status cut = port_->take_trouble(); !cut.ok()) trouble = std::move(cut);
    if (!message) break;
    // Nor can one that sends weights as fast as it can.
    const bool heavy = std::holds_alternative<CandidateMessage>(*message);
    if (Status handled = handle(*std::move(message)); !handled.ok()) trouble = std::move(handled);
    if (Status fed = feed(log); !fed.ok()) trouble = std::move(fed);
    if (heavy) break;
  }
  return trouble;
}

Status LearnerHost::handle(LearnerMessage message) {
  if (const auto* hello = std::get_if<LearnerHello>(&message)) return greet(*hello);
  if (auto* request = std::get_if<FeedRequest>(&message)) {
    wanted_ = *request;
  } else if (auto* candidate = std::get_if<CandidateMessage>(&message)) {
    keep(std::move(*candidate));
  } else if (auto* progress = std::get_if<LearnerProgress>(&message)) {
    progress_ = std::move(*progress);
    if (!progress_.trouble.empty()) {
      return internal("a learning round gave nothing: " + progress_.trouble);
    }
  }
  return {};
}

Status LearnerHost::greet(const LearnerHello& hello) {
  if (hello.config_hash != options_.config_hash) {
    port_->turn_away();
    return failed_precondition(
        "the learner runs with another training configuration than the daemon; restart both");
  }
  confined_ = hello.confined;
  sandbox_ = hello.sandbox;
  if (options_.require_confined && !confined_) {
    port_->turn_away();
    return failed_precondition(
        "the learner is not confined as it should be (" + sandbox_ +
        ") and was sent away: nothing is learned. 'nudge doctor' says what this kernel lacks; "
        "learner.require_sandbox = false lets it work all the same");
  }
  port_->admit();
  core_type_ = hello.core_type;
  progress_ = {};
  wanted_.reset();
  ready_.reset();
  sent_through_ = 0;
  return port_->send(DaemonMessage(options_.welcome));
}

void LearnerHost::keep(CandidateMessage candidate) {
  replaced_ += std::erase_if(
      candidates_, [&](const CandidateMessage& older) { return older.kind == candidate.kind; });
  candidates_.push_back(std::move(candidate));
}

std::optional<CandidateMessage> LearnerHost::take_candidate() {
  if (candidates_.empty()) return std::nullopt;
  CandidateMessage first = std::move(candidates_.front());
  candidates_.erase(candidates_.begin());
  return first;
}

Result<LearnerHost::Page> LearnerHost::page_from(Sequence from, Log& log) {
  Result<std::vector<FeedItem>> items = log.feed(from, kMaxFeedItems);
  if (!items.ok()) return items.status();
  Page page{.from = from, .through = from - 1, .bytes = {}};
  for (const FeedItem& item : *items) {
    if (page.bytes.size() > kPageBytes) break;
    NUDGE_TRY(append(item, page.bytes));
    page.through = last_sequence(item);
  }
  return page;
}

Status LearnerHost::feed(Log& log) {
  const bool asked = wanted_ && wanted_->from <= log.durable();
  const Sequence from = asked ? wanted_->from : sent_through_ + 1;
  if (!asked && (ready_ || !behind(log))) return {};
  if (asked && !port_->can_send()) {  // it has not read the last page yet, or is gone
    if (!port_->connected()) wanted_.reset();
    return {};
  }
  if (!ready_ || ready_->from != from) {
    Result<Page> page = page_from(from, log);
    if (!page.ok()) return page.status();
    ready_ = *std::move(page);
  }
  if (!asked) return {};
  Page page = *std::exchange(ready_, std::nullopt);
  const Status sent = port_->send(DaemonMessage(FeedItems{log.durable(), std::move(page.bytes)}));
  if (sent.ok() || !port_->connected()) wanted_.reset();  // a full queue is tried again
  if (sent.ok()) sent_through_ = page.through;
  return sent;
}

bool LearnerHost::behind(const Log& log) const {
  return port_->connected() && (!process_ || process_->running()) && sent_through_ < log.durable();
}

Status LearnerHost::catch_up(Log& log, Duration patience) {
  const Instant start = clock_();
  const std::uint32_t deaths_before = deaths();
  Status sent_away;
  while (progress_.through < log.durable()) {
    const Status served = serve(log, std::chrono::milliseconds(20));
    if (served.code() == Code::kFailedPrecondition) sent_away = served;
    // It pauses before its next start, and nothing is gained by waiting for that.
    if (deaths() != deaths_before || (process_ && !process_->running())) {
      return sent_away.ok() ? served : sent_away;
    }
    if (clock_() - start > patience) {
      if (process_) process_->kill();  // hung, or far too slow: another one starts afresh
      return deadline_exceeded("the learner has not caught up within " +
                               std::to_string(static_cast<int>(seconds(patience))) + " s");
    }
  }
  return {};
}

void LearnerHost::stop() {
  if (port_->connected()) (void)port_->send(DaemonMessage(LearnerStop{}));
  port_->hang_up();  // one that waits for us to take its weights finds that we do not
  if (process_) process_->stop();
}

}  // namespace nudge
