#include "src/ports/zmtp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "test/support/raw_tcp.h"

namespace nudge {
namespace {

using test::RawTcp;
using namespace std::string_literals;
using Kind = ZmtpPiece::Kind;

constexpr std::size_t kLongest = 1000;

struct Seen {
  Kind kind;
  std::string body;
  friend bool operator==(const Seen&, const Seen&) = default;
};

// What is read of `text`, when it comes in pieces of `step` bytes; nothing of it after an error.
struct Read {
  std::vector<Seen> seen;
  Status status;
  std::size_t most_held = 0;
};
Read read(const std::string& text, std::size_t step = 1 << 20, std::size_t longest = kLongest) {
  ZmtpReader reader(longest);
  Read read;
  for (std::size_t at = 0; at < text.size(); at += step) {
    const std::string part = text.substr(at, step);
    auto bytes = std::as_bytes(std::span(part));
    while (true) {
      const auto piece = reader.next(bytes);
      read.most_held = std::max(read.most_held, reader.held());
      if (!piece.ok()) {
        read.status = piece.status();
        return read;
      }
      if (!*piece) break;
      const auto body = (*piece)->body;
      read.seen.push_back(
          {(*piece)->kind, {reinterpret_cast<const char*>(body.data()), body.size()}});
    }
    EXPECT_TRUE(bytes.empty());
  }
  return read;
}

std::string frame(const std::string& body, int flags = 0) {
  if (body.size() < 256) {
    return std::string{static_cast<char>(flags), static_cast<char>(body.size())} + body;
  }
  std::string text = RawTcp::announce(body.size());
  text[0] = static_cast<char>(flags | 2);
  return text + body;
}
std::string command(const std::string& name, const std::string& data = "") {
  return frame(static_cast<char>(name.size()) + name + data, 4);
}
const std::string kBegin = RawTcp::greeting() + RawTcp::ready();
std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Zmtp, PiecesAreTheSameHoweverTheBytesArrive) {
  const std::string text = kBegin + frame("a") + frame(std::string(300, 'b')) + frame("") +
                           command("PING", "\0\x0a"s + "context") + command("PONG") +
                           frame("c", 1) + frame("d", 1) + frame("e") + frame("f");
  const std::vector<Seen> expected = {
      {Kind::kReady, ""},    {Kind::kMessage, "a"},    {Kind::kMessage, std::string(300, 'b')},
      {Kind::kMessage, ""},  {Kind::kPing, "context"}, {Kind::kNothing, ""},
      {Kind::kNothing, "c"}, {Kind::kNothing, "d"},    {Kind::kParts, "e"},
      {Kind::kMessage, "f"}};
  for (const std::size_t step : {1u, 2u, 3u, 7u, 63u, 64u, 65u, 100u, 1u << 20}) {
    const Read all = read(text, step);
    EXPECT_TRUE(all.status.ok()) << all.status.message();
    EXPECT_EQ(all.seen, expected) << step;
  }
}

TEST(Zmtp, AFrameThatIsTooLongIsRefusedByItsHeader) {
  EXPECT_TRUE(read(kBegin + frame(std::string(kLongest, 'x'))).status.ok());
  EXPECT_FALSE(read(kBegin + RawTcp::announce(kLongest + 1)).status.ok());
  EXPECT_FALSE(read(kBegin + RawTcp::announce(~0ull)).status.ok());
  EXPECT_FALSE(read(kBegin + command("PONG", std::string(kMaxZmtpCommand, 'x'))).status.ok());
}

TEST(Zmtp, MemoryGrowsWithWhatHasArrivedNotWithWhatWasAnnounced) {
  const std::size_t longest = 16u << 20;
  EXPECT_EQ(read(kBegin + RawTcp::announce(longest), 1000, longest).most_held, 0u);
  const std::size_t arrived = 1u << 20;
  const Read half =
      read(kBegin + RawTcp::announce(longest) + std::string(arrived, 'x'), 10'000, longest);
  EXPECT_GE(half.most_held, arrived);
  EXPECT_LE(half.most_held, 2 * arrived + 20'000);
  const Read whole = read(kBegin + frame(std::string(longest, 'x')), 10'000, longest);
  EXPECT_TRUE(whole.status.ok());
  EXPECT_LE(whole.most_held, longest);
}

TEST(Zmtp, WhoeverSpeaksSomethingElseIsRefused) {
  EXPECT_FALSE(read("G").status.ok());
  EXPECT_TRUE(read(RawTcp::greeting().substr(0, 63)).status.ok());
  std::string older = RawTcp::greeting(), other = older, cut = older;
  older[10] = 2;
  EXPECT_FALSE(read(older).status.ok());
  other.replace(12, 5, "CURVE");
  EXPECT_FALSE(read(other).status.ok());
  cut[9] = 0;
  EXPECT_FALSE(read(cut).status.ok());
}

TEST(Zmtp, TheFirstWordIsReadyOfADealer) {
  const auto ready = [](const std::string& properties) {
    return read(RawTcp::greeting() + command("READY", properties)).status;
  };
  EXPECT_TRUE(ready("\x0bsocket-TYPE\0\0\0\6DEALER\1x\0\0\0\0"s).ok());
  EXPECT_FALSE(ready("\x0bSocket-Type\0\0\0\3SUB"s).ok());
  EXPECT_FALSE(ready("").ok());
  EXPECT_FALSE(ready("\x0bSocket-Type\0\0\0\7DEALER"s).ok());
  EXPECT_FALSE(ready("\x0bSocket-Type\0\0\0\6DEALER\1"s).ok());
  EXPECT_FALSE(read(RawTcp::greeting() + frame("a")).status.ok());
  EXPECT_FALSE(read(RawTcp::greeting() + command("PING", "\0\0"s)).status.ok());
  EXPECT_FALSE(read(kBegin + RawTcp::ready()).status.ok());
}

TEST(Zmtp, FlagsAndCommandsThatDoNotExistAreRefused) {
  EXPECT_FALSE(read(kBegin + frame("a", 8)).status.ok());
  EXPECT_FALSE(read(kBegin + frame("a", 5)).status.ok());
  EXPECT_FALSE(read(kBegin + frame("", 4)).status.ok());
  EXPECT_FALSE(read(kBegin + frame("\x05PIN", 4)).status.ok());
  EXPECT_FALSE(read(kBegin + command("PING")).status.ok());
  EXPECT_FALSE(read(kBegin + command("PING", std::string(19, 'x'))).status.ok());
  EXPECT_TRUE(read(kBegin + command("LATER", "what comes with another version")).status.ok());
}

TEST(Zmtp, WhatTheServerSaysIsAsTheProtocolSays) {
  const auto greeting = zmtp_greeting();
  ASSERT_EQ(greeting.size(), 64u);
  EXPECT_EQ(text_of({greeting.begin(), greeting.begin() + 17}),
            "\xff\0\0\0\0\0\0\0\0\x7f\3\1NULL\0"s);
  std::vector<std::byte> out;
  append_zmtp_ready(out);
  EXPECT_EQ(text_of(out), command("READY",
                                  "\x0bSocket-Type\0\0\0\6ROUTER"
                                  "\x08Identity\0\0\0\0"s));
  out.clear();
  append_zmtp_pong(out, std::as_bytes(std::span("ab", 2)));
  EXPECT_EQ(text_of(out), command("PONG", "ab"));
  for (const std::size_t size : {0u, 255u, 256u, 70'000u}) {
    const std::string body(size, 'x');
    out.clear();
    append_zmtp_message(out, std::as_bytes(std::span(body)));
    EXPECT_EQ(text_of(out), frame(body));
  }
}

}  // namespace
}  // namespace nudge
