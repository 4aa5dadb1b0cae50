#include "src/loop/eyes_training.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nudge {
namespace {

EyesTrainingOptions few_moments(EyesSupervision supervision = EyesSupervision::kPoses) {
  EyesTrainingOptions options;
  options.supervision = supervision;
  options.levels = {1, 3};
  options.frames = 12;
  options.held_out = 6;
  options.trainer.steps = 2;
  options.trainer.batch = 4;
  options.ways = 5;
  options.encode = [](const std::string& text) -> Result<std::vector<float>> {
    return std::vector<float>{static_cast<float>(text.size()) / 100, 1};
  };
  options.encoder_hash = "an encoder";
  options.encoder_name = "lengths";
  return options;
}

TEST(EyesTraining, EqualOptionsGiveEqualFilesHoweverItsThreadsTakeTurns) {
  const auto once = train_eyes(few_moments(), [](EyesStage, std::size_t, std::size_t, double) {});
  ASSERT_TRUE(once.ok()) << once.status().message();
  const auto again = train_eyes(few_moments(), [](EyesStage, std::size_t, std::size_t, double) {});
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(once->file == again->file);
  EXPECT_EQ(once->error.size(), 2u);
  const VisionError error = once->error.at(3);
  EXPECT_GT(std::max({error.near, error.middle, error.far}), 0);
}

TEST(EyesTraining, TheFileKnowsEachLevelsPhrasesAndSaysWhatItWasTaughtWith) {
  const auto report = train_eyes(few_moments(), [](EyesStage, std::size_t, std::size_t, double) {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  const auto file = VisionFile::parse(report->file);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->spec.cameras, (std::vector<std::string>{"front", "wrist"}));
  EXPECT_EQ(file->spec.sentence_size, 2u);
  EXPECT_NE(file->spec.supervision.find("object poses"), std::string::npos);
  EXPECT_NE(file->spec.supervision.find("sentences by lengths"), std::string::npos);
  EXPECT_NE(file->spec.supervision.find("ears: 5 ways to say each task"), std::string::npos);
  for (const char* known : {"lift the block", "put the pot on the right burner"}) {
    EXPECT_NE(std::ranges::find(file->known.text, known), file->known.text.end()) << known;
  }
}

TEST(EyesTraining, EachMomentAndStepIsToldOf) {
  std::size_t moments = 0, step = 0, sentences = 0;
  const auto report =
      train_eyes(few_moments(), [&](EyesStage stage, std::size_t done, std::size_t total, double) {
        if (stage == EyesStage::kPictures) {
          EXPECT_EQ(total, 36u);
          EXPECT_EQ(done, ++moments);
        } else if (stage == EyesStage::kTraining) {
          step = done;
        } else {
          EXPECT_EQ(done, ++sentences);
        }
      });
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(moments, 36u);
  EXPECT_EQ(step, 2u);
  EXPECT_EQ(sentences, 3 * 106u);  // three tasks: their own, those that teach, those that measure
}

TEST(EyesTraining, WithoutSupervisionTheWeightsAreRandom) {
  const auto none = train_eyes(few_moments(EyesSupervision::kNone),
                               [](EyesStage stage, std::size_t, std::size_t, double) {
                                 EXPECT_EQ(stage, EyesStage::kPictures);
                               });
  ASSERT_TRUE(none.ok()) << none.status().message();
  EXPECT_EQ(VisionFile::parse(none->file)->spec.supervision,
            "nothing: random weights; sentences by lengths");
}

TEST(EyesTraining, WithoutLevelsOrMomentsThereIsNothingToTeach) {
  EyesTrainingOptions options = few_moments();
  options.levels.clear();
  EXPECT_EQ(train_eyes(options, {}).status().code(), Code::kInvalidArgument);
  options = few_moments();
  options.frames = 0;
  EXPECT_EQ(train_eyes(options, {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
