#include "src/loop/ears_training.h"

#include <utility>
#include <vector>

#include "policy/vision_ears.h"
#include "src/sim/kitchen_phrases.h"

namespace nudge {

Result<EarsReport> train_ears(
    VisionFile eyes, const EarsTrainingOptions& options,
    const std::function<void(std::size_t done, std::size_t total)>& on_sentence) {
  if (options.encoder_hash != eyes.spec.encoder) {
    return failed_precondition(
        "these eyes were trained with another sentence encoder than the one at hand: teach them "
        "with theirs (words.encoder), or train new ones");
  }
  // Each task, and all that is said for it.
  std::vector<std::pair<std::string, std::vector<std::string>>> said;
  std::size_t total = 0;
  for (const std::string& known : eyes.known.text) {
    std::vector<std::string> ways =
        ways_to_say(known, options.ways + options.held_out, options.seed + said.size());
    if (ways.empty()) continue;
    total += ways.size() + 1;
    said.emplace_back(known, std::move(ways));
  }
  if (said.empty()) return invalid_argument("these eyes know no task of the simulated kitchen");

  std::size_t done = 0;
  const auto append = [&](const std::string& sentence, std::vector<float>& to) -> Status {
    const Result<std::vector<float>> vector = options.encode(sentence);
    if (!vector.ok()) return vector.status();
    to.insert(to.end(), vector->begin(), vector->end());
    on_sentence(++done, total);
    return {};
  };
  EarsReport report;
  std::vector<SaidTask> taught, held_out;
  for (const auto& [instruction, ways] : said) {
    SaidTask& task = taught.emplace_back();
    NUDGE_TRY(append(instruction, task.own));
    SaidTask& others = held_out.emplace_back();
    others.own = task.own;
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const bool teaches = i < options.ways;
      NUDGE_TRY(append(ways[i], teaches ? task.ways : others.ways));
      report.sentences += teaches ? 1 : 0;
    }
  }
  const Result<double> before = misheard(eyes, held_out);
  if (!before.ok()) return before.status();
  report.misheard_before = *before;
  Result<VisionFile> file = teach_ears(std::move(eyes), taught);
  if (!file.ok()) return file.status();
  report.file = *std::move(file);
  const std::string how = "; ears: " + std::to_string(options.ways) +
                          " ways to say each task, seed " + std::to_string(options.seed);
  std::string& supervision = report.file.spec.supervision;
  if (!supervision.ends_with(how)) supervision += how;
  const Result<double> after = misheard(report.file, held_out);
  if (!after.ok()) return after.status();
  report.misheard = *after;
  return report;
}

}  // namespace nudge
