#include "src/cli/logging.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace nudge {
namespace {

std::string written(std::FILE* file) {
  std::fflush(file);
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  return text;
}

class LogLines : public ::testing::Test {
 protected:
  void SetUp() override {
    file_ = std::tmpfile();
    ASSERT_NE(file_, nullptr);
  }
  void TearDown() override { std::fclose(file_); }
  std::unique_ptr<Logger> start(LogFormat format, LogLevel level = LogLevel::kInfo) {
    Config::Logging options;
    options.format = format;
    options.level = level;
    auto logger = Logger::start(options, file_);
    EXPECT_TRUE(logger.ok());
    return *std::move(logger);
  }
  std::FILE* file_ = nullptr;
};

TEST_F(LogLines, TextNamesTimeLevelComponentAndFields) {
  start(LogFormat::kText)->log(LogLevel::kWarn, "gate", "rejected", {{"reason", "non finite"}});
  const std::string line = written(file_);
  EXPECT_EQ(line.substr(4, 1), "-");
  EXPECT_EQ(line.substr(23, 2), "Z ") << line;
  EXPECT_NE(line.find(" warn  gate: rejected reason=\"non finite\"\n"), std::string::npos) << line;
}

TEST_F(LogLines, JsonIsOneObjectALine) {
  auto logger = start(LogFormat::kJson);
  logger->log(LogLevel::kInfo, "gate", "accepted \"v7\"\n",
              {{"version", "7"}, {"level", "forged"}});
  logger->log(LogLevel::kError, "log", "disk full", {});
  logger.reset();
  std::istringstream lines(written(file_));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const auto first = nlohmann::json::parse(line);
  EXPECT_EQ(first["level"], "info");
  EXPECT_EQ(first["component"], "gate");
  EXPECT_EQ(first["message"], "accepted \"v7\"\n");
  EXPECT_EQ(first["version"], "7");
  EXPECT_EQ(first["ts"].get<std::string>().size(), 24u);
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line)["level"], "error");
}

TEST_F(LogLines, LessImportantLinesAreLeftOut) {
  auto logger = start(LogFormat::kText, LogLevel::kWarn);
  logger->log(LogLevel::kInfo, "a", "hidden");
  logger->log(LogLevel::kError, "a", "shown");
  logger.reset();
  const std::string text = written(file_);
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_NE(text.find("shown"), std::string::npos);
}

TEST_F(LogLines, ControlCharactersCannotForgeALineOrCommandATerminal) {
  start(LogFormat::kText)->log(LogLevel::kInfo, "words", "a\nb\x1b[2J \xff", {{"x", "1\r2"}});
  const std::string text = written(file_);
  EXPECT_NE(text.find("a\\x0ab\\x1b[2J \\xff x=1\\x0d2\n"), std::string::npos) << text;
}

TEST_F(LogLines, BytesThatAreNotUtf8DoNotBreakJson) {
  start(LogFormat::kJson)->log(LogLevel::kInfo, "words", "\xff\xfe");
  EXPECT_TRUE(nlohmann::json::accept(written(file_)));
}

TEST_F(LogLines, FlushWaitsUntilLinesAreWritten) {
  auto logger = start(LogFormat::kText);
  for (int i = 0; i < 500; ++i) logger->log(LogLevel::kInfo, "a", "line");
  logger->flush();
  std::fseek(file_, 0, SEEK_END);
  EXPECT_GE(std::ftell(file_), 500 * 30);
  EXPECT_EQ(logger->dropped(), 0u);
}

TEST(LogQueue, GivesUpTheOldestLinesAndCountsThemInsteadOfWaiting) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::FILE* output = fdopen(ends[1], "w");
  Config::Logging options;
  options.queue = 64;
  auto logger = Logger::start(options, output);
  ASSERT_TRUE(logger.ok());
  // Nobody reads the pipe: it takes 64 KiB, and then its writer is stuck.
  const std::string filler(200, 'x');
  constexpr int kLines = 5000;
  for (int i = 0; i < kLines; ++i) {
    (*logger)->log(LogLevel::kInfo, "a", filler, {{"line", std::to_string(i)}});
  }
  EXPECT_GT((*logger)->dropped(), 1000u);

  std::string text;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t n = read(ends[0], buffer, sizeof buffer); n > 0;
         n = read(ends[0], buffer, sizeof buffer)) {
      text.append(buffer, static_cast<std::size_t>(n));
    }
  });
  (*logger)->flush();
  const std::uint64_t dropped = (*logger)->dropped();
  *logger = nullptr;
  std::fclose(output);
  reader.join();
  close(ends[0]);
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) + dropped,
            static_cast<std::uint64_t>(kLines));
  EXPECT_NE(text.find("line=" + std::to_string(kLines - 1) + "\n"), std::string::npos);
}

TEST(Rfc3339, IsUtcWithMilliseconds) {
  EXPECT_EQ(rfc3339(WallTime(std::chrono::seconds(0))), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(WallTime(std::chrono::milliseconds(1'772'366'400'123))),
            "2026-03-01T12:00:00.123Z");
  EXPECT_EQ(rfc3339(WallTime(std::chrono::milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace nudge
