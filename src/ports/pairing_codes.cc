#include "src/ports/pairing_codes.h"

#include <sodium.h>

#include <algorithm>

#include "src/ports/addresses.h"

namespace nudge {
namespace {

// Without 0 O, 1 I L, U (V).
constexpr std::string_view kAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kLength = 8;

std::string plain(std::string_view code) {
  std::string text;
  for (const char c : code) {
    if (c == '-' || c == ' ') continue;
    text.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return text;
}

}  // namespace

std::string PairingCodes::make(Role role, Instant now) {
  std::erase_if(codes_, [&](const Code& code) { return now >= code.until; });
  if (codes_.size() >= kMost) codes_.erase(codes_.begin());
  std::string text;
  for (std::size_t i = 0; i < kLength; ++i) {
    text.push_back(kAlphabet[randombytes_uniform(static_cast<std::uint32_t>(kAlphabet.size()))]);
  }
  codes_.push_back({text, role, now + kLife});
  return text.insert(kLength / 2, "-");
}

bool PairingCodes::may_try(Tries& tries, double most, Duration next, Instant now) {
  tries.left = std::min(most, tries.left + seconds(now - tries.at) / seconds(next));
  tries.at = now;
  return tries.left >= 1;
}

Result<Role> PairingCodes::redeem(std::string_view code, const std::string& address, Instant now) {
  // Whoever has all tries again need not be remembered; so few wrong ones are looked at that there
  // are never many.
  for (auto at = of_one_.begin(); at != of_one_.end();) {
    may_try(at->second, kTriesOfOne, kNextOfOne, now);
    at = at->second.left >= kTriesOfOne ? of_one_.erase(at) : std::next(at);
  }
  const std::string from = network_of(address);
  const auto known = of_one_.find(from);
  if ((known != of_one_.end() && known->second.left < 1) ||
      !may_try(of_all_, kTriesOfAll, kNextOfAll, now)) {
    return resource_exhausted("too many wrong codes; wait a minute and try again");
  }
  const std::string wanted = plain(code);
  std::size_t found = codes_.size();
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    const bool right = wanted.size() == kLength &&
                       sodium_memcmp(wanted.data(), codes_[i].text.data(), kLength) == 0;
    if (right && now < codes_[i].until) found = i;
  }
  if (found == codes_.size()) {
    of_one_.try_emplace(from, Tries{kTriesOfOne, now}).first->second.left -= 1;
    of_all_.left -= 1;
    return permission_denied("this code is wrong, used or too old; ask for a new one");
  }
  const Role role = codes_[found].role;
  codes_.erase(codes_.begin() + static_cast<std::ptrdiff_t>(found));
  return role;
}

}  // namespace nudge
