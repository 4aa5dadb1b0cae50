// The file operations that the weights store needs, on one folder: a seam, so that tests can break
// every single one of them. Names are plain file names, never paths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// Used by one thread at a time. kUnavailable: the system refused (errno's text is in the message)
// and may not next time; kResourceExhausted: the disk is full.
class Folder {
 public:
  // Whether others may have access to a file.
  enum class Privacy { kShared, kPrivate };

  virtual ~Folder() = default;

  // The bytes of a plain file, read once. kNotFound; kDataLoss when it is a symbolic link, a FIFO,
  // a device or a folder, has more than `max_bytes`, or changes while it is read; kPermissionDenied
  // when it is to be private and is not the user's own or others have access to it.
  virtual Result<std::vector<std::byte>> read(const std::string& name, std::uint64_t max_bytes,
                                              Privacy privacy = Privacy::kShared) = 0;

  // Creates a file that does not exist, writes it and waits until its bytes are on disk (fsync). A
  // failure may leave a part of it. kAlreadyExists, also when the name is a dangling link. Private
  // files get mode 0600, others 0640.
  virtual Status create(const std::string& name, std::span<const std::byte> bytes,
                        Privacy privacy = Privacy::kShared) = 0;

  // Replaces `to` atomically. Durable after sync().
  virtual Status rename(const std::string& from, const std::string& to) = 0;

  // kNotFound when there is none.
  virtual Status remove(const std::string& name) = 0;

  // Waits until creations, renames and removals are on disk (fsync of the folder).
  virtual Status sync() = 0;

  // Names of everything in the folder but "." and "..", sorted.
  virtual Result<std::vector<std::string>> list() = 0;
};

// Puts `bytes` in the place of a file whole or not at all, by way of `name`.tmp; durable when this
// returns. An interruption leaves the old file, and perhaps the other name beside it. Errors of
// Folder.
inline constexpr std::string_view kTemporarySuffix = ".tmp";
Status replace_file(Folder& folder, const std::string& name, std::span<const std::byte> bytes,
                    Folder::Privacy privacy = Folder::Privacy::kShared);

// The folder at `path`, created with mode 0700 when it does not exist (its parent must). Held open
// by descriptor: renaming it or a link on the way does not lead elsewhere afterwards. kDataLoss
// when `path` is a symbolic link or no folder.
Result<std::unique_ptr<Folder>> open_folder(const std::string& path);

}  // namespace nudge
