#include "src/ports/caller_rates.h"

#include <gtest/gtest.h>

namespace nudge {
namespace {

using std::chrono::milliseconds;

class CallerRatesTest : public testing::Test {
 protected:
  static HttpRequest head(const std::string& method, std::optional<Role> role,
                          const std::string& peer = "10.0.0.9") {
    HttpRequest head;
    head.method = method;
    head.path = "/api/v1/feedback";
    if (role) head.actor = Actor{"somebody", *role};
    head.peer = peer;
    return head;
  }
  // Whether a request with a body that is too long for a brake is taken.
  bool look(Role role) { return take(head("GET", role)); }
  bool act(Role role, const std::string& device = {}, const std::string& peer = "10.0.0.9") {
    HttpRequest request = head("POST", role, peer);
    request.device = device;
    return take(std::move(request));
  }
  bool act_without_token(const std::string& peer) { return take(head("POST", std::nullopt, peer)); }
  bool take(HttpRequest request) { return rates_.take(request, 60'000, now_); }

  // A message over REST, of a caller who is beyond the rate of acts.
  bool spare(const FeedbackMessage& message, const std::string& device = {}) {
    HttpRequest request = head("POST", Role::kSupervisor);
    request.device = device;
    request.beyond_rate = true;
    return rates_.spare(ClientMessage(message), request, state_, now_);
  }
  template <typename Body>
  static FeedbackMessage message(Body body) {
    FeedbackMessage message;
    message.id = "m-1";
    message.actor = {"somebody", Role::kSupervisor};
    message.body = std::move(body);
    return message;
  }
  bool say(const ClientMessage& message, const std::string& device = {}) {
    return rates_.take(message, Actor{"anna#1", Role::kSupervisor}, device, now_);
  }
  void use_up_acts(const std::string& device = {}) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(act(Role::kSupervisor, device)) << i;
    ASSERT_FALSE(act(Role::kSupervisor, device));
  }

  Instant now_{std::chrono::hours(1)};
  AuthorityState state_ = AuthorityState::kHuman;
  CallerRates rates_{CallerRatesOptions{}};
};

TEST_F(CallerRatesTest, OneCallersRateIsNotAnothers) {
  use_up_acts();
  EXPECT_TRUE(act(Role::kEngineer));
  EXPECT_TRUE(act(Role::kSupervisor, "d-1"));
  use_up_acts("d-2");
  EXPECT_TRUE(act(Role::kSupervisor, "d-1"));
}

TEST_F(CallerRatesTest, CommandsOnThisMachineAreACallerOfTheirOwn) {
  use_up_acts();
  EXPECT_TRUE(act(Role::kSupervisor, "", "this machine"));
}

TEST_F(CallerRatesTest, LookingAndActingHaveARateEach) {
  use_up_acts();
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(look(Role::kSupervisor)) << i;
  EXPECT_FALSE(look(Role::kSupervisor));
  now_ += milliseconds(20);
  EXPECT_TRUE(act(Role::kSupervisor));
  EXPECT_FALSE(act(Role::kSupervisor));
}

TEST_F(CallerRatesTest, WhoShowsNoTokenIsRatedByAddress) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(act_without_token("10.0.0.9")) << i;
  EXPECT_FALSE(act_without_token("10.0.0.9"));
  EXPECT_TRUE(act_without_token("10.0.0.8"));
  EXPECT_TRUE(take(head("GET", std::nullopt))) << "who only looks goes on";
  // Of these anybody has as many as they like.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(act_without_token("2001:db8::" + std::to_string(i + 1))) << i;
  }
  EXPECT_FALSE(act_without_token("2001:db8::abcd"));
}

TEST_F(CallerRatesTest, BeyondTheRateTheBodyIsReadOnlyIfItMayBeABrake) {
  use_up_acts();
  const auto read = [&](const std::string& method, const std::string& path,
                        std::optional<std::uint64_t> bytes) {
    HttpRequest request = head(method, Role::kSupervisor);
    request.path = path;
    const bool taken = rates_.take(request, bytes, now_);
    EXPECT_EQ(taken, request.beyond_rate);
    return taken;
  };
  EXPECT_TRUE(read("POST", "/api/v1/feedback", 256));
  EXPECT_FALSE(read("POST", "/api/v1/feedback", 257));
  EXPECT_FALSE(read("POST", "/api/v1/feedback", std::nullopt)) << "nobody knows how long it is";
  EXPECT_FALSE(read("POST", "/api/v1/log/snapshot", 30));
  EXPECT_TRUE(rates_.may_spare(R"({"type":"stop","id":"a"})"));
  EXPECT_FALSE(rates_.may_spare(R"({"type":"label","id":"a"})"));
  EXPECT_FALSE(rates_.may_spare(R"({"type":"stop","id":"a"})" + std::string(256, ' ')));
}

TEST_F(CallerRatesTest, WithinTheRateNothingNeedsToBeSpared) {
  HttpRequest request = head("POST", Role::kSupervisor);
  EXPECT_TRUE(rates_.take(request, 30, now_));
  EXPECT_FALSE(request.beyond_rate);
}

TEST_F(CallerRatesTest, BrakesOfEachCallerHaveARateOfTheirOwn) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(spare(message(Release{}))) << i;
  EXPECT_FALSE(spare(message(Release{})));
  EXPECT_TRUE(spare(message(Release{}), "d-1"));
  EXPECT_TRUE(spare(message(Stop{}))) << "the robot may move";
  state_ = AuthorityState::kEstop;
  EXPECT_FALSE(spare(message(Stop{}))) << "it is stopped, and latched";
}

TEST_F(CallerRatesTest, OnlyBrakesAreSpared) {
  EXPECT_FALSE(spare(message(HandBack{})));
  EXPECT_FALSE(spare(message(LabelMessage{})));
  HttpRequest request = head("POST", Role::kSupervisor);
  EXPECT_FALSE(rates_.spare(invalid_argument("not JSON"), request, state_, now_));
}

TEST_F(CallerRatesTest, LiveMessagesShareTheRateOfActsAndBrakesHaveNone) {
  use_up_acts();
  EXPECT_FALSE(say(message(LabelMessage{})));
  EXPECT_FALSE(say(OperatorMessage{}));
  EXPECT_TRUE(say(message(LabelMessage{}), "d-1"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(say(message(Stop{})));
    ASSERT_TRUE(say(message(JogCommand{})));
    ASSERT_TRUE(say(Ping{}));
    ASSERT_TRUE(say(AskToDrive{}));
  }
}

TEST_F(CallerRatesTest, CountsWhatItRefuses) {
  use_up_acts();
  EXPECT_EQ(rates_.limited(), 1u);
  say(message(LabelMessage{}));
  rates_.may_spare("{}");
  spare(message(HandBack{}));
  EXPECT_EQ(rates_.limited(), 4u);
  say(message(Stop{}));
  spare(message(Stop{}));
  EXPECT_EQ(rates_.limited(), 4u);
}

}  // namespace
}  // namespace nudge
