#include "src/daemon/head_export.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

namespace nudge {
namespace {

class HeadExportTest : public testing::Test {
 protected:
  HeadExportOptions options() {
    HeadExportOptions made;
    made.append = [this](const std::string& head) -> Status {
      ++tries_;
      if (full_) return resource_exhausted("no space");
      kept_.push_back(head);
      return {};
    };
    made.retry = std::chrono::milliseconds(1);
    return made;
  }
  HeadExport::Tell tell() {
    return [this](LogLevel, std::string_view, const std::string& text) { told_.push_back(text); };
  }
  void send(const std::vector<std::string>& heads) {
    for (std::string head : heads) ASSERT_TRUE(links_.signed_heads.try_push(std::move(head)));
  }
  HeadExportStatus newest() {
    std::optional<HeadExportStatus> status = links_.head_export.try_take();
    return status ? *std::move(status) : HeadExportStatus{};
  }
  void wait_for_tries(int more) {
    const int until = tries_ + more;
    while (tries_ < until) std::this_thread::yield();
  }

  Links links_;
  std::atomic<bool> full_{false};
  std::atomic<int> tries_{0};
  std::vector<std::string> kept_, told_;  // of the thread, while it runs
};

TEST_F(HeadExportTest, KeepsEveryHeadInOrder) {
  HeadExport thread(links_, options(), tell());
  send({"one", "two"});
  thread.start();
  send({"three"});
  thread.stop();
  EXPECT_EQ(kept_, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(newest().exported, 3u);
  EXPECT_TRUE(told_.empty());
}

TEST_F(HeadExportTest, TellsOfTroubleOnceAndTriesAgainUntilAllIsThere) {
  full_ = true;
  HeadExport thread(links_, options(), tell());
  send({"one", "two"});
  thread.start();
  wait_for_tries(5);
  full_ = false;
  thread.stop();
  EXPECT_EQ(kept_, (std::vector<std::string>{"one", "two"}));
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_NE(told_[0].find("no space"), std::string::npos);
  const HeadExportStatus status = newest();
  EXPECT_EQ(status.trouble, "");
  EXPECT_EQ(status.waiting, 0u);
}

TEST_F(HeadExportTest, GivesUpTheOldestWhenTooManyWaitAndCountsThem) {
  full_ = true;
  HeadExportOptions few = options();
  few.most_waiting = 2;
  HeadExport thread(links_, std::move(few), tell());
  send({"one", "two", "three"});
  thread.start();
  thread.stop();
  const HeadExportStatus status = newest();
  EXPECT_EQ(status.waiting, 2u);
  EXPECT_EQ(status.dropped, 1u);
  EXPECT_EQ(status.trouble, "no space");
}

TEST_F(HeadExportTest, OfADiskThatDoesNotAnswerHoldsUpNobodyWhoSends) {
  std::promise<void> answers;
  HeadExportOptions hangs = options();
  hangs.append = [&, answered = answers.get_future().share()](const std::string&) -> Status {
    answered.wait();
    return {};
  };
  HeadExport thread(links_, std::move(hangs), tell());
  thread.start();
  send(std::vector<std::string>(100, "head"));
  answers.set_value();
  thread.stop();
  EXPECT_EQ(newest().exported, 100u);
}

}  // namespace
}  // namespace nudge
