#include "policy/swap_slot.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <thread>

namespace nudge {
namespace {

// Counts where its instances die.
struct Tracked {
  std::uint64_t number = 0;
  std::shared_ptr<int> alive = nullptr;
};

TEST(SwapSlot, IsEmptyAtFirst) {
  SwapSlot<int> slot;
  EXPECT_EQ(slot.try_take(), nullptr);
  EXPECT_EQ(slot.current(), nullptr);
  EXPECT_FALSE(slot.withdraw().has_value());
}

TEST(SwapSlot, HandsOverOnceAndKeepsItAsTheCurrentValue) {
  SwapSlot<int> slot;
  slot.publish(7);
  const int* taken = slot.try_take();
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(*taken, 7);
  EXPECT_EQ(slot.try_take(), nullptr);
  EXPECT_EQ(slot.current(), taken);
}

TEST(SwapSlot, TheLatestValueWins) {
  SwapSlot<int> slot;
  slot.publish(1);
  slot.publish(2);
  slot.publish(3);
  EXPECT_EQ(*slot.try_take(), 3);
  EXPECT_EQ(slot.try_take(), nullptr);
}

TEST(SwapSlot, AnOfferCanBeWithdrawnUntilItIsTaken) {
  SwapSlot<int> slot;
  slot.publish(1);
  EXPECT_EQ(slot.withdraw(), 1);
  EXPECT_EQ(slot.try_take(), nullptr);
  slot.publish(2);
  ASSERT_NE(slot.try_take(), nullptr);
  EXPECT_FALSE(slot.withdraw().has_value());
}

TEST(SwapSlot, TheTakerNeverFreesWhatItGivesUp) {
  auto first = std::make_shared<int>(1);
  SwapSlot<Tracked> slot;
  slot.publish({1, first});
  slot.try_take();
  slot.publish({2, nullptr});
  ASSERT_EQ(slot.try_take()->number, 2u);
  EXPECT_EQ(first.use_count(), 2) << "freed by the taker";
  EXPECT_EQ(slot.collect(), 1u);
  EXPECT_EQ(first.use_count(), 1);
}

TEST(SwapSlot, PublishingFreesWhatWasReplacedAndRetired) {
  auto first = std::make_shared<int>(1);
  auto second = std::make_shared<int>(2);
  SwapSlot<Tracked> slot;
  slot.publish({1, first});
  slot.try_take();
  slot.publish({2, second});
  slot.publish({3, nullptr});
  EXPECT_EQ(second.use_count(), 1);
  slot.try_take();
  slot.publish({4, nullptr});
  EXPECT_EQ(first.use_count(), 1);
}

TEST(SwapSlot, FreesEverythingWithItself) {
  auto offered = std::make_shared<int>(), used = std::make_shared<int>(),
       retired = std::make_shared<int>();
  {
    SwapSlot<Tracked> slot;
    slot.publish({1, retired});
    slot.try_take();
    slot.publish({2, used});
    slot.try_take();
    slot.publish({3, offered});
    // Publishing has freed the retired one already; the other two go with the slot.
  }
  EXPECT_EQ(offered.use_count(), 1);
  EXPECT_EQ(used.use_count(), 1);
  EXPECT_EQ(retired.use_count(), 1);
}

// Two real threads: the thread sanitizer sees every access, and the taker sees only whole values,
// in rising order, and in the end the last one.
TEST(SwapSlot, TwoThreadsSeeWholeValuesInOrder) {
  constexpr std::uint64_t kValues = 20'000;
  using Block = std::array<std::uint64_t, 64>;
  SwapSlot<std::shared_ptr<const Block>> slot;
  std::uint64_t last = 0;
  std::uint64_t torn = 0, backwards = 0;

  std::thread taker([&] {
    while (last < kValues) {
      const auto* taken = slot.try_take();
      if (taken == nullptr) {
        std::this_thread::yield();
        continue;
      }
      const Block& block = **taken;
      for (const std::uint64_t x : block) torn += x != block[0];
      backwards += block[0] <= last;
      last = block[0];
    }
  });
  for (std::uint64_t i = 1; i <= kValues; ++i) {
    auto block = std::make_shared<Block>();
    block->fill(i);
    slot.publish(std::move(block));
    if (i % 64 == 0) std::this_thread::yield();
    // Withdrawing and offering again must not lose the newest value.
    if (i % 1000 == 0) {
      if (auto back = slot.withdraw()) slot.publish(std::move(*back));
    }
  }
  taker.join();
  EXPECT_EQ(last, kValues);
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(backwards, 0u);
}

}  // namespace
}  // namespace nudge
