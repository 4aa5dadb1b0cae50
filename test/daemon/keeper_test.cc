#include "src/daemon/keeper.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "src/ports/private_file.h"
#include "test/support/faulty_folder.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class KeeperTest : public testing::Test {
 protected:
  // Runs the loop until `texts` of one file have been answered.
  std::vector<Status> save(Keeper& keeper, const std::vector<std::string>& texts) {
    std::vector<Status> results;
    for (const std::string& text : texts) {
      keeper.save("devices.json", text, [&, all = texts.size()](Status status) {
        results.push_back(std::move(status));
        if (results.size() == all) loop_.stop();
      });
    }
    keeper.start();
    loop_.run();
    keeper.stop();
    return results;
  }

  test::TempFolder temporary_;
  EventLoop loop_;
};

TEST_F(KeeperTest, AnswersWhenTheNewestTextIsOnDisk) {
  Keeper keeper(*open_folder(temporary_.path()), loop_);
  const std::vector<Status> results = save(keeper, {"one", "two", "three"});
  for (const Status& status : results) EXPECT_TRUE(status.ok()) << status.message();
  const auto folder = open_folder(temporary_.path());
  const Result<std::string> text = read_private(**folder, "devices.json", 100);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "three");
}

TEST_F(KeeperTest, SaysWhenTheDiskDoesNotTakeIt) {
  test::FolderFault fault;
  fault.at = 0;
  Keeper keeper(std::make_unique<test::FaultyFolder>(*open_folder(temporary_.path()), fault),
                loop_);
  const std::vector<Status> results = save(keeper, {"one"});
  EXPECT_EQ(results[0].code(), Code::kUnavailable);
}

TEST_F(KeeperTest, RefusesMoreThanCanWait) {
  Keeper keeper(*open_folder(temporary_.path()), loop_);
  const std::vector<Status> results = save(keeper, std::vector<std::string>(300, "text"));
  std::size_t refused = 0;
  for (const Status& status : results) refused += status.code() == Code::kResourceExhausted;
  EXPECT_EQ(refused, 300u - 256u);
}

}  // namespace
}  // namespace nudge
