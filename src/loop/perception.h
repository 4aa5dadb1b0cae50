// What a policy perceives: the backbone that the configuration names, with what it needs of the
// rest.
#pragma once

#include <memory>
#include <string>

#include "nudge/robot.h"
#include "nudge/status.h"
#include "policy/backbone.h"
#include "policy/vision_spec.h"
#include "src/config/config.h"

namespace nudge {

// The backbone of policy.backbone, and behind its features the instruction, if
// policy.instruction_size is above 0. `note` gets SentenceSource::note. Errors of
// make_state_backbone(), make_script_backbone(), make_vision_backbone() and sentence_source();
// kNotFound: the file that the configuration names is not there.
Result<std::unique_ptr<Backbone>> make_backbone(const Config& config, const ObservationSpec& spec,
                                                std::string* note = nullptr);

// Whether that backbone may look at cameras: a simulation then renders them.
bool looks_at_cameras(const Config& config);

// The file of the project's own eyes, where policy.backbone names such. kInvalidArgument: it names
// another kind. kNotFound, and errors of VisionFile::parse().
Result<VisionFile> vision_file(const Config& config);

// What it is, for people. The same errors; the file is read and tried.
Result<std::string> backbone_summary(const Config& config);

}  // namespace nudge
