#include "policy/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "nudge/random.h"
#include "test/support/test_data.h"

namespace nudge {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return Bytes(data, data + text.size());
}

// A file with this header, as it stands, and this many data bytes.
Bytes file_with(std::string_view header, std::size_t data_size = 0) {
  Bytes bytes(8);
  const std::uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, 8);
  const Bytes text = bytes_of(header);
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.resize(bytes.size() + data_size);
  return bytes;
}

Bytes read_golden(const std::string& name) {
  std::ifstream in(test::test_data() + "/" + name, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return bytes_of(text);
}

Status parse_error(Bytes bytes) { return SafetensorsFile::parse(std::move(bytes)).status(); }

void expect_refused(const Bytes& bytes, const std::string& why) {
  const Status status = parse_error(bytes);
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.message();
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

// What must hold of any file that was accepted.
void expect_consistent(const SafetensorsFile& file) {
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  std::size_t total = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    std::uint64_t size = size_of(tensor.dtype);
    for (const std::int64_t extent : tensor.shape) {
      ASSERT_GE(extent, 0) << name;
      size *= static_cast<std::uint64_t>(extent);
    }
    ASSERT_EQ(size, tensor.bytes.size()) << name;
    if (tensor.bytes.empty()) continue;
    ASSERT_GE(tensor.bytes.data(), file.bytes().data());
    ASSERT_LE(tensor.bytes.data() + tensor.bytes.size(), file.bytes().data() + file.bytes().size());
    ranges.emplace_back(tensor.bytes.data(), tensor.bytes.data() + tensor.bytes.size());
    total += tensor.bytes.size();
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) ASSERT_EQ(ranges[i - 1].second, ranges[i].first);
  if (!ranges.empty()) {
    ASSERT_EQ(ranges.back().second, file.bytes().data() + file.bytes().size());
  }
  ASSERT_LE(total, file.bytes().size());
}

struct RandomFile {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Bytes> data;
  std::map<std::string, TensorToWrite> tensors;
};

std::string random_name(Random& random) {
  static const std::vector<std::string> kParts = {
      "a",  "net.0", "weight", "\"",  "\\", " ", "é", "機", "\xF0\x9F\xA4\x96",
      "\n", "{",     "__",     "\x01"};
  std::string name;
  for (std::uint64_t i = 0, n = random.below(4); i < n; ++i) {
    name += kParts[random.below(kParts.size())];
  }
  return name;
}

RandomFile random_file(std::uint64_t seed) {
  Random random(seed);
  RandomFile file;
  for (std::uint64_t i = 0, n = random.below(4); i < n; ++i) {
    file.metadata[random_name(random)] = random_name(random);
  }
  for (std::uint64_t i = 0, n = random.below(7); i < n; ++i) {
    const std::string name = random_name(random) + std::to_string(i);
    TensorToWrite tensor;
    tensor.dtype = static_cast<Dtype>(random.below(13));
    std::size_t size = size_of(tensor.dtype);
    for (std::uint64_t d = 0, rank = random.below(4); d < rank; ++d) {
      tensor.shape.push_back(static_cast<std::int64_t>(random.below(5)));
      size *= static_cast<std::size_t>(tensor.shape.back());
    }
    Bytes& bytes = file.data[name];
    for (std::size_t b = 0; b < size; ++b) bytes.push_back(static_cast<std::byte>(random.next()));
    tensor.bytes = bytes;
    file.tensors[name] = tensor;
  }
  return file;
}

TEST(Safetensors, WhatIsWrittenIsReadBackEqual) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const RandomFile file = random_file(seed);
    const Result<Bytes> written = write_safetensors(file.metadata, file.tensors);
    ASSERT_TRUE(written.ok()) << seed << ": " << written.status().message();
    const Result<SafetensorsFile> read = SafetensorsFile::parse(*written);
    ASSERT_TRUE(read.ok()) << seed << ": " << read.status().message();
    EXPECT_EQ(read->metadata(), file.metadata);
    ASSERT_EQ(read->tensors().size(), file.tensors.size());
    for (const auto& [name, tensor] : file.tensors) {
      const TensorView& view = read->tensors().at(name);
      EXPECT_EQ(view.dtype, tensor.dtype);
      EXPECT_EQ(view.shape, tensor.shape);
      EXPECT_TRUE(std::equal(view.bytes.begin(), view.bytes.end(), tensor.bytes.begin(),
                             tensor.bytes.end()));
    }
    expect_consistent(*read);
    EXPECT_EQ(*write_safetensors(file.metadata, file.tensors), *written) << "not deterministic";
  }
}

// The golden file was written by the format's own library (safetensors 0.8.0 for Python).
TEST(Safetensors, ReadsAndWritesTheGoldenFileByteForByte) {
  const Bytes golden = read_golden("golden.safetensors");
  ASSERT_FALSE(golden.empty());
  const Result<SafetensorsFile> file = SafetensorsFile::parse(golden);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->metadata().at("made_by"), "golden");
  const TensorView& matrix = file->tensors().at("net.0.weight");
  EXPECT_EQ(matrix.dtype, Dtype::kF32);
  EXPECT_EQ(matrix.shape, (std::vector<std::int64_t>{2, 3}));
  std::vector<float> values(6);
  std::memcpy(values.data(), matrix.bytes.data(), matrix.bytes.size());
  EXPECT_EQ(values, (std::vector<float>{0.f, 0.5f, -1.f, 1.5f, 2.f, -2.5f}));
  EXPECT_TRUE(file->tensors().at("scalar").shape.empty());
  EXPECT_EQ(file->tensors().at("nothing").bytes.size(), 0u);
  EXPECT_EQ(file->tensors().at("count").dtype, Dtype::kI64);

  std::map<std::string, TensorToWrite> tensors;
  for (const auto& [name, view] : file->tensors()) {
    tensors[name] = {view.dtype, view.shape, view.bytes};
  }
  EXPECT_EQ(*write_safetensors(file->metadata(), tensors), golden);
}

TEST(Safetensors, MovingAFileKeepsItsViews) {
  Result<SafetensorsFile> parsed = SafetensorsFile::parse(read_golden("golden.safetensors"));
  ASSERT_TRUE(parsed.ok());
  SafetensorsFile moved = std::move(*parsed);
  const SafetensorsFile again = std::move(moved);
  expect_consistent(again);
}

TEST(Safetensors, DataStartsOnAMultipleOfEightBytes) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const RandomFile file = random_file(seed);
    const Result<Bytes> written = write_safetensors(file.metadata, file.tensors);
    ASSERT_TRUE(written.ok());
    std::uint64_t header = 0;
    std::memcpy(&header, written->data(), 8);
    EXPECT_EQ(header % 8, 0u);
  }
}

TEST(Safetensors, AcceptsAnEmptyHeader) {
  EXPECT_TRUE(SafetensorsFile::parse(file_with("{}")).ok());
}

TEST(Safetensors, AcceptsTensorsWithoutElementsAndScalars) {
  const auto file = SafetensorsFile::parse(
      file_with(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                R"("b":{"dtype":"F32","shape":[3,0],"data_offsets":[4,4]}}  )",
                4));
  ASSERT_TRUE(file.ok()) << file.status().message();
  expect_consistent(*file);
}

TEST(Safetensors, RefusesAFileTooShortForItsPrefix) {
  expect_refused({}, "too few");
  expect_refused(Bytes(7), "too few");
}

TEST(Safetensors, RefusesAHeaderLongerThanTheFormatAllows) {
  Bytes bytes = file_with("{}");
  const std::uint64_t size = kMaxSafetensorsHeader + 1;
  std::memcpy(bytes.data(), &size, 8);
  expect_refused(bytes, "the format allows");
  const std::uint64_t all = ~std::uint64_t{0};
  std::memcpy(bytes.data(), &all, 8);
  expect_refused(bytes, "the format allows");
}

TEST(Safetensors, RefusesAHeaderLongerThanTheFile) {
  Bytes bytes = file_with("{}");
  bytes[0] = std::byte{3};
  expect_refused(bytes, "longer than the file");
}

TEST(Safetensors, RefusesAHeaderThatIsNoObject) {
  expect_refused(file_with(""), "does not start");
  expect_refused(file_with(" {}"), "does not start");
  expect_refused(file_with("[]"), "does not start");
  expect_refused(file_with("{}x"), "ends in something else");
  expect_refused(file_with("{}\n"), "ends in something else");
  expect_refused(file_with("{}{}"), "not valid");
  expect_refused(file_with("{\"a\":}"), "not valid");
}

TEST(Safetensors, RefusesAZeroByteInTheHeader) {
  expect_refused(file_with(std::string_view("{}\0garbage}", 11)), "zero byte");
}

TEST(Safetensors, RefusesAHeaderThatIsNotUtf8) {
  expect_refused(file_with("{\"__metadata__\":{\"a\":\"\xff\xfe\"}}"), "not valid UTF-8");
}

TEST(Safetensors, RefusesTheSameTensorTwice) {
  const std::string tensor = R"({"dtype":"U8","shape":[],"data_offsets":[0,1]})";
  expect_refused(file_with(R"({"a":)" + tensor + R"(,"a":)" + tensor + "}", 1), "appears twice");
  expect_refused(file_with(R"({"a":)" + tensor + R"(,"\u0061":)" + tensor + "}", 1),
                 "appears twice");
}

TEST(Safetensors, RefusesRepeatedKeysBelowTheTop) {
  expect_refused(file_with(R"({"__metadata__":{"k":"1","k":"2"}})"), "appears twice");
  expect_refused(file_with(R"({"__metadata__":{},"__metadata__":{}})"), "appears twice");
  expect_refused(
      file_with(R"({"a":{"dtype":"U8","dtype":"I8","shape":[],"data_offsets":[0,1]}})", 1),
      "appears twice");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[],"shape":[],"data_offsets":[0,1]}})", 1),
                 "appears twice");
}

TEST(Safetensors, RefusesMetadataThatIsNotText) {
  expect_refused(file_with(R"({"__metadata__":{"a":1}})"), "a number");
  expect_refused(file_with(R"({"__metadata__":{"a":{"b":"c"}}})"), "an object");
  expect_refused(file_with(R"({"__metadata__":null})"), "null");
  expect_refused(file_with(R"({"__metadata__":"x"})"), "a string");
}

TEST(Safetensors, RefusesDeepNestingWithoutRecursion) {
  std::string deep = R"({"a":{"shape":)";
  deep += std::string(1'000'000, '[');
  expect_refused(file_with(deep + "}"), "an array");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  expect_refused(file_with(objects + "}"), "unknown key");
}

TEST(Safetensors, RefusesIncompleteOrUnknownEntries) {
  expect_refused(file_with(R"({"a":{"shape":[],"data_offsets":[0,1]}})", 1), "lacks dtype");
  expect_refused(file_with(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), "lacks shape");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[]}})", 1), "lacks data_offsets");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0]}})", 1),
                 "needs two");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1,2]}})", 1),
                 "more than two");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}})", 1),
                 "unknown key");
  expect_refused(file_with(R"({"a":{"dtype":"Q8","shape":[],"data_offsets":[0,1]}})", 1),
                 "unknown dtype");
}

TEST(Safetensors, SaysWhenADtypeIsOnlyUnknownToThisBuild) {
  const Status status =
      parse_error(file_with(R"({"a":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]}})", 1));
  EXPECT_EQ(status.code(), Code::kUnimplemented);
}

TEST(Safetensors, RefusesNumbersThatAreNoSizes) {
  for (const char* shape : {"-1", "1.0", "1e3", "18446744073709551616", "true", "\"1\"", "null"}) {
    SCOPED_TRACE(shape);
    expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[)" + std::string(shape) +
                                 R"(],"data_offsets":[0,1]}})",
                             1),
                   "holds");
  }
  expect_refused(
      file_with(R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1),
      "impossible shape");
}

TEST(Safetensors, RefusesAShapeWhoseSizeOverflows) {
  // 2^32 * 2^32 * 4 bytes wraps to 0 in 64 bits.
  expect_refused(file_with(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
                           R"("data_offsets":[0,0]}})"),
                 "overflows");
  expect_refused(file_with(R"({"a":{"dtype":"F64","shape":[2305843009213693952],)"
                           R"("data_offsets":[0,0]}})"),
                 "overflows");
}

TEST(Safetensors, RefusesMoreDimensionsThanItsBound) {
  std::string shape = "1";
  for (std::size_t i = 0; i < kMaxRank; ++i) shape += ",1";
  expect_refused(
      file_with(R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})", 1),
      "dimensions");
}

TEST(Safetensors, RefusesBytesThatDoNotFitTheShape) {
  expect_refused(file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
                 "its shape asks for 8");
}

TEST(Safetensors, RefusesTensorsOutsideOfTheFile) {
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 3),
                 "outside");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}})", 3),
                 "outside");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[1],)"
                           R"("data_offsets":[18446744073709551615,0]}})",
                           3),
                 "outside");
}

TEST(Safetensors, RefusesGapsOverlapsAndLeftoverBytes) {
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2), "gaps");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                           R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                           3),
                 "overlaps");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                           1),
                 "overlaps");
  expect_refused(file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2),
                 "cover 1 of 2");
  expect_refused(file_with("{}", 1), "cover 0 of 1");
}

TEST(Safetensors, TheWriterRefusesWhatTheReaderWould) {
  const Bytes one(1);
  const auto code = [](const std::map<std::string, std::string>& metadata,
                       const std::map<std::string, TensorToWrite>& tensors) {
    return write_safetensors(metadata, tensors).status().code();
  };
  EXPECT_EQ(code({}, {{"__metadata__", {Dtype::kU8, {1}, one}}}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {{"a", {Dtype::kU8, {2}, one}}}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {{"a", {Dtype::kU8, {-1}, one}}}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {{"\xff", {Dtype::kU8, {1}, one}}}), Code::kInvalidArgument);
  EXPECT_EQ(code({{"a", "\xff"}}, {}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {{"a", {Dtype::kU8, std::vector<std::int64_t>(33, 1), one}}}),
            Code::kInvalidArgument);
}

// Damage of every kind: the reader may refuse or accept, but never crash, and what it accepts is
// consistent. Sanitizers make this test stronger.
TEST(Safetensors, DamagedFilesNeverCrashAndAreNeverInconsistent) {
  int refused = 0;
  constexpr int kMutations = 20'000;
  for (std::uint64_t seed = 0; seed < kMutations; ++seed) {
    Random random(Random::derive(7, seed));
    const RandomFile file = random_file(seed % 200);
    Bytes bytes = *write_safetensors(file.metadata, file.tensors);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    switch (random.below(6)) {
      case 0: bytes.resize(random.below(bytes.size())); break;
      case 1:
        for (std::uint64_t i = 0, n = 1 + random.below(4); i < n; ++i) {
          bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
        }
        break;
      case 2: {  // lies about the header's length
        header = random.below(2) == 0 ? random.next() : header + random.below(17) - 8;
        std::memcpy(bytes.data(), &header, 8);
        break;
      }
      case 3: {  // other digits in the header
        for (int i = 0; i < 3; ++i) {
          const std::size_t at = 8 + random.below(std::max<std::uint64_t>(header, 1));
          if (at < bytes.size() && std::isdigit(static_cast<unsigned char>(bytes[at]))) {
            bytes[at] = static_cast<std::byte>('0' + random.below(10));
          }
        }
        break;
      }
      case 4: {  // a slice twice
        const std::size_t from = random.below(bytes.size());
        const std::size_t count = random.below(std::min<std::size_t>(40, bytes.size() - from) + 1);
        const Bytes slice(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                          bytes.begin() + static_cast<std::ptrdiff_t>(from + count));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random.below(bytes.size() + 1)),
                     slice.begin(), slice.end());
        break;
      }
      default: {  // random bytes at the end
        for (std::uint64_t i = 0, n = 1 + random.below(32); i < n; ++i) {
          bytes.push_back(static_cast<std::byte>(random.next()));
        }
      }
    }
    const Result<SafetensorsFile> read = SafetensorsFile::parse(bytes);
    if (!read.ok()) {
      ++refused;
      EXPECT_FALSE(read.status().message().empty());
      continue;
    }
    expect_consistent(*read);
    if (HasFatalFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(refused, kMutations / 2);
}

}  // namespace
}  // namespace nudge
