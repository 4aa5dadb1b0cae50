#include "src/ports/event_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace nudge {
namespace {

TEST(EventLoop, RunsWhatOtherThreadsHandOver) {
  EventLoop loop;
  bool ran = false;
  std::thread other([&] {
    loop.post([&] {
      ran = true;
      loop.stop();
    });
  });
  loop.run();
  other.join();
  EXPECT_TRUE(ran);
}

TEST(EventLoop, CallsEveryPeriodUntilTheTokenIsGone) {
  EventLoop loop;
  int calls = 0;
  std::shared_ptr<void> token;
  token = loop.every(std::chrono::milliseconds(1), [&] {
    if (++calls == 3) token.reset();
  });
  const std::shared_ptr<void> end =
      loop.after(std::chrono::milliseconds(200), [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(calls, 3);
}

TEST(EventLoop, NeverCallsBackAfterTheTokenIsGone) {
  EventLoop loop;
  std::shared_ptr<void> token =
      loop.after(Duration::zero(), [] { FAIL() << "called after its token was destroyed"; });
  loop.post([&] { token.reset(); });
  const std::shared_ptr<void> end = loop.after(std::chrono::milliseconds(50), [&] { loop.stop(); });
  token.reset();
  loop.run();
}

TEST(EventLoop, TellsWhenADescriptorCanBeRead) {
  EventLoop loop;
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  std::string seen;
  std::shared_ptr<void> token = loop.when_readable(ends[0], [&] {
    std::array<char, 8> bytes{};
    seen.append(bytes.data(), static_cast<std::size_t>(read(ends[0], bytes.data(), 8)));
    loop.stop();
  });
  loop.post([&] { EXPECT_EQ(write(ends[1], "hi", 2), 2); });
  loop.run();
  EXPECT_EQ(seen, "hi");
  token.reset();
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace nudge
