#include "policy/weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "policy/flat_object.h"
#include "test/support/golden.h"
#include "test/support/weights_samples.h"

namespace nudge {
namespace {

using Bytes = std::vector<std::byte>;
using test::random_tensors;
using test::small_head;
using test::some_lineage;
using test::weights_bytes;

// The same file with its metadata and tensors changed.
Bytes changed(const std::function<void(std::map<std::string, std::string>&,
                                       std::map<std::string, TensorToWrite>&)>& change) {
  static const Result<SafetensorsFile> file = SafetensorsFile::parse(weights_bytes(1));
  auto metadata = file->metadata();
  std::map<std::string, TensorToWrite> tensors;
  for (const auto& [name, view] : file->tensors()) {
    tensors[name] = {view.dtype, view.shape, view.bytes};
  }
  change(metadata, tensors);
  return *write_safetensors(metadata, tensors);
}

Bytes with_metadata(const std::string& key, const std::string& value) {
  return changed([&](auto& metadata, auto&) { metadata[key] = value; });
}

void expect_refused(const Bytes& bytes, Code code, const std::string& why) {
  const Status status = Weights::parse(bytes).status();
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

TEST(Weights, AreReadBackAsTheyWereWritten) {
  const auto tensors = random_tensors(small_head(), 1);
  const auto bytes = write_weights(small_head(), some_lineage(), tensors);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  const auto weights = Weights::parse(*bytes);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ((*weights)->head(), small_head());
  EXPECT_EQ((*weights)->lineage(), some_lineage());
  EXPECT_EQ((*weights)->hash(), sha256(*bytes));
  for (const auto& [name, values] : tensors) {
    const auto view = (*weights)->file().tensors().at(name);
    ASSERT_EQ(view.bytes.size(), values.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(view.bytes.data(), values.data(), view.bytes.size()), 0) << name;
  }
}

TEST(Weights, EqualInputGivesEqualBytes) { EXPECT_EQ(weights_bytes(7), weights_bytes(7)); }

TEST(Weights, EveryFieldOfTheLineageChangesTheHash) {
  const auto hash = [](const Lineage& lineage) {
    return sha256(*write_weights(small_head(), lineage, random_tensors(small_head(), 1)));
  };
  const Sha256 base = hash(some_lineage());
  Lineage other = some_lineage();
  other.seed = 1;
  EXPECT_NE(hash(other), base);
  other = some_lineage();
  other.prefix = 1;
  EXPECT_NE(hash(other), base);
  other = some_lineage();
  other.parent_hash.clear();
  EXPECT_NE(hash(other), base);
}

TEST(Weights, ListTheTensorsOfAFlowHead) {
  HeadSpec head = small_head();  // 4 rows of 2 numbers, 6 features, 3 proprioception
  head.reference_chunk = true;
  const auto list = tensors_of(head);
  const std::map<std::string, std::vector<std::int64_t>> shapes(list.begin(), list.end());
  EXPECT_EQ(shapes.at("net.0.weight"), (std::vector<std::int64_t>{8, 8 + 8 + 6 + 3 + 32 + 16}));
  EXPECT_EQ(shapes.at("net.1.weight"), (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(shapes.at("net.2.weight"), (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(shapes.at("net.2.bias"), (std::vector<std::int64_t>{8}));
  EXPECT_EQ(shapes.at("time_frequencies"), (std::vector<std::int64_t>{16}));
  EXPECT_EQ(shapes.at("advantage"), (std::vector<std::int64_t>{3, 16}));
  EXPECT_EQ(shapes.at("norm.feature.mean"), (std::vector<std::int64_t>{6}));
  EXPECT_EQ(shapes.at("norm.proprioception.scale"), (std::vector<std::int64_t>{3}));
  EXPECT_EQ(shapes.at("norm.action.scale"), (std::vector<std::int64_t>{2}));
  EXPECT_EQ(shapes.size(), 6u + 2u + 6u);
}

TEST(Weights, OfAHeadThatEditsSayWhetherThereIsAReference) {
  HeadSpec head = small_head();
  head.reference_chunk = head.edit = true;
  const auto list = tensors_of(head);
  const std::map<std::string, std::vector<std::int64_t>> shapes(list.begin(), list.end());
  EXPECT_EQ(shapes.at("net.0.weight"), (std::vector<std::int64_t>{8, 8 + 8 + 1 + 6 + 3 + 32 + 16}));
  head.reference_chunk = false;
  EXPECT_FALSE(head.validate().ok());
}

// What this build and every older one writes of a head that replaces, and what only newer ones
// read: a head that edits, and one that edits a base of its own.
TEST(Weights, AreWrittenAsTheirGoldenFiles) {
  HeadSpec tiny = small_head();
  tiny.feature_size = 2;
  tiny.proprioception_size = 1;
  tiny.horizon = 2;
  tiny.hidden = 2;
  tiny.layers = 1;
  HeadSpec edit = tiny;
  edit.reference_chunk = edit.edit = true;
  Lineage of_base = some_lineage();
  of_base.base_hash = std::string(64, 'b');
  Lineage of_origin = some_lineage();
  of_origin.origin_hash = std::string(64, 'e');
  for (const auto& [head, lineage, name] :
       {std::tuple{tiny, some_lineage(), "weights-replace.safetensors"},
        std::tuple{edit, some_lineage(), "weights-edit.safetensors"},
        std::tuple{edit, of_base, "weights-edit-base.safetensors"},
        std::tuple{tiny, of_origin, "weights-origin.safetensors"}}) {
    const auto bytes = write_weights(head, lineage, random_tensors(head, 1));
    ASSERT_TRUE(bytes.ok());
    const std::string now(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    const std::string golden = test::golden(name, now);
    EXPECT_TRUE(golden == now) << name;
    std::vector<std::byte> stored(golden.size());
    std::memcpy(stored.data(), golden.data(), golden.size());
    const auto weights = Weights::parse(stored);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_EQ((*weights)->head(), head);
    EXPECT_EQ((*weights)->lineage(), lineage);
  }
}

TEST(Weights, NameABaseOnlyWhereTheyEditOne) {
  Lineage lineage = some_lineage();
  lineage.base_hash = std::string(64, 'b');
  EXPECT_EQ(write_weights(small_head(), lineage, random_tensors(small_head(), 1)).status().code(),
            Code::kInvalidArgument);
  const auto file = SafetensorsFile::parse(weights_bytes(1));
  auto object = *FlatObject::parse(file->metadata().at("lineage"));
  object.set("base_hash", lineage.base_hash);
  expect_refused(with_metadata("lineage", *object.dump()), Code::kInvalidArgument, "edits nothing");
  object.set("base_hash", std::string());
  expect_refused(with_metadata("lineage", *object.dump()), Code::kDataLoss, "base_hash");
}

TEST(Weights, NameAnOriginOnlyWhereItIsNotTheParent) {
  Lineage lineage = some_lineage();
  lineage.origin_hash = lineage.parent_hash = std::string(64, 'e');
  EXPECT_EQ(write_weights(small_head(), lineage, random_tensors(small_head(), 1)).status().code(),
            Code::kInvalidArgument);
  const auto file = SafetensorsFile::parse(weights_bytes(1));
  auto object = *FlatObject::parse(file->metadata().at("lineage"));
  object.set("origin_hash", std::string());
  expect_refused(with_metadata("lineage", *object.dump()), Code::kDataLoss, "origin_hash");
  object.set("origin_hash", std::string("e"));
  expect_refused(with_metadata("lineage", *object.dump()), Code::kInvalidArgument, "origin_hash");
}

TEST(Weights, AFieldThatSaysNothingIsRefused) {
  const auto file = SafetensorsFile::parse(weights_bytes(1));
  auto head = FlatObject::parse(file->metadata().at("head"));
  ASSERT_TRUE(head.ok());
  head->set("edit", false);
  expect_refused(with_metadata("head", *head->dump()), Code::kDataLoss, "\"edit\" is false");
}

TEST(Weights, ARegressionHeadHasNeitherTimeNorNoiseInItsInput) {
  HeadSpec head = small_head();
  head.kind = HeadKind::kRegression;
  head.proprioception_size = 0;
  const auto list = tensors_of(head);
  const std::map<std::string, std::vector<std::int64_t>> shapes(list.begin(), list.end());
  EXPECT_EQ(shapes.at("net.0.weight"), (std::vector<std::int64_t>{8, 6 + 16}));
  EXPECT_EQ(shapes.count("time_frequencies"), 0u);
  EXPECT_EQ(shapes.count("norm.proprioception.mean"), 0u);
  const auto bytes = write_weights(head, some_lineage(), random_tensors(head, 1));
  ASSERT_TRUE(bytes.ok());
  const auto weights = Weights::parse(*bytes);
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ((*weights)->head(), head);
}

TEST(Weights, NumbersThatAreNotFiniteAreLeftToTheGate) {
  auto tensors = random_tensors(small_head(), 1);
  tensors["net.0.bias"][0] = std::numeric_limits<float>::quiet_NaN();
  const auto bytes = write_weights(small_head(), some_lineage(), tensors);
  ASSERT_TRUE(bytes.ok());
  EXPECT_TRUE(Weights::parse(*bytes).ok());
}

TEST(Weights, UnknownMetadataIsIgnored) {
  EXPECT_TRUE(Weights::parse(with_metadata("note", "from a newer writer")).ok());
}

TEST(Weights, MissingMetadataIsNamed) {
  for (const char* key : {"nudge.weights", "head", "lineage"}) {
    expect_refused(changed([&](auto& metadata, auto&) { metadata.erase(key); }), Code::kDataLoss,
                   "\"" + std::string(key) + "\" is missing");
  }
}

TEST(Weights, AFieldMissingInTheHeadOrTheLineageIsNamed) {
  for (const char* key : {"head", "lineage"}) {
    const auto file = SafetensorsFile::parse(weights_bytes(1));
    const auto whole = FlatObject::parse(file->metadata().at(key));
    ASSERT_TRUE(whole.ok());
    for (const auto& [field, value] : whole->values()) {
      FlatObject without;
      for (const auto& [name, v] : whole->values()) {
        if (name != field) without.set(name, v);
      }
      expect_refused(with_metadata(key, *without.dump()), Code::kDataLoss,
                     "\"" + field + "\" is missing");
    }
  }
}

TEST(Weights, ANewerFormatIsUnimplemented) {
  expect_refused(with_metadata("nudge.weights", "2"), Code::kUnimplemented, "version 1");
}

TEST(Weights, AnUnknownFieldOfTheHeadIsRefusedAsItMayChangeTheMeaning) {
  const auto file = SafetensorsFile::parse(weights_bytes(1));
  auto head = *FlatObject::parse(file->metadata().at("head"));
  head.set("residual", true);
  expect_refused(with_metadata("head", *head.dump()), Code::kUnimplemented, "does not know");
}

TEST(Weights, HeadsOutOfRangeAreRefusedNamingTheField) {
  const auto refused = [](const std::string& field, auto change) {
    HeadSpec head = small_head();
    change(head);
    const Status status = head.validate();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find(field), std::string::npos) << status.message();
    EXPECT_FALSE(write_weights(head, some_lineage(), {}).ok());
  };
  refused("feature_size", [](auto& h) { h.feature_size = 0; });
  refused("feature_size", [](auto& h) { h.feature_size = kMaxFeatures + 1; });
  refused("proprioception_size", [](auto& h) { h.proprioception_size = 257; });
  refused("action_size", [](auto& h) { h.action_size = 65; });
  refused("horizon", [](auto& h) { h.horizon = 0; });
  refused("hidden", [](auto& h) { h.hidden = 2049; });
  refused("layers", [](auto& h) { h.layers = 9; });
  refused("euler_steps", [](auto& h) { h.euler_steps = 0; });
}

TEST(Weights, ALieAboutTheHeadIsRefusedBeforeAnythingIsAllocatedForIt) {
  const auto file = SafetensorsFile::parse(weights_bytes(1));
  auto head = *FlatObject::parse(file->metadata().at("head"));
  head.set("hidden", ~std::uint64_t{0});
  expect_refused(with_metadata("head", *head.dump()), Code::kInvalidArgument, "hidden");
}

TEST(Weights, HashesOfTheLineageAreHexOrEmpty) {
  Lineage lineage = some_lineage();
  lineage.parent_hash = "";
  EXPECT_TRUE(write_weights(small_head(), lineage, random_tensors(small_head(), 1)).ok());
  lineage.parent_hash = std::string(64, 'A');
  EXPECT_FALSE(write_weights(small_head(), lineage, random_tensors(small_head(), 1)).ok());
  lineage.parent_hash = "abc";
  EXPECT_FALSE(write_weights(small_head(), lineage, random_tensors(small_head(), 1)).ok());
}

TEST(Weights, TensorsMustBeThoseOfTheHead) {
  expect_refused(changed([](auto&, auto& tensors) { tensors.erase("advantage"); }), Code::kDataLoss,
                 "\"advantage\" is missing");
  expect_refused(changed([](auto&, auto& tensors) { tensors["more"] = tensors["advantage"]; }),
                 Code::kDataLoss, "15 tensors, the head asks for 14");
  expect_refused(changed([](auto&, auto& tensors) {
                   tensors["advantage"].shape = {16, 3};
                 }),
                 Code::kDataLoss, "shape [16, 3], the head asks for [3, 16]");
  expect_refused(changed([](auto&, auto& tensors) { tensors["advantage"].dtype = Dtype::kI32; }),
                 Code::kDataLoss, "not F32");
}

TEST(Weights, TheWriterAsksForExactlyTheTensorsOfTheHead) {
  auto tensors = random_tensors(small_head(), 1);
  tensors.erase("advantage");
  EXPECT_FALSE(write_weights(small_head(), some_lineage(), tensors).ok());
  tensors = random_tensors(small_head(), 1);
  tensors["more"] = {1};
  EXPECT_FALSE(write_weights(small_head(), some_lineage(), tensors).ok());
  tensors = random_tensors(small_head(), 1);
  tensors["advantage"].pop_back();
  EXPECT_FALSE(write_weights(small_head(), some_lineage(), tensors).ok());
}

TEST(Weights, HashIsSha256) {
  // FIPS 180-2, appendix B.1.
  const std::string abc = "abc";
  const Sha256 hash = sha256(std::as_bytes(std::span(abc)));
  EXPECT_EQ(to_hex(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*sha256_from_hex(to_hex(hash)), hash);
  EXPECT_FALSE(sha256_from_hex("ba78").ok());
  EXPECT_FALSE(sha256_from_hex(std::string(64, 'G')).ok());
}

TEST(Weights, DamagedFilesNeverCrash) {
  const Bytes whole = weights_bytes(3);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Random random(seed);
    Bytes bytes = whole;
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
    for (std::uint64_t i = 0, n = 1 + random.below(3); i < n && !bytes.empty(); ++i) {
      // Mostly in the header, where damage is interesting.
      const std::size_t end =
          random.below(4) == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 2000);
      bytes[random.below(end)] = static_cast<std::byte>(random.next());
    }
    const auto weights = Weights::parse(bytes);
    if (weights.ok()) {
      EXPECT_EQ((*weights)->hash(), sha256(bytes));
      EXPECT_TRUE((*weights)->head().validate().ok());
    }
  }
}

}  // namespace
}  // namespace nudge
