#include <gtest/gtest.h>

#include <cmath>

#include "nudge/random.h"
#include "policy/vision_ears.h"
#include "test/support/small_eyes.h"

namespace nudge {
namespace {

constexpr std::size_t kSize = 24;

// Eyes that take sentences of kSize numbers.
VisionFile eyes() {
  VisionFile file = test::small_eyes();
  file.spec.sentence_size = kSize;
  file.known = {};
  Random random(5);
  auto& weight = file.tensors.at("words.weight");
  weight.clear();
  for (std::size_t i = 0; i < kWordsHidden * kSize; ++i) {
    weight.push_back(static_cast<float>(random.uniform(-0.3, 0.3)));
  }
  return file;
}

// Two tasks. What is said for either has the same topic and little of what tells them apart, as
// with "left" and "right".
std::vector<SaidTask> two_tasks(std::uint64_t seed, std::size_t ways) {
  Random random(seed);
  std::vector<SaidTask> tasks;
  for (std::size_t task = 0; task < 2; ++task) {
    SaidTask& said = tasks.emplace_back();
    said.own.assign(kSize, 0.0F);
    said.own[task] = 1;
    for (std::size_t i = 0; i < ways; ++i) {
      std::vector<double> way(kSize);
      way[0] = way[1] = 0.5;
      way[2 + task] = 0.3;
      for (std::size_t k = 4; k < kSize; ++k) way[k] = 0.2 * random.normal();
      double squares = 0;
      for (const double v : way) squares += v * v;
      for (const double v : way) said.ways.push_back(static_cast<float>(v / std::sqrt(squares)));
    }
  }
  return tasks;
}

TEST(Ears, OtherSentencesForATaskAreHeardAsTheTaskItself) {
  const auto held_out = two_tasks(2, 200);
  const auto before = misheard(eyes(), held_out);
  ASSERT_TRUE(before.ok()) << before.status().message();
  EXPECT_GT(*before, 0.2);
  const auto taught = teach_ears(eyes(), two_tasks(1, 200));
  ASSERT_TRUE(taught.ok()) << taught.status().message();
  EXPECT_EQ(*misheard(*taught, held_out), 0.0);
}

TEST(Ears, WhatTheTasksOwnSentencesDoStaysAsItWas) {
  const auto tasks = two_tasks(1, 50);
  const VisionFile before = eyes();
  const auto after = teach_ears(eyes(), tasks);
  ASSERT_TRUE(after.ok()) << after.status().message();
  double moved = 0;
  for (const SaidTask& task : tasks) {
    for (std::size_t unit = 0; unit < kWordsHidden; ++unit) {
      double was = 0, is = 0;
      for (std::size_t k = 0; k < kSize; ++k) {
        const std::size_t at = unit * kSize + k;
        was += task.own[k] * before.tensors.at("words.weight")[at];
        is += task.own[k] * after->tensors.at("words.weight")[at];
        moved +=
            std::abs(before.tensors.at("words.weight")[at] - after->tensors.at("words.weight")[at]);
      }
      EXPECT_NEAR(was, is, 1e-6);
    }
  }
  EXPECT_GT(moved, 1);
}

TEST(Ears, NothingButTheLayerThatReadsSentencesChanges) {
  const VisionFile before = eyes();
  const auto after = teach_ears(eyes(), two_tasks(1, 50));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->spec, before.spec);
  for (const auto& [name, values] : before.tensors) {
    EXPECT_EQ(after->tensors.at(name) == values, name != "words.weight") << name;
  }
}

TEST(Ears, EqualSentencesGiveEqualWeights) {
  EXPECT_EQ(teach_ears(eyes(), two_tasks(1, 50))->tensors,
            teach_ears(eyes(), two_tasks(1, 50))->tensors);
}

TEST(Ears, WhoIsToldNothingMoreHearsAsBefore) {
  const auto after = teach_ears(eyes(), two_tasks(1, 0));
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_EQ(after->tensors, eyes().tensors);
  EXPECT_EQ(*misheard(eyes(), two_tasks(1, 0)), 0.0);
}

TEST(Ears, VectorsOfAnotherSizeAreRefused) {
  auto tasks = two_tasks(1, 4);
  tasks[1].own.pop_back();
  EXPECT_EQ(teach_ears(eyes(), tasks).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(misheard(eyes(), tasks).status().code(), Code::kInvalidArgument);
  tasks = two_tasks(1, 4);
  tasks[0].ways.pop_back();
  EXPECT_EQ(teach_ears(eyes(), tasks).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(teach_ears(eyes(), {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
