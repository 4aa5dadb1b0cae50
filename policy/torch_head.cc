#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/head.h"
#include "policy/input_layout.h"

namespace nudge {
namespace {

at::Tensor to_tensor(const std::vector<float>& values, at::IntArrayRef shape) {
  at::Tensor out = at::empty(shape, at::kFloat);
  std::memcpy(out.data_ptr<float>(), values.data(), values.size() * sizeof(float));
  return out;
}

// A layer's weights, and the same memory seen the other way round.
struct Matrix {
  at::Tensor plain, transposed;
  Matrix() = default;
  explicit Matrix(at::Tensor w) : plain(std::move(w)), transposed(plain.t()) {}
};

struct Normaliser {
  std::vector<float> mean, scale, inverse;
};

Result<Normaliser> normaliser_of(const Weights& weights, const std::string& name) {
  Normaliser n{values_of(weights, name + ".mean"), values_of(weights, name + ".scale"), {}};
  n.inverse.reserve(n.scale.size());
  for (std::size_t i = 0; i < n.scale.size(); ++i) {
    if (!(n.scale[i] > 0)) {
      return invalid_argument("weights: " + name + ".scale[" + std::to_string(i) +
                              "] is not positive; train again with valid normalisers");
    }
    n.inverse.push_back(1.0F / n.scale[i]);
  }
  return n;
}

// Writes normalised rows of `in` [rows, size] into columns [offset, offset + size) of `out`.
// `repeat`: a chunk's actions share one normaliser per channel.
void normalise(std::span<const float> in, std::size_t rows, std::size_t size, const Normaliser& n,
               float* out, std::size_t stride) {
  const std::size_t channels = n.mean.size();
  for (std::size_t r = 0; r < rows; ++r) {
    const float* from = in.data() + r * size;
    float* to = out + r * stride;
    for (std::size_t i = 0; i < size; i += channels) {
      for (std::size_t c = 0; c < channels; ++c) {
        to[i + c] = (from[i + c] - n.mean[c]) * n.inverse[c];
      }
    }
  }
}

Status wrong_size(const char* column, std::size_t got, std::size_t want) {
  return invalid_argument(std::string("head: ") + column + " has " + std::to_string(got) +
                          " numbers, expected " + std::to_string(want));
}

}  // namespace

// Of the first layer's input, only the noisy chunk and the time change between Euler steps, and the
// times are known beforehand. So its product is taken apart: the context's part once per sample,
// the times' and the advantages' parts once per load.
struct ActionHead::Impl {
  explicit Impl(std::shared_ptr<const Weights> w)
      : weights(std::move(w)), layout(weights->head()) {}

  std::shared_ptr<const Weights> weights;
  InputLayout layout;
  Normaliser feature, proprioception, action;
  Matrix context_weight;         // [hidden, context]
  Matrix noisy_weight;           // [hidden, output], flow only
  at::Tensor time_bias;          // [euler_steps, hidden], first bias included (regression: one row)
  at::Tensor advantage_bias;     // [3, hidden]
  std::vector<Matrix> weight;    // of the layers after the first
  std::vector<at::Tensor> bias;  // of the same
  // Buffers for `rows` rows, kept between calls: one set for the single chunk that is played, one
  // for the same with guidance, one for batches, so that none makes another allocate.
  struct Buffers {
    std::size_t rows = 0;
    at::Tensor context, base, x, velocity;
    std::vector<at::Tensor> hidden;
  };
  Buffers single, pair, batch;

  std::size_t context_size() const {
    return layout.reference.size + layout.has_reference.size + layout.features.size +
           layout.proprioception.size;
  }

  // One row is kept as a vector: a matrix-vector product is what the BLAS is fastest at there, and
  // making views costs as much as the small products do.
  Buffers& reserve(std::size_t n) {
    Buffers& b = n == 1 ? single : n == 2 ? pair : batch;
    if (n == b.rows) return b;
    const auto buffer = [&](std::size_t columns) {
      const auto r = static_cast<std::int64_t>(n), c = static_cast<std::int64_t>(columns);
      return n == 1 ? at::zeros({c}, at::kFloat) : at::zeros({r, c}, at::kFloat);
    };
    b.context = buffer(context_size());
    b.base = buffer(weights->head().hidden);
    b.x = buffer(layout.output);
    b.velocity = buffer(layout.output);
    b.hidden.clear();
    for (std::size_t i = 0; i < weights->head().layers; ++i) {
      b.hidden.push_back(buffer(weights->head().hidden));
    }
    b.rows = n;
    return b;
  }

  // out = addend + in * weight^T
  static void linear(at::Tensor& out, const at::Tensor& addend, const at::Tensor& in,
                     const Matrix& w) {
    if (in.dim() == 1) {
      at::addmv_out(out, addend, w.plain, in);
    } else {
      at::addmm_out(out, addend, in, w.transposed);
    }
  }

  // Runs the network at Euler step `k`; the result is in `b.velocity`.
  void forward(Buffers& b, std::size_t k) const {
    const std::size_t width = weights->head().hidden;
    const float* time = time_bias.data_ptr<float>() + k * width;
    const float* from = b.base.data_ptr<float>();
    float* to = b.hidden[0].data_ptr<float>();
    for (std::size_t r = 0; r < b.rows; ++r) {
      for (std::size_t i = 0; i < width; ++i) to[r * width + i] = from[r * width + i] + time[i];
    }
    if (layout.noisy.size > 0) linear(b.hidden[0], b.hidden[0], b.x, noisy_weight);
    at::silu_(b.hidden[0]);
    for (std::size_t i = 1; i < b.hidden.size(); ++i) {
      linear(b.hidden[i], bias[i - 1], b.hidden[i - 1], weight[i - 1]);
      at::silu_(b.hidden[i]);
    }
    linear(b.velocity, bias.back(), b.hidden.back(), weight.back());
  }
};

ActionHead::ActionHead() = default;
ActionHead::~ActionHead() = default;
const Weights& ActionHead::weights() const { return *impl_->weights; }
const HeadSpec& ActionHead::spec() const { return impl_->weights->head(); }

Result<std::unique_ptr<ActionHead>> ActionHead::load(std::shared_ptr<const Weights> weights) {
  if (weights == nullptr) return invalid_argument("head: no weights given");
  try {
    const at::InferenceMode inference;
    auto impl = std::make_unique<Impl>(std::move(weights));
    const HeadSpec& spec = impl->weights->head();
    const InputLayout& layout = impl->layout;
    const auto width = static_cast<std::int64_t>(spec.hidden);
    for (auto [normaliser, name] : {std::pair{&impl->feature, "norm.feature"},
                                    std::pair{&impl->proprioception, "norm.proprioception"},
                                    std::pair{&impl->action, "norm.action"}}) {
      auto n = normaliser_of(*impl->weights, name);
      if (!n.ok()) return n.status();
      *normaliser = *std::move(n);
    }

    const auto tensor = [&](const std::string& name, at::IntArrayRef shape) {
      return to_tensor(values_of(*impl->weights, name), shape);
    };
    const at::Tensor first =
        tensor("net.0.weight", {width, static_cast<std::int64_t>(layout.width)});
    const auto columns = [&](std::size_t offset, std::size_t size) {
      return first.narrow(1, static_cast<std::int64_t>(offset), static_cast<std::int64_t>(size))
          .contiguous();
    };
    impl->noisy_weight = Matrix(columns(0, layout.noisy.size));
    impl->context_weight = Matrix(columns(layout.reference.offset, impl->context_size()));
    impl->advantage_bias =
        at::mm(tensor("advantage", {3, static_cast<std::int64_t>(kAdvantageWidth)}),
               columns(layout.advantage.offset, layout.advantage.size).t());

    const at::Tensor first_bias = tensor("net.0.bias", {width});
    if (spec.kind == HeadKind::kFlow) {
      const std::vector<float> frequencies = values_of(*impl->weights, "time_frequencies");
      const auto steps = static_cast<std::int64_t>(spec.euler_steps);
      at::Tensor embedding = at::empty({steps, 2 * kTimeFrequencies}, at::kFloat);
      auto* e = embedding.data_ptr<float>();
      for (std::size_t k = 0; k < spec.euler_steps; ++k) {
        const float t = static_cast<float>(k) / static_cast<float>(spec.euler_steps);
        for (std::size_t i = 0; i < kTimeFrequencies; ++i) {
          e[k * 2 * kTimeFrequencies + i] = std::sin(frequencies[i] * t);
          e[(k * 2 + 1) * kTimeFrequencies + i] = std::cos(frequencies[i] * t);
        }
      }
      impl->time_bias =
          at::addmm(first_bias, embedding, columns(layout.time.offset, layout.time.size).t());
    } else {
      impl->time_bias = first_bias.view({1, width});
    }
    for (std::size_t i = 1; i <= spec.layers; ++i) {
      const auto out = i == spec.layers ? static_cast<std::int64_t>(layout.output) : width;
      impl->weight.emplace_back(tensor("net." + std::to_string(i) + ".weight", {out, width}));
      impl->bias.push_back(tensor("net." + std::to_string(i) + ".bias", {out}));
    }
    auto head = std::unique_ptr<ActionHead>(new ActionHead());
    head->impl_ = std::move(impl);
    return head;
  } catch (const std::exception& error) {
    return internal(std::string("head: LibTorch failed while loading: ") + error.what());
  }
}

Status ActionHead::warm_up() {
  const HeadSpec& s = spec();
  const std::vector<float> features(s.feature_size), proprioception(s.proprioception_size);
  const std::vector<float> noise(s.horizon * s.action_size);
  const std::vector<float> reference(s.reference_chunk ? noise.size() : 0);
  std::vector<float> chunk(noise.size());
  HeadBatch in;
  in.size = 1;
  in.features = features;
  in.proprioception = proprioception;
  in.reference = reference;
  for (int i = 0; i < 3; ++i) NUDGE_TRY(sample(in, noise, chunk));
  return {};
}

Status ActionHead::sample(const HeadBatch& in, std::span<const float> noise,
                          std::span<float> chunks) {
  Impl& h = *impl_;
  const HeadSpec& s = spec();
  const bool flow = s.kind == HeadKind::kFlow;
  const std::size_t n = in.size;
  const std::size_t out = h.layout.output;
  if (n == 0) return invalid_argument("head: a batch without rows");
  if (in.features.size() != n * s.feature_size) {
    return wrong_size("features", in.features.size(), n * s.feature_size);
  }
  if (in.proprioception.size() != n * s.proprioception_size) {
    return wrong_size("proprioception", in.proprioception.size(), n * s.proprioception_size);
  }
  if (!in.advantage.empty() && in.advantage.size() != n) {
    return wrong_size("advantage", in.advantage.size(), n);
  }
  if (!in.reference.empty() && (!s.reference_chunk || in.reference.size() != n * out)) {
    return wrong_size("reference", in.reference.size(), s.reference_chunk ? n * out : 0);
  }
  if (!in.has_reference.empty() && in.has_reference.size() != n) {
    return wrong_size("has_reference", in.has_reference.size(), n);
  }
  if (!std::isfinite(in.guidance)) return invalid_argument("head: the guidance is not finite");
  if (flow && noise.size() != n * out) return wrong_size("noise", noise.size(), n * out);
  if (chunks.size() != n * out) return wrong_size("chunks", chunks.size(), n * out);
  for (const Advantage a : in.advantage) {
    if (a > Advantage::kNegative) return invalid_argument("head: an unknown advantage token");
  }
  const auto has_reference = [&](std::size_t r) {
    return !in.reference.empty() && (in.has_reference.empty() || in.has_reference[r] != 0);
  };

  try {
    const at::InferenceMode inference;
    // With guidance each row runs twice, the second time without a token.
    const bool guided = in.guidance != 1.0F;
    const std::size_t runs = guided ? 2 * n : n;
    Impl::Buffers& b = h.reserve(runs);
    const std::size_t stride = h.context_size();
    auto* context = b.context.data_ptr<float>();
    std::size_t offset = 0;
    if (s.reference_chunk) {
      for (std::size_t r = 0; r < n; ++r) {
        float* into = context + r * stride;
        if (has_reference(r)) {
          normalise(in.reference.subspan(r * out, out), 1, out, h.action, into, stride);
        } else {
          std::fill_n(into, out, 0.0F);
        }
        if (s.edit) into[out] = has_reference(r) ? 1.0F : 0.0F;
      }
      offset += out + (s.edit ? 1 : 0);
    }
    normalise(in.features, n, s.feature_size, h.feature, context + offset, stride);
    offset += s.feature_size;
    if (s.proprioception_size > 0) {
      normalise(in.proprioception, n, s.proprioception_size, h.proprioception, context + offset,
                stride);
    }
    if (guided) std::copy_n(context, n * stride, context + n * stride);
    // base = advantage's part + context's part
    const auto* advantage_bias = h.advantage_bias.data_ptr<float>();
    auto* base = b.base.data_ptr<float>();
    for (std::size_t r = 0; r < runs; ++r) {
      const auto token = r >= n                 ? Advantage::kNone
                         : in.advantage.empty() ? Advantage::kPositive
                                                : in.advantage[r];
      std::memcpy(base + r * s.hidden, advantage_bias + static_cast<std::size_t>(token) * s.hidden,
                  s.hidden * sizeof(float));
    }
    Impl::linear(b.base, b.base, b.context, h.context_weight);

    float* const v = b.velocity.data_ptr<float>();
    const auto run = [&](std::size_t k) {
      h.forward(b, k);
      if (!guided) return;
      const float* without = v + n * out;
      for (std::size_t i = 0; i < n * out; ++i) {
        v[i] = without[i] + in.guidance * (v[i] - without[i]);
      }
    };
    const float* y = v;
    if (flow) {
      float* x = b.x.data_ptr<float>();
      std::memcpy(x, noise.data(), noise.size_bytes());
      const float dt = 1.0F / static_cast<float>(s.euler_steps);
      for (std::size_t k = 0; k < s.euler_steps; ++k) {
        if (guided) std::copy_n(x, n * out, x + n * out);
        run(k);
        if (s.edit) {
          // Towards the predicted end; all the way in the last step.
          const float part = 1.0F / static_cast<float>(s.euler_steps - k);
          for (std::size_t i = 0; i < n * out; ++i) x[i] = (1 - part) * x[i] + part * v[i];
        } else {
          for (std::size_t i = 0; i < n * out; ++i) x[i] += dt * v[i];
        }
      }
      y = x;
    } else {
      run(0);
    }
    for (std::size_t r = 0; r < n; ++r) {
      const bool edits = s.edit && has_reference(r);
      for (std::size_t i = r * out; i < (r + 1) * out; i += s.action_size) {
        for (std::size_t c = 0; c < s.action_size; ++c) {
          const float from = edits ? in.reference[i + c] : h.action.mean[c];
          chunks[i + c] = y[i + c] * h.action.scale[c] + from;
        }
      }
    }
  } catch (const std::exception& error) {
    return internal(std::string("head: LibTorch failed: ") + error.what());
  }
  return {};
}

}  // namespace nudge
