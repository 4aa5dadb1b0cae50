// The learning recipe on the kinematic task: demonstrations, a supervisor who takes over when
// nothing gets on, rounds after each corrected episode, and success over held-out starts.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "nudge/batch.h"
#include "nudge/random.h"
#include "policy/gate.h"
#include "policy/head.h"
#include "policy/trainer.h"
#include "test/policy_torch/kinematic_pick.h"

namespace nudge::kinematic {

inline constexpr std::size_t kHorizon = 8;
inline constexpr std::size_t kExecuted = 4;

// Unbroken stretches of steps by one hand; a training window ends where a stretch does.
struct Stretch {
  std::uint64_t episode = 0;
  std::vector<float> features, proprioception, actions;
  std::size_t steps() const { return actions.size() / kAction; }
  void add(const Pick& world, const float* action) {
    features.resize(features.size() + kFeatures);
    proprioception.resize(proprioception.size() + kProprioception);
    world.observe(features.data() + features.size() - kFeatures,
                  proprioception.data() + proprioception.size() - kProprioception);
    for (std::size_t i = 0; i < kAction; ++i) {
      actions.push_back(std::clamp(action[i], -1.0F, 1.0F));
    }
  }
};

struct Stratum {
  std::vector<Stretch> stretches;
  std::vector<std::pair<std::size_t, std::size_t>> frames;  // stretch, step
  void add(Stretch s) {
    for (std::size_t i = 0; i < s.steps(); ++i) frames.emplace_back(stretches.size(), i);
    stretches.push_back(std::move(s));
  }
};

inline void append(Batch& b, const Stretch& s, std::size_t at) {
  b.feature_size = kFeatures;
  b.proprioception_size = kProprioception;
  b.action_size = kAction;
  b.horizon = kHorizon;
  const auto copy = [](std::vector<float>& to, const std::vector<float>& from, std::size_t i,
                       std::size_t n) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(i * n),
              from.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
  };
  copy(b.features, s.features, at, kFeatures);
  copy(b.proprioception, s.proprioception, at, kProprioception);
  for (std::size_t h = 0; h < kHorizon; ++h) {
    const bool inside = at + h < s.steps();
    if (inside) {
      copy(b.actions, s.actions, at + h, kAction);
    } else {
      b.actions.insert(b.actions.end(), kAction, 0.0F);
    }
    b.mask.push_back(inside ? 1.0F : 0.0F);
  }
  b.weight.push_back(1);
  b.advantage.push_back(Advantage::kPositive);
  b.cluster.push_back(s.episode);
  ++b.size;
}

// A batch by shares of strata; the shares of empty strata go to the others.
inline Batch draw(const std::vector<std::pair<const Stratum*, double>>& mix, std::size_t size,
                  Random& random) {
  double total = 0;
  for (const auto& [stratum, share] : mix) total += stratum->frames.empty() ? 0 : share;
  Batch b;
  for (std::size_t i = 0; i < size; ++i) {
    double u = random.uniform() * total;
    const Stratum* chosen = nullptr;
    for (const auto& [stratum, share] : mix) {
      if (stratum->frames.empty()) continue;
      chosen = stratum;
      if ((u -= share) < 0) break;
    }
    const auto& [stretch, step] = chosen->frames[random.below(chosen->frames.size())];
    append(b, chosen->stretches[stretch], step);
  }
  return b;
}

inline Batch everything(const Stratum& stratum) {
  Batch b;
  for (const auto& [stretch, step] : stratum.frames) append(b, stratum.stretches[stretch], step);
  return b;
}

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return *std::move(result);
}
inline void must(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

struct Settings {
  HeadSpec head{HeadKind::kFlow, kFeatures, kProprioception, kAction, kHorizon, 256, 3, 5, false};
  std::size_t demonstrations = 15;
  Region demonstrated{0.3, 0.5, 0.0, 0.15};  // half of the region
  std::size_t base_steps = kBaseSteps;
  TrainerOptions base = TrainerOptions::base();
  bool micro = false;  // micro-rounds after each span instead of a full round after each episode
  std::size_t round_steps = kFullSteps;
  TrainerOptions round = TrainerOptions::full();
  double corrections = 0.5, demonstrated_share = 0.3, successes = 0.2;
  // No stratum gets more than this times its share of all frames: a handful of frames that fill
  // half of every batch are learned by heart, at the cost of what worked.
  double boost = 5;
  std::uint64_t seed = 1;
  bool gated = true;
  GateOptions gate;
};

class Recipe {
 public:
  explicit Recipe(const Settings& s) : s_(s), random_(Random::derive(s.seed, 7)) {
    use_one_torch_thread();
    for (std::size_t i = 0; i < s_.demonstrations; ++i) {
      Pick world(Random::derive(s_.seed, 1000 + i), s_.demonstrated);
      Stretch d;
      d.episode = ++episodes_;
      while (!world.over()) {
        const auto a = world.expert();
        d.add(world, a.data());
        world.apply(a.data());
      }
      demonstrations_.add(std::move(d));
    }
    auto start = parse(must(initial_weights(s_.head, everything(demonstrations_), s_.seed, {})));
    s_.base.seed = s_.seed;
    auto trainer = must(Trainer::create(start, nullptr, s_.base));
    for (std::size_t i = 0; i < s_.base_steps; ++i) {
      must(trainer->step(draw({{&demonstrations_, 1.0}}, kBatchSize, random_)));
    }
    live_ = parse(must(trainer->weights({})));
    gate_ = must(Gate::create(s_.gate));
  }

  const std::shared_ptr<const Weights>& live() const { return live_; }
  std::size_t interventions() const { return interventions_; }
  std::size_t episodes() const { return episodes_; }
  std::size_t rounds() const { return rounds_; }
  const std::vector<GateReport>& reports() const { return reports_; }

  // Share of `starts` starts over the whole region that succeed without help. The same starts for
  // every set of weights and every seed.
  double success(std::size_t starts) const {
    auto head = must(ActionHead::load(live_));
    std::vector<Pick> worlds;
    for (std::size_t i = 0; i < starts; ++i) worlds.emplace_back(Random::derive(99, i), Region{});
    Random random(5);
    std::vector<float> chunks, f, p, noise;
    for (int step = 0; step < kSteps; ++step) {
      const std::size_t row = static_cast<std::size_t>(step) % kExecuted;
      if (row == 0) {
        f.resize(starts * kFeatures);
        p.resize(starts * kProprioception);
        noise.resize(starts * kHorizon * kAction);
        chunks.resize(noise.size());
        for (std::size_t i = 0; i < starts; ++i) {
          worlds[i].observe(f.data() + i * kFeatures, p.data() + i * kProprioception);
        }
        for (auto& z : noise) z = static_cast<float>(random.normal());
        must(head->sample({starts, f, p, {}, {}}, noise, chunks));
      }
      for (std::size_t i = 0; i < starts; ++i) {
        if (!worlds[i].over()) worlds[i].apply(chunks.data() + (i * kHorizon + row) * kAction);
      }
    }
    const auto won =
        std::count_if(worlds.begin(), worlds.end(), [](const Pick& w) { return w.success(); });
    return static_cast<double>(won) / static_cast<double>(starts);
  }

  // Runs episodes, with the supervisor watching, until `corrected` of them have been corrected.
  void correct(std::size_t corrected) {
    for (std::size_t done = 0, runs = 0; done < corrected && runs < 40 * corrected; ++runs) {
      if (episode()) ++done;
    }
  }

 private:
  static std::shared_ptr<const Weights> parse(std::vector<std::byte> bytes) {
    return must(Weights::parse(std::move(bytes)));
  }

  // Returns whether a person had to help.
  bool episode() {
    const std::uint64_t id = ++episodes_;
    Pick world(Random::derive(s_.seed, 2000 + id), Region{});
    auto head = must(ActionHead::load(live_));
    std::unique_ptr<Trainer> micro;
    std::vector<Stretch> mine, persons;
    std::vector<float> f(kFeatures), p(kProprioception), noise(kHorizon * kAction);
    std::vector<float> chunk(noise.size());
    std::size_t row = kExecuted;
    double best = world.potential(), from = 0;
    int quiet = 0, driving = 0;
    recent_ = Batch{};
    mine.push_back({id, {}, {}, {}});
    while (!world.over()) {
      if (driving > 0) {
        const auto a = world.expert();
        persons.back().add(world, a.data());
        world.apply(a.data());
        ++driving;
        if (driving > 12 && from - world.potential() > 0.03) {
          driving = 0;
          quiet = 0;
          row = kExecuted;
          best = world.potential();
          mine.push_back({id, {}, {}, {}});
          if (s_.micro) {
            corrections_.add(persons.back());
            persons.back() = {};
            if (micro == nullptr) micro = must(Trainer::create(live_, nullptr, options()));
            round(*micro, s_.round_steps);
            head = must(ActionHead::load(live_));
          }
        }
        continue;
      }
      if (row >= kExecuted) {
        world.observe(f.data(), p.data());
        for (auto& z : noise) z = static_cast<float>(random_.normal());
        must(head->sample({1, f, p, {}, {}}, noise, chunk));
        row = 0;
      }
      mine.back().add(world, chunk.data() + row * kAction);
      if (recent_.size < kMaxProbeObservations)
        append(recent_, mine.back(), mine.back().steps() - 1);
      world.apply(chunk.data() + row * kAction);
      ++row;
      if (world.potential() < best - 0.005) {
        best = world.potential();
        quiet = 0;
      } else if (++quiet >= 10) {
        ++interventions_;
        driving = 1;
        from = world.potential();
        persons.push_back({id, {}, {}, {}});
      }
    }
    const bool helped = !persons.empty();
    for (auto& s : persons) corrections_.add(std::move(s));
    if (!helped && world.success()) {
      for (auto& s : mine) successes_.add(std::move(s));
    }
    if (helped && !s_.micro) {
      auto trainer = must(Trainer::create(live_, nullptr, options()));
      round(*trainer, s_.round_steps);
    }
    return helped;
  }

  TrainerOptions options() {
    TrainerOptions o = s_.round;
    o.seed = Random::derive(s_.seed, 3000 + rounds_);
    return o;
  }

  void round(Trainer& trainer, std::size_t steps) {
    ++rounds_;
    const auto all = static_cast<double>(corrections_.frames.size() +
                                         demonstrations_.frames.size() + successes_.frames.size());
    const double corrections =
        std::min(s_.corrections, s_.boost * static_cast<double>(corrections_.frames.size()) / all);
    for (std::size_t i = 0; i < steps; ++i) {
      must(trainer.step(draw({{&corrections_, corrections},
                              {&demonstrations_, s_.demonstrated_share},
                              {&successes_, s_.successes}},
                             kBatchSize, random_)));
    }
    Lineage lineage;
    lineage.parent_hash = to_hex(live_->hash());
    auto candidate = parse(must(trainer.weights(lineage)));
    if (s_.gated) {
      ProbeSet probes;
      probes.demonstrations = draw({{&demonstrations_, 1.0}}, kMaxProbeChunks, probe_random_);
      probes.recent = recent_;
      must(gate_->set_probes(std::move(probes)));
      reports_.push_back(must(gate_->check(candidate, {live_, {live_}, s_.head, ""})));
      if (!reports_.back().accepted) return;
    }
    live_ = candidate;
  }

  Settings s_;
  Random random_;
  Random probe_random_{11};
  Stratum demonstrations_, corrections_, successes_;
  Batch recent_;
  std::unique_ptr<Gate> gate_;
  std::shared_ptr<const Weights> live_;
  std::vector<GateReport> reports_;
  std::uint64_t episodes_ = 0;
  std::size_t interventions_ = 0, rounds_ = 0;
};

}  // namespace nudge::kinematic
