// The server's part of CURVE: whom it lets in, and what of theirs it believes.
#include "src/ports/curve.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "test/support/curve_peer.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

using test::CurvePeer;
using test::TempFolder;

std::span<const std::byte> of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class CurveTest : public testing::Test {
 protected:
  // As far as the client has READY, when it does everything right.
  bool greet(CurveSession& session, CurvePeer& peer) {
    return welcome(session, peer) && session.take_initiate(of(peer.initiate(own))).ok();
  }
  static bool welcome(CurveSession& session, CurvePeer& peer) {
    std::vector<std::byte> answer;
    return session.take_hello(of(peer.hello()), answer).ok() && peer.take_welcome(text_of(answer));
  }
  static bool opens(CurveSession& session, const std::string& body) {
    std::vector<std::byte> plain;
    return session.open(of(body), plain).ok();
  }

  CurveIdentity server = CurveIdentity::make();
  CurveIdentity own = CurveIdentity::make();
};

TEST_F(CurveTest, AHandshakeTellsTheClientsOwnKeyAndMessagesPassBothWays) {
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  ASSERT_TRUE(welcome(session, peer));
  const auto metadata = session.take_initiate(of(peer.initiate(own)));
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  EXPECT_NE(text_of(*metadata).find("DEALER"), std::string::npos);
  EXPECT_EQ(session.client_key(), own.public_key());

  std::vector<std::byte> plain, out;
  const auto opened = session.open(of(peer.message("to the robot", 2)), plain);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(text_of(opened->payload), "to the robot");
  EXPECT_EQ(opened->flags, 2);
  session.append_message(0, of("from the robot"), out);
  EXPECT_EQ(out.size(), 14 + CurveSession::kOverhead);
  EXPECT_EQ(peer.open(text_of(out)), "from the robot");
}

TEST_F(CurveTest, AClientThatKnowsAnotherServerIsNotAnswered) {
  CurveSession session(server);
  CurvePeer peer(CurveIdentity::make().public_key());
  EXPECT_FALSE(welcome(session, peer));
}

TEST_F(CurveTest, NobodyCanClaimAKeyThatIsNotTheirs) {
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  ASSERT_TRUE(welcome(session, peer));
  const CurveIdentity thief = CurveIdentity::make();
  EXPECT_FALSE(session.take_initiate(of(peer.initiate(own, &thief))).ok());
}

TEST_F(CurveTest, AHandshakeThatWasRecordedOpensNothingWhenItIsPlayedAgain) {
  CurveSession first(server);
  CurvePeer peer(server.public_key());
  const std::string hello = peer.hello();
  std::vector<std::byte> answer;
  ASSERT_TRUE(first.take_hello(of(hello), answer).ok());
  ASSERT_TRUE(peer.take_welcome(text_of(answer)));
  const std::string initiate = peer.initiate(own);
  ASSERT_TRUE(first.take_initiate(of(initiate)).ok());
  const std::string message = peer.message("move");

  CurveSession second(server);
  answer.clear();
  ASSERT_TRUE(second.take_hello(of(hello), answer).ok());  // anybody may have said it
  EXPECT_FALSE(second.take_initiate(of(initiate)).ok());
  EXPECT_FALSE(opens(second, message));
}

TEST_F(CurveTest, AMessageIsTakenOnceAndInOrder) {
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  ASSERT_TRUE(greet(session, peer));
  const std::string first = peer.message("1");
  const std::string second = peer.message("2");
  EXPECT_TRUE(opens(session, second));
  EXPECT_FALSE(opens(session, second));
  EXPECT_FALSE(opens(session, first));
  EXPECT_FALSE(opens(session, peer.message_again("3")));
  EXPECT_TRUE(opens(session, peer.message("4")));
}

TEST_F(CurveTest, EveryByteOfEveryCommandCounts) {
  const auto flipped = [](std::string body, std::size_t at) {
    body[at] = static_cast<char>(body[at] ^ 1);
    return body;
  };
  std::vector<std::byte> answer;
  CurvePeer sample(server.public_key());
  const std::string hello = sample.hello();
  for (std::size_t at = 0; at < hello.size(); ++at) {
    if (at >= 8 && at < 80) continue;  // padding
    CurveSession session(server);
    EXPECT_FALSE(session.take_hello(of(flipped(hello, at)), answer).ok()) << at;
  }
  const std::size_t initiate_size = [&] {
    CurveSession session(server);
    CurvePeer peer(server.public_key());
    EXPECT_TRUE(welcome(session, peer));
    return peer.initiate(own).size();
  }();
  for (std::size_t at = 0; at < initiate_size; at += 7) {
    CurveSession session(server);
    CurvePeer peer(server.public_key());
    ASSERT_TRUE(welcome(session, peer));
    EXPECT_FALSE(session.take_initiate(of(flipped(peer.initiate(own), at))).ok()) << at;
  }
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  ASSERT_TRUE(greet(session, peer));
  const std::string message = peer.message("move");
  for (std::size_t at = 0; at < message.size(); ++at) {
    EXPECT_FALSE(opens(session, flipped(message, at))) << at;
  }
  EXPECT_TRUE(opens(session, message));
}

TEST_F(CurveTest, CommandsThatAreCutOffAreRefused) {
  std::vector<std::byte> answer;
  CurvePeer sample(server.public_key());
  const std::string hello = sample.hello();
  for (std::size_t size = 0; size < hello.size(); ++size) {
    CurveSession session(server);
    EXPECT_FALSE(session.take_hello(of(hello).first(size), answer).ok());
  }
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  ASSERT_TRUE(welcome(session, peer));
  const std::string initiate = peer.initiate(own);
  for (std::size_t size = 0; size < initiate.size(); ++size) {
    EXPECT_FALSE(session.take_initiate(of(initiate).first(size)).ok());
  }
  ASSERT_TRUE(session.take_initiate(of(initiate)).ok());
  const std::string message = peer.message("move");
  std::vector<std::byte> plain;
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(session.open(of(message).first(size), plain).ok());
  }
}

TEST_F(CurveTest, NothingComesBeforeItsTurn) {
  CurveSession session(server);
  CurvePeer peer(server.public_key());
  EXPECT_FALSE(opens(session, peer.message("move")));
  EXPECT_FALSE(session.take_initiate(of(std::string(300, 'x'))).ok());
  ASSERT_TRUE(greet(session, peer));
  std::vector<std::byte> answer;
  EXPECT_FALSE(session.take_hello(of(peer.hello()), answer).ok());
}

TEST(CurveKeys, AreWrittenInZ85AsItsSpecificationDoes) {
  // The second test vector of rfc.zeromq.org/spec/32.
  const CurveKey key = {0x8e, 0x0b, 0xdd, 0x69, 0x76, 0x28, 0xb9, 0x1d, 0x8f, 0x24, 0x55,
                        0x87, 0xee, 0x95, 0xc5, 0xb0, 0x4d, 0x48, 0x96, 0x3f, 0x79, 0x25,
                        0x98, 0x77, 0xb4, 0x9c, 0xd9, 0x06, 0x3a, 0xea, 0xd3, 0xb7};
  EXPECT_EQ(to_z85(key), "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6");
  EXPECT_EQ(from_z85(to_z85(key)), key);
  EXPECT_FALSE(from_z85("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh"));
  EXPECT_FALSE(from_z85("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{L h"));
  EXPECT_FALSE(from_z85(std::string(40, '#')));  // more than 32 bits
}

TEST(CurveKeys, StayTheSameOverARestartInAFileOfTheirOwnersAlone) {
  TempFolder place;
  auto folder = open_folder(place.path());
  ASSERT_TRUE(folder.ok());
  const auto made = CurveIdentity::load_or_create(**folder, "k");
  ASSERT_TRUE(made.ok());
  struct stat about {};
  ASSERT_EQ(::stat((place / "k").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  const auto again = CurveIdentity::load_or_create(**folder, "k");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->public_key(), made->public_key());
  EXPECT_EQ(again->secret_key(), made->secret_key());

  ::chmod((place / "k").c_str(), 0640);
  EXPECT_EQ(CurveIdentity::load_or_create(**folder, "k").status().code(), Code::kPermissionDenied);
  ::chmod((place / "k").c_str(), 0600);
  std::fstream(place / "k", std::ios::in | std::ios::out).seekp(20).put('0').put('0');
  EXPECT_EQ(CurveIdentity::load_or_create(**folder, "k").status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace nudge
