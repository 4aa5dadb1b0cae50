#include "src/ports/jpeg.h"

#include <turbojpeg.h>

#include <memory>
#include <string>

namespace nudge {

Status encode_jpeg(Image& image, int quality) {
  const std::unique_ptr<void, int (*)(void*)> encoder(tjInitCompress(), tjDestroy);
  if (encoder == nullptr) return internal("no JPEG encoder");
  image.jpeg.resize(tjBufSize(image.width, image.height, TJSAMP_420));
  unsigned char* out = image.jpeg.data();
  unsigned long size = image.jpeg.size();
  if (tjCompress2(encoder.get(), image.rgb.data(), image.width, 0, image.height, TJPF_RGB, &out,
                  &size, TJSAMP_420, quality, TJFLAG_NOREALLOC) != 0) {
    return internal(std::string("JPEG: ") + tjGetErrorStr2(encoder.get()));
  }
  image.jpeg.resize(size);
  return {};
}

}  // namespace nudge
