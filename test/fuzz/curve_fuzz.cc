// Any bytes as what a peer says to a ZeroMQ port with CURVE: in place of each command of the
// handshake, and of the messages behind it, where only who holds the keys can come. Nobody gets in
// without a handshake, and nothing that was not sealed for this connection is believed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/ports/zmtp.h"
#include "test/support/curve_peer.h"

namespace {

using nudge::CurveIdentity;
using nudge::CurveSession;
using nudge::ZmtpReader;
using nudge::test::CurvePeer;

const CurveIdentity& server() {
  static const CurveIdentity identity = CurveIdentity::make();
  return identity;
}
const CurveIdentity& client() {
  static const CurveIdentity identity = CurveIdentity::make();
  return identity;
}

struct Heard {
  bool over = false;  // the peer has to be closed
  bool ready = false;
  int messages = 0;
  std::string answer;
};

void hear(ZmtpReader& reader, const std::string& text, Heard& heard) {
  auto bytes = std::as_bytes(std::span(text));
  while (!heard.over) {
    const auto piece = reader.next(bytes);
    if (!piece.ok()) {
      heard.over = true;
      return;
    }
    if (!*piece) return;
    const auto body = (*piece)->body;
    using Kind = nudge::ZmtpPiece::Kind;
    if ((*piece)->kind == Kind::kAnswer || (*piece)->kind == Kind::kReady) {
      heard.answer.assign(reinterpret_cast<const char*>(body.data()), body.size());
    }
    heard.ready = heard.ready || (*piece)->kind == Kind::kReady;
    if ((*piece)->kind == Kind::kMessage) ++heard.messages;
  }
}

// `upto`: how many commands of the handshake are right before the bytes come.
void look(const std::string& text, int upto) {
  CurveSession session(server());
  ZmtpReader reader(1u << 20, &session);
  CurvePeer peer(server().public_key());
  Heard heard;
  if (upto >= 1) hear(reader, CurvePeer::greeting(), heard);
  if (upto >= 2) hear(reader, CurvePeer::frame(peer.hello()), heard);
  if (upto >= 3) {
    if (heard.answer.size() < 2 || !peer.take_welcome(heard.answer.substr(2))) std::abort();
    hear(reader, CurvePeer::frame(peer.initiate(client())), heard);
    if (!heard.ready) std::abort();
  }
  const bool before = heard.ready;
  hear(reader, text, heard);
  if (heard.ready && !before) std::abort();  // that would be a forged handshake
  if (heard.messages > 0) std::abort();      // and that a forged message
  if (reader.held() > 4 * (text.size() + 1024)) std::abort();
  if (before && !heard.over && text.empty()) {
    hear(reader, CurvePeer::frame(peer.message("move"), false), heard);
    if (heard.messages != 1) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (int upto = 0; upto <= 3; ++upto) look(text, upto);
  return 0;
}
