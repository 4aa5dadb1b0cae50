// Pictures as they are stored and shown.
#pragma once

#include "nudge/status.h"
#include "nudge/types.h"

namespace nudge {

// Fills Image::jpeg from its rgb; `quality` 1 to 100. kInternal: the encoder refuses.
Status encode_jpeg(Image& image, int quality);

}  // namespace nudge
