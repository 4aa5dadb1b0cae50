#include "src/ports/head_file.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "src/ports/signed_head.h"

namespace nudge {
namespace {

constexpr Sequence kFinest = 4096;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct Line {
  std::string text;
  Sequence sequence = 0;
};

// What is no head has no place in a file that must be thinned out.
std::vector<Line> heads_of(const std::string& text) {
  std::vector<Line> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const Result<SignedHead> head = SignedHead::parse(line);
    if (head.ok()) lines.push_back({std::move(line), head->head.sequence});
  }
  return lines;
}

// Without those that may be missing: what is left then lies no farther apart than 1 / `share` of
// its age in entries, where it did not before. The first and the newest stay, and one that is ahead
// of its successor: it shows that the log was put back.
std::vector<Line> spaced(const std::vector<Line>& lines, Sequence share) {
  Sequence newest = 0;
  for (const Line& line : lines) newest = std::max(newest, line.sequence);
  std::vector<Line> kept;
  for (std::size_t i = lines.size(); i-- > 0;) {
    const bool end = i == 0 || kept.empty();
    const bool ahead = !end && lines[i].sequence >= kept.back().sequence;
    const Sequence older = end ? 0 : lines[i - 1].sequence;
    const bool needed = !end && older < kept.back().sequence &&
                        kept.back().sequence - older > (newest - older) / share;
    if (end || ahead || needed) kept.push_back(lines[i]);
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

std::string thinned(std::vector<Line> lines, std::uint64_t most) {
  const auto text_of = [](const std::vector<Line>& all) {
    std::string text;
    for (const Line& line : all) text += line.text + "\n";
    return text;
  };
  std::string text = text_of(lines);
  for (Sequence share = kFinest; text.size() > most && share > 0; share /= 2) {
    text = text_of(spaced(lines, share));
  }
  // Many that were put back.
  while (text.size() > most && lines.size() > 2) {
    std::vector<Line> half;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (i % 2 == 0 || i + 1 == lines.size()) half.push_back(std::move(lines[i]));
    }
    lines = std::move(half);
    text = text_of(lines);
  }
  return text;
}

}  // namespace

Status HeadFile::append(const std::string& line) {
  const auto there = files_.exists(path_);
  if (!there.ok()) return there.status();
  auto file = files_.open(path_, OpenMode::kCreate);
  if (!file.ok()) return file.status();
  if (!*there) NUDGE_TRY(sync_parent(files_, path_));
  auto size = (*file)->size();
  if (!size.ok()) return size.status();
  if (*size > 2 * most_bytes_) {
    return resource_exhausted(path_ + " is too large to be a file of heads; name another");
  }
  if (*size > 0 && *size + line.size() + 2 > most_bytes_) {
    NUDGE_TRY(thin_out(**file, *size));
    file = files_.open(path_, OpenMode::kWrite);
    if (!file.ok()) return file.status();
    size = (*file)->size();
    if (!size.ok()) return size.status();
  }
  std::string text = line + "\n";
  if (*size > 0) {
    // What a power loss has left of a line must not swallow this one.
    char last = 0;
    const auto read = (*file)->pread(std::as_writable_bytes(std::span<char>(&last, 1)), *size - 1);
    if (!read.ok()) return read.status();
    if (last != '\n') text.insert(text.begin(), '\n');
  }
  Status status = (*file)->pwrite(bytes_of(text), *size);
  if (status.ok()) status = (*file)->sync();
  // So that trying again adds it once, and not what a full disk took of it each time.
  if (!status.ok()) (void)(*file)->truncate(*size);
  return status;
}

// By way of a file beside it: a power loss leaves the old one or this one.
Status HeadFile::thin_out(File& file, std::uint64_t size) {
  std::string text(size, '\0');
  const auto read = file.pread(std::as_writable_bytes(std::span(text)), 0);
  if (!read.ok()) return read.status();
  text.resize(*read);
  std::vector<Line> heads = heads_of(text);
  if (heads.empty()) {
    return resource_exhausted(path_ + " is full, and of something else than heads; name another");
  }
  const std::string kept = thinned(std::move(heads), most_bytes_ / 2);
  const std::string other = path_ + ".tmp";
  {
    auto made = files_.open(other, OpenMode::kCreate);
    if (!made.ok()) return made.status();
    NUDGE_TRY((*made)->truncate(0));
    NUDGE_TRY((*made)->pwrite(bytes_of(kept), 0));
    NUDGE_TRY((*made)->sync());
  }
  NUDGE_TRY(files_.rename(other, path_));
  return sync_parent(files_, path_);
}

}  // namespace nudge
