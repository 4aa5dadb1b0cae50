// A kitchen in a seed: the daemon's parts, an arm, four people on bad networks, a disk that fails
// and forgets, stalls in every thread, kills and power failures. One seed is one life; it replays
// exactly.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "test/daemon/world/machine.h"
#include "test/daemon/world/person.h"
#include "test/daemon/world/timeline.h"
#include "test/daemon/world/witness.h"
#include "test/support/faulty_files.h"
#include "test/support/lossy_disk.h"
#include "test/support/lossy_sqlite.h"

namespace nudge::test {

struct WorldOptions {
  std::uint64_t seed = 1;
  Duration length = std::chrono::seconds(20);
  std::string lie = {};  // syncs of such files do nothing: a control run that must break promises
};

class World final : public DeskListener {
 public:
  explicit World(const WorldOptions& options)
      : options_(options),
        time_(options.seed),
        sqlite_(disk_),
        lossy_(disk_),
        files_(lossy_),
        arm_(time_),
        witness_(time_) {
    disk_.make_folder("/state");
    disk_.sync_folder("/");
    disk_.lie_about(options.lie);
    disk_.on_sync([this] {
      time_.hold_up(time_.chance(0.01) ? time_.between(50'000, 1'500'000)
                                       : time_.between(100, 6'000));
    });
    continuous_ = time_.chance(0.5);
    calm_ = time_.chance(0.3);
    people_.emplace_back(time_, Actor{.name = "anna#1", .role = Role::kSupervisor});
    people_.emplace_back(time_, Actor{.name = "ben#2", .role = Role::kSupervisor});
    people_.emplace_back(time_, Actor{.name = "eva#3", .role = Role::kEngineer});
    people_.emplace_back(time_, Actor{.name = "vic#4", .role = Role::kViewer});
  }
  ~World() override {
    machine_.reset();
    disk_.on_sync({});
  }

  // A whole life; the first promise that was broken, or nothing.
  std::string live() {
    const Instant end = Timeline::now() + options_.length;
    while (witness_.broken().empty() && Timeline::now() < end) {
      if (boot()) time_.run(end);
      if (machine_ && !time_.halted()) break;
      fall();
    }
    quiet_ = true;
    if (!machine_ && !boot()) return "it does not boot on a healthy disk: " + trouble_;
    settle();
    return witness_.broken();
  }

  const Witness& witness() const { return witness_; }

 private:
  // ---- one boot ----

  bool boot() {
    const Instant begin = Timeline::now();
    time_.clear();
    files_.plan({});
    if (!quiet_ && time_.chance(0.1)) {
      disk_.fail_at(1 + time_.random().below(20));  // while it recovers
    }
    std::string trouble;
    machine_ = Machine::boot(files_, arm_, ++boots_, continuous_, trouble);
    if (!machine_) {
      trouble_ = trouble;
      if (!disk_.off()) witness_.broke("it does not boot: " + trouble);
      return false;
    }
    disk_.fail_at(0);
    machine_->snapshot = machine_->links.snapshot.try_take().value_or(Snapshot{});
    witness_.booted(*machine_);
    machine_->links.snapshot.put(machine_->snapshot);
    machine_->desk->add(*this);
    published_ = false;
    for (Person& person : people_) {
      person.connected = false;
      person.back_at = begin + time_.between(10'000, 800'000);
    }
    due_ = begin + kTick;
    time_.at(due_, Turn::kStep, [this] { step(); });
    time_.after(std::chrono::milliseconds(1), Turn::kWriter, [this] { write(); });
    time_.after(std::chrono::milliseconds(1), Turn::kDesk, [this] { look(); });
    time_.after(std::chrono::milliseconds(1), Turn::kInference, [this] { infer(); });
    time_.after(std::chrono::milliseconds(1), Turn::kGate, [this] { gate(); });
    time_.after(std::chrono::milliseconds(1), Turn::kPeople, [this] { act(); });
    if (!quiet_) {
      time_.after(time_.between(200'000, calm_ ? 30'000'000 : 6'000'000), Turn::kFate,
                  [this] { end_boot(); });
      time_.after(time_.between(100'000, 3'000'000), Turn::kFate, [this] { disk_fault(); });
    }
    return true;
  }

  void end_boot() {
    if (quiet_) return;
    power_ = time_.chance(0.5);
    if (power_ && time_.chance(0.7)) {
      disk_.fail_at(1 + time_.random().below(60));  // in the middle of something
      time_.after(time_.between(1'000, 300'000), Turn::kFate, [this] {
        if (!quiet_) end_now();
      });
    } else {
      end_now();
    }
  }
  void end_now() {
    disk_.cut();
    time_.halt();
  }

  // What is left of a boot that has ended.
  void fall() {
    arm_.hold();  // by the driver's own timeout
    if (machine_) witness_.note(power_ ? "power " : "kill ");
    ++(power_ ? witness_.counts.powers : witness_.counts.kills);
    machine_.reset();
    disk_.cut();
    if (power_) {
      disk_.restart(time_.random().next());
    } else {
      disk_.restart_program();
    }
    power_ = true;  // unless it is said otherwise: a boot fails for want of power only
  }

  // Nothing goes wrong any more: everybody gets their answer, and the log is whole.
  void settle() {
    if (!witness_.broken().empty()) return;
    files_.plan({});
    disk_.fail_at(0);
    arm_.silent_until = Instant::min();
    for (Person& person : people_) person.slow = {};
    time_.run(Timeline::now() + std::chrono::seconds(6));
    for (const Person& person : people_) {
      if (person.unanswered().empty()) continue;
      witness_.broke(person.unanswered().begin()->first + " was never answered");
    }
    machine_.reset();
    time_.clear();
    disk_.restart_program();
    if (!boot()) return;
    const Result<VerifyReport> report = machine_->log->verify();
    if (!report.ok()) {
      witness_.broke("the log cannot be verified: " + report.status().message());
    } else if (!report->ok()) {
      witness_.broke("the log is not whole: " + report->problems.front());
    }
  }

  // ---- the daemon's threads ----

  void step() {
    machine_->step->tick(Timeline::now(), due_);
    if (std::optional<Snapshot> snapshot = machine_->links.snapshot.try_take()) {
      machine_->snapshot = *snapshot;
      machine_->links.snapshot.put(*std::move(snapshot));
    }
    witness_.ticked(arm_, *machine_);
    if (!witness_.broken().empty()) return end_now();
    due_ += kTick;
    Duration late = time_.between(0, 300);
    if (!quiet_ && time_.chance(0.01)) late = time_.between(4'000, 12'000);
    if (!quiet_ && time_.chance(0.0005)) late = time_.between(30'000, 400'000);
    if (Timeline::now() > due_) due_ = Timeline::now() + kTick;
    time_.at(due_ + late, Turn::kStep, [this] { step(); });
  }

  void write() {
    machine_->writer->turn(Duration::zero());
    if (disk_.off()) return end_now();
    const bool stalls = !quiet_ && time_.chance(0.002);
    time_.after(stalls ? time_.between(50'000, 2'000'000) : time_.between(500, 8'000),
                Turn::kWriter, [this] { write(); });
  }

  void look() {
    machine_->desk->look();
    const bool stalls = !quiet_ && time_.chance(0.002);
    time_.after(stalls ? time_.between(20'000, 300'000) : time_.between(3'000, 7'000), Turn::kDesk,
                [this] { look(); });
  }

  // In the order of InferenceThread: requests, then the head, then the work.
  void infer() {
    machine_->links.requests.try_take_all(machine_->requests);
    if (const LoadedHead* head = machine_->links.heads.try_take()) {
      machine_->using_ = head->version;
      machine_->links.loaded = head->version;
    }
    const bool hangs = !quiet_ && time_.chance(0.002);
    if (!machine_->requests.empty()) {
      time_.hold_up(hangs ? time_.between(100'000, 900'000) : time_.between(1'000, 30'000));
    }
    for (InferenceRequest& request : machine_->requests) {
      if (request.chunk && machine_->using_ != 0) {
        ActionChunk chunk =
            steady_chunk(request.observation.time, machine_->using_, rate_of(machine_->using_));
        machine_->links.chunks.put({.chunk = std::move(chunk)});
      }
      if (!request.step) continue;
      (void)machine_->links.writer.push_reserved(WriterItem(StepFeatures{
          .episode = request.episode, .step = *request.step, .features = {0.25f}, .images = {}}));
    }
    machine_->requests.clear();
    time_.after(time_.between(500, 5'000), Turn::kInference, [this] { infer(); });
  }

  void gate() {
    Links& links = machine_->links;
    std::vector<GateItem> items;
    links.gate.try_take_all(items);
    for (GateItem& item : items) {
      if (const auto* batch = std::get_if<FeedBatch>(&item)) witness_.fed(batch->items, *machine_);
      const auto* news = std::get_if<TickNews>(&item);
      if (news == nullptr || news->played == 0 || news->played == machine_->live) continue;
      machine_->live = news->played;
      record(WeightsLive{machine_->live});
    }
    links.heads.collect();
    if (!published_ || time_.chance(0.02)) {
      ++witness_.counts.swaps;
      publish();
    } else if (time_.chance(0.005)) {
      // Found wanting: it is never used again.
      witness_.withdrew(newest_version_);
      publish();
      ++links.flushes;
    }
    time_.after(time_.between(5'000, 30'000), Turn::kGate, [this] { gate(); });
  }
  void publish() {
    published_ = true;
    machine_->links.heads.publish(LoadedHead{.version = ++newest_version_, .head = nullptr});
    witness_.note(static_cast<std::int64_t>(newest_version_));
  }
  void record(Payload payload) {
    (void)machine_->links.writer.push_reserved(
        WriterItem(RecordWanted{.payload = std::move(payload), .actor = std::nullopt, .id = ""}));
  }

  void on_events(std::span<const Event> events) override {
    for (const Event& event : events) witness_.told(event, *machine_);
  }
  void on_status() override {
    const Snapshot& newest = machine_->desk->snapshot();
    for (Person& person : people_) {
      if (!person.connected) continue;
      time_.after(person.slow + time_.between(1'000, 20'000), Turn::kPeople,
                  [this, &person, connection = person.connection, newest] {
                    if (person.connected && person.connection == connection) person.sees(newest);
                  });
    }
  }
  void on_frame(std::size_t) override {}

  // ---- people and their networks ----

  void act() {
    for (Person& person : people_) {
      if (!quiet_) weather(person);
      if (!person.connected && Timeline::now() >= person.back_at) person.connects();
      person.act(quiet_, [&](FeedbackMessage message) { send(person, std::move(message)); });
    }
    time_.after(std::chrono::milliseconds(50), Turn::kPeople, [this] { act(); });
  }

  void weather(Person& person) {
    if (person.connected && time_.chance(0.004)) {
      person.connected = false;
      person.back_at = Timeline::now() + time_.between(50'000, 4'000'000);
    }
    if (time_.chance(0.01)) {
      person.slow = time_.chance(0.5) ? Duration::zero() : time_.between(20'000, 1'200'000);
    }
    if (time_.chance(0.002)) arm_.silent_until = Timeline::now() + time_.between(20'000, 600'000);
  }

  // Order is kept within a connection, and some arrive twice.
  void send(Person& person, FeedbackMessage message) {
    const int copies = time_.chance(0.02) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      person.newest_arrival = std::max(person.newest_arrival,
                                       Timeline::now() + person.slow + time_.between(500, 25'000));
      time_.at(person.newest_arrival, Turn::kDesk,
               [this, &person, connection = person.connection, message] {
                 // What was on its way when the link broke may have come through.
                 if (person.connection == connection && (person.connected || time_.chance(0.5))) {
                   deliver(person, message);
                 }
               });
    }
  }

  void deliver(Person& person, const FeedbackMessage& message) {
    witness_.delivered(message);
    machine_->desk->submit(
        message, [this, &person, message, connection = person.connection](const Ack& ack) {
          witness_.answered(message, ack);
          witness_.note(ack.id);
          witness_.note(ack.status.ok() ? "+" : "-");
          time_.after(person.slow + time_.between(500, 25'000), Turn::kPeople,
                      [&person, connection, ack] {
                        if (person.connected && person.connection == connection) person.hears(ack);
                      });
        });
  }

  void disk_fault() {
    if (quiet_) return;
    FaultPlan plan;
    plan.at = 1 + time_.random().below(20);
    plan.no_space = time_.chance(0.5);
    plan.for_good = time_.chance(0.4);
    if (plan.for_good) plan.until = plan.at + 1 + time_.random().below(200);
    files_.plan(plan);
    time_.after(time_.between(200'000, 4'000'000), Turn::kFate, [this] { disk_fault(); });
  }

  WorldOptions options_;
  Timeline time_;
  LossyDisk disk_;
  LossySqlite sqlite_;
  LossyFiles lossy_;
  FaultyFiles files_;
  SimulatedArm arm_;
  Witness witness_;
  std::vector<Person> people_;
  std::unique_ptr<Machine> machine_;
  std::string trouble_;
  int boots_ = 0;
  WeightsVersion newest_version_ = 0;  // no number is given twice
  bool continuous_ = false, calm_ = false, power_ = true, quiet_ = false, published_ = false;
  Instant due_;
};

}  // namespace nudge::test
