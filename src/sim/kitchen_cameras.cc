#include "src/sim/kitchen_cameras.h"

#include <mujoco/mujoco.h>

#include "src/sim/kitchen_model.h"
#include "src/sim/renderer.h"

namespace nudge {

struct KitchenCameras::Impl {
  ModelPointer model;
  DataPointer data;
  std::unique_ptr<KitchenDresser> dresser;
  std::unique_ptr<Renderer> renderer;
  std::vector<CameraSpec> cameras;
};

KitchenCameras::KitchenCameras() : impl_(std::make_unique<Impl>()) {}
KitchenCameras::~KitchenCameras() = default;

Result<std::unique_ptr<KitchenCameras>> KitchenCameras::create(const KitchenLevel& level,
                                                               int jpeg_quality) {
  std::unique_ptr<KitchenCameras> cameras(new KitchenCameras());
  Impl& s = *cameras->impl_;
  auto model = load_kitchen_model(level);
  if (!model.ok()) return model.status();
  s.model = *std::move(model);
  s.dresser = std::make_unique<KitchenDresser>(s.model.get());
  auto data = make_data(*s.model);
  if (!data.ok()) return data.status();
  s.data = *std::move(data);
  RendererOptions options;
  options.jpeg_quality = jpeg_quality;
  auto renderer = Renderer::create(s.model.get(), options);
  if (!renderer.ok()) return renderer.status().with_context("kitchen cameras");
  s.renderer = *std::move(renderer);
  s.cameras = {{"front", options.width, options.height}, {"wrist", options.width, options.height}};
  return cameras;
}

const std::vector<CameraSpec>& KitchenCameras::cameras() const { return impl_->cameras; }

KitchenLooks KitchenCameras::draw(std::uint64_t seed, const std::vector<Vec3>& objects) const {
  return impl_->dresser->draw(seed, objects);
}
KitchenLooks KitchenCameras::plain() const { return impl_->dresser->plain(); }

Result<std::vector<Image>> KitchenCameras::render(std::span<const double> positions,
                                                  const KitchenLooks* looks, Instant captured) {
  Impl& s = *impl_;
  if (positions.size() != static_cast<std::size_t>(s.model->nq)) {
    return invalid_argument("kitchen cameras: the state has the wrong size");
  }
  if (looks != nullptr) s.dresser->dress(*looks);
  mju_copy(s.data->qpos, positions.data(), s.model->nq);
  mj_kinematics(s.model.get(), s.data.get());
  mj_comPos(s.model.get(), s.data.get());
  mj_camlight(s.model.get(), s.data.get());
  std::vector<Image> frames;
  for (const CameraSpec& camera : s.cameras) {
    Result<Image> image = s.renderer->render(s.data.get(), camera.name, captured);
    if (!image.ok()) return image.status();
    image->rgb = {};
    frames.push_back(*std::move(image));
  }
  return frames;
}

}  // namespace nudge
