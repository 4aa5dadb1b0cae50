// A candidate of 0.9 MB from the learner's process to the daemon's: how long on the wire, parsed
// and bounded at its end, beside the same bytes through a bare socket. The sender's clock travels
// with it; both processes read the same one.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "src/learning/learner_port.h"
#include "src/loop/clock.h"
#include "test/support/temp_folder.h"

namespace {

using std::chrono::seconds;

constexpr std::size_t kBytes = 900'000;

double clock_now() { return nudge::seconds(nudge::steady_now().time_since_epoch()); }

void report(benchmark::State& state, std::vector<double>& times) {
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
}

// Answers each batch of the feed with a candidate, until it is told to stop.
void be_the_learner(const std::string& endpoint) {
  auto link = nudge::DaemonLink::connect(endpoint);
  if (!link.ok() || !(*link)->send(nudge::LearnerHello{}).ok()) return;
  std::uint32_t sent = 0;
  while (const auto message = (*link)->receive(seconds(30))) {
    if (std::holds_alternative<nudge::LearnerStop>(*message)) return;
    nudge::CandidateMessage candidate;  // as a round makes it: moved to the link
    candidate.steps = ++sent;
    candidate.weights.assign(kBytes, static_cast<std::byte>(sent));
    candidate.train_seconds = clock_now();
    if (!(*link)->send(std::move(candidate)).ok()) return;
  }
}

void candidate_on_the_wire(benchmark::State& state) {
  const nudge::test::TempFolder folder;
  const std::string path = folder / "run/learner";
  auto port = nudge::LearnerPort::bind(path, 2 * kBytes);
  if (!port.ok()) return state.SkipWithError("no port");
  const pid_t child = ::fork();
  if (child == 0) {
    be_the_learner("ipc://" + path);
    ::_exit(0);
  }
  if (!(*port)->receive(seconds(30))) return state.SkipWithError("no learner");
  (*port)->admit();
  std::vector<double> times;
  for ([[maybe_unused]] auto iteration : state) {
    if (!(*port)->send(nudge::FeedItems{}).ok()) return state.SkipWithError("cannot send");
    const auto message = (*port)->receive(seconds(30));
    const auto* candidate = message ? std::get_if<nudge::CandidateMessage>(&*message) : nullptr;
    if (candidate == nullptr) return state.SkipWithError("no candidate came");
    const double took = clock_now() - candidate->train_seconds;
    times.push_back(1e6 * took);
    state.SetIterationTime(took);
  }
  if (!(*port)->send(nudge::LearnerStop{}).ok()) state.SkipWithError("cannot stop the learner");
  ::waitpid(child, nullptr, 0);
  report(state, times);
}
BENCHMARK(candidate_on_the_wire)->UseManualTime()->Iterations(200)->Unit(benchmark::kMicrosecond);

// All of `bytes` in one direction; false when the other end is gone.
template <typename Byte, typename Call>
bool all(std::span<Byte> bytes, const Call& call) {
  while (!bytes.empty()) {
    const ssize_t done = call(bytes.data(), bytes.size());
    if (done <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

// What the machine takes at least: a Unix socket between two threads that do nothing else, and
// memory that is there already at both ends.
void bare_socket(benchmark::State& state) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return state.SkipWithError("no socket");
  const auto send_to = [](int end) {
    return [end](const std::byte* at, std::size_t size) { return ::send(end, at, size, 0); };
  };
  const auto receive_from = [](int end) {
    return [end](std::byte* at, std::size_t size) { return ::recv(end, at, size, 0); };
  };
  std::vector<std::byte> bytes(kBytes, std::byte{1});
  std::byte request{1};
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    while (all(std::span(&request, 1), receive_from(ends[1]))) {
      const double sent = clock_now();
      std::memcpy(bytes.data(), &sent, sizeof sent);
      if (!all(std::span<const std::byte>(bytes), send_to(ends[1]))) break;
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::vector<double> times;
  for ([[maybe_unused]] auto iteration : state) {
    if (!all(std::span<const std::byte>(&request, 1), send_to(ends[0])) ||
        !all(std::span(bytes), receive_from(ends[0]))) {
      state.SkipWithError("the other end is gone");
      break;
    }
    double sent = 0;
    std::memcpy(&sent, bytes.data(), sizeof sent);
    const double took = clock_now() - sent;
    times.push_back(1e6 * took);
    state.SetIterationTime(took);
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  report(state, times);
}
BENCHMARK(bare_socket)->UseManualTime()->Iterations(200)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
