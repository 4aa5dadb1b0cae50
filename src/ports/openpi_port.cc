#include "src/ports/openpi_port.h"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <utility>

#include "src/loop/clock.h"
#include "src/ports/addresses.h"
#include "src/ports/http_rules.h"
#include "src/ports/jpeg.h"

namespace nudge {
namespace {

constexpr Duration kHousekeeping = std::chrono::milliseconds(50);
constexpr std::uint16_t kInternalError = 1011;
constexpr std::uint16_t kAccessEnded = 4401;  // as HTTP's 401
constexpr std::string_view kKeyChanged = "the key of this port has been changed";
// As openpi's own server says it, behind the text that says what was wrong.
constexpr std::string_view kGoodbye =
    "Internal server error. Traceback included in previous frame.";
constexpr std::size_t kPlaysKept = 8;  // the longest of so many is what people are told

double milliseconds_of(Duration d) { return 1000 * seconds(d); }

std::string_view name_of(AuthorityState state) { return to_string(state); }

bool same_key(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

struct OpenpiPort::Impl final : HttpHandler, OpenpiUpstream::Listener {
  // A request that has not been answered.
  struct Request {
    Instant at;
    std::string bytes;  // as it came; what the upstream gets
    std::string prompt;
    Observation observation;           // pictures follow as JPEG
    std::vector<double> rest;          // see OpenpiMap::rest()
    std::optional<OpenpiChunk> chunk;  // the upstream's for it
    std::string reply;                 // all of that answer
    std::vector<float> rates;          // of the chunk
    bool edits = false;                // the head was asked for its edit of the chunk

    const std::vector<float>& state() const { return observation.proprioception; }
  };
  // What the upstream works on: people may have been answered meanwhile.
  struct Forwarded {
    Instant at;
    Observation observation;
    std::vector<double> rest;
    std::string instruction;
  };

  Impl(EventLoop& on, OpenpiPortOptions with, std::shared_ptr<const OpenpiMap> of,
       std::shared_ptr<OpenpiLink> to)
      : loop(on), options(std::move(with)), map(std::move(of)), link(std::move(to)) {}

  bool elsewhere() const { return upstream != nullptr; }

  // ---- HttpHandler -----------------------------------------------------------------------------

  bool is_public(std::string_view path) const override { return path == "/healthz"; }

  void handle(HttpRequest request, Respond respond) override {
    if (request.path != "/healthz" || request.method != "GET") {
      return respond(
          problem(404, "not_found",
                  "this port speaks the openpi policy protocol; the page is at ports.http"));
    }
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = "OK\n";
    respond(std::move(response));
  }

  void on_open(ConnectionId id, const Caller& caller) override {
    if (caller.era != era) return server->close(id, kAccessEnded, kKeyChanged);
    // One place, so that whoever had it has gone.
    connection = id;
    ++counters.sessions;
    request.reset();
    plays.clear();
    told.clear();
    stay.clear();
    played.reset();
    answered.reset();
    connected_at = steady_now();
    greeted = false;
    if (options.connection_begins_episode) ++episodes;
    tell("a robot's program is connected", false);
    greet();
  }

  void on_close(ConnectionId id) override {
    if (id != connection) return;
    connection.reset();
    request.reset();
    link->waiting = false;
    link->connected = false;
    link->plays_ns = 0;
    ask_for_hold("the robot's program has gone");
    tell("the robot's program has gone", false);
  }

  void on_text(ConnectionId, const std::string&) override {}

  void on_binary(ConnectionId id, std::string bytes) override {
    if (id != connection) return;
    const Instant now = steady_now();
    ++counters.requests;
    if (request) return refuse("a request came before the one before it was answered");
    Result<OpenpiMessage> message = OpenpiMessage::parse(bytes);
    if (!message.ok()) return refuse(message.status().message());
    if (message->text("endpoint") == "reset") {
      if (options.reset_begins_episode) ++episodes;
      // An array would be sliced by clients that play chunks; there is none.
      (void)server->send_binary(id, with_openpi_note("\x80", note("reset", now, false)));
      return;
    }
    Result<Observation> observation = map->observation(*message);
    if (!observation.ok()) return refuse(observation.status().message());
    std::vector<Image> images;
    for (const OpenpiCamera& camera : map->cameras()) {
      const OpenpiValue* const picture = message->find(camera.key);
      if (picture == nullptr) continue;  // one that is not there today is frozen, and said so
      Result<Image> image = openpi_image(*picture);
      if (!image.ok()) return refuse("'" + camera.key + "' " + image.status().message());
      image->camera = camera.spec.name;
      image->captured = now;
      images.push_back(*std::move(image));
    }
    if (!greeted) return refuse("a request came before the metadata was sent");
    begin_request(now, *message, *std::move(observation), std::move(bytes));
    // Behind what the upstream waits for: it takes a moment.
    for (Image& image : images) {
      if (const Status encoded = encode_jpeg(image, options.jpeg_quality); !encoded.ok()) {
        return refuse(encoded.message());
      }
      image.rgb.clear();
    }
    request->observation.images = std::move(images);
    look_ahead();
    link->waiting = true;
    link->connected = true;
    link->asked.put(
        {.observation = request->observation, .prompt = request->prompt, .episodes = episodes});
    answer();
  }

  void begin_request(Instant now, const OpenpiMessage& message, Observation observation,
                     std::string bytes) {
    observe_play(now);
    Request begun;
    begun.at = now;
    begun.prompt = map->prompt(message);
    begun.rest = map->rest(observation.proprioception, told);
    begun.observation = std::move(observation);
    begun.observation.time = now;
    begun.bytes = std::move(bytes);
    const bool gap = answered && now - *answered > options.gap;
    const bool other = last_prompt && *last_prompt != begun.prompt;
    if ((gap && options.gap_begins_episode) || (other && options.prompt_begins_episode)) {
      ++episodes;
    }
    last_prompt = begun.prompt;
    request = std::move(begun);
    forward();
  }

  // How long the program played the last answer, and how far it got.
  void observe_play(Instant now) {
    if (!answered) return;
    const Duration play = now - *answered;
    if (played) {
      const auto rows = static_cast<std::size_t>(seconds(play) / map->step_seconds());
      const std::size_t row = std::min(rows, played->horizon - 1);
      told.assign(played->numbers.begin() + static_cast<std::ptrdiff_t>(row * played->width),
                  played->numbers.begin() + static_cast<std::ptrdiff_t>((row + 1) * played->width));
    }
    if (play > options.gap) return;  // it rested
    plays.push_back(play);
    if (plays.size() > kPlaysKept) plays.pop_front();
    link->plays_ns = std::max<std::int64_t>(1, std::ranges::max(plays).count());
  }

  void refuse(const std::string& why) {
    ++counters.bad_requests;
    tell("a request was refused: " + why, true);
    const ConnectionId id = *connection;
    (void)server->send(id, why);
    server->close(id, kInternalError, kGoodbye);
  }

  void greet() {
    if (elsewhere() && !upstream_metadata && steady_now() - connected_at < options.answer) return;
    OpenpiMetadata metadata;
    metadata.robot = map->spec().id;
    metadata.program = options.program;
    metadata.horizon = map->horizon();
    metadata.action_size = map->columns().size();
    metadata.hz = std::round(1e3 / map->step_seconds()) / 1e3;
    for (const OpenpiColumn& column : map->columns())
      metadata.action.push_back(column.channel.name);
    for (const OpenpiCamera& camera : map->cameras()) metadata.cameras.push_back(camera.spec.name);
    metadata.upstream = upstream_metadata.value_or("");
    greeted = true;
    (void)server->send_binary(*connection, encode_openpi_metadata(metadata));
  }

  // ---- the upstream ----------------------------------------------------------------------------

  void forward() {
    if (!elsewhere() || !request || request->chunk) return;
    if (forwarded && forwarded->at == request->at) return;
    if (!upstream->connected() || upstream->busy()) return;
    const std::string& wanted = decided ? decided->verdict.instruction : request->prompt;
    std::optional<std::string> changed;
    if (!wanted.empty() && wanted != request->prompt && instruction_is_ours()) {
      changed = map->with_prompt(request->bytes, wanted);
    }
    forwarded = {.at = request->at,
                 .observation = request->observation,
                 .rest = request->rest,
                 .instruction = changed ? wanted : request->prompt};
    (void)upstream->ask(changed ? *std::move(changed) : request->bytes);
  }

  // While the upstream works on the request, the head's backbone looks at what it shows.
  void look_ahead() {
    if (!forwarded || forwarded->at != request->at) return;
    forwarded->observation.images = request->observation.images;
    if (options.editor == nullptr || !options.editor->edits()) return;
    // Where there is no room, it is looked at later.
    (void)options.editor->take({.observation = forwarded->observation,
                                .instruction = forwarded->instruction,
                                .chunk = std::nullopt,
                                .waits = false});
  }

  // People have changed the instruction since the program last named it: the tick that decided has
  // seen a request with this prompt.
  bool instruction_is_ours() const { return decided_prompt == request->prompt; }

  void on_upstream(const std::string& metadata) override {
    if (!OpenpiMessage::parse(metadata).ok()) {
      return trouble("the upstream's first frame is no openpi metadata", false);
    }
    upstream_metadata = metadata;
    tell("the upstream is connected", false);
    if (connection && !greeted) greet();
    forwarded.reset();
    forward();
  }

  void on_answer(Result<std::string> answered_with) override {
    std::optional<Forwarded> about = std::exchange(forwarded, std::nullopt);
    if (!answered_with.ok()) {
      trouble("the upstream failed: " + answered_with.status().message(), true);
    } else {
      take_answer(std::move(about), *std::move(answered_with));
    }
    forward();
    answer();
  }

  void take_answer(std::optional<Forwarded> about, std::string bytes) {
    const Result<OpenpiMessage> message = OpenpiMessage::parse(bytes);
    if (!message.ok()) return trouble("the upstream's answer: " + message.status().message(), true);
    Result<OpenpiChunk> chunk = openpi_actions(*message);
    if (!chunk.ok()) return trouble("the upstream's answer: " + chunk.status().message(), true);
    if (chunk->horizon != map->horizon() || chunk->width != map->columns().size()) {
      return trouble("the upstream answers with chunks of " + std::to_string(chunk->horizon) +
                         " x " + std::to_string(chunk->width) + ", and this robot plays " +
                         std::to_string(map->horizon()) + " x " +
                         std::to_string(map->columns().size()) +
                         "; set openpi.horizon and openpi.actions to what the upstream gives",
                     true);
    }
    if (!std::ranges::all_of(chunk->numbers, [](double x) { return std::isfinite(x); })) {
      return trouble("the upstream's chunk holds a number that is not finite", true);
    }
    if (!about) return;
    dtype = chunk->dtype;
    ActionChunk proposal;
    proposal.horizon = chunk->horizon;
    proposal.action_size = chunk->width;
    proposal.actions = map->rates(*chunk, about->rest);
    proposal.observed = about->at;
    if (!std::ranges::all_of(proposal.actions, [](float x) { return std::isfinite(x); })) {
      return trouble("the upstream's chunk asks for rates that are not finite", true);
    }
    const bool edits = options.editor != nullptr && options.editor->edits();
    if (!edits) head_is_silent = false;  // nobody waits for it
    if (request && request->at == about->at) {
      request->chunk = *std::move(chunk);
      request->reply = std::move(bytes);
      request->rates = proposal.actions;
      request->edits = edits;
    }
    if (options.editor != nullptr) {
      UpstreamChunk said{.observation = std::move(about->observation),
                         .instruction = std::move(about->instruction),
                         .chunk = proposal,
                         .waits = edits};
      if (!options.editor->take(std::move(said)) && edits) {
        if (request) request->chunk.reset();
        return trouble("this machine is too busy to edit the upstream's chunks", true);
      }
    }
    if (in_trouble && !head_is_silent) recover("the upstream is well again");
    // What was edited reaches the step thread from there.
    if (!edits) link->proposal.put(std::move(proposal));
  }

  void on_upstream_lost(const std::string& why) override {
    forwarded.reset();
    head_is_silent = false;  // this is the trouble now
    trouble("the upstream at " + upstream->authority() + " is not connected: " + why, true);
    answer();
  }

  void recover(const char* what) {
    in_trouble = head_is_silent = false;
    link->trouble.put("");
    tell(what, false);
  }

  // What keeps chunks from coming. With `holds` the policy may not go on by itself.
  void trouble(const std::string& what, bool holds) {
    if (!in_trouble || what != last_trouble) tell(what, true);
    in_trouble = true;
    last_trouble = what;
    link->trouble.put(what);
    if (holds && request && !request->chunk) give_up(what);
  }

  // ---- answers ---------------------------------------------------------------------------------

  OpenpiNote note(std::string source, Instant since, bool as_is) const {
    OpenpiNote note;
    note.source = std::move(source);
    note.state = decided ? std::string(name_of(decided->verdict.state)) : "HOLD";
    note.as_is = as_is;
    note.infer_ms = milliseconds_of(steady_now() - since);
    if (in_trouble) note.trouble = last_trouble;
    return note;
  }

  // Whether the newest verdict may still move the robot.
  bool in_force(Instant now) const {
    return !link->stopped && now - decided->now < options.stalled;
  }
  // A hold came after it: of a tick that is under way, whose verdict follows, or of the watchdog,
  // and then it grows old.
  // What this thread asked for is heeded by the next tick.
  bool undone() const {
    return decided->holds != link->holds.load(std::memory_order_acquire) ||
           decided->heeded != link->holds_asked.load(std::memory_order_acquire);
  }

  void wake() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(link->wake_fd, &count, sizeof count);
    answer();
  }

  void answer() {
    // Not try_take(): what the step thread is just putting there is what counts.
    if (std::optional<OpenpiLink::Decided> newest = link->decided.take(Duration::zero())) {
      decided = std::move(newest);
    }
    if (std::optional<ActionChunk> newest = link->plan.take(Duration::zero())) {
      plan = std::move(newest);
      if (head_is_silent) recover("the head edits again");
    }
    if (!request || !decided) return;
    const Instant now = steady_now();
    const bool seen = decided->verdict.observed >= request->at;
    if (seen) decided_prompt = request->prompt;
    const TickVerdict& verdict = decided->verdict;
    if (in_force(now) && undone()) return;
    if (verdict.state == AuthorityState::kAuto && in_force(now)) {
      if (elsewhere() && request->chunk && !request->edits) return pass_on(nullptr);
      if (elsewhere() && request->chunk && plan && plan->observed == request->at) {
        return pass_on(plan->version == 0 ? nullptr : &*plan);
      }
      if (elsewhere() && !upstream->connected() && in_trouble) return give_up(last_trouble);
      if (!elsewhere() && plan && plan->observed == request->at) return answer_with_plan();
      return;  // housekeeping gives up on it in time
    }
    // A tick that has seen where the robot is now.
    if (!seen && in_force(now)) return;
    if (verdict.source == ControlSource::kHuman && in_force(now)) return answer_with_person();
    answer_with_hold();
  }

  // The upstream's chunk, or what the head made of it.
  void pass_on(const ActionChunk* edit) {
    const TickVerdict& verdict = decided->verdict;
    const bool bent = verdict.source == ControlSource::kNudge && !verdict.bias.empty();
    const bool same = edit == nullptr || edit->actions == request->rates;
    const std::string source = same ? "upstream" : "edited";
    Result<OpenpiChunk> wanted = *request->chunk;
    if (!same) {
      wanted = map->edited(*request->chunk, request->rates, edit->actions, request->rest);
    }
    if (!wanted.ok()) return give_up_edit(wanted.status());
    Result<OpenpiScreened> screened =
        map->screen(*std::move(wanted), request->state(), options.max_rate, options.slack);
    if (!screened.ok()) return give_up_edit(screened.status());
    if (same && screened->as_is && verdict.speed >= 1 && !bent) {
      ++counters.passed_on;
      const std::string bytes = with_openpi_note(request->reply, note(source, request->at, true));
      return send(bytes, *std::move(request->chunk), false);
    }
    if (!same) ++counters.edited;
    OpenpiChunk chunk = std::move(screened->chunk);
    if (verdict.speed < 1 || bent) {
      chunk = changed(same ? map->rates(chunk, request->rest) : edit->actions);
    }
    const OpenpiNote about = note(source, request->at, false);
    const std::optional<std::string> reply = with_openpi_actions(request->reply, chunk);
    send(reply ? with_openpi_note(*reply, about) : encode_openpi_reply(chunk, about), chunk, false);
  }

  void give_up_edit(const Status& why) {
    const std::string what = "the upstream's chunk cannot be played: " + why.message();
    trouble(what, false);
    give_up(what);
  }

  void answer_with_plan() {
    const OpenpiChunk chunk = changed(plan->actions);
    send(encode_openpi_reply(chunk, note("policy", request->at, false)), chunk, false);
  }

  // A policy's rates, as words and limits leave them.
  OpenpiChunk changed(std::vector<float> rates) const {
    const TickVerdict& verdict = decided->verdict;
    const std::size_t width = map->columns().size();
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const std::size_t column = i % width;
      double rate = verdict.speed * static_cast<double>(rates[i]);
      if (!verdict.bias.empty()) rate += static_cast<double>(verdict.bias[column]);
      rates[i] =
          static_cast<float>(std::clamp(rate, -options.max_rate[column], options.max_rate[column]));
    }
    return map->chunk(rates, request->rest, dtype);
  }

  // As long as a command is fresh; then the robot stays.
  void answer_with_person() {
    const double steps = std::ceil(seconds(options.fresh) / map->step_seconds() - 1e-3);
    const std::size_t rows =
        std::clamp<std::size_t>(static_cast<std::size_t>(steps), 1, map->horizon());
    const Action& rates = decided->verdict.rates;
    std::vector<float> repeated;
    for (std::size_t r = 0; r < rows; ++r) {
      repeated.insert(repeated.end(), rates.begin(), rates.end());
    }
    const OpenpiChunk chunk = map->chunk(repeated, request->rest, dtype);
    send(encode_openpi_reply(chunk, note("human", request->at, false)), chunk, false);
  }

  void answer_with_hold() {
    // Where it stood when it was first told to: what is measured sags, and would creep away.
    if (stay.empty()) stay = request->rest;
    const OpenpiChunk chunk = map->chunk({}, stay, dtype);
    send(encode_openpi_reply(chunk, note("hold", request->at, false)), chunk, true);
  }

  void send(const std::string& bytes, OpenpiChunk chunk, bool stays) {
    if (!stays) stay.clear();
    played = std::move(chunk);
    request.reset();
    const Instant now = steady_now();
    answered = now;
    link->answered = now.time_since_epoch().count();
    link->waiting = false;
    (void)server->send_binary(*connection, bytes);
  }

  void ask_for_hold(const std::string& why) {
    link->hold.put(why);
    link->holds_asked.fetch_add(1, std::memory_order_acq_rel);
  }

  // The policy does not answer: the robot holds, and somebody has to start it again.
  void give_up(const std::string& why) {
    if (!decided || decided->verdict.state != AuthorityState::kAuto) return;
    ++counters.late;
    ask_for_hold(why);
    answer_with_hold();
  }

  void housekeep() {
    if (connection && !greeted) greet();
    if (!request) return;
    const Instant now = steady_now();
    if (now - request->at > options.answer) {
      head_is_silent = request->chunk && request->edits;
      const std::string what = head_is_silent ? "the head that edits the upstream's chunks has"
                               : elsewhere()  ? "the upstream has"
                                              : "the policy has";
      trouble(what + " not answered within " +
                  std::to_string(static_cast<int>(milliseconds_of(options.answer))) + " ms",
              true);
      // There is a chunk, but nobody knows what people would have made of it.
      if (head_is_silent) give_up(last_trouble);
      if (request) answer_with_hold();
      return;
    }
    answer();
  }

  void tell(const std::string& message, bool warn) const {
    if (options.notice) options.notice(message, warn);
  }

  EventLoop& loop;
  OpenpiPortOptions options;
  std::shared_ptr<const OpenpiMap> map;
  std::shared_ptr<OpenpiLink> link;
  OpenpiPortCounters counters;

  std::uint64_t era = 0;  // how often the key has changed

  std::optional<ConnectionId> connection;
  Instant connected_at;
  bool greeted = false;  // its metadata has been sent
  std::uint64_t episodes = 0;
  std::optional<std::string> last_prompt;
  std::string decided_prompt;

  std::optional<Request> request;
  std::optional<OpenpiLink::Decided> decided;  // newest
  std::optional<ActionChunk> plan;             // newest
  std::optional<Instant> answered;             // newest answer
  std::optional<OpenpiChunk> played;           // the newest answer
  std::vector<double> told, stay;              // see OpenpiMap::rest()
  std::deque<Duration> plays;
  std::string dtype = "<f8";

  std::optional<std::string> upstream_metadata;
  std::optional<Forwarded> forwarded;
  bool in_trouble = false;
  bool head_is_silent = false;  // the trouble is that edits do not come
  std::string last_trouble;

  std::unique_ptr<HttpServer> server;
  std::unique_ptr<OpenpiUpstream> upstream;  // null: the daemon's own policy
  std::shared_ptr<void> waking, housekeeping;
};

OpenpiPort::OpenpiPort() = default;

OpenpiPort::~OpenpiPort() {
  impl_->waking.reset();
  impl_->housekeeping.reset();
  impl_->upstream.reset();
}

Result<std::unique_ptr<OpenpiPort>> OpenpiPort::listen(EventLoop& loop, OpenpiPortOptions options,
                                                       std::shared_ptr<const OpenpiMap> map,
                                                       std::shared_ptr<OpenpiLink> link) {
  if (!is_loopback_address(options.address) && (options.tls == nullptr || options.key.empty())) {
    return invalid_argument("openpi.address = " + options.address +
                            " is beyond this machine, and needs TLS and a key");
  }
  options.max_rate.resize(map->columns().size(),
                          options.max_rate.empty() ? 1.0 : options.max_rate.back());
  std::unique_ptr<OpenpiPort> port(new OpenpiPort());
  port->impl_ = std::make_unique<Impl>(loop, std::move(options), std::move(map), std::move(link));
  Impl& impl = *port->impl_;

  HttpServerOptions http;
  http.address = impl.options.address;
  http.port = impl.options.port;
  http.tls = impl.options.tls;
  http.names = impl.options.names;
  http.setting = "openpi.port";
  http.live_path.clear();
  http.binary = true;
  http.keyless = true;
  http.max_message_bytes = kMaxOpenpiMessage;
  http.max_waiting_bytes = kMaxOpenpiMessage;
  http.max_connections = 32;
  http.max_live = 1;
  http.messages_per_second = 500;
  http.live_timeout = std::chrono::seconds(20);
  const auto who_is = [&impl](std::string_view shown, bool) {
    std::optional<Caller> caller;
    if (impl.options.key.empty() || same_key(shown, impl.options.key)) {
      caller.emplace().actor = {.name = "robot", .role = Role::kScript};
      caller->era = impl.era;
    }
    return caller;
  };
  Result<std::unique_ptr<HttpServer>> server = HttpServer::listen(loop, http, who_is, {}, impl);
  if (!server.ok()) return server.status();
  impl.server = *std::move(server);
  if (!impl.options.upstream.url.empty()) {
    Result<std::unique_ptr<OpenpiUpstream>> upstream =
        OpenpiUpstream::make(loop, impl.options.upstream, impl);
    if (!upstream.ok()) return upstream.status();
    impl.upstream = *std::move(upstream);
  }
  impl.waking = loop.when_readable(impl.link->wake_fd, [&impl] { impl.wake(); });
  impl.housekeeping = loop.every(kHousekeeping, [&impl] { impl.housekeep(); });
  return port;
}

void OpenpiPort::renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names) {
  impl_->server->renew(std::move(tls), names);
}

void OpenpiPort::set_key(std::string key) {
  if (impl_->options.key.empty() || key == impl_->options.key) return;
  impl_->options.key = std::move(key);
  ++impl_->era;
  if (impl_->connection) impl_->server->close(*impl_->connection, kAccessEnded, kKeyChanged);
}

std::uint16_t OpenpiPort::port() const { return impl_->server->port(); }

OpenpiPortCounters OpenpiPort::counters() const {
  OpenpiPortCounters counters = impl_->counters;
  counters.socket = impl_->server->counters();
  return counters;
}

}  // namespace nudge
