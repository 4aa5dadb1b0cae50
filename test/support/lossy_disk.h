// A disk in memory that forgets, when the power fails, what was not synced: the far side of
// replay/file.h and policy/folder.h, and of SQLite (lossy_sqlite.h), for tests.
//
// What survives of unsynced work is drawn from a seed, as unkindly as POSIX allows:
//   - each 512-byte sector of a file holds what was synced, or what any later write left in it,
//     independently of its neighbours: writes are dropped, reordered and torn;
//   - a file has its synced size, or any later one; what was never written reads as zeros;
//   - each creation, renaming and removal survives or not by itself, but a renaming is never half
//     done, of a folder neither. A file whose name did not survive is gone, however well its bytes
//     were synced; and a name that was not synced in its folder before that was renamed stays so.
// That is more than ext4, xfs or btrfs lose in practice (Pillai et al., "All File Systems Are Not
// Created Equal", OSDI 2014, has what each of them does).
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "policy/folder.h"
#include "replay/file.h"

namespace nudge::test {

class LossyDisk {
 public:
  using Bytes = std::vector<std::byte>;

  // Contents of a file, apart from its name: an open file goes on when the name goes.
  struct Inode {
    Bytes now;
    Bytes synced;
    struct Change {
      bool resize = false;
      std::uint64_t at = 0;  // offset, or the new size
      Bytes bytes;
    };
    std::vector<Change> unsynced;  // oldest first
    bool locked = false;
  };
  using InodePtr = std::shared_ptr<Inode>;

  LossyDisk() { folders_.insert("/"); }

  // ---- the power ----

  // It fails at the n-th change from now on (1: the next one): that one may be half done, every
  // later call on this disk fails. 0: never.
  void fail_at(std::uint64_t change) {
    changes_ = 0;
    fail_at_ = change;
  }
  std::uint64_t changes() const { return changes_; }  // since fail_at()
  bool off() const { return off_; }

  // From here on every call fails, as after a failure of the power: nothing is half done.
  void cut() { off_ = true; }
  // The program was killed and the machine stayed up: what was written is there, synced or not.
  void restart_program() {
    for (const auto& [path, inode] : names_) inode->locked = false;
    off_ = false;
    fail_at(0);
  }

  // Called inside each sync, before it does anything: a device that takes its time.
  void on_sync(std::function<void()> wait) { on_sync_ = std::move(wait); }

  // The machine starts again: nobody has a file open, and what was not synced is as `seed` says.
  void restart(std::uint64_t seed) {
    Random random(seed);
    Names names = synced_names_;
    std::set<std::string> folders = synced_folders_;
    for (const Naming& naming : unsynced_names_) {
      if (random.below(2) == 0) naming.apply(names, folders);
    }
    // What lies in a folder that is gone is gone with it.
    const auto lost = [&](const std::string& path) {
      for (std::string at = parent(path); at != "/"; at = parent(at)) {
        if (!folders.contains(at)) return true;
      }
      return false;
    };
    std::erase_if(names, [&](const auto& name) { return lost(name.first); });
    std::erase_if(folders,
                  [&](const std::string& folder) { return folder != "/" && lost(folder); });
    for (auto& [path, inode] : names) {
      auto copy = std::make_shared<Inode>();
      copy->now = copy->synced = survivor(*inode, random);
      inode = copy;
    }
    names_ = synced_names_ = std::move(names);
    folders_ = synced_folders_ = std::move(folders);
    unsynced_names_.clear();
    off_ = false;
    fail_at(0);
  }

  // Syncs of files whose name holds this do nothing, as with a disk (or a setting) that lies: the
  // control runs, which must lose something.
  void lie_about(std::string part_of_name) { lie_ = std::move(part_of_name); }
  // The same for the names in this folder.
  void lie_about_names_in(std::string folder) { folder_lie_ = std::move(folder); }

  // ---- what all doors to it share ----

  // False: the power is off. `partial`: what may be half done when it fails just now.
  bool change(const std::function<void()>& partial = {}) {
    if (off_) return false;
    ++changes_;
    if (fail_at_ == 0 || changes_ < fail_at_) return true;
    if (partial) partial();
    off_ = true;
    return false;
  }

  InodePtr find(const std::string& path) const {
    const auto found = names_.find(path);
    return found == names_.end() ? nullptr : found->second;
  }
  bool has_folder(const std::string& path) const { return folders_.contains(path); }
  static std::string parent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
  }

  // Null: the power is off.
  InodePtr create(const std::string& path) {
    auto inode = std::make_shared<Inode>();
    const Naming naming{parent(path), {}, path, inode};
    return rename_as(naming) ? inode : nullptr;
  }
  bool rename(const std::string& from, const std::string& to) {
    return rename_as({parent(to), from, to, find(from)});
  }
  bool remove(const std::string& path) { return rename_as({parent(path), path, {}, nullptr}); }
  // `to`: not there, or an empty folder.
  bool rename_folder(const std::string& from, const std::string& to) {
    return rename_as({parent(to), from, to, nullptr, Kind::kFolder});
  }
  // Name by name, so that the power may fail between any two.
  bool remove_folder(const std::string& path) {
    for (const std::string& name : list(path)) {
      const std::string in = path + "/" + name;
      if (!(has_folder(in) ? remove_folder(in) : remove(in))) return false;
    }
    return rename_as({parent(path), path, {}, nullptr, Kind::kFolder});
  }

  bool make_folder(const std::string& path) {
    return rename_as({parent(path), {}, path, nullptr, Kind::kFolder});
  }
  bool sync_folder(const std::string& path) {
    if (!change()) return false;
    if (path == folder_lie_) return true;
    for (const Naming& naming : unsynced_names_) {
      if (naming.folder == path) naming.apply(synced_names_, synced_folders_);
    }
    std::erase_if(unsynced_names_, [&](const Naming& n) { return n.folder == path; });
    return true;
  }

  bool write(Inode& inode, std::span<const std::byte> bytes, std::uint64_t offset) {
    const auto note = [&] {
      inode.unsynced.push_back({false, offset, Bytes(bytes.begin(), bytes.end())});
      apply(inode.unsynced.back(), inode.now, {});
    };
    if (!change(note)) return false;
    note();
    return true;
  }
  bool resize(Inode& inode, std::uint64_t size) {
    const auto note = [&] {
      inode.unsynced.push_back({true, size, {}});
      inode.now.resize(size);
    };
    if (!change(note)) return false;
    note();
    return true;
  }
  bool sync(Inode& inode, const std::string& path) {
    if (on_sync_) on_sync_();
    if (!change()) return false;
    if (!lie_.empty() && path.find(lie_) != std::string::npos) return true;
    inode.synced = inode.now;
    inode.unsynced.clear();
    return true;
  }

  std::vector<std::string> list(const std::string& folder) const {
    std::vector<std::string> names;
    const auto add = [&](const std::string& path) {
      if (path != "/" && parent(path) == folder) names.push_back(path.substr(path.rfind('/') + 1));
    };
    for (const auto& [path, inode] : names_) add(path);
    for (const std::string& path : folders_) add(path);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  using Names = std::map<std::string, InodePtr>;
  enum class Kind { kFile, kFolder };  // a folder with all that is in it
  struct Naming {                      // all or nothing
    std::string folder;
    std::string from;  // a name that goes; empty: none
    std::string to;    // a name that comes; empty: none
    InodePtr inode;
    Kind kind = Kind::kFile;
    void apply(Names& names, std::set<std::string>& folders) const {
      if (kind == Kind::kFolder) {
        from.empty() ? void(folders.insert(to)) : move(names, folders);
        return;
      }
      if (!from.empty()) names.erase(from);
      if (!to.empty()) names[to] = inode;
    }
    void move(Names& names, std::set<std::string>& folders) const {
      const auto moved = [this](const std::string& path) {
        return to.empty() ? std::string() : to + path.substr(from.size());
      };
      const auto in = [this](const std::string& path) {
        return path == from || path.starts_with(from + "/");
      };
      Names after;
      for (const auto& [path, file] : names) {
        const std::string there = in(path) ? moved(path) : path;
        if (!there.empty()) after[there] = file;
      }
      names = std::move(after);
      std::set<std::string> folders_after;
      for (const std::string& path : folders) {
        const std::string there = in(path) ? moved(path) : path;
        if (!there.empty()) folders_after.insert(there);
      }
      folders = std::move(folders_after);
    }
  };
  static constexpr std::uint64_t kSector = 512;

  bool rename_as(const Naming& naming) {
    const auto note = [&] {
      unsynced_names_.push_back(naming);
      naming.apply(names_, folders_);
    };
    if (!change(note)) return false;
    note();
    return true;
  }

  // Writes into `to` the sectors of `change` that `survives` admits; all of them without one.
  static void apply(const Inode::Change& change, Bytes& to,
                    const std::function<bool(std::uint64_t)>& survives) {
    const std::uint64_t end = change.at + change.bytes.size();
    if (to.size() < end) to.resize(end);
    for (std::uint64_t at = change.at; at < end;) {
      const std::uint64_t sector = at / kSector;
      const std::uint64_t until = std::min(end, (sector + 1) * kSector);
      if (!survives || survives(sector)) {
        std::copy_n(change.bytes.begin() + static_cast<std::ptrdiff_t>(at - change.at), until - at,
                    to.begin() + static_cast<std::ptrdiff_t>(at));
      }
      at = until;
    }
  }

  static Bytes survivor(const Inode& inode, Random& random) {
    Bytes bytes = inode.synced;
    // Up to which change a sector, and the size, reached the disk.
    std::map<std::uint64_t, std::uint64_t> reached;
    const std::uint64_t count = inode.unsynced.size();
    std::uint64_t number = 0;
    std::uint64_t size = bytes.size();
    const std::uint64_t size_reached = random.below(count + 1);
    for (const Inode::Change& change : inode.unsynced) {
      ++number;
      const std::uint64_t end = change.resize ? change.at : change.at + change.bytes.size();
      if (number <= size_reached) size = change.resize ? end : std::max(size, end);
      if (change.resize) {
        // Bytes behind a cut that was made are gone for good, whatever comes behind it later.
        if (number <= size_reached && bytes.size() > change.at) bytes.resize(change.at);
        continue;
      }
      apply(change, bytes, [&](std::uint64_t sector) {
        const auto [at, fresh] = reached.try_emplace(sector, 0);
        if (fresh) at->second = random.below(count + 1);
        return number <= at->second;
      });
    }
    bytes.resize(size);
    return bytes;
  }

  Names names_, synced_names_;
  std::vector<Naming> unsynced_names_;  // oldest first
  std::set<std::string> folders_, synced_folders_{"/"};
  std::uint64_t changes_ = 0, fail_at_ = 0;
  bool off_ = false;
  std::string lie_, folder_lie_;
  std::function<void()> on_sync_;
};

// ---- replay/file.h -----------------------------------------------------------------------------

class LossyFiles final : public FileSystem {
 public:
  explicit LossyFiles(LossyDisk& disk) : disk_(disk) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    if (disk_.off()) return dead();
    LossyDisk::InodePtr inode = disk_.find(path);
    if (inode != nullptr && mode == OpenMode::kCreateNew) return already_exists(path);
    if (inode == nullptr) {
      if (mode == OpenMode::kRead || mode == OpenMode::kWrite) return not_found(path);
      if (!disk_.has_folder(LossyDisk::parent(path))) return not_found(LossyDisk::parent(path));
      inode = disk_.create(path);
      if (inode == nullptr) return dead();
    }
    return std::unique_ptr<File>(std::make_unique<LossyFile>(disk_, std::move(inode), path));
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (disk_.off()) return dead();
    if (disk_.has_folder(from)) {
      if (disk_.find(to) != nullptr || !disk_.list(to).empty())
        return unavailable(to + ": not empty");
      return disk_.rename_folder(from, to) ? Status() : dead();
    }
    if (disk_.find(from) == nullptr) return not_found(from);
    return disk_.rename(from, to) ? Status() : dead();
  }
  Status remove(const std::string& path) override {
    if (!disk_.off() && disk_.find(path) == nullptr) return not_found(path);
    return disk_.remove(path) ? Status() : dead();
  }
  Status remove_folder(const std::string& folder) override {
    if (disk_.off()) return dead();
    if (!disk_.has_folder(folder)) return {};
    return disk_.remove_folder(folder) ? Status() : dead();
  }
  Result<bool> exists(const std::string& path) override {
    if (disk_.off()) return dead();
    return disk_.find(path) != nullptr || disk_.has_folder(path);
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    if (disk_.off()) return dead();
    if (!disk_.has_folder(folder)) return not_found(folder);
    return disk_.list(folder);
  }
  Status make_directory(const std::string& folder) override {
    if (disk_.has_folder(folder) && !disk_.off()) return {};
    return disk_.make_folder(folder) ? Status() : dead();
  }
  Status sync_directory(const std::string& folder) override {
    return disk_.sync_folder(folder) ? Status() : dead();
  }

 private:
  static Status dead() { return unavailable("the power is off"); }

  class LossyMapping final : public Mapping {
   public:
    explicit LossyMapping(LossyDisk::Bytes bytes) : bytes_(std::move(bytes)) {}
    std::span<const std::byte> bytes() const override { return bytes_; }

   private:
    LossyDisk::Bytes bytes_;
  };

  class LossyFile final : public File {
   public:
    LossyFile(LossyDisk& disk, LossyDisk::InodePtr inode, std::string path)
        : disk_(disk), inode_(std::move(inode)), path_(std::move(path)) {}
    ~LossyFile() override {
      if (locks_) inode_->locked = false;
    }
    LossyFile(const LossyFile&) = delete;
    LossyFile& operator=(const LossyFile&) = delete;

    Result<std::size_t> pread(std::span<std::byte> bytes, std::uint64_t offset) override {
      if (disk_.off()) return dead();
      const std::uint64_t size = inode_->now.size();
      if (offset >= size) return std::size_t{0};
      const std::size_t count = std::min<std::uint64_t>(bytes.size(), size - offset);
      std::copy_n(inode_->now.begin() + static_cast<std::ptrdiff_t>(offset), count, bytes.begin());
      return count;
    }
    Status pwrite(std::span<const std::byte> bytes, std::uint64_t offset) override {
      return disk_.write(*inode_, bytes, offset) ? Status() : dead();
    }
    Status preallocate(std::uint64_t size) override {
      if (size <= inode_->now.size()) return {};
      return disk_.resize(*inode_, size) ? Status() : dead();
    }
    Status truncate(std::uint64_t size) override {
      return disk_.resize(*inode_, size) ? Status() : dead();
    }
    Status sync() override { return disk_.sync(*inode_, path_) ? Status() : dead(); }
    Result<std::uint64_t> size() override {
      if (disk_.off()) return dead();
      return std::uint64_t{inode_->now.size()};
    }
    Result<std::unique_ptr<Mapping>> map(std::uint64_t length) override {
      if (disk_.off()) return dead();
      return std::unique_ptr<Mapping>(std::make_unique<LossyMapping>(LossyDisk::Bytes(
          inode_->now.begin(), inode_->now.begin() + static_cast<std::ptrdiff_t>(length))));
    }
    Status lock() override {
      if (disk_.off()) return dead();
      if (inode_->locked && !locks_) return unavailable(path_ + ": locked");
      inode_->locked = locks_ = true;
      return {};
    }

   private:
    LossyDisk& disk_;
    LossyDisk::InodePtr inode_;
    std::string path_;
    bool locks_ = false;
  };

  LossyDisk& disk_;
};

// ---- policy/folder.h ---------------------------------------------------------------------------

class LossyFolder final : public Folder {
 public:
  // `path` is made, and its name synced: that of the folder is its maker's to sync.
  LossyFolder(LossyDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {
    if (!disk_.has_folder(path_)) {
      (void)disk_.make_folder(path_);
      (void)disk_.sync_folder(LossyDisk::parent(path_));
    }
  }

  Result<std::vector<std::byte>> read(const std::string& name, std::uint64_t max_bytes,
                                      Privacy) override {
    if (disk_.off()) return dead();
    const LossyDisk::InodePtr inode = disk_.find(place(name));
    if (inode == nullptr) return not_found(place(name));
    if (inode->now.size() > max_bytes) return data_loss(place(name) + ": too large");
    return inode->now;
  }
  Status create(const std::string& name, std::span<const std::byte> bytes, Privacy) override {
    if (disk_.off()) return dead();
    if (disk_.find(place(name)) != nullptr) return already_exists(place(name));
    const LossyDisk::InodePtr inode = disk_.create(place(name));
    if (inode == nullptr || !disk_.write(*inode, bytes, 0)) return dead();
    return disk_.sync(*inode, place(name)) ? Status() : dead();
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (!disk_.off() && disk_.find(place(from)) == nullptr) return not_found(place(from));
    return disk_.rename(place(from), place(to)) ? Status() : dead();
  }
  Status remove(const std::string& name) override {
    if (!disk_.off() && disk_.find(place(name)) == nullptr) return not_found(place(name));
    return disk_.remove(place(name)) ? Status() : dead();
  }
  Status sync() override { return disk_.sync_folder(path_) ? Status() : dead(); }
  Result<std::vector<std::string>> list() override {
    if (disk_.off()) return dead();
    return disk_.list(path_);
  }

 private:
  static Status dead() { return unavailable("the power is off"); }
  std::string place(const std::string& name) const { return path_ + "/" + name; }

  LossyDisk& disk_;
  std::string path_;
};

}  // namespace nudge::test
