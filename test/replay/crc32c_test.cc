#include "replay/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nudge/random.h"

namespace nudge {
namespace {

std::uint32_t of(const std::string& text) { return crc32c(std::as_bytes(std::span(text))); }

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(of(""), 0u);
  EXPECT_EQ(of("123456789"), 0xE3069283u);            // the catalogue's check value
  EXPECT_EQ(of(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(of(std::string(32, '\xff')), 0x62A8AB43u);
}

TEST(Crc32c, IsTheSameByInstructionAndByTableForEveryLengthAndAlignment) {
  Random random(1);
  std::vector<std::byte> bytes(300);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random.next());
  for (std::size_t start = 0; start < 9; ++start) {
    for (std::size_t size = 0; size + start <= bytes.size(); ++size) {
      const auto part = std::span(bytes).subspan(start, size);
      ASSERT_EQ(crc32c(part), crc32c_portable(part));
    }
  }
}

TEST(Crc32c, GoesOnFromWhatCameBefore) {
  const std::string text = "a step and another step";
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), crc32c(bytes));
  }
}

}  // namespace
}  // namespace nudge
