#include "src/loop/eyes_training.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "nudge/random.h"
#include "policy/picture.h"
#include "src/datasets/jpeg.h"
#include "src/loop/clock.h"
#include "src/sim/kitchen_phrases.h"
#include "src/sim/kitchen_scenes.h"

namespace nudge {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
// As the kitchen's cameras give them: at half of that, a pot far from the hand is four pixels wide,
// and cannot be told from the things that lie about.
constexpr std::size_t kSide = 128;
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

// Sentences by level and task: rows of `sentences`.
struct Phrases {
  KnownSentences sentences;
  std::map<int, std::vector<std::vector<std::uint32_t>>> rows;
  std::size_t size = 0;  // of a vector
};

Result<Phrases> phrases_of(const EyesTrainingOptions& options) {
  Phrases known;
  for (const int number : options.levels) {
    const Result<const KitchenLevel*> level = kitchen_level(number);
    if (!level.ok()) return level.status();
    for (const KitchenTask& task : (*level)->data().tasks) {
      auto& rows = known.rows[number].emplace_back();
      for (const std::string& phrase : task_phrases(task.instruction)) {
        const Result<std::vector<float>> vector = options.encode(phrase);
        if (!vector.ok()) return vector.status();
        known.size = vector->size();
        rows.push_back(static_cast<std::uint32_t>(known.sentences.text.size()));
        known.sentences.text.push_back(phrase);
        known.sentences.vectors.insert(known.sentences.vectors.end(), vector->begin(),
                                       vector->end());
      }
    }
  }
  return known;
}

void append_targets(const KitchenScene& scene, EyesSupervision supervision,
                    std::vector<float>& to) {
  if (supervision == EyesSupervision::kActions) {
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

// `count` moments of a level.
Result<VisionExamples> moments_of(int number, std::uint64_t seed, std::size_t count,
                                  EyesSupervision supervision, const Phrases& known,
                                  const std::function<void()>& on_moment) {
  const Result<const KitchenLevel*> level = kitchen_level(number);
  if (!level.ok()) return level.status();
  const auto scenes = KitchenScenes::create(**level, seed);
  if (!scenes.ok()) return scenes.status();
  Random random(Random::derive(seed, kWords));
  const std::vector<std::vector<std::uint32_t>>& tasks = known.rows.at(number);
  const std::size_t each = 3 * kSide * kSide;
  VisionExamples made;
  made.pictures.reserve(count * (*scenes)->cameras().size() * each);
  for (std::size_t i = 0; i < count; ++i) {
    const Result<KitchenScene> scene = (*scenes)->next();
    if (!scene.ok()) return scene.status();
    for (const Image& image : scene->images) {
      const Result<RgbPicture> picture = decode_jpeg(std::as_bytes(std::span(image.jpeg)));
      if (!picture.ok()) return picture.status();
      made.pictures.resize(made.pictures.size() + each);
      shrink(picture->rgb, static_cast<std::size_t>(picture->size.width),
             static_cast<std::size_t>(picture->size.height), kSide,
             std::span(made.pictures).last(each));
    }
    made.proprioception.insert(made.proprioception.end(), scene->proprioception.begin(),
                               scene->proprioception.end());
    const std::vector<std::uint32_t>& rows = tasks.at(scene->task);
    const bool unsaid = tasks.size() == 1 && random.uniform() < kUnsaid;
    const bool own = random.uniform() >= kOtherWords;
    const std::uint32_t other = rows[random.next() % rows.size()];
    made.sentence.push_back(unsaid ? kNoSentence : own ? rows.front() : other);
    append_targets(*scene, supervision, made.targets);
    ++made.size;
    on_moment();
  }
  return made;
}

struct Moments {
  VisionExamples taught;
  std::map<int, VisionExamples> held_out;  // by level
};

void append(VisionExamples more, VisionExamples& to) {
  const auto join = [](auto& of, auto& with) { of.insert(of.end(), with.begin(), with.end()); };
  to.size += more.size;
  join(to.pictures, more.pictures);
  join(to.proprioception, more.proprioception);
  join(to.sentence, more.sentence);
  join(to.targets, more.targets);
}

// Each level's by a thread of its own, joined in the order of the levels.
Result<Moments> all_moments(const EyesTrainingOptions& options, const Phrases& known,
                            const OnEyes& on_progress) {
  const std::size_t total = options.levels.size() * (options.frames + options.held_out);
  std::mutex mutex;
  std::size_t done = 0;
  const auto on_moment = [&] {
    const std::lock_guard lock(mutex);
    on_progress(EyesStage::kPictures, ++done, total, 0);
  };
  struct Work {
    int level;
    Result<VisionExamples> taught = VisionExamples(), held_out = VisionExamples();
  };
  std::vector<Work> work;
  for (const int level : options.levels) work.push_back({level});
  std::vector<std::thread> threads;
  for (Work& one : work) {
    threads.emplace_back([&] {
      const std::uint64_t seed = options.trainer.seed;
      one.held_out = moments_of(one.level, Random::derive(seed, kHeldOut), options.held_out,
                                options.supervision, known, on_moment);
      if (!one.held_out.ok()) return;
      one.taught =
          moments_of(one.level, seed, options.frames, options.supervision, known, on_moment);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Moments all;
  for (Work& one : work) {
    if (!one.held_out.ok()) return one.held_out.status();
    if (!one.taught.ok()) return one.taught.status();
  }
  std::size_t pixels = 0;
  for (const Work& one : work) pixels += one.taught->pictures.size();
  all.taught.pictures.reserve(pixels);
  for (Work& one : work) {
    append(*std::exchange(one.taught, VisionExamples()), all.taught);
    all.held_out[one.level] = *std::move(one.held_out);
  }
  return all;
}

VisionSpec spec_of(const EyesTrainingOptions& options, const Phrases& known,
                   const VisionExamples& examples) {
  VisionSpec spec;
  spec.cameras = {"front", "wrist"};
  spec.side = kSide;
  spec.stride = 4;
  spec.proprioception_size = examples.proprioception.size() / examples.size;
  spec.sentence_size = known.size;
  spec.encoder = options.encoder_hash;
  spec.supervision = described(options) + "; sentences by " + options.encoder_name;
  return spec;
}

}  // namespace

Result<EyesReport> train_eyes(const EyesTrainingOptions& options, const OnEyes& on_progress) {
  if (options.levels.empty() || options.frames == 0) {
    return invalid_argument("eyes: at least one level and one picture are needed");
  }
  EyesReport report;
  Instant begin = steady_now();
  Result<Phrases> known = phrases_of(options);
  if (!known.ok()) return known.status();
  const Result<Moments> moments = all_moments(options, *known, on_progress);
  if (!moments.ok()) return moments.status();
  report.picture_seconds = seconds(steady_now() - begin);
  begin = steady_now();
  VisionTrainerOptions training = options.trainer;
  if (options.supervision == EyesSupervision::kNone) training.steps = 0;
  Result<std::unique_ptr<VisionTrainer>> trainer = VisionTrainer::make(
      spec_of(options, *known, moments->taught), targets_of(options.supervision), known->sentences,
      training, moments->taught);
  if (!trainer.ok()) return trainer.status();
  NUDGE_TRY((*trainer)->train(moments->taught, [&](std::size_t step, double loss) {
    on_progress(EyesStage::kTraining, step, training.steps, loss);
  }));
  report.training_seconds = seconds(steady_now() - begin);
  for (const auto& [number, of_level] : moments->held_out) {
    if (of_level.size == 0) continue;
    const Result<VisionError> error = (*trainer)->error(of_level);
    if (!error.ok()) return error.status();
    report.error[number] = *error;
  }
  VisionFile eyes = (*trainer)->file();
  if (options.supervision != EyesSupervision::kNone) {
    Result<EarsReport> ears = train_ears(std::move(eyes),
                                         {.ways = options.ways,
                                          .seed = options.trainer.seed,
                                          .encode = options.encode,
                                          .encoder_hash = options.encoder_hash},
                                         [&](std::size_t done, std::size_t total) {
                                           on_progress(EyesStage::kSentences, done, total, 0);
                                         });
    if (!ears.ok()) return ears.status();
    eyes = std::move(ears->file);
    report.misheard = ears->misheard;
  }
  Result<std::vector<std::byte>> file = eyes.write();
  if (!file.ok()) return file.status();
  report.file = *std::move(file);
  return report;
}

}  // namespace nudge
