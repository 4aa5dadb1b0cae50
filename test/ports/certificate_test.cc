#include "src/ports/certificate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "src/ports/tls_context.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using std::chrono::hours;

constexpr Duration kDay = hours(24);
const std::vector<std::string> kNames = {"192.168.1.5", "robot-7", "robot-7.local", "localhost"};

class CertificateTest : public testing::Test {
 protected:
  Result<Certificate> own(const std::vector<std::string>& names = kNames) {
    auto folder = open_folder(folder_.path());
    if (!folder.ok()) return folder.status();
    return own_certificate(**folder, names, now_);
  }
  Certificate good(const std::vector<std::string>& names = kNames) {
    Result<Certificate> certificate = own(names);
    EXPECT_TRUE(certificate.ok()) << certificate.status().message();
    return certificate.ok() ? *certificate : Certificate();
  }
  std::string read(const std::string& name) {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(folder_ / name) << text;
    ::chmod((folder_ / name).c_str(), mode);
    return folder_ / name;
  }

  test::TempFolder folder_;
  WallTime now_{hours(480'000)};
};

TEST_F(CertificateTest, IsMadeOnceForAllNames) {
  const Certificate first = good();
  EXPECT_TRUE(first.new_authority);
  for (const std::string& name : kNames) {
    EXPECT_NE(std::find(first.names.begin(), first.names.end(), name), first.names.end()) << name;
  }
  EXPECT_EQ(first.fingerprint.size(), 32u * 3 - 1);
  EXPECT_FALSE(first.authority_der.empty());
  EXPECT_TRUE(TlsContext::make(first).ok());
  const Certificate again = good();
  EXPECT_FALSE(again.new_authority);
  EXPECT_EQ(again.fingerprint, first.fingerprint);
  EXPECT_EQ(again.key_pem, first.key_pem);
}

TEST_F(CertificateTest, KeepsItsKeysFromEverybodyElse) {
  good();
  for (const char* name : {kAuthorityFile, kServerFile}) {
    struct stat info {};
    ASSERT_EQ(::stat((folder_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777u, 0600u) << name;
    ::chmod((folder_ / name).c_str(), 0640);
    EXPECT_EQ(own().status().code(), Code::kPermissionDenied) << name;
    ::chmod((folder_ / name).c_str(), 0600);
  }
}

TEST_F(CertificateTest, IsRenewedForAnAddressThatCameAndNotForOneThatWent) {
  const Certificate first = good();
  EXPECT_EQ(good({"192.168.1.5"}).fingerprint, first.fingerprint);
  const Certificate moved = good({"10.0.0.9", "fd00::9", "other.local"});
  EXPECT_NE(moved.fingerprint, first.fingerprint);
  EXPECT_EQ(moved.authority_fingerprint, first.authority_fingerprint);
  EXPECT_FALSE(moved.new_authority);
}

TEST_F(CertificateTest, IsRenewedAMonthBeforeItEnds) {
  const Certificate first = good();
  now_ += kDay * 360;
  EXPECT_EQ(good().fingerprint, first.fingerprint);
  now_ += kDay * 10;
  const Certificate next = good();
  EXPECT_NE(next.fingerprint, first.fingerprint);
  EXPECT_EQ(next.authority_fingerprint, first.authority_fingerprint);
  now_ += kDay * 365 * 9;
  EXPECT_NE(good().authority_fingerprint, first.authority_fingerprint);
}

TEST_F(CertificateTest, IsMadeAnewWhenTheClockWasFarAhead) {
  const Certificate first = good();
  now_ -= kDay * 10'000;
  EXPECT_NE(good().fingerprint, first.fingerprint);
}

TEST_F(CertificateTest, NeedsAnotherAuthorityForASiteThatIsNotTheRobots) {
  const Certificate first = good();
  const Certificate other = good({"robot.example.org"});
  EXPECT_TRUE(other.new_authority);
  EXPECT_NE(other.authority_fingerprint, first.authority_fingerprint);
  EXPECT_FALSE(good({"robot.example.org", "10.0.0.1"}).new_authority);
}

TEST_F(CertificateTest, RefusesNamesThatWouldBecomeOthers) {
  for (const char* name : {"", "a,DNS:bank.example", "*.local", "a b", "ROBOT"}) {
    EXPECT_EQ(own({name}).status().code(), Code::kInvalidArgument) << name;
  }
}

TEST_F(CertificateTest, RefusesFilesThatAreNone) {
  good();
  const std::string server = read(kServerFile);
  write(kServerFile, "nonsense");
  EXPECT_EQ(own().status().code(), Code::kDataLoss);
  write(kServerFile, server.substr(0, server.find("-----BEGIN PRIVATE KEY")));
  EXPECT_EQ(own().status().code(), Code::kDataLoss);
  // A certificate with another's key.
  const std::string authority = read(kAuthorityFile);
  write(kServerFile, server.substr(0, server.find("-----BEGIN PRIVATE KEY")) +
                         authority.substr(authority.find("-----BEGIN PRIVATE KEY")));
  EXPECT_EQ(own().status().code(), Code::kDataLoss);
}

TEST_F(CertificateTest, OfAnotherAuthorityIsReplaced) {
  const Certificate first = good();
  std::filesystem::remove(folder_ / kAuthorityFile);
  const Certificate next = good();
  EXPECT_TRUE(next.new_authority);
  EXPECT_NE(next.fingerprint, first.fingerprint);
}

TEST_F(CertificateTest, ThatPeopleBringIsTakenAsItIs) {
  const Certificate first = good();
  const std::string certificate = write("cert.pem", first.chain_pem, 0644);
  const std::string key = write("key.pem", first.key_pem);
  const Result<Certificate> given = given_certificate(certificate, key, now_);
  ASSERT_TRUE(given.ok()) << given.status().message();
  EXPECT_EQ(given->fingerprint, first.fingerprint);
  EXPECT_EQ(given->names, first.names);
  EXPECT_TRUE(given->authority_der.empty());
  EXPECT_TRUE(TlsContext::make(*given).ok());
}

TEST_F(CertificateTest, ThatPeopleBringIsRefusedWhenItCannotWork) {
  const Certificate first = good();
  const std::string certificate = write("cert.pem", first.chain_pem, 0644);
  const std::string key = write("key.pem", first.key_pem);
  const auto code = [&](const std::string& c, const std::string& k, WallTime now) {
    return given_certificate(c, k, now).status().code();
  };
  EXPECT_EQ(code(folder_ / "none.pem", key, now_), Code::kNotFound);
  EXPECT_EQ(code(certificate, folder_ / "none.pem", now_), Code::kNotFound);
  EXPECT_EQ(code(key, key, now_), Code::kInvalidArgument);
  EXPECT_EQ(code(certificate, folder_ / kAuthorityFile, now_), Code::kInvalidArgument);
  EXPECT_EQ(code(certificate, key, now_ + kDay * 500), Code::kInvalidArgument);
  ::chmod(key.c_str(), 0644);
  EXPECT_EQ(code(certificate, key, now_), Code::kPermissionDenied);
}

}  // namespace
}  // namespace nudge
