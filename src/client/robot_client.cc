#include "nudge/robot_client.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "src/client/dealer.h"
#include "src/client/position_goals.h"
#include "src/loop/clock.h"
#include "src/ports/robot_wire.h"

namespace nudge {
namespace {

constexpr Duration kDefaultSilence = std::chrono::milliseconds(200);
constexpr Duration kLongestSilence = std::chrono::seconds(10);
constexpr Duration kLongestFresh = std::chrono::milliseconds(500);
constexpr Duration kBetweenHellos = std::chrono::milliseconds(250);
constexpr Duration kBetweenReports = std::chrono::milliseconds(100);
constexpr Duration kLongestNap = std::chrono::milliseconds(20);
// Read in one go; a daemon that sends more than this per control period is not ours.
constexpr int kBatch = 256;

std::string random_instance() {
  std::random_device source;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < 16; ++i) text.push_back(kDigits[source() % 16]);
  return text;
}

}  // namespace

struct RobotClient::Impl {
  struct Counters {
    std::atomic<std::uint64_t> sessions{0}, observations{0}, unsent{0}, unobserved{0}, actions{0},
        stale_actions{0}, bad_messages{0}, refused_by_robot{0}, holds{0}, own_holds{0}, estops{0};
  };
  static void count(std::atomic<std::uint64_t>& counter) {
    counter.fetch_add(1, std::memory_order_relaxed);
  }

  Impl(const RobotClientOptions& with, Robot& of) : options(with), robot(of), goals(of.spec()) {}

  RobotClientOptions options;
  Robot& robot;
  Counters counters;
  Dealer dealer;
  RobotHello hello;
  Duration period{}, silence{}, fresh{};

  std::uint32_t session = 0;  // 0: not welcome
  Instant next_hello{};
  std::optional<Status> hopeless;  // a refusal that waiting does not cure
  std::string busy;                // what the daemon said last, when it was that it is busy

  // When each of the last observations of this connection was made: an action's age.
  struct Issued {
    std::uint64_t tick = 0;
    Instant time;
  };
  std::vector<Issued> issued;
  std::uint64_t tick = 0;             // of the newest observation; never starts again
  std::uint64_t applied = 0;          // RobotAction::sequence
  std::uint64_t newest_sequence = 0;  // of this connection
  bool estopped = false;
  bool holding = true;
  Instant heard{};  // newest action or hold that was accepted, or the own hold since
  std::vector<Instant> sent_frames;  // capture time of the newest frame sent, per camera
  Instant next_report{};

  std::optional<RobotAction> newest;  // of those just read
  std::optional<RobotReset> reset_asked;
  std::optional<RobotResetEstop> reset_estop_asked;
  RobotObservation observation;  // memory used again
  PositionGoals goals;           // of the absolute channels
  std::vector<float> measured;   // proprioception of the newest observation
  WireBytes buffer;

  Instant now() const { return options.clock ? options.clock() : steady_now(); }

  void own_hold() {
    count(counters.own_holds);
    holding = true;
    robot.hold();
  }

  // ---- the connection --------------------------------------------------------------------------

  void begin_session(std::uint32_t number) {
    session = number;
    busy.clear();
    std::fill(issued.begin(), issued.end(), Issued{});
    newest_sequence = 0;
    newest.reset();
    std::fill(sent_frames.begin(), sent_frames.end(), Instant::min());
    count(counters.sessions);
    own_hold();
    heard = now();
  }
  void end_session() {
    if (session == 0) return;
    session = 0;
    newest.reset();
    next_hello = {};
    own_hold();
  }
  void say_hello_when_due() {
    const Instant at = steady_now();
    if (session != 0 || at < next_hello) return;
    hello.estopped = estopped;
    if (encode(RobotMessage(hello), 0, buffer).ok() && dealer.send(buffer)) {
      next_hello = at + kBetweenHellos;
    } else {
      next_hello = at + kLongestNap;  // no connection yet
    }
  }

  // ---- from the daemon -------------------------------------------------------------------------

  // Reads what has arrived. Stopping counts at once; of actions only the newest does.
  void read_all() {
    for (int i = 0; i < kBatch; ++i) {
      const auto bytes = dealer.receive();
      if (!bytes) return;
      Result<Framed<RobotCommand>> framed = decode_robot_command(*bytes);
      if (!framed.ok()) {
        count(counters.bad_messages);
        // Whoever sends an action that is no action must not leave the last one running.
        if (session != 0 && !holding) own_hold();
        newest.reset();
        continue;
      }
      take(framed->session, std::move(framed->message));
    }
  }

  void take(std::uint32_t number, RobotCommand&& command) {
    if (const auto* welcome = std::get_if<RobotWelcome>(&command)) {
      if (welcome->version != kWireMajor || number == 0) {
        count(counters.bad_messages);
        return;
      }
      begin_session(number);
      return;
    }
    if (const auto* refusal = std::get_if<Refusal>(&command)) {
      take_refusal(*refusal);
      return;
    }
    // A stop counts whoever sent it, and however late it comes.
    if (std::holds_alternative<RobotEstop>(command)) {
      count(counters.estops);
      robot.estop();
      estopped = true;
      holding = true;
      newest.reset();
      reset_estop_asked.reset();
      if (number == session) heard = now();
      return;
    }
    if (session == 0 || number != session) {
      count(counters.stale_actions);
      return;
    }
    if (auto* action = std::get_if<RobotAction>(&command)) {
      if (newest) count(counters.stale_actions);
      newest = std::move(*action);
    } else if (std::holds_alternative<RobotHold>(command)) {
      count(counters.holds);
      newest.reset();
      robot.hold();
      holding = true;
      heard = now();
    } else if (const auto* reset_estop = std::get_if<RobotResetEstop>(&command)) {
      reset_estop_asked = *reset_estop;  // not here: this may be the helper's thread
    } else if (const auto* reset = std::get_if<RobotReset>(&command)) {
      newest.reset();
      reset_asked = *reset;
    }
  }

  void take_refusal(const Refusal& refusal) {
    switch (refusal.reason) {
      case RefusalReason::kBusy: busy = refusal.text; break;
      case RefusalReason::kNoSession:
      case RefusalReason::kClockJumped:
      case RefusalReason::kRate: end_session(); break;
      case RefusalReason::kVersion:
        end_session();
        hopeless = unimplemented("the daemon refused: " + refusal.text);
        break;
      default:
        end_session();
        hopeless = failed_precondition("the daemon refused: " + refusal.text);
        break;
    }
  }

  void apply_newest() {
    if (!newest) return;
    const RobotAction action = *std::exchange(newest, std::nullopt);
    const Instant at = now();
    const Issued& answered = issued[action.tick % issued.size()];
    if (action.tick == 0 || answered.tick != action.tick || at - answered.time >= fresh ||
        action.sequence <= newest_sequence) {
      count(counters.stale_actions);
      return;
    }
    if (action.action.size() != hello.spec.action.size()) {
      count(counters.bad_messages);
      if (!holding) own_hold();
      return;
    }
    newest_sequence = action.sequence;
    heard = at;
    if (estopped) {
      count(counters.refused_by_robot);
      return;
    }
    if (holding) goals.forget();
    Action command = action.action;
    if (measured.size() != hello.spec.observation.proprioception.size()) {
      count(counters.refused_by_robot);
      return;
    }
    goals.command(command, measured);
    // Of a position that was measured as no number, no bound makes one.
    if (!std::all_of(command.begin(), command.end(), [](float v) { return std::isfinite(v); })) {
      count(counters.refused_by_robot);
      if (!holding) own_hold();
      goals.forget();
      return;
    }
    if (!robot.apply(command, at + action.deadline).ok()) {
      count(counters.refused_by_robot);
      return;
    }
    holding = false;
    applied = action.sequence;
    count(counters.actions);
  }

  void do_reset_estop() {
    if (!reset_estop_asked) return;
    const Status status = robot.reset_estop();
    if (status.ok()) estopped = false;
    report({reset_estop_asked->request, RobotReport::Of::kResetEstop, status});
    reset_estop_asked.reset();
  }

  // ---- to the daemon ---------------------------------------------------------------------------

  void report(const RobotReport& what) {
    if (session != 0 && encode(RobotMessage(what), session, buffer).ok()) (void)dealer.send(buffer);
  }

  void observe() {
    Result<Observation> seen = robot.observe();
    const Instant at = now();
    Status trouble = seen.ok() ? Status() : seen.status();
    if (seen.ok() && seen->time > at) {
      trouble = internal(
          "Observation::time lies ahead of the client's clock; see "
          "RobotClientOptions::clock");
    }
    if (trouble.ok()) trouble = encode_frames(*seen);
    if (!trouble.ok()) {
      count(counters.unobserved);
      if (at >= next_report) {
        next_report = at + kBetweenReports;
        report({0, RobotReport::Of::kObserve, std::move(trouble)});
      }
      return;
    }
    if (session == 0) return;
    observation.tick = ++tick;
    observation.time = seen->time;
    observation.applied = applied;
    observation.success = seen->success;
    observation.estopped = estopped || seen->stopped;
    observation.over = seen->over;
    observation.holding = holding;
    observation.proprioception = std::move(seen->proprioception);
    measured = observation.proprioception;
    observation.object_state = std::move(seen->object_state);
    observation.frames.clear();
    for (Image& image : seen->images) add_frame(image);
    observation.sent = at;
    issued[tick % issued.size()] = {tick, seen->time};
    if (encode(observation, session, buffer).ok() && dealer.send(buffer)) {
      count(counters.observations);
      for (const CameraFrame& frame : observation.frames) {
        sent_frames[frame.camera] = frame.captured;
      }
    } else {
      count(counters.unsent);
    }
  }

  // Raw frames become JPEG; those that are not sent cost nothing.
  Status encode_frames(Observation& seen) {
    for (Image& image : seen.images) {
      if (session == 0 || !image.jpeg.empty() || image.rgb.empty()) continue;
      const std::string name = "observe() gave a raw frame of camera '" + image.camera + "'";
      const auto pixels = static_cast<std::size_t>(std::max(image.width, 0)) *
                          static_cast<std::size_t>(std::max(image.height, 0));
      if (image.rgb.size() != 3 * pixels) {
        return invalid_argument(name + " of " + std::to_string(image.rgb.size()) + " bytes; " +
                                std::to_string(image.width) + "x" + std::to_string(image.height) +
                                " pixels of RGB are " + std::to_string(3 * pixels));
      }
      if (!options.encode_jpeg) {
        return invalid_argument(name + "; give JPEG, or set RobotClientOptions::encode_jpeg");
      }
      Result<std::vector<std::uint8_t>> jpeg = options.encode_jpeg(image);
      if (!jpeg.ok()) return jpeg.status().with_context(name);
      image.jpeg = *std::move(jpeg);
    }
    return {};
  }

  void add_frame(Image& image) {
    const auto& cameras = hello.spec.observation.cameras;
    const auto camera = std::find_if(cameras.begin(), cameras.end(),
                                     [&](const CameraSpec& c) { return c.name == image.camera; });
    if (camera == cameras.end() || image.jpeg.empty()) return;
    const auto index = static_cast<std::size_t>(camera - cameras.begin());
    if (image.captured <= sent_frames[index]) return;
    observation.frames.push_back(
        {static_cast<std::uint16_t>(index), static_cast<std::uint16_t>(image.width),
         static_cast<std::uint16_t>(image.height), image.captured, std::move(image.jpeg)});
  }

  // ---- the loop --------------------------------------------------------------------------------

  // reset() may take as long as a robot needs. Meanwhile a helper thread reads: who stops the robot
  // must be heard, and what else arrives is stale by then. The socket changes hands with the
  // helper's start and end.
  void do_reset(const std::atomic<bool>& stop) {
    const RobotReset asked = *std::exchange(reset_asked, std::nullopt);
    std::atomic<bool> done{false};
    std::thread helper([&] {
      while (!done.load(std::memory_order_acquire)) {
        read_all();
        newest.reset();
        dealer.wait(kLongestNap);
      }
    });
    goals.forget();
    Status status = robot.reset(asked.seed);
    while (status.ok() && robot.resetting() && !stop.load(std::memory_order_acquire)) {
      std::this_thread::sleep_for(std::min(period, kLongestNap));
    }
    if (status.ok()) {
      status = robot.resetting() ? aborted("the client was stopped") : robot.reset_result();
    }
    done.store(true, std::memory_order_release);
    helper.join();
    heard = now();
    report({asked.request, RobotReport::Of::kReset, status});
  }

  void watch_silence() {
    const Instant at = now();
    // Early enough that the robot stands when the time is over.
    if (at - heard < silence - std::max(period, silence / 10)) return;
    heard = at;
    own_hold();
  }

  Status serve(const std::atomic<bool>& stop) {
    heard = now();
    own_hold();
    Instant next_tick = steady_now();
    while (!stop.load(std::memory_order_acquire)) {
      say_hello_when_due();
      read_all();
      if (hopeless) break;
      do_reset_estop();
      apply_newest();
      if (reset_asked) {
        do_reset(stop);
        next_tick = steady_now();
      }
      Instant at = steady_now();
      if (at >= next_tick) {
        observe();
        next_tick += period;
        if (next_tick <= at) next_tick = at + period;  // missed ticks are not made up for
        read_all();
        apply_newest();
      }
      watch_silence();
      at = steady_now();
      if (next_tick > at && !reset_asked) dealer.wait(std::min(next_tick - at, kLongestNap));
    }
    own_hold();
    if (hopeless) return *std::exchange(hopeless, std::nullopt);
    return {};
  }
};

RobotClient::RobotClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RobotClient::~RobotClient() = default;

Result<std::unique_ptr<RobotClient>> RobotClient::connect(const RobotClientOptions& options,
                                                          Robot& robot) {
  const RobotSpec& spec = robot.spec();
  NUDGE_TRY(validate(spec));
  auto impl = std::make_unique<Impl>(options, robot);
  impl->period = spec.control_period;
  const Duration least = 3 * spec.control_period;
  const Duration usual = std::max(kDefaultSilence, least);
  impl->silence = options.silence == Duration::zero() ? usual : options.silence;
  impl->fresh = options.fresh == Duration::zero() ? usual : options.fresh;
  if (impl->silence < least || impl->silence > kLongestSilence) {
    return invalid_argument("silence must be at least 3 control periods and at most 10 s");
  }
  if (impl->fresh < least || impl->fresh > kLongestFresh) {
    return invalid_argument("fresh must be at least 3 control periods and at most 500 ms");
  }
  impl->issued.resize(static_cast<std::size_t>(impl->fresh / spec.control_period) + 8);
  impl->sent_frames.assign(spec.observation.cameras.size(), Instant::min());
  impl->hello.program = "nudge-client";
  impl->hello.instance = random_instance();
  impl->hello.capabilities = {"reset", "estop"};
  if (!spec.observation.cameras.empty()) impl->hello.capabilities.push_back("cameras");
  impl->hello.spec = spec;
  NUDGE_TRY(encode(RobotMessage(impl->hello), 0, impl->buffer));
  NUDGE_TRY(impl->dealer.connect(options.endpoint, kMaxRobotCommand,
                                 {options.server_key, options.key_file}));

  const Instant end = steady_now() + options.patience;
  while (impl->session == 0 && !impl->hopeless && steady_now() < end) {
    impl->say_hello_when_due();
    impl->read_all();
    if (impl->session == 0 && !impl->hopeless) impl->dealer.wait(kLongestNap);
  }
  if (impl->hopeless) return *impl->hopeless;
  if (impl->session == 0) {
    if (!impl->busy.empty()) return failed_precondition("the daemon refused: " + impl->busy);
    return unavailable("no daemon answers at " + options.endpoint +
                       "; start it, or set the endpoint to where its robot port is");
  }
  return std::unique_ptr<RobotClient>(new RobotClient(std::move(impl)));
}

Status RobotClient::run(const std::atomic<bool>& stop) { return impl_->serve(stop); }

RobotClientStats RobotClient::stats() const {
  const Impl::Counters& c = impl_->counters;
  const auto read = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  return {.sessions = read(c.sessions),
          .observations = read(c.observations),
          .unsent = read(c.unsent),
          .unobserved = read(c.unobserved),
          .actions = read(c.actions),
          .stale_actions = read(c.stale_actions),
          .bad_messages = read(c.bad_messages),
          .refused_by_robot = read(c.refused_by_robot),
          .holds = read(c.holds),
          .own_holds = read(c.own_holds),
          .estops = read(c.estops)};
}

}  // namespace nudge
