// Draws rows with given shares per class and supervisor, in constant time per draw.
//
// Rows lie in strata (class, supervisor, held out or not). A stratum is an unordered index vector
// with swap-remove, so that moving a row after a late label costs O(1). A draw picks a stratum by
// the alias method (Walker 1977, in the form of Vose, "A linear algorithm for generating random
// numbers with a given distribution", 1991), then a row of it uniformly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "nudge/batch.h"
#include "nudge/random.h"
#include "nudge/status.h"

namespace nudge {

// Shares of a batch.
struct Mix {
  // By SampleClass, relative: empty classes give theirs to the others in proportion, but that of
  // demonstrations goes to autonomous successes. Three fifths corrections and two fifths
  // demonstrations: what the policy did by itself teaches it its own inaccuracy, and is only there
  // for want of demonstrations (docs/reference/learning.md has the figures). Recoveries and nudged
  // steps add a tenth each when there are any. Classes that the dataset drops are empty, whatever
  // stands here.
  std::array<double, kSampleClasses> share = {0.4, 0.6, 0.1, 0.1, 0, 0.1, 0.1};
  // The shares are of each row instead: a class's share of a batch grows with its rows. What an
  // unweighted aggregation of data does.
  bool by_rows = false;
  // Largest part of a class of human feedback (corrections, recoveries, nudged steps) that comes
  // from one supervisor, once the class has two or more: bounds what one careless or hostile
  // person can teach. What nobody may fill goes to demonstrations and successes. 1: no cap.
  double supervisor_cap = 0.25;
  // Most often that a row of human feedback is drawn for each time that a row of demonstrations and
  // successes is; what is left over goes to these. Without it, the first few corrections fill their
  // share by being drawn a hundred times as often, and are learned by heart. Beside more than
  // kCountedAnchors rows it is as beside so many: few corrections would else hardly be seen. Has no
  // effect on corrections that stand alone; infinity: no bound.
  double oversampling = 5;
  // Corrections without any demonstration or autonomous success to hold them are refused.
  bool corrections_may_stand_alone = false;

  static constexpr double kCountedAnchors = 2'000;

  friend bool operator==(const Mix&, const Mix&) = default;
  // kInvalidArgument naming the first value out of its range.
  Status validate() const;
};

// Equal calls in equal order give equal samplers: nothing depends on addresses, hashes or time.
// Not thread-safe: one thread at a time.
class Sampler {
 public:
  using Row = std::uint32_t;
  using StratumId = std::uint16_t;
  static constexpr StratumId kNowhere = 0xffff;

  struct Stratum {
    SampleClass sample_class = SampleClass::kDemonstration;
    std::uint32_t supervisor = 0;  // number given by the caller; 0: none
    bool held_out = false;         // never drawn
    std::vector<Row> rows;
  };

  // The stratum with this key, made when it is new; kNowhere beyond 65,535 of them.
  StratumId stratum(SampleClass sample_class, std::uint32_t supervisor, bool held_out);
  const std::vector<Stratum>& strata() const { return strata_; }

  // Takes the next row (0, 1, 2, ...); it lies nowhere.
  void add_row();
  // Moves a row to another stratum, or to kNowhere. O(1).
  void move(Row row, StratumId to);
  // Lets rows go that lie nowhere, and numbers the others anew: `to[row]` is the new number, in
  // order, or kGone. O(rows). What was drawn before is worth nothing.
  static constexpr Row kGone = 0xffffffff;
  void renumber(std::span<const Row> to);
  StratumId where(Row row) const { return places_[row / kBlock][row % kBlock].stratum; }
  std::size_t rows() const { return rows_; }

  // Makes the table for the draws to come, if the mix or the number of rows in a stratum changed.
  // O(strata). kFailedPrecondition when no row may be drawn, or corrections would stand alone;
  // errors of Mix::validate().
  Status prepare(const Mix& mix);
  // Fills `rows` with independent draws; prepare() was ok and nothing moved since. O(1) a draw.
  void draw(std::span<Row> rows, Random& random) const;
  // Probability of each stratum at the last prepare(), in the order of strata().
  const std::vector<double>& probabilities() const { return probabilities_; }

  // Bytes of memory that one row takes here: its place, and its entry in a stratum (vectors double,
  // so up to twice the entry).
  static constexpr std::size_t bytes_per_row() { return sizeof(Place) + 2 * sizeof(Row); }

 private:
  // Packed so that a million rows take 6 MB.
  struct [[gnu::packed]] Place {
    std::uint32_t position = 0;  // in the stratum's rows
    StratumId stratum = kNowhere;
  };
  struct Slot {
    double keep = 1;      // probability of staying with this stratum
    std::size_t own = 0;  // stratum
    std::size_t other = 0;
  };
  static constexpr std::size_t kBlock = 1u << 16;  // rows; blocks never move, so growing is cheap

  // Mix::oversampling, on probabilities_.
  void hold_to_anchors(double most);
  void fill_table();

  std::map<std::tuple<SampleClass, std::uint32_t, bool>, StratumId> ids_;
  std::vector<Stratum> strata_;
  std::vector<std::vector<Place>> places_;
  std::size_t rows_ = 0;
  bool dirty_ = true;
  Mix mix_;
  std::vector<double> probabilities_;
  std::vector<Slot> table_;
};

}  // namespace nudge
