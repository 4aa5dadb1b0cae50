#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/log_copies.h"
#include "src/commands/state.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

std::string purpose_text(EpisodePurpose purpose) {
  switch (purpose) {
    case EpisodePurpose::kDeployment: return "deployment";
    case EpisodePurpose::kDemonstration: return "demonstration";
    case EpisodePurpose::kEvaluation: return "evaluation";
  }
  return "?";
}

std::string label_text(LabelValue value) {
  switch (value) {
    case LabelValue::kNone: return "-";
    case LabelValue::kSuccess: return "success";
    case LabelValue::kFailure: return "failure";
    case LabelValue::kDiscard: return "discard";
  }
  return "?";
}

int list(const Program& program, const std::string& state, std::size_t limit) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const EpisodeId next = (*log)->next_episode_id();
  const EpisodeId from = next > limit ? next - limit : 1;
  const Result<std::vector<EpisodeSummary>> episodes = (*log)->episodes(from, limit);
  if (!episodes.ok()) return fail(episodes.status());
  if (program.json) {
    Json rows = Json::array();
    for (const EpisodeSummary& e : *episodes) {
      rows.push_back({{"episode", e.episode},
                      {"purpose", purpose_text(e.purpose)},
                      {"instruction", e.instruction},
                      {"started", rfc3339(e.started)},
                      {"ended", e.ended.has_value()},
                      {"outcome", label_text(e.outcome)},
                      {"steps", e.steps},
                      {"takeovers", e.takeovers},
                      {"bytes", e.bytes}});
    }
    std::printf("%s\n", rows.dump(2).c_str());
    return kExitOk;
  }
  Table table({"episode", "started", "purpose", "outcome", "steps", "takeovers", "kB"});
  for (const EpisodeSummary& e : *episodes) {
    table.add({std::to_string(e.episode), rfc3339(e.started), purpose_text(e.purpose),
               e.ended ? label_text(e.outcome) : "open", std::to_string(e.steps),
               std::to_string(e.takeovers), std::to_string(e.bytes / 1024)});
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

// Events as the feed encodes them: one JSON object a line, stable names.
int print_events(Log& log, Sequence from, std::size_t limit) {
  const Result<std::vector<Event>> events = log.events({}, from, limit);
  if (!events.ok()) return fail(events.status());
  for (const Event& event : *events) {
    const Result<std::string> text = encode(FeedItem(event));
    if (!text.ok()) return fail(text.status());
    std::printf("%s\n", text->c_str());
  }
  return kExitOk;
}

int show(const Program& program, const std::string& state, EpisodeId episode) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<std::vector<EpisodeSummary>> found = (*log)->episodes(episode, 1);
  if (!found.ok()) return fail(found.status());
  if (found->empty() || found->front().episode != episode) {
    return fail(not_found("there is no episode " + std::to_string(episode) +
                          " in the log; 'nudge "
                          "log ls' lists them"));
  }
  const Result<std::vector<SpanSummary>> spans = (*log)->spans(episode);
  if (!spans.ok()) return fail(spans.status());
  const EpisodeSummary& e = found->front();
  if (program.json) {
    Json rows = Json::array();
    for (const SpanSummary& s : *spans) {
      Json row = {{"span", s.span},
                  {"by", s.actor.name},
                  {"first_step", s.first_step},
                  {"outcome", label_text(s.outcome)}};
      if (s.closed) row["last_step"] = s.closed->last_step;
      if (s.closed) row["complete"] = s.closed->complete;
      rows.push_back(row);
    }
    const Json result = {{"episode", e.episode},
                         {"purpose", purpose_text(e.purpose)},
                         {"instruction", e.instruction},
                         {"outcome", label_text(e.outcome)},
                         {"steps", e.steps},
                         {"segment", e.path},
                         {"spans", rows}};
    std::printf("%s\n", result.dump(2).c_str());
    return kExitOk;
  }
  std::printf("episode %llu: %s, \"%s\", %s, %llu steps in %s\n",
              static_cast<unsigned long long>(e.episode), purpose_text(e.purpose).c_str(),
              e.instruction.c_str(), label_text(e.outcome).c_str(),
              static_cast<unsigned long long>(e.steps), e.path.c_str());
  Table table({"span", "by", "first step", "last step", "complete", "outcome"});
  for (const SpanSummary& s : *spans) {
    table.add({std::to_string(s.span), s.actor.name, std::to_string(s.first_step),
               s.closed ? std::to_string(s.closed->last_step) : "open",
               s.closed && s.closed->complete ? "yes" : "no", label_text(s.outcome)});
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

int tail(const Program& program, const std::string& state, std::size_t count) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  // Steps take sequence numbers too: widen the window until it holds enough events.
  const Sequence last = (*log)->durable();
  for (Sequence window = 4 * count + 64;; window *= 4) {
    const Sequence from = last > window ? last - window : 1;
    const Result<std::vector<Event>> events = (*log)->events({}, from, 1'000'000);
    if (!events.ok()) return fail(events.status());
    if (events->size() >= count || from == 1) {
      const std::size_t skip = events->size() > count ? events->size() - count : 0;
      if (events->empty()) return kExitOk;
      return print_events(**log, (*events)[std::min(skip, events->size() - 1)].sequence, count);
    }
  }
}

int verify(const Program& program, const std::string& state) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<VerifyReport> report = (*log)->verify();
  if (!report.ok()) return fail(report.status());
  if (program.json) {
    const Json result = {{"ok", report->ok()},
                         {"events", report->events},
                         {"steps", report->steps},
                         {"segments", report->segments},
                         {"evicted_steps", report->evicted_steps},
                         {"last_sequence", report->last},
                         {"problems", report->problems}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("%llu events, %llu steps in %llu segments, sequence 1 to %llu\n",
                static_cast<unsigned long long>(report->events),
                static_cast<unsigned long long>(report->steps),
                static_cast<unsigned long long>(report->segments),
                static_cast<unsigned long long>(report->last));
    if (report->evicted_steps > 0) {
      std::printf("%llu steps were deleted to keep to log.budget_bytes\n",
                  static_cast<unsigned long long>(report->evicted_steps));
    }
    for (const std::string& problem : report->problems)
      std::printf("PROBLEM %s\n", problem.c_str());
    std::puts(report->ok() ? "the log is whole" : "the log is damaged");
  }
  return report->ok() ? kExitOk : kExitData;
}

}  // namespace

void add_log_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("log", "Look into the log and check it");
  command->require_subcommand(1);
  auto state = std::make_shared<std::string>();
  auto count = std::make_shared<std::uint64_t>(20);
  auto episode = std::make_shared<std::uint64_t>(0);
  command->add_option("--state", *state, "State folder; by default state.dir of the configuration");
  CLI::App* ls = command->add_subcommand("ls", "The newest episodes");
  ls->add_option("-n,--count", *count, "How many")->capture_default_str();
  ls->callback([&program, state, count] {
    program.run = [&program, state, count] { return list(program, *state, *count); };
  });
  CLI::App* one = command->add_subcommand("show", "One episode with its spans");
  one->add_option("episode", *episode, "Its number")->required();
  one->callback([&program, state, episode] {
    program.run = [&program, state, episode] { return show(program, *state, *episode); };
  });
  CLI::App* last = command->add_subcommand("tail", "The newest events, one JSON object a line");
  last->add_option("-n,--count", *count, "How many")->capture_default_str();
  last->callback([&program, state, count] {
    program.run = [&program, state, count] { return tail(program, *state, *count); };
  });
  add_log_copies(program, *command, state);
  CLI::App* check = command->add_subcommand("verify", "Read all of it and check every record");
  check->callback(
      [&program, state] { program.run = [&program, state] { return verify(program, *state); }; });
}

}  // namespace nudge
