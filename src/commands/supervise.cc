#include <cstdio>
#include <filesystem>

#include "policy/folder.h"
#include "src/cli/exit_code.h"
#include "src/client/teleop_client.h"
#include "src/commands/command.h"
#include "src/commands/peer_flags.h"
#include "src/commands/stop_signal.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/supervisor_seat.h"
#include "src/ports/access.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(100);
constexpr const char* kKitchen = "kitchen";

struct SuperviseFlags {
  std::string state;
  PeerFlags peer;
};

// The scripted person at the teleop port. It drives and labels like one, and yields to any: where
// somebody else holds the robot, or has stopped it, it only looks.
class ScriptedPerson {
 public:
  ScriptedPerson(TeleopClient& client, const Config& config, const std::string& session)
      : client_(client),
        supervisor_(options(config), **kitchen_level(static_cast<int>(config.kitchen.level))),
        seat_(supervisor_, kKitchen, client.welcome().name, session) {}

  void see(const TeleopState& state) {
    const bool mine = state.mine;
    if (state.episode != episode_) {
      // One that was given up (none follows at once) is nobody's success or failure.
      if (episode_ != 0 && state.episode != 0) {
        send(seat_.label_late(episode_,
                              state.last_success ? LabelValue::kSuccess : LabelValue::kFailure));
      }
      episode_ = state.episode;
      seat_.begin_episode(episode_);
    }
    const bool for_us = state.state == AuthorityState::kAuto || mine;
    if (episode_ == 0 || !for_us) {
      watching_ = false;
      return;
    }
    // After a pause that somebody else made, standing still is not a stall yet.
    if (!watching_ && seat_.label() == LabelValue::kNone) seat_.begin_episode(episode_);
    watching_ = true;
    Observation observation;
    observation.time = state.observed;
    observation.proprioception = state.proprioception;
    observation.object_state = state.object_state;
    // Labels come late, by the episode's number: "the newest" may be the next one when they arrive.
    observation.success = false;
    SeatView view;
    view.state = state.state;
    if (mine) view.holder = Actor{.name = client_.welcome().name, .role = Role::kScript};
    view.epoch = state.epoch;
    view.tick = state.tick;
    view.now = steady_now();
    for (FeedbackMessage& message : seat_.look(observation, view)) send(std::move(message));
  }

 private:
  static SupervisorOptions options(const Config& config) {
    SupervisorOptions options = supervisor_options(config);
    options.time_limit_steps = UINT32_MAX;  // the daemon ends episodes
    return options;
  }

  void send(std::optional<FeedbackMessage> message) {
    if (!message) return;
    // What does not go out is asked for again by the seat, or is a jog that a newer one replaces.
    const auto* jog = std::get_if<JogCommand>(&message->body);
    (void)(jog != nullptr ? client_.send_jog(*jog) : client_.send_feedback(*message));
  }

  TeleopClient& client_;
  ScriptedSupervisor supervisor_;
  SupervisorSeat seat_;
  EpisodeId episode_ = 0;
  bool watching_ = false;
};

// The token of a daemon on this machine, from its state folder.
Result<std::string> script_token(const Program& program, const std::string& state_flag) {
  const Result<std::string> state = state_folder(program, state_flag);
  if (!state.ok()) return state.status();
  const std::string folder_path = *state + "/run";
  std::error_code error;
  if (!std::filesystem::exists(folder_path + "/" + kTokensFile, error)) {
    return not_found("there are no tokens in " + folder_path +
                     "; start 'nudge run' with the same --state first");
  }
  Result<std::unique_ptr<Folder>> folder = open_folder(folder_path);
  if (!folder.ok()) return folder.status();
  const Result<Access> access = Access::load_or_create(**folder);
  if (!access.ok()) return access.status();
  return access->token(Role::kScript);
}

int run_supervise(const Program& program, const SuperviseFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  TeleopClientOptions options;
  if (flags.peer.keys()) {
    options.server_key = flags.peer.server_key;
    options.key_file = flags.peer.key_file;
    options.token = "none";  // the key says who we are
  } else {
    const Result<std::string> token = script_token(program, flags.state);
    if (!token.ok()) return fail(token.status());
    options.token = *token;
  }
  options.endpoint = flags.peer.endpoint_of(loaded->config.ports.teleop);
  const std::atomic<bool>& stop = stop_on_signal();
  options.program = "nudge supervise";
  options.name = "scripted-supervisor";
  options.robot = kKitchen;
  Result<std::unique_ptr<TeleopClient>> client = TeleopClient::connect(options);
  if (!client.ok()) return fail(client.status());

  // Ids must not repeat over restarts; wall time is only a name here.
  std::string session = "script-" + std::to_string(wall_now().time_since_epoch().count());
  std::string name = (*client)->welcome().name;
  auto person = std::make_unique<ScriptedPerson>(**client, loaded->config, session);
  std::uint32_t sessions = 0;
  while (!stop && (*client)->refused().ok()) {
    const std::optional<TeleopState> seen = (*client)->receive(kPatience);
    if ((*client)->welcome().name != name) {
      // A new connection: another name, and whatever was held is lost.
      name = (*client)->welcome().name;
      person = std::make_unique<ScriptedPerson>(**client, loaded->config,
                                                session + "-" + std::to_string(++sessions));
    }
    if (seen) person->see(*seen);
    (void)(*client)->take_acks();
  }
  return (*client)->refused().ok() ? kExitOk : fail((*client)->refused());
}

}  // namespace

void add_supervise_command(Program& program) {
  CLI::App* command = program.app.add_subcommand(
      "supervise", "A scripted supervisor for the simulated kitchen, at the teleop port");
  multiplies_nothing(*command, program);
  auto flags = std::make_shared<SuperviseFlags>();
  command->add_option("--state", flags->state,
                      "State folder of the daemon, for its token; by default state.dir");
  add_level_flag(*command, program);
  add_peer_flags(*command, flags->peer, "ports.teleop");
  command->callback([&program, flags] {
    program.run = [&program, flags] { return run_supervise(program, *flags); };
  });
}

}  // namespace nudge
