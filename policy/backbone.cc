#include "policy/backbone.h"

#include <algorithm>
#include <span>
#include <sstream>

#include "policy/weights.h"

namespace nudge {
namespace {

class StateBackbone final : public Backbone {
 public:
  explicit StateBackbone(const ObservationSpec& spec)
      : size_(spec.object_state.size()), features_(std::max<std::size_t>(size_, 1)) {
    std::ostringstream identity;
    identity << "state backbone 1\n";
    for (const Channel& channel : spec.object_state) {
      identity << channel.name << ' ' << channel.unit << '\n';
    }
    const std::string text = identity.str();
    hash_ = to_hex(sha256(std::as_bytes(std::span(text.data(), text.size()))));
  }

  std::size_t feature_size() const override { return features_; }
  const std::string& hash() const override { return hash_; }

  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& /*instruction*/) override {
    if (observation.object_state.size() != size_) {
      return invalid_argument("observation has " + std::to_string(observation.object_state.size()) +
                              " object-state numbers, the robot's specification says " +
                              std::to_string(size_) +
                              "; fix the robot driver or its specification");
    }
    std::vector<float> features = observation.object_state;
    features.resize(features_);
    return features;
  }

 private:
  std::size_t size_;      // of object state
  std::size_t features_;  // a head has one at least: without object state it is always 0
  std::string hash_;
};

}  // namespace

Result<std::unique_ptr<Backbone>> make_state_backbone(const ObservationSpec& spec) {
  if (spec.object_state.size() > kMaxFeatures) {
    return invalid_argument("object state has " + std::to_string(spec.object_state.size()) +
                            " numbers, more than the " + std::to_string(kMaxFeatures) +
                            " that a feature vector may have");
  }
  return std::unique_ptr<Backbone>(std::make_unique<StateBackbone>(spec));
}

}  // namespace nudge
