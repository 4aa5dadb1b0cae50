#include "src/loop/kitchen_eyes.h"

// The assembler takes the file as it is: as a literal, two megabytes would be slow to compile.
// NUDGE_KITCHEN_EYES is the file's path, in quotation marks.
asm(".section .rodata\n"
    ".balign 16\n"
    ".global nudge_kitchen_eyes_begin\n"
    ".global nudge_kitchen_eyes_end\n"
    "nudge_kitchen_eyes_begin:\n"
    ".incbin \"" NUDGE_KITCHEN_EYES
    "\"\n"
    "nudge_kitchen_eyes_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const std::byte nudge_kitchen_eyes_begin;
extern const std::byte nudge_kitchen_eyes_end;
}

namespace nudge {

std::span<const std::byte> kitchen_eyes() {
  return {&nudge_kitchen_eyes_begin, &nudge_kitchen_eyes_end};
}

}  // namespace nudge
