// The step thread may run at 1 kHz: a tick on which nothing changes hands must not allocate.
#include <cstdlib>
#include <new>

#include "test/feedback/authority_rig.h"

namespace {
std::size_t allocations = 0;
}  // namespace

// Not inlined, nor the deletes: GCC would take one for the wrong end of the other.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace nudge {
namespace {

TEST(AuthorityAllocation, AQuietTickAllocatesNothing) {
  for (const AuthorityState state : {AuthorityState::kHold, AuthorityState::kHuman,
                                     AuthorityState::kAuto, AuthorityState::kEstop}) {
    Rig rig;
    rig.reach(state);
    SentJog sent;
    sent.actor = kAnna;
    sent.command = rig.jog(kAnna);
    rig.step();
    TickInputs in = rig.in;
    in.acts = {};
    in.position = rig.position;
    in.jog = &sent;
    const std::size_t before = allocations;
    for (int i = 0; i < 100; ++i) {
      sent.command.echoed_tick = in.tick;
      ++sent.command.sequence;
      ++in.tick;
      in.now += kPeriod;
      in.observed = in.now;
      in.proposed_from = in.now;
      rig.authority.tick(in);
    }
    EXPECT_EQ(allocations, before) << to_string(state);
    EXPECT_EQ(rig.state(), state);
  }
}

}  // namespace
}  // namespace nudge
