#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "nudge/types.h"
#include "policy/flat_object.h"
#include "policy/safetensors.h"
#include "policy/value.h"

namespace nudge {
namespace {

constexpr std::size_t kMostBytes = 64u << 20;  // of a value function's file
constexpr std::size_t kRowsAtOnce = 4096;      // of an evaluation
constexpr float kFarthest = 10;                // deviations from the mean that an input may show

using Shape = std::vector<std::int64_t>;

// Names and shapes of all tensors: the one list that writer, reader and trainer agree on.
std::vector<std::pair<std::string, Shape>> tensors_of(const ValueSpec& spec) {
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  std::vector<std::pair<std::string, Shape>> tensors;
  std::size_t in = spec.feature_size + spec.proprioception_size;
  tensors.emplace_back("norm.mean", Shape{size(in)});
  tensors.emplace_back("norm.scale", Shape{size(in)});
  for (std::size_t i = 0; i <= spec.layers; ++i) {
    const std::size_t out = i == spec.layers ? kValueBins : spec.hidden;
    const std::string name = "net." + std::to_string(i);
    tensors.emplace_back(name + ".weight", Shape{size(out), size(in)});
    tensors.emplace_back(name + ".bias", Shape{size(out)});
    in = out;
  }
  return tensors;
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

Status check_inputs(const ValueSpec& spec, std::span<const float> features,
                    std::span<const float> proprioception, std::size_t rows) {
  if (features.size() != rows * spec.feature_size ||
      proprioception.size() != rows * spec.proprioception_size) {
    return invalid_argument("value: features or proprioception are not of " + std::to_string(rows) +
                            " rows of the value function's sizes");
  }
  if (!all_finite(features) || !all_finite(proprioception)) {
    return invalid_argument("value: an input is not finite");
  }
  return {};
}

Status check_batch(const ValueSpec& spec, const ValueBatch& batch) {
  if (batch.returns.empty()) return invalid_argument("value: no rows");
  for (const float value : batch.returns) {
    if (value >= -1 && value <= 0) continue;
    return invalid_argument("value: a return is " + std::to_string(value) +
                            ", and must be from -1 to 0");
  }
  return check_inputs(spec, batch.features, batch.proprioception, batch.returns.size());
}

// The network, in training and afterwards.
struct Network {
  ValueSpec spec;
  std::vector<float> mean, scale;  // of the inputs
  std::vector<at::Tensor> weight, bias;

  // Normalised and cut, so that what was never seen cannot be enormous.
  at::Tensor input(std::span<const float> features, std::span<const float> proprioception,
                   std::size_t rows) const {
    const std::size_t f = spec.feature_size, p = spec.proprioception_size, width = f + p;
    at::Tensor x =
        at::empty({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(width)}, at::kFloat);
    auto* to = x.data_ptr<float>();
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < width; ++c) {
        const float value = c < f ? features[r * f + c] : proprioception[r * p + c - f];
        to[r * width + c] = std::clamp((value - mean[c]) / scale[c], -kFarthest, kFarthest);
      }
    }
    return x;
  }
  // Logarithms of the bins' probabilities.
  at::Tensor forward(at::Tensor x) const {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      x = at::addmm(bias[i], x, weight[i].t());
      if (i + 1 < weight.size()) x = at::silu(x);
    }
    return at::log_softmax(x, 1);
  }
};

std::span<const float> values_in(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

}  // namespace

Status ValueSpec::validate() const {
  const auto range = [](const char* name, std::size_t value, std::size_t low,
                        std::size_t high) -> Status {
    if (value >= low && value <= high) return {};
    return invalid_argument("value: " + std::string(name) + " is " + std::to_string(value) +
                            "; it must be from " + std::to_string(low) + " to " +
                            std::to_string(high));
  };
  NUDGE_TRY(range("feature_size", feature_size, 1, kMaxFeatures));
  NUDGE_TRY(range("proprioception_size", proprioception_size, 0, 256));
  NUDGE_TRY(range("hidden", hidden, 1, 2048));
  return range("layers", layers, 1, 8);
}

struct ValueTrainer::Impl {
  Network network;
  ValueOptions options;
  Random random{0};
  std::vector<at::Tensor> parameters;
  std::unique_ptr<torch::optim::AdamW> optimiser;
  double loss = 0;
};

ValueTrainer::ValueTrainer() = default;
ValueTrainer::~ValueTrainer() = default;
double ValueTrainer::last_loss() const { return impl_->loss; }

Result<std::unique_ptr<ValueTrainer>> ValueTrainer::create(const ValueSpec& spec,
                                                           const ValueBatch& sample,
                                                           const ValueOptions& options) {
  NUDGE_TRY(spec.validate());
  NUDGE_TRY(check_batch(spec, sample));
  const bool valid = options.learning_rate > 0 && options.learning_rate <= 1 &&
                     options.weight_decay >= 0 && options.weight_decay <= 1 && options.noise >= 0 &&
                     options.noise <= 10 && options.gradient_clip > 0;
  if (!valid) return invalid_argument("value: an option of the training is out of its range");
  try {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    impl->random = Random(Random::derive(options.seed, 1));
    Network& net = impl->network;
    net.spec = spec;
    const std::size_t f = spec.feature_size, p = spec.proprioception_size;
    const auto rows = static_cast<double>(sample.returns.size());
    for (std::size_t c = 0; c < f + p; ++c) {
      const auto at = [&](std::size_t r) -> double {
        return c < f ? sample.features[r * f + c] : sample.proprioception[r * p + c - f];
      };
      double sum = 0, squares = 0;
      for (std::size_t r = 0; r < sample.returns.size(); ++r) sum += at(r);
      const double mean = sum / rows;
      for (std::size_t r = 0; r < sample.returns.size(); ++r) {
        squares += (at(r) - mean) * (at(r) - mean);
      }
      const double deviation = std::sqrt(squares / rows);
      net.mean.push_back(static_cast<float>(mean));
      // What rounding leaves of a constant is not movement.
      const bool moves = deviation > 1e-6 * std::abs(mean) + 1e-9;
      net.scale.push_back(moves ? static_cast<float>(deviation) : 1.0F);
    }
    Random initial(Random::derive(options.seed, 2));
    for (const auto& [name, shape] : tensors_of(spec)) {
      if (!name.starts_with("net.")) continue;
      at::Tensor tensor = at::empty(shape, at::kFloat);
      auto* values = tensor.data_ptr<float>();
      const bool is_weight = shape.size() == 2;
      // PyTorch's default for linear layers; biases begin at zero, which is within it.
      const double bound = is_weight ? 1.0 / std::sqrt(static_cast<double>(shape[1])) : 0;
      for (std::int64_t i = 0; i < tensor.numel(); ++i) {
        values[i] = is_weight ? static_cast<float>(initial.uniform(-bound, bound)) : 0.0F;
      }
      tensor.set_requires_grad(true);
      (is_weight ? net.weight : net.bias).push_back(tensor);
      impl->parameters.push_back(tensor);
    }
    impl->optimiser = std::make_unique<torch::optim::AdamW>(
        impl->parameters,
        torch::optim::AdamWOptions(options.learning_rate).weight_decay(options.weight_decay));
    auto trainer = std::unique_ptr<ValueTrainer>(new ValueTrainer());
    trainer->impl_ = std::move(impl);
    return trainer;
  } catch (const std::exception& error) {
    return internal(std::string("value: LibTorch failed: ") + error.what());
  }
}

Status ValueTrainer::step(const ValueBatch& batch) {
  Impl& t = *impl_;
  NUDGE_TRY(check_batch(t.network.spec, batch));
  try {
    const std::size_t rows = batch.returns.size();
    at::Tensor x = t.network.input(batch.features, batch.proprioception, rows);
    auto* inputs = x.data_ptr<float>();
    if (t.options.noise > 0) {
      for (std::int64_t i = 0; i < x.numel(); ++i) {
        inputs[i] += static_cast<float>(t.options.noise * t.random.normal());
      }
    }
    at::Tensor target = at::zeros(
        {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(kValueBins)}, at::kFloat);
    auto* share = target.data_ptr<float>();
    for (std::size_t r = 0; r < rows; ++r) {
      const double place = (batch.returns[r] + 1.0) * (kValueBins - 1);
      const auto low = std::min(static_cast<std::size_t>(place), kValueBins - 2);
      const auto above = static_cast<float>(place - static_cast<double>(low));
      share[r * kValueBins + low] = 1 - above;
      share[r * kValueBins + low + 1] = above;
    }
    t.optimiser->zero_grad();
    at::Tensor loss = -(target * t.network.forward(x)).sum() / static_cast<double>(rows);
    loss.backward();
    double squares = 0;
    for (const at::Tensor& parameter : t.parameters) {
      const auto norm = parameter.grad().norm().item<double>();
      squares += norm * norm;
    }
    const auto value = loss.item<double>();
    if (!std::isfinite(value) || !std::isfinite(squares)) {
      return failed_precondition("value: the loss or its gradient is not finite");
    }
    const double norm = std::sqrt(squares);
    if (norm > t.options.gradient_clip) {
      for (const at::Tensor& parameter : t.parameters) {
        parameter.grad().mul_(t.options.gradient_clip / norm);
      }
    }
    t.optimiser->step();
    t.loss = value;
    return {};
  } catch (const std::exception& error) {
    return internal(std::string("value: LibTorch failed: ") + error.what());
  }
}

Result<std::vector<std::byte>> ValueTrainer::bytes() const {
  const Network& net = impl_->network;
  FlatObject spec;
  spec.set("bins", std::uint64_t{kValueBins});
  spec.set("feature_size", std::uint64_t{net.spec.feature_size});
  spec.set("proprioception_size", std::uint64_t{net.spec.proprioception_size});
  spec.set("hidden", std::uint64_t{net.spec.hidden});
  spec.set("layers", std::uint64_t{net.spec.layers});
  const Result<std::string> text = spec.dump();
  if (!text.ok()) return text.status();
  std::map<std::string, TensorToWrite> tensors;
  std::size_t weight = 0, bias = 0;
  for (const auto& [name, shape] : tensors_of(net.spec)) {
    const std::span<const float> values = name == "norm.mean"    ? std::span(net.mean)
                                          : name == "norm.scale" ? std::span(net.scale)
                                          : shape.size() == 2    ? values_in(net.weight[weight++])
                                                                 : values_in(net.bias[bias++]);
    tensors[name] = {.dtype = Dtype::kF32, .shape = shape, .bytes = std::as_bytes(values)};
  }
  return write_safetensors({{"value", *text}}, tensors);
}

struct ValueFunction::Impl {
  Network network;
};

ValueFunction::ValueFunction() = default;
ValueFunction::~ValueFunction() = default;
const ValueSpec& ValueFunction::spec() const { return impl_->network.spec; }

Result<std::unique_ptr<ValueFunction>> ValueFunction::load(std::vector<std::byte> bytes) {
  const auto broken = [](const std::string& why) { return data_loss("value function: " + why); };
  if (bytes.size() > kMostBytes) return broken("more than 64 MiB");
  Result<SafetensorsFile> file = SafetensorsFile::parse(std::move(bytes));
  if (!file.ok()) return broken(file.status().message());
  const auto metadata = file->metadata().find("value");
  if (metadata == file->metadata().end()) return broken("its metadata has no \"value\"");
  const Result<FlatObject> object = FlatObject::parse(metadata->second);
  if (!object.ok()) return broken(object.status().message());
  auto impl = std::make_unique<Impl>();
  Network& net = impl->network;
  for (const auto& [name, field] :
       {std::pair{"feature_size", &net.spec.feature_size},
        std::pair{"proprioception_size", &net.spec.proprioception_size},
        std::pair{"hidden", &net.spec.hidden}, std::pair{"layers", &net.spec.layers}}) {
    const Result<std::uint64_t> value = object->get<std::uint64_t>(name);
    if (!value.ok()) return broken(value.status().message());
    *field = *value;
  }
  const Result<std::uint64_t> bins = object->get<std::uint64_t>("bins");
  if (!bins.ok() || *bins != kValueBins) return broken("it does not have 201 bins");
  if (const Status valid = net.spec.validate(); !valid.ok()) return broken(valid.message());
  const auto wanted = tensors_of(net.spec);
  if (file->tensors().size() != wanted.size()) return broken("it has tensors too many or too few");
  try {
    for (const auto& [name, shape] : wanted) {
      const auto found = file->tensors().find(name);
      if (found == file->tensors().end() || found->second.dtype != Dtype::kF32 ||
          found->second.shape != shape) {
        return broken("tensor " + name + " is missing or of another shape");
      }
      at::Tensor tensor = at::empty(shape, at::kFloat);
      std::memcpy(tensor.data_ptr<float>(), found->second.bytes.data(), found->second.bytes.size());
      const std::span<const float> values = values_in(tensor);
      if (!all_finite(values)) return broken("tensor " + name + " is not finite");
      if (name == "norm.mean") {
        net.mean.assign(values.begin(), values.end());
      } else if (name == "norm.scale") {
        net.scale.assign(values.begin(), values.end());
        const bool positive =
            std::all_of(values.begin(), values.end(), [](float v) { return v > 0; });
        if (!positive) return broken("a scale is not positive");
      } else {
        (shape.size() == 2 ? net.weight : net.bias).push_back(tensor);
      }
    }
  } catch (const std::exception& error) {
    return internal(std::string("value: LibTorch failed: ") + error.what());
  }
  auto function = std::unique_ptr<ValueFunction>(new ValueFunction());
  function->impl_ = std::move(impl);
  return function;
}

Status ValueFunction::evaluate(std::span<const float> features,
                               std::span<const float> proprioception,
                               std::span<float> values) const {
  const Network& net = impl_->network;
  NUDGE_TRY(check_inputs(net.spec, features, proprioception, values.size()));
  const std::size_t f = net.spec.feature_size, p = net.spec.proprioception_size;
  try {
    const at::NoGradGuard no_autograd;
    for (std::size_t begin = 0; begin < values.size(); begin += kRowsAtOnce) {
      const std::size_t rows = std::min(kRowsAtOnce, values.size() - begin);
      const at::Tensor x = net.input(features.subspan(begin * f, rows * f),
                                     proprioception.subspan(begin * p, rows * p), rows);
      const at::Tensor probability = net.forward(x).exp();
      const auto* at = probability.data_ptr<float>();
      for (std::size_t r = 0; r < rows; ++r) {
        double mean = 0, sum = 0;
        for (std::size_t b = 0; b < kValueBins; ++b) {
          const double share = at[r * kValueBins + b];
          mean += share * (static_cast<double>(b) / (kValueBins - 1) - 1);
          sum += share;
        }
        const double value = mean / sum;
        if (!std::isfinite(value)) return internal("value: a value is not finite");
        values[begin + r] = static_cast<float>(std::clamp(value, -1.0, 0.0));
      }
    }
    return {};
  } catch (const std::exception& error) {
    return internal(std::string("value: LibTorch failed: ") + error.what());
  }
}

}  // namespace nudge
