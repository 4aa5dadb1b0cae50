// A file system with one file, in memory, for reading: what fuzz targets hand to a reader.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "replay/file.h"

namespace nudge::test {

class OneFile final : public FileSystem {
 public:
  explicit OneFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<std::unique_ptr<File>> open(const std::string&, OpenMode) override {
    return std::unique_ptr<File>(std::make_unique<Content>(bytes_));
  }
  Status rename(const std::string&, const std::string&) override { return no(); }
  Status remove(const std::string&) override { return no(); }
  Status remove_folder(const std::string&) override { return no(); }
  Result<bool> exists(const std::string&) override { return true; }
  Result<std::vector<std::string>> list(const std::string&) override { return no(); }
  Status make_directory(const std::string&) override { return no(); }
  Status sync_directory(const std::string&) override { return no(); }

 private:
  static Status no() { return unimplemented("a file for reading"); }

  class Content final : public File {
   public:
    explicit Content(std::span<const std::byte> bytes) : bytes_(bytes) {}
    Result<std::size_t> pread(std::span<std::byte> bytes, std::uint64_t offset) override {
      if (offset >= bytes_.size()) return std::size_t{0};
      const std::size_t count = std::min(bytes.size(), bytes_.size() - offset);
      std::memcpy(bytes.data(), bytes_.data() + offset, count);
      return count;
    }
    Status pwrite(std::span<const std::byte>, std::uint64_t) override { return no(); }
    Status preallocate(std::uint64_t) override { return no(); }
    Status truncate(std::uint64_t) override { return no(); }
    Status sync() override { return no(); }
    Result<std::uint64_t> size() override { return bytes_.size(); }
    Result<std::unique_ptr<Mapping>> map(std::uint64_t) override { return no(); }
    Status lock() override { return no(); }

   private:
    std::span<const std::byte> bytes_;
  };
  std::span<const std::byte> bytes_;
};

}  // namespace nudge::test
