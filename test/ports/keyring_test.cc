#include "src/ports/keyring.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using Use = Keyring::Use;

Keyring::Entry entry(const std::string& name, Use use, Role role, std::uint8_t first) {
  Keyring::Entry entry{.name = name, .use = use, .role = role, .key = {}};
  entry.key[0] = first;
  return entry;
}

TEST(Keyring, TellsWhoAKeyBelongsToAtThePortThatItOpens) {
  Keyring keyring;
  ASSERT_TRUE(keyring.add(entry("arm", Use::kTeleop, Role::kSupervisor, 1)).ok());
  ASSERT_TRUE(keyring.add(entry("robot-7", Use::kRobot, Role::kEngineer, 2)).ok());
  const CurveKey arm = keyring.list()[0].key, robot = keyring.list()[1].key;
  EXPECT_EQ(keyring.who_is(Use::kTeleop, arm), (Actor{"arm", Role::kSupervisor}));
  EXPECT_EQ(keyring.who_is(Use::kRobot, robot), (Actor{"robot-7", Role::kScript}));
  EXPECT_FALSE(keyring.who_is(Use::kRobot, arm));
  EXPECT_FALSE(keyring.who_is(Use::kTeleop, robot));
  EXPECT_TRUE(keyring.remove("arm"));
  EXPECT_FALSE(keyring.remove("arm"));
  EXPECT_FALSE(keyring.who_is(Use::kTeleop, arm));
}

TEST(Keyring, SurvivesItsFile) {
  Keyring keyring;
  ASSERT_TRUE(keyring.add(entry("arm", Use::kTeleop, Role::kViewer, 1)).ok());
  ASSERT_TRUE(keyring.add(entry("robot-7", Use::kRobot, Role::kScript, 2)).ok());
  const auto read = Keyring::decode(keyring.encode());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->list(), keyring.list());
}

TEST(Keyring, RefusesNamesAndKeysThatAreThereAlreadyOrCannotBe) {
  Keyring keyring;
  ASSERT_TRUE(keyring.add(entry("arm", Use::kTeleop, Role::kViewer, 1)).ok());
  EXPECT_EQ(keyring.add(entry("arm", Use::kTeleop, Role::kViewer, 2)).code(), Code::kAlreadyExists);
  EXPECT_EQ(keyring.add(entry("other", Use::kRobot, Role::kViewer, 1)).code(),
            Code::kAlreadyExists);
  for (const char* name : {"", "a b", "anna#2", "\xc3\xa9"}) {
    EXPECT_EQ(keyring.add(entry(name, Use::kTeleop, Role::kViewer, 3)).code(),
              Code::kInvalidArgument);
  }
}

TEST(Keyring, RefusesAFileThatIsNotOne) {
  const std::string key(40, '0');
  const auto file = [&](const std::string& row) { return R"({"version":1,"keys":[)" + row + "]}"; };
  const std::string good = R"({"name":"a","use":"robot","role":"script","key":")" + key + R"("})";
  EXPECT_TRUE(Keyring::decode(file(good)).ok());
  for (const std::string& text :
       {std::string("[]"), std::string("nonsense"), file(good + "," + good),
        file(R"({"name":"a","use":"door","role":"script","key":")" + key + R"("})"),
        file(R"({"name":"a","use":"robot","role":"king","key":")" + key + R"("})"),
        file(R"({"name":"a","use":"robot","role":"script","key":"short"})"),
        file(R"({"name":"a","use":"robot","role":"script"})"),
        std::string(Keyring::kMaxFile + 1, ' ')}) {
    EXPECT_EQ(Keyring::decode(text).status().code(), Code::kDataLoss) << text.substr(0, 80);
  }
  EXPECT_EQ(Keyring::decode(R"({"version":2,"keys":[]})").status().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace nudge
