// A candidate of 0.9 MB from the learner's process to the daemon's: how long on the wire, parsed
// and bounded at its end. The sender's clock travels with it; both processes read the same one.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "src/learning/learner_port.h"
#include "src/loop/clock.h"
#include "test/support/temp_folder.h"

namespace {

using std::chrono::seconds;

// Answers each batch of the feed with a candidate, until it is told to stop.
void be_the_learner(const std::string& endpoint) {
  auto link = nudge::DaemonLink::connect(endpoint);
  if (!link.ok() || !(*link)->send(nudge::LearnerHello{::getpid(), "bench", "bench"}).ok()) return;
  std::uint32_t sent = 0;
  while (const auto message = (*link)->receive(seconds(30))) {
    if (std::holds_alternative<nudge::LearnerStop>(*message)) return;
    nudge::CandidateMessage candidate;  // as a round makes it: moved to the link
    candidate.steps = ++sent;
    candidate.weights.assign(900'000, static_cast<std::byte>(sent));
    candidate.train_seconds = nudge::seconds(nudge::steady_now().time_since_epoch());
    if (!(*link)->send(std::move(candidate)).ok()) return;
  }
}

void candidate_on_the_wire(benchmark::State& state) {
  const nudge::test::TempFolder folder;
  const std::string path = folder / "run/learner";
  // It makes a context of its own: the threads of one do not survive a fork.
  const pid_t child = ::fork();
  if (child == 0) {
    be_the_learner("ipc://" + path);
    ::_exit(0);
  }
  auto port = nudge::LearnerPort::bind(path);
  if (!port.ok() || !(*port)->receive(seconds(30))) return state.SkipWithError("no learner");
  std::vector<double> times;
  for ([[maybe_unused]] auto iteration : state) {
    if (!(*port)->send(nudge::FeedItems{}).ok()) return state.SkipWithError("cannot send");
    const auto message = (*port)->receive(seconds(30));
    const auto* candidate = message ? std::get_if<nudge::CandidateMessage>(&*message) : nullptr;
    if (candidate == nullptr) return state.SkipWithError("no candidate came");
    const double now = nudge::seconds(nudge::steady_now().time_since_epoch());
    times.push_back(1e6 * (now - candidate->train_seconds));
    state.SetIterationTime(now - candidate->train_seconds);
  }
  if (!(*port)->send(nudge::LearnerStop{}).ok()) state.SkipWithError("cannot stop the learner");
  ::waitpid(child, nullptr, 0);
  std::sort(times.begin(), times.end());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
}
BENCHMARK(candidate_on_the_wire)->UseManualTime()->Iterations(200)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
