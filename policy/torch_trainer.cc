#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nudge/random.h"
#include "policy/input_layout.h"
#include "policy/trainer.h"

namespace nudge {
namespace {

// Tensors begin at whole cache lines of the flat vector, and loops over it go by whole lines.
constexpr std::int64_t kLane = 16;
constexpr std::int64_t kBlock = 4096;  // parameters whose squares are summed in floats

// Where one trained tensor lies in the flat vector of all parameters.
struct Slot {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;
  std::int64_t size = 0;
};

// Trained: the layers and the advantage embedding. Normalisers and time frequencies stay.
bool is_trained(const std::string& name) { return name.starts_with("net.") || name == "advantage"; }

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const auto s : shape) n *= s;
  return n;
}

Status check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return invalid_argument(std::string("trainer: ") + name + " is " + std::to_string(value) +
                          ", allowed are " + std::to_string(low) + " to " + std::to_string(high));
}

Status check_sizes(const Batch& batch, const HeadSpec& spec) {
  const std::size_t n = batch.size;
  if (n == 0) return invalid_argument("batch: no rows");
  if (batch.feature_size != spec.feature_size ||
      batch.proprioception_size != spec.proprioception_size ||
      batch.action_size != spec.action_size || batch.horizon != spec.horizon) {
    return invalid_argument(
        "batch: its feature, proprioception, action or horizon size is not the head's");
  }
  if (batch.features.size() != n * spec.feature_size ||
      batch.proprioception.size() != n * spec.proprioception_size ||
      batch.actions.size() != n * spec.horizon * spec.action_size ||
      batch.mask.size() != n * spec.horizon || batch.weight.size() != n ||
      batch.advantage.size() != n) {
    return invalid_argument("batch: a column's length does not match its number of rows");
  }
  if ((!batch.reference.empty() && batch.reference.size() != batch.actions.size()) ||
      (!batch.reference.empty() && batch.has_reference.size() != n)) {
    return invalid_argument("batch: its reference chunks do not match its number of rows");
  }
  return {};
}

struct Moments {
  std::vector<double> sum, squares;
  double count = 0;
  explicit Moments(std::size_t channels) : sum(channels), squares(channels) {}
  // Two passes would be more exact; doubles over a few thousand float rows are exact enough.
  void add(const float* row) {
    for (std::size_t c = 0; c < sum.size(); ++c) {
      sum[c] += row[c];
      squares[c] += static_cast<double>(row[c]) * row[c];
    }
    ++count;
  }
};

// Mean and scale of each channel; see initial_weights() for channels that do not move.
void normaliser_from(const Moments& m, std::vector<float>& mean, std::vector<float>& scale) {
  const std::size_t n = m.sum.size();
  std::vector<double> deviation(n);
  std::vector<double> moving;
  mean.resize(n);
  scale.resize(n);
  for (std::size_t c = 0; c < n; ++c) {
    const double mu = m.sum[c] / m.count;
    mean[c] = static_cast<float>(mu);
    deviation[c] = std::sqrt(std::max(0.0, m.squares[c] / m.count - mu * mu));
    // What rounding leaves of a constant is not movement.
    if (deviation[c] > 1e-6 * std::abs(mu) + 1e-9) moving.push_back(deviation[c]);
  }
  double median = 1;
  if (!moving.empty()) {
    const auto middle = moving.begin() + static_cast<std::ptrdiff_t>(moving.size() / 2);
    std::nth_element(moving.begin(), middle, moving.end());
    median = *middle;
  }
  for (std::size_t c = 0; c < n; ++c) {
    scale[c] = static_cast<float>(deviation[c] > 0.01 * median ? deviation[c] : median);
  }
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

Status TrainerOptions::validate() const {
  NUDGE_TRY(check_range("learning_rate", learning_rate, 1e-8, 1));
  NUDGE_TRY(check_range("ema_decay", ema_decay, 0, 0.99999));
  NUDGE_TRY(check_range("weight_decay", weight_decay, 0, 1));
  NUDGE_TRY(check_range("gradient_clip", gradient_clip, 1e-6, 1e6));
  NUDGE_TRY(check_range("beta1", beta1, 0, 0.99999));
  NUDGE_TRY(check_range("beta2", beta2, 0, 0.999999));
  NUDGE_TRY(check_range("epsilon", epsilon, 1e-15, 1));
  NUDGE_TRY(check_range("advantage_dropout", advantage_dropout, 0, 1));
  NUDGE_TRY(check_range("reference_dropout", reference_dropout, 0, 1));
  NUDGE_TRY(check_range("feature_noise", feature_noise, 0, 10));
  NUDGE_TRY(check_range("proximal", proximal, 0, 1e3));
  NUDGE_TRY(check_range("max_relative_distance", max_relative_distance, 0, 1e6));
  return check_range("huber_delta", huber_delta, 1e-6, 1e6);
}

Result<std::vector<std::byte>> initial_weights(const HeadSpec& spec, const Batch& data,
                                               std::uint64_t seed, Lineage lineage) {
  NUDGE_TRY(spec.validate());
  NUDGE_TRY(check_sizes(data, spec));
  Moments feature(spec.feature_size), proprioception(spec.proprioception_size);
  Moments action(spec.action_size);
  if (!all_finite(data.features) || !all_finite(data.proprioception)) {
    return invalid_argument("batch: a feature or proprioception value is not finite");
  }
  for (std::size_t r = 0; r < data.size; ++r) {
    feature.add(data.features.data() + r * spec.feature_size);
    if (spec.proprioception_size > 0) {
      proprioception.add(data.proprioception.data() + r * spec.proprioception_size);
    }
    for (std::size_t h = 0; h < spec.horizon; ++h) {
      if (data.mask[r * spec.horizon + h] == 0) continue;
      const float* a = data.actions.data() + (r * spec.horizon + h) * spec.action_size;
      if (!all_finite({a, spec.action_size})) {
        return invalid_argument("batch: an action is not finite");
      }
      action.add(a);
    }
  }
  if (action.count == 0) return invalid_argument("batch: every action is masked");

  std::map<std::string, std::vector<float>> tensors;
  Random random(seed);
  for (const auto& [name, shape] : tensors_of(spec)) {
    auto& values = tensors[name];
    values.resize(static_cast<std::size_t>(elements(shape)));
    if (spec.edit && name.starts_with("net." + std::to_string(spec.layers) + ".")) continue;
    if (name.starts_with("net.")) {
      // PyTorch's default for linear layers: uniform within 1/sqrt(inputs), for the bias as well.
      const bool bias = name.ends_with(".bias");
      const bool first = name.starts_with("net.0.");
      const std::size_t inputs = bias ? (first ? InputLayout(spec).width : spec.hidden)
                                      : static_cast<std::size_t>(shape[1]);
      const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
      for (auto& v : values) v = static_cast<float>(random.uniform(-bound, bound));
    } else if (name == "advantage") {
      for (auto& v : values) v = static_cast<float>(random.normal());
    } else if (name == "time_frequencies") {
      // Geometric from 1 to 100 rad: the slowest tells the ends of [0, 1] apart, the fastest two
      // neighbouring Euler steps of 64.
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(
            std::pow(100.0, static_cast<double>(i) / static_cast<double>(values.size() - 1)));
      }
    }
  }
  normaliser_from(feature, tensors["norm.feature.mean"], tensors["norm.feature.scale"]);
  if (spec.proprioception_size > 0) {
    normaliser_from(proprioception, tensors["norm.proprioception.mean"],
                    tensors["norm.proprioception.scale"]);
  }
  normaliser_from(action, tensors["norm.action.mean"], tensors["norm.action.scale"]);
  lineage.parent_hash.clear();
  lineage.seed = seed;
  return write_weights(spec, lineage, tensors);
}

// A batch as the network takes it.
struct Columns {
  at::Tensor input, target;
  at::Tensor one_hot;      // of the advantage token
  at::Tensor coefficient;  // each output's share of the loss
};

// All trained tensors lie in one flat vector, and so do their gradients, so that clipping, AdamW,
// the bound and the average are a few passes over one array instead of dozens of small kernels. The
// backward pass of this small network is written out for the same reason: it writes straight into
// the flat gradient.
//
// On a GPU the batch is still made in the CPU's memory and then sent, the loss and the optimiser
// are tensor operations, and one look at loss and gradient is all that a step waits for.
struct Trainer::Impl {
  Impl(std::shared_ptr<const Weights> s, const TrainerOptions& o, TorchDevice where)
      : start(std::move(s)),
        options(o),
        device(where == TorchDevice::kCuda ? at::kCUDA : at::kCPU),
        by_tensors(where == TorchDevice::kCuda || o.by_tensors),
        spec(start->head()),
        layout(spec),
        random(Random::derive(o.seed, 1)),
        generator(at::make_generator<at::CPUGeneratorImpl>(Random::derive(o.seed, 2))) {}

  std::shared_ptr<const Weights> start;
  TrainerOptions options;
  at::Device device;
  bool by_tensors;
  HeadSpec spec;
  InputLayout layout;
  Random random;            // dropouts
  at::Generator generator;  // noise and time: vectorised, unlike ours

  std::vector<Slot> slots;
  at::Tensor flat, gradient, first_moment, second_moment, average, confirmed;
  at::Tensor scratch;
  double confirmed_norm = 0;
  std::vector<at::Tensor> weight, bias, weight_gradient, bias_gradient;  // views, per layer
  at::Tensor advantage, advantage_gradient;                              // views
  std::vector<float> frequencies;
  std::vector<float> feature_mean, feature_inverse, proprioception_mean, proprioception_inverse,
      action_mean, action_inverse;

  std::int64_t rows = 0;
  at::Tensor noise, jitter, time;
  Columns filled;  // in the CPU's memory
  Columns used;    // on the device; by loops the same tensors
  at::Tensor prediction;
  std::vector<at::Tensor> before, after;  // pre-activations and activations of hidden layers
  std::vector<at::Tensor> delta;          // their gradients

  std::uint32_t steps = 0;
  double loss = 0;
  double distance = 0;
  at::Tensor distance_there;  // by tensors: on the device, read when somebody asks

  void prepare(const Weights* confirmed_weights);
  void reserve(std::int64_t n);
  Status fill(const Batch& batch);
  void send();
  void forward();
  double loss_and_delta();
  at::Tensor loss_and_delta_by_tensors();
  void backward();
  void update(double norm);
  void update_by_tensors(double norm);

  at::Tensor view(const at::Tensor& from, const Slot& slot) const {
    return from.narrow(0, slot.offset, slot.size).view(slot.shape);
  }
};

void Trainer::Impl::prepare(const Weights* confirmed_weights) {
  std::int64_t total = 0;
  for (const auto& [name, shape] : tensors_of(spec)) {
    if (!is_trained(name)) continue;
    const std::int64_t size = elements(shape);
    slots.push_back({name, shape, total, size});
    total += (size + kLane - 1) / kLane * kLane;
  }
  flat = at::zeros({total}, at::kFloat);
  gradient = at::zeros({total}, at::kFloat);
  first_moment = at::zeros({total}, at::kFloat);
  second_moment = at::zeros({total}, at::kFloat);
  scratch = at::zeros({total}, at::kFloat);
  const auto load = [&](const Weights& from, at::Tensor& into) {
    for (const auto& slot : slots) {
      const std::vector<float> values = values_of(from, slot.name);
      std::memcpy(into.data_ptr<float>() + slot.offset, values.data(),
                  values.size() * sizeof(float));
    }
  };
  load(*start, flat);
  average = flat.clone();
  confirmed = at::zeros({total}, at::kFloat);
  load(confirmed_weights == nullptr ? *start : *confirmed_weights, confirmed);
  confirmed_norm = confirmed.norm().item<double>();
  for (at::Tensor* tensor :
       {&flat, &gradient, &first_moment, &second_moment, &scratch, &average, &confirmed}) {
    *tensor = tensor->to(device);
  }
  distance_there = at::zeros({}, scratch.options());

  const auto find = [&](const std::string& name) -> const Slot& {
    return *std::find_if(slots.begin(), slots.end(), [&](const Slot& s) { return s.name == name; });
  };
  for (std::size_t i = 0; i <= spec.layers; ++i) {
    const Slot& w = find("net." + std::to_string(i) + ".weight");
    const Slot& b = find("net." + std::to_string(i) + ".bias");
    weight.push_back(view(flat, w));
    bias.push_back(view(flat, b));
    weight_gradient.push_back(view(gradient, w));
    bias_gradient.push_back(view(gradient, b));
  }
  advantage = view(flat, find("advantage"));
  advantage_gradient = view(gradient, find("advantage"));
  frequencies = values_of(*start, "time_frequencies");
  const auto normaliser = [&](const std::string& name, std::vector<float>& mean,
                              std::vector<float>& inverse) {
    mean = values_of(*start, name + ".mean");
    inverse = values_of(*start, name + ".scale");
    for (auto& v : inverse) v = 1.0F / v;
  };
  normaliser("norm.feature", feature_mean, feature_inverse);
  normaliser("norm.proprioception", proprioception_mean, proprioception_inverse);
  normaliser("norm.action", action_mean, action_inverse);
}

void Trainer::Impl::reserve(std::int64_t n) {
  if (n == rows) return;
  const auto width = static_cast<std::int64_t>(spec.hidden);
  const auto out = static_cast<std::int64_t>(layout.output);
  // Memory that a GPU can fetch from by itself.
  const at::TensorOptions here = at::TensorOptions(at::kFloat).pinned_memory(device.is_cuda());
  const at::TensorOptions there = at::TensorOptions(at::kFloat).device(device);
  filled.input = at::zeros({n, static_cast<std::int64_t>(layout.width)}, here);
  filled.target = at::empty({n, out}, here);
  noise = at::empty({n, out}, at::kFloat);
  time = at::empty({n}, at::kFloat);
  const std::size_t columns = options.feature_noise > 0 ? spec.feature_size : 0;
  jitter = at::empty({n, static_cast<std::int64_t>(columns)}, at::kFloat);
  filled.one_hot = at::zeros({n, 3}, here);
  filled.coefficient = at::empty({n, out}, here);
  used = filled;
  if (by_tensors) {
    for (at::Tensor* tensor : {&used.input, &used.target, &used.one_hot, &used.coefficient}) {
      *tensor = at::empty(tensor->sizes(), there);
    }
  }
  prediction = at::empty({n, out}, there);
  before.clear();
  after.clear();
  delta.clear();
  for (std::size_t i = 0; i < spec.layers; ++i) {
    before.push_back(at::empty({n, width}, there));
    after.push_back(at::empty({n, width}, there));
    delta.push_back(at::empty({n, width}, there));
  }
  rows = n;
}

// Writes the input, the target and each output's share of the loss.
Status Trainer::Impl::fill(const Batch& batch) {
  const bool flow = spec.kind == HeadKind::kFlow;
  const std::size_t n = batch.size, out = layout.output, width = layout.width;
  const std::size_t actions = spec.action_size, horizon = spec.horizon;

  double total = 0;
  for (std::size_t r = 0; r < n; ++r) {
    if (!(batch.weight[r] >= 0)) return invalid_argument("batch: a weight is negative or NaN");
    for (std::size_t h = 0; h < horizon; ++h) {
      total += static_cast<double>(batch.weight[r]) * batch.mask[r * horizon + h];
    }
  }
  if (!(total > 0) || !std::isfinite(total)) {
    return invalid_argument("batch: no row has weight; sample again");
  }
  if (options.feature_noise > 0) jitter.normal_(0, options.feature_noise, generator);
  if (flow) {
    noise.normal_(0, 1, generator);
    filled.target.normal_(0, 1, generator);
    time.uniform_(0, 1, generator);
  }

  auto* x = filled.input.data_ptr<float>();
  auto* y = filled.target.data_ptr<float>();
  auto* share = filled.coefficient.data_ptr<float>();
  auto* hot = filled.one_hot.data_ptr<float>();
  const auto* z = noise.data_ptr<float>();
  const auto* t = time.data_ptr<float>();
  const float* embedding = by_tensors ? nullptr : advantage.data_ptr<float>();  // see send()
  const double per_action = 1.0 / (total * static_cast<double>(actions));
  for (std::size_t r = 0; r < n; ++r) {
    float* row = x + r * width;
    float* goal = y + r * out;
    const float* reference = nullptr;  // of this row, unless it has none or it is hidden
    if (spec.reference_chunk) {
      const bool hidden = random.uniform() < options.reference_dropout;
      if (!hidden && !batch.reference.empty() && batch.has_reference[r] != 0) {
        reference = batch.reference.data() + r * out;
      }
    }
    for (std::size_t h = 0; h < horizon; ++h) {
      const float m = batch.mask[r * horizon + h];
      // Past the end of a window there is no action. The noisy input goes on with a random one (in
      // `goal` already): the last one repeated would tell the network its answer, which it then
      // misses when it runs on its own.
      const float* a = batch.actions.data() + (r * horizon + h) * actions;
      const auto s = static_cast<float>(batch.weight[r] * m * per_action);
      for (std::size_t c = 0; c < actions; ++c) {
        const std::size_t i = h * actions + c;
        const float from = spec.edit && reference != nullptr ? reference[i] : action_mean[c];
        if (m > 0) goal[i] = (a[c] - from) * action_inverse[c];
        share[r * out + i] = s;
      }
    }
    if (flow) {
      for (std::size_t i = 0; i < out; ++i) {
        const float from = z[r * out + i], to = goal[i];
        row[layout.noisy.offset + i] = from + t[r] * (to - from);
        if (!spec.edit) goal[i] = to - from;  // else the end of the path: see policy/head.h
      }
    }
    if (spec.reference_chunk) {
      float* into = row + layout.reference.offset;
      for (std::size_t i = 0; i < out; ++i) {
        const std::size_t c = i % actions;
        into[i] = reference == nullptr ? 0 : (reference[i] - action_mean[c]) * action_inverse[c];
      }
      if (spec.edit) row[layout.has_reference.offset] = reference == nullptr ? 0.0F : 1.0F;
    }
    const float* f = batch.features.data() + r * spec.feature_size;
    for (std::size_t c = 0; c < spec.feature_size; ++c) {
      row[layout.features.offset + c] = (f[c] - feature_mean[c]) * feature_inverse[c];
    }
    const float* p = batch.proprioception.data() + r * spec.proprioception_size;
    for (std::size_t c = 0; c < spec.proprioception_size; ++c) {
      row[layout.proprioception.offset + c] =
          (p[c] - proprioception_mean[c]) * proprioception_inverse[c];
    }
    if (options.feature_noise > 0) {
      const float* by = jitter.data_ptr<float>() + r * spec.feature_size;
      for (std::size_t c = 0; c < spec.feature_size; ++c) row[layout.features.offset + c] += by[c];
    }
    if (flow) {
      float* e = row + layout.time.offset;
      for (std::size_t i = 0; i < kTimeFrequencies; ++i) e[i] = std::sin(frequencies[i] * t[r]);
      for (std::size_t i = 0; i < kTimeFrequencies; ++i) {
        e[kTimeFrequencies + i] = std::cos(frequencies[i] * t[r]);
      }
    }
    auto token = batch.advantage[r];
    if (token > Advantage::kNegative) return invalid_argument("batch: an unknown advantage token");
    if (random.uniform() < options.advantage_dropout) token = Advantage::kNone;
    const auto k = static_cast<std::size_t>(token);
    for (std::size_t i = 0; i < 3; ++i) hot[r * 3 + i] = i == k ? 1.0F : 0.0F;
    if (embedding != nullptr) {
      std::memcpy(row + layout.advantage.offset, embedding + k * kAdvantageWidth,
                  kAdvantageWidth * sizeof(float));
    }
  }
  return {};
}

// What was filled, to where it is used; the embedding of the token is only known there. What was
// sent may be filled again after the next look at the device: step() has one.
void Trainer::Impl::send() {
  used.input.copy_(filled.input, /*non_blocking=*/true);
  used.target.copy_(filled.target, /*non_blocking=*/true);
  used.one_hot.copy_(filled.one_hot, /*non_blocking=*/true);
  used.coefficient.copy_(filled.coefficient, /*non_blocking=*/true);
  used.input
      .narrow(1, static_cast<std::int64_t>(layout.advantage.offset),
              static_cast<std::int64_t>(kAdvantageWidth))
      .copy_(at::mm(used.one_hot, advantage));
}

void Trainer::Impl::forward() {
  const at::Tensor* in = &used.input;
  for (std::size_t i = 0; i < spec.layers; ++i) {
    at::addmm_out(before[i], bias[i], *in, weight[i].t());
    at::silu_out(after[i], before[i]);
    in = &after[i];
  }
  at::addmm_out(prediction, bias.back(), *in, weight.back().t());
}

// The loss, and in `prediction` its derivative by the prediction.
double Trainer::Impl::loss_and_delta() {
  const std::int64_t n = prediction.numel();
  auto* p = prediction.data_ptr<float>();
  const auto* y = used.target.data_ptr<float>();
  const auto* s = used.coefficient.data_ptr<float>();
  double sum = 0;
  if (spec.kind == HeadKind::kFlow) {
    for (std::int64_t i = 0; i < n; ++i) {
      const float e = s[i] > 0 ? p[i] - y[i] : 0;
      sum += static_cast<double>(s[i]) * e * e;
      p[i] = 2 * s[i] * e;
    }
    return sum;
  }
  const auto d = static_cast<float>(options.huber_delta);
  for (std::int64_t i = 0; i < n; ++i) {
    const float e = s[i] > 0 ? p[i] - y[i] : 0;
    const float a = std::abs(e);
    sum += static_cast<double>(s[i]) * (a <= d ? 0.5F * e * e : d * (a - 0.5F * d));
    p[i] = s[i] * std::clamp(e, -d, d);
  }
  return sum;
}

// The same; the loss as one double on the device.
at::Tensor Trainer::Impl::loss_and_delta_by_tensors() {
  const at::Tensor error = (prediction - used.target).masked_fill_(used.coefficient.le(0), 0);
  if (spec.kind == HeadKind::kFlow) {
    at::mul_out(prediction, used.coefficient, error).mul_(2);
    return (used.coefficient * error * error).sum(at::kDouble);
  }
  at::mul_out(prediction, used.coefficient, error.clamp(-options.huber_delta, options.huber_delta));
  const at::Tensor each =
      at::huber_loss(error, at::zeros_like(error), at::Reduction::None, options.huber_delta);
  return (used.coefficient * each).sum(at::kDouble);
}

void Trainer::Impl::backward() {
  const at::Tensor* out = &prediction;  // derivative by this layer's output
  for (std::size_t i = spec.layers + 1; i-- > 0;) {
    const at::Tensor& in = i == 0 ? used.input : after[i - 1];
    at::mm_out(weight_gradient[i], out->t(), in);
    at::sum_out(bias_gradient[i], *out, {0});
    if (i == 0) break;
    at::mm_out(delta[i - 1], *out, weight[i]);
    at::silu_backward_out(delta[i - 1], delta[i - 1], before[i - 1]);
    out = &delta[i - 1];
  }
  const auto offset = static_cast<std::int64_t>(layout.advantage.offset);
  const at::Tensor by_embedding =
      at::mm(*out, weight[0].narrow(1, offset, static_cast<std::int64_t>(kAdvantageWidth)));
  at::mm_out(advantage_gradient, used.one_hot.t(), by_embedding);
}

// Plain loops rather than a dozen tensor operations: each would pass over all parameters again.
void Trainer::Impl::update(double norm) {
  const double step = steps + 1.0;
  const std::int64_t n = flat.numel();  // a multiple of kLane
  const auto clip =
      static_cast<float>(norm > options.gradient_clip ? options.gradient_clip / norm : 1.0);
  const auto beta1 = static_cast<float>(options.beta1), beta2 = static_cast<float>(options.beta2);
  const float* __restrict g = gradient.data_ptr<float>();
  float* __restrict m = first_moment.data_ptr<float>();
  float* __restrict v = second_moment.data_ptr<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    const float clipped = g[i] * clip;
    m[i] = beta1 * m[i] + (1 - beta1) * clipped;
    v[i] = beta2 * v[i] + (1 - beta2) * clipped * clipped;
  }
  at::sqrt_out(scratch, second_moment);  // vectorised; std::sqrt sets errno and is not

  const double unbias = 1 - std::pow(options.beta1, step);
  const double unbias_root = std::sqrt(1 - std::pow(options.beta2, step));
  const auto keep = static_cast<float>(1 - options.learning_rate * options.weight_decay);
  const auto pull = static_cast<float>(std::min(1.0, options.learning_rate * options.proximal));
  const auto size = static_cast<float>(options.learning_rate / unbias);
  const auto root = static_cast<float>(1 / unbias_root);
  const auto epsilon = static_cast<float>(options.epsilon);
  float* __restrict p = flat.data_ptr<float>();
  const float* __restrict c = confirmed.data_ptr<float>();
  const float* __restrict d = scratch.data_ptr<float>();
  double moved = 0;
  for (std::int64_t block = 0; block < n; block += kBlock) {
    const std::int64_t end = std::min(n, block + kBlock);
    float lanes[kLane] = {};  // sums that need no particular order of their own
    for (std::int64_t i = block; i < end; i += kLane) {
      for (std::int64_t k = 0; k < kLane; ++k) {
        float x = p[i + k] * keep;
        x += pull * (c[i + k] - x);
        x -= size * m[i + k] / (d[i + k] * root + epsilon);
        p[i + k] = x;
        lanes[k] += (x - c[i + k]) * (x - c[i + k]);
      }
    }
    for (const float lane : lanes) moved += lane;
  }
  distance = std::sqrt(moved) / std::max(confirmed_norm, 1e-12);
  if (options.max_relative_distance > 0 && distance > options.max_relative_distance) {
    flat.lerp_(confirmed, 1 - options.max_relative_distance / distance);
    distance = options.max_relative_distance;
  }
  average.lerp_(flat, 1 - options.ema_decay);
}

// update(), operation for operation.
void Trainer::Impl::update_by_tensors(double norm) {
  const double step = steps + 1.0;
  if (norm > options.gradient_clip) gradient.mul_(options.gradient_clip / norm);
  first_moment.mul_(options.beta1).add_(gradient, 1 - options.beta1);
  second_moment.mul_(options.beta2).addcmul_(gradient, gradient, 1 - options.beta2);
  const double unbias = 1 - std::pow(options.beta1, step);
  const double unbias_root = std::sqrt(1 - std::pow(options.beta2, step));
  at::sqrt_out(scratch, second_moment).mul_(1 / unbias_root).add_(options.epsilon);
  flat.mul_(1 - options.learning_rate * options.weight_decay);
  flat.lerp_(confirmed, std::min(1.0, options.learning_rate * options.proximal));
  flat.addcdiv_(first_moment, scratch, -options.learning_rate / unbias);
  at::sub_out(scratch, flat, confirmed);
  distance_there = scratch.norm() / std::max(confirmed_norm, 1e-12);
  if (options.max_relative_distance > 0) {
    // Without looking: within the bound it goes none of the way back.
    const at::Tensor inside = options.max_relative_distance / distance_there;
    flat.lerp_(confirmed, (1 - inside).clamp_min_(0));
    distance_there.clamp_max_(options.max_relative_distance);
  }
  average.lerp_(flat, 1 - options.ema_decay);
}

Trainer::Trainer() = default;
Trainer::~Trainer() = default;
std::uint32_t Trainer::steps() const { return impl_->steps; }
double Trainer::last_loss() const { return impl_->loss; }
double Trainer::relative_distance() const {
  return impl_->by_tensors ? impl_->distance_there.item<double>() : impl_->distance;
}

Result<std::unique_ptr<Trainer>> Trainer::create(std::shared_ptr<const Weights> start,
                                                 std::shared_ptr<const Weights> confirmed,
                                                 const TrainerOptions& options) {
  if (start == nullptr) return invalid_argument("trainer: no weights to start from");
  NUDGE_TRY(options.validate());
  if (confirmed != nullptr && confirmed->head() != start->head()) {
    return invalid_argument(
        "trainer: the confirmed weights are of another architecture than the start");
  }
  const Result<TorchDevice> device = choose_device(options.device, "learner.device");
  if (!device.ok()) return device.status();
  try {
    const at::NoGradGuard no_autograd;
    auto impl = std::make_unique<Impl>(std::move(start), options, *device);
    impl->prepare(confirmed.get());
    auto trainer = std::unique_ptr<Trainer>(new Trainer());
    trainer->impl_ = std::move(impl);
    return trainer;
  } catch (const std::exception& error) {
    return internal(std::string("trainer: LibTorch failed: ") + error.what());
  }
}

Status Trainer::step(const Batch& batch) {
  Impl& t = *impl_;
  NUDGE_TRY(check_sizes(batch, t.spec));
  try {
    const at::NoGradGuard no_autograd;
    t.reserve(static_cast<std::int64_t>(batch.size));
    NUDGE_TRY(t.fill(batch));
    if (t.by_tensors) t.send();
    t.forward();
    double loss = 0, norm = 0;
    if (t.by_tensors) {
      const at::Tensor there = t.loss_and_delta_by_tensors();
      t.backward();
      const at::Tensor both = at::stack({there, t.gradient.norm().to(at::kDouble)}).cpu();
      loss = both[0].item<double>();
      norm = both[1].item<double>();
    } else {
      loss = t.loss_and_delta();
      t.backward();
      norm = t.gradient.norm().item<double>();
    }
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
      return failed_precondition(
          "trainer: the loss or its gradient is not finite; the batch or the start weights hold a "
          "value that is not a number, or one far too large");
    }
    if (t.by_tensors) {
      t.update_by_tensors(norm);
    } else {
      t.update(norm);
    }
    t.loss = loss;
    ++t.steps;
    return {};
  } catch (const std::exception& error) {
    return internal(std::string("trainer: LibTorch failed: ") + error.what());
  }
}

Result<std::vector<std::byte>> Trainer::weights(Lineage lineage) const {
  const Impl& t = *impl_;
  std::map<std::string, std::vector<float>> tensors;
  at::Tensor here;
  try {
    here = t.average.cpu();
  } catch (const std::exception& error) {
    return internal(std::string("trainer: LibTorch failed: ") + error.what());
  }
  const auto* average = here.data_ptr<float>();
  for (const auto& slot : t.slots) {
    tensors[slot.name].assign(average + slot.offset, average + slot.offset + slot.size);
  }
  for (const auto& [name, shape] : tensors_of(t.spec)) {
    if (!is_trained(name)) tensors[name] = values_of(*t.start, name);
  }
  lineage.steps = t.steps;
  lineage.seed = t.options.seed;
  return write_weights(t.spec, lineage, tensors);
}

void use_one_torch_thread() {
  at::set_num_threads(1);
  // Inter-op threads may be set only before their pool exists; it is never used here.
  try {
    at::set_num_interop_threads(1);
  } catch (const std::exception&) {
  }
}

}  // namespace nudge
