#include "policy/manifest.h"

#include <gtest/gtest.h>

#include <functional>

#include "nudge/random.h"
#include "policy/flat_object.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

SigningKey make_key() {
  const test::TempFolder root;
  auto folder = open_folder(root.path());
  return std::move(*SigningKey::load_or_create(**folder));
}

const SigningKey& key() {
  static const SigningKey key = make_key();
  return key;
}

Manifest some_manifest() {
  Manifest manifest;
  manifest.version = 7;
  manifest.hash.fill(0xab);
  manifest.size = 900'000;
  manifest.parent = 5;
  manifest.kind = WeightsKind::kProvisional;
  manifest.report = R"({"change":0.02,"note":"é"})";
  manifest.created = WallTime(Duration(1'700'000'000'123'456'789));
  manifest.robot = "kitchen-1";
  return manifest;
}

std::string some_text() { return *write_manifest(some_manifest(), key()); }

void expect_refused(const std::string& text, Code code, const std::string& why) {
  const Status status = read_manifest(text, key().public_key()).status();
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

// Signed by us all the same: what our own key vouches for is still checked for form.
std::string signed_with(const std::function<void(FlatObject&)>& change) {
  auto object = *FlatObject::parse(some_text().substr(0, some_text().size() - 1));
  FlatObject body;
  for (const auto& [name, value] : object.values()) {
    if (name != "signature") body.set(name, value);
  }
  change(body);
  const Signature signature = key().sign("nudge.weights.manifest\n" + *body.dump());
  std::string hex;
  for (const std::uint8_t byte : signature) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  body.set("signature", hex);
  return *body.dump() + "\n";
}

TEST(Manifest, IsReadBackAsItWasWritten) {
  const auto read = read_manifest(some_text(), key().public_key());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, some_manifest());
}

TEST(Manifest, NamesTheBaseInAFormatThatOlderReadersRefuse) {
  Manifest manifest = some_manifest();
  manifest.base.emplace().fill(0xcd);
  const std::string text = *write_manifest(manifest, key());
  EXPECT_NE(text.find("\"format\":2"), std::string::npos) << text;
  EXPECT_NE(some_text().find("\"format\":1"), std::string::npos) << "and nothing else is new";
  const auto read = read_manifest(text, key().public_key());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, manifest);
}

BaseManifest some_base_manifest() {
  return {.hash = some_manifest().hash,
          .size = 700,
          .report = "{}",
          .created = some_manifest().created,
          .robot = "kitchen-1"};
}

TEST(Manifest, OfABaseIsReadBackAsItWasWritten) {
  const auto read =
      read_base_manifest(*write_manifest(some_base_manifest(), key()), key().public_key());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, some_base_manifest());
}

TEST(Manifest, OfABaseIsNoneOfAVersionAndTheReverse) {
  const std::string base = *write_manifest(some_base_manifest(), key());
  EXPECT_EQ(read_manifest(base, key().public_key()).status().code(), Code::kDataLoss);
  EXPECT_EQ(read_base_manifest(some_text(), key().public_key()).status().code(), Code::kDataLoss);
}

TEST(Manifest, OfABaseIsRefusedWhenItWasChangedOrSignedByAnother) {
  std::string text = *write_manifest(some_base_manifest(), key());
  EXPECT_EQ(read_base_manifest(text, make_key().public_key()).status().code(),
            Code::kPermissionDenied);
  text.replace(text.find("\"size\":700"), 10, "\"size\":701");
  const Status changed = read_base_manifest(text, key().public_key()).status();
  EXPECT_EQ(changed.code(), Code::kDataLoss);
  EXPECT_NE(changed.message().find("signature does not match"), std::string::npos);
}

TEST(Manifest, EqualManifestsGiveEqualBytes) { EXPECT_EQ(some_text(), some_text()); }

TEST(Manifest, RefusesAnotherKey) {
  const SigningKey other = make_key();
  const Status status =
      read_manifest(*write_manifest(some_manifest(), other), key().public_key()).status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_NE(status.message().find("another key"), std::string::npos);
}

TEST(Manifest, RefusesAChangedField) {
  std::string text = some_text();
  text.replace(text.find("\"version\":7"), 11, "\"version\":8");
  expect_refused(text, Code::kDataLoss, "signature does not match");
}

TEST(Manifest, RefusesTheSignatureOfAnotherKeyUnderOurName) {
  const SigningKey other = make_key();
  const std::string theirs = *write_manifest(some_manifest(), other);
  const std::string field = "\"signature\":\"";
  std::string text = some_text();
  text.replace(text.find(field), field.size() + 128,
               theirs.substr(theirs.find(field), field.size() + 128));
  expect_refused(text, Code::kDataLoss, "signature does not match");
}

TEST(Manifest, RefusesASignatureThatIsNoHex) {
  std::string text = some_text();
  text[text.find("\"signature\":\"") + 20] = 'x';
  expect_refused(text, Code::kDataLoss, "128 hex digits");
}

TEST(Manifest, RefusesAnotherSpellingOfTheSameObject) {
  std::string text = some_text();
  text.insert(1, " ");
  expect_refused(text, Code::kDataLoss, "canonical");
}

TEST(Manifest, RefusesAFieldThatAppearsTwice) {
  std::string text = some_text();
  text.insert(1, "\"created_ns\":1,");
  expect_refused(text, Code::kDataLoss, "twice");
}

TEST(Manifest, RefusesTruncatedText) {
  const std::string text = some_text();
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(read_manifest(text.substr(0, size), key().public_key()).ok()) << size;
  }
  expect_refused("", Code::kDataLoss, "truncated");
}

TEST(Manifest, RefusesANewerFormat) {
  expect_refused(signed_with([](auto& body) { body.set("format", std::uint64_t{3}); }),
                 Code::kUnimplemented, "format 3");
}

TEST(Manifest, ChecksTheFormEvenOfWhatIsSigned) {
  const auto set = [](const char* name, FlatObject::Value value) {
    return signed_with([&](FlatObject& body) { body.set(name, value); });
  };
  expect_refused(set("version", std::uint64_t{0}), Code::kDataLoss, "at least 1");
  expect_refused(set("parent", std::uint64_t{7}), Code::kDataLoss, "older");
  expect_refused(set("robot", std::string()), Code::kDataLoss, "robot");
  expect_refused(set("kind", std::string("gold")), Code::kDataLoss, "kind");
  expect_refused(set("hash", std::string("ab")), Code::kDataLoss, "hash");
  expect_refused(set("created_ns", ~std::uint64_t{0}), Code::kDataLoss, "created_ns");
  expect_refused(set("size", std::string("1")), Code::kDataLoss, "\"size\" has the wrong type");
  expect_refused(set("more", true), Code::kDataLoss, "unknown fields");
  expect_refused(set("format", std::uint64_t{2}), Code::kDataLoss, "unknown fields");
  expect_refused(set("base", std::string(64, 'b')), Code::kDataLoss, "unknown fields");
}

TEST(Manifest, IsNotWrittenOutOfRange) {
  const auto code = [](auto change) {
    Manifest manifest = some_manifest();
    change(manifest);
    return write_manifest(manifest, key()).status().code();
  };
  EXPECT_EQ(code([](auto& m) { m.version = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.parent = 7; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.robot = std::string(65, 'r'); }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.report = "\xff"; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.report = std::string(Manifest::kMaxReport + 1, ' '); }),
            Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.report = std::string(Manifest::kMaxReport, '\x01'); }),
            Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& m) { m.created = WallTime(Duration(-1)); }), Code::kInvalidArgument);
}

TEST(Manifest, NoMutationIsAccepted) {
  const std::string whole = some_text();
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    Random random(seed);
    std::string text = whole;
    for (std::uint64_t i = 0, n = 1 + random.below(3); i < n; ++i) {
      const std::size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0: text[at] = static_cast<char>(random.next()); break;
        case 1: text[at] = static_cast<char>(text[at] ^ (1 << random.below(8))); break;
        case 2: text.erase(at, 1 + random.below(5)); break;
        default: text.insert(at, whole.substr(random.below(whole.size()), random.below(20)));
      }
      if (text.empty()) text = "x";
    }
    if (text == whole) continue;
    EXPECT_FALSE(read_manifest(text, key().public_key()).ok()) << text;
  }
}

}  // namespace
}  // namespace nudge
