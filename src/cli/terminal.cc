#include "src/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace nudge {
namespace {

// Characters of UTF-8 text, as columns: continuation bytes take none. Wide characters are not told
// apart; our own texts have none.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

// The first `count` characters.
std::string cut(const std::string& text, std::size_t count) {
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80 && seen++ == count) break;
  }
  return text.substr(0, end);
}

std::size_t terminal_width(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  return 80;
}

bool looks_like_number(const std::string& cell) {
  return !cell.empty() && cell.find_first_of("0123456789") != std::string::npos &&
         cell.find_first_not_of("0123456789.,+-%eE ") == std::string::npos;
}

}  // namespace

ProgressStyle progress_style(std::FILE* stream, bool silent) {
  if (silent) return ProgressStyle::kSilent;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  return isatty(fileno(stream)) == 1 && !dumb ? ProgressStyle::kRedrawn : ProgressStyle::kLines;
}

std::string duration_text(double seconds) {
  char text[48];
  const double s = std::max(0.0, seconds);
  if (s < 9.95) {
    std::snprintf(text, sizeof text, "%.1f s", s);
  } else if (s < 59.5) {
    std::snprintf(text, sizeof text, "%.0f s", s);
  } else if (s < 3600 - 0.5) {
    const auto whole = static_cast<long>(std::lround(s));
    std::snprintf(text, sizeof text, "%ld min %02ld s", whole / 60, whole % 60);
  } else {
    const auto minutes = static_cast<long>(std::min(s / 60, 1e9));
    std::snprintf(text, sizeof text, "%ld h %02ld min", minutes / 60, minutes % 60);
  }
  return text;
}

ProgressBar::ProgressBar(std::FILE* stream, ProgressStyle style, std::string title,
                         std::uint64_t total, Instant start)
    : stream_(stream),
      style_(style),
      title_(std::move(title)),
      total_(std::max<std::uint64_t>(total, 1)),
      start_(start) {}

ProgressBar::~ProgressBar() {
  if (style_ == ProgressStyle::kRedrawn && any_drawn_ && !finished_) {
    std::fputc('\n', stream_);
    std::fflush(stream_);
  }
}

std::string ProgressBar::line(const std::string& message, Instant now) const {
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  const double elapsed = seconds(now - start_);
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(share * 100));
  std::string text = title_ + "  " + percent;
  // Early on the rate says nothing; an estimate that jumps is worse than none.
  if (done_ < total_ && share > 0.02 && elapsed > 1) {
    text += "  " + duration_text(elapsed * (1 - share) / share) + " left";
  }
  if (!message.empty()) text += "  " + message;
  return text;
}

void ProgressBar::draw(const std::string& message, Instant now) {
  drawn_ = now;
  any_drawn_ = true;
  if (style_ == ProgressStyle::kRedrawn) {
    // Never into the last column: a terminal would wrap, and the next line would not overwrite.
    const std::string text = cut(line(message, now), terminal_width(stream_) - 1);
    std::fprintf(stream_, "\r%s\x1b[K", text.c_str());
  } else {
    std::fprintf(stream_, "%s\n", line(message, now).c_str());
  }
  std::fflush(stream_);
}

void ProgressBar::update(std::uint64_t done, const std::string& message, Instant now) {
  done_ = std::min(done, total_);
  if (finished_ || style_ == ProgressStyle::kSilent) return;
  if (style_ == ProgressStyle::kRedrawn) {
    if (!any_drawn_ || now - drawn_ >= std::chrono::milliseconds(100)) draw(message, now);
    return;
  }
  const auto tenth =
      static_cast<std::uint64_t>(10.0 * static_cast<double>(done_) / static_cast<double>(total_));
  if (tenth >= next_tenth_ && done_ < total_) {
    next_tenth_ = tenth + 1;
    draw(message, now);
  }
}

void ProgressBar::finish(const std::string& message, Instant now) {
  if (finished_) return;
  done_ = total_;
  if (style_ != ProgressStyle::kSilent) {
    const std::string took = "in " + duration_text(seconds(now - start_));
    draw(message.empty() ? took : message + ", " + took, now);
    if (style_ == ProgressStyle::kRedrawn) std::fputc('\n', stream_);
    std::fflush(stream_);
  }
  finished_ = true;
}

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::add(std::vector<std::string> row) {
  row.resize(rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  const std::size_t count = rows_.front().size();
  std::vector<std::size_t> width(count, 0);
  std::vector<bool> right(count, rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < count; ++c) {
      width[c] = std::max(width[c], columns(rows_[r][c]));
      if (r > 0 && !rows_[r][c].empty() && !looks_like_number(rows_[r][c])) right[c] = false;
    }
  }
  std::string out;
  const auto put = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < count; ++c) {
      const std::string padding(width[c] - columns(cells[c]), ' ');
      line += (c == 0 ? "" : "  ") + (right[c] ? padding + cells[c] : cells[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  put(rows_.front());
  std::vector<std::string> rule;
  for (const std::size_t w : width) rule.emplace_back(w, '-');
  put(rule);
  for (std::size_t r = 1; r < rows_.size(); ++r) put(rows_[r]);
  return out;
}

}  // namespace nudge
