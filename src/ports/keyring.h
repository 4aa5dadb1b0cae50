// Which CURVE keys may come in through the ZeroMQ ports, and whose they are: a small file that
// `nudge auth key` writes and the daemon reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/types.h"
#include "src/ports/curve.h"

namespace nudge {

inline constexpr const char* kKeyringFile = "keys.json";  // in the state folder's run/, mode 0600

// A value type.
class Keyring {
 public:
  enum class Use : std::uint8_t { kRobot, kTeleop };  // which port it opens
  struct Entry {
    std::string name;  // of the person or the machine, [A-Za-z0-9_.-]{1,40}; no two are alike
    Use use = Use::kTeleop;
    Role role = Role::kSupervisor;  // of the teleop port; a robot has none
    CurveKey key{};
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kMaxFile = 64u << 10;

  // kDataLoss: no such file, or two entries share a name or a key.
  static Result<Keyring> decode(std::string_view text);
  std::string encode() const;

  const std::vector<Entry>& list() const { return entries_; }
  // Who comes in through the port with this key; none: nobody. In constant time for each entry.
  std::optional<Actor> who_is(Use use, const CurveKey& key) const;

  // kInvalidArgument: a name that cannot be; kAlreadyExists: name or key is there;
  // kResourceExhausted.
  Status add(Entry entry);
  bool remove(std::string_view name);

 private:
  std::vector<Entry> entries_;
};

std::string_view to_string(Keyring::Use use);  // "robot", "teleop"

}  // namespace nudge
