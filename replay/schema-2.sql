-- Version 2: every event is linked to all that came before it (chain.h).

-- Hash over the link before, the runs between, and the event's row.
ALTER TABLE events ADD COLUMN link BLOB NOT NULL DEFAULT x'';
-- Hash over the records of the run's steps; NULL: written by version 1, which made none.
ALTER TABLE runs ADD COLUMN digest BLOB;

-- One row: events up to here were there before version 2 and got their links when it came. It is
-- part of what the first link is made from.
CREATE TABLE chain (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  linked_later    INTEGER NOT NULL           -- sequence; 0: every event got its link when it came
) STRICT;
INSERT INTO chain SELECT 1, coalesce(max(sequence), 0) FROM events;
