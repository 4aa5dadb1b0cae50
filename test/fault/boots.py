"""What the events of a log say about its boots."""

HOLD, AUTO = 0, 4  # include/nudge/event.h


def first_changes(rows):
    """For each boot that changed who moves the robot: the first such event."""
    found, starting = [], False
    for row in rows:
        if row["kind"] == "booted":
            starting = True
        elif row["kind"] == "authority_changed" and starting:
            found.append(row)
            starting = False
    return found


def first_versions(rows):
    """For each boot that ran its policy: (version that ran first, version confirmed before)."""
    pairs, confirmed, live, boot, brought, drove = [], 0, 0, None, set(), False
    for row in rows:
        kind, payload = row["kind"], row["payload"]
        if kind == "booted" and confirmed:
            boot, expected, brought, drove = row["boot"], confirmed, set(), False
        if kind == "weights_live":
            live = payload["version"]
        if row["boot"] == boot:
            # People may drive, and end episodes, before the policy ever does.
            drove = drove or (kind == "authority_changed" and payload["to"] == AUTO)
            if kind == "weights_live" or (kind == "episode_ended" and drove and not brought):
                # One that people or the learner brought since the boot may be the first to play.
                # Without any, a version that is not told is the one that ran last before.
                if live not in brought:
                    pairs.append((live, expected))
                boot = None
        if kind in ("weights_promoted", "weights_accepted"):
            brought.add(payload["version"])
        if kind in ("weights_promoted", "weights_confirmed"):
            confirmed = payload["version"]
        if kind == "weights_rolled_back":
            live = payload["to"]
            if payload["to"] < confirmed <= payload["from"]:
                confirmed = payload["to"]
    return pairs
