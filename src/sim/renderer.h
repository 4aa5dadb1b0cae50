// Pictures of a MuJoCo scene, off-screen and without a display server. The GL library is found at
// run time: EGL without a surface first (a GPU's or Mesa's), OSMesa second, so that the program
// starts on machines with neither.
// MuJoCo binds the GL functions once per process, so the first renderer decides for all later ones.
//
// Mesa's software rasteriser starts threads of its own that would compete with the control loop for
// a few thousand triangles; unless LP_NUM_THREADS is set in the environment, create() sets it to 0
// (rasterise in the calling thread). Two threads that draw with it at once crash, so its renderers
// take turns; those of a GPU do not.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nudge/status.h"
#include "nudge/types.h"

struct mjModel_;
struct mjData_;

namespace nudge {

enum class GlBackend { kEgl, kOsMesa };

struct RendererOptions {
  int width = 128;                   // pixels
  int height = 128;                  // pixels
  int jpeg_quality = 85;             // 1..100
  std::optional<GlBackend> backend;  // none: the first that works
};

// The context is current only during a call, so calls may come from any thread, one at a time.
class Renderer {
 public:
  // `model` must outlive the renderer. kUnavailable: no usable GL; the message says what to
  // install. kInvalidArgument: an option out of range.
  static Result<std::unique_ptr<Renderer>> create(const mjModel_* model,
                                                  const RendererOptions& options = {});
  ~Renderer();
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;

  GlBackend backend() const;

  // One frame of a camera of the model, pixels and JPEG. `data` is read, positions must be up to
  // date (mj_forward or mj_step). kNotFound: no such camera. kUnavailable: the context is gone.
  Result<Image> render(mjData_* data, const std::string& camera, Instant captured);

 private:
  Renderer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
