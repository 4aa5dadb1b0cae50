// Makes SQLite's own file calls fail on command: a VFS in front of the real one. Install it once
// per process, before any database is opened.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace nudge::test {

struct SqliteFaults {
  std::uint64_t at = 0;     // the write, sync or truncation that fails, from 1; 0: none
  bool for_good = false;    // every one from there on
  bool no_space = false;    // SQLITE_FULL instead of an I/O error
  std::uint64_t calls = 0;  // so far

  bool next() {
    ++calls;
    return at != 0 && (for_good ? calls >= at : calls == at);
  }
};

inline SqliteFaults& sqlite_faults() {
  static SqliteFaults faults;
  return faults;
}

namespace faulty_sqlite {

// SQLite gives us memory for this struct followed by the real file.
struct ShimFile {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
inline sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<ShimFile*>(file)->real(); }
inline sqlite3_vfs*& real_vfs() {
  static sqlite3_vfs* vfs = nullptr;
  return vfs;
}
inline int fault(int code) { return sqlite_faults().no_space ? SQLITE_FULL : code; }

inline const sqlite3_io_methods* methods() {
  static const sqlite3_io_methods shim = [] {
    sqlite3_io_methods m{};
    m.iVersion = 1;  // no shared memory, no memory maps: the log needs neither
    m.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
    m.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      return real(f)->pMethods->xRead(real(f), to, n, at);
    };
    m.xWrite = [](sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
      if (sqlite_faults().next()) {
        (void)real(f)->pMethods->xWrite(real(f), from, n / 2, at);  // torn
        return fault(SQLITE_IOERR_WRITE);
      }
      return real(f)->pMethods->xWrite(real(f), from, n, at);
    };
    m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      if (sqlite_faults().next()) return fault(SQLITE_IOERR_TRUNCATE);
      return real(f)->pMethods->xTruncate(real(f), size);
    };
    m.xSync = [](sqlite3_file* f, int flags) {
      if (sqlite_faults().next()) return fault(SQLITE_IOERR_FSYNC);
      return real(f)->pMethods->xSync(real(f), flags);
    };
    m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return real(f)->pMethods->xFileSize(real(f), size);
    };
    m.xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); };
    m.xUnlock = [](sqlite3_file* f, int level) {
      return real(f)->pMethods->xUnlock(real(f), level);
    };
    m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
      return real(f)->pMethods->xCheckReservedLock(real(f), out);
    };
    m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
      return real(f)->pMethods->xFileControl(real(f), op, arg);
    };
    m.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
    m.xDeviceCharacteristics = [](sqlite3_file* f) {
      return real(f)->pMethods->xDeviceCharacteristics(real(f));
    };
    return m;
  }();
  return &shim;
}

}  // namespace faulty_sqlite

inline sqlite3_vfs& faulty_vfs() {
  static sqlite3_vfs shim;
  return shim;
}

inline void remove_faulty_sqlite() { sqlite3_vfs_unregister(&faulty_vfs()); }

inline void install_faulty_sqlite() {
  sqlite3_vfs& shim = faulty_vfs();
  sqlite3_vfs* base = sqlite3_vfs_find(nullptr);
  faulty_sqlite::real_vfs() = base;
  shim = *base;
  shim.zName = "nudge-faulty";
  shim.pNext = nullptr;
  shim.szOsFile = static_cast<int>(sizeof(faulty_sqlite::ShimFile)) + base->szOsFile;
  shim.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    auto* mine = reinterpret_cast<faulty_sqlite::ShimFile*>(file);
    std::memset(mine, 0, sizeof *mine);
    sqlite3_vfs* real = faulty_sqlite::real_vfs();
    const int code = real->xOpen(real, name, mine->real(), flags, out);
    if (code == SQLITE_OK) mine->base.pMethods = faulty_sqlite::methods();
    return code;
  };
  sqlite3_vfs_register(&shim, /*makeDflt=*/1);
}

}  // namespace nudge::test
