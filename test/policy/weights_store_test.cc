#include "policy/weights_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "nudge/random.h"
#include "test/support/faulty_folder.h"
#include "test/support/temp_folder.h"
#include "test/support/weights_samples.h"

namespace nudge {
namespace {

using test::edit_of;
using test::some_weights;

PublishRequest request(WeightsVersion version) {
  PublishRequest request;
  request.version = version;
  request.parent = version - 1;
  request.report = R"({"change":0.01})";
  request.created = WallTime(std::chrono::seconds(1'700'000'000));
  return request;
}

WeightsStore open_store(const std::string& path, const std::string& robot = "kitchen-1") {
  auto folder = open_folder(path);
  EXPECT_TRUE(folder.ok()) << folder.status().message();
  auto key = SigningKey::load_or_create(**folder);
  EXPECT_TRUE(key.ok()) << key.status().message();
  auto store = WeightsStore::open(std::move(*folder), std::move(*key), robot);
  EXPECT_TRUE(store.ok()) << store.status().message();
  return std::move(*store);
}

class WeightsStoreTest : public ::testing::Test {
 protected:
  WeightsStoreTest() : store_(open_store(root_.path())) {}

  void publish(WeightsVersion version, std::uint64_t seed) {
    const auto manifest = store_.publish(*some_weights(seed), request(version));
    ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  }
  std::string weights(WeightsVersion version) {
    return root_ / (std::to_string(version) + ".safetensors");
  }
  std::string manifest(WeightsVersion version) {
    return root_ / (std::to_string(version) + ".manifest.json");
  }
  static bool exists(const std::string& path) { return std::filesystem::exists(path); }
  void copy_over(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  }
  static void flip_byte(const std::string& path, std::size_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  // Refused as damaged, for this reason, and set aside with it.
  void expect_set_aside(WeightsVersion version, const std::string& why) {
    const Status status = store_.load(version).status();
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.message();
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("version " + std::to_string(version)), std::string::npos);
    EXPECT_FALSE(exists(manifest(version)));
    EXPECT_FALSE(exists(weights(version)));
    EXPECT_TRUE(exists(manifest(version) + ".rejected"));
    std::ifstream reason(root_ / (std::to_string(version) + ".reason.rejected"));
    std::string text;
    std::getline(reason, text);
    EXPECT_NE(text.find(why), std::string::npos) << text;
    EXPECT_EQ(store_.load(version).status().code(), Code::kNotFound);
  }

  test::TempFolder root_;
  WeightsStore store_;
};

TEST_F(WeightsStoreTest, LoadsWhatWasPublished) {
  const auto original = some_weights(1, WeightsKind::kProvisional);
  const auto written = store_.publish(*original, request(3));
  ASSERT_TRUE(written.ok()) << written.status().message();
  const auto stored = store_.load(3);
  ASSERT_TRUE(stored.ok()) << stored.status().message();
  EXPECT_EQ(stored->manifest, *written);
  EXPECT_EQ(stored->manifest.version, 3u);
  EXPECT_EQ(stored->manifest.parent, 2u);
  EXPECT_EQ(stored->manifest.kind, WeightsKind::kProvisional);
  EXPECT_EQ(stored->manifest.robot, "kitchen-1");
  EXPECT_EQ(stored->weights->hash(), original->hash());
}

TEST_F(WeightsStoreTest, LoadsAfterARestart) {
  publish(1, 1);
  WeightsStore again = open_store(root_.path());
  EXPECT_TRUE(again.load(1).ok());
  EXPECT_EQ(*again.versions(), (std::vector<WeightsVersion>{1}));
}

TEST_F(WeightsStoreTest, ListsVersionsByNumber) {
  for (const WeightsVersion version : {2, 10, 1}) publish(version, version);
  EXPECT_EQ(*store_.versions(), (std::vector<WeightsVersion>{1, 2, 10}));
}

TEST_F(WeightsStoreTest, NeverReplacesAVersion) {
  publish(1, 1);
  EXPECT_EQ(store_.publish(*some_weights(2), request(1)).status().code(), Code::kAlreadyExists);
  EXPECT_EQ(store_.load(1)->weights->hash(), some_weights(1)->hash());
}

TEST_F(WeightsStoreTest, PublishingTheSameAgainChangesNothing) {
  publish(1, 1);
  EXPECT_TRUE(store_.publish(*some_weights(1), request(1)).ok());
}

TEST_F(WeightsStoreTest, RefusesARequestOutOfRange) {
  PublishRequest wrong = request(1);
  wrong.version = 0;
  wrong.parent = 0;
  EXPECT_EQ(store_.publish(*some_weights(1), wrong).status().code(), Code::kInvalidArgument);
  wrong = request(3);
  wrong.parent = 3;
  EXPECT_EQ(store_.publish(*some_weights(1), wrong).status().code(), Code::kInvalidArgument);
}

TEST_F(WeightsStoreTest, SaysWhenThereIsNoSuchVersion) {
  EXPECT_EQ(store_.load(9).status().code(), Code::kNotFound);
}

TEST_F(WeightsStoreTest, SetsAsideWeightsWithAFlippedBit) {
  publish(1, 1);
  flip_byte(weights(1), std::filesystem::file_size(weights(1)) - 5);
  expect_set_aside(1, "hash is not the manifest's");
}

TEST_F(WeightsStoreTest, SetsAsideTruncatedWeights) {
  publish(1, 1);
  std::filesystem::resize_file(weights(1), std::filesystem::file_size(weights(1)) - 1);
  expect_set_aside(1, "bytes, the manifest says");
}

TEST_F(WeightsStoreTest, SetsAsideWeightsLargerThanTheManifestSays) {
  publish(1, 1);
  std::filesystem::resize_file(weights(1), std::uintmax_t{1} << 40);
  expect_set_aside(1, "at most");
}

TEST_F(WeightsStoreTest, SetsAsideWeightsThatNoLongerParse) {
  publish(1, 1);
  flip_byte(weights(1), 8);
  expect_set_aside(1, "weights file is damaged");
}

TEST_F(WeightsStoreTest, SetsAsideAManifestWithoutWeights) {
  publish(1, 1);
  std::filesystem::remove(weights(1));
  expect_set_aside(1, "no weights file");
}

TEST_F(WeightsStoreTest, SetsAsideADamagedManifest) {
  publish(1, 1);
  flip_byte(manifest(1), 40);
  const Status status = store_.load(1).status();
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.message();
  EXPECT_TRUE(exists(manifest(1) + ".rejected"));
}

TEST_F(WeightsStoreTest, SetsAsideAnOlderVersionUnderANewerName) {
  publish(1, 1);
  publish(2, 2);
  copy_over(manifest(1), manifest(2));
  copy_over(weights(1), weights(2));
  expect_set_aside(2, "belongs to version 1");
}

TEST_F(WeightsStoreTest, SetsAsideOlderWeightsUnderANewerManifest) {
  publish(1, 1);
  publish(2, 2);
  copy_over(weights(1), weights(2));
  expect_set_aside(2, "hash is not the manifest's");
}

TEST_F(WeightsStoreTest, SetsAsideWhatTheLogDoesNotKnow) {
  publish(1, 1);
  const Status status = store_.load(1, some_weights(2)->hash()).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("in the log"), std::string::npos) << status.message();
}

TEST_F(WeightsStoreTest, AcceptsTheHashOfTheLog) {
  publish(1, 1);
  EXPECT_TRUE(store_.load(1, some_weights(1)->hash()).ok());
}

TEST_F(WeightsStoreTest, SetsAsideAnotherRobotsWeights) {
  publish(1, 1);
  store_ = open_store(root_.path(), "kitchen-2");
  expect_set_aside(1, "belongs to robot \"kitchen-1\"");
}

TEST_F(WeightsStoreTest, RefusesAnotherKeyButLeavesTheFiles) {
  const test::TempFolder elsewhere;
  {
    WeightsStore other = open_store(elsewhere.path());
    ASSERT_TRUE(other.publish(*some_weights(1), request(1)).ok());
  }
  copy_over(elsewhere / "1.manifest.json", manifest(1));
  copy_over(elsewhere / "1.safetensors", weights(1));
  const Status status = store_.load(1).status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied) << status.message();
  EXPECT_NE(status.message().find("another key"), std::string::npos);
  EXPECT_TRUE(exists(manifest(1)));
}

TEST_F(WeightsStoreTest, SetsAsideSymbolicLinksWithoutFollowingThem) {
  publish(1, 1);
  std::filesystem::rename(weights(1), root_ / "target");
  std::filesystem::create_symlink(root_ / "target", weights(1));
  const Status status = store_.load(1).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("symbolic link"), std::string::npos) << status.message();
  EXPECT_TRUE(exists(root_ / "target"));
}

TEST_F(WeightsStoreTest, SetsAsideAFifoWithoutWaiting) {
  publish(1, 1);
  std::filesystem::remove(weights(1));
  ASSERT_EQ(::mkfifo(weights(1).c_str(), 0600), 0);
  expect_set_aside(1, "not a plain file");
}

TEST_F(WeightsStoreTest, KeepsTheNewestAndTheNamedWhenPruning) {
  for (WeightsVersion version = 1; version <= 9; ++version) publish(version, version);
  const auto removed = store_.prune({2, 7});
  ASSERT_TRUE(removed.ok()) << removed.status().message();
  EXPECT_EQ(*removed, 3u);
  EXPECT_EQ(*store_.versions(), (std::vector<WeightsVersion>{2, 5, 6, 7, 8, 9}));
  EXPECT_FALSE(exists(weights(1)));
  EXPECT_TRUE(store_.load(2).ok());
}

TEST_F(WeightsStoreTest, KeepsOnlyTheNewestOfWhatWasSetAside) {
  for (WeightsVersion version = 1; version <= 8; ++version) {
    publish(version, version);
    ASSERT_TRUE(store_.quarantine(version, "a test").ok());
  }
  ASSERT_TRUE(store_.prune({}).ok());
  EXPECT_FALSE(exists(weights(3) + ".rejected"));
  EXPECT_FALSE(exists(root_ / "3.reason.rejected"));
  EXPECT_TRUE(exists(weights(4) + ".rejected"));
  EXPECT_TRUE(exists(root_ / SigningKey::kFileName));
}

TEST_F(WeightsStoreTest, ClearsAwayWhatAnInterruptedPublishLeft) {
  std::ofstream(root_ / "4.safetensors.tmp") << "half";
  std::ofstream(weights(4)) << "whole, but nobody vouches for it";
  WeightsStore again = open_store(root_.path());
  EXPECT_FALSE(exists(root_ / "4.safetensors.tmp"));
  EXPECT_FALSE(exists(weights(4)));
  EXPECT_TRUE(again.publish(*some_weights(4), request(4)).ok());
  EXPECT_TRUE(again.load(4).ok());
}

// ---- the base that weights edit ----

class WeightsStoreBase : public WeightsStoreTest {
 protected:
  Result<Manifest> publish_edit(WeightsVersion version,
                                const std::shared_ptr<const Weights>& base) {
    PublishRequest wanted = request(version);
    wanted.base = base;
    return store_.publish(*edit_of(*base, version), wanted);
  }
  std::string base_file(const Weights& base, const std::string& suffix = ".safetensors") {
    return root_ / ("base-" + to_hex(base.hash()) + suffix);
  }
  // A version cannot be loaded for this reason; the base is set aside, and the version stays.
  void expect_base_refused(const std::string& why) {
    const Status status = store_.load(1).status();
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.message();
    EXPECT_NE(status.message().find("version 1: the base that they edit"), std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
    EXPECT_FALSE(exists(base_file(*base_, ".manifest.json")));
    EXPECT_TRUE(exists(manifest(1)));
    EXPECT_EQ(store_.load(1).status().code(), Code::kDataLoss) << "again";
  }
  std::string reason() {
    std::ifstream file(base_file(*base_, ".reason.rejected"));
    std::string text;
    std::getline(file, text);
    return text;
  }

  const std::shared_ptr<const Weights> base_ = some_weights(100), other_ = some_weights(101);
};

TEST_F(WeightsStoreBase, ComesWithEachVersionThatNamesIt) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  ASSERT_TRUE(publish_edit(2, other_).ok());
  ASSERT_TRUE(publish_edit(3, base_).ok());
  for (const auto& [version, base] : {std::pair{1, base_}, {2, other_}, {3, base_}}) {
    const auto stored = store_.load(static_cast<WeightsVersion>(version));
    ASSERT_TRUE(stored.ok()) << stored.status().message();
    ASSERT_NE(stored->base, nullptr);
    EXPECT_EQ(stored->base->hash(), base->hash());
    EXPECT_EQ(stored->manifest.base, base->hash());
  }
  publish(4, 4);
  EXPECT_EQ(store_.load(4)->base, nullptr);
}

TEST_F(WeightsStoreBase, IsRefusedWhenItsNumbersWereChanged) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  flip_byte(base_file(*base_), std::filesystem::file_size(base_file(*base_)) - 5);
  expect_base_refused("is not the one that the weights name");
  EXPECT_NE(reason().find("is not the one that the weights name"), std::string::npos) << reason();
}

TEST_F(WeightsStoreBase, IsRefusedWithoutItsSignedManifest) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  std::filesystem::remove(base_file(*base_, ".manifest.json"));
  expect_base_refused("no signed manifest");
  EXPECT_TRUE(exists(base_file(*base_))) << "nothing was found wrong with it";
}

TEST_F(WeightsStoreBase, IsMissedWhenItsFileIsGone) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  std::filesystem::remove(base_file(*base_));
  expect_base_refused("is gone");
}

TEST_F(WeightsStoreBase, IsRefusedWhenAnotherWholeAndSignedOneLiesInItsPlace) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  ASSERT_TRUE(publish_edit(2, other_).ok());
  for (const char* suffix : {".safetensors", ".manifest.json"}) {
    copy_over(base_file(*other_, suffix), base_file(*base_, suffix));
  }
  expect_base_refused("belongs to another base");
  EXPECT_TRUE(store_.load(2).ok());
}

TEST_F(WeightsStoreBase, OfAnotherRobotOrKeyIsRefused) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  const test::TempFolder elsewhere;
  PublishRequest wanted = request(1);
  wanted.base = base_;
  ASSERT_TRUE(open_store(elsewhere.path()).publish(*edit_of(*base_, 1), wanted).ok());
  const std::string name = "base-" + to_hex(base_->hash()) + ".manifest.json";
  copy_over(elsewhere / name, root_ / name);
  EXPECT_EQ(store_.load(1).status().code(), Code::kPermissionDenied);
  EXPECT_TRUE(exists(root_ / name)) << "as with weights, it is left for people";
}

TEST_F(WeightsStoreBase, IsMadeAnewByTheNextVersionThatBringsIt) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  std::filesystem::remove(base_file(*base_, ".manifest.json"));
  ASSERT_TRUE(publish_edit(2, base_).ok());
  EXPECT_TRUE(store_.load(1).ok());
  EXPECT_TRUE(store_.load(2).ok());
}

TEST_F(WeightsStoreBase, IsAskedForAndMustBeTheOneThatIsNamed) {
  const auto edit = edit_of(*base_, 1);
  PublishRequest wanted = request(1);
  EXPECT_EQ(store_.publish(*edit, wanted).status().code(), Code::kInvalidArgument) << "none";
  wanted.base = other_;
  EXPECT_EQ(store_.publish(*edit, wanted).status().code(), Code::kInvalidArgument) << "another";
  EXPECT_EQ(store_.publish(*some_weights(1), wanted).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(store_.versions()->empty());
  EXPECT_FALSE(exists(base_file(*other_)));
}

TEST_F(WeightsStoreBase, StaysForAsLongAsAVersionNamesIt) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  for (WeightsVersion version = 2; version <= 9; ++version) {
    ASSERT_TRUE(publish_edit(version, other_).ok());
  }
  ASSERT_TRUE(store_.prune({1}).ok());
  EXPECT_TRUE(store_.load(1).ok()) << "one may go back to it";
  ASSERT_TRUE(store_.prune({}).ok());
  EXPECT_FALSE(exists(base_file(*base_)));
  EXPECT_FALSE(exists(base_file(*base_, ".manifest.json")));
  EXPECT_TRUE(store_.load(9).ok());
}

TEST_F(WeightsStoreBase, StaysWhereAManifestCannotBeRead) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  flip_byte(manifest(1), 40);
  ASSERT_TRUE(store_.prune({}).ok());
  EXPECT_TRUE(exists(base_file(*base_)));
}

TEST_F(WeightsStoreBase, OfACopyIsCheckedWithoutTheKey) {
  ASSERT_TRUE(publish_edit(1, base_).ok());
  const auto problems = [this] { return *problems_of_bases(**open_folder(root_.path())); };
  EXPECT_TRUE(problems().empty());
  flip_byte(base_file(*base_), 500);
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_NE(problems()[0].find("was changed"), std::string::npos);
  std::filesystem::remove(base_file(*base_));
  ASSERT_EQ(problems().size(), 1u);
  EXPECT_NE(problems()[0].find("is not there"), std::string::npos);
}

// One fault at each operation in turn, of several kinds. Version 1 was there before, version 2 is
// being published. Afterwards, with a healthy disk: version 1 loads, version 2 loads whole or does
// not exist, and if publish() said ok, it exists.
void publish_with_fault(int at, bool sticky, bool torn, bool& beyond_the_end) {
  const test::TempFolder root;
  {
    WeightsStore store = open_store(root.path());
    ASSERT_TRUE(store.publish(*some_weights(1), request(1)).ok());
  }
  test::FolderFault fault;
  bool published = false;
  {
    auto real = open_folder(root.path());
    auto key = SigningKey::load_or_create(**real);
    auto store = WeightsStore::open(std::make_unique<test::FaultyFolder>(std::move(*real), fault),
                                    std::move(*key), "kitchen-1");
    ASSERT_TRUE(store.ok());
    fault.operations = 0;
    fault.at = at;
    fault.sticky = sticky;
    fault.torn = torn;
    const auto result = store->publish(*some_weights(2), request(2));
    published = result.ok();
    beyond_the_end = fault.operations <= at;
    if (!published) {
      EXPECT_EQ(result.status().code(), Code::kUnavailable);
    }
    if (!published && !sticky) {
      // The same process tries again.
      EXPECT_TRUE(store->publish(*some_weights(2), request(2)).ok());
      published = true;
    }
  }
  WeightsStore store = open_store(root.path());
  EXPECT_EQ(store.load(1)->weights->hash(), some_weights(1)->hash());
  const auto second = store.load(2);
  if (second.ok()) {
    EXPECT_EQ(second->weights->hash(), some_weights(2)->hash());
  } else {
    EXPECT_FALSE(published);
    EXPECT_EQ(second.status().code(), Code::kNotFound) << second.status().message();
    EXPECT_TRUE(store.publish(*some_weights(2), request(2)).ok());
    EXPECT_TRUE(store.load(2).ok());
  }
}

TEST(WeightsStoreFaults, AFaultAtAnyOperationLeavesTheOldOrTheNew) {
  for (const bool sticky : {false, true}) {
    for (const bool torn : {false, true}) {
      bool beyond_the_end = false;
      int at = 0;
      for (; !beyond_the_end; ++at) {
        SCOPED_TRACE(testing::Message()
                     << "operation " << at << " sticky " << sticky << " torn " << torn);
        publish_with_fault(at, sticky, torn, beyond_the_end);
        if (testing::Test::HasFatalFailure()) return;
      }
      EXPECT_GE(at, 9) << "fewer operations than a publish has";
    }
  }
}

TEST(WeightsStoreFaults, AFailingReadSetsNothingAside) {
  const test::TempFolder root;
  {
    WeightsStore store = open_store(root.path());
    ASSERT_TRUE(store.publish(*some_weights(1), request(1)).ok());
  }
  test::FolderFault fault;
  auto real = open_folder(root.path());
  auto key = SigningKey::load_or_create(**real);
  auto store = WeightsStore::open(std::make_unique<test::FaultyFolder>(std::move(*real), fault),
                                  std::move(*key), "kitchen-1");
  ASSERT_TRUE(store.ok());
  for (int at = 0; at < 2; ++at) {
    fault.operations = 0;
    fault.at = at;
    EXPECT_EQ(store->load(1).status().code(), Code::kUnavailable);
  }
  fault.at = -1;
  EXPECT_TRUE(store->load(1).ok());
}

TEST(WeightsStoreFaults, AFullDiskSaysSo) {
  const test::TempFolder root;
  test::FolderFault fault;
  auto real = open_folder(root.path());
  auto key = SigningKey::load_or_create(**real);
  auto store = WeightsStore::open(std::make_unique<test::FaultyFolder>(std::move(*real), fault),
                                  std::move(*key), "kitchen-1");
  ASSERT_TRUE(store.ok());
  fault.operations = 0;
  fault.at = 2;  // the creation
  fault.status = resource_exhausted("no space left on device");
  const Status status = store->publish(*some_weights(1), request(1)).status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_EQ(status.message(), "weights version 1: no space left on device");
}

}  // namespace
}  // namespace nudge
