#include "replay/follow.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class Follow : public testing::Test {
 protected:
  void SetUp() override {
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.ballast_bytes = 0;
    auto log = Log::open(posix_files(), options);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    for (int i = 0; i < 2500; ++i) {  // more than is read at a time
      ASSERT_TRUE(log_->append(test::sample_event("id-" + std::to_string(i), 0, Stopped{})).ok());
    }
    ASSERT_TRUE(log_->commit().ok());
  }
  Status read(Sequence after, Sequence fails_at = 0) {
    return follow(*log_, after, [&](const FeedItem& item) {
      seen_.push_back(last_sequence(item));
      return seen_.back() == fails_at ? aborted("enough") : Status();
    });
  }

  test::TempFolder folder_;
  std::unique_ptr<Log> log_;
  std::vector<Sequence> seen_;
};

TEST_F(Follow, ShowsEveryEntryOnceAndInOrder) {
  ASSERT_TRUE(read(0).ok());
  ASSERT_EQ(seen_.size(), log_->durable());
  for (std::size_t i = 0; i < seen_.size(); ++i) ASSERT_EQ(seen_[i], i + 1);
}

TEST_F(Follow, GoesOnBehindWhatWasSeen) {
  ASSERT_TRUE(read(log_->durable() - 2).ok());
  EXPECT_EQ(seen_, (std::vector<Sequence>{log_->durable() - 1, log_->durable()}));
  ASSERT_TRUE(read(log_->durable()).ok());
  EXPECT_EQ(seen_.size(), 2u);
}

TEST_F(Follow, EndsWithTheFirstError) {
  EXPECT_EQ(read(0, 1700).code(), Code::kAborted);
  EXPECT_EQ(seen_.back(), 1700u);
}

}  // namespace
}  // namespace nudge
