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
constexpr std::size_t kIdBytes = 4;
constexpr std::size_t kShortest = 32, kLongest = 128;  // characters of a token

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

Status damaged(const std::string& what) {
  return data_loss(std::string("tokens: ") + kTokensFile + " " + what +
                   "; remove it, and new tokens are made");
}

}  // namespace

std::string token_id(std::string_view token) {
  std::array<unsigned char, 32> digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(token.data()), token.size(), nullptr,
                     0);
  std::array<char, 2 * kIdBytes + 1> text{};
  sodium_bin2hex(text.data(), text.size(), digest.data(), kIdBytes);
  return text.data();
}

Result<Access> Access::load_or_create(Folder& folder) {
  Result<Access> access = load(folder);
  if (access.status().code() != Code::kNotFound) return access;
  Access made;
  for (const Role role : kRolesByRank) made.renew(role);
  NUDGE_TRY(made.save(folder));
  // Read it back rather than trust what we meant to write.
  return load(folder);
}

Status Access::save(Folder& folder) const {
  nlohmann::ordered_json tokens = nlohmann::ordered_json::object();
  for (const Role role : kRolesByRank) {
    if (!token(role).empty()) tokens[std::string(to_string(role))] = token(role);
  }
  const std::string text = nlohmann::ordered_json({{"version", 1}, {"tokens", tokens}}).dump(2);
  return replace_private(folder, kTokensFile, text).with_context("tokens");
}

Result<Access> Access::load(Folder& folder) {
  if (sodium_init() < 0) return unavailable("libsodium could not be started");
  auto read = folder.read(kTokensFile, kMaxFile, Folder::Privacy::kPrivate);
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
  for (const Role role : kRolesByRank) {
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
    access.set(role, token);
    ++found;
  }
  if (found != tokens->size()) return damaged("has a token for a role that does not exist");
  return access;
}

void Access::renew(Role role) { set(role, make_token()); }

void Access::revoke(Role role) {
  tokens_[static_cast<std::size_t>(role)].clear();
  digests_[static_cast<std::size_t>(role)] = {};
}

void Access::set(Role role, std::string token) {
  digests_[static_cast<std::size_t>(role)] = digest_of(token);
  tokens_[static_cast<std::size_t>(role)] = std::move(token);
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
