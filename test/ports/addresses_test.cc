#include "src/ports/addresses.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>

namespace nudge {
namespace {

TEST(Addresses, TellsLoopbackFromTheRest) {
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(is_loopback_address(text)) << text;
  }
  for (const char* text :
       {"0.0.0.0", "192.168.1.5", "::", "fe80::1", "128.0.0.1", "localhost", ""}) {
    EXPECT_FALSE(is_loopback_address(text)) << text;
  }
  EXPECT_TRUE(is_any_address("0.0.0.0"));
  EXPECT_TRUE(is_any_address("::"));
  EXPECT_FALSE(is_any_address("127.0.0.1"));
}

TEST(Addresses, TakesAsANameOnlyWhatACertificateMayCarry) {
  for (const char* name : {"robot", "robot-7.local", "a.b.c", "7"}) {
    EXPECT_TRUE(is_dns_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("-a"), std::string("a-"), std::string("a..b"), std::string("A"),
        std::string("a,DNS:b"), std::string("*.a"), std::string("a b"), std::string(64, 'a'),
        std::string(254, 'a')}) {
    EXPECT_FALSE(is_dns_name(name)) << name;
  }
}

TEST(Addresses, WritesAHostInOneFormOnly) {
  EXPECT_EQ(canonical_host("Robot.Local"), "robot.local");
  EXPECT_EQ(canonical_host("FD00:0:0::7"), "fd00::7");
  EXPECT_EQ(canonical_host("192.168.1.5"), "192.168.1.5");
  EXPECT_EQ(canonical_host("a/b"), "");
  EXPECT_EQ(in_url("::1"), "[::1]");
  EXPECT_EQ(in_url("robot.local"), "robot.local");
  const std::array<unsigned char, 4> v4 = {10, 0, 0, 7};
  EXPECT_EQ(address_of(v4), "10.0.0.7");
  EXPECT_EQ(address_of(std::span(v4).first(3)), "");
}

TEST(Addresses, TellsWhoConnectsFromThisMachine) {
  EXPECT_TRUE(is_this_machine("127.0.0.1", "127.0.0.1"));
  EXPECT_TRUE(is_this_machine("127.0.0.2", "127.0.0.1"));
  EXPECT_TRUE(is_this_machine("::1", "::1"));
  EXPECT_TRUE(is_this_machine("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(is_this_machine("192.0.2.8", "192.0.2.7"));
  EXPECT_FALSE(is_this_machine("fd00::8", "fd00::7"));
  EXPECT_FALSE(is_this_machine("", ""));
}

TEST(Addresses, CountsANetworkOfIpv6AsOnePeer) {
  EXPECT_EQ(network_of("10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(network_of("fd00:1:2:3:4::5"), network_of("fd00:1:2:3::9"));
  EXPECT_NE(network_of("fd00:1:2:4::5"), network_of("fd00:1:2:3::5"));
}

TEST(Addresses, GivesNoAddressThatOthersCannotReach) {
  const Result<std::vector<std::string>> addresses = interface_addresses();
  ASSERT_TRUE(addresses.ok()) << addresses.status().message();
  for (const std::string& address : *addresses) {
    EXPECT_TRUE(is_ip_address(address)) << address;
    EXPECT_FALSE(is_loopback_address(address)) << address;
    EXPECT_FALSE(address.starts_with("fe80")) << address;
  }
}

TEST(Addresses, SaysWhenTheSystemDoesNotTellThem) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;  // the system tells through a socket
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Status refused = interface_addresses().status();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(refused.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace nudge
