#include "src/ports/idempotency.h"

#include <sodium.h>

#include <array>
#include <utility>

namespace nudge {
namespace {

// Whose key it is. No two kinds of callers share a beginning, and names are not unique.
std::string caller_of(const HttpRequest& request) {
  if (!request.device.empty()) return "device " + request.device;
  if (request.actor) {
    return "token " + std::to_string(static_cast<int>(request.actor->role)) + " " +
           request.actor->name;
  }
  return "peer " + request.peer;
}

std::string fingerprint_of(const HttpRequest& request) {
  std::array<unsigned char, 32> digest{};
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, digest.size());
  // No part holds a NUL but the last.
  for (const std::string* part :
       {&request.method, &request.path, &request.if_match, &request.body}) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(part->c_str()),
                              part->size() + 1);
  }
  crypto_generichash_final(&state, digest.data(), digest.size());
  return {digest.begin(), digest.end()};
}

bool may_be_tried_again(int status) { return status == 429 || status >= 500; }

}  // namespace

std::optional<IdempotentAnswers::Respond> IdempotentAnswers::take(std::string_view key,
                                                                  const HttpRequest& request,
                                                                  Respond respond, Instant now) {
  expire(now);
  std::string name = caller_of(request) + '\n' + std::string(key);
  std::string fingerprint = fingerprint_of(request);
  if (const auto found = entries_.find(name);
      found != entries_.end() && !found->second->forgotten) {
    Entry& entry = *found->second;
    if (entry.fingerprint != fingerprint) {
      respond(
          problem(422, to_string(Code::kAlreadyExists),
                  "this Idempotency-Key was used for another request; make a new one for each"));
    } else if (entry.answer) {
      respond(*entry.answer);
    } else {
      entry.waiting.push_back(std::move(respond));
    }
    return std::nullopt;
  }
  auto entry = std::make_shared<Entry>();
  entry->fingerprint = std::move(fingerprint);
  entry->since = now;
  entry->waiting.push_back(std::move(respond));
  entries_.insert_or_assign(name, entry);
  order_.emplace_back(std::move(name), entry);
  if (order_.size() > most_) drop_oldest();
  return [entry](HttpResponse response) {
    const std::vector<Respond> waiting = std::exchange(entry->waiting, {});
    if (may_be_tried_again(response.status)) {
      entry->forgotten = true;
    } else {
      entry->answer = response;
    }
    for (const Respond& answer : waiting) answer(response);
  };
}

void IdempotentAnswers::expire(Instant now) {
  while (!order_.empty() && now - order_.front().second->since >= keep_) drop_oldest();
}

void IdempotentAnswers::drop_oldest() {
  const auto& [name, entry] = order_.front();
  // The key may have been taken anew, by one that is further behind.
  if (const auto found = entries_.find(name); found != entries_.end() && found->second == entry) {
    entries_.erase(found);
  }
  order_.pop_front();
}

}  // namespace nudge
