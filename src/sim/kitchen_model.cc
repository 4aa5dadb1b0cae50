#include "src/sim/kitchen_model.h"

#include <mujoco/mujoco.h>

#include <cstring>
#include <string>
#include <string_view>

#include "src/sim/level.h"

namespace nudge {
namespace {

constexpr const char* kKitchen = "kitchen.xml";
constexpr const char* kLevel = "level.xml";

}  // namespace

void ModelDeleter::operator()(mjModel_* model) const { mj_deleteModel(model); }
void DataDeleter::operator()(mjData_* data) const { mj_deleteData(data); }

Result<ModelPointer> load_kitchen_model(const KitchenLevel& level) {
  // The table of in-memory files is two megabytes in old versions: too much for a stack.
  auto files = std::make_unique<mjVFS>();
  mj_defaultVFS(files.get());
  const auto add = [&](const char* name, const char* text) {
    const int size = static_cast<int>(std::strlen(text));
#if mjVERSION_HEADER >= 300
    return mj_addBufferVFS(files.get(), name, text, size);
#else
    const int added = mj_makeEmptyFileVFS(files.get(), name, size);
    if (added == 0) std::memcpy(files->filedata[files->nfile - 1], text, std::strlen(text));
    return added;
#endif
  };
  const bool added = add(kKitchen, kKitchenXml) == 0 && add(kLevel, level.data().scene) == 0;
  char error[1000] = "";
  mjModel* model = added ? mj_loadXML(kKitchen, files.get(), error, sizeof(error)) : nullptr;
  mj_deleteVFS(files.get());
  if (model == nullptr) {
    return internal("the built-in kitchen scene does not load with MuJoCo " +
                    std::string(mj_versionString()) + ": " +
                    (error[0] != 0 ? error : "out of memory"));
  }
  ModelPointer made(model);
  const std::string& without = level.data().without;
  for (int geom = 0; geom < model->ngeom && !without.empty(); ++geom) {
    const char* name = mj_id2name(model, mjOBJ_GEOM, geom);
    // What cannot be seen is not drawn.
    if (name != nullptr && std::string_view(name).starts_with(without)) {
      model->geom_rgba[4 * geom + 3] = 0;
      model->geom_matid[geom] = -1;
    }
  }
  return made;
}

Result<DataPointer> make_data(const mjModel_& model) {
  DataPointer data(mj_makeData(&model));
  if (!data) return resource_exhausted("no memory for the simulated kitchen");
  return data;
}

}  // namespace nudge
