#include "src/ports/http_rules.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

TEST(HttpRules, ServesItsOwnNamesWithThePortOnly) {
  const std::vector<std::string> hosts = served_hosts("127.0.0.1", 8080);
  for (const char* host : {"127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"}) {
    EXPECT_TRUE(is_served_host(hosts, host)) << host;
  }
  for (const char* host :
       {"", "127.0.0.1", "localhost", "localhost:80", "localhost:8080.", "evil.example:8080",
        "127.0.0.1:8080@evil.example", "::1:8080", "localhost:08080", "xlocalhost:8080"}) {
    EXPECT_FALSE(is_served_host(hosts, host)) << host;
  }
}

TEST(HttpRules, ServesItsNamesWithoutAPortOnPort80) {
  const std::vector<std::string> hosts = served_hosts("127.0.0.1", 80);
  EXPECT_TRUE(is_served_host(hosts, "localhost"));
  EXPECT_TRUE(is_served_host(hosts, "localhost:80"));
  EXPECT_TRUE(is_served_origin(hosts, "http://127.0.0.1"));
}

TEST(HttpRules, ServesTheAddressThatItIsBoundTo) {
  EXPECT_TRUE(is_served_host(served_hosts("127.0.0.5", 8080), "127.0.0.5:8080"));
  EXPECT_FALSE(is_served_host(served_hosts("127.0.0.1", 8080), "127.0.0.5:8080"));
}

TEST(HttpRules, ServesTheNamesOfItsCertificateOverTls) {
  const std::vector<std::string> names = {"192.168.1.5", "robot.local", "fd00::7"};
  const std::vector<std::string> hosts = served_hosts("0.0.0.0", 8443, names, true);
  for (const char* host :
       {"192.168.1.5:8443", "ROBOT.local:8443", "[fd00::7]:8443", "localhost:8443"}) {
    EXPECT_TRUE(is_served_host(hosts, host)) << host;
  }
  for (const char* host : {"0.0.0.0:8443", "192.168.1.6:8443", "robot.local", "fd00::7:8443"}) {
    EXPECT_FALSE(is_served_host(hosts, host)) << host;
  }
  EXPECT_TRUE(is_served_origin(hosts, "https://robot.local:8443", true));
  EXPECT_FALSE(is_served_origin(hosts, "http://robot.local:8443", true));
  EXPECT_TRUE(is_served_host(served_hosts("0.0.0.0", 443, names, true), "robot.local"));
}

TEST(HttpRules, TakesItsOwnOriginsOnly) {
  const std::vector<std::string> hosts = served_hosts("127.0.0.1", 8080);
  EXPECT_TRUE(is_served_origin(hosts, "http://localhost:8080"));
  EXPECT_TRUE(is_served_origin(hosts, "http://[::1]:8080"));
  for (const char* origin :
       {"", "null", "http://", "https://localhost:8080", "http://localhost", "localhost:8080",
        "http://evil.example", "http://localhost:8080.evil.example", "http://localhost:8081",
        "http://localhost:8080/"}) {
    EXPECT_FALSE(is_served_origin(hosts, origin)) << origin;
  }
}

TEST(HttpRules, DecodesPathAndQuery) {
  const std::optional<HttpTarget> target = parse_target("/a%20b+c?name=Zo%C3%AB+1&limit=50&flag&");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a b+c");
  const std::map<std::string, std::string> query = {
      {"name", "Zo\xc3\xab 1"}, {"limit", "50"}, {"flag", ""}};
  EXPECT_EQ(target->query, query);
}

TEST(HttpRules, KeepsTheFirstOfARepeatedParameter) {
  EXPECT_EQ(parse_target("/?a=1&a=2")->query.at("a"), "1");
}

TEST(HttpRules, RefusesTargetsThatNobodyHonestSends) {
  for (const char* target : {"",
                             "*",
                             "a",
                             "http://localhost/",
                             "/%",
                             "/%4",
                             "/%zz",
                             "/%00",
                             "/a%0d%0ab",
                             "/a%2fb",
                             "/a%2Fb",
                             "/..",
                             "/../etc/passwd",
                             "/a/../b",
                             "/%2e%2e/b",
                             "/./a",
                             "/a/.",
                             "/?a=%0a",
                             "/?%=1",
                             "/?a=%1"}) {
    EXPECT_FALSE(parse_target(target)) << target;
  }
  std::string many = "/?";
  for (int i = 0; i < 65; ++i) many += "p" + std::to_string(i) + "=1&";
  EXPECT_FALSE(parse_target(many));
}

TEST(HttpRules, ReadsTheBearerToken) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bearer  abc "), "abc");
  for (const char* none : {"", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"}) {
    EXPECT_FALSE(bearer_token(none)) << none;
  }
}

TEST(HttpRules, ReadsSubprotocols) {
  const Subprotocols both = parse_subprotocols(" nudge.token.abc ,nudge.v1");
  EXPECT_TRUE(both.nudge_v1);
  EXPECT_EQ(both.token, "abc");
  const Subprotocols other = parse_subprotocols("nudge.v2, nudge.tokens");
  EXPECT_FALSE(other.nudge_v1);
  EXPECT_FALSE(other.token);
  EXPECT_FALSE(parse_subprotocols("").nudge_v1);
}

TEST(HttpRules, ComparesEntityTagsWeakly) {
  EXPECT_TRUE(etag_matches("\"a\"", "\"a\""));
  EXPECT_TRUE(etag_matches("\"b\", W/\"a\"", "\"a\""));
  EXPECT_TRUE(etag_matches("*", "\"a\""));
  EXPECT_FALSE(etag_matches("\"b\"", "\"a\""));
  EXPECT_FALSE(etag_matches("", "\"a\""));
  EXPECT_FALSE(etag_matches("*", ""));
}

TEST(HttpRules, NumbersTheNamesOfConnections) {
  EXPECT_EQ(display_name("tablet", 3), "tablet#3");
  EXPECT_EQ(display_name("Zo\xc3\xab", 4), "Zo\xc3\xab#4");
}

TEST(HttpRules, CallsWhoeverHasNoProperNameAPerson) {
  const std::string too_long(65, 'x');
  for (const std::string& name :
       {std::string(), std::string("  "), std::string("a\nb"), std::string("a\0b", 3), too_long,
        std::string("\xff"), std::string("\xc3"), std::string("\xc0\x80"),
        std::string("\xed\xa0\x80"),
        std::string("a\xe2\x80\xae"
                    "b"),
        std::string("a\xc2\x85"), std::string("\x7f"), std::string("anna#1")}) {
    EXPECT_EQ(display_name(name, 7), "person#7") << name;
  }
}

TEST(HttpRules, CutsLongNamesBetweenCharacters) {
  EXPECT_EQ(display_name(std::string(64, 'x'), 12), std::string(61, 'x') + "#12");
  std::string umlauts;
  for (int i = 0; i < 32; ++i) umlauts += "\xc3\xa4";
  const std::string name = display_name(umlauts, 1);
  EXPECT_EQ(name, umlauts.substr(0, 62) + "#1");
  EXPECT_EQ(display_name(umlauts, 12), umlauts.substr(0, 60) + "#12");
  EXPECT_EQ(marked_name(umlauts, "#d-0123456789abcdef"),
            umlauts.substr(0, 44) + "#d-0123456789abcdef");
}

TEST(HttpRules, IfMatchIsComparedStrongly) {
  EXPECT_TRUE(if_match_holds("", "\"a\""));
  EXPECT_TRUE(if_match_holds("\"a\"", "\"a\""));
  EXPECT_TRUE(if_match_holds("\"b\", \"a\"", "\"a\""));
  EXPECT_TRUE(if_match_holds("*", "\"a\""));
  EXPECT_FALSE(if_match_holds("\"b\"", "\"a\""));
  EXPECT_FALSE(if_match_holds("W/\"a\"", "\"a\""));
  EXPECT_FALSE(if_match_holds("a", "\"a\""));
}

TEST(HttpRules, AKeyIsAMessagesIdWithOrWithoutQuotationMarks) {
  EXPECT_EQ(idempotency_key("web:1.2_3-4"), "web:1.2_3-4");
  EXPECT_EQ(idempotency_key("\"web:1\""), "web:1");
  EXPECT_TRUE(idempotency_key(std::string(64, 'a')));
  for (const std::string& wrong : {std::string(), std::string("\"\""), std::string("\""),
                                   std::string("a b"), std::string("\"a"), std::string(65, 'a')}) {
    EXPECT_FALSE(idempotency_key(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace nudge
