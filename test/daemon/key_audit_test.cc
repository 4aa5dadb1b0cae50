#include "src/daemon/key_audit.h"

#include <gtest/gtest.h>

#include "replay/event_codec.h"

namespace nudge {
namespace {

Keyring::Entry entry(const std::string& name, std::uint8_t key, Role role = Role::kSupervisor) {
  CurveKey bytes{};
  bytes[0] = key;
  return {.name = name, .use = Keyring::Use::kTeleop, .role = role, .key = bytes};
}

Keyring ring(const std::vector<Keyring::Entry>& entries) {
  Keyring keys;
  for (const Keyring::Entry& each : entries) EXPECT_TRUE(keys.add(each).ok());
  return keys;
}

std::string told(const std::vector<Payload>& changes) {
  std::string all;
  for (const Payload& change : changes) {
    const auto* added = std::get_if<KeyAdded>(&change);
    all += std::string(kind_of(change)) + " " +
           (added != nullptr ? added->name : std::get<KeyRemoved>(change).name) + "\n";
  }
  return all;
}

TEST(KeyAudit, TellsOfEachKeyThatComesAndGoesOnce) {
  KeyAudit audit;
  EXPECT_EQ(told(audit.changes_to(ring({entry("anna", 1), entry("ben", 2)}))),
            "key_added anna\nkey_added ben\n");
  EXPECT_EQ(told(audit.changes_to(ring({entry("anna", 1), entry("ben", 2)}))), "");
  EXPECT_EQ(told(audit.changes_to(ring({entry("ben", 2)}))), "key_removed anna\n");
  EXPECT_EQ(told(audit.changes_to(Keyring())), "key_removed ben\n");
}

TEST(KeyAudit, TellsOfAKeyOrARoleThatWasChangedUnderItsName) {
  KeyAudit audit;
  audit.changes_to(ring({entry("anna", 1)}));
  EXPECT_EQ(told(audit.changes_to(ring({entry("anna", 2)}))), "key_removed anna\nkey_added anna\n");
  EXPECT_EQ(told(audit.changes_to(ring({entry("anna", 2, Role::kEngineer)}))),
            "key_removed anna\nkey_added anna\n");
}

TEST(KeyAudit, SaysWhatOpensAndForWhom) {
  const std::vector<Payload> changes =
      KeyAudit().changes_to(ring({entry("anna", 1, Role::kEngineer)}));
  const auto& added = std::get<KeyAdded>(changes.at(0));
  EXPECT_EQ(added.role, Role::kEngineer);
  EXPECT_EQ(added.use, KeyUse::kTeleop);
  EXPECT_EQ(added.key, to_z85(entry("anna", 1).key));
}

TEST(KeyAudit, GoesOnWhereTheLogEnds) {
  KeyAudit before, after;
  std::vector<Payload> log = before.changes_to(ring({entry("anna", 1), entry("ben", 2)}));
  for (Payload& change : before.changes_to(ring({entry("ben", 2)}))) log.push_back(change);
  for (const Payload& payload : log) {
    Event event;
    event.payload = payload;
    after.apply(event);
  }
  // What was done to the list while no daemon ran shows at its next start.
  EXPECT_EQ(told(after.changes_to(ring({entry("ben", 2)}))), "");
  EXPECT_EQ(told(after.changes_to(ring({entry("eva", 3)}))), "key_removed ben\nkey_added eva\n");
}

}  // namespace
}  // namespace nudge
