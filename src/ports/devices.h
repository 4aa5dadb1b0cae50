// The devices that people have paired: who they are, which tokens they have, and the file that
// keeps them over restarts. Of a secret only its hash is kept, in memory and on disk.
//
// A device has a token for requests, which ends after 15 minutes, and a refresh that buys the next
// pair of both and is used up by that. One that comes again when the next pair is in use has been
// copied: the device is revoked, whoever of the two was first. (RFC 9700, 4.14.2.) Until then the
// answer may have been lost, be it with the daemon: the same is given again, or, after a restart,
// another in its place.
//
// Times are of a clock that may be wrong, where a machine has no battery for it: what a device is
// known by never goes back, and a time of before the clock was set is none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"
#include "nudge/types.h"
#include "src/ports/http_message.h"

namespace nudge {

inline constexpr const char* kDevicesFile = "devices.json";

// Of a name, "supervisor"; none: not a role that a device may have.
std::optional<Role> device_role(std::string_view name);

struct Device {
  std::string id;    // "d-" and 16 hexadecimal digits
  std::string name;  // 1 to 64 printable bytes, as its person called it
  Role role = Role::kSupervisor;
  std::string robot;          // that it was paired with
  WallTime paired{}, seen{};  // seen: its newest refresh; never goes back
};

// What a device is given; the only place where its secrets exist in clear.
struct Grant {
  Device device;
  std::string token, refresh;
  WallTime expires{};  // of the token
};

// One thread.
class Devices {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kMaxFile = 256u << 10;
  static constexpr Duration kTokenLife = std::chrono::minutes(15);
  static constexpr Duration kUnused = std::chrono::hours(24 * 90);  // then it is forgotten
  // The same answer is given again for so long, for tabs that ask at once; and beyond, until its
  // token has been used: it was lost on the way.
  static constexpr Duration kRetry = std::chrono::seconds(10);

  // `robot`: only its devices are let in; those of others stay in the file.
  explicit Devices(std::string robot) : robot_(std::move(robot)) {}
  // What encode() has written. kDataLoss when it is no such text; kUnimplemented: of a newer
  // version.
  static Result<Devices> decode(std::string_view text, std::string robot);
  std::string encode() const;

  Status has_room() const;  // kResourceExhausted: as many as there may be
  // `name` as in Device. kResourceExhausted: as many as there may be.
  Result<Grant> pair(const std::string& name, Role role, WallTime now);

  struct Refreshed {
    std::optional<Grant> grant;          // none: nobody's refresh, or a used one
    std::optional<std::string> revoked;  // the device whose refresh was used twice
  };
  Refreshed refresh(std::string_view refresh, WallTime now);

  // Whose token this is, compared in constant time; none: nobody's, expired, another robot's. Notes
  // that the token has arrived.
  std::optional<Caller> who_is(std::string_view token, WallTime now);

  bool revoke(std::string_view id);  // false: no such device
  // Forgets what has been unused for too long; gives their ids.
  std::vector<std::string> expire(WallTime now);

  // Whether a token of the device is in time.
  bool has_token(std::string_view id, WallTime now) const;
  // The newest time that is known of any device: it is not earlier now. 0: there is none.
  WallTime newest() const;
  // Whether what encode() gives has become another since the call before, by who_is().
  bool take_change() { return std::exchange(changed_, false); }

  std::vector<Device> list() const;  // in the order in which they were paired
  static WallTime expiry(const Device& device) { return device.seen + kUnused; }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Token {
    Digest digest{};
    WallTime expires{};
  };
  struct Entry {
    Device device;
    // The first part of a refresh is the same for the life of the device, and tells a used one from
    // one that never was.
    Digest family{}, refresh{};
    std::vector<Token> tokens;  // newest last; at most two, for tabs that have the one before
    // Of the newest rotation, until its answer's token has been used: the refresh that bought it.
    std::optional<Digest> used;
    // And for kRetry longer, in memory only: what it was answered with.
    Digest answered_for{};
    std::optional<Grant> answer;
    WallTime answered{};
  };

  static Digest digest_of(std::string_view text);
  Grant issue(Entry& entry, std::string family, WallTime now);
  Grant rotate(Entry& entry, std::string_view refresh, WallTime now);
  // Whether the newest rotation's answer may still be given again.
  static bool may_repeat(const Entry& entry, WallTime now);
  static bool is_forgotten(const Device& device, WallTime now);

  std::string robot_;
  std::vector<Entry> entries_;
  bool changed_ = false;
};

}  // namespace nudge
