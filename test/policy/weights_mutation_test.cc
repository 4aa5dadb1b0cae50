// Ten thousand harmful changes to a stored version, half of them signed again with the valid key,
// so that the checks behind the signature are the ones that are tried.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include "nudge/random.h"
#include "policy/flat_object.h"
#include "policy/weights_store.h"
#include "test/support/temp_folder.h"
#include "test/support/weights_samples.h"

namespace nudge {
namespace {

using test::some_weights;
using test::TempFolder;

constexpr int kMutations = 10'000;
constexpr WeightsVersion kVersion = 2;  // the one that is attacked; version 1 lies beside it

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void put(const std::string& path, const std::string& bytes) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}
std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// The JSON header of a safetensors file and what follows it.
struct Parts {
  std::string header, data;
  explicit Parts(const std::string& file) {
    std::uint64_t size = 0;
    std::memcpy(&size, file.data(), sizeof size);
    header = file.substr(8, size);
    data = file.substr(8 + size);
  }
  std::string file() const {
    const std::uint64_t size = header.size();
    std::string out(sizeof size, '\0');
    std::memcpy(out.data(), &size, sizeof size);
    return out + header + data;
  }
};

bool replace_once(std::string& in, const std::string& from, const std::string& to) {
  const std::size_t at = in.find(from);
  if (at == std::string::npos) return false;
  in.replace(at, from.size(), to);
  return true;
}

struct Mutation {
  const char* name;
  // Changes the file; only the log's hash tells such a change from another valid version when the
  // gate's own key signs it, if `form` is false.
  std::function<void(std::string& weights, Random&)> change;
  bool form;  // the file breaks a rule of its form
};

const std::vector<Mutation>& mutations() {
  static const std::vector<Mutation> list = {
      {"truncated", [](std::string& w, Random& r) { w.resize(r.below(w.size())); }, true},
      {"extended", [](std::string& w, Random& r) { w.append(1 + r.below(64), 'x'); }, true},
      {"bit flipped in the header",
       [](std::string& w, Random& r) {
         const std::uint64_t size = Parts(w).header.size();
         w[r.below(8 + size)] ^= static_cast<char>(1u << r.below(8));
       },
       false},  // a flip in the text of a lineage is another valid lineage
      {"bit flipped in the data",
       [](std::string& w, Random& r) {
         const std::size_t data = Parts(w).data.size();
         w[w.size() - 1 - r.below(data)] ^= static_cast<char>(1u << r.below(8));
       },
       false},
      {"NaN in a tensor",
       [](std::string& w, Random& r) {
         const float bad = r.below(2) == 0 ? std::nanf("") : std::numeric_limits<float>::infinity();
         const std::size_t data = Parts(w).data.size() / sizeof bad;
         std::memcpy(w.data() + w.size() - sizeof bad * (1 + r.below(data)), &bad, sizeof bad);
       },
       false},  // finiteness is the gate's to look at, with a reason of its own
      {"tensor renamed",
       [](std::string& w, Random&) {
         Parts parts(w);
         replace_once(parts.header, "net.0.weight", "net.0.wait__");
         w = parts.file();
       },
       true},
      {"tensor transposed",
       [](std::string& w, Random&) {
         Parts parts(w);
         const std::size_t at =
             parts.header.find("[", parts.header.find("shape", parts.header.find("net.1.weight")));
         parts.header.replace(at, 1, "[1,");
         w = parts.file();
       },
       true},
      {"tensor of another type",
       [](std::string& w, Random& r) {
         Parts parts(w);
         const char* types[] = {"I32", "U32", "F16", "F64", "BF16", "BOOL", "X99"};
         replace_once(parts.header, "\"F32\"", "\"" + std::string(types[r.below(7)]) + "\"");
         w = parts.file();
       },
       true},
      {"tensor too many",
       [](std::string& w, Random&) {
         Parts parts(w);
         const std::string end = std::to_string(parts.data.size());
         const std::string more = std::to_string(parts.data.size() + 4);
         const std::size_t close = parts.header.rfind('}');
         parts.header.replace(
             close, 1,
             ",\"net.9.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" + end + "," +
                 more + "]}}");
         parts.data.append(4, '\0');
         w = parts.file();
       },
       true},
      {"lie about the header's length",
       [](std::string& w, Random& r) {
         const std::uint64_t lies[] = {
             0, 1, ~std::uint64_t{0}, std::uint64_t{1} << 40, w.size(), w.size() - 8, 100'000'001};
         const std::uint64_t lie = lies[r.below(7)];
         std::memcpy(w.data(), &lie, sizeof lie);
       },
       true},
      {"lie about an offset",
       [](std::string& w, Random& r) {
         Parts parts(w);
         const std::size_t at = parts.header.find("data_offsets\":[") + 15;
         parts.header.insert(at, std::to_string(1 + r.below(99)));
         w = parts.file();
       },
       true},
      {"lie about the head",
       [](std::string& w, Random& r) {
         Parts parts(w);
         const char* keys[] = {"hidden", "layers", "horizon", "feature_size", "action_size"};
         const std::size_t key = parts.header.find(keys[r.below(5)]);
         const std::size_t digit = parts.header.find_first_of("0123456789", key);
         parts.header.replace(digit, 1, std::to_string(100 + r.below(900'000)));
         w = parts.file();
       },
       true},
      {"metadata gone",
       [](std::string& w, Random&) {
         Parts parts(w);
         replace_once(parts.header, "__metadata__", "__metadaten_");
         w = parts.file();
       },
       true},
  };
  return list;
}

class WeightsMutation : public ::testing::Test {
 protected:
  WeightsMutation() {
    publish(root_.path(), "kitchen-1");
    publish(elsewhere_.path(), "kitchen-1");  // the same, signed by another key
    publish(other_robot_.path(), "kitchen-2");
    weights_ = content(root_ / name(kVersion, ".safetensors"));
    manifest_ = content(root_ / name(kVersion, ".manifest.json"));
  }

  static void publish(const std::string& path, const std::string& robot) {
    WeightsStore store = open(path, robot);
    for (WeightsVersion version = 1; version <= kVersion; ++version) {
      const auto done = store.publish(
          *some_weights(version),
          {version, version - 1, "{}", WallTime(std::chrono::seconds(1'700'000'000))});
      ASSERT_TRUE(done.ok()) << done.status().message();
    }
  }
  static WeightsStore open(const std::string& path, const std::string& robot = "kitchen-1") {
    auto folder = open_folder(path);
    auto key = SigningKey::load_or_create(**folder);
    auto store = WeightsStore::open(std::move(*folder), std::move(*key), robot);
    EXPECT_TRUE(store.ok()) << store.status().message();
    return std::move(*store);
  }
  static std::string name(WeightsVersion version, const char* suffix) {
    return std::to_string(version) + suffix;
  }

  // The manifest of `weights`, with whatever hash and size they now have, and the gate's own key.
  std::string signed_again(const std::string& weights) const {
    auto folder = open_folder(root_.path());
    const auto key = SigningKey::load_or_create(**folder);
    auto manifest = read_manifest(manifest_, key->public_key());
    EXPECT_TRUE(manifest.ok());
    manifest->hash = sha256(bytes_of(weights));
    manifest->size = weights.size();
    return *write_manifest(*manifest, *key);
  }

  void lay(const std::string& weights, const std::string& manifest) {
    for (const auto& entry : std::filesystem::directory_iterator(root_.path())) {
      if (entry.path().extension() == ".rejected") std::filesystem::remove(entry.path());
    }
    put(root_ / name(kVersion, ".safetensors"), weights);
    put(root_ / name(kVersion, ".manifest.json"), manifest);
  }

  // Refused with a reason, and out of the way; what refused it.
  void expect_refused(WeightsStore& store, const std::optional<Sha256>& expected,
                      const std::string& what) {
    const auto loaded = store.load(kVersion, expected);
    ASSERT_FALSE(loaded.ok()) << what << " was loaded";
    ASSERT_FALSE(loaded.status().message().empty());
    ASSERT_EQ(loaded.status().code(), Code::kDataLoss) << what << loaded.status().message();
    ASSERT_EQ(store.load(kVersion, expected).status().code(), Code::kNotFound) << what;
    ASSERT_NE(content(root_ / name(kVersion, ".reason.rejected")), "") << what;
  }

  TempFolder root_{TempFolder::Where::kMemory};
  TempFolder elsewhere_{TempFolder::Where::kMemory};
  TempFolder other_robot_{TempFolder::Where::kMemory};
  std::string weights_, manifest_;  // of the version that is attacked, whole
};

TEST_F(WeightsMutation, OfTenThousandNoneIsEverLoadedAndEachIsSetAsideWithAReason) {
  WeightsStore store = open(root_.path());
  const Sha256 known = some_weights(kVersion)->hash();  // what the log says of this version
  std::map<std::string, int> tried;
  for (int i = 0; i < kMutations; ++i) {
    Random random(static_cast<std::uint64_t>(i));
    const Mutation& mutation = mutations()[random.below(mutations().size())];
    std::string weights = weights_;
    mutation.change(weights, random);
    ASSERT_NE(weights, weights_) << mutation.name << " changes nothing";
    const bool again = i % 2 == 0;
    const std::string what =
        std::string(mutation.name) + (again ? ", signed again, " : ", ") + std::to_string(i) + ": ";
    lay(weights, again ? signed_again(weights) : manifest_);
    // What is wrong in its form is refused whoever signs it, and without a look into the log.
    const bool alone = !again || mutation.form;
    expect_refused(store, alone ? std::nullopt : std::optional(known), what);
    if (HasFatalFailure()) return;
    ++tried[mutation.name];
  }
  for (const Mutation& mutation : mutations())
    EXPECT_GT(tried[mutation.name], 500) << mutation.name;
}

TEST_F(WeightsMutation, NoDamagedManifestIsEverBelieved) {
  WeightsStore store = open(root_.path());
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Random random(seed);
    std::string manifest = manifest_;
    const std::size_t at = random.below(manifest.size());
    switch (random.below(3)) {
      case 0: manifest.resize(at); break;
      case 1: manifest[at] ^= static_cast<char>(1u << random.below(8)); break;
      default: manifest.insert(at, 1, static_cast<char>(random.below(256)));
    }
    lay(weights_, manifest);
    const auto loaded = store.load(kVersion);
    ASSERT_FALSE(loaded.ok()) << seed;
    // A flip in the key's own digits looks like another's signature: refused, and left for people.
    ASSERT_TRUE(loaded.status().code() == Code::kDataLoss ||
                loaded.status().code() == Code::kPermissionDenied ||
                loaded.status().code() == Code::kUnimplemented)
        << loaded.status().message();
  }
}

TEST_F(WeightsMutation, SignedFilesOfAnotherVersionRobotOrKeyAreRefused) {
  WeightsStore store = open(root_.path());
  const auto take = [&](const TempFolder& from, WeightsVersion version) {
    lay(content(from / name(version, ".safetensors")),
        content(from / name(version, ".manifest.json")));
  };
  take(root_, 1);  // an older signed version under the newer name
  expect_refused(store, std::nullopt, "an older version");
  take(other_robot_, kVersion);
  EXPECT_EQ(store.load(kVersion).status().code(), Code::kPermissionDenied);
  take(elsewhere_, kVersion);
  EXPECT_EQ(store.load(kVersion).status().code(), Code::kPermissionDenied);
}

// ---- the base that weights edit ----

// The same changes, to the base of a version that is whole itself.
TEST_F(WeightsMutation, OfABaseNoneIsEverLoadedEvenIfItIsSignedAgain) {
  const auto base = some_weights(50);
  const std::string stem = "base-" + to_hex(base->hash());
  PublishRequest wanted{3, 2, "{}", WallTime(std::chrono::seconds(1'700'000'000))};
  wanted.base = base;
  WeightsStore store = open(root_.path());
  ASSERT_TRUE(store.publish(*test::edit_of(*base, 3), wanted).ok());
  const std::string whole = content(root_ / (stem + ".safetensors"));
  const std::string manifest = content(root_ / (stem + ".manifest.json"));
  auto folder = open_folder(root_.path());
  const auto key = SigningKey::load_or_create(**folder);
  std::map<std::string, int> tried;
  for (int i = 0; i < kMutations; ++i) {
    Random random(static_cast<std::uint64_t>(i));
    const Mutation& mutation = mutations()[random.below(mutations().size())];
    std::string changed = whole;
    mutation.change(changed, random);
    ASSERT_NE(changed, whole) << mutation.name << " changes nothing";
    std::string signed_again = manifest;
    if (i % 2 == 0) {
      auto stated = read_base_manifest(manifest, key->public_key());
      ASSERT_TRUE(stated.ok());
      stated->size = changed.size();
      if (i % 4 == 0) stated->hash = sha256(bytes_of(changed));
      signed_again = *write_manifest(*stated, *key);
    }
    put(root_ / (stem + ".safetensors"), changed);
    put(root_ / (stem + ".manifest.json"), signed_again);
    std::filesystem::remove(root_ / (stem + ".reason.rejected"));
    const auto loaded = store.load(3);
    ASSERT_EQ(loaded.status().code(), Code::kDataLoss)
        << mutation.name << " " << i << ": " << loaded.status().message();
    ASSERT_NE(content(root_ / (stem + ".reason.rejected")), "") << mutation.name;
    ++tried[mutation.name];
  }
  for (const Mutation& mutation : mutations()) {
    EXPECT_GT(tried[mutation.name], 500) << mutation.name;
  }
  put(root_ / (stem + ".safetensors"), whole);
  put(root_ / (stem + ".manifest.json"), manifest);
  EXPECT_TRUE(store.load(3).ok()) << "the version itself was never the worse for it";
}

// Gives other bytes at the second look.
class TurncoatFolder final : public Folder {
 public:
  TurncoatFolder(std::unique_ptr<Folder> real, std::string later)
      : real_(std::move(real)), later_(std::move(later)) {}
  Result<std::vector<std::byte>> read(const std::string& name, std::uint64_t max_bytes,
                                      Privacy privacy) override {
    if (name.ends_with(".safetensors") && ++looks_[name] > 1) {
      const auto bytes = bytes_of(later_);
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    }
    return real_->read(name, max_bytes, privacy);
  }
  Status create(const std::string& n, std::span<const std::byte> b, Privacy p) override {
    return real_->create(n, b, p);
  }
  Status rename(const std::string& from, const std::string& to) override {
    return real_->rename(from, to);
  }
  Status remove(const std::string& name) override { return real_->remove(name); }
  Status sync() override { return real_->sync(); }
  Result<std::vector<std::string>> list() override { return real_->list(); }

 private:
  std::unique_ptr<Folder> real_;
  std::string later_;
  std::map<std::string, int> looks_;
};

TEST_F(WeightsMutation, BytesSwappedBetweenCheckAndUseAreNeverUsed) {
  auto folder = open_folder(root_.path());
  auto key = SigningKey::load_or_create(**folder);
  auto turncoat = std::make_unique<TurncoatFolder>(std::move(*folder),
                                                   content(root_ / name(1, ".safetensors")));
  auto store = WeightsStore::open(std::move(turncoat), std::move(*key), "kitchen-1");
  ASSERT_TRUE(store.ok());
  const auto loaded = store->load(kVersion);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->weights->hash(), some_weights(kVersion)->hash());
}

TEST_F(WeightsMutation, ABaseThatIsSwappedBetweenCheckAndUseIsNeverUsed) {
  const auto base = some_weights(50);
  PublishRequest wanted{3, 2, "{}", WallTime(std::chrono::seconds(1'700'000'000))};
  wanted.base = base;
  ASSERT_TRUE(open(root_.path()).publish(*test::edit_of(*base, 3), wanted).ok());
  auto folder = open_folder(root_.path());
  auto key = SigningKey::load_or_create(**folder);
  auto turncoat = std::make_unique<TurncoatFolder>(std::move(*folder), weights_);
  auto store = WeightsStore::open(std::move(turncoat), std::move(*key), "kitchen-1");
  ASSERT_TRUE(store.ok());
  const auto loaded = store->load(3);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->base->hash(), base->hash());
}

}  // namespace
}  // namespace nudge
