#include "src/sim/renderer.h"

#include <dlfcn.h>
#include <mujoco/mujoco.h>
#include <turbojpeg.h>

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace nudge {
namespace {

// A GL context without a window, made by a library that is opened at run time. Only the few
// declarations needed are repeated here (Khronos' EGL 1.5 and Mesa's OSMesa registries), so that
// building needs no GL headers.
class GlContext {
 public:
  virtual ~GlContext() = default;
  virtual bool make_current() = 0;
  virtual void release() = 0;
  // Of Mesa's software rasterisers, whose contexts look into one another. Only while current.
  virtual bool in_software() const = 0;
};

// LibTorch 2.6 of Debian 13 has an LLVM inside and shows some of its symbols to the whole process;
// Mesa's own LLVM would take them for its own, and crash. So GL libraries look among themselves
// first. Sanitizers do not allow it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kOpenLibrary = RTLD_NOW | RTLD_LOCAL;
#else
constexpr int kOpenLibrary = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

class Library {
 public:
  explicit Library(std::initializer_list<const char*> names) {
    for (const char* name : names) {
      name_ = name;
      if ((handle_ = dlopen(name, kOpenLibrary)) != nullptr) break;
    }
    // Never closed: Mesa does not survive it.
  }
  // MuJoCo looks the GL functions up among the global libraries of the process, so only the one
  // that works becomes global.
  void promote() const { dlopen(name_, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD); }
  explicit operator bool() const { return handle_ != nullptr; }
  template <typename F>
  bool find(F*& function, const char* name) const {
    function = reinterpret_cast<F*>(dlsym(handle_, name));
    return function != nullptr;
  }

 private:
  const char* name_ = "";
  void* handle_ = nullptr;
};

class EglContext final : public GlContext {
 public:
  static std::unique_ptr<GlContext> open(std::string& why) {
    auto context = std::unique_ptr<EglContext>(new EglContext());
    why = context->start();
    if (!why.empty()) return nullptr;
    return context;
  }
  ~EglContext() override {
    if (context_ != nullptr) {
      release();
      destroy_context_(display_, context_);
    }
    // The display is shared by the process and stays.
  }
  bool make_current() override {
    return bind_api_(kOpenGlApi) != 0 && make_current_(display_, nullptr, nullptr, context_) != 0;
  }
  void release() override { make_current_(display_, nullptr, nullptr, nullptr); }
  bool in_software() const override {
    constexpr unsigned kRenderer = 0x1F01;
    const auto* text = get_string_ == nullptr ? nullptr : get_string_(kRenderer);
    if (text == nullptr) return true;  // whatever it is
    const std::string_view name(reinterpret_cast<const char*>(text));
    return name.starts_with("llvmpipe") || name.starts_with("softpipe");
  }

 private:
  using Handle = void*;
  using GetString = const unsigned char*(unsigned);
  static constexpr unsigned kOpenGlApi = 0x30A2;
  static constexpr unsigned kSurfaceless = 0x31DD;  // EGL_PLATFORM_SURFACELESS_MESA
  static constexpr std::int32_t kNone = 0x3038;

  EglContext() : mesa_({"libEGL_mesa.so.0"}), egl_({"libEGL.so.1", "libEGL.so"}) {}

  std::string start() {
    if (!egl_) return "no libEGL.so.1";
    Handle (*get_platform_display)(unsigned, void*, const std::intptr_t*) = nullptr;
    unsigned (*initialize)(Handle, std::int32_t*, std::int32_t*) = nullptr;
    unsigned (*choose_config)(Handle, const std::int32_t*, Handle*, std::int32_t, std::int32_t*) =
        nullptr;
    Handle (*create_context)(Handle, Handle, Handle, const std::int32_t*) = nullptr;
    void (*(*get_address)(const char*))() = nullptr;
    if (!egl_.find(get_platform_display, "eglGetPlatformDisplay") ||
        !egl_.find(initialize, "eglInitialize") || !egl_.find(choose_config, "eglChooseConfig") ||
        !egl_.find(create_context, "eglCreateContext") ||
        !egl_.find(get_address, "eglGetProcAddress") ||
        !egl_.find(destroy_context_, "eglDestroyContext") ||
        !egl_.find(make_current_, "eglMakeCurrent") || !egl_.find(bind_api_, "eglBindAPI")) {
      return "libEGL is older than EGL 1.5";
    }
    display_ = get_platform_display(kSurfaceless, nullptr, nullptr);
    if (display_ == nullptr || initialize(display_, nullptr, nullptr) == 0) {
      return "EGL has no display without a surface";
    }
    if (bind_api_(kOpenGlApi) == 0) return "EGL offers no desktop OpenGL";
    constexpr std::int32_t kRenderableType = 0x3040, kOpenGlBit = 0x0008, kSurfaceType = 0x3033;
    const std::int32_t wanted[] = {kRenderableType, kOpenGlBit, kSurfaceType, 0, kNone};
    Handle config = nullptr;
    std::int32_t found = 0;
    if (choose_config(display_, wanted, &config, 1, &found) == 0 || found < 1) {
      return "EGL has no OpenGL configuration";
    }
    Handle context = create_context(display_, config, nullptr, nullptr);
    if (context == nullptr) return "EGL could not create an OpenGL context";
    context_ = context;
    if (!make_current()) return "EGL could not make its context current without a surface";
    get_string_ = reinterpret_cast<GetString*>(get_address("glGetString"));
    egl_.promote();
    return "";
  }

  Library mesa_;  // libEGL would open it by itself, but not so that it looks among its own first
  Library egl_;
  unsigned (*destroy_context_)(Handle, Handle) = nullptr;
  unsigned (*make_current_)(Handle, Handle, Handle, Handle) = nullptr;
  unsigned (*bind_api_)(unsigned) = nullptr;
  GetString* get_string_ = nullptr;
  Handle display_ = nullptr;
  Handle context_ = nullptr;
};

class OsMesaContext final : public GlContext {
 public:
  static std::unique_ptr<GlContext> open(std::string& why) {
    auto context = std::unique_ptr<OsMesaContext>(new OsMesaContext());
    why = context->start();
    if (!why.empty()) return nullptr;
    return context;
  }
  ~OsMesaContext() override {
    if (context_ != nullptr) {
      release();
      destroy_(context_);
    }
  }
  bool make_current() override {
    constexpr unsigned kUnsignedByte = 0x1401;
    return make_current_(context_, pixels_.data(), kUnsignedByte, kSize, kSize) != 0;
  }
  void release() override { make_current_(nullptr, nullptr, 0, 0, 0); }
  bool in_software() const override { return true; }

 private:
  using Handle = void*;
  static constexpr int kSize = 16;  // MuJoCo draws into a buffer of its own

  OsMesaContext() : mesa_({"libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"}) {}

  std::string start() {
    if (!mesa_) return "no libOSMesa";
    Handle (*create)(unsigned, int, int, int, Handle) = nullptr;
    if (!mesa_.find(create, "OSMesaCreateContextExt") ||
        !mesa_.find(destroy_, "OSMesaDestroyContext") ||
        !mesa_.find(make_current_, "OSMesaMakeCurrent")) {
      return "libOSMesa lacks its functions";
    }
    constexpr unsigned kRgba = 0x1908;
    context_ = create(kRgba, 24, 8, 0, nullptr);
    if (context_ == nullptr) return "OSMesa could not create a context";
    pixels_.resize(static_cast<std::size_t>(kSize) * kSize * 4);
    if (!make_current()) return "OSMesa could not make its context current";
    mesa_.promote();
    return "";
  }

  Library mesa_;
  void (*destroy_)(Handle) = nullptr;
  unsigned char (*make_current_)(Handle, void*, unsigned, int, int) = nullptr;
  Handle context_ = nullptr;
  std::vector<std::uint8_t> pixels_;
};

// MuJoCo reports an error by calling a handler that must not return, and otherwise ends the
// process. A jump over its C frames (no destructors there) brings it back as a Status. Only calls
// through guarded() are covered; an error elsewhere still ends the process.
thread_local std::jmp_buf* guard = nullptr;
thread_local char guard_message[256];

[[noreturn]] void on_mujoco_error(const char* message) {
  if (guard == nullptr) {
    std::fprintf(stderr, "MuJoCo: %s\n", message);
    std::abort();
  }
  std::snprintf(guard_message, sizeof(guard_message), "%s", message);
  std::longjmp(*guard, 1);
}

// `call` must own nothing that needs a destructor.
template <typename F>
Status guarded(F call) {
  mju_user_error = on_mujoco_error;
  std::jmp_buf here;
  guard = &here;
  if (setjmp(here) == 0) {
    call();
    guard = nullptr;
    return {};
  }
  guard = nullptr;
  return unavailable(std::string("OpenGL: MuJoCo says: ") + guard_message);
}

// Held where a context comes or goes, and where Mesa draws in software: the contexts of a process
// share a screen there, and reading a picture walks what all of them are drawing, without a lock
// (llvmpipe_flush_resource() and lp_setup_is_resource_referenced() of Mesa 22.3). Two threads that
// drew at once crashed in it, about once in sixty evaluations.
std::mutex screen_mutex;
// MuJoCo binds the GL functions once per process, so there can be one GL library only.
std::optional<GlBackend> bound;  // under screen_mutex

struct Compressor {
  tjhandle handle = tjInitCompress();
  ~Compressor() {
    if (handle != nullptr) tjDestroy(handle);
  }
};

}  // namespace

struct Renderer::Impl {
  const mjModel* model = nullptr;
  RendererOptions options;
  GlBackend backend = GlBackend::kEgl;
  std::unique_ptr<GlContext> gl;
  mjvScene scene{};
  mjvOption look{};
  mjrContext context{};
  bool made = false;
  bool draws_alone = true;  // constant from create() on
  Compressor compressor;
  std::vector<std::uint8_t> upside_down;

  ~Impl() {
    const std::lock_guard<std::mutex> lock(screen_mutex);
    if (made) free_drawing();
    gl.reset();
  }
  void free_drawing() {
    // Without its context there is nothing to free on the GL's side.
    if (gl->make_current()) {
      mjr_freeContext(&context);
      gl->release();
    }
    mjv_freeScene(&scene);
  }
};

Renderer::Renderer() : impl_(std::make_unique<Impl>()) {}
Renderer::~Renderer() = default;

Result<std::unique_ptr<Renderer>> Renderer::create(const mjModel_* model,
                                                   const RendererOptions& options) {
  if (options.width < 1 || options.height < 1 || options.width > model->vis.global.offwidth ||
      options.height > model->vis.global.offheight) {
    return invalid_argument("renderer: the picture must be from 1x1 to " +
                            std::to_string(model->vis.global.offwidth) + "x" +
                            std::to_string(model->vis.global.offheight) + " pixels");
  }
  if (options.jpeg_quality < 1 || options.jpeg_quality > 100) {
    return invalid_argument("renderer: jpeg_quality must be from 1 to 100");
  }
  setenv("LP_NUM_THREADS", "0", /*overwrite=*/0);

  std::unique_ptr<Renderer> renderer(new Renderer());
  Impl& s = *renderer->impl_;
  s.model = model;
  s.options = options;
  std::lock_guard<std::mutex> lock(screen_mutex);
  const std::optional<GlBackend> wanted = options.backend ? options.backend : bound;
  if (bound && wanted != bound) {
    return unavailable("renderer: this process already renders through the other GL library");
  }
  std::string egl = "not tried", mesa = "not tried";
  if (wanted != GlBackend::kOsMesa) {
    s.gl = EglContext::open(egl);
    s.backend = GlBackend::kEgl;
  }
  if (!s.gl && wanted != GlBackend::kEgl) {
    s.gl = OsMesaContext::open(mesa);
    s.backend = GlBackend::kOsMesa;
  }
  if (!s.gl) {
    return unavailable("no OpenGL to render with (EGL: " + egl + "; OSMesa: " + mesa +
                       "). Install libegl1 and libgl1-mesa-dri, or libosmesa6");
  }
  if (s.compressor.handle == nullptr) {
    return resource_exhausted("renderer: libjpeg-turbo could not start");
  }
  mjv_defaultScene(&s.scene);
  mjv_defaultOption(&s.look);
  mjr_defaultContext(&s.context);
  mjv_makeScene(model, &s.scene, 200);
  s.scene.flags[mjRND_SHADOW] = 0;
  s.scene.flags[mjRND_REFLECTION] = 0;
  s.made = true;
  s.draws_alone = s.gl->in_software();
  bound = s.backend;
  const Status status = guarded([&] {
    mjr_makeContext(model, &s.context, mjFONTSCALE_50);
    mjr_setBuffer(mjFB_OFFSCREEN, &s.context);
  });
  const bool offscreen = s.context.currentBuffer == mjFB_OFFSCREEN;
  s.gl->release();
  if (!status.ok()) return status;
  if (!offscreen) return unavailable("renderer: this OpenGL cannot draw off-screen");
  return renderer;
}

GlBackend Renderer::backend() const { return impl_->backend; }

Result<Image> Renderer::render(mjData_* data, const std::string& camera, Instant captured) {
  Impl& s = *impl_;
  const int id = mj_name2id(s.model, mjOBJ_CAMERA, camera.c_str());
  if (id < 0) return not_found("renderer: no camera named \"" + camera + "\"");
  mj_camlight(s.model, data);
  mjvCamera view;
  mjv_defaultCamera(&view);
  view.type = mjCAMERA_FIXED;
  view.fixedcamid = id;
  mjv_updateScene(s.model, data, &s.look, nullptr, &view, mjCAT_ALL, &s.scene);

  const int width = s.options.width, height = s.options.height;
  const mjrRect area{0, 0, width, height};
  const std::size_t row = static_cast<std::size_t>(width) * 3;
  s.upside_down.resize(row * height);
  {
    std::unique_lock<std::mutex> lock(screen_mutex, std::defer_lock);
    if (s.draws_alone) lock.lock();
    if (!s.gl->make_current()) return unavailable("renderer: the OpenGL context was lost");
    const Status status = guarded([&] {
      mjr_render(area, &s.scene, &s.context);
      mjr_readPixels(s.upside_down.data(), nullptr, area, &s.context);
    });
    s.gl->release();
    if (!status.ok()) return status;
  }

  Image image;
  image.camera = camera;
  image.width = width;
  image.height = height;
  image.captured = captured;
  image.rgb.resize(row * height);
  for (int y = 0; y < height; ++y) {  // GL's first row is the bottom one
    std::memcpy(image.rgb.data() + row * y, s.upside_down.data() + row * (height - 1 - y), row);
  }
  image.jpeg.resize(tjBufSize(width, height, TJSAMP_420));
  unsigned char* out = image.jpeg.data();
  unsigned long size = image.jpeg.size();
  if (tjCompress2(s.compressor.handle, image.rgb.data(), width, 0, height, TJPF_RGB, &out, &size,
                  TJSAMP_420, s.options.jpeg_quality, TJFLAG_NOREALLOC) != 0) {
    return internal(std::string("renderer: ") + tjGetErrorStr2(s.compressor.handle));
  }
  image.jpeg.resize(size);
  return image;
}

}  // namespace nudge
