#include "src/cli/qr_code.h"

#include <qrencode.h>

#include <memory>

namespace nudge {
namespace {

constexpr int kQuiet = 2;  // modules; two are enough for a screen, and four cost lines

}  // namespace

Result<std::string> qr_code(const std::string& text, bool coloured) {
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeString(text.c_str(), 0, QR_ECLEVEL_L, QR_MODE_8, 1), &QRcode_free);
  if (!code) return invalid_argument("this is too long for a QR code");
  const int width = code->width;
  const auto light = [&](int row, int column) {
    if (row < 0 || column < 0 || row >= width || column >= width) return true;
    return (code->data[row * width + column] & 1) == 0;
  };
  std::string lines;
  for (int row = -kQuiet; row < width + kQuiet; row += 2) {
    if (coloured) lines += "\033[40;97m";
    for (int column = -kQuiet; column < width + kQuiet; ++column) {
      const bool upper = light(row, column);
      const bool lower = row + 1 < width + kQuiet && light(row + 1, column);
      lines += upper ? (lower ? "█" : "▀") : (lower ? "▄" : " ");
    }
    if (coloured) lines += "\033[0m";
    lines += "\n";
  }
  return lines;
}

}  // namespace nudge
