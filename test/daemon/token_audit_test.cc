#include "src/daemon/token_audit.h"

#include <gtest/gtest.h>

#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

Access access(const std::vector<Role>& roles) {
  Access made;
  for (const Role role : roles) made.renew(role);
  return made;
}

// The roles of which something is told; with a minus those that have no token any more.
std::string told(const std::vector<Payload>& changes) {
  std::string all;
  for (const Payload& change : changes) {
    const auto& changed = std::get<TokenChanged>(change);
    all += (changed.id.empty() ? " -" : " ") + std::string(to_string(changed.role));
  }
  return all;
}

TEST(TokenAudit, TellsOfEachTokenThatIsAnotherOnce) {
  TokenAudit audit;
  Access now = access({Role::kEngineer, Role::kViewer});
  EXPECT_EQ(told(audit.changes_to(now)), " engineer viewer");
  EXPECT_EQ(told(audit.changes_to(now)), "");
  now.renew(Role::kViewer);
  EXPECT_EQ(told(audit.changes_to(now)), " viewer");
  now.revoke(Role::kEngineer);
  EXPECT_EQ(told(audit.changes_to(now)), " -engineer");
  EXPECT_EQ(told(audit.changes_to(now)), "");
}

TEST(TokenAudit, SaysWhichOneItIsAndNothingThatOpens) {
  const Access now = access({Role::kScript});
  const std::vector<Payload> changes = TokenAudit().changes_to(now);
  const std::string& id = std::get<TokenChanged>(changes.at(0)).id;
  EXPECT_EQ(id, token_id(now.token(Role::kScript)));
  EXPECT_EQ(now.token(Role::kScript).find(id), std::string::npos);
}

TEST(TokenAudit, GoesOnWhereTheLogEnds) {
  TokenAudit before, after;
  Access now = access({Role::kEngineer, Role::kSupervisor});
  std::vector<Payload> log = before.changes_to(now);
  now.renew(Role::kSupervisor);
  for (Payload& change : before.changes_to(now)) log.push_back(change);
  for (const Payload& payload : log) {
    Event event;
    event.payload = payload;
    after.apply(event);
  }
  // What was done to the file while no daemon ran shows at its next start.
  EXPECT_EQ(told(after.changes_to(now)), "");
  now.revoke(Role::kSupervisor);
  EXPECT_EQ(told(after.changes_to(now)), " -supervisor");
}

}  // namespace
}  // namespace nudge
