#include "src/sim/kitchen_model.h"

#include <mujoco/mujoco.h>

#include <cstring>
#include <string>

namespace nudge {

void ModelDeleter::operator()(mjModel_* model) const { mj_deleteModel(model); }
void DataDeleter::operator()(mjData_* data) const { mj_deleteData(data); }

Result<ModelPointer> load_kitchen_model() {
  static const char kName[] = "kitchen.xml";
  // The table of in-memory files is two megabytes in old versions: too much for a stack.
  auto files = std::make_unique<mjVFS>();
  mj_defaultVFS(files.get());
#if mjVERSION_HEADER >= 300
  const int added =
      mj_addBufferVFS(files.get(), kName, kKitchenXml, static_cast<int>(kKitchenXmlSize));
#else
  const int added = mj_makeEmptyFileVFS(files.get(), kName, static_cast<int>(kKitchenXmlSize));
  if (added == 0) std::memcpy(files->filedata[0], kKitchenXml, kKitchenXmlSize);
#endif
  char error[1000] = "";
  mjModel* model = added == 0 ? mj_loadXML(kName, files.get(), error, sizeof(error)) : nullptr;
  mj_deleteVFS(files.get());
  if (model == nullptr) {
    return internal("the built-in kitchen scene does not load with MuJoCo " +
                    std::string(mj_versionString()) + ": " +
                    (error[0] != 0 ? error : "out of memory"));
  }
  return ModelPointer(model);
}

Result<DataPointer> make_data(const mjModel_& model) {
  DataPointer data(mj_makeData(&model));
  if (!data) return resource_exhausted("no memory for the simulated kitchen");
  return data;
}

}  // namespace nudge
