#include "policy/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace nudge {
namespace {

Status error_at(const std::string& what, int error) {
  const std::string message = what + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT: return not_found(message);
    case EEXIST: return already_exists(message);
    case ENOSPC:
    case EDQUOT: return resource_exhausted(message + "; free some space");
    case ELOOP: return data_loss(what + ": is a symbolic link; only plain files are read");
    case ENXIO: return data_loss(what + ": is not a plain file");
    case EACCES:
    case EPERM: return permission_denied(message);
    default: return unavailable(message);
  }
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class PosixFolder final : public Folder {
 public:
  PosixFolder(std::string path, int fd) : path_(std::move(path)), folder_(fd) {}

  Result<std::vector<std::byte>> read(const std::string& name, std::uint64_t max_bytes,
                                      Privacy privacy) override {
    NUDGE_TRY(check_name(name));
    // Without O_NONBLOCK, opening a FIFO would wait for its writer.
    const Descriptor file(
        ::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.get() < 0) return error_at(place(name), errno);
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return error_at(place(name), errno);
    if (!S_ISREG(info.st_mode)) return data_loss(place(name) + ": is not a plain file");
    if (privacy == Privacy::kPrivate &&
        (info.st_uid != ::geteuid() || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)) {
      return permission_denied(place(name) +
                               ": others have access to it; make it the service user's own and "
                               "chmod 600, and replace it if it may have been read");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size > max_bytes) {
      return data_loss(place(name) + ": has " + std::to_string(size) + " bytes; at most " +
                       std::to_string(max_bytes) + " are read");
    }
    // One byte more than expected, to see a file that grows.
    std::vector<std::byte> bytes(static_cast<std::size_t>(size) + 1);
    std::size_t filled = 0;
    while (filled < bytes.size()) {
      const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return error_at(place(name), errno);
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    if (filled != size) return data_loss(place(name) + ": changed while it was read");
    bytes.resize(filled);
    return bytes;
  }

  Status create(const std::string& name, std::span<const std::byte> bytes,
                Privacy privacy) override {
    NUDGE_TRY(check_name(name));
    const mode_t mode = privacy == Privacy::kPrivate ? 0600 : 0640;
    const Descriptor file(::openat(folder_.get(), name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (file.get() < 0) return error_at(place(name), errno);
    std::size_t written = 0;
    while (written < bytes.size()) {
      const ssize_t put = ::write(file.get(), bytes.data() + written, bytes.size() - written);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return error_at(place(name), errno);
      written += static_cast<std::size_t>(put);
    }
    // A failed fsync must not be tried again: the kernel may have dropped the pages, and the second
    // call would succeed (PostgreSQL learned this in 2018).
    if (::fsync(file.get()) != 0) return error_at(place(name), errno);
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    NUDGE_TRY(check_name(from));
    NUDGE_TRY(check_name(to));
    if (::renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()) != 0) {
      return error_at(place(from), errno);
    }
    return {};
  }

  Status remove(const std::string& name) override {
    NUDGE_TRY(check_name(name));
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0) return error_at(place(name), errno);
    return {};
  }

  Status sync() override {
    if (::fsync(folder_.get()) != 0) return error_at(path_, errno);
    return {};
  }

  Result<std::vector<std::string>> list() override {
    // A descriptor of its own: reading a folder moves the descriptor's position.
    Descriptor own(::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (own.get() < 0) return error_at(path_, errno);
    DIR* const stream = ::fdopendir(own.get());
    if (stream == nullptr) return error_at(path_, errno);
    own.release();
    std::vector<std::string> names;
    errno = 0;
    // One stream per call, so readdir() is safe here whatever other threads do.
    while (const dirent* entry = ::readdir(stream)) {  // NOLINT(concurrency-mt-unsafe)
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) return error_at(path_, error);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string place(const std::string& name) const { return path_ + "/" + name; }

  static Status check_name(const std::string& name) {
    if (name.empty() || name == "." || name == ".." || name.size() > 255 ||
        name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
      return invalid_argument("\"" + name + "\" is no plain file name");
    }
    return {};
  }

  std::string path_;
  Descriptor folder_;
};

}  // namespace

Status replace_file(Folder& folder, const std::string& name, std::span<const std::byte> bytes,
                    Folder::Privacy privacy) {
  const std::string temporary = name + std::string(kTemporarySuffix);
  if (const Status stale = folder.remove(temporary);
      !stale.ok() && stale.code() != Code::kNotFound) {
    return stale;
  }
  NUDGE_TRY(folder.create(temporary, bytes, privacy));
  NUDGE_TRY(folder.rename(temporary, name));
  return folder.sync();
}

Result<std::unique_ptr<Folder>> open_folder(const std::string& path) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return error_at(path, errno);
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.get() < 0) {
    // Linux answers ENOTDIR for a link as well when O_DIRECTORY is asked for.
    if (errno == ENOTDIR || errno == ELOOP) {
      return data_loss(path + ": is a symbolic link or no folder");
    }
    return error_at(path, errno);
  }
  if (made) {
    // A new folder's name is its parent's to keep.
    const Descriptor parent(::openat(fd.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.get() < 0 || ::fsync(parent.get()) != 0) return error_at(path, errno);
  }
  return std::unique_ptr<Folder>(std::make_unique<PosixFolder>(path, fd.release()));
}

}  // namespace nudge
