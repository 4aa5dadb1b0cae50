#include "policy/manifest.h"

#include <sodium.h>

#include <limits>

#include "policy/flat_object.h"
#include "policy/weights.h"

namespace nudge {
namespace {

constexpr std::string_view kContext = "nudge.weights.manifest\n";

constexpr const char* kSignatureKey = "signature";
constexpr std::size_t kFields = 11;  // of the object, with "key" and "signature"

template <std::size_t kSize>
std::string hex_of(const std::array<std::uint8_t, kSize>& bytes) {
  std::string hex(2 * kSize + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
  hex.pop_back();
  return hex;
}

// False unless `hex` is exactly the lower-case digits of kSize bytes.
template <std::size_t kSize>
bool from_hex(const std::string& hex, std::array<std::uint8_t, kSize>& bytes) {
  std::size_t size = 0;
  return hex.size() == 2 * kSize &&
         sodium_hex2bin(bytes.data(), kSize, hex.data(), hex.size(), nullptr, &size, nullptr) ==
             0 &&
         size == kSize && hex_of(bytes) == hex;
}

Status check(const Manifest& manifest) {
  if (manifest.version == 0) return invalid_argument("manifest: version must be at least 1");
  if (manifest.parent >= manifest.version) {
    return invalid_argument("manifest: parent must be older than the version");
  }
  if (manifest.robot.empty() || manifest.robot.size() > 64) {
    return invalid_argument("manifest: robot must have 1..64 bytes");
  }
  if (manifest.report.size() > Manifest::kMaxReport) {
    return invalid_argument("manifest: report has " + std::to_string(manifest.report.size()) +
                            " bytes; at most " + std::to_string(Manifest::kMaxReport) +
                            " are allowed");
  }
  if (manifest.created.time_since_epoch() < Duration::zero()) {
    return invalid_argument("manifest: created lies before 1970");
  }
  return {};
}

// The object without its signature, in canonical form, behind the context.
Result<std::string> signed_text(const FlatObject& object) {
  Result<std::string> text = object.dump();
  if (!text.ok()) return text.status().with_context("manifest");
  return std::string(kContext) + *text;
}

const char* name_of(WeightsKind kind) {
  return kind == WeightsKind::kFull ? "full" : "provisional";
}

}  // namespace

Result<std::string> write_manifest(const Manifest& manifest, const SigningKey& key) {
  NUDGE_TRY(check(manifest));
  FlatObject object;
  object.set("format", std::uint64_t{Manifest::kFormat});
  object.set("version", std::uint64_t{manifest.version});
  object.set("hash", to_hex(manifest.hash));
  object.set("size", std::uint64_t{manifest.size});
  object.set("parent", std::uint64_t{manifest.parent});
  object.set("kind", std::string(name_of(manifest.kind)));
  object.set("report", manifest.report);
  object.set("created_ns", static_cast<std::uint64_t>(manifest.created.time_since_epoch().count()));
  object.set("robot", manifest.robot);
  object.set("key", hex_of(key.public_key()));
  const Result<std::string> text = signed_text(object);
  if (!text.ok()) return text.status();
  object.set(kSignatureKey, hex_of(key.sign(*text)));
  Result<std::string> file = object.dump();
  if (!file.ok()) return file.status();
  *file += '\n';
  if (file->size() > Manifest::kMaxBytes) {
    return invalid_argument("manifest: has " + std::to_string(file->size()) +
                            " bytes; the report holds too many control characters");
  }
  return file;
}

Result<Manifest> read_manifest(std::string_view text, const PublicKey& key) {
  if (text.empty() || text.back() != '\n') return data_loss("manifest: is truncated");
  text.remove_suffix(1);
  Result<FlatObject> object = FlatObject::parse(text);
  if (!object.ok()) return object.status().with_context("manifest");
  // One text per object: nobody can make another file of the same signature.
  if (const Result<std::string> canonical = object->dump(); !canonical.ok() || *canonical != text) {
    return data_loss("manifest: is not in canonical form; it was changed after it was signed");
  }
  const Result<std::uint64_t> format = object->get<std::uint64_t>("format");
  if (!format.ok()) return format.status().with_context("manifest");
  if (*format != Manifest::kFormat) {
    return unimplemented("manifest: has format " + std::to_string(*format) +
                         "; this build reads only " + std::to_string(Manifest::kFormat));
  }

  const Result<std::string> key_text = object->get<std::string>("key");
  if (!key_text.ok()) return key_text.status().with_context("manifest");
  if (*key_text != hex_of(key)) {
    return permission_denied(
        "manifest: signed by another key than this robot's; weights of another robot must be "
        "promoted by an engineer, not copied into the folder");
  }
  const Result<std::string> signature_text = object->get<std::string>(kSignatureKey);
  if (!signature_text.ok()) return signature_text.status().with_context("manifest");
  Signature signature{};
  if (!from_hex(*signature_text, signature)) {
    return data_loss("manifest: the signature is not 128 hex digits");
  }
  FlatObject body;
  for (const auto& [name, value] : object->values()) {
    if (name != kSignatureKey) body.set(name, value);
  }
  const Result<std::string> body_text = signed_text(body);
  if (!body_text.ok()) return body_text.status();
  if (!verify(key, *body_text, signature)) {
    return data_loss("manifest: the signature does not match; it was changed after it was signed");
  }

  // Signed by us, so what follows can only fail for a bug or another build's manifest.
  if (object->values().size() != kFields) return data_loss("manifest: has unknown fields");
  Manifest manifest;
  const std::pair<const char*, std::uint64_t*> numbers[] = {
      {"version", &manifest.version}, {"size", &manifest.size}, {"parent", &manifest.parent}};
  for (const auto& [name, number] : numbers) {
    const Result<std::uint64_t> value = object->get<std::uint64_t>(name);
    if (!value.ok()) return value.status().with_context("manifest");
    *number = *value;
  }
  const std::pair<const char*, std::string*> texts[] = {{"report", &manifest.report},
                                                        {"robot", &manifest.robot}};
  for (const auto& [name, field] : texts) {
    const Result<std::string> value = object->get<std::string>(name);
    if (!value.ok()) return value.status().with_context("manifest");
    *field = *value;
  }
  const Result<std::string> hash = object->get<std::string>("hash");
  if (!hash.ok()) return hash.status().with_context("manifest");
  if (!from_hex(*hash, manifest.hash)) return data_loss("manifest: the hash is not 64 hex digits");
  const Result<std::string> kind = object->get<std::string>("kind");
  if (!kind.ok()) return kind.status().with_context("manifest");
  if (*kind != name_of(WeightsKind::kFull) && *kind != name_of(WeightsKind::kProvisional)) {
    return data_loss("manifest: the kind is neither full nor provisional");
  }
  manifest.kind =
      *kind == name_of(WeightsKind::kFull) ? WeightsKind::kFull : WeightsKind::kProvisional;
  const Result<std::uint64_t> created = object->get<std::uint64_t>("created_ns");
  if (!created.ok()) return created.status().with_context("manifest");
  if (*created > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return data_loss("manifest: created_ns is out of range");
  }
  manifest.created = WallTime(Duration(static_cast<std::int64_t>(*created)));
  if (const Status range = check(manifest); !range.ok()) return data_loss(range.message());
  return manifest;
}

}  // namespace nudge
