// Learners at the far side of the socket, on a thread: the real one, and one that sends what a test
// wants the daemon to receive.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "policy/folder.h"
#include "policy/round_planner.h"
#include "policy/weights.h"
#include "replay/feed.h"
#include "src/learning/learner.h"
#include "src/learning/learner_port.h"
#include "src/learning/settings.h"

namespace nudge::test {

// Connects to `endpoint` and works until it dies.
class LearnerThread {
 public:
  LearnerThread(const Config& config, const std::string& endpoint) {
    auto link = DaemonLink::connect(endpoint);
    EXPECT_TRUE(link.ok()) << link.status().message();
    link_ = *std::move(link);
    thread_ = std::thread([this, config] {
      // A thread of the test, which cannot be confined.
      Learner learner(config, *link_, SandboxReport{.seccomp = true, .landlock = 1});
      const Status ended = learner.run([this] { return stopping_.load(); });
      EXPECT_TRUE(ended.ok()) << ended.message();
    });
  }
  ~LearnerThread() {
    stopping_ = true;
    thread_.join();
  }

 private:
  std::unique_ptr<DaemonLink> link_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Speaks the protocol and orders rounds like the real one, but a test says what comes of them.
class ScriptedLearner {
 public:
  // Bytes for an order, or nothing: the round failed. Called on the learner's thread.
  using Craft = std::function<std::optional<std::vector<std::byte>>(const RoundOrder& order,
                                                                    const Weights& base)>;
  ScriptedLearner(const Config& config, const std::string& endpoint, Craft craft)
      : config_(config), planner_(round_planner_options(config)), craft_(std::move(craft)) {
    auto link = DaemonLink::connect(endpoint);
    EXPECT_TRUE(link.ok()) << link.status().message();
    link_ = *std::move(link);
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedLearner() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void run() {
    LearnerHello hello;
    hello.pid = 1;
    hello.config_hash = training_config_hash(config_);
    hello.confined = true;
    EXPECT_TRUE(link_->send(LearnerMessage(hello)).ok());
    while (!stopping_) {
      const auto message = link_->receive(std::chrono::milliseconds(50));
      if (!message) continue;
      if (std::holds_alternative<LearnerStop>(*message)) return;
      if (const auto* welcome = std::get_if<LearnerWelcome>(&*message)) {
        folder_ = welcome->weights_folder;
      } else {
        take(std::get<FeedItems>(*message));
      }
      EXPECT_TRUE(link_->send(LearnerMessage(FeedRequest{.from = next_})).ok());
      LearnerProgress progress;
      progress.through = next_ - 1;
      EXPECT_TRUE(link_->send(LearnerMessage(progress)).ok());
    }
  }
  void take(const FeedItems& items) {
    if (past_ == 0) past_ = items.durable;
    const auto page = decode_feed(items.page, kMaxFeedItems);
    ASSERT_TRUE(page.ok()) << page.status().message();
    for (const FeedItem& item : *page) {
      next_ = last_sequence(item) + 1;
      const auto* event = std::get_if<Event>(&item);
      if (event == nullptr) continue;
      planner_.apply(*event);
      const auto order = planner_.due();
      if (!order || order->prefix <= past_) continue;
      planner_.started(*order);
      const auto bytes = craft_(*order, *weights(order->base));
      planner_.finished(bytes.has_value());
      if (!bytes) continue;
      CandidateMessage candidate;
      candidate.base = order->base;
      candidate.kind =
          order->kind == RoundKind::kMicro ? WeightsKind::kProvisional : WeightsKind::kFull;
      candidate.prefix = order->prefix;
      candidate.weights = *bytes;
      EXPECT_TRUE(link_->send(LearnerMessage(std::move(candidate))).ok());
    }
  }
  std::shared_ptr<const Weights> weights(WeightsVersion version) {
    auto folder = open_folder(folder_);
    EXPECT_TRUE(folder.ok()) << folder.status().message();
    auto bytes = (*folder)->read(std::to_string(version) + ".safetensors", 1u << 28);
    EXPECT_TRUE(bytes.ok()) << bytes.status().message();
    return *Weights::parse(*std::move(bytes));
  }

  Config config_;
  RoundPlanner planner_;
  Craft craft_;
  std::unique_ptr<DaemonLink> link_;
  std::string folder_;
  Sequence next_ = 1;
  Sequence past_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace nudge::test
