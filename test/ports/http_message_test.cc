#include "src/ports/http_message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace nudge {
namespace {

TEST(HttpMessage, MakesProblemsOfRfc9457) {
  const HttpResponse response = problem(404, "not_found", "no \"such\" thing");
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body, R"({"type":"about:blank","title":"Not Found","status":404,)"
                           R"("detail":"no \"such\" thing","code":"not_found"})");
}

TEST(HttpMessage, QuotesBytesThatAreNotUtf8WithoutFailing) {
  EXPECT_TRUE(nlohmann::json::accept(problem(400, "invalid_argument", "got \xff\xfe").body));
}

TEST(HttpMessage, CannotBeGivenAnotherFieldByAValue) {
  HttpResponse response;
  response.etag = "\"a\"\r\nSet-Cookie: evil=1";
  EXPECT_EQ(response_head(response, true).find("\r\nSet-Cookie"), std::string::npos);
}

}  // namespace
}  // namespace nudge
