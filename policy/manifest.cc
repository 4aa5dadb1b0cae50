#include "policy/manifest.h"

#include <sodium.h>

#include <limits>

#include "policy/flat_object.h"
#include "policy/weights.h"

namespace nudge {
namespace {

constexpr std::string_view kContext = "nudge.weights.manifest\n";
constexpr std::string_view kBaseContext = "nudge.base.manifest\n";

constexpr const char* kSignatureKey = "signature";
constexpr const char* kBaseKey = "base";
// Of the objects, with "key" and "signature".
constexpr std::size_t kFields = 11;
constexpr std::size_t kFieldsOfBase = 8;

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

Status check_common(const std::string& robot, const std::string& report, WallTime created) {
  if (robot.empty() || robot.size() > 64) {
    return invalid_argument("manifest: robot must have 1..64 bytes");
  }
  if (report.size() > Manifest::kMaxReport) {
    return invalid_argument("manifest: report has " + std::to_string(report.size()) +
                            " bytes; at most " + std::to_string(Manifest::kMaxReport) +
                            " are allowed");
  }
  if (created.time_since_epoch() < Duration::zero()) {
    return invalid_argument("manifest: created lies before 1970");
  }
  return {};
}

Status check(const Manifest& manifest) {
  if (manifest.version == 0) return invalid_argument("manifest: version must be at least 1");
  if (manifest.parent >= manifest.version) {
    return invalid_argument("manifest: parent must be older than the version");
  }
  return check_common(manifest.robot, manifest.report, manifest.created);
}

// The object without its signature, in canonical form, behind the context.
Result<std::string> signed_text(const FlatObject& object, std::string_view context) {
  Result<std::string> text = object.dump();
  if (!text.ok()) return text.status().with_context("manifest");
  return std::string(context) + *text;
}

// The file of an object that has everything but key and signature.
Result<std::string> signed_file(FlatObject object, std::string_view context,
                                const SigningKey& key) {
  object.set("key", hex_of(key.public_key()));
  const Result<std::string> text = signed_text(object, context);
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

// The object in a file's text, of a format up to `newest`, signed by `key`.
Result<FlatObject> verified(std::string_view text, std::string_view context, std::uint64_t newest,
                            const PublicKey& key) {
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
  if (*format == 0 || *format > newest) {
    return unimplemented("manifest: has format " + std::to_string(*format) +
                         "; this build reads none beyond " + std::to_string(newest));
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
  const Result<std::string> body_text = signed_text(body, context);
  if (!body_text.ok()) return body_text.status();
  if (!verify(key, *body_text, signature)) {
    return data_loss("manifest: the signature does not match; it was changed after it was signed");
  }
  return object;
}

Status read_number(const FlatObject& object, const char* name, std::uint64_t& number) {
  const Result<std::uint64_t> value = object.get<std::uint64_t>(name);
  if (!value.ok()) return value.status().with_context("manifest");
  number = *value;
  return {};
}

Status read_text(const FlatObject& object, const char* name, std::string& text) {
  const Result<std::string> value = object.get<std::string>(name);
  if (!value.ok()) return value.status().with_context("manifest");
  text = *value;
  return {};
}

Status read_hash(const FlatObject& object, const char* name, Sha256& hash) {
  std::string text;
  NUDGE_TRY(read_text(object, name, text));
  if (from_hex(text, hash)) return {};
  return data_loss(std::string("manifest: the ") + name + " is not 64 hex digits");
}

Status read_time(const FlatObject& object, WallTime& created) {
  std::uint64_t number = 0;
  NUDGE_TRY(read_number(object, "created_ns", number));
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return data_loss("manifest: created_ns is out of range");
  }
  created = WallTime(Duration(static_cast<std::int64_t>(number)));
  return {};
}

std::uint64_t nanoseconds(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

const char* name_of(WeightsKind kind) {
  return kind == WeightsKind::kFull ? "full" : "provisional";
}

}  // namespace

Result<std::string> write_manifest(const Manifest& manifest, const SigningKey& key) {
  NUDGE_TRY(check(manifest));
  FlatObject object;
  object.set("format", manifest.base ? Manifest::kFormatWithBase : Manifest::kFormat);
  object.set("version", std::uint64_t{manifest.version});
  object.set("hash", to_hex(manifest.hash));
  object.set("size", std::uint64_t{manifest.size});
  object.set("parent", std::uint64_t{manifest.parent});
  object.set("kind", std::string(name_of(manifest.kind)));
  object.set("report", manifest.report);
  object.set("created_ns", nanoseconds(manifest.created));
  object.set("robot", manifest.robot);
  if (manifest.base) object.set(kBaseKey, to_hex(*manifest.base));
  return signed_file(std::move(object), kContext, key);
}

Result<std::string> write_manifest(const BaseManifest& manifest, const SigningKey& key) {
  NUDGE_TRY(check_common(manifest.robot, manifest.report, manifest.created));
  FlatObject object;
  object.set("format", std::uint64_t{BaseManifest::kFormat});
  object.set("hash", to_hex(manifest.hash));
  object.set("size", std::uint64_t{manifest.size});
  object.set("report", manifest.report);
  object.set("created_ns", nanoseconds(manifest.created));
  object.set("robot", manifest.robot);
  return signed_file(std::move(object), kBaseContext, key);
}

Result<Manifest> read_manifest(std::string_view text, const PublicKey& key) {
  const Result<FlatObject> object = verified(text, kContext, Manifest::kFormatWithBase, key);
  if (!object.ok()) return object.status();
  // Signed by us, so what follows can only fail for a bug or another build's manifest.
  std::uint64_t format = 0;
  NUDGE_TRY(read_number(*object, "format", format));
  const bool with_base = format == Manifest::kFormatWithBase;
  if (object->values().size() != kFields + (with_base ? 1 : 0)) {
    return data_loss("manifest: has unknown fields");
  }
  Manifest manifest;
  NUDGE_TRY(read_number(*object, "version", manifest.version));
  NUDGE_TRY(read_number(*object, "size", manifest.size));
  NUDGE_TRY(read_number(*object, "parent", manifest.parent));
  NUDGE_TRY(read_text(*object, "report", manifest.report));
  NUDGE_TRY(read_text(*object, "robot", manifest.robot));
  NUDGE_TRY(read_hash(*object, "hash", manifest.hash));
  if (with_base) NUDGE_TRY(read_hash(*object, kBaseKey, manifest.base.emplace()));
  std::string kind;
  NUDGE_TRY(read_text(*object, "kind", kind));
  if (kind != name_of(WeightsKind::kFull) && kind != name_of(WeightsKind::kProvisional)) {
    return data_loss("manifest: the kind is neither full nor provisional");
  }
  manifest.kind =
      kind == name_of(WeightsKind::kFull) ? WeightsKind::kFull : WeightsKind::kProvisional;
  NUDGE_TRY(read_time(*object, manifest.created));
  if (const Status range = check(manifest); !range.ok()) return data_loss(range.message());
  return manifest;
}

Result<BaseManifest> read_base_manifest(std::string_view text, const PublicKey& key) {
  const Result<FlatObject> object = verified(text, kBaseContext, BaseManifest::kFormat, key);
  if (!object.ok()) return object.status();
  if (object->values().size() != kFieldsOfBase) return data_loss("manifest: has unknown fields");
  BaseManifest manifest;
  NUDGE_TRY(read_number(*object, "size", manifest.size));
  NUDGE_TRY(read_text(*object, "report", manifest.report));
  NUDGE_TRY(read_text(*object, "robot", manifest.robot));
  NUDGE_TRY(read_hash(*object, "hash", manifest.hash));
  NUDGE_TRY(read_time(*object, manifest.created));
  const Status range = check_common(manifest.robot, manifest.report, manifest.created);
  if (!range.ok()) return data_loss(range.message());
  return manifest;
}

}  // namespace nudge
