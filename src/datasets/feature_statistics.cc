#include "src/datasets/feature_statistics.h"

#include <algorithm>
#include <cmath>

namespace nudge {
namespace {

FeatureStatistics zeros(std::size_t size) {
  FeatureStatistics s;
  s.min.assign(size, 0);
  s.max.assign(size, 0);
  s.mean.assign(size, 0);
  s.std.assign(size, 0);
  for (std::vector<double>& q : s.quantile) q.assign(size, 0);
  return s;
}

}  // namespace

FeatureStatistics combine(std::span<const FeatureStatistics> parts) {
  if (parts.empty()) return {};
  const std::size_t size = parts.front().mean.size();
  FeatureStatistics all = zeros(size);
  for (const FeatureStatistics& part : parts) {
    if (part.count == 0) continue;
    const auto before = static_cast<double>(all.count);
    const auto more = static_cast<double>(part.count);
    const double total = before + more;
    for (std::size_t i = 0; i < size; ++i) {
      all.min[i] = all.count == 0 ? part.min[i] : std::min(all.min[i], part.min[i]);
      all.max[i] = all.count == 0 ? part.max[i] : std::max(all.max[i], part.max[i]);
      const double delta = part.mean[i] - all.mean[i];
      const double variance =
          (before * all.std[i] * all.std[i] + more * part.std[i] * part.std[i]) / total +
          before * more / (total * total) * delta * delta;
      all.mean[i] += delta * more / total;
      all.std[i] = std::sqrt(variance);
      for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
        double& value = all.quantile[q][i];
        value += (part.quantile[q][i] - value) * more / total;
      }
    }
    all.count += part.count;
  }
  return all;
}

NumberStatistics::NumberStatistics(std::size_t size)
    : size_(size), min_(size, 0), max_(size, 0), mean_(size, 0), squares_(size, 0) {}

void NumberStatistics::add(std::span<const float> values) {
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) return;
  if (rows_ % stride_ == 0) {
    if (kept_.size() >= kMaxKept * size_) {
      const std::size_t half = kMaxKept / 2;
      for (std::size_t row = 0; row < half; ++row) {
        std::copy_n(kept_.begin() + static_cast<std::ptrdiff_t>(2 * row * size_), size_,
                    kept_.begin() + static_cast<std::ptrdiff_t>(row * size_));
      }
      kept_.resize(half * size_);
      stride_ *= 2;
    }
    if (rows_ % stride_ == 0) kept_.insert(kept_.end(), values.begin(), values.end());
  }
  for (std::size_t i = 0; i < size_; ++i) {
    const double value = values[i];
    min_[i] = rows_ == 0 ? value : std::min(min_[i], value);
    max_[i] = rows_ == 0 ? value : std::max(max_[i], value);
    const double delta = value - mean_[i];
    mean_[i] += delta / static_cast<double>(rows_ + 1);
    squares_[i] += delta * (value - mean_[i]);
  }
  ++rows_;
}

FeatureStatistics NumberStatistics::result() const {
  FeatureStatistics s = zeros(size_);
  s.count = rows_;
  if (rows_ == 0) return s;
  s.min = min_;
  s.max = max_;
  s.mean = mean_;
  const std::size_t rows = kept_.size() / std::max<std::size_t>(1, size_);
  std::vector<float> column(rows);
  for (std::size_t i = 0; i < size_; ++i) {
    s.std[i] = std::sqrt(squares_[i] / static_cast<double>(rows_));
    for (std::size_t row = 0; row < rows; ++row) column[row] = kept_[row * size_ + i];
    std::sort(column.begin(), column.end());
    for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
      const double place = kQuantiles[q] * static_cast<double>(rows - 1);
      const auto low = static_cast<std::size_t>(place);
      const std::size_t high = std::min(low + 1, rows - 1);
      const double share = place - static_cast<double>(low);
      s.quantile[q][i] = column[low] + share * (double{column[high]} - column[low]);
    }
  }
  return s;
}

void PictureStatistics::add(std::span<const std::uint8_t> rgb, int width, int height) {
  const std::size_t columns = static_cast<std::size_t>(std::max(0, width));
  const std::size_t rows = static_cast<std::size_t>(std::max(0, height));
  if (columns * rows == 0 || rgb.size() < 3 * columns * rows) return;
  const std::size_t stride = std::max<std::size_t>(1, std::max(columns, rows) / 150);
  for (std::size_t y = 0; y < rows; y += stride) {
    for (std::size_t x = 0; x < columns; x += stride) {
      const std::uint8_t* pixel = rgb.data() + 3 * (y * columns + x);
      for (std::size_t c = 0; c < 3; ++c) ++histogram_[c][pixel[c]];
      ++pixels_;
    }
  }
  ++pictures_;
}

FeatureStatistics PictureStatistics::result() const {
  FeatureStatistics s = zeros(3);
  s.count = pictures_;
  if (pixels_ == 0) return s;
  const auto total = static_cast<double>(pixels_);
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    bool any = false;
    std::uint64_t below = 0;
    std::array<bool, kQuantiles.size()> found{};
    for (std::size_t level = 0; level < 256; ++level) {
      const std::uint64_t count = histogram_[c][level];
      if (count == 0) continue;
      const double value = static_cast<double>(level) / 255;
      sum += value * static_cast<double>(count);
      squares += value * value * static_cast<double>(count);
      if (!any) s.min[c] = value;
      any = true;
      s.max[c] = value;
      below += count;
      for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
        if (!found[q] && static_cast<double>(below) >= kQuantiles[q] * total) {
          s.quantile[q][c] = value;
          found[q] = true;
        }
      }
    }
    s.mean[c] = sum / total;
    s.std[c] = std::sqrt(std::max(0.0, squares / total - s.mean[c] * s.mean[c]));
  }
  return s;
}

}  // namespace nudge
