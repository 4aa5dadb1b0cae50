// Every setting of a deployment: one typed struct, and one table that documents, parses, checks and
// prints it. Nothing else in the project reads a configuration file or a NUDGE_ variable.
//
//   Result<LoadedConfig> loaded = load_config({.file = "configs/kitchen.toml",
//                                              .environment = nudge_environment(),
//                                              .sets = {"learner.batch=64"}});
//
// A later source wins: defaults, file, environment (NUDGE_LEARNER__BATCH=64), --set
// learner.batch=64. The initialisers below are the defaults; unit, range, meaning and source of
// every key are in config_keys() and, for people, in configs/default.toml. Functions may be called
// from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/device.h"

namespace nudge {

enum class PolicyHead { kFlow, kRegression };
enum class PolicyReference { kNone, kBase, kPlanner, kUpstream };
enum class Unwanted { kDrop, kNegative };  // what is made of steps that nobody should repeat
enum class ShareOf { kBatch, kStep };      // what the learner's shares are of
enum class WrongCorrections { kRandom, kAdversarial };  // SupervisorOptions::wrong
enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };
enum class RobotDriver { kKitchen, kRemote, kOpenpi };
enum class TlsUse { kAuto, kOn, kOff };

struct Config {
  struct Robot {
    RobotDriver driver = RobotDriver::kKitchen;  // of `nudge run`
    std::int64_t episode_steps = 100;            // policy steps until an episode ends by time
    std::int64_t abandon_s = 60;                 // an episode that stands still this long is over
    std::string cameras_that_matter = "policy";  // or all, none, or names with commas between
    std::string spec = "hello";                  // file with what the robot must be; kRemote
  } robot;

  // Channel lists hold one value for each channel, or one value that is meant for all of them.
  struct Limits {
    std::vector<double> max_rate = {1.0};             // |normalised rate|, 1
    std::vector<double> max_change_per_tick = {0.5};  // of the normalised rate, 1
    double slack = 0.5;                        // overshoot cut without counting as clamped, 1
    std::vector<double> workspace_lower = {};  // tool x, y, z in m, robot base; empty: none
    std::vector<double> workspace_upper = {};
    bool position_bounds = false;          // keep to the bounds that the robot declares
    std::int64_t clamps_to_hold = 10;      // more clamped ticks than this in the window: HOLD
    std::int64_t clamp_window_ticks = 50;  // control ticks
  } limits;

  struct Authority {
    std::int64_t fresh_ms = 200;         // age at which a command is stale
    std::int64_t lease_ms = 500;         // a lease not renewed for this long is lost
    double reacquire_s = 5.0;            // until a lost lease is free for others
    double takeover_s = 10.0;            // TAKEOVER not completed by then: HOLD
    double handback_s = 2.0;             // HANDBACK not completed by then: HOLD
    double align = 0.1;                  // rad (m), a leader arm begins to drive within
    std::int64_t camera_fresh_ms = 500;  // age at which a camera that matters is frozen
    std::int64_t camera_same_ms = 0;     // time in which its picture must change; 0: not compared
    double reset_s = 30.0;               // a robot's reset not completed by then: HOLD
    std::int64_t watchdog_ms = 200;      // gap of the control loop that means FAULT_HOLD
  } authority;

  struct Words {
    std::string axes = "auto";        // which channel moves the robot where
    std::string view = "facing";      // where people look from, unless they say: facing, behind
    double bit_m = 0.02;              // "a bit"
    double most_m = 0.05;             // longest motion of one nudge
    double bound = 0.5;               // of the bias of a channel, share of its full rate
    std::string encoder = "fetched";  // of sentences: fetched, none, or a folder
    double slowest = 0.25;            // share of the policy's own rates that words leave it
  } words;

  struct Policy {
    std::string backbone = "state";  // or a TorchScript file
    PolicyHead head = PolicyHead::kFlow;
    std::int64_t horizon = 8;       // policy steps in a chunk
    std::int64_t replan_after = 1;  // policy steps executed of a chunk before the next
    std::int64_t hidden = 256;      // width
    std::int64_t layers = 3;        // hidden layers
    std::int64_t euler_steps = 5;   // flow only
    std::int64_t blend_ms = 60;     // into a new chunk of the same version
    PolicyReference reference = PolicyReference::kNone;  // what the head edits
    bool act_without_reference = false;                  // false: no chunk without one
    double guidance = 1.0;                               // classifier-free; 1: none
    DeviceUse device = DeviceUse::kAuto;                 // of a TorchScript backbone
    std::int64_t instruction_size = 0;                   // features for the instruction; 0: none
    bool listens = true;  // false: the backbone is told no instruction
  } policy;

  struct Learner {
    std::int64_t seed = 1;
    std::int64_t batch = 128;        // chunks
    std::int64_t base_steps = 3000;  // of the first training on demonstrations
    double base_rate = 1e-3;         // AdamW
    std::int64_t micro_steps = 100;
    double micro_rate = 1e-3;  // AdamW
    double micro_ema = 0.95;
    std::int64_t full_steps = 1000;
    double full_rate = 1e-3;  // AdamW
    double full_ema = 0.99;
    double weight_decay = 1e-4;  // AdamW
    double clip = 1.0;           // L2 norm of the gradient
    double proximal = 0.5;       // of the way back to the confirmed, per step and rate
    double max_distance = 1.0;   // to the confirmed version, share of its L2 norm
    ShareOf share_of = ShareOf::kBatch;
    double share_corrections = 0.6;        // of a batch
    double share_demonstrations = 0.4;     // of a batch
    double share_autonomous = 0;           // of a batch
    double share_recovery = 0.1;           // beside those three, which sum to 1
    double share_nudged = 0.1;             // likewise
    double share_negatives = 0.1;          // likewise, of each kind
    double share_fresh = 0.4;              // of a micro-round's batch, beside the others
    double oversampling = 5;               // of human feedback against demonstrations; >= 1
    double supervisor_cap = 0.25;          // of a class of human feedback, once it has two people
    double drop_before_takeover_s = 0.75;  // autonomous seconds before a takeover
    Unwanted before_takeover = Unwanted::kDrop;
    Unwanted failures = Unwanted::kDrop;  // autonomous steps of episodes labelled failure
    double quarantine_clamped = 0.5;      // share of a takeover's steps; above 1: never
    bool quarantine_link_lost = true;
    std::int64_t quarantine_refused = 3;  // full rounds in a row; 0: never for that
    double advantage_dropout = 0.2;       // of a row
    double reference_dropout = 0.5;       // of a row
    double feature_noise = 0.1;           // deviation, normalised units
    double relabel = 0.5;                 // of a row that somebody spoke to
    double swap = 0.0;                    // of a row
    std::int64_t nice = 10;               // of the learner process
    std::int64_t memory_mib = 4096;       // of its own that it may take; 0: no limit
    bool require_sandbox = false;         // one that the kernel cannot confine is sent away
    double restart_first_s = 1.0;         // wait before the first restart; doubles each time
    double restart_max_s = 60.0;
    DeviceUse device = DeviceUse::kAuto;  // of all training of the head
  } learner;

  struct Nightly {
    std::int64_t steps = 10'000;     // of the optimiser, of each training
    bool from_scratch = true;        // train from scratch as well, and take the better one
    double quantile = 0.7;           // of a task's advantages, from which on one is positive
    bool advantage = false;          // tokens by judged steps; else by class, as the learner's
    std::int64_t lookahead = 10;     // policy steps until the value function is asked again
    double failure_cost = 1.0;       // of a failure, in lengths of the task's longest episode
    std::int64_t value_steps = 600;  // of the optimiser, of each value function
    std::int64_t starts = 100;       // held-out starts in the simulated kitchen; 0: none
  } nightly;

  struct Gate {
    double max_change = 1.0;            // L2 change of a tensor, share of the parent's norm
    double demonstration_ratio = 1.25;  // bound of the error on demonstrations over the reference
    double demonstration_slack = 0.03;  // added to that, standard deviations of their actions
    double heldout_worse = 0.10;        // largest relative rise, at 90 % confidence
    std::int64_t min_heldout_episodes = 5;
    std::int64_t probe_heldout = 256;         // chunks
    std::int64_t probe_demonstrations = 256;  // chunks
    std::int64_t probe_observations = 64;     // recent observations for shadow actions
  } gate;

  struct Probation {
    std::int64_t episodes = 5;    // autonomous episodes until a full version is confirmed
    std::int64_t min_steps = 15;  // autonomous policy steps of its own before it is confirmed
    double clamp_ratio = 2.0;     // clamp rate over the parent's
    double latency_ms = 50.0;     // 99th percentile of an inference
    double confidence = 0.95;     // one-sided, of the comparison of takeover rates
    double doubt = 0.35;          // p-value of that comparison, up to which nothing is confirmed
    std::int64_t rollbacks_to_pause = 2;  // in a row
  } probation;

  struct Help {
    bool ask = true;              // false: the policy never asks
    std::int64_t samples = 8;     // chunks for one observation, to see whether they agree; 0: none
    double false_alarms = 0.1;    // share of the episodes that go well in which it may ask
    std::int64_t episodes = 200;  // newest successes that thresholds are made from
    double window_s = 1.0;        // in which the robot must get somewhere
    double smoothing_s = 0.5;     // time constant of the disagreement
  } help;

  struct State {
    std::string dir = "nudge-data";  // log, weights, the learner's socket
  } state;

  struct Log {
    std::int64_t segment_bytes = 1'048'576;    // reserved at a time for an episode's segment
    std::int64_t wal_limit_bytes = 8'388'608;  // SQLite's journal is folded back beyond this
    std::int64_t budget_bytes = 0;             // of all segments; 0: nothing is ever deleted
    std::string heads_file = "none";           // each signed head is appended to it
  } log;

  struct Weights {
    std::int64_t keep = 20;  // versions besides the confirmed and the live one
  } weights;

  struct Sim {
    double actuation_noise = 0.05;  // standard deviation, share of the motion of a policy step
    bool cameras = false;
    std::int64_t jpeg_quality = 85;
    double planner_error = 0.0;  // m, along y; of where the planner takes the block to be
  } sim;

  struct Kitchen {
    std::int64_t level = 1;
    bool random_looks = false;
  } kitchen;

  struct Daemon {
    std::int64_t fifo_priority = 0;  // SCHED_FIFO of the step thread; 0: ordinary
    std::int64_t commit_ms = 250;    // longest that recorded steps wait for the disk
  } daemon;

  struct Ports {
    std::int64_t http = 8080;               // page, REST, live connections; 0: any free one
    std::int64_t teleop = 5572;             // leader arms, scripted supervisors; 0: any free one
    std::int64_t robot = 5571;              // a remote robot; 0: any free one
    std::string zmq_address = "127.0.0.1";  // of teleop and robot; beyond loopback with CURVE
    bool zmq_curve = false;                 // on loopback, too
    // Of http.
    std::string address = "127.0.0.1";
    TlsUse tls = TlsUse::kAuto;       // auto: beyond loopback
    std::string names = "none";       // served besides the machine's own, with commas between
    std::string certificate = "own";  // file, PEM; own: of the daemon's authority
    std::string key = "own";          // file, PEM
  } ports;

  // A robot that speaks the openpi protocol, robot.driver "openpi". Texts that read "preset" take
  // what suits openpi.preset; numbers that are 0 likewise.
  struct Openpi {
    std::string preset = "droid";  // droid, libero, aloha
    std::int64_t port = 8000;      // 0: any free one
    std::string address = "127.0.0.1";
    bool require_key = false;      // on loopback too; beyond it always
    std::string robot = "preset";  // its id
    std::string cameras = "preset";
    std::string state = "preset";
    std::string actions = "preset";
    std::string prompt = "prompt";                         // key of the instruction
    double hz = 0;                                         // steps of a chunk in a second
    std::int64_t horizon = 0;                              // steps in a chunk
    std::string new_episode = "gap prompt connect reset";  // what begins one
    double gap_s = 2.0;                  // without a request, after which it rests
    bool slow_takeover = false;          // where requests come less often than authority.fresh_ms
    double answer_s = 3.0;               // longest that a request waits for the policy
    std::string upstream = "none";       // ws:// or wss:// address of an openpi server
    std::string upstream_key = "none";   // file with its key
    std::string upstream_ca = "system";  // file, PEM: who may vouch for it
    std::string upstream_fingerprint = "none";  // of its certificate, and then of no other
  } openpi;

  struct Demo {
    std::int64_t demonstrations = 15;  // scripted episodes of the base policy
    bool everywhere = false;           // they begin in all of the level's region, not in a part
    double hasty_share = 0.0;          // of these: the hand lets go too soon
    bool again = false;                // after a correction the scene is put back
    std::int64_t episodes = 150;       // of work, at most
    std::int64_t corrected = 25;       // corrected episodes, after which it ends earlier
    std::int64_t starts = 100;         // held-out starts, the same before and after
    double stall_s = 1.0;              // without progress, then the supervisor takes over
    double min_drive_s = 1.2;          // it drives at least so long
    double min_progress = 0.03;        // m, and at least so far
    std::string tasks = "all";         // that are worked on; or instructions, semicolons between
    double wrong_share = 0.0;          // of its corrections
    WrongCorrections wrong = WrongCorrections::kRandom;
  } demo;

  struct Logging {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kText;
    std::int64_t queue = 8192;  // lines; the oldest are overwritten when it is full
  } logging;
};

// Milliseconds of a key that ends in _ms, as the duration that modules take.
inline Duration from_milliseconds(double ms) { return from_seconds(ms / 1000.0); }

// One row of the table, as text. `default_value` and `origin_of_default` are never empty.
struct ConfigKey {
  std::string name;               // "learner.batch"
  std::string type;               // "integer", "number", "text", "true or false", "one of", "list"
  std::string unit;               // "ms", "Hz"; "1" for a ratio; empty: has none
  std::string default_value;      // as TOML
  std::string allowed;            // "1 to 4096", "flow, regression"
  std::string meaning;            // one sentence
  std::string origin_of_default;  // where the default comes from
};
const std::vector<ConfigKey>& config_keys();

enum class ConfigOrigin { kDefault, kFile, kEnvironment, kFlag };
struct ConfigSource {
  ConfigOrigin origin = ConfigOrigin::kDefault;
  std::string where = "default";  // "kitchen.toml:12", "environment NUDGE_LEARNER__BATCH", "--set"
};

struct LoadedConfig {
  Config config;
  std::map<std::string, ConfigSource> sources;  // for every key
};

struct ConfigInputs {
  std::string file = {};  // TOML, at most 1 MiB; empty: none
  // Name and value of variables; those without NUDGE_<SECTION>__<KEY> in their name are ignored.
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::vector<std::string> sets = {};  // "learner.batch=128"
};

// Reads, merges and checks. kNotFound for a missing file, kInvalidArgument otherwise; the message
// has one line for each problem, naming key, value, place, what is allowed, and for an unknown key
// the nearest known one.
Result<LoadedConfig> load_config(const ConfigInputs& inputs);

// The variables of this process whose names begin with NUDGE_.
std::vector<std::pair<std::string, std::string>> nudge_environment();

// Ranges and rules across keys of a Config made in code. kInvalidArgument, a line each.
Status check_config(const Config& config);

// The value of a key as TOML. kNotFound for an unknown key.
Result<std::string> config_value(const Config& config, const std::string& key);

// `nudge config print`: TOML that loads to the same values, each with where it came from.
std::string print_config(const LoadedConfig& loaded);
// The same as one JSON object: {"learner.batch": {"value": 128, "origin": "default"}, ...}.
std::string print_config_json(const LoadedConfig& loaded);
// configs/default.toml: every key with meaning, unit, range and default. A test keeps them equal.
std::string default_config_file();
// docs/how-to/configuration.md: the same for reading. A test keeps them equal.
std::string configuration_page();

// What a round's outcome depends on, canonical: "learner.batch = 128\n" for the [policy] and
// [learner] keys that reach the mathematics, sorted. Its SHA-256 is Lineage::config_hash.
std::string training_text(const Config& config);

}  // namespace nudge
