#include "src/commands/local_daemon.h"

#include <nlohmann/json.hpp>

#include "src/ports/http_client.h"

namespace nudge {

Result<std::string> ask_daemon(const std::string& state_folder, const std::string& method,
                               const std::string& path, const std::string& body,
                               Duration patience) {
  const Result<HttpAnswer> answer =
      call(state_folder + "/run", {.method = method, .path = path, .body = body}, patience);
  if (answer.status().code() == Code::kUnavailable) {
    return unavailable(
        "the state folder is in use, and its daemon is not (yet) to be asked: another command has "
        "it, or the daemon is starting or stopping; try again (" +
        answer.status().message() + ")");
  }
  if (!answer.ok()) return answer.status();
  if (answer->status >= 200 && answer->status < 300) return answer->body;
  const auto json = nlohmann::json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
  // A problem (RFC 9457) says it in "detail", the answer to a message in "message".
  std::string detail = "the daemon answered with " + std::to_string(answer->status);
  for (const char* name : {"detail", "message"}) {
    if (json.is_object() && json.contains(name) && json[name].is_string()) {
      detail = json[name].get<std::string>();
      break;
    }
  }
  switch (answer->status) {
    case 401:
    case 403: return permission_denied(detail);
    case 404: return not_found(detail);
    case 507: return resource_exhausted(detail);
    default: return unavailable(detail);
  }
}

}  // namespace nudge
