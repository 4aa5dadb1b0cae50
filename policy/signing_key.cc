#include "policy/signing_key.h"

#include <sodium.h>

#include <cstring>
#include <span>
#include <vector>

namespace nudge {
namespace {

// File: a word that names the format, the seed in hex, a newline. Text, so that an operator can see
// what it is, and a truncated one cannot pass for a key.
constexpr std::string_view kPrefix = "nudge-signing-key-1 ";
constexpr std::size_t kHexSize = 2 * std::size_t{crypto_sign_SEEDBYTES};
constexpr std::size_t kFileSize = kPrefix.size() + kHexSize + 1;

static_assert(std::tuple_size_v<PublicKey> == crypto_sign_PUBLICKEYBYTES);
static_assert(std::tuple_size_v<Signature> == crypto_sign_BYTES);

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Wipes what it was given when it goes out of scope.
template <typename Container>
class Wiped {
 public:
  explicit Wiped(Container& container) : container_(container) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { sodium_memzero(container_.data(), container_.size()); }

 private:
  Container& container_;
};

}  // namespace

bool verify(const PublicKey& key, std::string_view text, const Signature& signature) {
  return crypto_sign_verify_detached(signature.data(), bytes_of(text), text.size(), key.data()) ==
         0;
}

SigningKey::SigningKey(SigningKey&& other) noexcept
    : secret_(other.secret_), public_(other.public_) {
  other.wipe();
}

SigningKey& SigningKey::operator=(SigningKey&& other) noexcept {
  if (this != &other) {
    secret_ = other.secret_;
    public_ = other.public_;
    other.wipe();
  }
  return *this;
}

SigningKey::~SigningKey() { wipe(); }

void SigningKey::wipe() { sodium_memzero(secret_.data(), secret_.size()); }

Signature SigningKey::sign(std::string_view text) const {
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, bytes_of(text), text.size(), secret_.data());
  return signature;
}

Result<SigningKey> SigningKey::load_or_create(Folder& folder) {
  if (sodium_init() < 0) return unavailable("libsodium could not be started");

  Result<std::vector<std::byte>> read =
      folder.read(kFileName, kFileSize, Folder::Privacy::kPrivate);
  if (!read.ok() && read.status().code() == Code::kNotFound) {
    std::array<unsigned char, crypto_sign_SEEDBYTES> seed;
    const Wiped wiped_seed(seed);
    randombytes_buf(seed.data(), seed.size());
    std::string text(kFileSize + 1, '\0');  // and the zero that sodium_bin2hex writes
    const Wiped wiped_text(text);
    std::memcpy(text.data(), kPrefix.data(), kPrefix.size());
    sodium_bin2hex(text.data() + kPrefix.size(), kHexSize + 1, seed.data(), seed.size());
    text[kFileSize - 1] = '\n';

    const auto bytes = std::as_bytes(std::span(text)).first(kFileSize);
    const Status stored = replace_file(folder, kFileName, bytes, Folder::Privacy::kPrivate);
    if (!stored.ok()) return stored.with_context("signing key");
    // Read it back rather than trust what we meant to write.
    read = folder.read(kFileName, kFileSize, Folder::Privacy::kPrivate);
  }
  if (!read.ok()) return read.status().with_context("signing key");

  const Wiped wiped_file(*read);
  const std::string_view text(reinterpret_cast<const char*>(read->data()), read->size());
  std::array<unsigned char, crypto_sign_SEEDBYTES> seed;
  const Wiped wiped_seed(seed);
  std::size_t size = 0;
  const char* end = nullptr;
  if (text.size() != kFileSize || text.substr(0, kPrefix.size()) != kPrefix ||
      text.back() != '\n' ||
      sodium_hex2bin(seed.data(), seed.size(), text.data() + kPrefix.size(), kHexSize, nullptr,
                     &size, &end) != 0 ||
      size != seed.size()) {
    return data_loss(std::string("signing key: the file ") + kFileName +
                     " is damaged; restore it from a backup, or remove it, promote weights anew "
                     "and keep in mind that all older ones will be refused");
  }
  SigningKey key;
  crypto_sign_seed_keypair(key.public_.data(), key.secret_.data(), seed.data());
  return key;
}

}  // namespace nudge
