#include "src/cli/qr_code.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace nudge {
namespace {

// Modules of a drawn code, dark as true, without the quiet zone's light ones being checked away.
std::vector<std::vector<bool>> modules(const std::string& drawn) {
  std::vector<std::vector<bool>> rows;
  std::istringstream lines(drawn);
  for (std::string line; std::getline(lines, line);) {
    std::vector<bool> upper, lower;
    for (std::size_t i = 0; i < line.size();) {
      if (line[i] == ' ') {
        upper.push_back(true);
        lower.push_back(true);
        ++i;
        continue;
      }
      const std::string cell = line.substr(i, 3);
      upper.push_back(cell == "▄");
      lower.push_back(cell == "▀");
      i += 3;
    }
    rows.push_back(upper);
    rows.push_back(lower);
  }
  return rows;
}

TEST(QrCode, DrawsASquareWithItsThreeMarksAndAQuietZone) {
  const Result<std::string> drawn =
      qr_code("https://192.168.1.5:8080/#pair=K7QF-2M9X", /*coloured=*/false);
  ASSERT_TRUE(drawn.ok());
  const auto rows = modules(*drawn);
  const std::size_t width = rows[0].size();
  ASSERT_GE(rows.size(), width);
  for (const auto& row : rows) ASSERT_EQ(row.size(), width);
  for (std::size_t i = 0; i < width; ++i) {
    EXPECT_FALSE(rows[0][i] || rows[1][i] || rows[i][0] || rows[i][1]);
  }
  // A mark: seven modules dark along its edge, light within that, dark in the middle.
  const auto mark = [&](std::size_t top, std::size_t left) {
    for (std::size_t i = 0; i < 7; ++i) {
      EXPECT_TRUE(rows[top][left + i] && rows[top + 6][left + i] && rows[top + i][left]);
    }
    EXPECT_FALSE(rows[top + 1][left + 1]);
    EXPECT_TRUE(rows[top + 3][left + 3]);
  };
  mark(2, 2);
  mark(2, width - 9);
  mark(width - 9, 2);
}

TEST(QrCode, BringsItsOwnColoursToATerminal) {
  const Result<std::string> drawn = qr_code("a", /*coloured=*/true);
  ASSERT_TRUE(drawn.ok());
  EXPECT_NE(drawn->find("\033[40;97m"), std::string::npos);
  EXPECT_EQ(drawn->substr(drawn->size() - 5), "\033[0m\n");
}

TEST(QrCode, RefusesWhatFitsIntoNone) {
  EXPECT_EQ(qr_code(std::string(4'000, 'a'), false).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace nudge
