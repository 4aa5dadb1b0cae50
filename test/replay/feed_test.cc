#include "replay/feed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "replay/event_codec.h"
#include "test/support/golden.h"
#include "test/support/log_samples.h"

namespace nudge {
namespace {

using Page = std::vector<std::byte>;

Event sample(Payload payload, Sequence sequence = 77) {
  Event event = test::sample_event("id", 4, std::move(payload));
  event.sequence = sequence;
  event.time = Instant(Duration(-5));
  return event;
}

const StepsRef kRun{3, "/var/lib/nudge/segments/episode-000000003.seg", 10, 19, 240, 4096};

Page page_of(const FeedItem& item) {
  Page page;
  const Status status = append(item, page);
  EXPECT_TRUE(status.ok()) << status.message();
  return page;
}

// The item with the bytes of one field, found by its value, replaced.
template <typename T>
Page with(Page page, T old, T now) {
  std::byte from[sizeof old];
  std::memcpy(from, &old, sizeof old);
  const auto at = std::search(page.begin(), page.end(), std::begin(from), std::end(from));
  EXPECT_NE(at, page.end());
  std::memcpy(&*at, &now, sizeof now);
  return page;
}

Result<std::vector<FeedItem>> decode(const Page& page, std::size_t max_items = 100) {
  return decode_feed(page, max_items);
}

TEST(Feed, CarriesEveryKindOfEventAcross) {
  for (const Payload& payload : test::every_payload()) {
    const Event event = sample(payload);
    const auto back = decode(page_of(event));
    ASSERT_TRUE(back.ok()) << back.status().message();
    ASSERT_EQ(back->size(), 1u);
    const Event& got = std::get<Event>(back->front());
    EXPECT_EQ(*event_line(got), *event_line(event));
    EXPECT_EQ(got.time, event.time);
    EXPECT_EQ(got.wall_time, event.wall_time);
  }
}

TEST(Feed, CarriesRunsOfStepsAcross) {
  EXPECT_EQ(kRun.count(), 10u);
  const auto back = decode(page_of(kRun));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(std::get<StepsRef>(back->front()), kRun);
}

TEST(Feed, CarriesManyItemsInTheirOrderOnOnePage) {
  Page page;
  ASSERT_TRUE(append(sample(Stopped{}, 9), page).ok());
  ASSERT_TRUE(append(kRun, page).ok());
  ASSERT_TRUE(append(sample(Label{.episode = 3, .value = LabelValue::kSuccess}, 20), page).ok());
  const auto back = decode(page);
  ASSERT_TRUE(back.ok()) << back.status().message();
  ASSERT_EQ(back->size(), 3u);
  EXPECT_EQ(first_sequence((*back)[0]), 9u);
  EXPECT_EQ(first_sequence((*back)[1]), 10u);
  EXPECT_EQ(first_sequence((*back)[2]), 20u);
  EXPECT_TRUE(decode({})->empty());
}

TEST(Feed, IsWrittenAsItsGoldenFile) {
  Page page = page_of(kRun);
  for (const Payload& payload : test::every_payload()) {
    ASSERT_TRUE(append(sample(payload), page).ok());
  }
  const std::string now(reinterpret_cast<const char*>(page.data()), page.size());
  EXPECT_TRUE(test::golden("log/feed-v3.bin", now) == now);
}

TEST(Feed, RefusesRunsThatMakeNoSense) {
  for (auto spoil : {+[](StepsRef& r) { r.first = 0; }, +[](StepsRef& r) { r.last = 9; },
                     +[](StepsRef& r) { r.end_offset = 240; }, +[](StepsRef& r) { r.path = ""; },
                     +[](StepsRef& r) { r.first_offset = 241; }}) {
    StepsRef bad = kRun;
    spoil(bad);
    Page page = page_of(sample(Stopped{}));
    const Page before = page;
    EXPECT_EQ(append(bad, page).code(), Code::kInvalidArgument);
    EXPECT_EQ(page, before) << "nothing of it stays on the page";
  }
  const Page good = page_of(kRun);
  EXPECT_FALSE(decode(with<std::uint64_t>(good, 10, 0)).ok());
  EXPECT_FALSE(decode(with<std::uint64_t>(good, 19, 9)).ok());
  EXPECT_FALSE(decode(with<std::uint64_t>(good, 4096, 240)).ok());
  EXPECT_FALSE(decode(with<std::uint64_t>(good, 240, 241)).ok());
}

TEST(Feed, RefusesWhatIsCutOffAnywhere) {
  for (const FeedItem& item : {FeedItem(sample(Stopped{})), FeedItem(kRun)}) {
    const Page whole = page_of(item);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      const auto cut = decode(Page(whole.begin(), whole.begin() + size));
      EXPECT_EQ(cut.status().code(), Code::kInvalidArgument) << size;
    }
  }
}

TEST(Feed, RefusesValuesOutOfRange) {
  const Page event = page_of(sample(EpisodeEnded{.reason = EpisodeEnd::kAborted, .steps = 300}));
  Page kind = event;
  kind[0] = std::byte{2};
  EXPECT_FALSE(decode(kind).ok());
  EXPECT_FALSE(decode(with<std::uint64_t>(event, 77, 0)).ok()) << "no sequence";
  EXPECT_FALSE(decode(with<std::uint32_t>(event, 2, 1u << 30)).ok()) << "an endless id";
  Page reason = event;
  reason[reason.size() - 9] = std::byte{4};  // before the steps' eight bytes
  EXPECT_FALSE(decode(reason).ok()) << "no such end of an episode";
}

TEST(Feed, RefusesMoreThanItWasAskedFor) {
  Page page = page_of(sample(Stopped{}));
  ASSERT_TRUE(append(kRun, page).ok());
  EXPECT_TRUE(decode(page, 2).ok());
  EXPECT_FALSE(decode(page, 1).ok());
  EXPECT_FALSE(decode(Page(kMaxFeedPage + 1)).ok());
}

TEST(Feed, SaysWhenAPageIsFull) {
  Page page(kMaxFeedPage - 8);
  EXPECT_EQ(append(kRun, page).code(), Code::kResourceExhausted);
  EXPECT_EQ(page.size(), kMaxFeedPage - 8);
}

TEST(Feed, SaysWhenAnEventComesFromAnotherNudge) {
  const Page event = page_of(sample(Stopped{}));
  Page unknown = event;
  const std::string name = "stopped";
  const auto at =
      std::search(unknown.begin(), unknown.end(), reinterpret_cast<const std::byte*>(name.data()),
                  reinterpret_cast<const std::byte*>(name.data() + name.size()));
  ASSERT_NE(at, unknown.end());
  *at = std::byte{'S'};
  EXPECT_EQ(decode(unknown).status().code(), Code::kUnimplemented);
  Page newer = event;
  newer[newer.size() - 4] = std::byte{kPayloadVersion + 1};
  EXPECT_EQ(decode(newer).status().code(), Code::kUnimplemented);
}

TEST(Feed, SurvivesMutatedPages) {
  Random random(4);
  Page whole = page_of(kRun);
  for (const Payload& payload : test::every_payload()) {
    ASSERT_TRUE(append(sample(payload), whole).ok());
  }
  for (int i = 0; i < 20'000; ++i) {
    Page page = whole;
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      page[random.below(page.size())] = static_cast<std::byte>(random.below(256));
    }
    (void)decode(page);  // no crash, no exception
  }
}

}  // namespace
}  // namespace nudge
