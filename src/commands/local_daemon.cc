#include "src/commands/local_daemon.h"

#include <nlohmann/json.hpp>

#include "src/daemon/entrance.h"
#include "src/ports/access.h"

namespace nudge {

Result<std::string> ask_daemon(Folder& run, const std::string& method, const std::string& path,
                               const std::string& body) {
  constexpr Duration kPatience = std::chrono::seconds(10);
  Result<LocalDoor> door = read_local_door(run);
  if (door.status().code() == Code::kNotFound) {
    return unavailable("another program has the state folder, or the daemon is just starting");
  }
  if (!door.ok()) return door.status();
  const Result<Access> access = Access::load_or_create(run);
  if (!access.ok()) return access.status();
  const Result<HttpAnswer> answer =
      call(*door,
           {.method = method, .path = path, .token = access->token(Role::kEngineer), .body = body},
           kPatience);
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
