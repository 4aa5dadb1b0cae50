// The log's head, signed: kept somewhere else, it shows later that the log was not cut off, nor all
// of its links made anew. One line of canonical JSON; docs/reference/log-format.md draws it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/folder.h"
#include "policy/signing_key.h"
#include "replay/chain.h"

namespace nudge {

struct SignedHead {
  ChainHead head;
  WallTime wall;  // when it was signed, whole milliseconds
  PublicKey key{};

  static constexpr std::size_t kMaxBytes = 1024;  // of its text

  // One line without a newline.
  static std::string sign(const SigningKey& key, const ChainHead& head, WallTime wall);
  // kDataLoss: no signed head, or its signature is not that of the key that it names. Whose key
  // that is, is for the caller.
  static Result<SignedHead> parse(std::string_view line);
};

// Signs heads, and keeps the newest in head.json of its folder. Used by one thread at a time.
class HeadSeal {
 public:
  static constexpr const char* kFolder = "audit";  // in the state folder, mode 0700
  static constexpr const char* kFile = "head.json";

  // The key is made on the first use. Errors of open_folder() and SigningKey::load_or_create().
  static Result<HeadSeal> open(const std::string& path);

  // Replaces head.json; the text is newest() also when that fails.
  Status write(const ChainHead& head, WallTime wall);
  const std::string& newest() const { return newest_; }  // empty: none was signed yet
  const PublicKey& key() const { return key_.public_key(); }

 private:
  HeadSeal(std::unique_ptr<Folder> folder, SigningKey key)
      : folder_(std::move(folder)), key_(std::move(key)) {}

  std::unique_ptr<Folder> folder_;
  SigningKey key_;
  std::string newest_;
};

}  // namespace nudge
