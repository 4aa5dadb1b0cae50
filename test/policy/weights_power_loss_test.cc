// What the weights folder keeps when the power fails at any moment of a life of publishing, setting
// aside and pruning. NUDGE_LONG=1 fails it at every change with forty fates each.
#include <gtest/gtest.h>

#include <map>

#include "policy/weights_store.h"
#include "test/support/long_form.h"
#include "test/support/lossy_disk.h"
#include "test/support/weights_samples.h"

namespace nudge {
namespace {

using test::edit_of;
using test::LossyDisk;
using test::LossyFolder;
using test::some_weights;

constexpr const char* kFolder = "/weights";

Result<WeightsStore> open_store(LossyDisk& disk) {
  auto folder = std::make_unique<LossyFolder>(disk, kFolder);
  auto key = SigningKey::load_or_create(*folder);
  if (!key.ok()) return key.status();
  return WeightsStore::open(std::move(folder), std::move(*key), "kitchen-1");
}

PublishRequest request(WeightsVersion version) {
  return {version, version - 1, R"({"change":0.01})",
          WallTime(std::chrono::seconds(1'700'000'000))};
}

// Version 1 edits a base that nothing else edits; versions 3 and 4 share another; 2 and 9 edit
// none.
std::shared_ptr<const Weights> base_of(WeightsVersion version) {
  if (version == 1) return some_weights(101);
  return version == 3 || version == 4 ? some_weights(102) : nullptr;
}
Result<Manifest> publish(WeightsStore& store, WeightsVersion version, Sha256& hash) {
  PublishRequest wanted = request(version);
  wanted.base = base_of(version);
  const auto weights =
      wanted.base == nullptr ? some_weights(version) : edit_of(*wanted.base, version);
  hash = weights->hash();
  return store.publish(*weights, wanted);
}

// What the store has promised so far.
struct Promised {
  std::map<WeightsVersion, Sha256> there;  // published, and nothing else asked since
  std::map<WeightsVersion, Sha256> meant;  // handed to publish(), whatever came of it
  std::map<WeightsVersion, bool> gone;     // set aside
};

void live(LossyDisk& disk, Promised& promised) {
  auto store = open_store(disk);
  if (!store.ok()) return;
  for (WeightsVersion version = 1; version <= 4; ++version) {
    const bool done = publish(*store, version, promised.meant[version]).ok();
    if (done) promised.there[version] = promised.meant[version];
  }
  promised.there.erase(3);
  if (store->quarantine(3, "test").ok()) promised.gone[3] = true;
  promised.there.erase(1);
  (void)store->prune({2}, 1);
}

// Empty: all is as promised.
std::string broken_promise(LossyDisk& disk, const Promised& promised) {
  auto store = open_store(disk);
  if (!store.ok()) return "the folder does not open: " + store.status().message();
  for (const auto& [version, hash] : promised.meant) {
    const auto loaded = store->load(version);
    if (loaded.ok()) {
      if (loaded->weights->hash() != hash) return "other weights under a version's name";
      const auto base = base_of(version);
      if ((loaded->base == nullptr) != (base == nullptr) ||
          (base != nullptr && loaded->base->hash() != base->hash())) {
        return "another base than a version's own";
      }
      if (promised.gone.contains(version)) return "what was set aside can be loaded again";
    } else if (promised.there.contains(version)) {
      return "version " + std::to_string(version) + " was published: " + loaded.status().message();
    } else if (loaded.status().code() != Code::kNotFound) {
      return "a half version is left: " + loaded.status().message();
    }
  }
  // And life goes on.
  const auto next = store->publish(*some_weights(9), request(9));
  if (!next.ok()) return "nothing can be published any more: " + next.status().message();
  return store->load(9).ok() ? "" : "what was published afterwards does not load";
}

TEST(WeightsPowerLoss, LeavesEveryVersionWholeOrNotThereAndEveryPublishedOneThere) {
  const std::uint64_t fates = test::long_form() ? 40 : 4;
  std::uint64_t failures = 0;
  bool reached = true;
  for (std::uint64_t at = 1; reached; ++at) {
    for (std::uint64_t fate = 0; fate < fates && reached; ++fate, ++failures) {
      LossyDisk disk;
      disk.fail_at(at);
      Promised promised;
      live(disk, promised);
      reached = disk.off();
      disk.restart(at * 1000 + fate);
      ASSERT_EQ(broken_promise(disk, promised), "") << "change " << at << ", fate " << fate;
    }
  }
  RecordProperty("power_failures", static_cast<int>(failures));
  EXPECT_GT(failures, 100u);
}

// The control run: without syncs of the weights' own bytes the test above must find something.
TEST(WeightsPowerLoss, IsCaughtWhenWeightsAreNotSynced) {
  bool lost = false;
  for (std::uint64_t at = 1; at < 60 && !lost; ++at) {
    LossyDisk disk;
    disk.lie_about(".safetensors");
    disk.fail_at(at);
    Promised promised;
    live(disk, promised);
    disk.restart(at);
    lost = !broken_promise(disk, promised).empty();
  }
  EXPECT_TRUE(lost);
}

}  // namespace
}  // namespace nudge
