#include "src/learning/learner_host.h"

#include <utility>

namespace nudge {
namespace {

// So that a chatty peer cannot hold the caller; kMaxFeedItems does the same for a long log.
constexpr std::size_t kMessagesPerTurn = 64;
constexpr std::size_t kPageBytes = kMaxFeedPage / 2;

}  // namespace

Result<std::unique_ptr<LearnerHost>> LearnerHost::open(const LearnerHostOptions& options,
                                                       ClockFunction clock) {
  Result<std::unique_ptr<LearnerPort>> port = LearnerPort::bind(options.socket_path);
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
    if (!message) break;
    if (Status handled = handle(*std::move(message)); !handled.ok()) trouble = std::move(handled);
    if (Status fed = feed(log); !fed.ok()) trouble = std::move(fed);
  }
  return trouble;
}

Status LearnerHost::handle(LearnerMessage message) {
  if (auto* hello = std::get_if<LearnerHello>(&message)) {
    if (hello->config_hash != options_.config_hash) {
      (void)port_->send(DaemonMessage(LearnerStop{}));
      return failed_precondition(
          "the learner runs with another training configuration than the daemon; restart both");
    }
    core_type_ = hello->core_type;
    progress_ = {};
    wanted_.reset();
    ready_.reset();
    sent_through_ = 0;
    return port_->send(DaemonMessage(options_.welcome));
  }
  if (auto* request = std::get_if<FeedRequest>(&message)) {
    wanted_ = *request;
  } else if (auto* candidate = std::get_if<CandidateMessage>(&message)) {
    candidates_.push_back(std::move(*candidate));
  } else if (auto* progress = std::get_if<LearnerProgress>(&message)) {
    progress_ = std::move(*progress);
    if (!progress_.trouble.empty()) {
      return internal("a learning round gave nothing: " + progress_.trouble);
    }
  }
  return {};
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
  while (progress_.through < log.durable()) {
    const Status served = serve(log, std::chrono::milliseconds(20));
    if (deaths() != deaths_before) return served;
    // It pauses before its next start, and nothing is gained by waiting for that.
    if (process_ && !process_->running()) return served;
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
  if (process_) process_->stop();
}

}  // namespace nudge
