// SQLite on a LossyDisk: a VFS whose files live and die there. While one of these exists, it is
// what every new connection of the process uses.
#pragma once

#include <sqlite3.h>

#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "test/support/lossy_disk.h"

namespace nudge::test {

class LossySqlite {
 public:
  explicit LossySqlite(LossyDisk& disk) : disk_(disk) {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;  // time, randomness and sleep are the real ones
    vfs_.zName = "nudge-lossy";
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.szOsFile = sizeof(Open);
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync_folder) {
      LossyDisk& disk = self(vfs).disk_;
      if (disk.off()) return SQLITE_IOERR_DELETE;
      if (disk.find(name) == nullptr) return SQLITE_IOERR_DELETE_NOENT;
      const bool done =
          disk.remove(name) && (sync_folder == 0 || disk.sync_folder(LossyDisk::parent(name)));
      return done ? SQLITE_OK : SQLITE_IOERR_DELETE;
    };
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* name, int, int* there) {
      const LossyDisk& disk = self(vfs).disk_;
      if (disk.off()) return SQLITE_IOERR_ACCESS;
      *there = disk.find(name) != nullptr ? 1 : 0;
      return SQLITE_OK;
    };
    vfs_.xFullPathname = [](sqlite3_vfs*, const char* name, int size, char* out) {
      sqlite3_snprintf(size, out, "%s", name);
      return SQLITE_OK;
    };
    if (sqlite3_vfs_register(&vfs_, /*makeDflt=*/1) != SQLITE_OK) {
      throw std::runtime_error("SQLite takes no VFS");
    }
  }
  ~LossySqlite() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(base_, /*makeDflt=*/1);
  }
  LossySqlite(const LossySqlite&) = delete;
  LossySqlite& operator=(const LossySqlite&) = delete;

 private:
  struct Open {
    sqlite3_file base;
    LossyDisk* disk;
    LossyDisk::InodePtr* inode;
    std::string* path;
    bool sync_name;  // its name is new: the first sync makes it durable too, as SQLite's own does
  };
  static LossySqlite& self(sqlite3_vfs* vfs) { return *static_cast<LossySqlite*>(vfs->pAppData); }
  static Open& of(sqlite3_file* file) { return *reinterpret_cast<Open*>(file); }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
    LossyDisk& disk = self(vfs).disk_;
    Open& mine = of(file);
    std::memset(static_cast<void*>(&mine), 0, sizeof mine);
    if (disk.off()) return SQLITE_CANTOPEN;
    const std::string path = name != nullptr ? name : "/unnamed";
    LossyDisk::InodePtr inode = name != nullptr ? disk.find(path) : nullptr;
    if (inode == nullptr) {
      if ((flags & SQLITE_OPEN_CREATE) == 0 || !disk.has_folder(LossyDisk::parent(path))) {
        return SQLITE_CANTOPEN;
      }
      inode = disk.create(path);
      if (inode == nullptr) return SQLITE_CANTOPEN;
      mine.sync_name =
          (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    }
    mine.disk = &disk;
    mine.inode = new LossyDisk::InodePtr(inode);
    mine.path = new std::string(path);
    mine.base.pMethods = methods();
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
  }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods table = [] {
      sqlite3_io_methods m{};
      m.iVersion = 1;  // no shared memory, no memory maps: the log needs neither
      m.xClose = [](sqlite3_file* f) {
        delete of(f).inode;
        delete of(f).path;
        return SQLITE_OK;
      };
      m.xRead = [](sqlite3_file* f, void* to, int count, sqlite3_int64 at) {
        if (of(f).disk->off()) return SQLITE_IOERR_READ;
        const LossyDisk::Bytes& bytes = (*of(f).inode)->now;
        const auto offset = static_cast<std::size_t>(at);
        const auto wanted = static_cast<std::size_t>(count);
        const std::size_t there =
            offset < bytes.size() ? std::min(wanted, bytes.size() - offset) : 0;
        auto* out = static_cast<std::byte*>(to);
        if (there > 0) std::copy_n(bytes.data() + offset, there, out);
        std::fill(out + there, out + wanted, std::byte{0});
        return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
      };
      m.xWrite = [](sqlite3_file* f, const void* from, int count, sqlite3_int64 at) {
        const std::span bytes(static_cast<const std::byte*>(from), static_cast<std::size_t>(count));
        const bool done = of(f).disk->write(**of(f).inode, bytes, static_cast<std::uint64_t>(at));
        return done ? SQLITE_OK : SQLITE_IOERR_WRITE;
      };
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
        const bool done = of(f).disk->resize(**of(f).inode, static_cast<std::uint64_t>(size));
        return done ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
      };
      m.xSync = [](sqlite3_file* f, int) {
        Open& mine = of(f);
        if (!mine.disk->sync(**mine.inode, *mine.path)) return SQLITE_IOERR_FSYNC;
        if (mine.sync_name && !mine.disk->sync_folder(LossyDisk::parent(*mine.path))) {
          return SQLITE_IOERR_DIR_FSYNC;
        }
        mine.sync_name = false;
        return SQLITE_OK;
      };
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        *size = static_cast<sqlite3_int64>((*of(f).inode)->now.size());
        return of(f).disk->off() ? SQLITE_IOERR_FSTAT : SQLITE_OK;
      };
      m.xLock = [](sqlite3_file*, int) { return SQLITE_OK; };
      m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
      m.xCheckReservedLock = [](sqlite3_file*, int* out) {
        *out = 0;
        return SQLITE_OK;
      };
      m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
      m.xSectorSize = [](sqlite3_file*) { return 4096; };
      // As the real one says of every disk: a write touches no byte beside it, even when torn.
      m.xDeviceCharacteristics = [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; };
      return m;
    }();
    return &table;
  }

  LossyDisk& disk_;
  sqlite3_vfs* base_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace nudge::test
