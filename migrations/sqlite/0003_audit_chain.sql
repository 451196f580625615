-- Leases, the hash chain over the trail, where it begins, and what sweeps look for.
-- Twin of migrations/postgres/0003_audit_chain.sql.

-- Work that one instance does at a time. After a run "until" is the time before which there is no next one.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that are committed and not yet in the chain.
CREATE TABLE events_unchained (
    event_id BLOB NOT NULL PRIMARY KEY CHECK (length(event_id) = 16)
) STRICT, WITHOUT ROWID;
INSERT INTO events_unchained (event_id) SELECT id FROM events;
CREATE TRIGGER events_await_chain AFTER INSERT ON events
BEGIN INSERT INTO events_unchained (event_id) VALUES (NEW.id); END;

-- One row: the sealed key of the chain, and the last entry that the retention removed (seq 0: none).
CREATE TABLE event_chain_root (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    sealed_key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    removed_before INTEGER NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;

CREATE TABLE event_chain (
    seq INTEGER NOT NULL PRIMARY KEY,
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE UNIQUE INDEX event_chain_event_id_key ON event_chain (event_id);

-- LOG-10: the key of details_hash goes with the details, so that nobody can try guesses after an erasure.
ALTER TABLE event_details ADD COLUMN hash_key BLOB CHECK (length(hash_key) = 32);
-- Those whom an event is not about; most are about whoever did it.
CREATE INDEX events_actor_idx ON events (actor_id, id) WHERE actor_id <> subject_id;

-- LOG-06: only what the retention has taken out of the chain may go.
DROP TRIGGER events_refuse_delete;
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events WHEN NOT EXISTS (
    SELECT 1 FROM event_chain JOIN event_chain_root ON event_chain.seq <= event_chain_root.seq
    WHERE event_chain.event_id = OLD.id AND OLD.at < event_chain_root.removed_before)
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;
CREATE TRIGGER event_details_refuse_update BEFORE UPDATE ON event_details
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;
CREATE TRIGGER event_details_refuse_replace BEFORE INSERT ON event_details
WHEN EXISTS (SELECT 1 FROM event_details WHERE event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;
CREATE TRIGGER event_chain_refuse_update BEFORE UPDATE ON event_chain
BEGIN SELECT RAISE(ABORT, 'the chain is append only'); END;
CREATE TRIGGER event_chain_refuse_delete BEFORE DELETE ON event_chain
WHEN NOT EXISTS (SELECT 1 FROM event_chain_root WHERE seq >= OLD.seq)
BEGIN SELECT RAISE(ABORT, 'the chain is append only'); END;
CREATE TRIGGER event_chain_refuse_replace BEFORE INSERT ON event_chain
WHEN EXISTS (SELECT 1 FROM event_chain WHERE seq = NEW.seq OR event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'the chain is append only'); END;
CREATE TRIGGER event_chain_root_refuse_update BEFORE UPDATE ON event_chain_root
WHEN NEW.seq < OLD.seq OR NEW.removed_before < OLD.removed_before
BEGIN SELECT RAISE(ABORT, 'the root of the chain moves on only'); END;
CREATE TRIGGER event_chain_root_refuse_delete BEFORE DELETE ON event_chain_root
BEGIN SELECT RAISE(ABORT, 'the root of the chain moves on only'); END;
CREATE TRIGGER event_chain_root_refuse_replace BEFORE INSERT ON event_chain_root
WHEN EXISTS (SELECT 1 FROM event_chain_root)
BEGIN SELECT RAISE(ABORT, 'the root of the chain moves on only'); END;

-- SES-22.
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sessions_ended_at_idx ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_absolute_expires_at_idx ON sessions (absolute_expires_at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (3, '0.1.0');
