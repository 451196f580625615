//! The signing keys in memory: the table `signing_keys` as it was read last, shared by all requests.
//!
//! Each published key is unsealed and parsed once, when a view that has it is loaded first. Which key
//! signs follows from its times at the moment of the call, so a rotation needs no event. Reading the
//! table again, and making the keys that are missing, is left to the callers.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::Fault;
use crate::crypto::keys::PrivateKey;
use crate::crypto::seal::{Place, Sealer};
use crate::domain::keys::{KeyState, PublicJwk, StoredKey};
use crate::domain::time::Timestamp;

/// Where the private key of the row `kid` is sealed.
pub fn private_key_place(kid: &str) -> Place<'_> {
    Place::new("signing_keys.private_key", kid.as_bytes())
}

/// The keys of this instance. Clones share one view.
#[derive(Clone, Default)]
pub struct Keyring(Arc<RwLock<Arc<[Entry]>>>);

struct Entry {
    row: StoredKey,
    private: Arc<PrivateKey>,
}

impl Keyring {
    /// A ring without keys: `signing` is none until a table is loaded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the view by `rows`; after a fault the view before it stays.
    ///
    /// A row that does not open, or whose key is not the one that `kid` names, is a fault of the
    /// whole: going on with a part of the keys would hide it.
    pub fn load(&self, rows: Vec<StoredKey>, sealer: &Sealer, now: Timestamp) -> Result<(), Fault> {
        let before = self.view();
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter(|row| is_published(row, now)) {
            // SECURITY: T-13. A key that only retires is opened too: whoever can write rows but does
            // not have the master key cannot make the service publish a public key of theirs.
            let private = match before.private(&row.kid) {
                Some(known) => known,
                None => Arc::new(unseal(&row, sealer)?),
            };
            if private.kid() != row.kid || *private.public_jwk() != row.public_jwk {
                let kid = row.kid;
                return Err(Fault::internal(format!("signing key {kid}: parts of two keys")));
            }
            entries.push(Entry { row, private });
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries.into();
        Ok(())
    }

    /// The key that signs at `now`.
    pub fn signing(&self, now: Timestamp) -> Option<Arc<PrivateKey>> {
        let view = self.view();
        let entry = view
            .entries()
            .filter(|entry| entry.row.state(now) == KeyState::Signing)
            .max_by_key(|entry| (entry.row.signs_at, entry.row.announced_at, &entry.row.kid))?;
        Some(Arc::clone(&entry.private))
    }

    /// The published keys at `now`: announced, signing, retiring; the newest first in each.
    pub fn public(&self, now: Timestamp) -> Vec<PublicJwk> {
        let view = self.view();
        let mut rows: Vec<&StoredKey> =
            view.entries().map(|entry| &entry.row).filter(|row| is_published(row, now)).collect();
        rows.sort_by_key(|row| {
            let newest = (row.signs_at, row.announced_at);
            (row.state(now), std::cmp::Reverse(newest), row.kid.clone())
        });
        rows.into_iter().map(|row| row.public_jwk.clone()).collect()
    }

    /// Tells whether the set lacks a key that signs, or a successor that waits to be chosen.
    pub fn needs_care(&self, now: Timestamp) -> bool {
        let view = self.view();
        let waits = |entry: &Entry| {
            entry.row.state(now) == KeyState::Announced && entry.row.signs_at.is_none()
        };
        let signs = |entry: &Entry| entry.row.state(now) == KeyState::Signing;
        !view.entries().any(waits) || !view.entries().any(signs)
    }

    fn view(&self) -> View {
        View(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view();
        f.debug_set().entries(view.entries().map(|entry| &entry.row.kid)).finish()
    }
}

/// One moment's keys: stays whole while another view replaces it.
struct View(Arc<[Entry]>);

impl View {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    fn private(&self, kid: &str) -> Option<Arc<PrivateKey>> {
        self.entries().find(|entry| entry.row.kid == kid).map(|entry| Arc::clone(&entry.private))
    }
}

fn is_published(row: &StoredKey, now: Timestamp) -> bool {
    match row.state(now) {
        KeyState::Announced | KeyState::Signing | KeyState::Retiring => true,
        KeyState::Gone | KeyState::Revoked => false,
    }
}

fn unseal(row: &StoredKey, sealer: &Sealer) -> Result<PrivateKey, Fault> {
    let document = sealer.open(private_key_place(&row.kid), &row.private_key)?;
    PrivateKey::from_pkcs8(row.algorithm, &document)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::random::Random;
    use crate::crypto::seal::MasterKey;
    use crate::domain::keys::SigningAlgorithm;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn sealer(seed: u64) -> Sealer {
        let random = Random::seeded(seed);
        Sealer::new(&MasterKey::generate(&random), &[], random).unwrap()
    }

    fn row(change: impl FnOnce(&mut StoredKey)) -> StoredKey {
        let key = PrivateKey::generate(SigningAlgorithm::EdDsa).unwrap();
        let mut row = StoredKey {
            kid: key.kid().into(),
            algorithm: key.algorithm(),
            private_key: sealer(1)
                .seal(private_key_place(key.kid()), &key.to_pkcs8().unwrap())
                .unwrap(),
            public_jwk: key.public_jwk().clone(),
            announced_at: NOW.minus(HOUR),
            signs_at: None,
            retires_at: None,
            gone_at: None,
            revoked_at: None,
        };
        change(&mut row);
        row
    }

    fn loaded(rows: &[StoredKey]) -> Keyring {
        let ring = Keyring::new();
        ring.load(rows.to_vec(), &sealer(1), NOW).unwrap();
        ring
    }

    fn signing_kid(ring: &Keyring, now: Timestamp) -> Option<String> {
        ring.signing(now).map(|key| key.kid().to_owned())
    }

    #[test]
    fn a_rotation_happens_when_its_time_comes() {
        let old = row(|key| {
            key.signs_at = Some(NOW.minus(HOUR));
            key.retires_at = Some(NOW.plus(HOUR));
            key.gone_at = Some(NOW.plus(HOUR * 2));
        });
        let next = row(|key| key.signs_at = Some(NOW.plus(HOUR)));
        let waiting = row(|_| {});
        let ring = loaded(&[old.clone(), next.clone(), waiting.clone()]);
        let published =
            |now| ring.public(now).into_iter().map(|jwk| jwk.kid().to_owned()).collect::<Vec<_>>();

        let before = NOW.plus(HOUR).minus(Duration::from_micros(1));
        assert_eq!(signing_kid(&ring, before), Some(old.kid.clone()));
        assert_eq!(published(before), [&next.kid, &waiting.kid, &old.kid].map(Clone::clone));
        assert_eq!(signing_kid(&ring, NOW.plus(HOUR)), Some(next.kid.clone()));
        assert_eq!(
            published(NOW.plus(HOUR)),
            [&waiting.kid, &next.kid, &old.kid].map(Clone::clone)
        );
        assert_eq!(published(NOW.plus(HOUR * 2)), [&waiting.kid, &next.kid].map(Clone::clone));
        assert!(!ring.needs_care(NOW) && !ring.needs_care(NOW.plus(HOUR * 2)));
    }

    #[test]
    fn of_two_that_sign_the_newest_does_and_a_revoked_one_never() {
        let older = row(|key| key.signs_at = Some(NOW.minus(HOUR)));
        let newer = row(|key| key.signs_at = Some(NOW));
        let revoked = row(|key| {
            key.signs_at = Some(NOW);
            key.revoked_at = Some(NOW);
        });
        let ring = loaded(&[newer.clone(), revoked.clone(), older.clone()]);
        assert_eq!(signing_kid(&ring, NOW), Some(newer.kid.clone()));
        let published: Vec<String> =
            ring.public(NOW).into_iter().map(|jwk| jwk.kid().to_owned()).collect();
        assert_eq!(published, [newer.kid, older.kid]);
        assert!(ring.needs_care(NOW), "no successor");
    }

    #[test]
    fn an_empty_ring_and_one_whose_successor_has_its_time_need_care() {
        assert!(Keyring::new().needs_care(NOW));
        assert!(Keyring::new().signing(NOW).is_none());
        let signing = row(|key| key.signs_at = Some(NOW));
        let chosen = row(|key| key.signs_at = Some(NOW.plus(HOUR)));
        assert!(loaded(&[signing.clone(), chosen]).needs_care(NOW));
        assert!(loaded(&[row(|_| {})]).needs_care(NOW));
        assert!(!loaded(&[signing, row(|_| {})]).needs_care(NOW));
    }

    #[test]
    fn cfg_13_swapped_private_keys_and_a_wrong_master_key_are_refused_and_the_old_view_stays() {
        let (mut ann, mut bob) = (row(|key| key.signs_at = Some(NOW)), row(|_| {}));
        let ring = loaded(&[ann.clone(), bob.clone()]);
        assert!(Keyring::new().load(vec![ann.clone()], &sealer(2), NOW).is_err());

        std::mem::swap(&mut ann.private_key, &mut bob.private_key);
        assert!(Keyring::new().load(vec![ann.clone(), bob], &sealer(1), NOW).is_err());

        assert!(ring.load(vec![row(|key| key.private_key = vec![1])], &sealer(1), NOW).is_err());
        assert_eq!(signing_kid(&ring, NOW), Some(ann.kid));
    }

    #[test]
    fn cfg_13_who_can_only_write_rows_publishes_no_key_of_theirs() {
        let ours = row(|key| key.signs_at = Some(NOW));
        let ring = loaded(std::slice::from_ref(&ours));
        // Their public key over a kid that is known already, and over one that is not.
        let theirs = row(|_| {});
        let forged = StoredKey { public_jwk: theirs.public_jwk.clone(), ..ours };
        assert!(ring.load(vec![forged.clone()], &sealer(1), NOW).is_err());
        assert!(loaded(&[]).load(vec![forged], &sealer(1), NOW).is_err());
        // A whole key of theirs, as one that only retires, sealed under a master key of theirs.
        let mut alien = StoredKey { retires_at: Some(NOW), ..theirs };
        let document = PrivateKey::generate(SigningAlgorithm::EdDsa).unwrap().to_pkcs8().unwrap();
        alien.private_key = sealer(2).seal(private_key_place(&alien.kid), &document).unwrap();
        assert!(ring.load(vec![alien], &sealer(1), NOW).is_err());
    }

    #[test]
    fn private_keys_are_opened_once_and_only_those_that_are_published() {
        let signing = row(|key| key.signs_at = Some(NOW));
        let unreadable = b"not opened".to_vec();
        let gone = row(|key| (key.gone_at, key.private_key) = (Some(NOW), unreadable.clone()));
        let revoked = row(|key| (key.revoked_at, key.private_key) = (Some(NOW), unreadable));
        let ring = loaded(&[signing.clone(), gone, revoked]);
        assert_eq!(format!("{ring:?}"), format!("{{{:?}}}", signing.kid));
        let first = ring.signing(NOW).unwrap();
        ring.load(vec![signing], &sealer(1), NOW).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.signing(NOW).unwrap()));
    }
}
