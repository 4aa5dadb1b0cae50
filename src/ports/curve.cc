#include "src/ports/curve.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "src/ports/private_file.h"

namespace nudge {
namespace {

static_assert(std::tuple_size_v<CurveKey> == crypto_box_PUBLICKEYBYTES);
static_assert(std::tuple_size_v<CurveKey> == crypto_box_SECRETKEYBYTES);
static_assert(std::tuple_size_v<CurveKey> == crypto_box_BEFORENMBYTES);

constexpr std::size_t kMac = crypto_box_MACBYTES;
constexpr std::size_t kHelloSize = 200, kWelcomeSize = 168, kInitiateLeast = 9 + 96 + 8 + 16 + 128;
constexpr std::size_t kMetadataMost = 512;  // libzmq's has below 100
constexpr std::string_view kHello = "\x05HELLO", kWelcome = "\x07WELCOME",
                           kInitiate = "\x08INITIATE", kReady = "\x05READY",
                           kMessage = "\x07MESSAGE";
constexpr std::string_view kFilePrefix = "nudge-curve-key-1 ";

using Nonce = std::array<std::uint8_t, crypto_box_NONCEBYTES>;

const std::uint8_t* at(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

Nonce nonce_of(std::string_view prefix, std::span<const std::byte> rest) {
  Nonce nonce{};
  std::memcpy(nonce.data(), prefix.data(), prefix.size());
  std::memcpy(nonce.data() + prefix.size(), rest.data(), nonce.size() - prefix.size());
  return nonce;
}

std::uint64_t big_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}
std::array<std::byte, 8> big_endian(std::uint64_t value) {
  std::array<std::byte, 8> bytes;
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = std::byte(value >> (56 - 8 * i));
  return bytes;
}

void append(std::vector<std::byte>& out, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}
void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}
std::span<std::byte> grow(std::vector<std::byte>& out, std::size_t size) {
  out.resize(out.size() + size);
  return std::span(out).last(size);
}
std::uint8_t* raw(std::span<std::byte> bytes) {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}

bool begins(std::span<const std::byte> body, std::string_view name) {
  return body.size() >= name.size() && std::memcmp(body.data(), name.data(), name.size()) == 0;
}

Status wrong(const char* command) {
  return invalid_argument(std::string("CURVE: ") + command + " is not as it has to be");
}

constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

}  // namespace

std::string to_z85(const CurveKey& key) {
  std::string text;
  for (std::size_t i = 0; i < key.size(); i += 4) {
    std::uint32_t value = 0;
    for (std::size_t j = i; j < i + 4; ++j) value = value << 8 | key[j];
    for (std::uint32_t divisor = 85 * 85 * 85 * 85; divisor > 0; divisor /= 85) {
      text += kZ85[value / divisor % 85];
    }
  }
  return text;
}

std::optional<CurveKey> from_z85(std::string_view text) {
  CurveKey key{};
  if (text.size() != key.size() / 4 * 5) return std::nullopt;
  for (std::size_t i = 0; i < key.size() / 4; ++i) {
    std::uint64_t value = 0;
    for (const char c : text.substr(5 * i, 5)) {
      const std::size_t digit = kZ85.find(c);
      if (digit == std::string_view::npos) return std::nullopt;
      value = value * 85 + digit;
    }
    if (value > UINT32_MAX) return std::nullopt;
    for (std::size_t j = 0; j < 4; ++j) {
      key[4 * i + j] = static_cast<std::uint8_t>(value >> (24 - 8 * j));
    }
  }
  return key;
}

// ---- CurveIdentity ------------------------------------------------------------------------------

CurveIdentity::CurveIdentity(CurveIdentity&& other) noexcept
    : public_(other.public_), secret_(other.secret_) {
  sodium_memzero(other.secret_.data(), other.secret_.size());
}
CurveIdentity& CurveIdentity::operator=(CurveIdentity&& other) noexcept {
  if (this != &other) {
    public_ = other.public_;
    secret_ = other.secret_;
    sodium_memzero(other.secret_.data(), other.secret_.size());
  }
  return *this;
}
CurveIdentity::~CurveIdentity() { sodium_memzero(secret_.data(), secret_.size()); }

CurveIdentity CurveIdentity::make() {
  CurveIdentity identity;
  do {  // one that begins like a flag is a nuisance on the command line
    crypto_box_keypair(identity.public_.data(), identity.secret_.data());
  } while (to_z85(identity.public_).front() == '-');
  return identity;
}

Result<CurveIdentity> CurveIdentity::load_or_create(Folder& folder, const std::string& file) {
  if (sodium_init() < 0) return unavailable("libsodium could not be started");
  Result<std::string> text = read_private(folder, file, kCurveFileSize);
  if (text.status().code() == Code::kNotFound) {
    CurveIdentity made = make();
    std::string fresh =
        std::string(kFilePrefix) + to_z85(made.public_) + ' ' + to_z85(made.secret_) + '\n';
    const Status stored = replace_private(folder, file, fresh);
    sodium_memzero(fresh.data(), fresh.size());
    if (!stored.ok()) return stored;
    return made;
  }
  if (!text.ok()) return text.status();
  CurveIdentity identity;
  const bool sized = text->size() == kCurveFileSize && text->starts_with(kFilePrefix);
  const auto open_key = sized ? from_z85(std::string_view(*text).substr(18, 40)) : std::nullopt;
  auto secret = sized ? from_z85(std::string_view(*text).substr(59, 40)) : std::nullopt;
  sodium_memzero(text->data(), text->size());
  CurveKey expected{};
  if (open_key && secret) {
    crypto_scalarmult_base(expected.data(), secret->data());
    identity.public_ = *open_key;
    identity.secret_ = *secret;
    sodium_memzero(secret->data(), secret->size());
  }
  if (!open_key || !secret || expected != identity.public_) {
    return data_loss(file + " is no pair of CURVE keys; restore it, or remove it for a new one, " +
                     "which all others then have to be told");
  }
  return identity;
}

// ---- CurveSession -------------------------------------------------------------------------------

CurveSession::~CurveSession() {
  sodium_memzero(short_secret_.data(), short_secret_.size());
  sodium_memzero(shared_.data(), shared_.size());
}

Status CurveSession::take_hello(std::span<const std::byte> body, std::vector<std::byte>& answer) {
  // Name, version 1.0, 72 zeros against amplification, C', nonce, box of 64 zeros from C' to S.
  if (expects_ != Expects::kHello || body.size() != kHelloSize || !begins(body, kHello) ||
      body[6] != std::byte{1} || body[7] != std::byte{0}) {
    return wrong("HELLO");
  }
  std::memcpy(client_short_.data(), body.data() + 80, client_short_.size());
  const auto nonce_bytes = body.subspan(112, 8);
  const Nonce nonce = nonce_of("CurveZMQHELLO---", nonce_bytes);
  std::array<std::uint8_t, 64> zeros;
  if (crypto_box_open_easy(zeros.data(), at(body.subspan(120)), 80, nonce.data(),
                           client_short_.data(), server_.secret_key().data()) != 0 ||
      sodium_is_zero(zeros.data(), zeros.size()) == 0) {
    return wrong("HELLO");
  }
  heard_ = big_endian(nonce_bytes);

  // The session stays here, so the cookie holds nothing: it only has to come back.
  crypto_box_keypair(short_.data(), short_secret_.data());
  randombytes_buf(cookie_.data(), cookie_.size());
  std::array<std::byte, 16> fresh;
  randombytes_buf(fresh.data(), fresh.size());
  std::array<std::uint8_t, 128> plain;
  std::copy(short_.begin(), short_.end(), plain.begin());
  std::copy(cookie_.begin(), cookie_.end(), plain.begin() + 32);
  append(answer, kWelcome);
  append(answer, fresh);
  if (crypto_box_easy(raw(grow(answer, plain.size() + kMac)), plain.data(), plain.size(),
                      nonce_of("WELCOME-", fresh).data(), client_short_.data(),
                      server_.secret_key().data()) != 0) {
    return wrong("HELLO");  // C' is a point of small order
  }
  static_assert(kWelcomeSize == 8 + 16 + 128 + kMac);
  expects_ = Expects::kInitiate;
  return {};
}

Result<std::vector<std::byte>> CurveSession::take_initiate(std::span<const std::byte> body) {
  // Name, cookie, nonce, box from C' to S': C, nonce and box of the vouch, metadata.
  if (expects_ != Expects::kInitiate || body.size() < kInitiateLeast ||
      body.size() > kInitiateLeast + kMetadataMost || !begins(body, kInitiate) ||
      sodium_memcmp(body.data() + 9, cookie_.data(), cookie_.size()) != 0) {
    return wrong("INITIATE");
  }
  const auto nonce_bytes = body.subspan(105, 8);
  const std::uint64_t number = big_endian(nonce_bytes);
  if (number <= heard_) return wrong("INITIATE");
  if (crypto_box_beforenm(shared_.data(), client_short_.data(), short_secret_.data()) != 0) {
    return wrong("INITIATE");
  }
  const auto box = body.subspan(113);
  std::vector<std::byte> plain(box.size() - kMac);
  if (crypto_box_open_easy_afternm(raw(plain), at(box), box.size(),
                                   nonce_of("CurveZMQINITIATE", nonce_bytes).data(),
                                   shared_.data()) != 0) {
    return wrong("INITIATE");
  }
  // The vouch: C says that C' is its own, and meant for this server.
  CurveKey client;
  std::memcpy(client.data(), plain.data(), client.size());
  std::array<std::uint8_t, 64> vouched;
  const auto vouch = std::span<const std::byte>(plain).subspan(32, 96);
  if (crypto_box_open_easy(vouched.data(), at(vouch.subspan(16)), 80,
                           nonce_of("VOUCH---", vouch.first(16)).data(), client.data(),
                           short_secret_.data()) != 0 ||
      sodium_memcmp(vouched.data(), client_short_.data(), 32) != 0 ||
      sodium_memcmp(vouched.data() + 32, server_.public_key().data(), 32) != 0) {
    return wrong("INITIATE");
  }
  client_ = client;
  heard_ = number;
  expects_ = Expects::kMessages;
  plain.erase(plain.begin(), plain.begin() + 128);
  return plain;
}

void CurveSession::append_ready(std::span<const std::byte> metadata,
                                std::vector<std::byte>& answer) {
  const auto nonce_bytes = big_endian(++said_);
  append(answer, kReady);
  append(answer, nonce_bytes);
  crypto_box_easy_afternm(raw(grow(answer, metadata.size() + kMac)), at(metadata), metadata.size(),
                          nonce_of("CurveZMQREADY---", nonce_bytes).data(), shared_.data());
}

Result<CurveSession::Opened> CurveSession::open(std::span<const std::byte> body,
                                                std::vector<std::byte>& plain) {
  if (expects_ != Expects::kMessages || body.size() < kOverhead || !begins(body, kMessage)) {
    return wrong("MESSAGE");
  }
  const auto nonce_bytes = body.subspan(8, 8);
  const std::uint64_t number = big_endian(nonce_bytes);
  if (number <= heard_) return invalid_argument("CURVE: a nonce was used again");
  const auto box = body.subspan(16);
  plain.resize(box.size() - kMac);
  if (crypto_box_open_easy_afternm(raw(plain), at(box), box.size(),
                                   nonce_of("CurveZMQMESSAGEC", nonce_bytes).data(),
                                   shared_.data()) != 0) {
    return wrong("MESSAGE");
  }
  heard_ = number;
  return Opened{std::to_integer<std::uint8_t>(plain[0]),
                std::span<const std::byte>(plain).subspan(1)};
}

void CurveSession::append_message(std::uint8_t flags, std::span<const std::byte> payload,
                                  std::vector<std::byte>& out) {
  const auto nonce_bytes = big_endian(++said_);
  append(out, kMessage);
  append(out, nonce_bytes);
  // In place: the plain text is put where the box will be, behind its tag.
  const auto box = grow(out, kMac + 1 + payload.size());
  box[kMac] = std::byte{flags};
  std::copy(payload.begin(), payload.end(), box.begin() + kMac + 1);
  crypto_box_easy_afternm(raw(box), raw(box.subspan(kMac)), 1 + payload.size(),
                          nonce_of("CurveZMQMESSAGES", nonce_bytes).data(), shared_.data());
}

}  // namespace nudge
