-- The discrete half of the log, version 1. Rows are only ever added, except for the two positions
-- that move forward: segments.committed_bytes/closed and the end of the newest run.
-- Times are nanoseconds. Unsigned 64-bit numbers are stored as the signed number of equal bits.

-- One row per event: the envelope in typed columns, the payload as versioned JSON text.
CREATE TABLE events (
  sequence        INTEGER PRIMARY KEY,       -- shared with steps, from 1 without gaps
  id              TEXT NOT NULL UNIQUE,      -- made by the sender
  kind            TEXT NOT NULL,             -- stable name of the payload's kind
  subject         INTEGER NOT NULL,          -- what it is about: span, weights, epoch or episode
  episode         INTEGER NOT NULL,          -- 0: outside any episode
  policy_step     INTEGER NOT NULL,
  control_tick    INTEGER NOT NULL,
  time_ns         INTEGER NOT NULL,          -- robot's steady clock of this boot
  wall_time_ns    INTEGER NOT NULL,          -- since 1970-01-01 UTC
  boot            TEXT NOT NULL,
  actor           TEXT NOT NULL,
  role            INTEGER NOT NULL,
  weights         INTEGER NOT NULL,          -- live at that moment
  payload_version INTEGER NOT NULL,
  payload         TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_kind ON events (kind, subject);
CREATE INDEX events_by_episode ON events (episode, kind);

-- One row per segment file, made before the file.
CREATE TABLE segments (
  episode         INTEGER PRIMARY KEY,
  file            TEXT NOT NULL UNIQUE,      -- in the folder segments/
  committed_bytes INTEGER NOT NULL,          -- what lies behind was never acknowledged
  closed          INTEGER NOT NULL           -- 1: the episode has ended
) STRICT;

-- Consecutive steps of one episode with no event between them.
CREATE TABLE runs (
  first_sequence  INTEGER PRIMARY KEY,
  last_sequence   INTEGER NOT NULL,
  episode         INTEGER NOT NULL,
  first_offset    INTEGER NOT NULL,          -- of the first step's record in the segment
  end_offset      INTEGER NOT NULL           -- behind the last step's record
) STRICT;
CREATE INDEX runs_by_episode ON runs (episode);
