// Any text as a manifest. First as it is: nothing is accepted, as nobody else has the key. Then
// signed with the key that is expected, so that the checks behind the signature are reached as
// well.
#include <sodium.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "policy/flat_object.h"
#include "policy/manifest.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// A folder with one key file in memory.
class KeyFolder final : public nudge::Folder {
 public:
  nudge::Result<std::vector<std::byte>> read(const std::string&, std::uint64_t, Privacy) override {
    const std::string text = "nudge-signing-key-1 " + std::string(64, '7') + "\n";
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    return std::vector<std::byte>(begin, begin + text.size());
  }
  nudge::Status create(const std::string&, std::span<const std::byte>, Privacy) override {
    return nudge::internal("read only");
  }
  nudge::Status rename(const std::string&, const std::string&) override {
    return nudge::internal("read only");
  }
  nudge::Status remove(const std::string&) override { return nudge::internal("read only"); }
  nudge::Status sync() override { return {}; }
  nudge::Result<std::vector<std::string>> list() override { return std::vector<std::string>(); }
};

const nudge::SigningKey& key() {
  static const nudge::SigningKey key = [] {
    KeyFolder folder;
    return std::move(*nudge::SigningKey::load_or_create(folder));
  }();
  return key;
}

template <typename Bytes>
std::string hex(const Bytes& bytes) {
  std::string text(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)nudge::read_manifest(text, key().public_key());
  (void)nudge::read_base_manifest(text, key().public_key());

  auto object = nudge::FlatObject::parse(text);
  if (!object.ok()) return 0;
  const auto round = object->dump();
  require(round.ok());
  const auto again = nudge::FlatObject::parse(*round);
  require(again.ok() && *again == *object);

  nudge::FlatObject body;
  for (const auto& [name, value] : object->values()) {
    if (name != "signature") body.set(name, value);
  }
  body.set("key", hex(key().public_key()));
  const std::string signed_body = *body.dump();
  const auto file_of = [&](const char* context) {
    nudge::FlatObject whole = body;
    whole.set("signature", hex(key().sign(context + signed_body)));
    return *whole.dump() + "\n";
  };
  const std::string of_version = file_of("nudge.weights.manifest\n");
  const auto manifest = nudge::read_manifest(of_version, key().public_key());
  if (manifest.ok()) {
    const auto written = nudge::write_manifest(*manifest, key());
    require(written.ok() && *written == of_version);
  }
  const std::string of_base = file_of("nudge.base.manifest\n");
  const auto base = nudge::read_base_manifest(of_base, key().public_key());
  if (base.ok()) {
    const auto written = nudge::write_manifest(*base, key());
    require(written.ok() && *written == of_base);
  }
  return 0;
}
