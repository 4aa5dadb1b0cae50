// The messages of the openpi policy protocol: MessagePack with NumPy arrays, as the openpi client
// packs them. docs/reference/openpi-port.md specifies what is taken and what is sent. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

inline constexpr std::size_t kMaxOpenpiMessage = 32u << 20;  // bytes; three raw 1080p cameras
inline constexpr std::size_t kMaxOpenpiDepth = 8;            // of maps and lists
inline constexpr std::size_t kMaxOpenpiValues = 4096;        // in one message, keys included
inline constexpr std::size_t kMaxOpenpiText = 4096;          // bytes of a text or a key
inline constexpr std::size_t kMaxOpenpiRank = 4;

// An array of NumPy as it came: C order.
struct OpenpiArray {
  std::string dtype;               // NumPy's name: "<f4", "|u1"
  std::vector<std::size_t> shape;  // empty: a single number
  std::string_view bytes;          // as many as dtype and shape say

  std::size_t count() const;
};

// What stands at one place of a message. A list of numbers is an array of "<f8".
using OpenpiValue = std::variant<std::monostate, bool, double, std::string, OpenpiArray>;

// A message, flat: maps within maps are joined by a slash, {"images": {"top": ...}} is at
// "images/top", as is {"images/top": ...}. Views into the bytes it was read from.
class OpenpiMessage {
 public:
  // kInvalidArgument: not one whole MessagePack map within the bounds above, a key twice, or an
  // array whose bytes do not fit its dtype and shape. The message says which key. Keys may be text
  // or bytes. An array of anything but numbers and truth values reads as nothing.
  static Result<OpenpiMessage> parse(std::string_view bytes);

  // Null: no such key.
  const OpenpiValue* find(std::string_view key) const;
  const std::map<std::string, OpenpiValue, std::less<>>& fields() const { return fields_; }
  // Empty: no such key, or no text there.
  std::string_view text(std::string_view key) const;

 private:
  friend class OpenpiReader;
  std::map<std::string, OpenpiValue, std::less<>> fields_;
  std::vector<std::vector<double>> lists_;  // what arrays of lists look at
};

// The numbers of an array of any numeric dtype, or of a single number. kInvalidArgument for
// anything else. Finiteness is the reader's to judge.
Result<std::vector<double>> openpi_numbers(const OpenpiValue& value);

// A picture: u8, [height, width, 3] or [3, height, width]; a leading 1 is dropped. Only width,
// height and rgb are filled in. kInvalidArgument otherwise.
Result<Image> openpi_image(const OpenpiValue& value);

// A chunk of actions. Values keep the dtype and the bytes that an upstream gave them.
struct OpenpiChunk {
  std::size_t horizon = 0;
  std::size_t width = 0;
  std::string dtype = "<f8";
  std::string bytes;            // of that dtype, [horizon, width]
  std::vector<double> numbers;  // the same, [horizon * width]
};
// "actions" of a reply. kInvalidArgument: none, not two-dimensional, or not of numbers.
Result<OpenpiChunk> openpi_actions(const OpenpiMessage& reply);
// The numbers in `dtype`, where that is one of floating point; as float64 where it is not. Each is
// rounded to the nearest, and `numbers` are those that the bytes hold.
OpenpiChunk make_openpi_chunk(std::size_t horizon, std::size_t width, std::vector<double> numbers,
                              const std::string& dtype);
// The number of `dtype` next to `number` that is not beyond it, as seen from `towards`: what a
// limit allows must not be rounded past it. `number` itself where it is not finite, or `dtype` is
// none of floating point.
double openpi_number_within(double number, double towards, std::string_view dtype);

// ---- what is sent ---------------------------------------------------------------------------

// What a reply says of itself, for clients that look; others do not see it.
struct OpenpiNote {
  std::string source;     // "policy", "upstream", "edited", "human", "hold"
  std::string state;      // of the authority: "AUTO"
  bool as_is = false;     // the upstream's numbers, untouched
  double infer_ms = 0;    // from the request to this reply
  std::string trouble{};  // for people; empty: none
};

// {"actions": ..., "server_timing": {"infer_ms": ...}, "hil": {...}}, all keys but those of the
// array as text.
std::string encode_openpi_reply(const OpenpiChunk& chunk, const OpenpiNote& note);

// An upstream's reply, byte for byte, with "hil" as one more entry. The reply itself where it has
// one already. `reply` was parsed.
std::string with_openpi_note(std::string_view reply, const OpenpiNote& note);

// An upstream's reply with other actions of the same dtype and shape, everything else byte for
// byte. None: its actions are of another dtype or size. `reply` was parsed.
std::optional<std::string> with_openpi_actions(std::string_view reply, const OpenpiChunk& chunk);

// What robot engineers' programs may want to know before they ask.
struct OpenpiMetadata {
  std::string robot;
  std::string program;
  std::size_t horizon = 0;
  std::size_t action_size = 0;
  double hz = 0;
  std::vector<std::string> action;  // names of the channels
  std::vector<std::string> cameras;
  std::string upstream{};  // MessagePack map that an upstream began with; empty: none
};
// The upstream's own entries and "hil"; the first frame of a connection.
std::string encode_openpi_metadata(const OpenpiMetadata& metadata);

// An observation with another text at `key` on its top level, everything else byte for byte. None:
// the message has no text there.
std::optional<std::string> with_openpi_text(std::string_view observation, std::string_view key,
                                            std::string_view text);

}  // namespace nudge
