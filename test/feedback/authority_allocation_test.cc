// The step thread may run at 1 kHz: a tick on which nothing changes hands must not allocate.
#include "test/feedback/authority_rig.h"
#include "test/support/counted_allocations.h"

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
    const std::size_t before = test::allocations;
    for (int i = 0; i < 100; ++i) {
      sent.command.echoed_tick = in.tick;
      ++sent.command.sequence;
      ++in.tick;
      in.now += kPeriod;
      in.observed = in.now;
      in.proposed_from = in.now;
      rig.authority.tick(in);
    }
    EXPECT_EQ(test::allocations, before) << to_string(state);
    EXPECT_EQ(rig.state(), state);
  }
}

}  // namespace
}  // namespace nudge
