#include "policy/signing_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "test/support/temp_folder.h"

namespace nudge {
namespace {

class SigningKeyTest : public ::testing::Test {
 protected:
  SigningKeyTest() : folder_(std::move(*open_folder(root_.path()))) {}
  test::TempFolder root_;
  std::unique_ptr<Folder> folder_;
};

TEST_F(SigningKeyTest, IsMadeOnFirstUseAndStaysTheSame) {
  const auto first = SigningKey::load_or_create(*folder_);
  ASSERT_TRUE(first.ok()) << first.status().message();
  const auto second = SigningKey::load_or_create(*folder_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(first->public_key(), second->public_key());
  EXPECT_TRUE(verify(second->public_key(), "text", first->sign("text")));
}

TEST_F(SigningKeyTest, BelongsToItsUserAlone) {
  ASSERT_TRUE(SigningKey::load_or_create(*folder_).ok());
  struct stat info {};
  ASSERT_EQ(::stat((root_ / SigningKey::kFileName).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SigningKeyTest, TwoKeysDiffer) {
  test::TempFolder other_root;
  auto other_folder = open_folder(other_root.path());
  const auto one = SigningKey::load_or_create(*folder_);
  const auto other = SigningKey::load_or_create(**other_folder);
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_NE(one->public_key(), other->public_key());
  EXPECT_FALSE(verify(other->public_key(), "text", one->sign("text")));
}

TEST_F(SigningKeyTest, ASignatureFitsOnlyItsText) {
  const auto key = SigningKey::load_or_create(*folder_);
  ASSERT_TRUE(key.ok());
  Signature signature = key->sign("text");
  EXPECT_FALSE(verify(key->public_key(), "Text", signature));
  signature[10] ^= 1;
  EXPECT_FALSE(verify(key->public_key(), "text", signature));
}

TEST_F(SigningKeyTest, ADamagedFileIsRefusedAndNotReplaced) {
  for (const std::string& damage :
       {std::string("junk"), std::string(), "nudge-signing-key-1 " + std::string(64, 'x') + "\n",
        "nudge-signing-key-2 " + std::string(64, 'a') + "\n",
        "nudge-signing-key-1 " + std::string(63, 'a') + "\n\n"}) {
    std::ofstream(root_ / SigningKey::kFileName, std::ios::trunc) << damage;
    std::filesystem::permissions(
        root_ / SigningKey::kFileName,
        std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    EXPECT_EQ(SigningKey::load_or_create(*folder_).status().code(), Code::kDataLoss) << damage;
    EXPECT_EQ(std::filesystem::file_size(root_ / SigningKey::kFileName), damage.size());
  }
}

TEST_F(SigningKeyTest, AFileThatOthersCanReachIsRefused) {
  ASSERT_TRUE(SigningKey::load_or_create(*folder_).ok());
  ASSERT_EQ(::chmod((root_ / SigningKey::kFileName).c_str(), 0644), 0);
  EXPECT_EQ(SigningKey::load_or_create(*folder_).status().code(), Code::kPermissionDenied);
}

TEST_F(SigningKeyTest, WhatAnInterruptedStartLeftIsNoKey) {
  std::ofstream(root_ / "signing.key.tmp") << "half";
  const auto key = SigningKey::load_or_create(*folder_);
  ASSERT_TRUE(key.ok()) << key.status().message();
  EXPECT_FALSE(std::filesystem::exists(root_ / "signing.key.tmp"));
}

}  // namespace
}  // namespace nudge
