#include "src/ports/robot_port.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/clock_map.h"
#include "src/ports/robot_link.h"
#include "src/ports/router.h"

namespace nudge {
namespace {

constexpr Duration kHousekeeping = std::chrono::milliseconds(20);
// Strangers are told to say hello at most this often, all together.
constexpr Duration kBetweenReminders = std::chrono::milliseconds(20);
constexpr Duration kBetweenComplaints = std::chrono::seconds(1);

// What of an observation is not as the robot's hello declared it, and what to do; empty: nothing.
std::string misfit(const RobotObservation& seen, const RobotSpec& spec) {
  const auto count = [](const char* what, std::size_t sent, std::size_t declared) {
    return "the robot sent " + std::to_string(sent) + " values of " + what +
           ", and its hello declares " + std::to_string(declared) +
           " channels; make observe() and spec() agree";
  };
  const ObservationSpec& declared = spec.observation;
  if (seen.proprioception.size() != declared.proprioception.size()) {
    return count("proprioception", seen.proprioception.size(), declared.proprioception.size());
  }
  if (!seen.object_state.empty() && seen.object_state.size() != declared.object_state.size()) {
    return count("object_state", seen.object_state.size(), declared.object_state.size());
  }
  for (const CameraFrame& frame : seen.frames) {
    if (frame.camera >= declared.cameras.size()) {
      return "the robot sent a frame of camera " + std::to_string(frame.camera) +
             ", and its hello declares " + std::to_string(declared.cameras.size()) +
             " cameras, counted from 0";
    }
    const CameraSpec& camera = declared.cameras[frame.camera];
    if (frame.width != camera.width || frame.height != camera.height) {
      return "the robot sent a frame of camera '" + camera.name + "' of " +
             std::to_string(frame.width) + "x" + std::to_string(frame.height) +
             " pixels, and its hello declares " + std::to_string(camera.width) + "x" +
             std::to_string(camera.height) + "; declare what the camera gives, or scale it";
    }
  }
  return {};
}

}  // namespace

struct RobotPort::Impl {
  // A connection that was welcomed. Its number is in the header of every message, so that nothing
  // of an earlier connection, or of an earlier daemon, passes for something new.
  struct Session {
    std::string peer;
    std::string instance;
    std::uint32_t number = 0;
    ClockMap clock;
    Instant heard;
    std::uint64_t last_tick = 0;
    std::uint64_t actions = 0;
    std::uint64_t sent_holds = 0;
    std::uint64_t sent_stops = 0;
    bool owes_hold = true;  // the robot holds at first, whatever was sent before
    bool owes_stop = false;
    std::optional<std::uint32_t> resetting;  // the request
    std::vector<std::shared_ptr<const Image>> images;
  };

  EventLoop& loop;
  RobotPortOptions options;
  RobotPortCounters counters;
  std::unique_ptr<Router> router;
  std::shared_ptr<RobotLink> link;  // null: no robot has come yet
  std::optional<Session> session;
  std::uint32_t next_session = 0;
  std::uint32_t requests = 0;
  Instant reminded, complained;
  WireBytes buffer;
  std::function<void(std::size_t, const Image&)> frame_callback;
  std::shared_ptr<void> wake_watch, housekeeping;

  mutable std::mutex mutex;  // of the two below, for other threads
  std::condition_variable came;
  std::shared_ptr<RemoteRobot> robot;
  bool ever_connected = false;

  Impl(EventLoop& on, const RobotPortOptions& with) : loop(on), options(with) {}

  void know(const RobotSpec& spec) {
    link = std::make_shared<RobotLink>(spec);
    wake_watch = loop.when_readable(link->wake_fd, [this] {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(link->wake_fd, &count, sizeof count);
      flush();
    });
    const std::lock_guard lock(mutex);
    robot = std::make_shared<RemoteRobot>(link);
  }

  bool send(const std::string& peer, std::uint32_t number, const RobotCommand& command) {
    if (!encode(command, number, buffer).ok()) return false;
    switch (router->send(peer, buffer)) {
      case Router::Sent::kYes: return true;
      case Router::Sent::kFull: ++counters.unsent; return false;
      case Router::Sent::kGone:
        if (session && session->peer == peer) end_session();
        return false;
    }
    return false;
  }
  bool send(const RobotCommand& command) {
    return session && send(session->peer, session->number, command);
  }
  void refuse(const std::string& peer, RefusalReason reason, std::string text) {
    (void)send(peer, 0, Refusal{reason, std::move(text)});
  }
  // Of a robot that wants to come in; whoever runs the daemon hears it as well.
  void turn_away(const std::string& peer, RefusalReason reason, std::string text) {
    ++counters.refused_hellos;
    const Instant now = steady_now();
    if (options.refused && now - complained >= kBetweenComplaints) {
      complained = now;
      options.refused(text);
    }
    refuse(peer, reason, std::move(text));
  }

  void end_session() {
    session.reset();
    if (link) link->session.store(0, std::memory_order_release);
  }

  // ---- from the robot --------------------------------------------------------------------------

  void receive(const std::string& peer, std::span<const std::byte> bytes) {
    Result<Framed<RobotMessage>> framed = decode_robot_message(bytes);
    if (!framed.ok()) {
      ++counters.bad_messages;
      // Who says hello in a wrong way is told why; other garbage gets no answer.
      const auto opened = WireReader::open(bytes);
      if (opened.ok() && opened->type() == static_cast<std::uint16_t>(WireType::kRobotHello)) {
        turn_away(peer,
                  framed.status().code() == Code::kUnimplemented ? RefusalReason::kVersion
                                                                 : RefusalReason::kMalformed,
                  framed.status().message());
      } else if (session && session->peer == peer) {
        RobotLink::Received received;
        received.session = session->number;
        received.trouble = framed.status().with_context("the robot's message cannot be read");
        link->received.put(std::move(received));
      }
      return;
    }
    if (const auto* hello = std::get_if<RobotHello>(&framed->message)) {
      take_hello(peer, *hello);
      return;
    }
    if (!session || session->peer != peer || session->number != framed->session) {
      ++counters.foreign;
      const Instant now = steady_now();
      if (now - reminded >= kBetweenReminders) {
        reminded = now;
        refuse(peer, RefusalReason::kNoSession, "say hello first");
      }
      return;
    }
    if (auto* observation = std::get_if<RobotObservation>(&framed->message)) {
      take_observation(std::move(*observation));
    } else {
      take_report(std::move(std::get<RobotReport>(framed->message)));
    }
  }

  void take_hello(const std::string& peer, const RobotHello& hello) {
    if (link) {
      const std::string how = difference(hello.spec, link->spec);
      if (!how.empty()) {
        const bool configured = options.expected.has_value();
        turn_away(peer,
                  hello.spec.id == link->spec.id ? RefusalReason::kSpecDiffers
                                                 : RefusalReason::kOtherRobot,
                  "this daemon drives robot '" + link->spec.id + "'" +
                      (configured ? " as robot.spec describes it" : "") +
                      ", and yours is another: " + how + "; " +
                      (configured ? "change the robot or that file" : "restart the daemon") +
                      " if that is intended");
        return;
      }
    }
    if (session && session->instance != hello.instance) {
      turn_away(peer, RefusalReason::kBusy,
                "a robot '" + link->spec.id + "' is connected already; one at a time");
      return;
    }
    if (!link) know(hello.spec);

    Session begun;
    begun.peer = peer;
    begun.instance = hello.instance;
    if (++next_session == 0) next_session = 1;
    begun.number = next_session;
    begun.heard = steady_now();
    begun.sent_holds = link->holds.load(std::memory_order_acquire);
    begun.sent_stops = link->stops.load(std::memory_order_acquire);
    begun.owes_stop = RobotLink::latched(begun.sent_stops);
    begun.images.resize(link->spec.observation.cameras.size());
    session = std::move(begun);
    if (!send(RobotWelcome{kWireMajor, options.program})) {
      end_session();
      return;
    }
    ++counters.sessions;
    link->session.store(session->number, std::memory_order_release);
    {
      const std::lock_guard lock(mutex);
      ever_connected = true;
    }
    came.notify_all();
    flush();
  }

  void take_observation(RobotObservation&& observation) {
    const Instant now = steady_now();
    const RobotSpec& spec = link->spec;
    if (std::string wrong = misfit(observation, spec); !wrong.empty()) {
      ++counters.wrong_sizes;
      // Whoever looks at the page sees why the robot's state grows old.
      RobotLink::Received received;
      received.session = session->number;
      received.trouble = invalid_argument(std::move(wrong));
      link->received.put(std::move(received));
      return;
    }
    if (observation.tick <= session->last_tick) {
      ++counters.bad_messages;
      return;
    }
    if (!session->clock.on_message(observation.sent, now)) {
      ++counters.clock_jumps;
      const std::string peer = session->peer;
      end_session();
      refuse(peer, RefusalReason::kClockJumped,
             "the robot's clock jumped; Observation::time must be of a steady clock");
      return;
    }
    session->heard = now;
    session->last_tick = observation.tick;
    ++counters.observations;

    const ClockMap& clock = session->clock;
    for (CameraFrame& frame : observation.frames) {
      auto image = std::make_shared<Image>();
      image->camera = spec.observation.cameras[frame.camera].name;
      image->width = frame.width;
      image->height = frame.height;
      image->captured = clock.map(frame.captured);
      image->jpeg = std::move(frame.jpeg);
      if (frame_callback) frame_callback(frame.camera, *image);
      session->images[frame.camera] = std::move(image);
    }
    RobotLink::Received received;
    received.session = session->number;
    received.tick = observation.tick;
    received.observation.stopped = observation.estopped;
    received.observation.over = observation.over;
    received.observation.time = clock.map(observation.time);
    received.observation.proprioception = std::move(observation.proprioception);
    received.observation.object_state = std::move(observation.object_state);
    received.observation.success = observation.success;
    for (const auto& image : session->images) {
      if (image) received.images.push_back(image);
    }
    link->received.put(std::move(received));
  }

  void take_report(RobotReport&& report) {
    session->heard = steady_now();
    switch (report.of) {
      case RobotReport::Of::kReset:
        if (session->resetting == report.request) {
          session->resetting.reset();
          link->reset_done.put({report.request, std::move(report.status)});
        }
        break;
      case RobotReport::Of::kResetEstop: break;  // the next observation says whether it moves
      case RobotReport::Of::kObserve:
        if (!report.status.ok()) {
          RobotLink::Received received;
          received.session = session->number;
          received.trouble = std::move(report.status);
          link->received.put(std::move(received));
        }
        break;
    }
  }

  // ---- to the robot ----------------------------------------------------------------------------

  // Sends a hold for those called so far, `holds` of them, unless that was done. False: the robot
  // has gone.
  bool send_hold(std::uint64_t holds) {
    if (holds == session->sent_holds && !session->owes_hold) return true;
    const bool sent = send(RobotHold{});
    if (!session) return false;
    if (sent) {
      session->sent_holds = holds;
      session->owes_hold = false;
    }
    return true;
  }

  // Sends what the other threads have asked for since. What does not fit into the queue now is
  // tried again by housekeeping, but for actions: those would be stale.
  void flush() {
    if (!link) return;
    std::optional<RobotLink::Moving> moving = link->moving.try_take();
    if (!session) return;
    // Read after the action was taken: a hold that came after it is seen here and cancels it.
    const std::uint64_t holds = link->holds.load(std::memory_order_acquire);
    const std::uint64_t stops = link->stops.load(std::memory_order_acquire);

    if (stops != session->sent_stops || session->owes_stop) {
      const bool sent =
          RobotLink::latched(stops) ? send(RobotEstop{}) : send(RobotResetEstop{++requests});
      if (!session) return;
      if (sent) {
        session->sent_stops = stops;
        session->owes_stop = false;
      }
    }
    if (auto wanted = link->reset_wanted.try_take(); wanted && wanted->session == session->number) {
      // A hold that was called before the reset must not arrive after it, and end it.
      if (!send_hold(wanted->after_hold)) return;
      if (send(RobotReset{wanted->request, wanted->seed})) {
        session->resetting = wanted->request;
        session->heard = steady_now();
      } else {
        link->reset_done.put({wanted->request, unavailable("the robot does not read")});
      }
      if (!session) return;
    }
    if (!send_hold(holds)) return;
    if (!moving || moving->session != session->number) return;
    const Duration left = std::min(moving->deadline - steady_now(), kLongestDeadline);
    if (moving->after_hold != holds || RobotLink::latched(stops) || left <= Duration::zero()) {
      ++counters.late_actions;
      return;
    }
    if (send(RobotAction{session->actions + 1, moving->tick, left, std::move(moving->action)})) {
      ++session->actions;
      ++counters.actions;
    }
  }

  void housekeep() {
    if (session) {
      const Duration limit = session->resetting ? options.reset_silence : options.silence;
      if (steady_now() - session->heard > limit) {
        ++counters.lost;
        end_session();
      }
    }
    flush();
  }
};

RobotPort::RobotPort() = default;
RobotPort::~RobotPort() {
  if (impl_) impl_->end_session();
}

Result<std::unique_ptr<RobotPort>> RobotPort::listen(EventLoop& loop,
                                                     const RobotPortOptions& options) {
  if (options.expected) NUDGE_TRY(validate(*options.expected));
  std::unique_ptr<RobotPort> port(new RobotPort());
  port->impl_ = std::make_unique<Impl>(loop, options);
  Impl& impl = *port->impl_;
  const RouterOptions socket{.address = options.address,
                             .port = options.port,
                             .setting = "ports.robot",
                             .max_message = options.max_message,
                             .frames_per_second = options.frames_per_second,
                             .curve = options.curve,
                             .admits = options.admits};
  Result<std::unique_ptr<Router>> router = Router::listen(
      loop, socket, [&impl](const std::string& peer, std::span<const std::byte> message) {
        impl.receive(peer, message);
      });
  if (!router.ok()) return router.status().with_context("robot port");
  impl.router = *std::move(router);
  // Two daemons in a row must not number their sessions alike.
  impl.next_session = std::random_device()();
  if (options.expected) impl.know(*options.expected);
  impl.housekeeping = loop.every(kHousekeeping, [&impl] { impl.housekeep(); });
  return port;
}

std::uint16_t RobotPort::port() const { return impl_->router->port(); }

Result<std::shared_ptr<RemoteRobot>> RobotPort::wait_for_robot(Duration patience) {
  std::unique_lock lock(impl_->mutex);
  if (!impl_->came.wait_for(lock, patience, [this] { return impl_->ever_connected; })) {
    return unavailable("no robot has connected");
  }
  return impl_->robot;
}

std::shared_ptr<RemoteRobot> RobotPort::robot() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->robot;
}

void RobotPort::on_frame(std::function<void(std::size_t, const Image&)> callback) {
  impl_->frame_callback = std::move(callback);
}

void RobotPort::recheck_keys() { impl_->router->recheck(); }

RobotPortCounters RobotPort::counters() const {
  RobotPortCounters counters = impl_->counters;
  counters.socket = impl_->router->counters();
  counters.bad_messages += counters.socket.malformed;
  return counters;
}

}  // namespace nudge
