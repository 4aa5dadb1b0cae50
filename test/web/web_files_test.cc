#include "src/ports/web_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

namespace nudge {
namespace {

const WebFile* find(std::string_view path) {
  const auto files = web_files();
  const auto found = std::ranges::find(files, path, &WebFile::path);
  return found == files.end() ? nullptr : &*found;
}

std::string text(const WebFile& file) { return {file.bytes.begin(), file.bytes.end()}; }

TEST(WebFiles, ThePageAndItsPartsAreThere) {
  if (web_files().empty()) GTEST_SKIP() << "built with NUDGE_WITH_WEB=OFF";
  for (const std::string_view path : {"/index.html", "/page.js", "/page.css", "/icon.svg"}) {
    ASSERT_NE(find(path), nullptr) << path;
    EXPECT_FALSE(find(path)->bytes.empty()) << path;
  }
  EXPECT_EQ(find("/index.html")->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(find("/page.js")->content_type, "text/javascript; charset=utf-8");
}

// What a browser asks for before it offers to install the page.
TEST(WebFiles, ThePageCanBeInstalled) {
  if (web_files().empty()) GTEST_SKIP() << "built with NUDGE_WITH_WEB=OFF";
  ASSERT_NE(find("/page.webmanifest"), nullptr);
  EXPECT_EQ(find("/page.webmanifest")->content_type, "application/manifest+json");
  EXPECT_NE(text(*find("/index.html")).find("rel=\"manifest\""), std::string::npos);
  const std::string manifest = text(*find("/page.webmanifest"));
  for (const std::string_view path : {"/icon-192.png", "/icon-512.png", "/icon-maskable.png"}) {
    ASSERT_NE(find(path), nullptr) << path;
    EXPECT_EQ(find(path)->content_type, "image/png");
    EXPECT_NE(manifest.find(path), std::string::npos) << path;
  }
}

TEST(WebFiles, EveryFileHasAQuotedTagOfItsOwn) {
  std::set<std::string_view> tags;
  for (const WebFile& file : web_files()) {
    ASSERT_GT(file.etag.size(), 2u);
    EXPECT_EQ(file.etag.front(), '"');
    EXPECT_EQ(file.etag.back(), '"');
    EXPECT_TRUE(tags.insert(file.etag).second) << file.path;
  }
}

// What a strict content security policy forbids, and what a robot without internet cannot load.
TEST(WebFiles, ThePageHasNoInlineScriptOrStyleAndLoadsNothingFromElsewhere) {
  if (web_files().empty()) GTEST_SKIP() << "built with NUDGE_WITH_WEB=OFF";
  const std::string html = text(*find("/index.html"));
  EXPECT_EQ(html.find("<style"), std::string::npos);
  EXPECT_EQ(html.find("style="), std::string::npos);
  EXPECT_EQ(html.find("://"), std::string::npos);
  for (std::size_t at = html.find("<script"); at != std::string::npos;
       at = html.find("<script", at + 1)) {
    EXPECT_EQ(html.find("></script>", at), html.find('>', at));
  }
  EXPECT_EQ(text(*find("/page.css")).find("url(http"), std::string::npos);
  EXPECT_EQ(text(*find("/page.css")).find("@import"), std::string::npos);
}

// A tablet on a busy network has it within a moment.
TEST(WebFiles, ThePageStaysSmall) {
  std::size_t bytes = 0;
  for (const WebFile& file : web_files()) bytes += file.bytes.size();
  EXPECT_LT(bytes, 300u << 10);
}

}  // namespace
}  // namespace nudge
