// A bucket of tokens for each caller, for as many callers as there is room.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "src/ports/token_bucket.h"

namespace nudge {

class RateTable {
 public:
  // `most`: callers that are remembered, at least one. Beyond it the one that has asked for nothing
  // longest is forgotten; where callers are fewer than that a second, its bucket was full again.
  RateTable(double per_second, std::size_t most) : rate_(per_second), most_(most) {}

  // Whether the caller's bucket had one more in it. The first a second's worth always are.
  bool take(std::string_view caller, Instant now) {
    const auto known = places_.find(caller);
    if (known != places_.end()) {
      by_use_.splice(by_use_.begin(), by_use_, known->second);
    } else {
      if (places_.size() >= most_) {
        places_.erase(by_use_.back().name);
        by_use_.pop_back();
      }
      by_use_.push_front({.name = std::string(caller), .bucket = TokenBucket(rate_, now)});
      places_.emplace(by_use_.front().name, by_use_.begin());
    }
    return by_use_.front().bucket.take(now);
  }

  std::size_t size() const { return places_.size(); }

 private:
  struct Caller {
    std::string name;
    TokenBucket bucket;
  };
  double rate_;
  std::size_t most_;
  std::list<Caller> by_use_;                                        // newest first
  std::map<std::string_view, std::list<Caller>::iterator> places_;  // names are those of the list
};

}  // namespace nudge
