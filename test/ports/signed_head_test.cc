#include "src/ports/signed_head.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "test/support/golden.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::TempFolder;

ChainHead sample_head() {
  ChainHead head{.sequence = 812, .link = {}};
  for (std::size_t i = 0; i < head.link.size(); ++i) head.link[i] = static_cast<std::uint8_t>(i);
  return head;
}

const WallTime kWall{std::chrono::milliseconds(1'700'000'000'123)};

TEST(SignedHead, IsReadAsItWasSigned) {
  TempFolder place;
  auto seal = HeadSeal::open(place / "audit");
  ASSERT_TRUE(seal.ok());
  ASSERT_TRUE(seal->write(sample_head(), kWall).ok());
  const auto read = SignedHead::parse(seal->newest());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->head, sample_head());
  EXPECT_EQ(read->wall, kWall);
  EXPECT_EQ(read->key, seal->key());
  EXPECT_EQ(seal->newest().find('\n'), std::string::npos);

  std::ifstream file(place / "audit/head.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(text, seal->newest() + "\n");
}

// Signed by another implementation of Ed25519, from what the documentation says.
TEST(SignedHead, IsReadAsOthersSignIt) {
  std::string line = test::old_golden("log/head-v1.json");
  ASSERT_FALSE(line.empty());
  line.pop_back();
  const auto read = SignedHead::parse(line);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->head, sample_head());
  EXPECT_EQ(read->wall, kWall);
}

TEST(SignedHead, KeepsItsKeyOverARestart) {
  TempFolder place;
  const auto first = HeadSeal::open(place / "audit");
  const auto again = HeadSeal::open(place / "audit");
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->key(), again->key());
  struct stat about {};
  ASSERT_EQ(::stat((place / "audit/signing.key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST(SignedHead, IsRefusedWithAnyByteChanged) {
  TempFolder place;
  auto seal = HeadSeal::open(place / "audit");
  ASSERT_TRUE(seal.ok());
  ASSERT_TRUE(seal->write(sample_head(), kWall).ok());
  const std::string good = seal->newest();
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_EQ(SignedHead::parse(bad).status().code(), Code::kDataLoss) << at;
    EXPECT_FALSE(SignedHead::parse(good.substr(0, at)).ok()) << at;
  }
  EXPECT_FALSE(SignedHead::parse(good + std::string(2000, ' ')).ok());
}

TEST(SignedHead, OfAnotherKeyNamesThatKey) {
  TempFolder place;
  auto ours = HeadSeal::open(place / "audit");
  auto theirs = HeadSeal::open(place / "other");
  ASSERT_TRUE(ours.ok() && theirs.ok());
  ASSERT_TRUE(theirs->write(sample_head(), kWall).ok());
  const auto read = SignedHead::parse(theirs->newest());
  ASSERT_TRUE(read.ok());
  EXPECT_NE(read->key, ours->key());
}

}  // namespace
}  // namespace nudge
