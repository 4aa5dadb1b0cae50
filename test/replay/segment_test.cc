#include "replay/segment.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "replay/crc32c.h"
#include "test/support/faulty_files.h"
#include "test/support/golden.h"
#include "test/support/log_samples.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::FaultyFiles;
using test::sample_spec;
using test::sample_step;
using test::TempFolder;

SegmentSpec spec_of(EpisodeId episode) {
  SegmentSpec spec = sample_spec();
  spec.episode = episode;
  return spec;
}

void expect_equal(const Step& a, const Step& b) {
  EXPECT_EQ(a.sequence, b.sequence);
  EXPECT_EQ(a.episode, b.episode);
  EXPECT_EQ(a.policy_step, b.policy_step);
  EXPECT_EQ(a.control_tick, b.control_tick);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.wall_time, b.wall_time);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.span, b.span);
  EXPECT_EQ(a.features, b.features);
  EXPECT_EQ(a.proprioception, b.proprioception);
  EXPECT_EQ(a.proposed, b.proposed);
  EXPECT_EQ(a.requested, b.requested);
  EXPECT_EQ(a.executed, b.executed);
  EXPECT_EQ(a.reference, b.reference);
  EXPECT_EQ(a.reference_age, b.reference_age);
  ASSERT_EQ(a.images.size(), b.images.size());
  for (std::size_t i = 0; i < a.images.size(); ++i) {
    EXPECT_EQ(a.images[i].camera, b.images[i].camera);
    EXPECT_EQ(a.images[i].captured, b.images[i].captured);
    EXPECT_EQ(a.images[i].width, b.images[i].width);
    EXPECT_EQ(a.images[i].height, b.images[i].height);
    EXPECT_EQ(a.images[i].jpeg, b.images[i].jpeg);
  }
}

// A whole segment in memory, aligned as a mapping is.
struct InMemory {
  explicit InMemory(const SegmentSpec& spec, int steps, std::uint64_t seed = 1) {
    std::vector<std::byte> bytes = encode_header(spec);
    Random random(seed);
    for (int i = 0; i < steps; ++i) {
      offsets.push_back(bytes.size());
      sent.push_back(sample_step(random, spec.episode, static_cast<std::uint32_t>(i), spec));
      sent.back().sequence = static_cast<Sequence>(10 + i);
      EXPECT_TRUE(encode_step(spec, sent.back(), sent.back().sequence, bytes).ok());
    }
    words.resize(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
  }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words)); }
  std::vector<std::uint64_t> words;
  std::vector<std::uint64_t> offsets;
  std::vector<Step> sent;
};

TEST(Segment, GivesBackEveryStepUnchanged) {
  TempFolder folder;
  const SegmentSpec spec = spec_of(5);
  auto writer = SegmentWriter::create(posix_files(), folder / "s", spec, 4096);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  Random random(2);
  std::vector<Step> sent;
  std::vector<std::uint64_t> offsets;
  for (std::uint32_t i = 0; i < 200; ++i) {
    sent.push_back(sample_step(random, 5, i, spec));
    sent.back().sequence = i + 1;
    offsets.push_back(*(*writer)->append(sent.back()));
    if (i % 7 != 0) continue;
    ASSERT_TRUE((*writer)->sync().ok());
  }
  ASSERT_TRUE((*writer)->sync().ok());
  ASSERT_TRUE((*writer)->finish().ok());

  auto map = SegmentMap::open(posix_files(), folder / "s");
  ASSERT_TRUE(map.ok()) << map.status().message();
  EXPECT_EQ((*map)->spec(), spec);
  std::size_t i = 0;
  const Status scanned = (*map)->scan((*map)->first(), (*writer)->synced(), SegmentMap::Check::kCrc,
                                      [&](const StepView& view) {
                                        EXPECT_EQ(view.offset, offsets[i]);
                                        expect_equal(*(*map)->decode(view.offset), sent[i++]);
                                        return true;
                                      });
  EXPECT_TRUE(scanned.ok()) << scanned.message();
  EXPECT_EQ(i, sent.size());
}

void expect_golden(const SegmentSpec& spec, const std::string& name) {
  InMemory segment(spec, 3);
  const auto bytes = segment.bytes();
  const std::string now(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string golden = test::golden(name, now);
  EXPECT_TRUE(golden == now);
  std::vector<std::uint64_t> words(golden.size() / 8);
  std::memcpy(words.data(), golden.data(), golden.size());
  auto map = SegmentMap::view(std::as_bytes(std::span(words)), "golden");
  ASSERT_TRUE(map.ok()) << map.status().message();
  for (std::size_t i = 0; i < segment.offsets.size(); ++i) {
    expect_equal(*(*map)->decode(segment.offsets[i]), segment.sent[i]);
  }
}

TEST(Segment, WithoutReferencesIsWrittenAsTheGoldenFileOfTheFirstVersion) {
  expect_golden(spec_of(7), "log/segment-v1.seg");
}

TEST(Segment, WithReferencesIsWrittenAsTheGoldenFileOfTheSecondVersion) {
  SegmentSpec spec = spec_of(7);
  spec.reference_rows = 3;
  expect_golden(spec, "log/segment-v2.seg");
}

TEST(Segment, RefusesAReferenceOfAnotherSizeAndAHeaderThatContradictsItsVersion) {
  SegmentSpec spec = spec_of(7);
  spec.reference_rows = 3;
  Step step;
  step.episode = 7;
  step.reference.assign(2 * spec.action_size, 0.5f);
  std::vector<std::byte> out;
  EXPECT_EQ(encode_step(spec, step, 1, out).code(), Code::kInvalidArgument);
  EXPECT_EQ(encode_step(spec_of(7), step, 1, out).code(), Code::kInvalidArgument);

  std::vector<std::byte> header = encode_header(spec);
  header[8] = std::byte{1};  // the version says that there are none
  const std::uint32_t crc = crc32c({header.data(), header.size() - 4});
  std::memcpy(header.data() + header.size() - 4, &crc, 4);
  EXPECT_EQ(decode_header(header, nullptr).status().code(), Code::kDataLoss);
  spec.reference_rows = kMaxReferenceRows + 1;
  EXPECT_FALSE(spec.validate().ok());
}

TEST(Segment, TakesStepsWithoutOptionalPartsAndWithoutFeatures) {
  SegmentSpec spec;
  spec.episode = 1;
  spec.action_size = 2;
  InMemory segment(spec, 0);
  Step step;
  step.episode = 1;
  step.executed = {1, 2};
  std::vector<std::byte> bytes(segment.bytes().begin(), segment.bytes().end());
  const std::size_t at = bytes.size();
  ASSERT_TRUE(encode_step(spec, step, 9, bytes).ok());
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  auto map = SegmentMap::view(std::as_bytes(std::span(words)), "m");
  const auto back = (*map)->decode(at);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->sequence, 9u);
  EXPECT_TRUE(back->proposed.empty());
  EXPECT_EQ(back->executed, step.executed);
}

TEST(Segment, RefusesStepsThatDoNotFitAndLeavesTheBufferAlone) {
  const SegmentSpec spec = spec_of(1);
  Random random(1);
  const Step good = sample_step(random, 1, 0, spec);
  std::vector<std::byte> out(16);
  const auto refuses = [&](auto spoil) {
    Step bad = good;
    spoil(bad);
    EXPECT_EQ(encode_step(spec, bad, 1, out).code(), Code::kInvalidArgument);
    EXPECT_EQ(out.size(), 16u);
  };
  refuses([](Step& s) { s.features.push_back(0); });
  refuses([](Step& s) { s.proprioception.pop_back(); });
  refuses([](Step& s) { s.proposed = {1}; });
  refuses([](Step& s) { s.requested = {1}; });
  refuses([](Step& s) { s.executed = {1}; });
  refuses([](Step& s) { s.source = static_cast<ControlSource>(9); });
  refuses([](Step& s) { s.images.assign(17, Image{}); });
  refuses([](Step& s) {
    s.images.resize(1);
    s.images[0].camera = "side";
  });
  refuses([](Step& s) {
    s.images.resize(1);
    s.images[0].camera = "front";
    s.images[0].jpeg.resize(kMaxJpegBytes + 1);
  });
  refuses([](Step& s) {
    s.images.resize(1);
    s.images[0].camera = "front";
    s.images[0].width = -1;
  });
}

TEST(Segment, RefusesSpecsOutOfRange) {
  const auto refuses = [](auto spoil) {
    SegmentSpec spec = spec_of(1);
    spoil(spec);
    EXPECT_EQ(spec.validate().code(), Code::kInvalidArgument);
  };
  refuses([](SegmentSpec& s) { s.feature_size = kMaxFeatures + 1; });
  refuses([](SegmentSpec& s) { s.proprioception_size = kMaxProprioception + 1; });
  refuses([](SegmentSpec& s) { s.action_size = 0; });
  refuses([](SegmentSpec& s) { s.action_size = kMaxActionSize + 1; });
  refuses([](SegmentSpec& s) { s.backbone_hash = "abc"; });
  refuses([](SegmentSpec& s) { s.cameras = {"a", "a"}; });
  refuses([](SegmentSpec& s) { s.cameras = {""}; });
  refuses([](SegmentSpec& s) { s.cameras = {std::string(64, 'x')}; });
  refuses([](SegmentSpec& s) { s.cameras.assign(17, "x"); });
}

TEST(Segment, NoticesEveryFlippedBitOfTheHeaderAndOfARecord) {
  InMemory segment(spec_of(1), 2);
  const std::size_t header = segment.offsets[0];
  for (std::size_t i = 0; i < segment.bytes().size(); ++i) {
    segment.bytes()[i] ^= std::byte{0x08};
    const auto map = SegmentMap::view(segment.bytes(), "m");
    if (i < header) {
      EXPECT_FALSE(map.ok()) << i;
    } else {
      const Status scanned = (*map)->scan(header, segment.bytes().size(), SegmentMap::Check::kCrc,
                                          [](const StepView&) { return true; });
      EXPECT_EQ(scanned.code(), Code::kDataLoss) << i;
    }
    segment.bytes()[i] ^= std::byte{0x08};
  }
}

TEST(Segment, NoticesEveryTruncation) {
  InMemory segment(spec_of(1), 2);
  for (std::size_t size = 0; size < segment.bytes().size(); ++size) {
    const auto map = SegmentMap::view(segment.bytes().first(size), "m");
    if (!map.ok()) continue;
    EXPECT_EQ((*map)
                  ->scan((*map)->first(), segment.bytes().size(), SegmentMap::Check::kCrc,
                         [](const StepView&) { return true; })
                  .code(),
              Code::kDataLoss);
    const std::uint64_t whole = size < segment.offsets[1] ? segment.offsets[0] : segment.offsets[1];
    EXPECT_EQ((*map)->valid_end((*map)->first()), whole);
  }
}

TEST(Segment, ChecksStructureEvenWhenTheChecksumIsRight) {
  // A record whose checksum was made anew after each change: only the bounds can tell.
  const auto spoiled = [](std::size_t at, std::uint8_t value) {
    InMemory segment(spec_of(1), 2);
    const std::size_t start = segment.offsets[0];
    const std::size_t size = segment.offsets[1] - start;
    segment.bytes()[start + at] = static_cast<std::byte>(value);
    const std::uint32_t crc = crc32c(segment.bytes().subspan(start + 4, size - 4));
    std::memcpy(segment.bytes().data() + start, &crc, 4);
    auto map = SegmentMap::view(segment.bytes(), "m");
    EXPECT_TRUE(map.ok());
    return (*map)->scan(start, segment.bytes().size(), SegmentMap::Check::kCrc,
                        [](const StepView&) { return true; });
  };
  EXPECT_EQ(spoiled(16, 2).code(), Code::kDataLoss);   // another episode
  EXPECT_EQ(spoiled(72, 9).code(), Code::kDataLoss);   // no such source
  EXPECT_EQ(spoiled(73, 32).code(), Code::kDataLoss);  // unknown parts
  EXPECT_EQ(spoiled(74, 17).code(), Code::kDataLoss);  // too many images
}

TEST(Segment, RefusesSequencesThatDoNotRise) {
  const SegmentSpec spec = spec_of(1);
  std::vector<std::byte> bytes = encode_header(spec);
  const std::size_t first = bytes.size();
  Random random(1);
  const Step step = sample_step(random, 1, 0, spec);
  ASSERT_TRUE(encode_step(spec, step, 5, bytes).ok());
  ASSERT_TRUE(encode_step(spec, step, 5, bytes).ok());
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  auto map = SegmentMap::view(std::as_bytes(std::span(words)), "m");
  EXPECT_EQ(
      (*map)
          ->scan(first, bytes.size(), SegmentMap::Check::kCrc, [](const StepView&) { return true; })
          .code(),
      Code::kDataLoss);
}

TEST(Segment, RefusesANewerFormatAndOtherFiles) {
  InMemory segment(spec_of(1), 1);
  segment.bytes()[8] = std::byte{3};
  EXPECT_EQ(SegmentMap::view(segment.bytes(), "m").status().code(), Code::kUnimplemented);
  segment.bytes()[0] = std::byte{'X'};
  EXPECT_EQ(SegmentMap::view(segment.bytes(), "m").status().code(), Code::kDataLoss);
  EXPECT_EQ(SegmentMap::view(segment.bytes().subspan(1), "m").status().code(),
            Code::kInvalidArgument);
}

TEST(Segment, NeverWritesOverAFile) {
  TempFolder folder;
  ASSERT_TRUE(SegmentWriter::create(posix_files(), folder / "s", spec_of(1), 4096).ok());
  EXPECT_EQ(SegmentWriter::create(posix_files(), folder / "s", spec_of(1), 4096).status().code(),
            Code::kAlreadyExists);
}

TEST(Segment, ShowsStepsThatWereWrittenAfterItWasMapped) {
  TempFolder folder;
  const SegmentSpec spec = spec_of(1);
  auto writer = SegmentWriter::create(posix_files(), folder / "s", spec, 4096);
  auto map = SegmentMap::open(posix_files(), folder / "s");
  ASSERT_TRUE(map.ok());
  Random random(1);
  std::uint64_t offset = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    offset = *(*writer)->append(sample_step(random, 1, i, spec), i + 1);
  }
  ASSERT_TRUE((*writer)->sync().ok());
  const std::uint64_t before = (*map)->size();
  ASSERT_TRUE((*map)->refresh().ok());
  EXPECT_GT((*map)->size(), before);
  EXPECT_EQ((*map)->step_at(offset).sequence, 100u);
}

TEST(Segment, WritesTheSameBytesAgainAfterAFailedSyncWhereverItFails) {
  const SegmentSpec spec = spec_of(1);
  for (const bool no_space : {false, true}) {
    for (std::uint64_t at = 1;; ++at) {
      TempFolder folder(TempFolder::Where::kMemory);
      FaultyFiles files(posix_files());
      auto writer = SegmentWriter::create(files, folder / "s", spec, 4096);
      ASSERT_TRUE(writer.ok());
      files.plan({at, false, no_space});
      Random random(1);
      std::vector<Step> sent;
      int failed = 0;
      for (std::uint32_t i = 0; i < 40; ++i) {
        sent.push_back(sample_step(random, 1, i, spec));
        sent.back().sequence = i + 1;
        ASSERT_TRUE((*writer)->append(sent.back()).ok());
        if (i % 5 == 4) failed += (*writer)->sync().ok() ? 0 : 1;
      }
      const bool reached = files.calls() >= at;
      files.plan({});
      ASSERT_TRUE((*writer)->sync().ok());
      EXPECT_LE(failed, 1);
      auto map = SegmentMap::open(posix_files(), folder / "s");
      std::size_t i = 0;
      const Status scanned = (*map)->scan((*map)->first(), (*writer)->synced(),
                                          SegmentMap::Check::kCrc, [&](const StepView& view) {
                                            expect_equal(*(*map)->decode(view.offset), sent[i++]);
                                            return true;
                                          });
      EXPECT_TRUE(scanned.ok()) << scanned.message();
      EXPECT_EQ(i, sent.size());
      if (!reached) break;
    }
  }
}

TEST(Segment, LeavesNoFileBehindWhenItCannotBeMade) {
  for (std::uint64_t at = 1;; ++at) {
    TempFolder folder(TempFolder::Where::kMemory);
    FaultyFiles files(posix_files());
    files.plan({at, false, false});
    const auto writer = SegmentWriter::create(files, folder / "s", spec_of(1), 4096);
    if (writer.ok()) break;
    EXPECT_FALSE(std::filesystem::exists(folder / "s")) << at;
  }
}

}  // namespace
}  // namespace nudge
