#include "src/loop/nightly.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "nudge/random.h"
#include "policy/flat_object.h"
#include "policy/folder.h"
#include "policy/head.h"
#include "policy/input_layout.h"
#include "policy/trainer.h"
#include "policy/value.h"
#include "policy/weights_store.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/evaluation.h"
#include "src/loop/first_training.h"
#include "src/loop/logged_evaluation.h"
#include "src/loop/nightly_page.h"
#include "src/loop/robot_record.h"

namespace nudge {
namespace {

constexpr const char* kFormat = "nudge.nightly.1";  // of the stages' files
constexpr std::size_t kParts = 5;                   // of the judged episodes, for cross-fitting
constexpr std::size_t kFewestOfEach = 5;            // successes and failures, to judge steps by
constexpr std::size_t kValueBatch = 256;            // steps
constexpr std::size_t kValueSample = 4096;          // steps that the normalisers are measured on
constexpr std::size_t kMostChunks = 4096;           // of an evaluation on the log
constexpr std::size_t kFewestForInterval = 5;       // episodes
constexpr std::uint64_t kChoice = 11;               // seed of what is looked at, not of training
constexpr double kWorse = 0.05;  // chance at which a fall in simulation is believed

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Named files, each whole or not there.
class Stages {
 public:
  static Result<Stages> open(const std::string& path) {
    Result<std::unique_ptr<Folder>> folder = open_folder(path);
    if (!folder.ok()) return folder.status();
    return Stages(*std::move(folder));
  }
  Result<std::optional<std::vector<std::byte>>> get(const std::string& name) {
    Result<std::vector<std::byte>> bytes = folder_->read(name, WeightsStore::kMaxWeightsBytes);
    if (bytes.status().code() == Code::kNotFound) return std::optional<std::vector<std::byte>>();
    if (!bytes.ok()) return bytes.status();
    return std::optional(*std::move(bytes));
  }
  Status put(const std::string& name, std::span<const std::byte> bytes) {
    return replace_file(*folder_, name, bytes);
  }
  Status put(const std::string& name, const FlatObject& object) {
    const Result<std::string> text = object.dump();
    if (!text.ok()) return text.status();
    return put(name, bytes_of(*text));
  }
  Status remove(const std::string& name) {
    const Status removed = folder_->remove(name);
    return removed.code() == Code::kNotFound ? Status{} : removed;
  }
  Result<std::vector<std::string>> list() { return folder_->list(); }

 private:
  explicit Stages(std::unique_ptr<Folder> folder) : folder_(std::move(folder)) {}
  std::unique_ptr<Folder> folder_;
};

// "2026-11-26 02:00 UTC".
std::string utc_text(WallTime wall) {
  const std::time_t now =
      std::chrono::duration_cast<std::chrono::seconds>(wall.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

// A small file of ours; none: there is no such file, or somebody has damaged it.
Result<std::optional<FlatObject>> object_in(Stages& stages, const std::string& name) {
  Result<std::optional<std::vector<std::byte>>> bytes = stages.get(name);
  if (!bytes.ok()) return bytes.status();
  if (!*bytes) return std::optional<FlatObject>();
  Result<FlatObject> object = FlatObject::parse(text_of(**bytes));
  if (!object.ok()) return std::optional<FlatObject>();
  return std::optional(*std::move(object));
}

std::string text_in(const FlatObject& object, const std::string& key) {
  const Result<std::string> value = object.get<std::string>(key);
  return value.ok() ? *value : "";
}
std::uint64_t number_in(const FlatObject& object, const std::string& key) {
  const Result<std::uint64_t> value = object.get<std::uint64_t>(key);
  return value.ok() ? *value : 0;
}

// Of training_text() and the keys of these sections.
Result<std::string> config_hash_with(const Config& config,
                                     std::initializer_list<std::string_view> sections) {
  std::string text = training_text(config);
  for (const ConfigKey& key : config_keys()) {
    const std::string_view section = std::string_view(key.name).substr(0, key.name.find('.'));
    if (std::ranges::find(sections, section) == sections.end()) continue;
    const Result<std::string> value = config_value(config, key.name);
    if (!value.ok()) return value.status();
    text += key.name + " = " + *value + "\n";
  }
  return to_hex(sha256(bytes_of(text)));
}

// 95 %, of a mean, by resampling (Efron, "Bootstrap methods", 1979): few episodes, of errors that
// are not normal.
Interval mean_interval(const std::vector<double>& values) {
  Random random(kChoice);
  std::vector<double> means(2000);
  for (double& mean : means) {
    mean = 0;
    for (std::size_t i = 0; i < values.size(); ++i) mean += values[random.below(values.size())];
    mean /= static_cast<double>(values.size());
  }
  return {percentile(means, 0.025), percentile(means, 0.975)};
}

class Night {
 public:
  Night(const NightlyOptions& options, std::unique_ptr<FirstTraining> training, Stages stages)
      : options_(options),
        config_(options.config),
        training_(std::move(training)),
        dataset_(training_->dataset()),
        stages_(std::move(stages)),
        seed_(static_cast<std::uint64_t>(config_.learner.seed)) {}

  Result<NightlyResult> run() {
    NUDGE_TRY(find_before());
    const Result<bool> is_new = plan();
    if (!is_new.ok()) return is_new.status();
    if (!*is_new) {
      NUDGE_TRY(remove_stages());  // an earlier run may have been killed before it did
      return result_;
    }
    NUDGE_TRY(find_simulation());
    NUDGE_TRY(judge_steps());
    NUDGE_TRY(train());
    for (const std::size_t next : best_first_) {
      NUDGE_TRY(offer(next));
      if (result_.outcome == NightlyOutcome::kPromoted) break;
    }
    NUDGE_TRY(report());
    return result_;
  }

 private:
  // ---- what there is ----------------------------------------------------------------------------

  Status find_before() {
    result_.robot = training_->robot().id;
    result_.material = training_->material();
    result_.seed = seed_;
    result_.steps = static_cast<std::uint64_t>(config_.nightly.steps);
    result_.counts = dataset_.counts();
    result_.report = options_.state_folder + "/nightly/report.html";
    const Result<std::string> trained = config_hash_with(config_, {"nightly"});
    if (!trained.ok()) return trained.status();
    result_.config_hash = *trained;
    // What decides beside that how it is judged.
    const Result<std::string> judged =
        config_hash_with(config_, {"nightly", "gate", "robot", "sim", "kitchen"});
    if (!judged.ok()) return judged.status();
    settings_ = *judged;
    return {};
  }

  // False: an earlier run has done all of it.
  Result<bool> plan() {
    const WeightsHistory& history = training_->history();
    Result<std::optional<FlatObject>> stored = object_in(stages_, "plan.json");
    if (!stored.ok()) return stored.status();
    const auto same = [&](const FlatObject& plan) {
      return text_in(plan, "format") == kFormat &&
             number_in(plan, "material") == result_.material &&
             text_in(plan, "config") == settings_ && number_in(plan, "seed") == seed_ &&
             text_in(plan, "shape") == training_->shape().robot_shape &&
             text_in(plan, "backbone") == training_->shape().backbone_hash;
    };
    if (*stored && same(**stored)) {
      // Confirmed is what was, or what this night has made of it.
      const std::uint64_t before = number_in(**stored, "confirmed");
      Result<std::string> made = made_so_far(**stored);
      if (!made.ok()) return made.status();
      const WeightsRecord* confirmed = history.find(history.confirmed());
      const bool own = confirmed != nullptr && to_hex(confirmed->hash) == *made;
      if (history.confirmed() == before || own) {
        result_.before = before;
        installed_ = own ? history.confirmed() : 0;
        if (number_in(**stored, "done") != 0) {
          result_.version = installed_;
          return false;
        }
        return load_before();
      }
    }
    Result<std::vector<std::string>> names = stages_.list();
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (!name.starts_with("report.")) NUDGE_TRY(stages_.remove(name));
    }
    result_.before = history.confirmed();
    NUDGE_TRY(write_plan("", false));
    return load_before();
  }
  Result<std::string> made_so_far(const FlatObject& plan) {
    if (const std::string made = text_in(plan, "made"); !made.empty()) return made;
    Result<std::optional<std::vector<std::byte>>> candidate = stages_.get("candidate.safetensors");
    if (!candidate.ok()) return candidate.status();
    return *candidate ? to_hex(sha256(**candidate)) : std::string();
  }
  Status write_plan(const std::string& made, bool done) {
    FlatObject plan;
    plan.set("format", std::string(kFormat));
    plan.set("material", result_.material);
    plan.set("config", settings_);
    plan.set("seed", seed_);
    plan.set("shape", training_->shape().robot_shape);
    plan.set("backbone", training_->shape().backbone_hash);
    plan.set("confirmed", result_.before);
    plan.set("made", made);
    plan.set("done", std::uint64_t{done ? 1u : 0u});
    return stages_.put("plan.json", plan);
  }
  Result<bool> load_before() {
    if (result_.before == 0) return true;
    Result<std::shared_ptr<const Weights>> weights = training_->weights(result_.before);
    if (!weights.ok()) {
      return weights.status().with_context("the confirmed weights v" +
                                           std::to_string(result_.before));
    }
    if ((*weights)->head() != head_spec(config_, training_->shape()) ||
        (*weights)->lineage().backbone_hash != training_->shape().backbone_hash) {
      return failed_precondition(
          "the confirmed weights v" + std::to_string(result_.before) +
          " are of another architecture than [policy] asks for, or of another backbone; use the "
          "configuration that they were trained with, or train first weights anew");
    }
    before_ = *std::move(weights);
    return true;
  }

  // No other robot can be simulated here.
  Status find_simulation() {
    if (config_.nightly.starts == 0) return {};
    Result<std::unique_ptr<KitchenRobot>> kitchen = KitchenRobot::create(kitchen_options(config_));
    if (!kitchen.ok()) return kitchen.status();
    if ((*kitchen)->spec().id != training_->robot().id ||
        shape_of((*kitchen)->spec()) != training_->shape().robot_shape) {
      return {};
    }
    seeds_ = evaluation_seeds(seed_, static_cast<std::size_t>(config_.nightly.starts));
    for (const std::uint64_t seed : seeds_) {
      starts_.push_back((*kitchen)->instruction_for(seed));
    }
    return {};
  }

  Status check_stop() const {
    if (!options_.should_stop || !options_.should_stop()) return {};
    return aborted("stopped; what was done is kept, and the next run goes on from there");
  }
  void progress(std::string_view stage, std::uint64_t done, std::uint64_t total) const {
    if (options_.on_progress) options_.on_progress(stage, done, total);
  }

  // ---- which steps went well --------------------------------------------------------------------

  Status judge_steps() {
    if (!config_.nightly.advantage) {
      result_.about_advantage = "nightly.advantage is off";
      return {};
    }
    ReturnOptions options;
    options.failure_cost = config_.nightly.failure_cost;
    options.lookahead = static_cast<std::uint32_t>(config_.nightly.lookahead);
    options.quantile = config_.nightly.quantile;
    NUDGE_TRY(options.validate());
    const Returns returns(dataset_.judged_episodes(), options);
    std::size_t successes = 0, failures = 0;
    for (const JudgedEpisode& episode : returns.episodes()) {
      if (!episode.held_out) ++(episode.success ? successes : failures);
    }
    if (successes < kFewestOfEach || failures < kFewestOfEach) {
      result_.about_advantage =
          "there are " + std::to_string(successes) + " successes and " + std::to_string(failures) +
          " failures to learn values from, and it takes " + std::to_string(kFewestOfEach) +
          " of each; label what the robot does by itself";
      return {};
    }
    std::vector<std::vector<float>> values(returns.episodes().size());
    for (std::size_t part = 0; part < kParts; ++part) {
      Result<std::unique_ptr<ValueFunction>> function = value_function(returns, part);
      if (!function.ok()) return function.status();
      for (std::size_t e = part; e < values.size(); e += kParts) {
        const JudgedEpisode& episode = returns.episodes()[e];
        std::vector<std::uint32_t> rows;
        for (const JudgedStep& step : episode.steps) rows.push_back(step.row);
        const Batch seen = dataset_.observe(rows);
        values[e].resize(rows.size());
        NUDGE_TRY((*function)->evaluate(seen.features, seen.proprioception, values[e]));
      }
    }
    Result<Judgement> judgement = returns.judge(values);
    if (!judgement.ok()) return judgement.status();
    result_.value = value_report(returns, values, *judgement);
    tokens_ = std::move(judgement->tokens);
    result_.tasks = std::move(judgement->tasks);
    NUDGE_TRY(dataset_.set_advantages(tokens_));
    result_.counts = dataset_.counts();  // with what teaches only because it was judged
    return {};
  }

  // Of the episodes that are not in this part, and not held out.
  Result<std::unique_ptr<ValueFunction>> value_function(const Returns& returns, std::size_t part) {
    const std::string name = "value-" + std::to_string(part) + ".safetensors";
    Result<std::optional<std::vector<std::byte>>> stored = stages_.get(name);
    if (!stored.ok()) return stored.status();
    if (*stored) {
      Result<std::unique_ptr<ValueFunction>> loaded = ValueFunction::load(**std::move(stored));
      if (loaded.ok()) return loaded;  // damaged: made again
    }
    std::vector<std::uint32_t> rows;
    std::vector<float> outcome;
    for (std::size_t e = 0; e < returns.episodes().size(); ++e) {
      const JudgedEpisode& episode = returns.episodes()[e];
      if (e % kParts == part || episode.held_out) continue;
      for (std::size_t t = 0; t < episode.steps.size(); ++t) {
        rows.push_back(episode.steps[t].row);
        outcome.push_back(returns.values()[e][t]);
      }
    }
    Random random(Random::derive(Random::derive(seed_, 31), part));
    const auto draw = [&](std::size_t size) {
      std::vector<std::uint32_t> drawn(size);
      ValueBatch batch;
      for (std::uint32_t& row : drawn) {
        const std::size_t at = random.below(rows.size());
        row = rows[at];
        batch.returns.push_back(outcome[at]);
      }
      Batch seen = dataset_.observe(drawn);
      batch.features = std::move(seen.features);
      batch.proprioception = std::move(seen.proprioception);
      return batch;
    };
    ValueSpec spec;
    spec.feature_size = training_->shape().feature_size;
    spec.proprioception_size = training_->shape().proprioception_size;
    ValueOptions options;
    options.seed = Random::derive(Random::derive(seed_, 32), part);
    Result<std::unique_ptr<ValueTrainer>> trainer =
        ValueTrainer::create(spec, draw(kValueSample), options);
    if (!trainer.ok()) return trainer.status();
    const auto steps = static_cast<std::uint64_t>(config_.nightly.value_steps);
    for (std::uint64_t step = 0; step < steps; ++step) {
      NUDGE_TRY(check_stop());
      NUDGE_TRY((*trainer)->step(draw(kValueBatch)));
      progress("value functions", part * steps + step + 1, kParts * steps);
    }
    Result<std::vector<std::byte>> bytes = (*trainer)->bytes();
    if (!bytes.ok()) return bytes.status();
    NUDGE_TRY(stages_.put(name, *bytes));
    return ValueFunction::load(*std::move(bytes));
  }

  // ---- training ---------------------------------------------------------------------------------

  struct Course {
    std::string name;
    std::shared_ptr<const Weights> start;
    std::shared_ptr<const Weights> confirmed;  // null: from scratch
    TrainerOptions options;
  };

  Lineage lineage_of(const Course& course) const {
    Lineage lineage;
    if (course.confirmed != nullptr) {
      lineage.parent_hash = to_hex(course.confirmed->hash());
      lineage.base_hash = course.confirmed->lineage().base_hash;
    }
    lineage.kind = WeightsKind::kFull;
    lineage.prefix = result_.material;
    lineage.seed = seed_;
    lineage.config_hash = result_.config_hash;
    lineage.backbone_hash = training_->shape().backbone_hash;
    return lineage;
  }

  Status train() {
    Result<std::vector<Course>> courses = plan_courses();
    if (!courses.ok()) return courses.status();
    courses_ = *std::move(courses);
    for (std::size_t i = 0; i < courses_.size(); ++i) {
      Result<std::shared_ptr<const Weights>> weights = follow(courses_[i], i, courses_.size());
      if (!weights.ok()) return weights.status();
      trained_.push_back(*std::move(weights));
    }
    const Result<std::size_t> best = find_best();
    if (!best.ok()) return best.status();
    best_first_.push_back(*best);
    for (std::size_t i = 0; i < courses_.size(); ++i) {
      if (i != *best) best_first_.push_back(i);
    }
    return {};
  }

  Result<std::vector<std::byte>> candidate_bytes(std::size_t number) {
    // A leg knows only its own steps.
    Lineage lineage = lineage_of(courses_[number]);
    lineage.steps = static_cast<std::uint32_t>(result_.steps);
    std::map<std::string, std::vector<float>> tensors;
    for (const auto& [name, view] : trained_[number]->file().tensors()) {
      tensors[name] = values_of(*trained_[number], name);
    }
    return write_weights(trained_[number]->head(), lineage, tensors);
  }

  Result<std::vector<Course>> plan_courses() {
    std::vector<Course> courses;
    if (before_ != nullptr) {
      courses.push_back(
          {"confirmed", before_, before_, trainer_options(config_, WeightsKind::kFull)});
    }
    const bool edits = config_.policy.reference != PolicyReference::kNone;
    if (edits && before_ == nullptr) {
      return failed_precondition(
          "there are no confirmed weights of this head that edits; 'nudge train' makes the first "
          "ones");
    }
    if (before_ == nullptr || (config_.nightly.from_scratch && !edits)) {
      const std::size_t demonstrations =
          result_.counts.trainable[static_cast<std::size_t>(SampleClass::kDemonstration)];
      if (demonstrations == 0 && before_ == nullptr) {
        return failed_precondition(
            "the log holds no demonstrations to train on; take over and show the task while no "
            "weights are loaded");
      }
      if (demonstrations > 0) {
        Course course{"scratch", nullptr, nullptr, base_trainer_options(config_)};
        Result<std::vector<std::byte>> fresh = initial_weights(
            head_spec(config_, training_->shape()),
            dataset_.demonstration_probe(demonstrations, seed_), seed_, lineage_of(course));
        if (!fresh.ok()) return fresh.status();
        Result<std::shared_ptr<const Weights>> start = Weights::parse(*std::move(fresh));
        if (!start.ok()) return start.status();
        course.start = *std::move(start);
        courses.push_back(std::move(course));
      }
    }
    return courses;
  }

  // The newest leg that was finished: its weights and its steps.
  Result<std::pair<std::shared_ptr<const Weights>, std::uint64_t>> newest_leg(
      const Course& course) {
    Result<std::vector<std::string>> names = stages_.list();
    if (!names.ok()) return names.status();
    std::pair<std::shared_ptr<const Weights>, std::uint64_t> newest = {course.start, 0};
    const std::string head = course.name + "-", tail = ".safetensors";
    for (const std::string& name : *names) {
      if (!name.starts_with(head) || !name.ends_with(tail)) continue;
      std::uint64_t steps = 0;
      const char* end = name.data() + name.size() - tail.size();
      const auto [rest, error] = std::from_chars(name.data() + head.size(), end, steps);
      if (error != std::errc() || rest != end || steps <= newest.second || steps > result_.steps) {
        continue;
      }
      Result<std::optional<std::vector<std::byte>>> bytes = stages_.get(name);
      if (!bytes.ok()) return bytes.status();
      if (!*bytes) continue;
      Result<std::shared_ptr<const Weights>> weights = Weights::parse(**std::move(bytes));
      if (weights.ok()) newest = {*std::move(weights), steps};  // damaged: made again
    }
    return newest;
  }

  Result<std::shared_ptr<const Weights>> follow(const Course& course, std::size_t number,
                                                std::size_t courses) {
    auto leg = newest_leg(course);
    if (!leg.ok()) return leg.status();
    auto [weights, done] = *std::move(leg);
    const auto whole = static_cast<std::uint64_t>(config_.learner.full_steps);
    const Mix mix = sampling_mix(config_);
    Batch batch;
    while (done < result_.steps) {
      const std::uint64_t steps = std::min(whole, result_.steps - done);
      TrainerOptions options = course.options;
      options.seed = Random::derive(Random::derive(seed_, 41 + number), done);
      Result<std::unique_ptr<Trainer>> trainer =
          Trainer::create(weights, course.confirmed, options);
      if (!trainer.ok()) return trainer.status();
      Random random(Random::derive(options.seed, 3));
      for (std::uint64_t step = 0; step < steps; ++step) {
        NUDGE_TRY(check_stop());
        NUDGE_TRY(
            dataset_.sample(batch, static_cast<std::size_t>(config_.learner.batch), mix, random));
        NUDGE_TRY((*trainer)->step(batch));
        progress("training", number * result_.steps + done + step + 1, courses * result_.steps);
      }
      Result<std::vector<std::byte>> bytes = (*trainer)->weights(lineage_of(course));
      if (!bytes.ok()) return bytes.status();
      const auto name = [&](std::uint64_t at) {
        return course.name + "-" + std::to_string(at) + ".safetensors";
      };
      NUDGE_TRY(stages_.put(name(done + steps), *bytes));
      NUDGE_TRY(stages_.remove(name(done)));
      Result<std::shared_ptr<const Weights>> parsed = Weights::parse(*std::move(bytes));
      if (!parsed.ok()) return parsed.status();
      weights = *std::move(parsed);
      done += steps;
    }
    return weights;
  }

  // The one that held-out corrections prefer. With too few of them the one from the confirmed
  // version, which is the smaller step.
  Result<std::size_t> find_best() {
    const Batch held_out = dataset_.held_out_probe(kMostChunks);
    std::size_t best = 0;
    for (std::size_t i = 0; i < courses_.size(); ++i) {
      NightlyCandidate candidate;
      candidate.name = courses_[i].name;
      Result<std::vector<EpisodeError>> errors = errors_on(held_out, trained_[i]);
      if (!errors.ok()) return errors.status();
      candidate.held_out_episodes = errors->size();
      double sum = 0, values = 0;
      for (const EpisodeError& one : *errors) {
        sum += one.error * one.values;
        values += one.values;
      }
      if (values > 0) candidate.held_out_error = sum / values;
      result_.candidates.push_back(candidate);
      const NightlyCandidate& other = result_.candidates[best];
      const bool enough = candidate.held_out_episodes >=
                          static_cast<std::size_t>(config_.gate.min_heldout_episodes);
      if (enough && *candidate.held_out_error < *other.held_out_error) best = i;
    }
    return best;
  }

  // ---- before and after -------------------------------------------------------------------------

  // In units of the weights that ran before, so that no candidate can shrink its own.
  Result<std::vector<EpisodeError>> errors_on(const Batch& batch,
                                              const std::shared_ptr<const Weights>& weights) {
    Result<std::unique_ptr<ActionHead>> head = ActionHead::load(weights);
    if (!head.ok()) return head.status();
    return errors_by_episode(
        **head, batch, values_of(before_ != nullptr ? *before_ : *weights, "norm.action.scale"));
  }

  const std::string& task_of(EpisodeId episode) const {
    static const std::string none;
    const auto found = training_->instructions().find(episode);
    return found == training_->instructions().end() ? none : found->second;
  }

  Result<std::vector<TaskError>> compare_on(const Batch& batch) {
    std::vector<TaskError> errors;
    if (batch.size == 0) return errors;
    Result<std::vector<EpisodeError>> after = errors_on(batch, candidate_);
    if (!after.ok()) return after.status();
    std::vector<EpisodeError> before;
    if (before_ != nullptr) {
      Result<std::vector<EpisodeError>> found = errors_on(batch, before_);
      if (!found.ok()) return found.status();
      before = *std::move(found);
    }
    std::map<std::string, std::vector<std::size_t>> by_task;
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < after->size(); ++i) {
      all.push_back(i);
      by_task[task_of((*after)[i].episode)].push_back(i);
    }
    const auto add = [&](const std::string& task, const std::vector<std::size_t>& of) {
      TaskError error;
      error.task = task;
      error.episodes = of.size();
      const auto count = static_cast<double>(of.size());
      std::vector<double> change;
      double sum = 0;
      for (const std::size_t i : of) {
        error.chunks += (*after)[i].chunks;
        error.after += (*after)[i].error / count;
        if (before.empty()) continue;
        sum += before[i].error / count;
        change.push_back((*after)[i].error - before[i].error);
      }
      if (!before.empty()) error.before = sum;
      if (change.size() >= kFewestForInterval) error.change = mean_interval(change);
      errors.push_back(std::move(error));
    };
    add("all", all);
    if (by_task.size() > 1) {
      for (const auto& [task, of] : by_task) add(task, of);
    }
    return errors;
  }

  Status measure_on_log() {
    Result<std::vector<TaskError>> held_out = compare_on(dataset_.held_out_probe(kMostChunks));
    if (!held_out.ok()) return held_out.status();
    result_.held_out = *std::move(held_out);
    Result<std::vector<TaskError>> shown =
        compare_on(dataset_.demonstration_probe(kMostChunks, kChoice));
    if (!shown.ok()) return shown.status();
    result_.demonstrations = *std::move(shown);
    return {};
  }

  Result<std::vector<bool>> successes_of(const std::shared_ptr<const Weights>& weights,
                                         const std::string& name, std::uint64_t number,
                                         std::uint64_t total) {
    Result<std::optional<FlatObject>> stored = object_in(stages_, name);
    if (!stored.ok()) return stored.status();
    if (*stored) {
      const std::string text = text_in(**stored, "success");
      if (text.size() == seeds_.size() && text_in(**stored, "weights") == to_hex(weights->hash())) {
        std::vector<bool> success;
        for (const char c : text) success.push_back(c == '1');
        return success;
      }
    }
    NUDGE_TRY(check_stop());
    Config config = config_;
    config.state.dir = options_.state_folder;  // where the base of the weights is
    const Result<EvaluationResult> result =
        evaluate(config, weights, seeds_, std::clamp(std::thread::hardware_concurrency(), 1u, 4u),
                 [&](std::size_t done) { progress("simulation", number + done, total); });
    if (!result.ok()) return result.status();
    std::string text;
    for (const bool success : result->success) text += success ? '1' : '0';
    FlatObject object;
    object.set("weights", to_hex(weights->hash()));
    object.set("success", text);
    NUDGE_TRY(stages_.put(name, object));
    return result->success;
  }

  Status simulate(const std::string& name) {
    result_.simulation.clear();
    if (seeds_.empty()) return {};
    const std::uint64_t total = seeds_.size() * (before_ != nullptr ? 2 : 1);
    std::vector<bool> before;
    if (before_ != nullptr) {
      Result<std::vector<bool>> found = successes_of(before_, "before.json", 0, total);
      if (!found.ok()) return found.status();
      before = *std::move(found);
    }
    Result<std::vector<bool>> after =
        successes_of(candidate_, "after-" + name + ".json", total - seeds_.size(), total);
    if (!after.ok()) return after.status();
    std::map<std::string, std::vector<std::size_t>> by_task;
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < seeds_.size(); ++i) {
      all.push_back(i);
      by_task[starts_[i]].push_back(i);
    }
    const auto add = [&](const std::string& task, const std::vector<std::size_t>& of) {
      TaskSuccess success;
      success.task = task;
      success.starts = of.size();
      if (!before.empty()) success.before = 0;
      for (const std::size_t i : of) {
        success.after += (*after)[i] ? 1 : 0;
        if (before.empty()) continue;
        *success.before += before[i] ? 1 : 0;
        success.only_before += before[i] && !(*after)[i] ? 1 : 0;
        success.only_after += !before[i] && (*after)[i] ? 1 : 0;
      }
      result_.simulation.push_back(std::move(success));
    };
    add("all", all);
    if (by_task.size() > 1) {
      for (const auto& [task, of] : by_task) add(task, of);
    }
    return {};
  }

  // ---- the gate ---------------------------------------------------------------------------------

  Status offer(std::size_t number) {
    const std::string& name = courses_[number].name;
    const std::string verdict_file = "verdict-" + name + ".json";
    Result<std::optional<FlatObject>> stored = object_in(stages_, verdict_file);
    if (!stored.ok()) return stored.status();
    Result<std::vector<std::byte>> bytes = candidate_bytes(number);
    if (!bytes.ok()) return bytes.status();
    // Once refused, it is not what an earlier run may have installed (made_so_far()).
    if (!*stored) NUDGE_TRY(stages_.put("candidate.safetensors", *bytes));
    Result<std::shared_ptr<const Weights>> candidate = Weights::parse(*std::move(bytes));
    if (!candidate.ok()) return candidate.status();
    candidate_ = *std::move(candidate);
    for (NightlyCandidate& one : result_.candidates) one.chosen = false;
    NightlyCandidate& about = result_.candidates[number];
    about.chosen = true;
    NUDGE_TRY(simulate(name));
    NUDGE_TRY(measure_on_log());
    result_.reason.clear();
    result_.detail.clear();
    if (*stored) {
      result_.version = number_in(**stored, "version");
      result_.reason = text_in(**stored, "reason");
      result_.detail = text_in(**stored, "detail");
    } else {
      NUDGE_TRY(check_stop());
      NUDGE_TRY(ask_gate());
      FlatObject verdict;
      verdict.set("version", result_.version);
      verdict.set("reason", result_.reason);
      verdict.set("detail", result_.detail);
      NUDGE_TRY(stages_.put(verdict_file, verdict));
    }
    about.refused = result_.detail;
    result_.outcome = result_.version != 0 ? NightlyOutcome::kPromoted : NightlyOutcome::kRefused;
    return {};
  }

  Status ask_gate() {
    const WeightsRecord* own = training_->history().find(installed_);
    if (own != nullptr &&
        own->hash == candidate_->hash()) {  // killed before the verdict was written
      result_.version = installed_;
      return {};
    }
    if (!result_.simulation.empty() && result_.simulation.front().before) {
      const TaskSuccess& all = result_.simulation.front();
      if (mcnemar_one_sided(all.only_after, all.only_before) < kWorse) {
        result_.reason = "worse_in_simulation";
        result_.detail = std::to_string(all.only_before) + " starts that went well before fail, " +
                         std::to_string(all.only_after) + " the other way round";
        return {};
      }
    }
    // The gate tries candidates as it always does: on what people labelled, without our tokens.
    std::vector<StepAdvantage> plain = tokens_;
    for (StepAdvantage& token : plain) token.advantage = Advantage::kNone;
    NUDGE_TRY(dataset_.set_advantages(plain));
    const std::span<const std::byte> bytes = candidate_->file().bytes();
    const Result<WeightsVersion> version =
        training_->install(std::vector<std::byte>(bytes.begin(), bytes.end()));
    NUDGE_TRY(dataset_.set_advantages(tokens_));  // the next one is measured as this one was
    if (version.ok()) {
      result_.version = *version;
      return {};
    }
    if (version.status().code() != Code::kFailedPrecondition) return version.status();
    result_.reason = "gate";
    result_.detail = version.status().message();
    return {};
  }

  Status report() {
    const std::string written = utc_text(wall_now());
    NUDGE_TRY(stages_.put("report.json", bytes_of(nightly_json(result_))));
    NUDGE_TRY(stages_.put("report.html", bytes_of(nightly_page(result_, written))));
    NUDGE_TRY(write_plan(to_hex(candidate_->hash()), true));
    return remove_stages();
  }

  Status remove_stages() {
    Result<std::vector<std::string>> names = stages_.list();
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (name != "plan.json" && name != "report.json" && name != "report.html") {
        NUDGE_TRY(stages_.remove(name));
      }
    }
    return {};
  }

  const NightlyOptions& options_;
  const Config& config_;
  std::unique_ptr<FirstTraining> training_;
  Dataset& dataset_;
  Stages stages_;
  std::uint64_t seed_;
  std::string settings_;  // hash of all that the plan depends on
  NightlyResult result_;
  std::shared_ptr<const Weights> before_;  // null: there were none
  // As they are compared in result_.candidates.
  std::vector<Course> courses_;
  std::vector<std::shared_ptr<const Weights>> trained_;
  std::vector<std::size_t> best_first_;
  std::shared_ptr<const Weights> candidate_;  // is offered
  WeightsVersion installed_ = 0;              // by an earlier run of this night
  std::vector<StepAdvantage> tokens_;
  std::vector<std::uint64_t> seeds_;  // empty: nothing is simulated
  std::vector<std::string> starts_;   // the instruction of each
};

}  // namespace

Result<NightlyResult> run_nightly(const NightlyOptions& options) {
  Result<std::unique_ptr<FirstTraining>> training = FirstTraining::open(
      {.config = options.config, .state_folder = options.state_folder, .notice = options.notice});
  if (!training.ok()) return training.status();
  Result<Stages> stages = Stages::open(options.state_folder + "/nightly");
  if (!stages.ok()) return stages.status();
  Night night(options, *std::move(training), *std::move(stages));
  return night.run();
}

}  // namespace nudge
