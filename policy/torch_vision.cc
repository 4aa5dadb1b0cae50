#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <utility>

#include "nudge/random.h"
#include "policy/vision_backbone.h"
#include "policy/vision_trainer.h"
#include "policy/weights.h"

namespace nudge {
namespace {

// The network; what it multiplies with, by name as in tensors_of().
class Net {
 public:
  Net(const VisionSpec& spec, const std::map<std::string, std::vector<float>>& values)
      : spec_(spec), layers_(layers_of(spec)), side_(static_cast<std::int64_t>(spec.side)) {
    for (const auto& [name, shape] : tensors_of(spec)) {
      at::Tensor tensor = at::empty(shape, at::kFloat);
      const std::vector<float>& from = values.at(name);
      std::copy(from.begin(), from.end(), tensor.data_ptr<float>());
      tensors_[name] = tensor;
    }
  }

  // What is trained, in a fixed order.
  std::vector<at::Tensor> parameters() const {
    std::vector<at::Tensor> all;
    for (const auto& [name, tensor] : tensors_) {
      if (!name.starts_with("norm.")) all.push_back(tensor);
    }
    return all;
  }
  std::map<std::string, std::vector<float>> values() const {
    std::map<std::string, std::vector<float>> all;
    for (const auto& [name, tensor] : tensors_) {
      const float* first = tensor.data_ptr<float>();
      all[name].assign(first, first + tensor.numel());
    }
    return all;
  }

  // How sentences [n, sentence_size] modulate: for each place in the network's order [n, 2 x maps].
  std::vector<at::Tensor> modulation(const at::Tensor& sentences) const {
    // Vectors of length 1 have small numbers.
    const double scale = std::sqrt(static_cast<double>(spec_.sentence_size));
    const at::Tensor words = at::relu(linear("words", sentences * scale));
    std::vector<at::Tensor> all;
    for (std::size_t camera = 0; camera < spec_.cameras.size(); ++camera) {
      for (std::size_t i = 1; i < layers_.size(); ++i) {
        all.push_back(linear(layer(camera, i) + ".words", words));
      }
    }
    all.push_back(linear("trunk.words", words));
    return all;
  }

  // Features [n, features] of pictures [n, cameras, 3, side, side] from -0.5 to 0.5, and of
  // proprioception [n, size] as it is measured.
  at::Tensor features(const at::Tensor& pictures, const at::Tensor& proprioception,
                      const std::vector<at::Tensor>& modulation) const {
    std::vector<at::Tensor> seen;
    std::size_t place = 0;
    for (std::size_t camera = 0; camera < spec_.cameras.size(); ++camera) {
      at::Tensor x = pictures.select(1, static_cast<std::int64_t>(camera));
      for (std::size_t i = 0; i < layers_.size(); ++i) {
        const VisionLayer& shape = layers_[i];
        const std::string name = layer(camera, i);
        x = at::conv2d(x, at_(name + ".weight"), at_(name + ".bias"), shape.stride,
                       shape.kernel / 2);
        if (i > 0) {
          const at::Tensor& by = modulation[place++];
          x = x * (1 + by.narrow(1, 0, shape.maps)).unsqueeze(2).unsqueeze(3) +
              by.narrow(1, shape.maps, shape.maps).unsqueeze(2).unsqueeze(3);
        }
        x = at::relu(x);
      }
      seen.push_back(x.flatten(1));
    }
    seen.push_back((proprioception - at_("norm.proprioception.mean")) /
                   at_("norm.proprioception.scale"));
    const auto hidden = static_cast<std::int64_t>(spec_.hidden);
    const at::Tensor& by = modulation[place];
    const at::Tensor trunk = linear("trunk", at::cat(seen, 1));
    return at::relu(linear("features", at::relu(trunk * (1 + by.narrow(1, 0, hidden)) +
                                                by.narrow(1, hidden, hidden))));
  }

  // Rows of bytes as features() takes them.
  at::Tensor pictures(const std::uint8_t* bytes, std::int64_t rows) const {
    const at::Tensor raw = at::from_blob(
        const_cast<std::uint8_t*>(bytes),
        {rows, static_cast<std::int64_t>(spec_.cameras.size()), 3, side_, side_}, at::kByte);
    return raw.to(at::kFloat).div_(255).sub_(0.5);
  }

 private:
  static std::string layer(std::size_t camera, std::size_t i) {
    return "camera." + std::to_string(camera) + "." + std::to_string(i);
  }
  const at::Tensor& at_(const std::string& name) const { return tensors_.at(name); }
  at::Tensor linear(const std::string& name, const at::Tensor& x) const {
    return at::linear(x, at_(name + ".weight"), at_(name + ".bias"));
  }

  VisionSpec spec_;
  std::array<VisionLayer, kVisionLayers> layers_;
  std::int64_t side_;
  std::map<std::string, at::Tensor> tensors_;
};

Status failed(const std::exception& error) {
  return internal(std::string("vision backbone: LibTorch failed: ") + error.what());
}

class VisionBackbone final : public Backbone {
 public:
  VisionBackbone(VisionFile file, std::vector<CameraSpec> cameras, std::string hash,
                 VisionOptions options)
      : spec_(file.spec),
        known_(std::move(file.known)),
        cameras_(std::move(cameras)),
        hash_(std::move(hash)),
        options_(std::move(options)),
        net_(spec_, file.tensors) {
    if (options_.encoder_hash != spec_.encoder) options_.encode = nullptr;
  }

  std::size_t feature_size() const override { return spec_.features; }
  std::vector<std::string> cameras() const override { return spec_.cameras; }
  const std::string& hash() const override { return hash_; }

  Result<std::vector<float>> encode(const Observation& observation,
                                    const std::string& instruction) override {
    if (observation.proprioception.size() != spec_.proprioception_size) {
      return invalid_argument("the observation has " +
                              std::to_string(observation.proprioception.size()) +
                              " values of proprioception, the backbone takes " +
                              std::to_string(spec_.proprioception_size));
    }
    const std::size_t each = 3 * spec_.side * spec_.side;
    pictures_.resize(cameras_.size() * each);
    for (std::size_t i = 0; i < cameras_.size(); ++i) {
      const CameraSpec& camera = cameras_[i];
      const Result<std::vector<std::uint8_t>> pixels =
          pixels_of(observation, camera, options_.decode);
      if (!pixels.ok()) return pixels.status();
      shrink(*pixels, static_cast<std::size_t>(camera.width),
             static_cast<std::size_t>(camera.height), spec_.side,
             std::span(pictures_).subspan(i * each, each));
    }
    try {
      const at::InferenceMode inference;
      if (modulation_.empty() || instruction != sentence_) {
        const Result<std::vector<float>> vector = vector_of(instruction);
        if (!vector.ok()) return vector.status().with_context("instruction");
        const at::Tensor row =
            at::empty({1, static_cast<std::int64_t>(spec_.sentence_size)}, at::kFloat);
        std::copy(vector->begin(), vector->end(), row.data_ptr<float>());
        modulation_ = net_.modulation(row);
        sentence_ = instruction;
      }
      const at::Tensor measured =
          at::empty({1, static_cast<std::int64_t>(spec_.proprioception_size)}, at::kFloat);
      std::copy(observation.proprioception.begin(), observation.proprioception.end(),
                measured.data_ptr<float>());
      const at::Tensor made =
          net_.features(net_.pictures(pictures_.data(), 1), measured, modulation_).contiguous();
      const float* first = made.data_ptr<float>();
      std::vector<float> features(first, first + made.numel());
      if (!std::all_of(features.begin(), features.end(),
                       [](float v) { return std::isfinite(v); })) {
        return invalid_argument("the backbone made a feature that is not finite");
      }
      return features;
    } catch (const std::exception& error) {
      return failed(error);
    }
  }

 private:
  Result<std::vector<float>> vector_of(const std::string& instruction) const {
    std::vector<float> none(spec_.sentence_size, 0.0F);
    if (instruction.empty()) return none;
    const auto found = std::find(known_.text.begin(), known_.text.end(), instruction);
    if (found != known_.text.end()) {
      const auto first = known_.vectors.begin() +
                         (found - known_.text.begin()) * static_cast<std::ptrdiff_t>(none.size());
      return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(none.size()));
    }
    if (!options_.encode) return none;
    Result<std::vector<float>> vector = options_.encode(instruction);
    if (vector.ok() && vector->size() != spec_.sentence_size) {
      return internal("the encoder's vectors have " + std::to_string(vector->size()) +
                      " numbers, the backbone takes " + std::to_string(spec_.sentence_size));
    }
    return vector;
  }

  VisionSpec spec_;
  KnownSentences known_;
  std::vector<CameraSpec> cameras_;
  std::string hash_;
  VisionOptions options_;
  Net net_;
  std::vector<std::uint8_t> pictures_;  // reused
  std::string sentence_;                // of modulation_
  std::vector<at::Tensor> modulation_;
};

}  // namespace

Result<std::unique_ptr<Backbone>> make_vision_backbone(std::vector<std::byte> bytes,
                                                       const ObservationSpec& spec,
                                                       VisionOptions options) {
  const std::string digest = to_hex(sha256(bytes));
  Result<VisionFile> file = VisionFile::parse(std::move(bytes));
  if (!file.ok()) return file.status();
  if (file->spec.proprioception_size != spec.proprioception.size()) {
    return invalid_argument(
        "the vision backbone takes " + std::to_string(file->spec.proprioception_size) +
        " values of proprioception, the robot has " + std::to_string(spec.proprioception.size()) +
        "; it was trained for another robot");
  }
  std::ostringstream identity;
  identity << "vision backbone 1\n"
           << digest << '\n'
           << (options.encoder_hash == file->spec.encoder ? options.encoder_hash : "none") << '\n';
  for (const Channel& channel : spec.proprioception) {
    identity << channel.name << ' ' << channel.unit << '\n';
  }
  std::vector<CameraSpec> cameras;
  for (const std::string& name : file->spec.cameras) {
    const auto found = std::find_if(spec.cameras.begin(), spec.cameras.end(),
                                    [&](const CameraSpec& each) { return each.name == name; });
    if (found == spec.cameras.end()) {
      return invalid_argument("the vision backbone looks at camera '" + name +
                              "', which the robot does not have");
    }
    const auto side = static_cast<int>(file->spec.side);
    if (found->width < side || found->height < side) {
      return invalid_argument("the vision backbone takes pictures of at least " +
                              std::to_string(side) + " x " + std::to_string(side) +
                              " from camera '" + name + "', the robot's are " +
                              std::to_string(found->width) + " x " + std::to_string(found->height));
    }
    identity << name << ' ' << found->width << ' ' << found->height << '\n';
    cameras.push_back(*found);
  }
  const std::string text = identity.str();
  at::set_num_threads(1);
  try {
    return std::unique_ptr<Backbone>(std::make_unique<VisionBackbone>(
        *std::move(file), std::move(cameras), to_hex(sha256(std::as_bytes(std::span(text)))),
        std::move(options)));
  } catch (const std::exception& error) {
    return failed(error);
  }
}

namespace {

constexpr double kPositionUnit = 0.1;  // m
constexpr double kNearby = 0.025;      // m; where the second reading of a position is sharp
constexpr double kNearbyWeight = 2;
constexpr double kExact = 0.01;       // m of error that counts as one right at the tool
constexpr double kShareFar = 0.15;    // and more of it, by the distance
constexpr std::size_t kReadings = 6;  // numbers read for a position: itself, and its near field
constexpr std::int64_t kErrorBatch = 128;
// Pictures are taught in other light each time, so that what is learned of their colours is not
// learned by heart: each picture's contrast, each channel's, and brightness change by up to this.
constexpr double kContrast = 0.15;
constexpr double kTint = 0.08;
constexpr double kBrightness = 0.05;
constexpr std::size_t kLossWindow = 100;

}  // namespace

struct VisionTrainer::Impl {
  Impl(const VisionSpec& s, const std::map<std::string, std::vector<float>>& values)
      : spec(s), net(s, values) {}

  VisionSpec spec;
  VisionTargets targets;
  KnownSentences known;
  VisionTrainerOptions options;
  Net net;
  Random random{0};
  at::Tensor weight, bias;  // of the readings
  at::Tensor sentences;     // [known + 1, size]; the last row: none

  struct Rows {
    at::Tensor pictures, proprioception, sentence, targets;
  };
  Rows rows_of(const VisionExamples& examples, const std::vector<std::size_t>& which) const;
  at::Tensor readings(const Rows& rows) const {
    const at::Tensor features =
        net.features(rows.pictures, rows.proprioception,
                     net.modulation(sentences.index_select(0, rows.sentence)));
    return at::linear(features, weight, bias);
  }
  at::Tensor loss(const Rows& rows) const;
  void relight(at::Tensor& pictures);
};

void VisionTrainer::Impl::relight(at::Tensor& pictures) {
  const std::int64_t n = pictures.size(0), cameras = pictures.size(1);
  const at::Tensor gain = at::empty({n, cameras, 3, 1, 1}, at::kFloat);
  const at::Tensor offset = at::empty({n, cameras, 1, 1, 1}, at::kFloat);
  auto* g = gain.data_ptr<float>();
  auto* o = offset.data_ptr<float>();
  for (std::int64_t i = 0; i < n * cameras; ++i) {
    const double contrast = 1 + random.uniform(-kContrast, kContrast);
    for (int c = 0; c < 3; ++c) {
      g[3 * i + c] = static_cast<float>(contrast + random.uniform(-kTint, kTint));
    }
    o[i] = static_cast<float>(random.uniform(-kBrightness, kBrightness));
  }
  pictures.mul_(gain).add_(offset);
}

VisionTrainer::Impl::Rows VisionTrainer::Impl::rows_of(
    const VisionExamples& examples, const std::vector<std::size_t>& which) const {
  const auto n = static_cast<std::int64_t>(which.size());
  const std::size_t pixels = spec.cameras.size() * 3 * spec.side * spec.side;
  const std::size_t width = targets.width(), measured = spec.proprioception_size;
  std::vector<std::uint8_t> pictures(which.size() * pixels);
  Rows rows{.pictures = {},
            .proprioception = at::empty({n, static_cast<std::int64_t>(measured)}, at::kFloat),
            .sentence = at::empty({n}, at::kLong),
            .targets = at::empty({n, static_cast<std::int64_t>(width)}, at::kFloat)};
  for (std::size_t i = 0; i < which.size(); ++i) {
    const std::size_t row = which[i];
    std::copy_n(examples.pictures.begin() + static_cast<std::ptrdiff_t>(row * pixels), pixels,
                pictures.begin() + static_cast<std::ptrdiff_t>(i * pixels));
    std::copy_n(examples.proprioception.begin() + static_cast<std::ptrdiff_t>(row * measured),
                measured, rows.proprioception.data_ptr<float>() + i * measured);
    std::copy_n(examples.targets.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                rows.targets.data_ptr<float>() + i * width);
    const std::uint32_t sentence = examples.sentence[row];
    rows.sentence.data_ptr<std::int64_t>()[i] =
        sentence == kNoSentence ? static_cast<std::int64_t>(known.text.size()) : sentence;
  }
  rows.pictures = net.pictures(pictures.data(), n);
  return rows;
}

at::Tensor VisionTrainer::Impl::loss(const Rows& rows) const {
  const at::Tensor read = readings(rows);
  std::vector<at::Tensor> parts;
  // The mean of `each` over what is known of `of`; `each` is finite everywhere.
  const auto mean_known = [](const at::Tensor& each, const at::Tensor& known_mask) {
    return (each * known_mask).sum() / known_mask.sum().clamp_min(1);
  };
  std::int64_t at_reading = 0, at_target = 0;
  const auto readings_count = static_cast<std::int64_t>(kReadings);
  for (std::size_t i = 0; i < targets.positions; ++i) {
    const at::Tensor raw = rows.targets.narrow(1, at_target, 3);
    const at::Tensor known_mask = at::isfinite(raw).to(at::kFloat);
    const at::Tensor place = at::nan_to_num(raw, 0.0);
    const at::Tensor far = read.narrow(1, at_reading, 3) * kPositionUnit;
    const at::Tensor near = read.narrow(1, at_reading + 3, 3);
    const at::Tensor allowed = kExact + kShareFar * place.norm(2, {1}, true);
    const at::Tensor error = ((far - place) / allowed).abs();
    parts.push_back(mean_known(at::where(error < 1, 0.5 * error * error, error - 0.5), known_mask));
    const at::Tensor off = near - at::tanh(place / kNearby);
    parts.push_back(kNearbyWeight * mean_known(off * off, known_mask));
    at_reading += readings_count;
    at_target += 3;
  }
  for (std::size_t i = 0; i < targets.flags + targets.values; ++i, ++at_reading, ++at_target) {
    const at::Tensor raw = rows.targets.select(1, at_target);
    const at::Tensor known_mask = at::isfinite(raw).to(at::kFloat);
    const at::Tensor truth = at::nan_to_num(raw, 0.0);
    const at::Tensor answer = read.select(1, at_reading);
    const at::Tensor off = answer - truth;
    // Of a flag: the cross-entropy of its logit.
    const at::Tensor each = i < targets.flags ? at::softplus(answer) - answer * truth : off * off;
    parts.push_back(mean_known(each, known_mask));
  }
  return at::stack(parts).sum();
}

VisionTrainer::VisionTrainer() = default;
VisionTrainer::~VisionTrainer() = default;

namespace {

Status check(const VisionSpec& spec, const VisionTargets& targets, const KnownSentences& known,
             const VisionExamples& examples) {
  const auto wrong = [](const char* what) {
    return invalid_argument(std::string("vision trainer: ") + what);
  };
  if (targets.width() == 0 || targets.width() > 1024)
    return wrong("1 to 1,024 targets are allowed");
  if (known.vectors.size() != known.text.size() * spec.sentence_size) {
    return wrong("the sentences' vectors do not fit");
  }
  if (examples.size == 0) return wrong("there are no examples");
  const std::size_t pixels = spec.cameras.size() * 3 * spec.side * spec.side;
  if (examples.pictures.size() != examples.size * pixels ||
      examples.proprioception.size() != examples.size * spec.proprioception_size ||
      examples.sentence.size() != examples.size ||
      examples.targets.size() != examples.size * targets.width()) {
    return wrong("a column of the examples does not match their number");
  }
  for (const std::uint32_t sentence : examples.sentence) {
    if (sentence != kNoSentence && sentence >= known.text.size()) {
      return wrong("an example has a sentence that is not known");
    }
  }
  return {};
}

// PyTorch's default: uniform within 1 / sqrt(inputs), biases too. Sentences modulate nothing yet.
std::map<std::string, std::vector<float>> random_values(const VisionSpec& spec, Random& random) {
  std::map<std::string, std::vector<float>> values;
  std::int64_t inputs = 1;
  for (const auto& [name, shape] : tensors_of(spec)) {
    std::int64_t count = 1;
    for (const auto s : shape) count *= s;
    std::vector<float>& to = values[name];
    to.assign(static_cast<std::size_t>(count), 0.0F);
    if (name.starts_with("norm.") || name.find(".words.") != std::string::npos) continue;
    if (name.ends_with(".weight")) inputs = count / shape[0];  // its bias comes next
    const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
    for (float& v : to) v = static_cast<float>(random.uniform(-bound, bound));
  }
  return values;
}

}  // namespace

Result<std::unique_ptr<VisionTrainer>> VisionTrainer::make(const VisionSpec& spec,
                                                           const VisionTargets& targets,
                                                           KnownSentences known,
                                                           const VisionTrainerOptions& options,
                                                           const VisionExamples& examples) {
  NUDGE_TRY(spec.validate());
  NUDGE_TRY(check(spec, targets, known, examples));
  if (options.batch == 0 || options.batch > 65'536) {
    return invalid_argument("vision trainer: a batch has 1 to 65,536 rows");
  }
  Random random(Random::derive(options.seed, 1));
  auto values = random_values(spec, random);
  for (std::size_t c = 0; c < spec.proprioception_size; ++c) {
    double sum = 0, squares = 0;
    for (std::size_t row = 0; row < examples.size; ++row) {
      const double v = examples.proprioception[row * spec.proprioception_size + c];
      sum += v;
      squares += v * v;
    }
    const auto n = static_cast<double>(examples.size);
    const double mean = sum / n;
    values["norm.proprioception.mean"][c] = static_cast<float>(mean);
    values["norm.proprioception.scale"][c] =
        static_cast<float>(std::max(std::sqrt(std::max(0.0, squares / n - mean * mean)), 1e-3));
  }
  at::set_num_threads(1);
  std::unique_ptr<VisionTrainer> trainer(new VisionTrainer());
  try {
    trainer->impl_ = std::make_unique<Impl>(spec, values);
    Impl& s = *trainer->impl_;
    s.targets = targets;
    s.known = std::move(known);
    s.options = options;
    s.random = Random(Random::derive(options.seed, 2));
    const auto readings =
        static_cast<std::int64_t>(kReadings * targets.positions + targets.flags + targets.values);
    const auto features = static_cast<std::int64_t>(spec.features);
    s.weight = at::empty({readings, features}, at::kFloat);
    s.bias = at::zeros({readings}, at::kFloat);
    const double bound = 1.0 / std::sqrt(static_cast<double>(features));
    for (std::int64_t i = 0; i < s.weight.numel(); ++i) {
      s.weight.data_ptr<float>()[i] = static_cast<float>(random.uniform(-bound, bound));
    }
    const auto size = static_cast<std::int64_t>(spec.sentence_size);
    s.sentences = at::zeros({static_cast<std::int64_t>(s.known.text.size()) + 1, size}, at::kFloat);
    std::copy(s.known.vectors.begin(), s.known.vectors.end(), s.sentences.data_ptr<float>());
  } catch (const std::exception& error) {
    return failed(error);
  }
  return trainer;
}

Status VisionTrainer::train(const VisionExamples& examples,
                            const std::function<void(std::size_t, double)>& on_step) {
  Impl& s = *impl_;
  NUDGE_TRY(check(s.spec, s.targets, s.known, examples));
  try {
    std::vector<at::Tensor> trained = s.net.parameters();
    trained.push_back(s.weight);
    trained.push_back(s.bias);
    for (at::Tensor& tensor : trained) tensor.requires_grad_(true);
    torch::optim::AdamW optimiser(
        trained,
        torch::optim::AdamWOptions(s.options.learning_rate).weight_decay(s.options.weight_decay));
    auto& rate = static_cast<torch::optim::AdamWOptions&>(optimiser.param_groups()[0].options());
    double sum = 0;
    std::size_t summed = 0;
    std::vector<std::size_t> which(s.options.batch);
    for (std::size_t step = 0; step < s.options.steps; ++step) {
      const double done = static_cast<double>(step) / static_cast<double>(s.options.steps);
      rate.lr(s.options.learning_rate * 0.5 * (1 + std::cos(3.14159265358979 * done)));
      for (std::size_t& row : which) row = s.random.next() % examples.size;
      optimiser.zero_grad();
      Impl::Rows rows = s.rows_of(examples, which);
      s.relight(rows.pictures);
      const at::Tensor loss = s.loss(rows);
      loss.backward();
      torch::nn::utils::clip_grad_norm_(trained, 1.0);
      optimiser.step();
      sum += loss.item<double>();
      if (++summed == kLossWindow || step + 1 == s.options.steps) {
        on_step(step + 1, sum / static_cast<double>(summed));
        sum = 0;
        summed = 0;
      }
    }
    for (at::Tensor& tensor : trained) tensor.requires_grad_(false);
  } catch (const std::exception& error) {
    return failed(error);
  }
  return {};
}

Result<VisionError> VisionTrainer::error(const VisionExamples& held_out) {
  Impl& s = *impl_;
  NUDGE_TRY(check(s.spec, s.targets, s.known, held_out));
  std::array<std::vector<double>, 3> distances;
  std::size_t flags = 0, wrong_flags = 0, values = 0;
  double squares = 0;
  try {
    const at::NoGradGuard no_gradient;
    for (std::size_t first = 0; first < held_out.size; first += kErrorBatch) {
      std::vector<std::size_t> which(std::min<std::size_t>(kErrorBatch, held_out.size - first));
      for (std::size_t i = 0; i < which.size(); ++i) which[i] = first + i;
      const at::Tensor read = s.readings(s.rows_of(held_out, which)).contiguous();
      for (std::size_t i = 0; i < which.size(); ++i) {
        const float* answer = read.data_ptr<float>() + i * static_cast<std::size_t>(read.size(1));
        const float* truth = held_out.targets.data() + which[i] * s.targets.width();
        if (s.targets.positions > 0 && std::isfinite(truth[0])) {
          double off = 0, far = 0;
          for (std::size_t k = 0; k < 3; ++k) {
            off += std::pow(answer[k] * kPositionUnit - truth[k], 2);
            far += std::pow(truth[k], 2);
          }
          far = std::sqrt(far);
          distances[far < 0.05 ? 0 : far < 0.15 ? 1 : 2].push_back(std::sqrt(off));
        }
        answer += kReadings * s.targets.positions;
        truth += 3 * s.targets.positions;
        for (std::size_t k = 0; k < s.targets.flags + s.targets.values; ++k) {
          if (!std::isfinite(truth[k])) continue;
          if (k < s.targets.flags) {
            ++flags;
            if ((answer[k] > 0) != (truth[k] > 0.5F)) ++wrong_flags;
          } else {
            ++values;
            squares += std::pow(static_cast<double>(answer[k]) - truth[k], 2);
          }
        }
      }
    }
  } catch (const std::exception& error) {
    return failed(error);
  }
  const auto middle = [](std::vector<double>& of) {
    if (of.empty()) return -1.0;
    const auto half = of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2);
    std::nth_element(of.begin(), half, of.end());
    return *half;
  };
  VisionError error{
      .near = middle(distances[0]), .middle = middle(distances[1]), .far = middle(distances[2])};
  if (flags > 0) error.flags = static_cast<double>(wrong_flags) / static_cast<double>(flags);
  if (values > 0) error.values = std::sqrt(squares / static_cast<double>(values));
  return error;
}

VisionFile VisionTrainer::file() const {
  return {.spec = impl_->spec, .known = impl_->known, .tensors = impl_->net.values()};
}

}  // namespace nudge
