// The scene as a MuJoCo model.
#pragma once

#include <cstddef>
#include <memory>

#include "nudge/status.h"

struct mjModel_;
struct mjData_;

namespace nudge {

// kitchen.xml, compiled in.
extern const char kKitchenXml[];
extern const std::size_t kKitchenXmlSize;

struct ModelDeleter {
  void operator()(mjModel_* model) const;
};
struct DataDeleter {
  void operator()(mjData_* data) const;
};
using ModelPointer = std::unique_ptr<mjModel_, ModelDeleter>;
using DataPointer = std::unique_ptr<mjData_, DataDeleter>;

// kInternal: the scene does not compile with this version of MuJoCo; the message is MuJoCo's.
Result<ModelPointer> load_kitchen_model();
// kResourceExhausted: no memory.
Result<DataPointer> make_data(const mjModel_& model);

}  // namespace nudge
