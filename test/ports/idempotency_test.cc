#include "src/ports/idempotency.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using std::chrono::minutes;

class IdempotencyTest : public testing::Test {
 protected:
  IdempotencyTest() { request_ = of("anna", "{\"type\":\"hand_back\"}"); }

  static HttpRequest of(const std::string& name, const std::string& body) {
    HttpRequest request;
    request.method = "POST";
    request.path = "/api/v1/feedback";
    request.body = body;
    request.actor = Actor{name, Role::kSupervisor};
    return request;
  }
  // What is to answer the request; none: it is not to be performed.
  std::optional<IdempotentAnswers::Respond> take(const HttpRequest& request,
                                                 const std::string& key = "k-1") {
    return answers_.take(
        key, request, [this](HttpResponse answer) { got_.push_back(std::move(answer)); }, now_);
  }
  static HttpResponse with(int status, const std::string& body = "{}") {
    HttpResponse response;
    response.status = status;
    response.body = body;
    return response;
  }

  IdempotentAnswers answers_{minutes(1), /*most=*/4};
  HttpRequest request_;
  Instant now_{minutes(10)};
  std::vector<HttpResponse> got_;
};

TEST_F(IdempotencyTest, ARequestThatIsSentAgainIsNotPerformedAndGetsTheSameAnswer) {
  auto first = take(request_);
  ASSERT_TRUE(first);
  (*first)(with(409, "busy"));
  EXPECT_FALSE(take(request_));
  ASSERT_EQ(got_.size(), 2u);
  for (const HttpResponse& answer : got_) {
    EXPECT_EQ(answer.status, 409);
    EXPECT_EQ(answer.body, "busy");
  }
}

TEST_F(IdempotencyTest, OneThatComesBeforeTheAnswerWaitsForIt) {
  auto first = take(request_);
  EXPECT_FALSE(take(request_));
  EXPECT_TRUE(got_.empty());
  (*first)(with(200));
  EXPECT_EQ(got_.size(), 2u);
}

TEST_F(IdempotencyTest, AnotherRequestUnderAUsedKeyIsRefused) {
  take(request_);
  HttpRequest elsewhere = request_, conditional = request_;
  elsewhere.path = "/api/v1/other";
  conditional.if_match = "\"a\"";
  for (const HttpRequest& other : {of("anna", "{}"), elsewhere, conditional}) {
    EXPECT_FALSE(take(other));
    ASSERT_FALSE(got_.empty());
    EXPECT_EQ(got_.back().status, 422);
    EXPECT_EQ(got_.back().content_type, kProblemType);
  }
}

TEST_F(IdempotencyTest, KeysAreEachCallersOwn) {
  EXPECT_TRUE(take(request_));
  EXPECT_TRUE(take(of("ben", request_.body)));
  HttpRequest device = request_, nobody = request_;
  device.device = "d-1";
  nobody.actor.reset();
  nobody.peer = "anna";
  EXPECT_TRUE(take(device));
  EXPECT_TRUE(take(nobody));
}

TEST_F(IdempotencyTest, WhatMayBeTriedAgainIsTriedAgain) {
  for (const int status : {429, 500, 503, 507}) {
    auto first = take(request_);
    ASSERT_TRUE(first) << status;
    (*first)(with(status));
    EXPECT_EQ(got_.back().status, status);
  }
  auto last = take(request_);
  ASSERT_TRUE(last);
  (*last)(with(200));
  EXPECT_FALSE(take(request_));
  EXPECT_EQ(got_.back().status, 200);
}

TEST_F(IdempotencyTest, AnAnswerIsKeptForItsTimeAndNotLonger) {
  auto first = take(request_);
  (*first)(with(200));
  now_ += minutes(1) - Duration(1);
  EXPECT_FALSE(take(request_));
  now_ += Duration(1);
  answers_.expire(now_);
  EXPECT_EQ(answers_.size(), 0u);
  EXPECT_TRUE(take(request_));
}

TEST_F(IdempotencyTest, TheOldestKeyGivesWayWhenThereAreTooMany) {
  for (int i = 0; i < 6; ++i) {
    now_ += Duration(1);
    EXPECT_TRUE(take(request_, "k-" + std::to_string(i)));
    EXPECT_LE(answers_.size(), 4u);
  }
  EXPECT_FALSE(take(request_, "k-5"));
  EXPECT_TRUE(take(request_, "k-0"));
}

TEST_F(IdempotencyTest, AnAnswerMayComeWhenNobodyKeepsItAnyMore) {
  std::optional<IdempotentAnswers::Respond> late;
  {
    IdempotentAnswers gone(minutes(1));
    late = gone.take(
        "k-1", request_, [this](HttpResponse answer) { got_.push_back(std::move(answer)); }, now_);
  }
  (*late)(with(200));
  EXPECT_EQ(got_.size(), 1u);
}

}  // namespace
}  // namespace nudge
