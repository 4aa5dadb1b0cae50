#include "src/cli/plot.h"

#include <gtest/gtest.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace nudge {
namespace {

LearningCurve small_curve() {
  LearningCurve curve;
  curve.title = "Kitchen";
  curve.points = {{0, 62, 100, -1, -1}, {5, 95, 100, 1.5, 0.3}, {15, 99, 100, 0.4, 0.25}};
  return curve;
}

class Plot : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "nudge-plots-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    picture_ = folder_ + "/curve.png";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Width and height as a PNG file's header has them; 0 when it is none.
  std::pair<int, int> size() const {
    std::ifstream in(picture_, std::ios::binary);
    const std::string b((std::istreambuf_iterator<char>(in)), {});
    if (b.size() < 24 || b.compare(0, 8, "\x89PNG\r\n\x1a\n") != 0) return {0, 0};
    const auto number = [&](std::size_t i) {
      int value = 0;
      for (std::size_t k = 0; k < 4; ++k)
        value = value * 256 + static_cast<unsigned char>(b[i + k]);
      return value;
    };
    return {number(16), number(20)};
  }

  std::string folder_;
  std::string picture_;
};

TEST_F(Plot, DrawsTheCurveAsAPicture) {
  const Status status = plot_learning_curve(small_curve(), picture_);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(size(), std::make_pair(1200, 1350));
}

TEST_F(Plot, DrawsASinglePoint) {
  LearningCurve curve = small_curve();
  curve.points.resize(1);
  const Status status = plot_learning_curve(curve, picture_);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(size(), std::make_pair(1200, 1350));
}

TEST_F(Plot, ATitleIsNeverACommand) {
  LearningCurve curve = small_curve();
  curve.title = "it's '; system('touch " + folder_ + "/pwned') `touch " + folder_ + "/pwned`\n";
  const Status status = plot_learning_curve(curve, picture_);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/pwned"));
}

TEST_F(Plot, WithoutGnuplotSaysWhichPackageHasIt) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const Status status = plot_learning_curve(small_curve(), picture_);
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("gnuplot-nox"), std::string::npos);
}

TEST_F(Plot, TellsWhatGnuplotSaidWhenItFails) {
  const std::string fake = folder_ + "/gnuplot";
  std::ofstream(fake) << "#!/bin/sh\necho no such terminal >&2\nexit 3\n";
  std::filesystem::permissions(fake, std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const Status status = plot_learning_curve(small_curve(), picture_);
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("no such terminal"), std::string::npos) << status.message();
}

TEST_F(Plot, RefusesACurveThatIsNone) {
  EXPECT_EQ(plot_learning_curve({}, picture_).code(), Code::kInvalidArgument);
  LearningCurve curve = small_curve();
  curve.points[1].successes = 101;
  EXPECT_EQ(plot_learning_curve(curve, picture_).code(), Code::kInvalidArgument);
}

TEST_F(Plot, AFolderThatDoesNotExistIsNamed) {
  const Status status = plot_learning_curve(small_curve(), folder_ + "/none/curve.png");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/none/curve.png"), std::string::npos);
}

}  // namespace
}  // namespace nudge
