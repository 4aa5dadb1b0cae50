#include "src/daemon/daemon.h"

#include <pthread.h>

#include <atomic>
#include <future>
#include <thread>

#include "replay/follow.h"
#include "src/daemon/archive_thread.h"
#include "src/daemon/curve_door.h"
#include "src/daemon/damaged_log.h"
#include "src/daemon/followed_file.h"
#include "src/daemon/front_desk.h"
#include "src/daemon/gate_thread.h"
#include "src/daemon/head_export.h"
#include "src/daemon/inference_thread.h"
#include "src/daemon/keeper.h"
#include "src/daemon/key_audit.h"
#include "src/daemon/step_thread.h"
#include "src/daemon/token_audit.h"
#include "src/daemon/watchdog.h"
#include "src/daemon/writer_thread.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/reference_sources.h"
#include "src/loop/robot_record.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"
#include "src/ports/change_lock.h"
#include "src/ports/head_file.h"
#include "src/ports/private_file.h"
#include "src/ports/robot_port.h"
#include "src/ports/supervisor_server.h"
#include "src/ports/supervisor_wire.h"
#include "src/ports/teleop_port.h"

namespace nudge {
namespace {

const Actor kDaemon = {.name = "nudge", .role = Role::kScript};
constexpr const char* kProgram = "nudge " NUDGE_VERSION;

constexpr Duration kEntrancePeriod = std::chrono::minutes(1);
constexpr Duration kUnheardPeriod = std::chrono::seconds(2);

Result<Devices> load_devices(Folder& folder, const std::string& robot) {
  const Result<std::string> text = read_private(folder, kDevicesFile, Devices::kMaxFile);
  if (text.status().code() == Code::kNotFound) return Devices(robot);
  if (!text.ok()) return text.status().with_context("devices");
  return Devices::decode(*text, robot);
}

ServedAt served_at(const Entrance& entrance, std::uint16_t port) {
  return {.urls = entrance.urls(port),
          .fingerprint = entrance.certificate.fingerprint,
          .authority_der = entrance.certificate.authority_der};
}

Status fold_log(Log& log, Succession& succession, Past& past, KeyAudit& keys, TokenAudit& tokens) {
  return follow(log, succession.folded(), [&](const FeedItem& item) -> Status {
    NUDGE_TRY(succession.fold(item));
    std::visit([&past](const auto& entry) { (void)past.apply(entry); }, item);
    if (const auto* event = std::get_if<Event>(&item)) {
      keys.apply(*event);
      tokens.apply(*event);
    }
    return {};
  });
}

LogMetrics log_metrics(const WriterStatus& writer) {
  LogMetrics metrics;
  metrics.durable = writer.log.durable;
  metrics.commits = writer.log.commits;
  metrics.failed_commits = writer.log.failed_commits;
  metrics.pending_entries = writer.log.appended - writer.log.durable;
  metrics.wal_bytes = writer.log.wal_bytes;
  metrics.head_sequence = writer.head_sequence;
  metrics.segment_bytes = writer.log.segment_bytes;
  metrics.evicted = writer.log.evicted;
  return metrics;
}

}  // namespace

// In the order in which they are made; destroyed in reverse.
struct Daemon::Parts {
  DaemonOptions options;
  EventLoop* loop = nullptr;
  Links links;
  Access access;    // of the thread that starts and stops the daemon
  Access admitted;  // the same, of the io thread
  std::unique_ptr<FollowedFile> tokens_file;
  std::unique_ptr<Folder> run_folder;  // of the thread that starts and stops the daemon
  Entrance entrance;
  Instant entrance_seen{};
  std::atomic<bool> unheard{false};  // commands have no socket; cleared by the io thread
  Instant unheard_seen{};
  std::unique_ptr<Keeper> keeper;
  std::unique_ptr<DeviceDesk> devices;
  std::optional<PairingOffer> first_offer;
  KeyAudit keys;      // of the loop's thread, once it runs
  TokenAudit tokens;  // likewise
  std::unique_ptr<Log> log;
  std::unique_ptr<GateThread> gate;
  std::unique_ptr<HeadExport> heads;  // null: they are not exported
  std::unique_ptr<WriterThread> writer;
  std::unique_ptr<InferenceThread> inference;
  std::unique_ptr<StepThread> step;
  std::unique_ptr<Watchdog> watchdog;
  std::unique_ptr<FrontDesk> desk;
  std::unique_ptr<ArchiveThread> archive;
  std::unique_ptr<SupervisorServer> supervisors;
  std::unique_ptr<TeleopPort> teleop;
  std::thread io;
  bool started = false;
  bool log_damaged = false;  // found while it was opened

  // Notes that the log is what fails.
  Status of_log(Status status) {
    log_damaged = log_damaged || status.code() == Code::kDataLoss;
    return status;
  }

  std::string run_path() const { return options.state_folder + "/run"; }

  void record(std::vector<Payload> changes) const {
    for (Payload& change : changes) desk->record(std::move(change), kDaemon, {});
  }

  void tell(LogLevel level, std::string_view component, const std::string& message) const {
    if (options.notice) options.notice(level, component, message);
  }
  void tell_of_authority() const {
    if (!entrance.certificate.new_authority) return;
    tell(LogLevel::kInfo, "tls",
         "made a new certificate authority; devices that have an older one installed need this "
         "one");
  }
};

Daemon::Daemon() : parts_(std::make_unique<Parts>()) {}
Daemon::~Daemon() { stop(); }

Result<std::unique_ptr<Daemon>> Daemon::open(EventLoop& loop, Robot& robot,
                                             const DaemonOptions& options) {
  const auto tell = [&](const std::string& message) {
    if (options.notice) options.notice(LogLevel::kError, "log", message);
  };
  const Result<std::string> finished = finish_replacement(posix_files(), options.state_folder);
  if (!finished.ok()) return finished.status();
  std::string alarm;
  if (*finished == kSalvaged) {
    alarm = describe_finished(options.state_folder);
    tell(alarm);
  }
  bool log_damaged = false;
  Result<std::unique_ptr<Daemon>> daemon = open(loop, robot, options, alarm, log_damaged);
  if (daemon.ok() || !log_damaged) return daemon;
  // Once: what cannot be opened then is for people.
  tell(daemon.status().message());
  const Result<SetAside> aside =
      set_damaged_log_aside(posix_files(), options.state_folder, steady_now(), wall_now());
  if (!aside.ok()) return aside.status();
  tell(describe(*aside));
  // The writer signs one in any case.
  (void)seal_new_log(options.state_folder, aside->report.head, wall_now());
  return open(loop, robot, options, describe(*aside), log_damaged);
}

Result<std::unique_ptr<Daemon>> Daemon::open(EventLoop& loop, Robot& robot,
                                             const DaemonOptions& options, std::string alarm,
                                             bool& log_damaged) {
  std::unique_ptr<Daemon> daemon(new Daemon());
  const Status opened = daemon->assemble(loop, robot, options, std::move(alarm));
  log_damaged = daemon->parts_->log_damaged;
  if (!opened.ok()) return opened;
  return daemon;
}

Status Daemon::assemble(EventLoop& loop, Robot& robot, const DaemonOptions& options,
                        std::string alarm) {
  Parts& p = *parts_;
  p.options = options;
  p.loop = &loop;
  const Config& config = options.config;
  const RobotSpec& spec = robot.spec();
  const std::string run_folder = p.run_path();
  const WallTime wall = wall_now();
  const std::string boot = new_boot_id(wall);
  const auto tell = [parts = &p](LogLevel level, std::string_view component,
                                 const std::string& message) {
    parts->tell(level, component, message);
  };
  NUDGE_TRY(make_state_folder(options.state_folder));

  std::string about_words;
  Result<std::unique_ptr<Backbone>> backbone =
      make_backbone(config, spec.observation, &about_words);
  if (!backbone.ok()) return backbone.status();
  if (!about_words.empty()) tell(LogLevel::kWarn, "words", about_words);
  const PolicyShape shape = policy_shape(config, spec, **backbone);
  Result<ReferenceOptions> references = reference_options(config, spec);
  if (!references.ok()) return references.status();

  LogOptions log_options =
      state_log_options(options.state_folder, config, boot, steady_now(), wall);
  log_options.check = true;
  Result<std::unique_ptr<Log>> log =
      open_state_log(posix_files(), options.state_folder, log_options);
  if (!log.ok()) return p.of_log(log.status());
  p.log = *std::move(log);
  for (const std::string& damaged : p.log->recovery().damaged) {
    tell(LogLevel::kError, "log", damaged);
  }
  if (const std::size_t damaged = p.log->recovery().damaged.size(); alarm.empty() && damaged > 0) {
    alarm = "recorded steps are damaged: " + p.log->recovery().damaged.front() +
            (damaged > 1 ? ", and " + std::to_string(damaged - 1) + " more" : "") +
            "; 'nudge log verify' names them all, 'nudge log salvage' saves what can be read";
  }
  // Not before the lock: a daemon at work in this folder has its own configuration there.
  std::vector<UnwrittenFile> unwritten;
  const auto note_unwritten = [&](std::string trouble, std::function<Status()> write) {
    // The robot is to come up again on a disk that is full.
    tell(LogLevel::kError, "state", trouble);
    unwritten.push_back({std::move(trouble), std::move(write)});
  };
  const auto write_config = [state = options.state_folder, config] {
    return write_config_in_force(state, config);
  };
  if (const Status written = write_config(); !written.ok()) {
    note_unwritten(
        "the settings in force cannot be written, and the learner reads those of before: " +
            written.message(),
        write_config);
  }
  NUDGE_TRY(make_state_folder(run_folder));
  Result<std::unique_ptr<Folder>> folder = open_folder(run_folder);
  if (!folder.ok()) return folder.status();
  {
    const Result<ChangeLock> lock = ChangeLock::take(run_folder);
    if (!lock.ok()) return lock.status();
    sweep_private(**folder);
    p.tokens_file = std::make_unique<FollowedFile>(run_folder + "/" + kTokensFile);
    Result<Access> access = Access::load_or_create(**folder);
    if (!access.ok()) return access.status();
    p.access = p.admitted = *std::move(access);
  }
  Result<Entrance> entrance = open_entrance(config, **folder, wall);
  if (!entrance.ok()) return entrance.status();
  p.entrance = *std::move(entrance);
  if (!p.entrance.trouble.ok()) tell(LogLevel::kWarn, "tls", p.entrance.trouble.message());
  p.tell_of_authority();
  Result<Devices> devices = load_devices(**folder, spec.id);
  if (!devices.ok()) return devices.status();
  p.run_folder = *std::move(folder);
  Result<std::unique_ptr<Folder>> kept = open_folder(run_folder);
  if (!kept.ok()) return kept.status();
  p.keeper = std::make_unique<Keeper>(*std::move(kept), loop);

  Result<StopLatch> latch = StopLatch::open(posix_files(), run_folder + "/stop.latch");
  if (!latch.ok()) return latch.status();
  const Result<bool> stopped = stop_is_latched(*p.log);
  if (!stopped.ok()) return p.of_log(stopped.status());
  AuthorityBoot authority;
  authority.last_epoch = p.log->next_lease_epoch() - 1;
  authority.stop_latched = *stopped || latch->latched();
  ControllerOptions control = controller_options(config, spec, authority);
  control.executed_unknown = options.asking != nullptr;
  std::vector<std::string> absent;
  control.cameras = cameras_that_matter(config, spec, (*backbone)->cameras(), absent);
  for (const std::string& camera : absent) {
    tell(LogLevel::kWarn, "robot",
         "camera '" + camera + "' of robot.cameras_that_matter is none of the robot's");
  }
  Result<std::unique_ptr<Controller>> controller = Controller::make(robot, control);
  if (!controller.ok()) return controller.status();

  Result<std::unique_ptr<Rollout>> rollout =
      Rollout::open(rollout_options(config, options.state_folder + "/weights", spec.id, shape));
  if (!rollout.ok()) return rollout.status();
  p.gate = std::make_unique<GateThread>(*std::move(rollout), p.links, wall_now, tell);
  // Read, not mapped: a segment that somebody cuts off, or a bad sector, must not end the daemon.
  DatasetOptions dataset = dataset_options(config, shape);
  dataset.mapped = false;
  auto succession = std::make_unique<Succession>(posix_files(), p.gate->rollout(), dataset,
                                                 round_planner_options(config),
                                                 probation_options(config), p.gate->record(), tell);
  const Result<std::optional<RobotSpec>> before = recorded_robot(*p.log);
  if (!before.ok()) return p.of_log(before.status());
  if (const std::string changes = changes_since(spec, *before); !changes.empty()) {
    tell(LogLevel::kWarn, "robot", changes);
  }
  p.links.writer.push_reserved(
      WriterItem(RecordWanted{.payload = booted(kProgram, spec), .actor = std::nullopt, .id = ""}));
  Past past;
  past.help =
      HelpCalibration(config.help.false_alarms, static_cast<std::size_t>(config.help.episodes));
  NUDGE_TRY(p.of_log(fold_log(*p.log, *succession, past, p.keys, p.tokens)));
  if (const std::uint64_t lost = succession->damaged_runs(); alarm.empty() && lost > 0) {
    alarm = "recorded steps of " + std::to_string(lost) +
            " places in the log are damaged and are not learned from; 'nudge log verify' names "
            "them, 'nudge log salvage' saves what can be read";
  }
  const EpisodeId next_episode = p.log->next_episode_id();
  past.newest_episode = next_episode - 1;
  const std::uint64_t newest_help = past.help.newest_help();
  Result<std::optional<LoadedHead>> head = succession->boot();
  if (!head.ok()) return head.status();
  WeightsVersion live = 0;
  if (*head) {
    live = (*head)->version;
    // Already: an episode that begins before inference has taken it is no demonstration.
    p.links.loaded = live;
    p.gate->hand_over(**std::move(head));
  }
  const Sequence folded = succession->folded();
  p.gate->set_succession(std::move(succession), p.log->next_weights_version());

  std::unique_ptr<LearnerHost> host;
  if (!options.program.empty()) {
    Result<std::unique_ptr<LearnerHost>> opened = LearnerHost::open(
        learner_host_options(config, options.state_folder, options.program, shape), steady_now);
    if (!opened.ok()) return opened.status();
    host = *std::move(opened);
  }

  DeskInfo info;
  info.robot = spec;
  info.program = kProgram;
  info.boot = boot;
  info.alarm = std::move(alarm);
  info.fresh = from_milliseconds(static_cast<double>(config.authority.fresh_ms));
  Result<MotionWords> words = MotionWords::make(motion_words_config(config, spec));
  if (!words.ok()) return words.status();
  Result<std::unique_ptr<FrontDesk>> desk =
      FrontDesk::make(robot, p.links, loop, std::move(info), std::move(past), *std::move(words));
  if (!desk.ok()) return desk.status();
  p.desk = *std::move(desk);

  WriterThreadOptions writer;
  writer.clock = steady_now;
  writer.wall = wall_now;
  writer.boot = boot;
  writer.self = kDaemon;
  writer.segment = segment_spec(spec, shape);
  writer.fed = folded;
  writer.live = live;
  writer.commit_every = from_milliseconds(static_cast<double>(config.daemon.commit_ms));
  Result<HeadSeal> seal = HeadSeal::open(options.state_folder + "/" + HeadSeal::kFolder);
  if (!seal.ok()) return seal.status();
  writer.seal.emplace(*std::move(seal));
  writer.snapshot = options.state_folder + "/log/snapshot.db";
  writer.export_heads = config.log.heads_file != "none";
  writer.budget_bytes = static_cast<std::uint64_t>(config.log.budget_bytes);
  p.writer = std::make_unique<WriterThread>(*p.log, *std::move(latch), std::move(host), p.links,
                                            std::move(writer), tell,
                                            [desk = p.desk.get()] { desk->wake(); });
  if (config.log.heads_file != "none") {
    const auto file = std::make_shared<HeadFile>(posix_files(), config.log.heads_file);
    p.heads = std::make_unique<HeadExport>(
        p.links,
        HeadExportOptions{.append = [file](const std::string& head) { return file->append(head); }},
        tell);
  }
  p.archive = std::make_unique<ArchiveThread>(posix_files(), spec.policy_period, p.links,
                                              [desk = p.desk.get()] { desk->wake(); });
  p.inference = std::make_unique<InferenceThread>(
      std::make_unique<Inference>(*std::move(backbone),
                                  static_cast<std::uint64_t>(wall.time_since_epoch().count()),
                                  *std::move(references), config.policy.guidance),
      p.links, [tell](const std::string& message) { tell(LogLevel::kError, "policy", message); },
      doubt_options(config), options.asking);

  StepThreadOptions step;
  step.clock = steady_now;
  step.wall = wall_now;
  step.instruction = options.instruction;
  step.continuous = options.continuous;
  step.asking = options.asking;
  step.next_episode = next_episode;
  step.seed = static_cast<std::uint64_t>(wall.time_since_epoch().count());
  step.episode_steps = static_cast<std::uint32_t>(config.robot.episode_steps);
  step.abandon = std::chrono::seconds(config.robot.abandon_s);
  step.fifo_priority = static_cast<int>(config.daemon.fifo_priority);
  if (config.help.ask) {
    step.help = help_signal_options(config, spec);
    NUDGE_TRY(step.help->validate());
    step.help->next_help = newest_help + 1;
  }
  p.step = std::make_unique<StepThread>(robot, *std::move(controller), p.links, std::move(step));
  p.watchdog = std::make_unique<Watchdog>(
      robot, p.links.heartbeat, steady_now,
      from_milliseconds(static_cast<double>(config.authority.watchdog_ms)), [tell](Duration gap) {
        tell(LogLevel::kError, "watchdog",
             "the step thread has stalled for " +
                 std::to_string(static_cast<int>(1000 * seconds(gap))) +
                 " ms; the robot was told to hold");
      });

  DeviceDeskOptions device_desk;
  device_desk.now = steady_now;
  device_desk.wall = wall_now;
  device_desk.save = [keeper = p.keeper.get()](std::string text, std::function<void(Status)> done) {
    keeper->save(kDevicesFile, std::move(text), std::move(done));
  };
  device_desk.record = [desk = p.desk.get()](Payload what, const std::optional<Actor>& who,
                                             std::function<void(Status)> done) {
    desk->record(std::move(what), who.value_or(kDaemon), std::move(done));
  };
  device_desk.recording = [desk = p.desk.get()] { return desk->recording(); };
  device_desk.notice = [tell](const std::string& message, bool trouble) {
    tell(trouble ? LogLevel::kWarn : LogLevel::kInfo, "devices", message);
  };
  p.devices = std::make_unique<DeviceDesk>(std::move(device_desk), *std::move(devices));
  SupervisorPortOptions supervisors;
  supervisors.page = web_files();
  supervisors.now = steady_now;
  supervisors.log_metrics = [desk = p.desk.get()] { return log_metrics(desk->writer()); };
  supervisors.port_metrics = [parts = &p] {
    PortMetrics metrics;
    if (parts->options.robot_port) metrics.robot = parts->options.robot_port->counters();
    if (parts->teleop) metrics.teleop = parts->teleop->counters();
    return metrics;
  };
  supervisors.devices = p.devices.get();
  HttpServerOptions http;
  http.address = p.entrance.address;
  http.port = static_cast<std::uint16_t>(config.ports.http);
  http.tls = p.entrance.tls;
  http.names = p.entrance.names;
  Result<std::unique_ptr<SupervisorServer>> server =
      SupervisorServer::listen(loop, http, std::move(supervisors), p.admitted, *p.desk);
  if (!server.ok()) return server.status();
  p.supervisors = *std::move(server);
  const std::uint16_t port = p.supervisors->port();
  p.devices->serve_at(served_at(p.entrance, port));
  if (p.entrance.tls) {
    p.first_offer = p.devices->offer(Role::kSupervisor);
    p.desk->record(PairingCodeMade{p.first_offer->role}, kDaemon, {});
  }
  // People can still drive without it, and stop the robot.
  if (const Status local = p.supervisors->listen_locally(run_folder); !local.ok()) {
    p.unheard = true;
    tell(LogLevel::kWarn, "commands",
         "commands on this machine cannot ask this daemon, which tries again: " + local.message());
  }
  // Of older versions, whose commands would send a token to whoever has that port later.
  (void)p.run_folder->remove("entrance.json");
  for (UnwrittenFile& file : unwritten) p.writer->add_unwritten(std::move(file));
  TeleopPortOptions teleop;
  teleop.port = static_cast<std::uint16_t>(config.ports.teleop);
  teleop.address = config.ports.zmq_address;
  if (options.door != nullptr) {
    teleop.curve = options.door->identity();
    teleop.admits = options.door->admits(Keyring::Use::kTeleop);
  }
  Result<std::unique_ptr<TeleopPort>> teleop_port = TeleopPort::listen(
      loop, teleop,
      [access = &p.admitted](std::string_view token) { return access->who_is(token); }, *p.desk);
  if (!teleop_port.ok()) return teleop_port.status();
  p.teleop = *std::move(teleop_port);
  p.record(p.tokens.changes_to(p.admitted));
  if (options.door != nullptr) {
    const auto audit = [parts = &p, door = options.door] {
      parts->record(parts->keys.changes_to(door->keyring()));
    };
    audit();
    options.door->on_change([parts = &p, audit] {
      if (parts->teleop) parts->teleop->recheck_keys();
      audit();
    });
  }
  p.desk->add(p.supervisors->listener());
  p.desk->add(*p.teleop);
  if (options.listener != nullptr) p.desk->add(*options.listener);
  return {};
}

Status Daemon::start() {
  Parts& p = *parts_;
  p.started = true;
  if (p.heads) p.heads->start();
  p.writer->start();
  p.gate->start();
  p.inference->start();
  const Status priority = p.step->start();
  if (!priority.ok()) p.tell(LogLevel::kWarn, "step", priority.message());
  p.watchdog->start();
  p.archive->start();
  p.desk->start();
  p.keeper->start();
  p.io = std::thread([&p] { p.loop->run(); });
  pthread_setname_np(p.io.native_handle(), "nudge-io");
  return {};
}

void Daemon::tend() {
  follow_tokens();
  Parts& p = *parts_;
  const Instant now = steady_now();
  if (p.unheard && now - p.unheard_seen >= kUnheardPeriod) {
    p.unheard_seen = now;
    p.loop->post([&p] {
      if (!p.supervisors->listen_locally(p.run_path()).ok()) return;
      p.unheard = false;
      p.tell(LogLevel::kInfo, "commands", "commands on this machine can ask this daemon now");
    });
  }
  if (!p.entrance.tls || now - p.entrance_seen < kEntrancePeriod) return;
  p.entrance_seen = now;
  Result<std::optional<Entrance>> newest =
      renewed(p.entrance, p.options.config, *p.run_folder, wall_now());
  if (!newest.ok()) {
    p.tell(LogLevel::kWarn, "tls", "the certificate stays as it is: " + newest.status().message());
    return;
  }
  if (!*newest) return;
  p.entrance = **std::move(newest);
  p.tell_of_authority();
  const std::uint16_t port = http_port();
  p.tell(LogLevel::kInfo, "tls",
         "the machine's addresses or the certificate have changed; the page is at " +
             p.entrance.urls(port).front() + ", SHA-256 " + p.entrance.certificate.fingerprint);
  p.loop->post([&p, tls = p.entrance.tls, names = p.entrance.names,
                served = served_at(p.entrance, port)]() mutable {
    p.supervisors->renew(std::move(tls), names);
    p.devices->serve_at(std::move(served));
  });
}

void Daemon::follow_tokens() {
  Parts& p = *parts_;
  if (!p.tokens_file->changed()) return;
  Result<Access> access = Access::load(*p.run_folder);
  if (access.status().code() == Code::kNotFound) {
    // Nobody waits here: whoever holds the lock is changing the file, which is looked at again.
    if (const auto lock = ChangeLock::take(p.run_path(), Duration()); lock.ok()) {
      access = Access::load_or_create(*p.run_folder);
    } else {
      access = lock.status();
    }
  }
  // A disk that fails for a moment must not send people away; tokens that are none let nobody in.
  if (access.status().code() == Code::kUnavailable) return p.tokens_file->look_again();
  if (!access.ok()) {
    p.tell(LogLevel::kError, "tokens",
           "those of this machine let nobody in: " + access.status().message());
    access = Access();
  }
  std::vector<Role> changed;
  for (const Role role : Access::kRolesByRank) {
    if (access->token(role) != p.access.token(role)) changed.push_back(role);
  }
  if (changed.empty()) return;
  std::string names;
  for (const Role role : changed) names += " " + std::string(to_string(role));
  p.tell(LogLevel::kInfo, "tokens", "changed of:" + names);
  p.access = *access;
  p.loop->post([&p, changed, now = *std::move(access)]() mutable {
    p.admitted = std::move(now);
    p.record(p.tokens.changes_to(p.admitted));
    for (const Role role : changed) {
      p.supervisors->end_role(role);
      p.teleop->end_role(role);
    }
  });
}

void Daemon::stop() {
  Parts& p = *parts_;
  if (!std::exchange(p.started, false)) return;
  // The robot first, while the io thread still reaches one that is remote and people's STOP; then
  // people, then what all of them have left behind.
  p.watchdog->stop();
  p.step->stop();
  std::promise<void> flushed;
  const std::shared_ptr<void> soon =
      p.loop->after(std::chrono::milliseconds(50), [&flushed] { flushed.set_value(); });
  (void)flushed.get_future().wait_for(std::chrono::seconds(1));
  p.loop->stop();
  if (p.io.joinable()) p.io.join();
  p.keeper->stop();
  p.desk->stop();
  p.archive->stop();
  p.inference->stop();
  p.gate->stop();
  p.links.writer.close();
  p.writer->stop();
  // Last: what it writes to may not answer.
  if (p.heads) p.heads->stop();
}

ChunkEditor* Daemon::editor() {
  const bool upstream = parts_->options.config.policy.reference == PolicyReference::kUpstream;
  return upstream ? parts_->inference.get() : nullptr;
}
const Desk& Daemon::desk() const { return *parts_->desk; }
const Access& Daemon::access() const { return parts_->access; }
const Entrance& Daemon::entrance() const { return parts_->entrance; }
const std::optional<PairingOffer>& Daemon::first_offer() const { return parts_->first_offer; }
bool Daemon::stalled() const { return parts_->watchdog->stalled(); }
std::uint16_t Daemon::http_port() const { return parts_->supervisors->port(); }
std::uint16_t Daemon::teleop_port() const { return parts_->teleop->port(); }

}  // namespace nudge
