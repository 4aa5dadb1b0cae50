// How much each caller may send in a second, and what is taken beyond it: no rate stands between a
// person and what ends the robot's motion, or takes it from whoever moves it. STOP, hold, takeover,
// release and words that say stop are brakes here.
//
// A caller is a paired device, whoever shows one token of the machine, the commands on this
// machine, or, without a token, an address. REST and all live connections of one have one rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nudge/event.h"
#include "nudge/status.h"
#include "nudge/time.h"
#include "src/ports/http_message.h"
#include "src/ports/rate_table.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {

// Each with a second's worth at once.
struct CallerRatesOptions {
  // Of one caller: requests that only look, and what is kept or decided.
  double reads_per_second = 400, acts_per_second = 50;
  // Brakes are exempt from the latter, and are then bounded by this, over REST.
  double brakes_per_second = 20;
  // Of one address, without a token.
  double public_reads_per_second = 200, public_acts_per_second = 20;
};

// The io thread. Times are of the robot's steady clock. What is answered with false is counted.
class CallerRates {
 public:
  // Bytes of a brake that is taken beyond the rate; a STOP with the longest id is half of it.
  static constexpr std::size_t kMaxBrakeText = 256;

  explicit CallerRates(const CallerRatesOptions& options);

  // A request, by its head; `body_bytes` as HttpHandler::turn_away() has it. True as well, but with
  // `beyond_rate` noted, of one beyond its rate whose body may be a brake: it needs to be spared.
  bool take(HttpRequest& head, std::optional<std::uint64_t> body_bytes, Instant now);
  // Of a request with `beyond_rate`: whether its body may be a brake, by its bytes; then, whether
  // what was understood of it is one, and within the rate of brakes or ends motion that there may
  // be in `state`.
  bool may_spare(std::string_view body);
  bool spare(const Result<ClientMessage>& message, const HttpRequest& request, AuthorityState state,
             Instant now);

  // A message of a live connection. Only acts have a rate here, and no brake has.
  bool take(const ClientMessage& message, const Actor& actor, const std::string& device,
            Instant now);

  std::uint64_t limited() const { return limited_; }  // requests and messages: false so far

 private:
  bool counted(bool taken);

  RateTable reads_, acts_, brakes_, public_reads_, public_acts_;
  std::uint64_t limited_ = 0;
};

}  // namespace nudge
