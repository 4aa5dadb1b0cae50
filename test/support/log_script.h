// A short life of a log that goes on after every error, and what has to be there afterwards.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "replay/log.h"
#include "test/support/log_samples.h"

namespace nudge::test {

inline LogOptions script_options(const std::string& dir) {
  LogOptions options;
  options.dir = dir;
  options.boot = "boot";
  options.segment_grow_bytes = 16 << 10;
  options.ballast_bytes = 16 << 10;
  options.checkpoint_bytes = 32 << 10;
  return options;
}

// What a run was told is durable.
struct Acknowledged {
  std::map<std::string, Sequence> events;
  std::set<Sequence> steps;
};

// Short episodes with a commit every few entries; goes on after every error, as the writer does.
// Returns what was acknowledged.
inline Acknowledged run_script(Log& log, int episodes = 2) {
  Acknowledged acknowledged;
  std::map<std::string, Sequence> events;
  std::set<Sequence> steps;
  Random random(9);
  const auto note = [&](const std::string& id, const Payload& payload, EpisodeId episode) {
    const auto sequence = log.append(sample_event(id, episode, payload));
    if (sequence.ok()) events[id] = *sequence;
  };
  const auto commit = [&] {
    if (!log.commit().ok()) return;
    for (const auto& [id, sequence] : events) {
      if (sequence <= log.durable()) acknowledged.events[id] = sequence;
    }
    for (const Sequence step : steps) {
      if (step <= log.durable()) acknowledged.steps.insert(step);
    }
  };
  for (int e = 0; e < episodes; ++e) {
    const std::string name = std::to_string(log.next_episode_id());
    if (log.open_episode() == 0) {
      if (log.start_episode(sample_spec()).ok()) {
        note("start-" + name, EpisodeStarted{}, log.open_episode());
      }
    }
    const EpisodeId episode = log.open_episode();
    for (std::uint32_t i = 0; i < 8; ++i) {
      const auto step = log.append(sample_step(random, episode, i, sample_spec()));
      if (step.ok()) steps.insert(*step);
      if (i % 3 == 1) note("w-" + name + "-" + std::to_string(i), Words{"up", {}, ""}, episode);
      if (i % 2 == 1) commit();
    }
    if (episode != 0) note("end-" + name, EpisodeEnded{EpisodeEnd::kTaskDone, 8}, episode);
    commit();
  }
  return acknowledged;
}

// What is wrong with a log that must be whole and hold all of it; empty: nothing.
inline std::string missing_from(FileSystem& files, const LogOptions& options,
                                const Acknowledged& acknowledged) {
  auto log = Log::open(files, options);
  if (!log.ok()) return "it does not open: " + log.status().message();
  for (const std::string& damage : (*log)->recovery().damaged) return damage;
  const auto report = (*log)->verify();
  if (!report.ok()) return report.status().message();
  for (const std::string& problem : report->problems) return problem;
  std::set<Sequence> steps;
  const auto items = (*log)->feed(0, SIZE_MAX);
  if (!items.ok()) return items.status().message();
  for (const FeedItem& item : *items) {
    if (const auto* ref = std::get_if<StepsRef>(&item)) {
      for (Sequence s = ref->first; s <= ref->last; ++s) steps.insert(s);
    }
  }
  for (const auto& [id, sequence] : acknowledged.events) {
    const auto event = (*log)->event(id);
    if (!event.ok()) return "event " + id + " was acknowledged and is gone";
    if (event->sequence != sequence) return "event " + id + " has another number now";
  }
  for (const Sequence step : acknowledged.steps) {
    if (!steps.contains(step)) {
      return "step " + std::to_string(step) + " was acknowledged and is gone";
    }
  }
  return {};
}

}  // namespace nudge::test
