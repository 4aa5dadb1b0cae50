#include "src/handoff/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace nudge {
namespace {

TEST(BoundedQueue, GivesBackWhatWentInInOrder) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  std::vector<int> out;
  EXPECT_TRUE(queue.take_all(out, Duration::zero()));
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
}

TEST(BoundedQueue, RefusesWhatIsTooMuchAndCountsIt) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_EQ(queue.refused(), 1u);
}

TEST(BoundedQueue, ARefusedValueStaysWithItsSender) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)));
  auto value = std::make_unique<int>(2);
  EXPECT_FALSE(queue.try_push(std::move(value)));
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 2);
}

TEST(BoundedQueue, KeepsReservedPlacesForWhatMustNotBeLost) {
  BoundedQueue<int> queue(3, 1);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_TRUE(queue.push_reserved(4));
  EXPECT_FALSE(queue.push_reserved(5));
}

TEST(BoundedQueue, ClosingWakesWhoeverWaitsAndRefusesWhatComesLater) {
  BoundedQueue<int> queue(4);
  std::thread reader([&] {
    std::vector<int> out;
    EXPECT_FALSE(queue.take_all(out, std::chrono::seconds(60)));
  });
  queue.close();
  reader.join();
  EXPECT_FALSE(queue.try_push(1));
}

TEST(BoundedQueue, WhatWasThereBeforeItClosedCanStillBeTakenOut) {
  BoundedQueue<int> queue(4);
  EXPECT_TRUE(queue.try_push(1));
  queue.close();
  std::vector<int> out;
  EXPECT_TRUE(queue.take_all(out, Duration::zero()));
  EXPECT_EQ(out, std::vector<int>{1});
  EXPECT_FALSE(queue.take_all(out, Duration::zero()));
}

TEST(BoundedQueue, ManySendersLoseNothing) {
  BoundedQueue<int> queue(100'000);
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&queue] {
      for (int i = 0; i < 1000; ++i) EXPECT_TRUE(queue.try_push(1));
    });
  }
  for (std::thread& sender : senders) sender.join();
  std::vector<int> out;
  EXPECT_TRUE(queue.take_all(out, Duration::zero()));
  EXPECT_EQ(out.size(), 4000u);
}

}  // namespace
}  // namespace nudge
