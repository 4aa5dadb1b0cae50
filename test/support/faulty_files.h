// A file system that fails on command: the far side of replay/file.h's seam, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replay/file.h"

namespace nudge::test {

struct FaultPlan {
  std::uint64_t at = 0;     // the call that fails, counted from 1; 0: none
  bool for_good = false;    // every call from there on
  bool no_space = false;    // kResourceExhausted instead of kUnavailable
  std::uint64_t until = 0;  // with for_good: the first call that works again; 0: none
};

// Passes every call on to `base`, counting them. A write that fails has written half of its bytes,
// as a device that fills up or dies may.
class FaultyFiles final : public FileSystem {
 public:
  explicit FaultyFiles(FileSystem& base) : base_(base) {}

  void plan(FaultPlan plan) {
    plan_ = plan;
    calls_ = 0;
  }
  std::uint64_t calls() const { return calls_; }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    NUDGE_TRY(next("open"));
    auto file = base_.open(path, mode);
    if (!file.ok()) return file.status();
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(*this, *std::move(file)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    NUDGE_TRY(next("rename"));
    return base_.rename(from, to);
  }
  Status remove(const std::string& path) override {
    NUDGE_TRY(next("remove"));
    return base_.remove(path);
  }
  Status remove_folder(const std::string& folder) override {
    NUDGE_TRY(next("remove_folder"));
    return base_.remove_folder(folder);
  }
  Result<bool> exists(const std::string& path) override {
    NUDGE_TRY(next("exists"));
    return base_.exists(path);
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    NUDGE_TRY(next("list"));
    return base_.list(folder);
  }
  Status make_directory(const std::string& folder) override {
    NUDGE_TRY(next("make_directory"));
    return base_.make_directory(folder);
  }
  Status sync_directory(const std::string& folder) override {
    NUDGE_TRY(next("sync_directory"));
    return base_.sync_directory(folder);
  }

 private:
  class FaultyFile final : public File {
   public:
    FaultyFile(FaultyFiles& files, std::unique_ptr<File> base)
        : files_(files), base_(std::move(base)) {}

    Result<std::size_t> pread(std::span<std::byte> bytes, std::uint64_t offset) override {
      NUDGE_TRY(files_.next("pread"));
      return base_->pread(bytes, offset);
    }
    Status pwrite(std::span<const std::byte> bytes, std::uint64_t offset) override {
      if (Status fault = files_.next("pwrite"); !fault.ok()) {
        (void)base_->pwrite(bytes.first(bytes.size() / 2), offset);
        return fault;
      }
      return base_->pwrite(bytes, offset);
    }
    Status preallocate(std::uint64_t size) override {
      NUDGE_TRY(files_.next("preallocate"));
      return base_->preallocate(size);
    }
    Status truncate(std::uint64_t size) override {
      NUDGE_TRY(files_.next("truncate"));
      return base_->truncate(size);
    }
    Status sync() override {
      NUDGE_TRY(files_.next("sync"));
      return base_->sync();
    }
    Result<std::uint64_t> size() override {
      NUDGE_TRY(files_.next("size"));
      return base_->size();
    }
    Result<std::unique_ptr<Mapping>> map(std::uint64_t length) override {
      NUDGE_TRY(files_.next("map"));
      return base_->map(length);
    }
    Status lock() override {
      NUDGE_TRY(files_.next("lock"));
      return base_->lock();
    }

   private:
    FaultyFiles& files_;
    std::unique_ptr<File> base_;
  };

  Status next(const char* operation) {
    ++calls_;
    const bool over = plan_.until != 0 && calls_ >= plan_.until;
    const bool fails =
        plan_.at != 0 && !over && (plan_.for_good ? calls_ >= plan_.at : calls_ == plan_.at);
    if (!fails) return {};
    const std::string message =
        std::string("injected fault in ") + operation + ", call " + std::to_string(calls_);
    return plan_.no_space ? resource_exhausted(message) : unavailable(message);
  }

  FileSystem& base_;
  FaultPlan plan_;
  std::uint64_t calls_ = 0;
};

}  // namespace nudge::test
