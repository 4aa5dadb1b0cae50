#include "src/daemon/archive_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "replay/log.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

TEST(ArchiveThread, ReadsWhatIsAskedForOfARealLogAndWakesWhoAsked) {
  test::TempFolder folder;
  LogOptions options;
  options.dir = folder / "log";
  options.boot = "boot-1";
  options.ballast_bytes = 0;
  auto log = Log::open(posix_files(), options);
  ASSERT_TRUE(log.ok()) << log.status().message();
  SegmentSpec spec;
  spec.action_size = 1;
  spec.cameras = {"front"};
  const auto episode = (*log)->start_episode(spec);
  ASSERT_TRUE(episode.ok());
  Event event;
  event.id = "e1";
  event.episode = *episode;
  event.actor = {"nudge", Role::kScript};
  event.payload = EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"};
  ASSERT_TRUE((*log)->append(event).ok());
  Step step;
  step.episode = *episode;
  step.executed = {0.5F};
  Image image;
  image.camera = "front";
  image.width = image.height = 8;
  image.jpeg = {0xff, 0xd8, 7};
  step.images = {image};
  ASSERT_TRUE((*log)->append(step).ok());
  ASSERT_TRUE((*log)->commit().ok());
  EpisodeIndex index;
  const auto items = (*log)->feed(1, 100);
  ASSERT_TRUE(items.ok());
  for (const FeedItem& item : *items) index.apply(item);

  Links links;
  std::promise<void> answered;
  std::atomic<int> wakes{0};
  ArchiveThread archive(posix_files(), std::chrono::milliseconds(100), links, [&] {
    if (++wakes == 2) answered.set_value();
  });
  const EpisodeRecord& record = *index.find(*episode);
  ASSERT_TRUE(links.archive.try_push({.number = 4, .wanted = record}));
  ASSERT_TRUE(
      links.archive.try_push({.number = 5, .wanted = FrameWanted{place_of(record), "front", 0}}));
  archive.start();
  answered.get_future().wait();
  archive.stop();
  std::vector<ArchiveAnswer> answers;
  ASSERT_TRUE(links.archive_answers.take_all(answers, std::chrono::seconds(1)));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].number, 4u);
  ASSERT_TRUE(answers[0].content.ok());
  EXPECT_NE(answers[0].content->find(R"("executed":[[0.5]])"), std::string::npos);
  EXPECT_EQ(answers[1].number, 5u);
  EXPECT_EQ(*answers[1].content, std::string("\xff\xd8\x07"));
}

}  // namespace
}  // namespace nudge
