// Any bytes as what a peer says to a ZeroMQ port: as they are, and behind a greeting and READY that
// are right, so that the frames are reached. Whatever comes, it is cut in the same way however the
// bytes arrive, and takes no more memory than twice what came.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/ports/zmtp.h"
#include "test/support/raw_tcp.h"

namespace {

// What was read, as one text, and whether it ended in an error.
std::string read(const std::string& text, std::size_t step) {
  nudge::ZmtpReader reader(1u << 20);
  std::string seen;
  for (std::size_t at = 0; at < text.size(); at += step) {
    const std::string part = text.substr(at, step);
    auto bytes = std::as_bytes(std::span(part));
    while (true) {
      const auto piece = reader.next(bytes);
      if (reader.held() > 2 * text.size()) std::abort();
      if (!piece.ok()) return seen + "!";
      if (!*piece) break;
      const auto body = (*piece)->body;
      seen += static_cast<char>('0' + static_cast<int>((*piece)->kind));
      seen.append(reinterpret_cast<const char*>(body.data()), body.size());
    }
    if (!bytes.empty()) std::abort();
  }
  return seen;
}

void look(const std::string& text) {
  const std::string whole = read(text, std::max<std::size_t>(text.size(), 1));
  for (const std::size_t step : {1u, 5u, 64u}) {
    if (read(text, step) != whole) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  look(text);
  look(nudge::test::RawTcp::greeting() + nudge::test::RawTcp::ready() + text);
  return 0;
}
