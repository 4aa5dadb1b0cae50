#include "src/daemon/inference_thread.h"

#include <pthread.h>

#include <utility>

#include "src/loop/clock.h"
#include "src/loop/controller.h"

namespace nudge {
namespace {

// How long new weights may wait for a request to come along; no request needs the wait.
constexpr Duration kPatience = std::chrono::milliseconds(10);

}  // namespace

DoubtOptions doubt_options(const Config& config) {
  if (!config.help.ask) return {};
  return {.samples = static_cast<std::size_t>(config.help.samples),
          .rows = static_cast<std::size_t>(config.policy.replan_after)};
}

InferenceThread::InferenceThread(std::unique_ptr<Inference> inference, Links& links, Tell tell,
                                 const DoubtOptions& doubt)
    : inference_(std::move(inference)), links_(links), tell_(std::move(tell)), doubt_(doubt) {}

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
      if (requests[i].chunk) newest = i;
    }
    for (std::size_t i = 0; i < requests.size(); ++i) serve(requests[i], i == newest);
    doubt();
  }
}

void InferenceThread::serve(InferenceRequest& request, bool newest_chunk) {
  if (!request.step && !newest_chunk) return;
  if (request.episode != episode_) {
    episode_ = request.episode;
    inference_->begin_references();
  }
  Result<std::vector<float>> features =
      is_finite(request.observation)
          ? inference_->encode(request.observation, request.instruction)
          : Result<std::vector<float>>(invalid_argument("the observation is not finite"));
  AlignedReference reference;
  if (features.ok()) {
    Result<AlignedReference> proposed =
        inference_->reference(request.observation, request.instruction, *features, request.tick);
    if (proposed.ok()) reference = *std::move(proposed);
    trouble_with_reference(proposed.status());
  } else {
    trouble(features.status());
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

void InferenceThread::trouble(const Status& status) {
  if (status.message() == told_) return;
  told_ = status.message();
  if (!status.ok() && tell_) tell_(told_);
}

}  // namespace nudge
