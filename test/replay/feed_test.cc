#include "replay/feed.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "test/support/log_samples.h"

namespace nudge {
namespace {

Result<FeedItem> decode(const std::string& text) {
  return decode_feed_item(std::as_bytes(std::span(text)));
}

TEST(Feed, CarriesEveryKindOfEventAcross) {
  for (const Payload& payload : test::every_payload()) {
    Event event = test::sample_event("id", 4, payload);
    event.sequence = 77;
    event.time = Instant(Duration(-5));
    const auto text = encode(FeedItem(event));
    ASSERT_TRUE(text.ok()) << text.status().message();
    const auto back = decode(*text);
    ASSERT_TRUE(back.ok()) << back.status().message();
    const Event& got = std::get<Event>(*back);
    EXPECT_EQ(got.sequence, 77u);
    EXPECT_EQ(got.time, event.time);
    EXPECT_EQ(got.wall_time, event.wall_time);
    EXPECT_EQ(got.actor, event.actor);
    EXPECT_EQ(*encode(*back), *text);
  }
}

TEST(Feed, CarriesRunsOfStepsAcross) {
  const StepsRef ref{3, "/var/lib/nudge/segments/episode-000000003.seg", 10, 19, 240, 4096};
  EXPECT_EQ(ref.count(), 10u);
  const auto back = decode(*encode(FeedItem(ref)));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(std::get<StepsRef>(*back), ref);
}

TEST(Feed, RefusesRunsThatMakeNoSense) {
  const StepsRef good{3, "a", 10, 19, 240, 4096};
  for (auto spoil : {+[](StepsRef& r) { r.first = 0; }, +[](StepsRef& r) { r.last = 9; },
                     +[](StepsRef& r) { r.end_offset = 240; }, +[](StepsRef& r) { r.path = ""; },
                     +[](StepsRef& r) { r.first_offset = 241; }}) {
    StepsRef bad = good;
    spoil(bad);
    EXPECT_EQ(encode(FeedItem(bad)).status().code(), Code::kInvalidArgument);
    auto object = nlohmann::json::parse(*encode(FeedItem(good)));
    object["episode"] = bad.episode;
    object["path"] = bad.path;
    object["first"] = bad.first;
    object["last"] = bad.last;
    object["first_offset"] = bad.first_offset;
    object["end_offset"] = bad.end_offset;
    EXPECT_EQ(decode(object.dump()).status().code(), Code::kInvalidArgument);
  }
}

TEST(Feed, RefusesMissingUnknownAndWrongFields) {
  Event event = test::sample_event("id", 4, Stopped{});
  event.sequence = 1;
  for (const FeedItem& item : {FeedItem(event), FeedItem(StepsRef{3, "a", 10, 19, 240, 4096})}) {
    const auto object = nlohmann::json::parse(*encode(item));
    auto more = object;
    more["surprise"] = 1;
    EXPECT_FALSE(decode(more.dump()).ok());
    for (const auto& [key, value] : object.items()) {
      auto bad = object;
      bad[key] = nlohmann::json::array();
      EXPECT_FALSE(decode(bad.dump()).ok()) << key;
      bad.erase(key);
      EXPECT_FALSE(decode(bad.dump()).ok()) << key;
    }
  }
  for (const std::string text : {"", "[]", "{}", "nonsense", "\"path\""}) {
    EXPECT_EQ(decode(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(decode(std::string(kMaxFeedItemBytes + 1, ' ')).status().code(),
            Code::kInvalidArgument);
}

TEST(Feed, SaysWhenAnEventComesFromANewerNudge) {
  Event event = test::sample_event("id", 4, Stopped{});
  event.sequence = 1;
  auto object = nlohmann::json::parse(*encode(FeedItem(event)));
  object["kind"] = "teleported";
  EXPECT_EQ(decode(object.dump()).status().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace nudge
