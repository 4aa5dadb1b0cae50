#include "replay/segment_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "test/support/faulty_files.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

// A segment on disk, which a test may damage.
class SegmentReaderTest : public testing::Test {
 protected:
  void write(int steps, std::size_t jpeg_bytes = 100) {
    SegmentSpec spec = test::sample_spec();
    spec.episode = 5;
    bytes_ = encode_header(spec);
    Random random(3);
    for (int i = 0; i < steps; ++i) {
      const std::uint64_t at = bytes_.size();
      Step step = test::sample_step(random, 5, static_cast<std::uint32_t>(i), spec, false);
      step.images.push_back(test::sample_image(random, "front", jpeg_bytes));
      ASSERT_TRUE(encode_step(spec, step, static_cast<Sequence>(10 + i), bytes_).ok());
      places_.push_back({.offset = at, .bytes = bytes_.size() - at});
      jpegs_.push_back(step.images[0].jpeg);
    }
    end_ = bytes_.size();
    save();
  }
  void save() {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes_.data()),
               static_cast<std::streamsize>(bytes_.size()));
  }
  void flip(std::uint64_t offset) {
    bytes_[offset] ^= std::byte{1};
    save();
  }
  std::unique_ptr<SegmentReader> reader(FileSystem& files = posix_files()) {
    auto opened = SegmentReader::open(files, path_);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  // Policy steps that are found; `whole_` is whether nothing was missing.
  std::vector<std::uint32_t> found(std::uint64_t end) {
    std::vector<std::uint32_t> steps;
    const auto segment = reader();
    const auto whole =
        segment->scan(segment->first(), end, [&](const StepView& step, const RecordPlace& place) {
          EXPECT_EQ(place.offset, places_[step.policy_step].offset);
          EXPECT_EQ(place.bytes, places_[step.policy_step].bytes);
          EXPECT_TRUE(std::equal(step.image(0).jpeg.begin(), step.image(0).jpeg.end(),
                                 std::as_bytes(std::span(jpegs_[step.policy_step])).begin()));
          steps.push_back(step.policy_step);
          return true;
        });
    EXPECT_TRUE(whole.ok()) << whole.status().message();
    whole_ = whole.ok() && *whole;
    return steps;
  }
  std::vector<std::uint32_t> all_but(std::vector<std::uint32_t> missing) {
    std::vector<std::uint32_t> steps;
    for (std::uint32_t i = 0; i < places_.size(); ++i) {
      if (std::find(missing.begin(), missing.end(), i) == missing.end()) steps.push_back(i);
    }
    return steps;
  }

  test::TempFolder folder_;
  std::string path_ = folder_ / "episode.seg";
  std::vector<std::byte> bytes_;
  std::vector<RecordPlace> places_;
  std::vector<std::vector<std::uint8_t>> jpegs_;
  std::uint64_t end_ = 0;
  bool whole_ = false;
};

TEST_F(SegmentReaderTest, FindsEveryStepUpToWhatTheLogCommitted) {
  write(40);
  EXPECT_EQ(found(end_), all_but({}));
  EXPECT_TRUE(whole_);
  EXPECT_EQ(found(places_[7].offset).size(), 7u);
  EXPECT_TRUE(whole_) << "what lies behind was never acknowledged";
  EXPECT_TRUE(found(places_[0].offset).empty());
  EXPECT_TRUE(whole_);
}

TEST_F(SegmentReaderTest, ReadsFilesThatAreLongerThanItsWindow) {
  write(60, 100'000);
  ASSERT_GT(end_, 5u << 20);
  EXPECT_EQ(found(end_), all_but({}));
  EXPECT_TRUE(whole_);
}

TEST_F(SegmentReaderTest, ReadsRecordsThatAreLongerThanItsWindow) {
  write(3, 3u << 20);
  EXPECT_EQ(found(end_), all_but({}));
  EXPECT_TRUE(whole_);
}

TEST_F(SegmentReaderTest, PassesOverWhatIsDamagedAndSaysSo) {
  write(40);
  flip(places_[11].offset + 100);  // a number
  flip(places_[25].offset + 5);    // the record's size
  EXPECT_EQ(found(end_), all_but({11, 25}));
  EXPECT_FALSE(whole_);
}

TEST_F(SegmentReaderTest, FindsTheStepsBehindALongStretchOfDamage) {
  write(60, 100'000);
  for (int i = 10; i < 40; ++i) {
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(places_[i].offset), places_[i].bytes,
                std::byte{0x10});
  }
  save();
  const auto steps = found(end_);
  ASSERT_EQ(steps.size(), 30u);
  EXPECT_EQ(steps[9], 9u);
  EXPECT_EQ(steps[10], 40u);
  EXPECT_FALSE(whole_);
}

TEST_F(SegmentReaderTest, GivesWhatIsLeftOfAFileThatWasCutOff) {
  write(40);
  bytes_.resize(places_[30].offset + 24);
  save();
  EXPECT_EQ(found(end_).size(), 30u);
  EXPECT_FALSE(whole_);
  bytes_.resize(places_[20].offset);  // between two records
  save();
  EXPECT_EQ(found(end_).size(), 20u);
  EXPECT_FALSE(whole_);
}

TEST_F(SegmentReaderTest, StopsWhenItsCallerHasSeenEnough) {
  write(40);
  const auto segment = reader();
  int seen = 0;
  ASSERT_TRUE(segment
                  ->scan(segment->first(), end_,
                         [&](const StepView&, const RecordPlace&) { return ++seen < 3; })
                  .ok());
  EXPECT_EQ(seen, 3);
}

TEST_F(SegmentReaderTest, ReadsOneRecordAgain) {
  write(10, 2u << 20);
  const auto segment = reader();
  for (const std::size_t i : {7u, 2u, 9u}) {
    const auto step = segment->read(places_[i]);
    ASSERT_TRUE(step.ok()) << step.status().message();
    EXPECT_EQ(step->policy_step, i);
    EXPECT_EQ(step->image(0).jpeg.size(), jpegs_[i].size());
  }
  flip(places_[2].offset + 200);
  EXPECT_EQ(segment->read(places_[2]).status().code(), Code::kDataLoss);
  EXPECT_EQ(segment->read({.offset = places_[3].offset + 8, .bytes = 64}).status().code(),
            Code::kDataLoss);
  EXPECT_FALSE(segment->read({.offset = 0, .bytes = 1ull << 40}).ok());
}

TEST_F(SegmentReaderTest, SaysWhatIsWrongWithAFileThatIsNoSegment) {
  EXPECT_EQ(SegmentReader::open(posix_files(), path_).status().code(), Code::kNotFound);
  write(1);
  flip(20);
  EXPECT_EQ(SegmentReader::open(posix_files(), path_).status().code(), Code::kDataLoss);
  bytes_.resize(40);
  save();
  EXPECT_EQ(SegmentReader::open(posix_files(), path_).status().code(), Code::kDataLoss);
}

TEST_F(SegmentReaderTest, APartOfTheDiskThatCannotBeReadIsAnErrorAndNotTheEnd) {
  write(60, 100'000);
  test::FaultyFiles files(posix_files());
  const auto segment = reader(files);
  files.plan({.at = 3});
  int seen = 0;
  const auto count = [&](const StepView&, const RecordPlace&) { return ++seen > 0; };
  EXPECT_EQ(segment->scan(segment->first(), end_, count).status().code(), Code::kUnavailable);
  EXPECT_GT(seen, 0);
  EXPECT_TRUE(segment->scan(segment->first(), end_, count).ok()) << "and can be tried again";
}

}  // namespace
}  // namespace nudge
