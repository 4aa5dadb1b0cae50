#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "policy/vision_ears.h"

namespace nudge {
namespace {

// Sentences as the layer takes them (torch_vision.cc scales them likewise), and whose they are.
struct Heard {
  at::Tensor own;   // [tasks, size]
  at::Tensor ways;  // [n, size]
  at::Tensor task;  // [n], a row of `own`
};

at::Tensor matrix(const std::vector<float>& values, std::int64_t columns) {
  const auto rows = static_cast<std::int64_t>(values.size()) / columns;
  return at::from_blob(const_cast<float*>(values.data()), {rows, columns}, at::kFloat)
      .to(at::kDouble);
}

Result<Heard> heard(const VisionSpec& spec, std::span<const SaidTask> tasks) {
  if (tasks.empty()) return invalid_argument("ears: there is no task to hear of");
  const auto size = static_cast<std::int64_t>(spec.sentence_size);
  std::vector<at::Tensor> own, ways, task;
  for (const SaidTask& said : tasks) {
    if (said.own.size() != spec.sentence_size || said.ways.size() % spec.sentence_size != 0) {
      return invalid_argument("ears: sentences do not have the " +
                              std::to_string(spec.sentence_size) + " numbers that the eyes take");
    }
    own.push_back(matrix(said.own, size));
    ways.push_back(matrix(said.ways, size));
    task.push_back(
        at::full({ways.back().size(0)}, static_cast<std::int64_t>(task.size()), at::kLong));
  }
  const double scale = std::sqrt(static_cast<double>(size));
  return Heard{at::cat(own) * scale, at::cat(ways) * scale, at::cat(task)};
}

at::Tensor tensor_of(const VisionFile& file, const std::string& name, std::int64_t columns) {
  return matrix(file.tensors.at(name), columns);
}

// What the layer makes of sentences [n, size], before its ReLU: [n, kWordsHidden].
at::Tensor read(const VisionFile& file, const at::Tensor& sentences) {
  return sentences.mm(tensor_of(file, "words.weight", sentences.size(1)).t()) +
         tensor_of(file, "words.bias", 1).t();
}

// What sentences do to the maps, all places in one row.
at::Tensor modulation(const VisionFile& file, const at::Tensor& sentences) {
  const at::Tensor units = at::relu(read(file, sentences));
  std::vector<at::Tensor> all;
  for (const auto& [name, shape] : tensors_of(file.spec)) {
    if (!name.ends_with(".words.weight")) continue;
    all.push_back(units.mm(tensor_of(file, name, shape.back()).t()));
  }
  return at::cat(all, 1);
}

template <typename T>
Result<T> guarded(const std::function<Result<T>()>& work) {
  try {
    const torch::NoGradGuard no_gradient;
    return work();
  } catch (const std::exception& error) {
    return internal(std::string("ears: LibTorch failed: ") + error.what());
  }
}

}  // namespace

Result<VisionFile> teach_ears(VisionFile file, std::span<const SaidTask> tasks,
                              const EarsOptions& options) {
  return guarded<VisionFile>([&]() -> Result<VisionFile> {
    const Result<Heard> said = heard(file.spec, tasks);
    if (!said.ok()) return said.status();
    if (said->ways.size(0) == 0) return std::move(file);
    const std::int64_t size = said->own.size(1);
    // Only what is orthogonal to all own sentences may change.
    const at::Tensor basis = std::get<0>(at::linalg_qr(said->own.t()));
    const at::Tensor ways = said->ways - said->ways.mm(basis).mm(basis.t());
    const at::Tensor gram = ways.t().mm(ways) + options.ridge * static_cast<double>(ways.size(0)) *
                                                    at::eye(size, at::kDouble);
    const at::Tensor factor = at::linalg_cholesky(gram);

    const at::Tensor before = read(file, said->ways);
    const at::Tensor meant = read(file, said->own).index_select(0, said->task);
    at::Tensor target = meant, change;
    for (std::size_t round = 0; round < std::max<std::size_t>(options.rounds, 1); ++round) {
      change = at::cholesky_solve(ways.t().mm(target - before), factor);  // [size, units]
      const at::Tensor off = at::minimum(before + ways.mm(change), at::zeros_like(meant));
      target = at::where(meant > 0, meant, off);
    }
    change = change - basis.mm(basis.t().mm(change));
    const at::Tensor fitted =
        (tensor_of(file, "words.weight", size) + change.t()).to(at::kFloat).contiguous();
    const float* first = fitted.data_ptr<float>();
    file.tensors.at("words.weight").assign(first, first + fitted.numel());
    return std::move(file);
  });
}

Result<double> misheard(const VisionFile& file, std::span<const SaidTask> tasks) {
  return guarded<double>([&]() -> Result<double> {
    const Result<Heard> said = heard(file.spec, tasks);
    if (!said.ok()) return said.status();
    if (said->ways.size(0) == 0) return 0.0;
    const at::Tensor nearest =
        at::cdist(modulation(file, said->ways), modulation(file, said->own)).argmin(1);
    return nearest.ne(said->task).to(at::kDouble).mean().item<double>();
  });
}

}  // namespace nudge
