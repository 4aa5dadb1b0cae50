// What the log keeps when the power fails at any moment: unsynced writes are dropped, reordered and
// torn, unsynced names forgotten. NUDGE_LONG=1 fails it at every change with twenty fates each.
#include <gtest/gtest.h>

#include <optional>

#include "replay/log.h"
#include "test/support/log_script.h"
#include "test/support/long_form.h"
#include "test/support/lossy_disk.h"
#include "test/support/lossy_sqlite.h"

namespace nudge {
namespace {

using test::Acknowledged;
using test::LossyDisk;
using test::LossyFiles;
using test::LossySqlite;

constexpr int kEpisodes = 10;  // of the script: some fifty commits and several checkpoints

struct Campaign {
  std::uint64_t failures = 0;  // of the power
  std::uint64_t commits = 0;   // acknowledged before them
  std::uint64_t losses = 0;    // runs after which something acknowledged was missing
  std::string first_loss;
};

// One machine: the power fails at the change `at`, what survives is `fate`'s, and it may fail again
// while the log recovers.
class Machine {
 public:
  explicit Machine(const std::string& lie) {
    disk_.make_folder("/state");
    disk_.sync_folder("/");
    disk_.lie_about(lie);
  }

  // False: the script had fewer changes.
  bool run(std::uint64_t at, std::uint64_t fate, Campaign& campaign) {
    const LossySqlite sqlite(disk_);
    LossyFiles files(disk_);
    const LogOptions options = test::script_options("/state/log");
    disk_.fail_at(at);
    Acknowledged acknowledged;
    {
      auto log = Log::open(files, options);
      if (log.ok()) acknowledged = test::run_script(**log, kEpisodes);
    }
    const bool failed = disk_.off();
    disk_.restart(fate);
    Random random(fate);
    if (failed && random.below(3) == 0) {
      disk_.fail_at(1 + random.below(12));
      (void)Log::open(files, options);
      disk_.restart(fate + 1);
    }
    ++campaign.failures;
    campaign.commits += acknowledged.events.size();
    const std::string missing = test::missing_from(files, options, acknowledged);
    if (!missing.empty()) {
      ++campaign.losses;
      if (campaign.first_loss.empty()) {
        campaign.first_loss =
            "change " + std::to_string(at) + ", fate " + std::to_string(fate) + ": " + missing;
      }
    }
    return failed;
  }

 private:
  LossyDisk disk_;
};

// The power fails at every `stride`-th change of the script, `fates` times each.
Campaign fail_everywhere(std::uint64_t stride, std::uint64_t fates, const std::string& lie = {}) {
  Campaign campaign;
  bool reached = true;
  for (std::uint64_t at = 1; reached; at += stride) {
    for (std::uint64_t fate = 0; fate < fates; ++fate) {
      reached = Machine(lie).run(at, at * 1000 + fate, campaign);
      if (!reached) break;
    }
  }
  ::testing::Test::RecordProperty("power_failures", static_cast<int>(campaign.failures));
  ::testing::Test::RecordProperty("runs_with_a_loss", static_cast<int>(campaign.losses));
  std::printf("power failed %llu times, %llu runs lost something acknowledged\n",
              static_cast<unsigned long long>(campaign.failures),
              static_cast<unsigned long long>(campaign.losses));
  return campaign;
}

TEST(PowerLoss, TakesNothingThatWasAcknowledged) {
  const Campaign campaign = test::long_form() ? fail_everywhere(1, 20) : fail_everywhere(5, 2);
  EXPECT_EQ(campaign.losses, 0u) << campaign.first_loss;
  EXPECT_GT(campaign.commits, campaign.failures) << "the script did not do its work";
}

// The control runs: a log with one sync missing must be caught, or the test above shows nothing.
// Without syncs of the write-ahead log, SQLite does what it does with synchronous = NORMAL.
TEST(PowerLoss, IsCaughtTakingEventsWhenTheWriteAheadLogIsNotSynced) {
  EXPECT_GT(fail_everywhere(29, 3, "log.db-wal").losses, 0u);
}

TEST(PowerLoss, IsCaughtTakingStepsWhenSegmentsAreNotSynced) {
  EXPECT_GT(fail_everywhere(29, 3, ".seg").losses, 0u);
}

}  // namespace
}  // namespace nudge
