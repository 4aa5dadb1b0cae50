#include "replay/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace nudge {
namespace {

Status error(const std::string& path, const char* operation, int number) {
  std::string message =
      path + ": cannot " + operation + ": " + std::generic_category().message(number);
  switch (number) {
    case ENOENT:
    case ENOTDIR: return not_found(std::move(message));
    case EEXIST: return already_exists(std::move(message));
    case EACCES:
    case EPERM:
    case EROFS: return permission_denied(std::move(message));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return resource_exhausted(std::move(message));
    default: return unavailable(std::move(message));
  }
}

class PosixMapping final : public Mapping {
 public:
  PosixMapping(void* start, std::size_t length) : start_(start), length_(length) {}
  ~PosixMapping() override { ::munmap(start_, length_); }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(start_), length_};
  }

 private:
  void* start_;
  std::size_t length_;
};

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<std::size_t> pread(std::span<std::byte> bytes, std::uint64_t offset) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::pread(descriptor_, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(path_, "read", errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  Status pwrite(std::span<const std::byte> bytes, std::uint64_t offset) override {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(path_, "write", errno);
      if (n == 0) return error(path_, "write", EIO);
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  Status preallocate(std::uint64_t size) override {
    int number = 0;
    do {
      number = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size));
    } while (number == EINTR);
    if (number != 0) return error(path_, "reserve space", number);
    return {};
  }

  Status truncate(std::uint64_t size) override {
    while (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return error(path_, "change the size", errno);
    }
    return {};
  }

  Status sync() override {
    while (::fdatasync(descriptor_) != 0) {
      if (errno != EINTR) return error(path_, "sync", errno);
    }
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return error(path_, "read the size", errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<std::unique_ptr<Mapping>> map(std::uint64_t length) override {
    void* start = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (start == MAP_FAILED) return error(path_, "map", errno);
    return std::unique_ptr<Mapping>(std::make_unique<PosixMapping>(start, length));
  }

  Status lock() override {
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return unavailable(path_ + ": locked by another process");
      return error(path_, "lock", errno);
    }
    return {};
  }

 private:
  int descriptor_;
  std::string path_;
};

class PosixFiles final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::kRead: flags |= O_RDONLY; break;
      case OpenMode::kWrite: flags |= O_RDWR; break;
      case OpenMode::kCreate: flags |= O_RDWR | O_CREAT; break;
      case OpenMode::kCreateNew: flags |= O_RDWR | O_CREAT | O_EXCL; break;
    }
    int descriptor = -1;
    do {
      descriptor = ::open(path.c_str(), flags, 0600);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) return error(path, "open", errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      return error(from, ("rename to " + to).c_str(), errno);
    }
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return error(path, "remove", errno);
    return {};
  }

  Status remove_folder(const std::string& folder) override {
    std::error_code code;
    std::filesystem::remove_all(folder, code);
    if (code) return error(folder, "remove the folder", code.value());
    return {};
  }

  Result<bool> exists(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return error(path, "look for it", errno);
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    DIR* directory = ::opendir(folder.c_str());
    if (directory == nullptr) return error(folder, "list", errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int number = errno;
    ::closedir(directory);
    if (number != 0) return error(folder, "list", number);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status make_directory(const std::string& folder) override {
    if (::mkdir(folder.c_str(), 0700) == 0) return {};
    const int number = errno;
    struct stat status {};
    if (number == EEXIST && ::stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      return {};
    }
    return error(folder, "make the folder", number);
  }

  Status sync_directory(const std::string& folder) override {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return error(folder, "open the folder", errno);
    int number = 0;
    while (::fsync(descriptor) != 0) {
      if (errno == EINTR) continue;
      number = errno;
      break;
    }
    ::close(descriptor);
    if (number != 0) return error(folder, "sync the folder", number);
    return {};
  }
};

}  // namespace

Status sync_parent(FileSystem& files, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return files.sync_directory(".");
  return files.sync_directory(slash == 0 ? "/" : path.substr(0, slash));
}

FileSystem& posix_files() {
  static PosixFiles files;
  return files;
}

}  // namespace nudge
