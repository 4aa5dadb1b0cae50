#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "policy/weights.h"
#include "src/cli/exit_code.h"
#include "src/cli/logging.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/state.h"
#include "src/loop/clock.h"
#include "src/loop/recorder.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

std::string state_text(const WeightsRecord& record, const WeightsHistory& history) {
  std::string text;
  switch (record.state) {
    case WeightsState::kAccepted:
      text = record.kind == WeightsKind::kFull ? "on probation" : "provisional";
      break;
    case WeightsState::kConfirmed: text = "confirmed"; break;
    case WeightsState::kRolledBack: text = "rolled back: " + record.rollback_reason; break;
  }
  if (record.version == history.confirmed()) text += ", boots";
  if (record.version == history.live()) text += ", ran last";
  return text;
}

// "anna, bert"
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string learned_from(const std::vector<std::string>& withdrawn) {
  return withdrawn.empty() ? "" : ", may have learned from withdrawn " + listed(withdrawn);
}

Json to_json(const WeightsRecord& record, const WeightsHistory& history, const Teachers& teachers) {
  return {{"version", record.version},
          {"parent", record.parent},
          {"kind", record.kind == WeightsKind::kFull ? "full" : "provisional"},
          {"hash", to_hex(record.hash)},
          {"state", state_text(record, history)},
          {"accepted", rfc3339(record.accepted_wall)},
          {"withdrawn", teachers.taint(record.version)},
          {"gate", Json::parse(record.gate_report, nullptr, false)}};
}

int list(const Program& program, const std::string& state) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<WeightsHistory> history = weights_history(**log);
  if (!history.ok()) return fail(history.status());
  const Result<Teachers> taught = teachers(**log);
  if (!taught.ok()) return fail(taught.status());
  if (program.json) {
    Json rows = Json::array();
    for (const auto& [version, record] : history->records()) {
      rows.push_back(to_json(record, *history, *taught));
    }
    std::printf("%s\n", rows.dump(2).c_str());
    return kExitOk;
  }
  Table table({"version", "parent", "kind", "accepted", "hash", "state"});
  for (const auto& [version, record] : history->records()) {
    table.add({std::to_string(version), std::to_string(record.parent),
               record.kind == WeightsKind::kFull ? "full" : "provisional",
               rfc3339(record.accepted_wall), to_hex(record.hash).substr(0, 12),
               state_text(record, *history) + learned_from(taught->taint(version))});
  }
  std::fputs(table.text().c_str(), stdout);
  if (!taught->withdrawn().empty()) {
    std::printf(
        "\nwithdrawn: %s. 'nudge train --from log' makes weights without what they taught.\n",
        listed(taught->withdrawn()).c_str());
  }
  return kExitOk;
}

Status unknown(WeightsVersion version) {
  return not_found("there are no weights v" + std::to_string(version) +
                   "; 'nudge weights ls' lists them");
}

int show(const Program& program, const std::string& state, WeightsVersion version) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/true);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<WeightsHistory> history = weights_history(**log);
  if (!history.ok()) return fail(history.status());
  const WeightsRecord* record = history->find(version);
  if (record == nullptr) return fail(unknown(version));
  const Result<Teachers> taught = teachers(**log);
  if (!taught.ok()) return fail(taught.status());
  const Json json = to_json(*record, *history, *taught);
  if (program.json) {
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    for (const auto& [key, value] : json.items()) {
      std::printf("%-9s %s\n", key.c_str(),
                  value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
    }
  }
  return kExitOk;
}

// An engineer's act on the log of a daemon that does not run: it boots what was decided here.
int act(const Program& program, const std::string& state, const std::string& who,
        const std::function<Result<Payload>(const WeightsHistory&)>& decide) {
  Result<std::unique_ptr<Log>> log = open_log(program, state, /*read_only=*/false);
  if (!log.ok()) return fail_open(program, log.status());
  const Result<WeightsHistory> history = weights_history(**log);
  if (!history.ok()) return fail(history.status());
  const Result<Payload> payload = decide(*history);
  if (!payload.ok()) return fail(payload.status());
  const std::string boot = "cli-" + std::to_string(wall_now().time_since_epoch().count());
  const Actor actor{.name = who, .role = Role::kEngineer};
  Recorder recorder(**log, boot, actor);
  const Moment moment{.now = steady_now(), .wall = wall_now(), .weights = history->live()};
  if (Status status = recorder.append(*payload, moment); !status.ok()) return fail(status);
  if (Status status = recorder.commit(); !status.ok()) return fail(status);
  std::puts(program.json ? "{\"ok\": true}" : "done; it takes effect at the next start");
  return kExitOk;
}

int promote(const Program& program, const std::string& state, const std::string& who,
            WeightsVersion version) {
  return act(program, state, who, [&](const WeightsHistory& history) -> Result<Payload> {
    const WeightsRecord* record = history.find(version);
    if (record == nullptr) return unknown(version);
    if (record->kind != WeightsKind::kFull) {
      return failed_precondition("v" + std::to_string(version) +
                                 " is provisional; only full versions can be promoted");
    }
    const Result<std::shared_ptr<const Weights>> weights =
        stored_weights(program, state, version, history);
    if (!weights.ok()) return weights.status();
    return Payload(WeightsPromoted{.version = version});
  });
}

int roll_back(const Program& program, const std::string& state, const std::string& who) {
  return act(program, state, who, [&](const WeightsHistory& history) -> Result<Payload> {
    const WeightsVersion from = std::max(history.live(), history.confirmed());
    const WeightsVersion to = history.roll_back_target();
    if (from == 0 || to == 0) {
      return failed_precondition("there is no earlier version to go back to");
    }
    const Result<std::shared_ptr<const Weights>> weights =
        stored_weights(program, state, to, history);
    if (!weights.ok()) return weights.status();
    return Payload(WeightsRolledBack{.from = from, .to = to, .reason = "by_hand"});
  });
}

int resume(const Program& program, const std::string& state, const std::string& who) {
  return act(program, state, who,
             [](const WeightsHistory&) -> Result<Payload> { return Payload(LearningResumed{}); });
}

}  // namespace

void add_weights_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("weights", "List, promote and roll back weights");
  command->require_subcommand(1);
  multiplies_nothing(*command, program);
  auto state = std::make_shared<std::string>();
  auto version = std::make_shared<std::uint64_t>(0);
  auto who = std::make_shared<std::string>("engineer");
  command->add_option("--state", *state, "State folder; by default state.dir of the configuration");
  command->add_option("--as", *who, "Your name, for the log")->capture_default_str();
  CLI::App* ls = command->add_subcommand("ls", "Every version and its state");
  ls->callback(
      [&program, state] { program.run = [&program, state] { return list(program, *state); }; });
  CLI::App* one = command->add_subcommand("show", "One version with the gate's figures");
  one->add_option("version", *version, "Its number")->required();
  one->callback([&program, state, version] {
    program.run = [&program, state, version] { return show(program, *state, *version); };
  });
  CLI::App* up = command->add_subcommand("promote", "Confirm a full version: it boots from now on");
  up->add_option("version", *version, "Its number")->required();
  up->callback([&program, state, who, version] {
    program.run = [&program, state, who, version] {
      return promote(program, *state, *who, *version);
    };
  });
  CLI::App* back = command->add_subcommand("rollback", "Go back to the last confirmed version");
  back->callback([&program, state, who] {
    program.run = [&program, state, who] { return roll_back(program, *state, *who); };
  });
  CLI::App* again = command->add_subcommand(
      "resume", "Learn again, after two rollbacks in a row have paused learning");
  again->callback([&program, state, who] {
    program.run = [&program, state, who] { return resume(program, *state, *who); };
  });
}

}  // namespace nudge
