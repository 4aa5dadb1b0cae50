// An HTTP server on a thread of its own, with a handler that notes what happens.
#pragma once

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>

#include "src/ports/http_server.h"
#include "test/ports/http_peer.h"

namespace nudge {

inline const std::string kSupervisor = "Authorization: Bearer supervisor-token\r\n";

inline std::optional<Caller> who_is(std::string_view token, bool here) {
  if (!here) return std::nullopt;  // the tests are on this machine
  std::optional<Caller> caller;
  if (token == "supervisor-token") caller.emplace().actor = {"desk", Role::kSupervisor};
  if (token == "viewer-token") caller.emplace().actor = {"wall", Role::kViewer};
  if (token == "throws") throw std::runtime_error("the folder of tokens is gone");
  return caller;
}

// Answers /echo at once, and with /hold when the test says so. Notes what live connections do.
class FakeHandler : public HttpHandler {
 public:
  bool is_public(std::string_view path) const override {
    return path == "/healthz" || path == "/page" || path == "/hold" || path == "/throws" ||
           path == "/echo" || path == "/big" || path == "/lasting" || path == "/full";
  }
  std::optional<HttpResponse> turn_away(HttpRequest& head,
                                        std::optional<std::uint64_t> body_bytes) override {
    if (head.path != "/full") return std::nullopt;
    note("full " + (body_bytes ? std::to_string(*body_bytes) : "unknown"));
    HttpResponse away = problem(429, "resource_exhausted", "too many");
    away.retry_after_s = 1;
    return away;
  }
  void handle(HttpRequest request, Respond respond) override {
    if (request.path == "/throws") throw std::runtime_error("a bug");
    if (request.path == "/hold") {
      held.push_back(std::move(respond));
      note("held");
      return;
    }
    HttpResponse response;
    response.content_type = "text/plain";
    if (request.path == "/big") {
      response.body.resize(16u << 20);
      return respond(std::move(response));
    }
    if (request.path == "/lasting") {
      response.lasting = "what is in the program";
      response.etag = "\"v1\"";
      return respond(std::move(response));
    }
    response.body = request.method + " " + request.path + " " +
                    (request.actor ? request.actor->name : "nobody") + " " + request.body;
    for (const auto& [name, value] : request.query) response.body += " " + name + "=" + value;
    if (request.path == "/page") {
      response.etag = "\"v1\"";
      response.cache_control = "no-cache";
    }
    respond(std::move(response));
    if (request.path == "/page") respond(problem(500, "internal", "answered twice"));
  }
  void on_open(ConnectionId connection, const Caller& caller) override {
    const Actor& actor = caller.actor;
    last = connection;
    note("open " + actor.name + " " + std::to_string(static_cast<int>(actor.role)));
    if (on_open_too) on_open_too(connection);
  }
  void on_text(ConnectionId connection, const std::string& text) override {
    if (text == "throw") throw std::runtime_error("a bug");
    note("text " + (text.size() > 64 ? std::to_string(text.size()) : text));
    if (on_text_too) on_text_too(connection, text);
  }
  void on_close(ConnectionId connection) override {
    note("close " + std::to_string(connection));
    if (on_close_too) on_close_too(connection);
  }

  void note(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      notes_.push_back(std::move(what));
    }
    changed_.notify_one();
  }
  // The next thing that happened, from the test's thread.
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(5), [&] { return !notes_.empty(); })) {
      return "nothing";
    }
    std::string what = std::move(notes_.front());
    notes_.pop_front();
    return what;
  }

  // On the loop's thread.
  std::deque<Respond> held;
  ConnectionId last = 0;
  std::function<void(ConnectionId)> on_open_too, on_close_too;
  std::function<void(ConnectionId, const std::string&)> on_text_too;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> notes_;
};

inline HttpServerOptions on_any_port() {
  HttpServerOptions options;
  options.port = 0;
  return options;
}

class Served {
 public:
  explicit Served(const HttpServerOptions& options = on_any_port()) {
    auto server = HttpServer::listen(
        loop, options, who_is, [](std::string_view text) { return text == "STOP"; }, handler);
    EXPECT_TRUE(server.ok()) << server.status().message();
    this->server = *std::move(server);
    thread_ = std::thread([this] { loop.run(); });
  }
  ~Served() {
    on_loop([&] { server.reset(); });
    loop.stop();
    thread_.join();
  }

  template <typename Work>
  std::invoke_result_t<Work> on_loop(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto result = task.get_future();
    loop.post([&] { task(); });
    return result.get();
  }
  HttpCounters counters() {
    return on_loop([&] { return server->counters(); });
  }
  // Waits until `reached` of the counters, for things that nobody is told of.
  template <typename Reached>
  bool eventually(Reached reached) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!reached(counters())) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  Peer peer() { return Peer(server->port()); }
  // A live connection of the supervisor, whose opening the handler has seen.
  Peer live(const std::string& target = "/api/v1/live", int receive_bytes = 0) {
    Peer peer(server->port(), receive_bytes);
    EXPECT_EQ(peer.upgrade(target, kSupervisor).status, 101);
    EXPECT_EQ(handler.next().substr(0, 5), "open ");
    return peer;
  }
  bool serves() {
    Peer other = peer();
    other.request("GET", "/healthz");
    return other.answer().status == 200;
  }

  EventLoop loop;
  FakeHandler handler;
  std::unique_ptr<HttpServer> server;

 private:
  std::thread thread_;
};

}  // namespace nudge
