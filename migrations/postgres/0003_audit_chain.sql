-- Leases, the hash chain over the trail, where it begins, and what sweeps look for.
-- Twin of migrations/sqlite/0003_audit_chain.sql.

-- Work that one instance does at a time. After a run "until" is the time before which there is no next one.
CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner UUID NOT NULL,
    until TIMESTAMPTZ NOT NULL
);

-- Events that are committed and not yet in the chain.
CREATE TABLE events_unchained (
    event_id UUID NOT NULL PRIMARY KEY
);
CREATE FUNCTION events_await_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events_unchained (event_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;
-- The trigger keeps events out until the commit, so that none is missed by the copy.
CREATE TRIGGER events_await_chain AFTER INSERT ON events
FOR EACH ROW EXECUTE FUNCTION events_await_chain();
INSERT INTO events_unchained (event_id) SELECT id FROM events;

-- One row: the sealed key of the chain, and the last entry that the retention removed (seq 0: none).
CREATE TABLE event_chain_root (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    sealed_key BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    removed_before TIMESTAMPTZ NOT NULL,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32)
);

CREATE TABLE event_chain (
    seq BIGINT NOT NULL PRIMARY KEY,
    event_id UUID NOT NULL,
    prev_hash BYTEA NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE UNIQUE INDEX event_chain_event_id_key ON event_chain (event_id);

-- LOG-10: the key of details_hash goes with the details, so that nobody can try guesses after an erasure.
ALTER TABLE event_details ADD COLUMN hash_key BYTEA CHECK (octet_length(hash_key) = 32);
-- Those whom an event is not about; most are about whoever did it.
ALTER TABLE events ALTER COLUMN actor_id TYPE TEXT COLLATE "C";
CREATE INDEX events_actor_idx ON events (actor_id, id) WHERE actor_id <> subject_id;

-- LOG-06: only what the retention has taken out of the chain may go.
CREATE OR REPLACE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (
            SELECT 1 FROM event_chain JOIN event_chain_root ON event_chain.seq <= event_chain_root.seq
            WHERE event_chain.event_id = OLD.id AND OLD.at < event_chain_root.removed_before
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are append only';
END
$$;
CREATE FUNCTION event_details_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append only';
END
$$;
CREATE TRIGGER event_details_refuse_update BEFORE UPDATE ON event_details
FOR EACH ROW EXECUTE FUNCTION event_details_refuse_change();
CREATE FUNCTION event_chain_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM event_chain_root WHERE seq >= OLD.seq) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the chain is append only';
END
$$;
CREATE TRIGGER event_chain_refuse_update BEFORE UPDATE OR DELETE ON event_chain
FOR EACH ROW EXECUTE FUNCTION event_chain_refuse_change();
CREATE TRIGGER event_chain_refuse_truncate BEFORE TRUNCATE ON event_chain
FOR EACH STATEMENT EXECUTE FUNCTION event_chain_refuse_change();
CREATE FUNCTION event_chain_root_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.seq >= OLD.seq AND NEW.removed_before >= OLD.removed_before THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the root of the chain moves on only';
END
$$;
CREATE TRIGGER event_chain_root_refuse_update BEFORE UPDATE OR DELETE ON event_chain_root
FOR EACH ROW EXECUTE FUNCTION event_chain_root_refuse_change();
CREATE TRIGGER event_chain_root_refuse_truncate BEFORE TRUNCATE ON event_chain_root
FOR EACH STATEMENT EXECUTE FUNCTION event_chain_root_refuse_change();

-- SES-22.
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sessions_ended_at_idx ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_absolute_expires_at_idx ON sessions (absolute_expires_at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (3, '0.1.0');
