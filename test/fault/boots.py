"""What the events of a log say about its boots."""

HOLD = 0  # include/nudge/event.h


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
    pairs, confirmed, live, boot, brought = [], 0, 0, None, set()
    for row in rows:
        kind, payload = row["kind"], row["payload"]
        if kind == "booted" and confirmed:
            boot, expected, brought = row["boot"], confirmed, set()
        if kind == "weights_live":
            live = payload["version"]
        if row["boot"] == boot and kind in ("weights_live", "span_opened", "episode_ended"):
            # Its policy has played by now, and a change of version would have been recorded.
            # One that people or the learner brought since the boot may be the first to play.
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
