#include "src/ports/http_message.h"

#include <sodium.h>

#include <array>
#include <nlohmann/json.hpp>

#include "src/ports/http_rules.h"

namespace nudge {
namespace {

// A value that came from elsewhere must not end its line.
void add_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) head.push_back(c);
  }
  head.append("\r\n");
}

}  // namespace

Actor actor_of(const HttpRequest& request) {
  Actor actor = *request.actor;
  if (!request.device.empty()) actor.name = marked_name(actor.name, "#" + request.device);
  return actor;
}

std::string etag_of(std::string_view content) {
  std::array<unsigned char, 16> digest{};
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                     nullptr, 0);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string tag = "\"";
  for (const unsigned char byte : digest) tag.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return tag + "\"";
}

HttpResponse problem(int status, std::string_view code, std::string_view detail) {
  const nlohmann::ordered_json body = {{"type", "about:blank"},
                                       {"title", reason_phrase(status)},
                                       {"status", status},
                                       {"detail", detail},
                                       {"code", code}};
  HttpResponse response;
  response.status = status;
  response.content_type = kProblemType;
  // A detail may quote what a peer sent, which need not be UTF-8.
  response.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return response;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

std::string response_head(const HttpResponse& response, bool keep_alive) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head.append(reason_phrase(response.status)).append("\r\n");
  for (const HttpField& field : kSecurityFields) add_field(head, field.name, field.value);
  add_field(head, "Cache-Control", response.cache_control);
  if (!response.etag.empty()) add_field(head, "ETag", response.etag);
  if (!response.allow.empty()) add_field(head, "Allow", response.allow);
  if (!response.location.empty()) add_field(head, "Location", response.location);
  if (response.retry_after_s > 0) {
    add_field(head, "Retry-After", std::to_string(response.retry_after_s));
  }
  if (response.status == 401) add_field(head, "WWW-Authenticate", "Bearer");
  if (response.status != 204 && response.status != 304) {
    add_field(head, "Content-Type", response.content_type);
    const std::size_t bytes =
        response.lasting.empty() ? response.body.size() : response.lasting.size();
    add_field(head, "Content-Length", std::to_string(bytes));
  }
  if (response.status == 426) {
    add_field(head, "Upgrade", "websocket");
    add_field(head, "Sec-WebSocket-Version", "13");
  }
  // Of 426, RFC 9110 also wants the upgrade named here.
  add_field(head, "Connection",
            response.status == 426 ? "upgrade, close" : (keep_alive ? "keep-alive" : "close"));
  head.append("\r\n");
  return head;
}

}  // namespace nudge
