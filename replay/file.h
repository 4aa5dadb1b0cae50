// The one seam through which the log touches files, so that faults and power loss can be injected
// at every call. SQLite has a seam of its own, its VFS (test/support/lossy_sqlite.h).
//
// Codes of every function here: kNotFound, kAlreadyExists, kPermissionDenied, kResourceExhausted
// (no space, no descriptors, quota), kUnavailable (I/O error, or a lock held elsewhere). A message
// names the path and the operation. Values of these classes belong to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// A read-only view of the first bytes of a file, shared with the page cache; unmapped when it dies.
// Touching a part that somebody cut off the file kills the process (SIGBUS): read only what the log
// says is committed.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual std::span<const std::byte> bytes() const = 0;  // page-aligned start
};

class File {
 public:
  virtual ~File() = default;  // closes; does not sync

  // Reads up to bytes.size() bytes at `offset`; fewer only at the end of the file.
  virtual Result<std::size_t> pread(std::span<std::byte> bytes, std::uint64_t offset) = 0;
  // Writes all of `bytes` at `offset`. After an error any part of it may have been written.
  virtual Status pwrite(std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  // Makes the file at least `size` bytes long with the space really reserved; new bytes are zero.
  virtual Status preallocate(std::uint64_t size) = 0;
  // Cuts the file to `size`, or extends it with zeros that take no space.
  virtual Status truncate(std::uint64_t size) = 0;
  // Returns once data and size are on the device (fdatasync). After an error the kernel may have
  // forgotten what it failed to write: write it again before the next sync.
  virtual Status sync() = 0;
  virtual Result<std::uint64_t> size() = 0;
  // Maps [0, length); length is at most the file's size and not 0.
  virtual Result<std::unique_ptr<Mapping>> map(std::uint64_t length) = 0;
  // Takes an exclusive advisory lock that lives as long as this File and dies with the process.
  // kUnavailable at once when somebody else holds it.
  virtual Status lock() = 0;
};

enum class OpenMode {
  kRead,       // must exist
  kWrite,      // read and write; must exist
  kCreate,     // read and write; made when missing
  kCreateNew,  // read and write; kAlreadyExists when it exists
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Status rename(const std::string& from,
                        const std::string& to) = 0;    // replaces `to`, if a file
  virtual Status remove(const std::string& path) = 0;  // a file
  // A folder with all that is in it; fine when it is not there.
  virtual Status remove_folder(const std::string& folder) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  // Names in a folder, without "." and "..", sorted.
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
  // Makes one folder, mode 0700; fine when it is already there.
  virtual Status make_directory(const std::string& folder) = 0;
  // Makes creations, renames and removals inside `folder` survive a power loss.
  virtual Status sync_directory(const std::string& folder) = 0;
};

// Makes the name of a file or folder survive a power loss: sync_directory() of what it lies in.
Status sync_parent(FileSystem& files, const std::string& path);

// The real one. Files are made with mode 0600 and closed on exec. Stateless: one instance serves
// the whole process, from any thread, and lives for ever.
FileSystem& posix_files();

}  // namespace nudge
