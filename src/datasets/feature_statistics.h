// What LeRobot keeps about each feature of a data set: smallest, largest, mean, standard deviation
// and quantiles, per number of a vector or per colour of a picture.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nudge {

inline constexpr std::array<double, 5> kQuantiles = {0.01, 0.1, 0.5, 0.9, 0.99};

struct FeatureStatistics {
  std::uint64_t count = 0;  // rows that had finite numbers
  std::vector<double> min, max, mean, std;
  std::array<std::vector<double>, kQuantiles.size()> quantile;

  friend bool operator==(const FeatureStatistics&, const FeatureStatistics&) = default;
};

// Of several episodes: exact, but for quantiles, which are the mean of the episodes' weighted by
// their count, as LeRobot does it. All of one size.
FeatureStatistics combine(std::span<const FeatureStatistics> parts);

// Collects vectors. Quantiles come from all rows up to kMaxKept, then from evenly spaced ones.
// Numbers that are not finite are left out; a vector with one counts as no row. One thread.
class NumberStatistics {
 public:
  static constexpr std::size_t kMaxKept = 32'768;

  explicit NumberStatistics(std::size_t size);
  void add(std::span<const float> values);  // [size]
  FeatureStatistics result() const;         // zeros when nothing was added

 private:
  std::size_t size_;
  std::uint64_t rows_ = 0;
  std::uint64_t stride_ = 1;                        // every so many rows are kept
  std::vector<float> kept_;                         // [n x size]
  std::vector<double> min_, max_, mean_, squares_;  // running; squares_ of deviations (Welford)
};

// Collects pictures, as histograms of their colours. One thread.
class PictureStatistics {
 public:
  // 8-bit RGB, height x width x 3. Large pictures are looked at on a grid of about 150 pixels a
  // side, as LeRobot does. A picture of no pixels changes nothing.
  void add(std::span<const std::uint8_t> rgb, int width, int height);
  FeatureStatistics result() const;  // of 3 numbers in 0..1; count is of pictures

 private:
  std::uint64_t pictures_ = 0;
  std::uint64_t pixels_ = 0;
  std::array<std::array<std::uint64_t, 256>, 3> histogram_{};
};

}  // namespace nudge
