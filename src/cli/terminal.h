// What a command shows while it works and when it is done: progress and tables.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "nudge/time.h"

namespace nudge {

enum class ProgressStyle {
  kSilent,   // --json, --quiet
  kLines,    // not a terminal: a line for about every 10 %
  kRedrawn,  // a terminal: one line, redrawn
};
// kSilent when `silent`, else by whether `stream` is a terminal (and TERM is not "dumb").
ProgressStyle progress_style(std::FILE* stream, bool silent);

// "3 s", "2 min 05 s", "1 h 02 min".
std::string duration_text(double seconds);

// Percent, time left and a message. Time is an argument, so a test needs no clock. One thread.
class ProgressBar {
 public:
  // `stream` must outlive the bar. `total` > 0, in any unit of work.
  ProgressBar(std::FILE* stream, ProgressStyle style, std::string title, std::uint64_t total,
              Instant start);
  ~ProgressBar();  // ends a redrawn line, so that the next text starts on its own
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // `done` of the total is reached; redraws at most ten times a second.
  void update(std::uint64_t done, const std::string& message, Instant now);
  // Writes the last line with the time it took. Later calls do nothing.
  void finish(const std::string& message, Instant now);

 private:
  void draw(const std::string& message, Instant now);
  std::string line(const std::string& message, Instant now) const;

  std::FILE* stream_;
  ProgressStyle style_;
  std::string title_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t next_tenth_ = 1;  // kLines: the tenth of the total that prints next
  Instant start_;
  Instant drawn_{};
  bool any_drawn_ = false;
  bool finished_ = false;
};

// Aligned columns in plain ASCII. Cells that look like numbers go to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row);  // missing cells are empty, further ones are dropped
  std::string text() const;                // with a final newline; widths count UTF-8 characters

 private:
  std::vector<std::vector<std::string>> rows_;  // the header first
};

}  // namespace nudge
