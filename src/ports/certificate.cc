#include "src/ports/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "src/ports/addresses.h"
#include "src/ports/private_file.h"

namespace nudge {
namespace {

constexpr std::size_t kMaxFile = 64u << 10;
constexpr long kDay = 24L * 3600;
constexpr long kAuthorityDays = 3650;
constexpr long kServerDays = 397;   // what browsers take; Apple's devices take 825 at most
constexpr long kRenewDays = 30;     // before the end
constexpr long kBackdatedDays = 1;  // for a tablet whose clock is behind ours

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* it) const {
    Free(it);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

struct Pair {
  X509Ptr certificate;
  Key key;
};

// What OpenSSL has to say of a failure, and forgets then.
std::string openssl_reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "no reason given";
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

Status failed(const std::string& what) {
  return internal("certificate: " + what + " failed: " + openssl_reason());
}

// Never asks a person at the terminal for a password.
int no_password(char*, int, int, void*) { return 0; }

Bio reader(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

template <typename Write>
std::string written(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return "";
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}
std::string pem_of(X509* certificate) {
  return written([&](BIO* to) { return PEM_write_bio_X509(to, certificate); });
}
std::string pem_of(EVP_PKEY* key) {
  return written([&](BIO* to) {
    return PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}
std::string der_of(X509* certificate) {
  return written([&](BIO* to) { return i2d_X509_bio(to, certificate); });
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, 32> digest{};
  const bool done = X509_digest(certificate, EVP_sha256(), digest.data(), nullptr) == 1;
  return done ? fingerprint_text(digest) : "";
}

bool lasts(X509* certificate, WallTime now, long days) {
  time_t begin = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
  time_t end = begin + days * kDay;
  return X509_cmp_time(X509_get0_notBefore(certificate), &begin) < 0 &&
         X509_cmp_time(X509_get0_notAfter(certificate), &end) > 0;
}

// Every address and DNS name that the certificate is valid for.
std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
    const ASN1_STRING* value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
    if (name->type == GEN_IPADD) {
      if (std::string text = address_of({bytes, size}); !text.empty()) {
        names.push_back(std::move(text));
      }
      continue;
    }
    std::string text(reinterpret_cast<const char*>(bytes), size);
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (is_dns_name(text)) names.push_back(std::move(text));
  }
  return names;
}

bool covers(X509* certificate, const std::vector<std::string>& names) {
  const std::vector<std::string> covered = names_of(certificate);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(covered.begin(), covered.end(), name) != covered.end();
  });
}

// Whether the authority may vouch for all DNS names: each is one of its own or below one.
bool may_vouch(X509* authority, const std::vector<std::string>& names) {
  const std::unique_ptr<NAME_CONSTRAINTS, Freed<NAME_CONSTRAINTS_free>> bounds(
      static_cast<NAME_CONSTRAINTS*>(
          X509_get_ext_d2i(authority, NID_name_constraints, nullptr, nullptr)));
  std::vector<std::string> permitted;
  for (int i = 0; bounds && i < sk_GENERAL_SUBTREE_num(bounds->permittedSubtrees); ++i) {
    const GENERAL_NAME* base = sk_GENERAL_SUBTREE_value(bounds->permittedSubtrees, i)->base;
    if (base->type != GEN_DNS) continue;
    permitted.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(base->d.dNSName)),
                           static_cast<std::size_t>(ASN1_STRING_length(base->d.dNSName)));
  }
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return is_ip_address(name) ||
           std::any_of(permitted.begin(), permitted.end(), [&](const std::string& domain) {
             return name == domain || name.ends_with("." + domain);
           });
  });
}

Status add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return failed("writing '" + value + "'");
  }
  return {};
}

struct Wanted {
  std::string common_name;
  long days = 0;
  std::vector<std::pair<int, std::string>> extensions;  // after the key's identifier
};

// A new key with its certificate, by `issuer`, or by itself when there is none.
Result<Pair> make(const Wanted& wanted, const Pair* issuer, WallTime now) {
  Pair made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.certificate.reset(X509_new());
  X509* const certificate = made.certificate.get();
  if (!made.key || !made.certificate) return failed("making a key");

  // 127 random bits: never the same serial number twice for one authority.
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), serial.size()) != 1) return failed("making a serial number");
  serial[0] &= 0x7f;
  serial[0] |= 0x40;
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(
      BN_bin2bn(serial.data(), serial.size(), nullptr));
  // A common name that tells authorities of one house apart in a tablet's list.
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const auto* common = reinterpret_cast<const unsigned char*>(wanted.common_name.c_str());
  const auto* house = reinterpret_cast<const unsigned char*>("Nudge");
  time_t today = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
  const bool filled =
      number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
      X509_set_version(certificate, 2) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, house, -1, -1, 0) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1 &&
      X509_set_issuer_name(
          certificate,
          issuer == nullptr ? subject : X509_get_subject_name(issuer->certificate.get())) == 1 &&
      X509_time_adj_ex(X509_getm_notBefore(certificate), -kBackdatedDays, 0, &today) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(wanted.days), 0, &today) !=
          nullptr &&
      X509_set_pubkey(certificate, made.key.get()) == 1;
  if (!filled) return failed("filling it in");

  X509* const by = issuer == nullptr ? certificate : issuer->certificate.get();
  NUDGE_TRY(add_extension(certificate, by, NID_subject_key_identifier, "hash"));
  NUDGE_TRY(add_extension(certificate, by, NID_authority_key_identifier, "keyid:always"));
  for (const auto& [kind, value] : wanted.extensions) {
    NUDGE_TRY(add_extension(certificate, by, kind, value));
  }
  EVP_PKEY* const signer = issuer == nullptr ? made.key.get() : issuer->key.get();
  if (X509_sign(certificate, signer, EVP_sha256()) == 0) return failed("signing it");
  return made;
}

Result<Pair> make_authority(const std::vector<std::string>& names, WallTime now) {
  std::vector<std::string> domains = {"localhost", "local"};
  for (const std::string& name : names) {
    const bool known = std::any_of(domains.begin(), domains.end(), [&](const std::string& domain) {
      return name == domain || name.ends_with("." + domain);
    });
    if (!is_ip_address(name) && !known) domains.push_back(name);
  }
  std::string permitted = "critical";
  for (const std::string& domain : domains) permitted += ",permitted;DNS:" + domain;
  const std::string host = host_name();
  Wanted wanted;
  // 64 bytes are all that a common name may have.
  wanted.common_name = "Nudge authority of " + (host.empty() ? "a robot" : host.substr(0, 40));
  wanted.days = kAuthorityDays;
  wanted.extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                       {NID_key_usage, "critical,keyCertSign,cRLSign"},
                       {NID_name_constraints, permitted}};
  return make(wanted, nullptr, now);
}

Result<Pair> make_server(const Pair& authority, const std::vector<std::string>& names,
                         WallTime now) {
  std::string alternatives;
  for (const std::string& name : names) {
    alternatives += (alternatives.empty() ? "" : ",") +
                    std::string(is_ip_address(name) ? "IP:" : "DNS:") + name;
  }
  Wanted wanted;
  wanted.common_name = "Nudge";
  wanted.days = kServerDays;
  wanted.extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                       {NID_key_usage, "critical,digitalSignature"},
                       {NID_ext_key_usage, "serverAuth"},
                       {NID_subject_alt_name, alternatives}};
  return make(wanted, &authority, now);
}

Status save(Folder& folder, const char* name, const Pair& pair) {
  const std::string text = pem_of(pair.certificate.get()) + pem_of(pair.key.get());
  return replace_private(folder, name, text).with_context("certificate");
}

Result<Pair> parse_pair(const std::string& certificate, const std::string& key,
                        const std::string& what) {
  ERR_clear_error();
  Pair pair;
  pair.certificate.reset(
      PEM_read_bio_X509(reader(certificate).get(), nullptr, no_password, nullptr));
  if (!pair.certificate) return data_loss(what + " has no certificate in PEM");
  pair.key.reset(PEM_read_bio_PrivateKey(reader(key).get(), nullptr, no_password, nullptr));
  if (!pair.key) return data_loss(what + " has no key in PEM, or one with a password");
  if (X509_check_private_key(pair.certificate.get(), pair.key.get()) != 1) {
    ERR_clear_error();
    return data_loss(what + ": the key is not the certificate's");
  }
  return pair;
}

// None: there is no such file.
Result<std::optional<Pair>> load(Folder& folder, const char* name) {
  const Result<std::string> text = read_private(folder, name, kMaxFile);
  if (text.status().code() == Code::kNotFound) return std::optional<Pair>();
  if (!text.ok()) return text.status().with_context("certificate");
  Result<Pair> pair = parse_pair(*text, *text, std::string("certificate: ") + name);
  if (!pair.ok()) {
    return data_loss(pair.status().message() +
                     "; remove the file, and the next start makes another");
  }
  return std::optional<Pair>(*std::move(pair));
}

Result<std::string> read_file(const std::string& path, Folder::Privacy privacy) {
  const std::filesystem::path file(path);
  const std::string parent = file.has_parent_path() ? file.parent_path().string() : ".";
  std::error_code error;
  // open_folder() would make a folder that is missing.
  if (!std::filesystem::exists(file, error)) return not_found("there is no file " + path);
  // Certificates are often links to where they are renewed.
  const std::filesystem::path real = std::filesystem::canonical(file, error);
  if (error) return unavailable("cannot read " + path + ": " + error.message());
  Result<std::unique_ptr<Folder>> folder = open_folder(real.parent_path().string());
  if (!folder.ok()) return folder.status();
  auto bytes = (*folder)->read(real.filename().string(), kMaxFile, privacy);
  if (!bytes.ok()) return bytes.status();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

}  // namespace

std::string fingerprint_text(std::span<const unsigned char> digest) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const unsigned char byte : digest) {
    if (!text.empty()) text.push_back(':');
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Result<Certificate> own_certificate(Folder& folder, const std::vector<std::string>& names,
                                    WallTime now) {
  for (const std::string& name : names) {
    if (!is_ip_address(name) && !is_dns_name(name)) {
      return invalid_argument("certificate: '" + name + "' is neither an IP address nor a name");
    }
  }
  Certificate result;
  Result<std::optional<Pair>> authority = load(folder, kAuthorityFile);
  if (!authority.ok()) return authority.status();
  if (!*authority || !lasts((*authority)->certificate.get(), now, kRenewDays) ||
      !may_vouch((*authority)->certificate.get(), names)) {
    Result<Pair> made = make_authority(names, now);
    if (!made.ok()) return made.status();
    NUDGE_TRY(save(folder, kAuthorityFile, *made));
    *authority = *std::move(made);
    result.new_authority = true;
  }
  X509* const vouches = (*authority)->certificate.get();
  Result<std::optional<Pair>> server = load(folder, kServerFile);
  if (!server.ok()) return server.status();
  const bool good = *server && lasts((*server)->certificate.get(), now, kRenewDays) &&
                    covers((*server)->certificate.get(), names) &&
                    X509_verify((*server)->certificate.get(), (*authority)->key.get()) == 1;
  ERR_clear_error();
  if (!good) {
    Result<Pair> made = make_server(**authority, names, now);
    if (!made.ok()) return made.status();
    NUDGE_TRY(save(folder, kServerFile, *made));
    *server = *std::move(made);
  }
  X509* const shown = (*server)->certificate.get();
  result.chain_pem = pem_of(shown) + pem_of(vouches);
  result.key_pem = pem_of((*server)->key.get());
  result.fingerprint = fingerprint_of(shown);
  result.authority_fingerprint = fingerprint_of(vouches);
  result.authority_der = der_of(vouches);
  result.names = names_of(shown);
  return result;
}

Result<Certificate> given_certificate(const std::string& certificate_file,
                                      const std::string& key_file, WallTime now) {
  Result<std::string> chain = read_file(certificate_file, Folder::Privacy::kShared);
  if (!chain.ok()) return chain.status().with_context("ports.certificate");
  Result<std::string> key = read_file(key_file, Folder::Privacy::kPrivate);
  if (!key.ok()) return key.status().with_context("ports.key");
  Result<Pair> pair = parse_pair(*chain, *key, certificate_file + " with " + key_file);
  if (!pair.ok()) return invalid_argument(pair.status().message());
  X509* const shown = pair->certificate.get();
  if (!lasts(shown, now, 0)) {
    return invalid_argument(certificate_file + " is out of date, or not valid yet");
  }
  Certificate result;
  result.chain_pem = *std::move(chain);
  result.key_pem = *std::move(key);
  result.fingerprint = fingerprint_of(shown);
  result.names = names_of(shown);
  return result;
}

}  // namespace nudge
