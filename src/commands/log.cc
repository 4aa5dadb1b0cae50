#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "nudge/utf8.h"
#include "replay/event_codec.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/local_daemon.h"
#include "src/commands/log_copies.h"
#include "src/commands/log_reencode.h"
#include "src/commands/state.h"
#include "src/loop/clock.h"
#include "src/loop/recorder.h"
#include "src/loop/robot_record.h"
#include "src/loop/state_log.h"
#include "src/ports/robot_wire.h"
#include "src/ports/signed_head.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

struct VerifyFlags {
  std::string heads;  // file; empty: none
  std::string key;    // hex; empty: any one
};

struct WithdrawFlags {
  std::string supervisor;
  std::string who = "engineer";
  bool undo = false;
};

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
                      {"purpose", to_string(e.purpose)},
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
    table.add({std::to_string(e.episode), rfc3339(e.started), std::string(to_string(e.purpose)),
               e.ended ? label_text(e.outcome) : "open", std::to_string(e.steps),
               std::to_string(e.takeovers), std::to_string(e.bytes / 1024)});
  }
  std::fputs(table.text().c_str(), stdout);
  return kExitOk;
}

// One JSON object a line, stable names.
int print_events(Log& log, Sequence from, std::size_t limit) {
  const Result<std::vector<Event>> events = log.events({}, from, limit);
  if (!events.ok()) return fail(events.status());
  for (const Event& event : *events) {
    const Result<std::string> text = event_line(event);
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
                         {"purpose", to_string(e.purpose)},
                         {"instruction", e.instruction},
                         {"outcome", label_text(e.outcome)},
                         {"steps", e.steps},
                         {"segment", e.path},
                         {"spans", rows}};
    std::printf("%s\n", result.dump(2).c_str());
    return kExitOk;
  }
  std::printf("episode %llu: %s, \"%s\", %s, %llu steps in %s\n",
              static_cast<unsigned long long>(e.episode), std::string(to_string(e.purpose)).c_str(),
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

std::string hex_of(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

// Heads kept elsewhere, one a line. All must have been signed by one key: `key` in hex, or, when it
// is empty, that of the last. A line that is no head, such as what a server has answered in its
// place, is told and passed over: it must not make those around it worthless.
Result<std::vector<ChainHead>> read_heads(const std::string& path, const std::string& key) {
  constexpr std::size_t kMostHeads = 1'000'000;  // two years, one a minute
  std::ifstream file(path);
  if (!file) return not_found(path + ": cannot be read");
  constexpr std::size_t kMostTold = 10;
  std::vector<SignedHead> heads;
  std::size_t others = 0;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    const Result<SignedHead> head = SignedHead::parse(line);
    const std::string where = path + ", line " + std::to_string(number);
    if (!head.ok()) {
      const Status why = head.status().with_context(where);
      if (++others <= kMostTold)
        std::fprintf(stderr, "passed over: %s\n", for_terminal(why.message()).c_str());
      continue;
    }
    if (!key.empty() && hex_of(head->key) != key) {
      return permission_denied(where + ": signed by another key than --key");
    }
    if (heads.size() >= kMostHeads) return resource_exhausted(path + ": holds too many heads");
    heads.push_back(*head);
  }
  if (others > kMostTold) {
    std::fprintf(stderr, "passed over: %s: %zu more lines\n", path.c_str(), others - kMostTold);
  }
  if (heads.empty()) return data_loss(path + ": holds no head");
  std::vector<ChainHead> chain;
  for (const SignedHead& head : heads) {
    if (head.key != heads.back().key) {
      return permission_denied(path +
                               ": signed by different keys; say with --key which one is the "
                               "robot's");
    }
    chain.push_back(head.head);
  }
  return chain;
}

int verify(const Program& program, const std::string& state, const VerifyFlags& flags) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<std::string> folder = state_folder(program, state);
  if (!folder.ok()) return fail_open(program, folder.status());
  std::vector<ChainHead> heads;
  if (!flags.heads.empty()) {
    Result<std::vector<ChainHead>> kept = read_heads(flags.heads, flags.key);
    if (!kept.ok()) return fail(kept.status());
    heads = *std::move(kept);
  }
  const std::size_t compared = heads.size();
  // The log's own: whoever can write one can write the other, but a disk or a hand that cut off the
  // end of one alone is found out.
  const std::string own_text = newest_head_text(posix_files(), *folder);
  const Result<SignedHead> own = SignedHead::parse(own_text);
  if (own.ok()) heads.push_back(own->head);
  const Result<VerifyReport> report = (*log)->verify(std::move(heads));
  if (!report.ok()) return fail(report.status());
  if (program.json) {
    const Json result = {{"ok", report->ok()},
                         {"events", report->events},
                         {"steps", report->steps},
                         {"segments", report->segments},
                         {"evicted_steps", report->evicted_steps},
                         {"last_sequence", report->last},
                         {"first_bad", report->first_bad},
                         {"linked_later", report->linked_later},
                         {"unhashed_steps", report->unhashed_steps},
                         {"heads", compared},
                         {"own_head", own.ok() ? own->head.sequence : 0},
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
      std::printf("PROBLEM %s\n", for_terminal(problem).c_str());
    if (report->linked_later > 0) {
      std::printf(
          "events up to %llu were linked when version 2 of the log came; %llu steps of "
          "before are covered by checksums only\n",
          static_cast<unsigned long long>(report->linked_later),
          static_cast<unsigned long long>(report->unhashed_steps));
    }
    if (own.ok()) {
      std::printf("compared with its own signed head of event %llu\n",
                  static_cast<unsigned long long>(own->head.sequence));
    } else if (!own_text.empty()) {
      std::printf("%s/%s/%s: %s\n", folder->c_str(), HeadSeal::kFolder, HeadSeal::kFile,
                  own.status().message().c_str());
    }
    if (compared > 0) {
      std::printf("compared with %zu signed head%s kept elsewhere\n", compared,
                  compared == 1 ? "" : "s");
    } else if (own.ok()) {
      std::puts("no head kept elsewhere was given: that all links were made anew cannot show");
    } else {
      std::puts("no head was given: that the end was cut off, or all links made anew, cannot show");
    }
    if (report->first_bad > 0) {
      std::printf("the first that is not as it was: %llu\n",
                  static_cast<unsigned long long>(report->first_bad));
    }
    std::puts(report->ok() ? "the log is whole" : "the log is damaged");
  }
  return report->ok() ? kExitOk : kExitData;
}

// What the robot was at the newest start, as robot.spec takes it.
int robot(const Program& program, const std::string& state) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<std::optional<RobotSpec>> recorded = recorded_robot(**log);
  if (!recorded.ok()) return fail(recorded.status());
  if (!*recorded) {
    return fail(not_found("no start of this log has told what the robot is; run 'nudge run'"));
  }
  std::puts(nlohmann::ordered_json::parse(spec_text(**recorded)).dump(2).c_str());
  return kExitOk;
}

// The daemon's own, or, while none runs, made here.
int head(const Program& program, const std::string& state) {
  const Result<std::string> folder = state_folder(program, state);
  if (!folder.ok()) return fail_open(program, folder.status());
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (log.status().code() == Code::kUnavailable) {
    const Result<std::string> line = ask_daemon(*folder, "GET", "/api/v1/log/head", "");
    if (!line.ok()) return fail(line.status());
    std::puts(line->c_str());
    return kExitOk;
  }
  if (!log.ok()) return fail_open(program, log.status());
  Result<HeadSeal> seal = HeadSeal::open(*folder + "/" + HeadSeal::kFolder);
  if (!seal.ok()) return fail(seal.status());
  if (const Status written = seal->write((*log)->head(), wall_now()); !written.ok()) {
    return fail(written);
  }
  std::puts(seal->newest().c_str());
  return kExitOk;
}

// An act of the engineer: of the daemon where one runs, else an event of its own.
int withdraw(const Program& program, const std::string& state, const WithdrawFlags& flags) {
  const std::string id = "cli-" + std::to_string(wall_now().time_since_epoch().count());
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/false);
  if (log.status().code() == Code::kUnavailable) {
    const Result<std::string> folder = state_folder(program, state);
    if (!folder.ok()) return fail_open(program, folder.status());
    const Json act = {{"type", flags.undo ? "restore_corrections" : "withdraw_corrections"},
                      {"id", id},
                      {"supervisor", flags.supervisor}};
    const Result<std::string> done = ask_daemon(*folder, "POST", "/api/v1/feedback", act.dump());
    if (!done.ok()) return fail(done.status());
  } else {
    if (!log.ok()) return fail_open(program, log.status());
    const Result<Teachers> known = teachers(**log);
    if (!known.ok()) return fail(known.status());
    const Status may =
        flags.undo ? restorable(*known, flags.supervisor) : withdrawable(*known, flags.supervisor);
    if (!may.ok()) return fail(may);
    Payload payload = CorrectionsWithdrawn{.supervisor = flags.supervisor};
    if (flags.undo) payload = CorrectionsRestored{.supervisor = flags.supervisor};
    Recorder recorder(**log, id, Actor{.name = flags.who, .role = Role::kEngineer});
    const Moment moment{.now = steady_now(), .wall = wall_now(), .weights = 0};
    if (Status status = recorder.append(std::move(payload), moment); !status.ok()) {
      return fail(status);
    }
    if (Status status = recorder.commit(); !status.ok()) return fail(status);
  }
  if (program.json) {
    std::puts("{\"ok\": true}");
  } else if (flags.undo) {
    std::puts("done; what they taught counts again");
  } else {
    std::puts(
        "done; nothing that they taught is learned from any more. Weights that had learned "
        "from it are marked in 'nudge weights ls'; 'nudge train --from log' makes others");
  }
  return kExitOk;
}

}  // namespace

void add_log_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("log", "Look into the log and check it");
  command->require_subcommand(1);
  multiplies_nothing(*command, program);
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
  add_log_reencode(program, *command, state);
  CLI::App* check = command->add_subcommand("verify", "Read all of it and check every record");
  auto verifying = std::make_shared<VerifyFlags>();
  check->add_option("--heads", verifying->heads,
                    "File with signed heads that were kept elsewhere, one a line");
  check->add_option("--key", verifying->key, "Public key that must have signed them, in hex");
  check->callback([&program, state, verifying] {
    program.run = [&program, state, verifying] { return verify(program, *state, *verifying); };
  });
  CLI::App* what = command->add_subcommand(
      "robot", "What the robot was at the newest start, as a file for robot.spec");
  what->callback(
      [&program, state] { program.run = [&program, state] { return robot(program, *state); }; });
  CLI::App* seal =
      command->add_subcommand("head", "The signed head of the log, to be kept elsewhere");
  seal->callback(
      [&program, state] { program.run = [&program, state] { return head(program, *state); }; });
  auto withdrawing = std::make_shared<WithdrawFlags>();
  CLI::App* take_out =
      command->add_subcommand("withdraw", "Learn no more from what one person taught");
  take_out->add_option("--supervisor", withdrawing->supervisor, "The person's name")->required();
  take_out->add_option("--as", withdrawing->who, "Your name, for the log")->capture_default_str();
  take_out->add_flag("--undo", withdrawing->undo, "Take the withdrawal back");
  take_out->callback([&program, state, withdrawing] {
    program.run = [&program, state, withdrawing] {
      return withdraw(program, *state, *withdrawing);
    };
  });
}

}  // namespace nudge
