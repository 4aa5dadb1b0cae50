#include "src/ports/teleop_port.h"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/router.h"
#include "src/ports/token_bucket.h"

namespace nudge {
namespace {

constexpr std::size_t kLongestActor = 64;  // as the broker allows
// Peers whose number is kept for their return, so that a holder who reconnects is still the holder.
constexpr std::size_t kRemembered = 64;
// Strangers are told to say hello at most this often, all together.
constexpr Duration kBetweenReminders = std::chrono::milliseconds(20);

// May be the text of a STOP, judged by its bytes: a token costs nothing, and only what passes here
// is parsed beyond the rate.
bool perhaps_stop(std::string_view text) {
  return text.size() <= 1024 && text.find("\"stop\"") != std::string_view::npos;
}

}  // namespace

struct TeleopPort::Impl {
  struct Peer {
    std::string route;
    std::uint32_t session = 0;
    std::string instance;
    std::optional<Actor> keyed;  // whose key it has proved; none: it came with a token
    Actor actor;
    std::uint32_t every = 1;  // control ticks
    ControlTick last_tick = 0;
    Instant heard;
    TokenBucket bucket;
    std::deque<Ack> acks;  // not sent yet
  };
  struct Known {
    std::string instance, name;
    std::uint64_t number = 0;
  };

  Impl(EventLoop& loop, const TeleopPortOptions& with, WhoIs who, Desk& at)
      : options(with),
        who_is(std::move(who)),
        desk(at),
        hellos(with.hellos_per_second, steady_now()),
        loop(loop) {}

  TeleopPortOptions options;
  WhoIs who_is;
  Desk& desk;
  TokenBucket hellos;
  EventLoop& loop;
  TeleopPortCounters counters;
  std::unique_ptr<Router> router;
  std::map<std::uint32_t, Peer> peers;  // by session
  std::deque<Known> known;              // oldest first
  std::uint64_t next_number = 0;
  std::uint32_t next_session = 0;
  Instant reminded;
  WireBytes buffer;
  TeleopState state;                                            // memory used again
  std::shared_ptr<Impl*> self = std::make_shared<Impl*>(this);  // for replies that come late
  std::shared_ptr<void> timer;

  Router::Sent send(const std::string& route, std::uint32_t session, const TeleopReply& reply) {
    if (!encode(reply, session, buffer).ok()) return Router::Sent::kFull;
    return router->send(route, buffer);
  }
  void refuse(const std::string& route, RefusalReason reason, std::string text) {
    (void)send(route, 0, Refusal{reason, std::move(text)});
  }

  // ---- from peers ------------------------------------------------------------------------------

  void receive(const std::string& route, std::span<const std::byte> bytes) {
    const Instant now = steady_now();
    Result<Framed<TeleopMessage>> framed = decode_teleop_message(bytes);
    if (!framed.ok()) {
      ++counters.bad_messages;
      const auto opened = WireReader::open(bytes);
      if (opened.ok() && opened->type() == static_cast<std::uint16_t>(WireType::kTeleopHello) &&
          hellos.take(now)) {
        ++counters.refused_hellos;
        refuse(route,
               framed.status().code() == Code::kUnimplemented ? RefusalReason::kVersion
                                                              : RefusalReason::kMalformed,
               framed.status().message());
      } else if (Peer* peer = peer_at(route)) {
        // Garbage counts as messages do, or it would be free.
        if (!peer->bucket.take(now)) end_for_rate(peer->session);
      }
      return;
    }
    if (const auto* hello = std::get_if<TeleopHello>(&framed->message)) {
      take_hello(route, *hello, now);
      return;
    }
    const auto found = peers.find(framed->session);
    if (found == peers.end() || found->second.route != route) {
      ++counters.foreign;
      if (now - reminded >= kBetweenReminders) {
        reminded = now;
        refuse(route, RefusalReason::kNoSession, "say hello first");
      }
      return;
    }
    Peer& peer = found->second;
    peer.heard = now;
    const bool in_time = peer.bucket.take(now);
    if (auto* feedback = std::get_if<TeleopFeedback>(&framed->message)) {
      // Stopping is free, whatever else a peer has sent.
      if (in_time || perhaps_stop(feedback->text)) take_feedback(peer, feedback->text, in_time);
    } else if (auto* jog = std::get_if<JogCommand>(&framed->message)) {
      if (in_time) {
        ++counters.jogs;
        desk.submit(FeedbackMessage{{}, peer.actor, std::move(*jog)}, [](const Ack&) {});
      }
    } else if (std::holds_alternative<TeleopBye>(framed->message)) {
      peers.erase(found);
      return;
    }
    if (!in_time) end_for_rate(framed->session);
  }

  Peer* peer_at(const std::string& route) {
    for (auto& [session, peer] : peers) {
      if (peer.route == route) return &peer;
    }
    return nullptr;
  }

  void take_hello(const std::string& route, const TeleopHello& hello, Instant now) {
    if (!hellos.take(now)) return;  // asked again a moment later
    const auto turn_away = [&](RefusalReason reason, std::string text) {
      ++counters.refused_hellos;
      refuse(route, reason, std::move(text));
    };
    // Who has proved a key is its owner, whatever else they say.
    const std::optional<Actor> keyed = router->whose(route);
    const std::optional<Actor> whose = keyed ? keyed : who_is(hello.token);
    if (!whose) {
      turn_away(RefusalReason::kToken, "no such token; the daemon prints those that are valid");
      return;
    }
    const DeskInfo& info = desk.info();
    if (hello.robot != info.robot.id) {
      turn_away(RefusalReason::kOtherRobot,
                "this daemon drives robot '" + info.robot.id + "', not '" + hello.robot + "'");
      return;
    }
    // A hello ends what was before on this connection, and of this instance on another one.
    std::erase_if(peers, [&](const auto& entry) {
      const Peer& peer = entry.second;
      return peer.route == route || (peer.instance == hello.instance &&
                                     peer.actor.role == whose->role && peer.keyed == keyed);
    });
    if (peers.size() >= options.max_peers) {
      turn_away(RefusalReason::kBusy,
                std::to_string(options.max_peers) + " peers are connected already");
      return;
    }
    if (++next_session == 0) next_session = 1;
    Peer peer{.route = route,
              .session = next_session,
              .instance = hello.instance,
              .keyed = keyed,
              .actor = {name_of(hello, keyed ? keyed->name : hello.name, whose->role), whose->role},
              .every = hello.every != 0 ? hello.every : usual_every(),
              .heard = now,
              .bucket = TokenBucket(options.messages_per_second, now),
              .acks = {}};
    const TeleopWelcome welcome{.version = kWireMajor,
                                .role = peer.actor.role,
                                .action_size = static_cast<std::uint16_t>(info.robot.action.size()),
                                .control_period = info.robot.control_period,
                                .policy_period = info.robot.policy_period,
                                .fresh = info.fresh,
                                .name = peer.actor.name,
                                .program = info.program,
                                .robot = info.robot.id};
    if (send(route, peer.session, welcome) != Router::Sent::kYes) return;
    ++counters.sessions;
    peers.emplace(peer.session, std::move(peer));
  }

  std::uint32_t usual_every() const {
    const Duration period = std::max(desk.info().robot.control_period, Duration(1));
    return static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(options.state_period / period, 1, kMaxStateEvery));
  }

  // "leader#t2": the lease is bound to it. The same program under the same name keeps its number,
  // so that a lost connection is no lost lease. The role is part of what is compared: nobody comes
  // back as somebody else.
  std::string name_of(const TeleopHello& hello, const std::string& shown, Role role) {
    const std::string name = shown + '\n' + std::to_string(static_cast<int>(role));
    const auto found = std::find_if(known.begin(), known.end(), [&](const Known& entry) {
      return entry.instance == hello.instance && entry.name == name;
    });
    std::uint64_t number = 0;
    if (found != known.end()) {
      number = found->number;
    } else {
      number = ++next_number;
      known.push_back({hello.instance, name, number});
      if (known.size() > kRemembered) known.pop_front();
    }
    const std::string suffix = "#t" + std::to_string(number);
    return shown.substr(0, kLongestActor - suffix.size()) + suffix;
  }

  void take_feedback(Peer& peer, const std::string& text, bool in_time) {
    RefusedMessage refused;
    Result<ClientMessage> parsed = parse_client_message(text, peer.actor, &refused);
    const std::uint32_t session = peer.session;
    if (!parsed.ok()) {
      ++counters.bad_messages;
      answer(session, Ack{refused.id, parsed.status(), {}, 0, {}});
      return;
    }
    const auto reply = [weak = std::weak_ptr<Impl*>(self), session](const Ack& ack) {
      if (const auto port = weak.lock()) (*port)->answer(session, ack);
    };
    if (auto* feedback = std::get_if<FeedbackMessage>(&*parsed)) {
      if (std::holds_alternative<JogCommand>(feedback->body)) {
        ++counters.bad_messages;  // jogs have a schema of their own
        return;
      }
      if (!in_time && !std::holds_alternative<Stop>(feedback->body)) return;
      ++counters.feedback;
      desk.submit(std::move(*feedback), reply);
    } else if (auto* act = std::get_if<OperatorMessage>(&*parsed)) {
      if (!in_time) return;
      ++counters.feedback;
      desk.submit(std::move(*act), peer.actor, reply);
    } else {
      ++counters.bad_messages;  // of cameras and pings: the supervisor's port has those
      if (const auto* ask = std::get_if<AskToDrive>(&*parsed)) {
        answer(session,
               Ack{ask->id, unimplemented("devices do not ask to drive; take over"), {}, 0, {}});
      }
    }
  }

  // ---- to peers --------------------------------------------------------------------------------

  void answer(std::uint32_t session, const Ack& ack) {
    const auto found = peers.find(session);
    if (found == peers.end()) return;
    found->second.acks.push_back(ack);
    if (found->second.acks.size() > options.max_acks) {
      ++counters.ended_slow;
      peers.erase(found);
      return;
    }
    send_acks(found->second);
  }

  // False: the peer has gone.
  bool send_acks(Peer& peer) {
    while (!peer.acks.empty()) {
      switch (send(peer.route, peer.session, peer.acks.front())) {
        case Router::Sent::kYes: peer.acks.pop_front(); break;
        case Router::Sent::kFull: return true;  // tried again with the next tick
        case Router::Sent::kGone: return false;
      }
    }
    return true;
  }

  void end_role(Role role) {
    std::erase_if(peers, [&](const auto& entry) {
      const Peer& peer = entry.second;
      if (peer.keyed || peer.actor.role != role) return false;
      refuse(peer.route, RefusalReason::kToken, "this token is not valid any more");
      return true;
    });
  }

  void end_for_rate(std::uint32_t session) {
    const auto found = peers.find(session);
    if (found == peers.end()) return;
    ++counters.ended_rate;
    refuse(found->second.route, RefusalReason::kRate, "too many messages a second");
    peers.erase(found);
  }

  void tick() {
    const Instant now = steady_now();
    const Snapshot& snapshot = desk.snapshot();
    bool filled = false;
    for (auto it = peers.begin(); it != peers.end();) {
      Peer& peer = it->second;
      bool there = true;
      if (now - peer.heard > options.silence) {
        ++counters.ended_silent;
        refuse(peer.route, RefusalReason::kNoSession, "nothing was heard for a while");
        there = false;
      }
      there = there && send_acks(peer);
      if (there && snapshot.tick >= peer.last_tick + peer.every) {
        if (!filled) fill(snapshot);
        filled = true;
        there = send_state(peer, snapshot);
      }
      it = there ? std::next(it) : peers.erase(it);
    }
  }

  bool send_state(Peer& peer, const Snapshot& snapshot) {
    state.mine = snapshot.lease.holder && snapshot.lease.holder->name == peer.actor.name;
    if (!encode(state, peer.session, buffer).ok()) return true;
    switch (router->send(peer.route, buffer)) {
      case Router::Sent::kYes:
        peer.last_tick = snapshot.tick;
        ++counters.states;
        return true;
      case Router::Sent::kFull:  // a newer one will be there when it reads again
        ++counters.unsent_states;
        return true;
      case Router::Sent::kGone: return false;
    }
    return false;
  }

  void fill(const Snapshot& snapshot) {
    state.tick = snapshot.tick;
    state.now = snapshot.now;
    state.observed = snapshot.observation.time;
    state.state = snapshot.state;
    state.source = snapshot.source;
    state.success = snapshot.observation.success;
    state.last_success = snapshot.last_success;
    state.recording = desk.recording();
    state.holder_role = snapshot.lease.holder ? snapshot.lease.holder->role : Role::kScript;
    state.holder = snapshot.lease.holder ? snapshot.lease.holder->name : std::string();
    state.epoch = snapshot.lease.epoch;
    state.episode = snapshot.episode;
    state.policy_step = snapshot.policy_step;
    state.autonomous = snapshot.autonomous;
    state.step_limit = snapshot.step_limit;
    state.playing = snapshot.playing;
    state.proprioception = snapshot.observation.proprioception;
    state.object_state = snapshot.observation.object_state;
  }
};

TeleopPort::TeleopPort() = default;
TeleopPort::~TeleopPort() = default;

Result<std::unique_ptr<TeleopPort>> TeleopPort::listen(EventLoop& loop,
                                                       const TeleopPortOptions& options,
                                                       WhoIs who_is, Desk& desk) {
  std::unique_ptr<TeleopPort> port(new TeleopPort());
  port->impl_ = std::make_unique<Impl>(loop, options, std::move(who_is), desk);
  Impl& impl = *port->impl_;
  const RouterOptions socket{.address = options.address,
                             .port = options.port,
                             .setting = "ports.teleop",
                             .max_message = kMaxTeleopMessage,
                             .frames_per_second = 2 * options.messages_per_second,
                             .curve = options.curve,
                             .admits = options.admits};
  Result<std::unique_ptr<Router>> router = Router::listen(
      loop, socket, [&impl](const std::string& route, std::span<const std::byte> message) {
        impl.receive(route, message);
      });
  if (!router.ok()) return router.status().with_context("teleop port");
  impl.router = *std::move(router);
  // Two daemons in a row must not number their sessions alike.
  impl.next_session = std::random_device()();
  impl.timer = loop.every(std::max(desk.info().robot.control_period, Duration(1'000'000)),
                          [&impl] { impl.tick(); });
  return port;
}

std::uint16_t TeleopPort::port() const { return impl_->router->port(); }

TeleopPortCounters TeleopPort::counters() const {
  TeleopPortCounters counters = impl_->counters;
  counters.peers = impl_->peers.size();
  counters.socket = impl_->router->counters();
  counters.bad_messages += counters.socket.malformed;
  return counters;
}

void TeleopPort::recheck_keys() { impl_->router->recheck(); }

void TeleopPort::end_role(Role role) { impl_->end_role(role); }

void TeleopPort::on_status() { impl_->tick(); }

}  // namespace nudge
