#include "src/loop/eyes_training.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "nudge/random.h"
#include "policy/picture.h"
#include "src/datasets/jpeg.h"
#include "src/loop/clock.h"
#include "src/sim/kitchen_scenes.h"

namespace nudge {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
constexpr double kDrawerUnit = 0.05;     // m
constexpr double kUnsaid = 0.2;          // share of pictures of a single task without its words
constexpr double kOtherWords = 0.5;      // share with other words than the task's own
constexpr std::uint64_t kHeldOut = 900;  // streams of Random::derive
constexpr std::uint64_t kWords = 901;

VisionTargets targets_of(EyesSupervision supervision) {
  if (supervision == EyesSupervision::kActions) {
    return {.positions = 0, .flags = 0, .values = kKitchenActionSize};
  }
  return {.positions = 2, .flags = 1, .values = 1};
}

std::string described(const EyesTrainingOptions& options) {
  std::string text;
  switch (options.supervision) {
    case EyesSupervision::kPoses:
      text =
          "object poses of the simulator: the named object and its goal relative to the tool, "
          "held, "
          "drawer";
      break;
    case EyesSupervision::kActions:
      text = "actions of the scripted expert (behaviour cloning), no object poses";
      break;
    case EyesSupervision::kNone: return "nothing: random weights";
  }
  text += "; levels";
  for (const int level : options.levels) text += " " + std::to_string(level);
  return text + ", " + std::to_string(options.frames) + " randomised pictures of each, " +
         std::to_string(options.trainer.steps) + " steps, seed " +
         std::to_string(options.trainer.seed);
}

class Collector {
 public:
  explicit Collector(const EyesTrainingOptions& options)
      : options_(options), targets_(targets_of(options.supervision)) {}

  // The level's phrases become known.
  Status learn_words(const KitchenLevel& level) {
    auto& tasks = phrases_[level.data().number];
    for (const KitchenTask& task : level.data().tasks) {
      auto& rows = tasks.emplace_back();
      for (const std::string& phrase : task_phrases(task.instruction)) {
        Result<std::vector<float>> vector = options_.encode(phrase);
        if (!vector.ok()) return vector.status();
        if (size_ == 0) size_ = vector->size();
        rows.push_back(static_cast<std::uint32_t>(known_.text.size()));
        known_.text.push_back(phrase);
        known_.vectors.insert(known_.vectors.end(), vector->begin(), vector->end());
      }
    }
    return {};
  }

  Status add(const KitchenLevel& level, std::uint64_t seed, std::size_t count, VisionExamples& to,
             const std::function<void()>& on_picture) {
    auto scenes = KitchenScenes::create(level, seed);
    if (!scenes.ok()) return scenes.status();
    cameras_ = (*scenes)->cameras();
    Random random(Random::derive(seed, kWords));
    const std::size_t each = 3 * VisionSpec{}.side * VisionSpec{}.side;
    for (std::size_t i = 0; i < count; ++i) {
      const Result<KitchenScene> scene = (*scenes)->next();
      if (!scene.ok()) return scene.status();
      proprioception_ = scene->proprioception.size();
      for (const Image& image : scene->images) {
        const Result<RgbPicture> picture = decode_jpeg(std::as_bytes(std::span(image.jpeg)));
        if (!picture.ok()) return picture.status();
        to.pictures.resize(to.pictures.size() + each);
        shrink(picture->rgb, static_cast<std::size_t>(picture->size.width),
               static_cast<std::size_t>(picture->size.height), VisionSpec{}.side,
               std::span(to.pictures).last(each));
      }
      to.proprioception.insert(to.proprioception.end(), scene->proprioception.begin(),
                               scene->proprioception.end());
      const auto& rows = phrases_.at(level.data().number).at(scene->task);
      const bool unsaid =
          phrases_.at(level.data().number).size() == 1 && random.uniform() < kUnsaid;
      const bool own = random.uniform() >= kOtherWords;
      const std::uint32_t other = rows[random.next() % rows.size()];
      to.sentence.push_back(unsaid ? kNoSentence : own ? rows.front() : other);
      append_targets(*scene, to.targets);
      ++to.size;
      on_picture();
    }
    return {};
  }

  VisionSpec spec() const {
    VisionSpec spec;
    for (const CameraSpec& camera : cameras_) spec.cameras.push_back(camera.name);
    spec.proprioception_size = proprioception_;
    spec.sentence_size = size_;
    spec.encoder = options_.encoder_hash;
    spec.supervision = described(options_) + "; sentences by " + options_.encoder_name;
    return spec;
  }
  const VisionTargets& targets() const { return targets_; }
  const KnownSentences& known() const { return known_; }

 private:
  void append_targets(const KitchenScene& scene, std::vector<float>& to) const {
    if (options_.supervision == EyesSupervision::kActions) {
      to.insert(to.end(), scene.expert.begin(), scene.expert.end());
      return;
    }
    for (const double v : scene.object) to.push_back(static_cast<float>(v));
    for (std::size_t i = 0; i < 3; ++i) {
      to.push_back(scene.goal ? static_cast<float>((*scene.goal)[i]) : kUnknown);
    }
    to.push_back(scene.held ? 1.0F : 0.0F);
    to.push_back(scene.drawer ? static_cast<float>(*scene.drawer / kDrawerUnit) : kUnknown);
  }

  const EyesTrainingOptions& options_;
  VisionTargets targets_;
  KnownSentences known_;
  std::map<int, std::vector<std::vector<std::uint32_t>>> phrases_;  // by level and task: rows
  std::size_t size_ = 0;                                            // of a sentence
  std::vector<CameraSpec> cameras_;
  std::size_t proprioception_ = 0;
};

}  // namespace

Result<EyesReport> train_eyes(const EyesTrainingOptions& options, const OnEyes& on_progress) {
  if (options.levels.empty() || options.frames == 0) {
    return invalid_argument("eyes: at least one level and one picture are needed");
  }
  EyesReport report;
  Collector collector(options);
  VisionExamples examples;
  std::map<int, VisionExamples> held_out;
  const std::size_t total = options.levels.size() * (options.frames + options.held_out);
  std::size_t done = 0;
  const auto on_picture = [&] { on_progress(EyesStage::kPictures, ++done, total, 0); };
  Instant begin = steady_now();
  for (const int number : options.levels) {
    const Result<const KitchenLevel*> level = kitchen_level(number);
    if (!level.ok()) return level.status();
    NUDGE_TRY(collector.learn_words(**level));
    const std::uint64_t seed = options.trainer.seed;
    NUDGE_TRY(collector.add(**level, Random::derive(seed, kHeldOut), options.held_out,
                            held_out[number], on_picture));
    NUDGE_TRY(collector.add(**level, seed, options.frames, examples, on_picture));
  }
  report.picture_seconds = seconds(steady_now() - begin);
  begin = steady_now();
  VisionTrainerOptions training = options.trainer;
  if (options.supervision == EyesSupervision::kNone) training.steps = 0;
  Result<std::unique_ptr<VisionTrainer>> trainer = VisionTrainer::make(
      collector.spec(), collector.targets(), collector.known(), training, examples);
  if (!trainer.ok()) return trainer.status();
  NUDGE_TRY((*trainer)->train(examples, [&](std::size_t step, double loss) {
    on_progress(EyesStage::kTraining, step, training.steps, loss);
  }));
  report.training_seconds = seconds(steady_now() - begin);
  for (const auto& [number, of_level] : held_out) {
    if (of_level.size == 0) continue;
    const Result<VisionError> error = (*trainer)->error(of_level);
    if (!error.ok()) return error.status();
    report.error[number] = *error;
  }
  Result<std::vector<std::byte>> file = (*trainer)->file().write();
  if (!file.ok()) return file.status();
  report.file = *std::move(file);
  return report;
}

}  // namespace nudge
