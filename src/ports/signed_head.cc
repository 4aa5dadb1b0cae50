#include "src/ports/signed_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "policy/flat_object.h"

namespace nudge {
namespace {

constexpr std::string_view kFormat = "nudge-log-head-1";

template <std::size_t N>
std::string hex_of(const std::array<std::uint8_t, N>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

template <std::size_t N>
Status read_hex(const FlatObject& object, const std::string& name,
                std::array<std::uint8_t, N>& out) {
  const Result<std::string> text = object.get<std::string>(name);
  if (!text.ok()) return text.status();
  bool good = text->size() == 2 * N;
  for (std::size_t i = 0; good && i < N; ++i) {
    // Lower case alone: equal heads have equal bytes.
    const char* at = text->data() + 2 * i;
    const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    good = plain(at[0]) && plain(at[1]) && std::from_chars(at, at + 2, out[i], 16).ptr == at + 2;
  }
  if (!good) return data_loss("\"" + name + "\" is no hex of " + std::to_string(N) + " bytes");
  return {};
}

FlatObject unsigned_object(const ChainHead& head, std::uint64_t wall_ms, const PublicKey& key) {
  FlatObject object;
  object.set("format", std::string(kFormat));
  object.set("key", hex_of(key));
  object.set("link", hex_of(head.link));
  object.set("sequence", std::uint64_t{head.sequence});
  object.set("wall_ms", wall_ms);
  return object;
}

}  // namespace

std::string SignedHead::sign(const SigningKey& key, const ChainHead& head, WallTime wall) {
  const auto since = wall.time_since_epoch() / std::chrono::milliseconds(1);
  FlatObject object = unsigned_object(
      head, static_cast<std::uint64_t>(std::max<std::int64_t>(since, 0)), key.public_key());
  object.set("signature", hex_of(key.sign(*object.dump())));  // hex and numbers: always UTF-8
  return *object.dump();
}

Result<SignedHead> SignedHead::parse(std::string_view line) {
  const auto wrong = [](const std::string& why) {
    return data_loss("this is no signed head of a log: " + why);
  };
  if (line.size() > kMaxBytes) return wrong("it is too long");
  const Result<FlatObject> object = FlatObject::parse(line);
  if (!object.ok()) return wrong(object.status().message());
  const Result<std::string> format = object->get<std::string>("format");
  if (!format.ok() || *format != kFormat) return wrong("its format is another");
  SignedHead signed_head;
  Signature signature{};
  const Result<std::uint64_t> sequence = object->get<std::uint64_t>("sequence");
  const Result<std::uint64_t> wall_ms = object->get<std::uint64_t>("wall_ms");
  for (const Status& status :
       {sequence.status(), wall_ms.status(), read_hex(*object, "key", signed_head.key),
        read_hex(*object, "link", signed_head.head.link),
        read_hex(*object, "signature", signature)}) {
    if (!status.ok()) return wrong(status.message());
  }
  constexpr std::uint64_t kLatest = INT64_MAX / 1'000'000;  // in WallTime's range
  if (*wall_ms > kLatest) return wrong("\"wall_ms\" is out of range");
  signed_head.head.sequence = *sequence;
  signed_head.wall = WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(*wall_ms)));
  const FlatObject covered = unsigned_object(signed_head.head, *wall_ms, signed_head.key);
  if (object->values().size() != covered.values().size() + 1) return wrong("it has other fields");
  if (!verify(signed_head.key, *covered.dump(), signature)) {
    return data_loss("the signature of a log's head is wrong: it was changed");
  }
  return signed_head;
}

Result<HeadSeal> HeadSeal::open(const std::string& path) {
  Result<std::unique_ptr<Folder>> folder = open_folder(path);
  if (!folder.ok()) return folder.status();
  Result<SigningKey> key = SigningKey::load_or_create(**folder);
  if (!key.ok()) return key.status().with_context(path);
  return HeadSeal(*std::move(folder), *std::move(key));
}

Status HeadSeal::write(const ChainHead& head, WallTime wall) {
  newest_ = SignedHead::sign(key_, head, wall);
  const std::string text = newest_ + "\n";
  return replace_file(*folder_, kFile, std::as_bytes(std::span(text)));
}

}  // namespace nudge
