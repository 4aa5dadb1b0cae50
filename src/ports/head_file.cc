#include "src/ports/head_file.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace nudge {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
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
  std::string kept;
  bool keep = true;
  for (std::size_t begin = 0; begin < text.size(); keep = !keep) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    if (keep) kept += text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
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
