#include "src/cli/terminal.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <cstdlib>

namespace nudge {
namespace {

// A stream in memory; it is no terminal.
class Output {
 public:
  Output() : stream_(open_memstream(&data_, &size_)) {}
  ~Output() {
    std::fclose(stream_);
    std::free(data_);
  }
  std::FILE* stream() { return stream_; }
  std::string text() {
    std::fflush(stream_);
    return {data_, size_};
  }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

Instant at(double s) { return Instant(from_seconds(s)); }

TEST(Progress, IsSilentWhenAskedAndWritesLinesToAFile) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(progress_style(file, true), ProgressStyle::kSilent);
  EXPECT_EQ(progress_style(file, false), ProgressStyle::kLines);
  std::fclose(file);
}

TEST(Progress, WritesALineForEachTenth) {
  Output out;
  ProgressBar bar(out.stream(), ProgressStyle::kLines, "Evaluating", 100, at(0));
  for (int i = 1; i <= 100; ++i) bar.update(i, "", at(i * 0.1));
  bar.finish("98 of 100", at(10));
  const std::string text = out.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_NE(text.find("Evaluating   10%"), std::string::npos) << text;
  EXPECT_NE(text.find("100%  98 of 100, in 10 s"), std::string::npos) << text;
}

TEST(Progress, TellsTheTimeThatIsLeft) {
  Output out;
  ProgressBar bar(out.stream(), ProgressStyle::kLines, "Training", 400, at(0));
  bar.update(100, "loss 0.2", at(30));
  EXPECT_NE(out.text().find("25%  1 min 30 s left  loss 0.2"), std::string::npos) << out.text();
}

TEST(Progress, RedrawsOneLineAtMostTenTimesASecond) {
  Output out;
  {
    ProgressBar bar(out.stream(), ProgressStyle::kRedrawn, "Training", 1000, at(0));
    for (int i = 1; i <= 1000; ++i) bar.update(i, "", at(i * 0.001));
    bar.finish("", at(1));
  }
  const std::string text = out.text();
  EXPECT_LE(std::count(text.begin(), text.end(), '\r'), 12);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.back(), '\n');
}

TEST(Progress, NeverWrapsANarrowTerminal) {
  Output out;  // no terminal: 80 columns
  ProgressBar bar(out.stream(), ProgressStyle::kRedrawn, "Training", 10, at(0));
  bar.update(5, std::string(500, 'x'), at(2));
  EXPECT_LE(out.text().size(), 80 + std::string("\r\x1b[K").size());
}

TEST(Progress, EndsItsLineWhenItIsGivenUp) {
  Output out;
  {
    ProgressBar(out.stream(), ProgressStyle::kRedrawn, "Training", 10, at(0)).update(1, "", at(1));
  }
  EXPECT_EQ(out.text().back(), '\n');
}

TEST(Progress, SaysNothingWhenSilent) {
  Output out;
  ProgressBar bar(out.stream(), ProgressStyle::kSilent, "Training", 10, at(0));
  bar.update(5, "", at(1));
  bar.finish("", at(2));
  EXPECT_EQ(out.text(), "");
}

TEST(Durations, ReadWell) {
  EXPECT_EQ(duration_text(0.25), "0.2 s");
  EXPECT_EQ(duration_text(12.3), "12 s");
  EXPECT_EQ(duration_text(59.7), "1 min 00 s");
  EXPECT_EQ(duration_text(125), "2 min 05 s");
  EXPECT_EQ(duration_text(3720), "1 h 02 min");
}

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({"version", "success", "state"});
  table.add({"1", "62 %", "base"});
  table.add({"12", "100 %", "live"});
  EXPECT_EQ(table.text(),
            "version  success  state\n"
            "-------  -------  -----\n"
            "      1     62 %  base\n"
            "     12    100 %  live\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({"name", "x"});
  table.add({"\xc3\xa9\xc3\xa9", "a"});
  EXPECT_NE(table.text().find("\xc3\xa9\xc3\xa9    a\n"), std::string::npos) << table.text();
}

TEST(Table, FillsRowsThatAreTooShort) {
  Table table({"a", "b"});
  table.add({"1"});
  EXPECT_EQ(table.text(), "a  b\n-  -\n1\n");
}

}  // namespace
}  // namespace nudge
