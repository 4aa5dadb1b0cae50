#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/folder.h"
#include "policy/trainer.h"
#include "src/cli/exit_code.h"
#include "src/cli/terminal.h"
#include "src/commands/command.h"
#include "src/commands/state.h"
#include "src/learning/sentences.h"
#include "src/loop/clock.h"
#include "src/loop/ears_training.h"
#include "src/loop/eyes_training.h"
#include "src/loop/perception.h"

namespace nudge {
namespace {

struct BackboneFlags {
  std::string out;
  EyesTrainingOptions training;
};
struct EarsFlags {
  std::string out, backbone;
  EarsTrainingOptions training;
};

const std::map<std::string, EyesSupervision>& supervisions() {
  static const std::map<std::string, EyesSupervision> all = {{"poses", EyesSupervision::kPoses},
                                                             {"actions", EyesSupervision::kActions},
                                                             {"none", EyesSupervision::kNone}};
  return all;
}

// In one step, so that nobody ever loads half a file.
Status write_whole(const std::string& path, const std::vector<std::byte>& bytes) {
  const std::filesystem::path file(path);
  const std::string folder_path = file.parent_path().empty() ? "." : file.parent_path().string();
  std::error_code error;
  if (!std::filesystem::is_directory(folder_path, error)) {
    return not_found("there is no folder " + folder_path + " to write " + path + " into");
  }
  Result<std::unique_ptr<Folder>> folder = open_folder(folder_path);
  if (!folder.ok()) return folder.status();
  return replace_file(**folder, file.filename().string(), bytes);
}

nlohmann::json number_or_null(double value) {
  return value < 0 ? nlohmann::json() : nlohmann::json(value);
}

std::string millimetres(double metres) {
  if (metres < 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f mm", 1e3 * metres);
  return text;
}

const char* title_of(EyesStage stage) {
  switch (stage) {
    case EyesStage::kPictures: return "pictures";
    case EyesStage::kTraining: return "training";
    case EyesStage::kSentences: return "sentences";
  }
  return "";
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

std::string decimal(double value) {
  if (value < 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

int run_train(const Program& program, const BackboneFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  const Result<SentenceSource> source = sentence_source(loaded->config);
  if (!source.ok()) return fail(source.status());
  EyesTrainingOptions options = flags.training;
  options.encode = source->encode;
  options.encoder_hash = source->hash;
  options.encoder_name = source->note.empty() && loaded->config.words.encoder != "none"
                             ? "the sentence encoder"
                             : "their words, without a sentence encoder";
  if (!source->note.empty()) std::fprintf(stderr, "note: %s\n", source->note.c_str());

  std::optional<ProgressBar> bar;
  std::optional<EyesStage> shown;
  const Result<EyesReport> report =
      train_eyes(options, [&](EyesStage stage, std::size_t done, std::size_t total, double loss) {
        if (shown != stage) {
          if (bar) bar->finish("done", steady_now());
          bar.reset();
          bar.emplace(stderr, progress_style(stderr, program.json || program.quiet),
                      title_of(stage), std::max<std::size_t>(total, 1), steady_now());
          shown = stage;
        }
        char text[48] = "";
        if (stage == EyesStage::kTraining) std::snprintf(text, sizeof text, "loss %.4f", loss);
        bar->update(done, text, steady_now());
      });
  if (!report.ok()) {
    bar.reset();
    return fail(report.status());
  }
  if (bar) bar->finish("done", steady_now());
  bar.reset();
  if (Status status = write_whole(flags.out, report->file); !status.ok()) return fail(status);
  if (program.json) {
    nlohmann::json levels = nlohmann::json::object();
    for (const auto& [level, error] : report->error) {
      levels[std::to_string(level)] = {{"near_m", number_or_null(error.near)},
                                       {"middle_m", number_or_null(error.middle)},
                                       {"far_m", number_or_null(error.far)},
                                       {"flags_wrong", number_or_null(error.flags)},
                                       {"values_rms", number_or_null(error.values)}};
    }
    const nlohmann::json json = {{"file", flags.out},
                                 {"bytes", report->file.size()},
                                 {"picture_seconds", report->picture_seconds},
                                 {"training_seconds", report->training_seconds},
                                 {"misheard", number_or_null(report->misheard)},
                                 {"levels", levels}};
    std::printf("%s\n", json.dump(2).c_str());
    return kExitOk;
  }
  std::printf("%s: %zu bytes; pictures took %s, training %s\n", flags.out.c_str(),
              report->file.size(), duration_text(report->picture_seconds).c_str(),
              duration_text(report->training_seconds).c_str());
  Table table({"level", "within 5 cm", "to 15 cm", "beyond", "flags wrong", "values, rms"});
  for (const auto& [level, error] : report->error) {
    table.add({std::to_string(level), millimetres(error.near), millimetres(error.middle),
               millimetres(error.far), decimal(error.flags), decimal(error.values)});
  }
  std::printf("on pictures it was not trained on, median error of the object's position:\n%s",
              table.text().c_str());
  if (report->misheard >= 0) {
    std::printf("of other words for a task %s are taken for another's\n",
                percent(report->misheard).c_str());
  }
  return kExitOk;
}

int run_hear(const Program& program, const EarsFlags& flags) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  use_one_torch_thread();
  Config config = loaded->config;
  config.policy.backbone = flags.backbone;
  Result<VisionFile> eyes = vision_file(config);
  if (!eyes.ok()) return fail(eyes.status());
  const Result<SentenceSource> source = sentence_source(config);
  if (!source.ok()) return fail(source.status());
  if (!source->note.empty()) std::fprintf(stderr, "note: %s\n", source->note.c_str());
  EarsTrainingOptions options = flags.training;
  options.encode = source->encode;
  options.encoder_hash = source->hash;
  std::optional<ProgressBar> bar;
  const Result<EarsReport> report =
      train_ears(*std::move(eyes), options, [&](std::size_t done, std::size_t total) {
        if (!bar) {
          bar.emplace(stderr, progress_style(stderr, program.json || program.quiet), "sentences",
                      total, steady_now());
        }
        bar->update(done, "", steady_now());
      });
  if (!report.ok()) {
    bar.reset();
    return fail(report.status());
  }
  if (bar) bar->finish("done", steady_now());
  bar.reset();
  const Result<std::vector<std::byte>> bytes = report->file.write();
  if (!bytes.ok()) return fail(bytes.status());
  if (Status status = write_whole(flags.out, *bytes); !status.ok()) return fail(status);
  if (program.json) {
    const nlohmann::json json = {{"file", flags.out},
                                 {"bytes", bytes->size()},
                                 {"sentences", report->sentences},
                                 {"misheard_before", report->misheard_before},
                                 {"misheard", report->misheard}};
    std::printf("%s\n", json.dump(2).c_str());
    return kExitOk;
  }
  std::printf("%s: taught %zu sentences; of others %s are taken for another task's (before: %s)\n",
              flags.out.c_str(), report->sentences, percent(report->misheard).c_str(),
              percent(report->misheard_before).c_str());
  return kExitOk;
}

int run_show(const Program& program, const std::string& name) {
  const Result<LoadedConfig> loaded = load_config(program);
  if (!loaded.ok()) return fail_config(loaded.status());
  Config config = loaded->config;
  if (!name.empty()) config.policy.backbone = name;
  const Result<std::string> summary = backbone_summary(config);
  if (!summary.ok()) return fail(summary.status());
  if (program.json) {
    const nlohmann::json json = {{"backbone", config.policy.backbone}, {"summary", *summary}};
    std::printf("%s\n", json.dump(2).c_str());
  } else {
    std::printf("%s: %s\n", config.policy.backbone.c_str(), summary->c_str());
  }
  return kExitOk;
}

}  // namespace

void add_backbone_command(Program& program) {
  CLI::App* command =
      program.app.add_subcommand("backbone", "What makes features of what a robot observes");
  command->require_subcommand(1);

  CLI::App* train = command->add_subcommand(
      "train", "Teaches eyes on pictures of the simulated kitchen that are drawn up for it");
  auto flags = std::make_shared<BackboneFlags>();
  train->add_option("--out", flags->out, "File to write; policy.backbone may name it")->required();
  train
      ->add_option("--supervision", flags->training.supervision,
                   "What they are taught to tell: poses of objects, the expert's actions, or none")
      ->transform(CLI::CheckedTransformer(supervisions()))
      ->default_str("poses");
  train->add_option("--levels", flags->training.levels, "Levels of the kitchen, 1 to 4")
      ->delimiter(',')
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  train
      ->add_option("--pictures", flags->training.frames, "Moments of each level, two pictures each")
      ->check(CLI::Range(100, 200'000))
      ->capture_default_str();
  train->add_option("--steps", flags->training.trainer.steps, "Steps of training, of 64 moments")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  train->add_option("--seed", flags->training.trainer.seed, "Fixes every random choice")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  train->callback([&program, flags] {
    program.run = [&program, flags] { return run_train(program, *flags); };
  });

  CLI::App* hear = command->add_subcommand(
      "hear", "Teaches eyes that are done to hear the kitchen's tasks said in many ways");
  auto ears = std::make_shared<EarsFlags>();
  ears->backbone = "kitchen";
  hear->add_option("BACKBONE", ears->backbone, "kitchen, or a file of eyes")->capture_default_str();
  hear->add_option("--out", ears->out, "File to write; policy.backbone may name it")->required();
  hear->add_option("--ways", ears->training.ways, "Sentences to teach for each task")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  hear->add_option("--seed", ears->training.seed, "Fixes which sentences")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  hear->callback(
      [&program, ears] { program.run = [&program, ears] { return run_hear(program, *ears); }; });

  CLI::App* show =
      command->add_subcommand("show", "What a backbone is, and what it was taught with");
  auto name = std::make_shared<std::string>();
  show->add_option("BACKBONE", *name, "As policy.backbone has it; by default that one");
  show->callback(
      [&program, name] { program.run = [&program, name] { return run_show(program, *name); }; });
}

}  // namespace nudge
