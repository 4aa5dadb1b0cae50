// The scene as a MuJoCo model.
#pragma once

#include <cstddef>
#include <memory>

#include "nudge/status.h"

struct mjModel_;
struct mjData_;

namespace nudge {

class KitchenLevel;

// The scene files, compiled in: the kitchen, and what each level brings.
extern const char kKitchenXml[];
extern const char kLiftXml[];
extern const char kDrawerXml[];
extern const char kBurnersXml[];
extern const char kPlacesXml[];

struct ModelDeleter {
  void operator()(mjModel_* model) const;
};
struct DataDeleter {
  void operator()(mjData_* data) const;
};
using ModelPointer = std::unique_ptr<mjModel_, ModelDeleter>;
using DataPointer = std::unique_ptr<mjData_, DataDeleter>;

// The kitchen with the level in it. kInternal: the scene does not compile with this version of
// MuJoCo; the message is MuJoCo's.
Result<ModelPointer> load_kitchen_model(const KitchenLevel& level);
// kResourceExhausted: no memory.
Result<DataPointer> make_data(const mjModel_& model);

}  // namespace nudge
