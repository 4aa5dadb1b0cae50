// Answers to requests with an Idempotency-Key: one that is sent again changes nothing and gets the
// same answer. Kept in memory; a message's id, which is in the log, says so over restarts.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/ports/http_server.h"

namespace nudge {

// Lives on the loop's thread.
class IdempotentAnswers {
 public:
  using Respond = HttpHandler::Respond;

  // `keep`: how long an answer is given again, from the request on. Beyond `most` keys the oldest
  // is forgotten.
  explicit IdempotentAnswers(Duration keep, std::size_t most = 4096) : keep_(keep), most_(most) {}

  // A request that is new is to be performed: answer it by what this returns, once, now or later,
  // also when this object is gone. None: it was dealt with. That is one that was sent before: it
  // gets the answer of the first, when there is one. Another request under a used key gets 422.
  //
  // An answer that says nothing was done, and that it may be tried again (429, 5xx), is not kept.
  // Keys are each caller's own.
  std::optional<Respond> take(std::string_view key, const HttpRequest& request, Respond respond,
                              Instant now);

  // Forgets what is too old. Call it now and then: some answers hold secrets.
  void expire(Instant now);

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string fingerprint;  // of the request
    Instant since;
    std::optional<HttpResponse> answer;
    bool forgotten = false;        // it was an answer that is not kept
    std::vector<Respond> waiting;  // for the answer; the first request's too
  };
  void drop_oldest();

  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;  // by caller and key
  std::deque<std::pair<std::string, std::shared_ptr<Entry>>> order_;    // oldest first
  Duration keep_;
  std::size_t most_;
};

}  // namespace nudge
