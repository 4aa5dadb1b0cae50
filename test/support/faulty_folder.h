// A real folder whose operations fail on demand: at the n-th one, once or from then on, whole or
// torn.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/folder.h"

namespace nudge::test {

struct FolderFault {
  int at = -1;         // operation that fails, counted from 0; -1: none
  bool sticky = true;  // and all after it, as when the process or the disk died there
  bool torn = false;   // a creation leaves half of its bytes; otherwise nothing
  Status status = unavailable("input/output error");
  int operations = 0;  // counted by the folder
};

class FaultyFolder final : public Folder {
 public:
  // `fault` must outlive the folder.
  FaultyFolder(std::unique_ptr<Folder> real, FolderFault& fault)
      : real_(std::move(real)), fault_(fault) {}

  Result<std::vector<std::byte>> read(const std::string& name, std::uint64_t max_bytes,
                                      Privacy privacy) override {
    if (fails()) return fault_.status;
    return real_->read(name, max_bytes, privacy);
  }
  Status create(const std::string& name, std::span<const std::byte> bytes,
                Privacy privacy) override {
    const bool dead = fault_.sticky && fault_.at >= 0 && fault_.operations > fault_.at;
    if (fails()) {
      if (fault_.torn && !dead) {
        NUDGE_TRY(real_->create(name, bytes.first(bytes.size() / 2), privacy));
      }
      return fault_.status;
    }
    return real_->create(name, bytes, privacy);
  }
  Status rename(const std::string& from, const std::string& to) override {
    return fails() ? fault_.status : real_->rename(from, to);
  }
  Status remove(const std::string& name) override {
    return fails() ? fault_.status : real_->remove(name);
  }
  Status sync() override { return fails() ? fault_.status : real_->sync(); }
  Result<std::vector<std::string>> list() override {
    if (fails()) return fault_.status;
    return real_->list();
  }

 private:
  bool fails() {
    const int operation = fault_.operations++;
    return fault_.at >= 0 && (operation == fault_.at || (fault_.sticky && operation > fault_.at));
  }

  std::unique_ptr<Folder> real_;
  FolderFault& fault_;
};

}  // namespace nudge::test
