// The commands' client and the server at its Unix socket.
#include "src/ports/http_client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "src/ports/local_socket.h"
#include "test/ports/served_http.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

class HttpClientTest : public testing::Test {
 protected:
  void serve() {
    auto server =
        HttpServer::listen_locally(loop_, run(), {.actor = {"eve", Role::kEngineer}}, handler_);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
    run_loop();
  }
  void run_loop() {
    thread_ = std::thread([this] { loop_.run(); });
    std::promise<void> runs;
    loop_.post([&runs] { runs.set_value(); });
    runs.get_future().wait();  // or stopping it would come too soon
  }
  void TearDown() override { end(); }
  void end() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
    server_.reset();
  }
  std::string run() const { return folder_.path(); }
  Result<HttpAnswer> say(const std::string& body) {
    return call(run(), {.method = "POST", .path = "/said", .body = body}, kPatience);
  }

  test::TempFolder folder_;
  EventLoop loop_;
  FakeHandler handler_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HttpClientTest, IsKnownByItsUserAndNeedsNoToken) {
  serve();
  const Result<HttpAnswer> answer = say(std::string(60'000, 'x'));
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST /said eve " + std::string(60'000, 'x'));
}

TEST_F(HttpClientTest, AsksWhereThePathIsLongerThanASocketsMayBe) {
  const std::string deep = run() + "/" + std::string(120, 'd');
  std::filesystem::create_directory(deep);
  ASSERT_EQ(::chmod(deep.c_str(), 0700), 0);
  auto server =
      HttpServer::listen_locally(loop_, deep, {.actor = {"eve", Role::kEngineer}}, handler_);
  ASSERT_TRUE(server.ok()) << server.status().message();
  server_ = *std::move(server);
  run_loop();
  const Result<HttpAnswer> answer =
      call(deep, {.method = "GET", .path = "/said", .body = ""}, kPatience);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->body, "GET /said eve ");
}

TEST_F(HttpClientTest, SaysWhenNobodyAnswers) {
  EXPECT_EQ(say("").status().code(), Code::kUnavailable);
  serve();
  end();
  EXPECT_FALSE(std::filesystem::exists(run() + "/" + kLocalSocket));
  EXPECT_EQ(say("").status().code(), Code::kUnavailable);
}

TEST_F(HttpClientTest, FindsTheServerThatCameAfterOneThatWasKilled) {
  serve();
  // What a kill leaves behind: a name at which nobody listens.
  std::filesystem::rename(run() + "/" + kLocalSocket, run() + "/left");
  end();
  std::filesystem::rename(run() + "/left", run() + "/" + kLocalSocket);
  EXPECT_EQ(say("").status().code(), Code::kUnavailable);
  serve();
  EXPECT_TRUE(say("").ok());
}

TEST_F(HttpClientTest, TakesNoLiveConnection) {
  serve();
  const Result<Descriptor> socket = connect_locally(run(), kPatience);
  ASSERT_TRUE(socket.ok()) << socket.status().message();
  const std::string asked =
      "GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
      "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
  ASSERT_EQ(::send(socket->get(), asked.data(), asked.size(), 0),
            static_cast<ssize_t>(asked.size()));
  std::string answer(12, ' ');
  ASSERT_EQ(::recv(socket->get(), answer.data(), answer.size(), MSG_WAITALL), 12);
  EXPECT_EQ(answer, "HTTP/1.1 503");
}

TEST_F(HttpClientTest, IsNotServedInAFolderThatOthersMayEnter) {
  ASSERT_EQ(::chmod(run().c_str(), 0750), 0);
  EXPECT_EQ(HttpServer::listen_locally(loop_, run(), {.actor = {"eve", Role::kEngineer}}, handler_)
                .status()
                .code(),
            Code::kPermissionDenied);
}

TEST_F(HttpClientTest, IsServedToNobodyElseByTheSocketsOwnMode) {
  serve();
  struct stat info {};
  ASSERT_EQ(::stat((run() + "/" + kLocalSocket).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace nudge
