#include "src/daemon/inference_thread.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/loop/clock.h"
#include "src/loop/controller.h"

namespace nudge {
namespace {

// How long new weights may wait for a request to come along; no request needs the wait.
constexpr Duration kPatience = std::chrono::milliseconds(10);
// How long a step waits for its reference; less than the writer waits for the step.
constexpr Duration kReferencePatience = std::chrono::milliseconds(400);

}  // namespace

DoubtOptions doubt_options(const Config& config) {
  if (!config.help.ask) return {};
  return {.samples = static_cast<std::size_t>(config.help.samples),
          .rows = static_cast<std::size_t>(config.policy.replan_after)};
}

InferenceThread::InferenceThread(std::unique_ptr<Inference> inference, Links& links, Tell tell,
                                 const DoubtOptions& doubt, AskingRobot* asking)
    : inference_(std::move(inference)),
      links_(links),
      tell_(std::move(tell)),
      doubt_(doubt),
      asking_(asking) {}

InferenceThread::~InferenceThread() { stop(); }

void InferenceThread::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "nudge-inference");
}

void InferenceThread::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void InferenceThread::run() {
  std::vector<InferenceRequest> requests;
  while (!stop_) {
    links_.requests.take_all(requests, kPatience);
    if (inference_->take_from(links_.heads)) links_.loaded = inference_->version();
    std::size_t newest = requests.size();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].chunk && !requests[i].upstream) newest = i;
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].needed) {
        finish_steps(*requests[i].needed);
      } else if (requests[i].upstream) {
        serve_upstream(requests[i]);
      } else {
        serve(requests[i], i == newest);
      }
    }
    finish_steps(/*all=*/false);
    doubt();
  }
  finish_steps(/*all=*/true);
}

bool InferenceThread::take(UpstreamChunk upstream) {
  InferenceRequest request;
  request.observation = std::move(upstream.observation);
  request.instruction = std::move(upstream.instruction);
  request.upstream = true;
  request.chunk = upstream.waits && upstream.chunk;
  request.upstream_chunk = std::move(upstream.chunk);
  return links_.requests.try_push(std::move(request));
}

Result<std::vector<float>> InferenceThread::features_of(const InferenceRequest& request) {
  if (!is_finite(request.observation)) return invalid_argument("the observation is not finite");
  if (asking_ == nullptr) return inference_->encode(request.observation, request.instruction);
  if (!looked_ || looked_->observed != request.observation.time ||
      looked_->instruction != request.instruction) {
    looked_.reset();
    Result<std::vector<float>> features =
        inference_->encode(request.observation, request.instruction);
    if (!features.ok()) return features;
    looked_ = {request.observation.time, request.instruction, *std::move(features)};
  }
  return looked_->features;
}

// Weights of another kind are refused long before. What is edited is read in step with the chunk.
Status InferenceThread::edits_chunks_like(const ActionChunk& chunk) const {
  const HeadSpec* const head = inference_->head();
  if (head != nullptr && head->edit && head->horizon == chunk.horizon &&
      head->action_size == chunk.action_size) {
    return {};
  }
  return failed_precondition("weights v" + std::to_string(inference_->version()) +
                             " do not edit chunks of " + std::to_string(chunk.horizon) + " x " +
                             std::to_string(chunk.action_size) +
                             "; roll back to weights that do, or train new ones");
}

void InferenceThread::serve_upstream(InferenceRequest& request) {
  if (!request.upstream_chunk) {
    trouble_with_features(features_of(request).status());
    return;
  }
  ActionChunk& chunk = *request.upstream_chunk;
  inference_->offer_reference({.rows = chunk.horizon,
                               .action_size = chunk.action_size,
                               .actions = chunk.actions,
                               .tick = 0},
                              chunk.observed);
  waited_in_vain_ = false;
  if (!request.chunk) return;
  if (inference_->version() == 0) return asking_->edited(chunk);
  if (const Status fits = edits_chunks_like(chunk); !fits.ok()) return trouble(fits);
  const Instant begin = steady_now();
  const Result<std::vector<float>> features = features_of(request);
  if (!features.ok()) return trouble_with_features(features.status());
  Result<ActionChunk> edited = inference_->infer(*features, request.observation.proprioception,
                                                 chunk.observed, chunk.actions);
  trouble(edited.status());
  if (!edited.ok()) return;
  // What is not finite goes to the step thread alone, which knows what to do about its weights.
  const bool finite =
      std::ranges::all_of(edited->actions, [](float x) { return std::isfinite(x); });
  if (finite) asking_->edited(*edited);
  if (doubt_.samples > 0) {
    doubtful_ = {*features, request.observation.proprioception, chunk.observed, chunk.actions};
  }
  links_.chunks.put({.chunk = *std::move(edited), .latency = steady_now() - begin});
}

// What a policy elsewhere makes of an observation comes later than the observation.
void InferenceThread::finish_steps(bool all) {
  while (!waiting_.empty()) {
    Waiting& first = waiting_.front();
    const bool late = all || steady_now() - first.came >= kReferencePatience;
    const bool awaits = inference_->awaits_reference(first.observation);
    if (!late && awaits) return;
    waited_in_vain_ = awaits;
    finish_first_step();
  }
}

// Acknowledgements come in the order of the log, behind the steps that ended before them, and must
// not wait for a policy elsewhere. What has come until now is older than the steps' own chunks.
void InferenceThread::finish_steps(const FinishedStep& through) {
  while (!waiting_.empty()) {
    const StepFeatures& first = waiting_.front().step;
    if (first.episode == through.episode && first.step > through.step) return;
    finish_first_step();
  }
}

void InferenceThread::finish_first_step() {
  Waiting& first = waiting_.front();
  Result<AlignedReference> reference =
      inference_->reference(first.observation, first.instruction, first.step.features, first.tick);
  trouble_with_reference(reference.status());
  if (reference.ok()) first.step.reference = *std::move(reference);
  // Not taken: the writer finds no features for the step, and counts it as lost.
  (void)links_.writer.push_reserved(WriterItem(std::move(first.step)));
  waiting_.pop_front();
}

void InferenceThread::serve(InferenceRequest& request, bool newest_chunk) {
  if (!request.step && !newest_chunk) return;
  if (request.episode != episode_) {
    episode_ = request.episode;
    inference_->begin_references();
  }
  Result<std::vector<float>> features = features_of(request);
  AlignedReference reference;
  const bool waits = !waiting_.empty() || (features.ok() && !waited_in_vain_ &&
                                           inference_->awaits_reference(request.observation));
  if (request.step && !newest_chunk && waits) {
    trouble_with_features(features.status());
    StepFeatures step{.episode = request.episode,
                      .step = *request.step,
                      .features = {},
                      .images = std::move(request.observation.images)};
    if (features.ok()) step.features = *std::move(features);
    request.observation.images.clear();
    waiting_.push_back({.step = std::move(step),
                        .observation = std::move(request.observation),
                        .instruction = std::move(request.instruction),
                        .tick = request.tick,
                        .came = steady_now()});
    return;
  }
  if (features.ok()) {
    Result<AlignedReference> proposed =
        inference_->reference(request.observation, request.instruction, *features, request.tick);
    if (proposed.ok()) reference = *std::move(proposed);
    trouble_with_reference(proposed.status());
  } else {
    trouble_with_features(features.status());
  }
  if (newest_chunk && features.ok() && inference_->version() != 0) {
    const Instant begin = steady_now();
    Result<ActionChunk> chunk = inference_->infer(*features, request.observation.proprioception,
                                                  request.observation.time, reference.actions);
    if (chunk.ok()) {
      links_.chunks.put({.chunk = *std::move(chunk), .latency = steady_now() - begin});
      trouble({});
      if (doubt_.samples > 0) {
        doubtful_ = {*features, request.observation.proprioception, request.observation.time,
                     reference.actions};
      }
    } else {
      trouble(chunk.status());
    }
  }
  if (!request.step) return;
  StepFeatures step{
      .episode = request.episode, .step = *request.step, .features = {}, .images = {}};
  if (features.ok()) step.features = *std::move(features);
  step.images = std::move(request.observation.images);
  step.reference = std::move(reference);
  // Not taken: the writer finds no features for the step, and counts it as lost.
  (void)links_.writer.push_reserved(WriterItem(std::move(step)));
}

// Last of all, when the chunk that plays and the features for the log have been handed over.
void InferenceThread::doubt() {
  if (!doubtful_) return;
  const Doubtful of = *std::exchange(doubtful_, std::nullopt);
  const Result<std::optional<double>> disagreement = inference_->disagreement(
      of.features, of.proprioception, doubt_.samples, doubt_.rows, of.reference);
  if (!disagreement.ok()) return trouble(disagreement.status());
  if (*disagreement) {
    links_.doubts.put({.disagreement = **disagreement, .observed = of.observed});
  }
}

// Beside the others: a source that is silent must not hide that the head fails, nor the reverse.
void InferenceThread::trouble_with_reference(const Status& status) {
  if (status.message() == told_of_reference_) return;
  told_of_reference_ = status.message();
  if (!status.ok() && tell_) tell_(told_of_reference_);
}

// A picture that has not come yet is waited for. That it is long in coming is the authority's to
// say: it lets no policy drive without the cameras that matter.
void InferenceThread::trouble_with_features(const Status& status) {
  if (status.code() != Code::kUnavailable) trouble(status);
}

void InferenceThread::trouble(const Status& status) {
  if (status.message() == told_) return;
  told_ = status.message();
  if (!status.ok() && tell_) tell_(told_);
}

}  // namespace nudge
