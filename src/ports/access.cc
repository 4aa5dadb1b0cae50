#include "src/ports/access.h"

#include <sodium.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "src/ports/private_file.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxFile = 4096;
constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kShortest = 32, kLongest = 128;  // characters of a token
constexpr Role kByRank[] = {Role::kEngineer, Role::kSupervisor, Role::kViewer, Role::kScript};

// base64url without padding: fits into a header, an URL and a WebSocket's subprotocol.
bool is_token(std::string_view text) {
  return text.size() >= kShortest && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

std::string make_token() {
  std::array<unsigned char, kRandomBytes> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_ENCODED_LEN(kRandomBytes, kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), kVariant);
  text.pop_back();  // the zero at its end
  sodium_memzero(bytes.data(), bytes.size());
  return text;
}

Status create(Folder& folder) {
  nlohmann::ordered_json tokens = nlohmann::ordered_json::object();
  for (const Role role : kByRank) tokens[std::string(to_string(role))] = make_token();
  const std::string text = nlohmann::ordered_json({{"version", 1}, {"tokens", tokens}}).dump(2);
  return replace_private(folder, kTokensFile, text);
}

Status damaged(const std::string& what) {
  return data_loss(std::string("tokens: ") + kTokensFile + " " + what +
                   "; remove it, and the next start makes new tokens");
}

}  // namespace

Result<Access> Access::load_or_create(Folder& folder) {
  if (sodium_init() < 0) return unavailable("libsodium could not be started");
  auto read = folder.read(kTokensFile, kMaxFile, Folder::Privacy::kPrivate);
  if (!read.ok() && read.status().code() == Code::kNotFound) {
    NUDGE_TRY(create(folder).with_context("tokens"));
    // Read it back rather than trust what we meant to write.
    read = folder.read(kTokensFile, kMaxFile, Folder::Privacy::kPrivate);
  }
  if (!read.ok()) return read.status().with_context("tokens");

  const char* text = reinterpret_cast<const char*>(read->data());
  const nlohmann::json file =
      nlohmann::json::parse(text, text + read->size(), nullptr, /*allow_exceptions=*/false);
  sodium_memzero(read->data(), read->size());
  if (!file.is_object()) return damaged("is not JSON");
  const auto version = file.find("version");
  if (version == file.end() || *version != 1) return damaged("is not of version 1");
  const auto tokens = file.find("tokens");
  if (tokens == file.end() || !tokens->is_object()) return damaged("has no tokens");

  Access access;
  std::size_t found = 0;
  for (const Role role : kByRank) {
    const auto entry = tokens->find(std::string(to_string(role)));
    if (entry == tokens->end()) continue;
    // What is wrong with it is not said by showing it.
    if (!entry->is_string() || !is_token(entry->get_ref<const std::string&>())) {
      return damaged("has a token for " + std::string(to_string(role)) +
                     " that is not 32 to 128 of A-Z a-z 0-9 - _");
    }
    const auto& token = entry->get_ref<const std::string&>();
    if (std::find(access.tokens_.begin(), access.tokens_.end(), token) != access.tokens_.end()) {
      return damaged("has one token for two roles");
    }
    access.tokens_[static_cast<std::size_t>(role)] = token;
    access.digests_[static_cast<std::size_t>(role)] = digest_of(token);
    ++found;
  }
  if (found != tokens->size()) return damaged("has a token for a role that does not exist");
  return access;
}

std::optional<Actor> Access::who_is(std::string_view token) const {
  if (token.size() > kLongest) return std::nullopt;
  const Digest digest = digest_of(token);
  std::optional<Role> role;
  for (std::size_t i = 0; i < kRoles; ++i) {
    const bool same = sodium_memcmp(digest.data(), digests_[i].data(), digest.size()) == 0;
    if (same && !tokens_[i].empty()) role = static_cast<Role>(i);
  }
  if (!role) return std::nullopt;
  return Actor{std::string(to_string(*role)), *role};
}

Access::Digest Access::digest_of(std::string_view token) {
  Digest digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(token.data()), token.size(), nullptr,
                     0);
  return digest;
}

}  // namespace nudge
