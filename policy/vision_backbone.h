// Runs the project's own eyes (vision_spec.h) as a backbone.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "policy/backbone.h"
#include "policy/instruction_features.h"
#include "policy/picture.h"

namespace nudge {

struct VisionOptions {
  DecodeJpeg decode;
  // Of sentences, when its hash is the file's; else only sentences that the file knows are
  // understood, and any other is as none. Null: none is at hand.
  EncodeSentence encode;
  std::string encoder_hash;
};

// Errors of VisionFile::parse(). kInvalidArgument too: the robot lacks a camera, has smaller
// pictures or another number of proprioception channels. About 1 ms to encode; one thread at a
// time.
Result<std::unique_ptr<Backbone>> make_vision_backbone(std::vector<std::byte> file,
                                                       const ObservationSpec& spec,
                                                       VisionOptions options);

}  // namespace nudge
