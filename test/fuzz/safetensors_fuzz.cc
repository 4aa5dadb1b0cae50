// Any bytes through the safetensors reader and the weights reader: no crash, and what is accepted
// is consistent and can be written again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "policy/safetensors.h"
#include "policy/weights.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);

  const auto file = nudge::SafetensorsFile::parse(bytes);
  require(file.ok() || !file.status().message().empty());
  if (file.ok()) {
    std::map<std::string, nudge::TensorToWrite> tensors;
    for (const auto& [name, view] : file->tensors()) {
      std::uint64_t total = nudge::size_of(view.dtype);
      for (const std::int64_t extent : view.shape) total *= static_cast<std::uint64_t>(extent);
      require(total == view.bytes.size());
      tensors[name] = {view.dtype, view.shape, view.bytes};
    }
    const auto written = nudge::write_safetensors(file->metadata(), tensors);
    require(written.ok());
    const auto again = nudge::SafetensorsFile::parse(*written);
    require(again.ok());
    require(again->metadata() == file->metadata());
    require(again->tensors().size() == file->tensors().size());
  }

  const auto weights = nudge::Weights::parse(bytes);
  if (weights.ok()) {
    require(file.ok());
    require((*weights)->head().validate().ok());
    require((*weights)->file().tensors().size() == nudge::tensors_of((*weights)->head()).size());
  }
  return 0;
}
