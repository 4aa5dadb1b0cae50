#include "src/datasets/jpeg.h"

#include <turbojpeg.h>

#include <memory>

namespace nudge {
namespace {

constexpr int kMaxSide = 16'384;

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy>;

Result<PictureSize> read_header(void* handle, std::span<const std::byte> jpeg) {
  PictureSize size;
  int subsampling = 0;
  int colours = 0;
  const int wrong = tjDecompressHeader3(handle, reinterpret_cast<const unsigned char*>(jpeg.data()),
                                        static_cast<unsigned long>(jpeg.size()), &size.width,
                                        &size.height, &subsampling, &colours);
  if (wrong != 0) return data_loss(std::string("a JPEG is damaged: ") + tjGetErrorStr2(handle));
  if (size.width < 1 || size.height < 1 || size.width > kMaxSide || size.height > kMaxSide) {
    return data_loss("a JPEG has " + std::to_string(size.width) + " x " +
                     std::to_string(size.height) + " pixels; at most " + std::to_string(kMaxSide) +
                     " a side are read");
  }
  return size;
}

}  // namespace

Result<PictureSize> jpeg_size(std::span<const std::byte> jpeg) {
  const Handle handle(tjInitDecompress());
  if (handle == nullptr) return internal("libjpeg-turbo does not start");
  return read_header(handle.get(), jpeg);
}

Result<RgbPicture> decode_jpeg(std::span<const std::byte> jpeg) {
  const Handle handle(tjInitDecompress());
  if (handle == nullptr) return internal("libjpeg-turbo does not start");
  const Result<PictureSize> size = read_header(handle.get(), jpeg);
  if (!size.ok()) return size.status();
  RgbPicture picture;
  picture.size = *size;
  picture.rgb.resize(std::size_t{3} * static_cast<std::size_t>(size->width) *
                     static_cast<std::size_t>(size->height));
  const int wrong = tjDecompress2(handle.get(), reinterpret_cast<const unsigned char*>(jpeg.data()),
                                  static_cast<unsigned long>(jpeg.size()), picture.rgb.data(),
                                  size->width, 0, size->height, TJPF_RGB, 0);
  if (wrong != 0 && tjGetErrorCode(handle.get()) == TJERR_FATAL) {
    return data_loss(std::string("a JPEG is damaged: ") + tjGetErrorStr2(handle.get()));
  }
  return picture;
}

}  // namespace nudge
