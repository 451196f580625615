//! What a thief of the database can do with sealed cells: nothing, and not even swap two of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const COLUMN: &str = "signing_keys.private_key";

fn master(seed: u64) -> MasterKey {
    MasterKey::generate(&Random::seeded(seed))
}

fn sealer(seed: u64) -> Sealer {
    Sealer::new(&master(seed), &[], Random::system()).unwrap()
}

#[test]
fn a_sealed_value_comes_back_at_its_place() {
    let vault = sealer(1);
    let place = Place::new(COLUMN, b"row");
    for plain in [&b""[..], b"x", &[0xa5; 5000]] {
        let sealed = vault.seal(place, plain).unwrap();
        assert_eq!(sealed.len(), plain.len() + 37);
        assert_eq!(&vault.open(place, &sealed).unwrap()[..], plain);
        assert_ne!(vault.seal(place, plain).unwrap(), sealed, "a nonce is never used twice");
    }
    let sealed = vault.seal(place, b"a canary in clear").unwrap();
    assert!(!sealed.windows(6).any(|part| part == b"canary"));
}

#[test]
fn cfg_13_two_swapped_cells_are_refused() {
    let vault = sealer(1);
    let (ann, bob) = (Place::new(COLUMN, b"ann"), Place::new(COLUMN, b"bob"));
    let (of_ann, of_bob) = (vault.seal(ann, b"1").unwrap(), vault.seal(bob, b"2").unwrap());
    assert!(vault.open(ann, &of_bob).is_err());
    assert!(vault.open(bob, &of_ann).is_err());
    assert!(vault.open(Place::new("refresh_tokens.successor", b"ann"), &of_ann).is_err());
    // Column and row do not run into each other.
    assert!(vault.open(Place::new("signing_keys.private_key", b""), &of_ann).is_err());
    let glued = vault.seal(Place::new("a.b", b"cd"), b"1").unwrap();
    assert!(vault.open(Place::new("a.bc", b"d"), &glued).is_err());
}

#[test]
fn cfg_13_every_changed_byte_and_every_cut_is_refused() {
    let vault = sealer(1);
    let place = Place::new(COLUMN, b"row");
    let sealed = vault.seal(place, b"secret").unwrap();
    for at in 0..sealed.len() {
        let mut forged = sealed.clone();
        forged[at] ^= 1;
        assert!(vault.open(place, &forged).is_err(), "byte {at}");
        assert!(vault.open(place, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(vault.open(place, &[&sealed[..], b"0"].concat()).is_err());
}

#[test]
fn cfg_13_a_wrong_master_key_is_refused_and_noticed() {
    let place = Place::new(COLUMN, b"row");
    let sealed = sealer(1).seal(place, b"secret").unwrap();
    let fault = sealer(2).open(place, &sealed).unwrap_err();
    assert_eq!(fault.to_string(), "signing_keys.private_key: sealed under an unknown master key");
    assert_ne!(sealer(1).fingerprint(), sealer(2).fingerprint());
    assert_eq!(sealer(1).fingerprint(), sealer(1).fingerprint());
    assert_eq!(sealer(1).fingerprint().len(), 32);
    assert!(!sealer(2).knows(&sealer(1).fingerprint()));
}

#[test]
fn a_previous_master_key_still_opens_and_no_longer_seals() {
    let place = Place::new(COLUMN, b"row");
    let old = sealer(1).seal(place, b"secret").unwrap();
    let rotated = Sealer::new(&master(2), &[master(1)], Random::system()).unwrap();
    assert_eq!(&rotated.open(place, &old).unwrap()[..], b"secret");
    assert!(rotated.knows(&sealer(1).fingerprint()) && rotated.knows(&sealer(2).fingerprint()));
    let new = rotated.seal(place, b"secret").unwrap();
    assert!(sealer(1).open(place, &new).is_err());
    assert_eq!(&sealer(2).open(place, &new).unwrap()[..], b"secret");
}

#[test]
fn keyed_hashes_differ_by_purpose_data_and_master_key() {
    let hash = |seed, purpose, data: &[u8]| sealer(seed).keyed_hash(purpose, data);
    let first = hash(1, "cursor", b"data");
    assert_eq!(first, hash(1, "cursor", b"data"));
    assert_ne!(first, hash(1, "dedupe", b"data"));
    assert_ne!(first, hash(1, "cursor", b"Data"));
    assert_ne!(first, hash(2, "cursor", b"data"));
}

#[test]
fn cfg_01_empty_short_and_example_master_keys_are_refused() {
    let refused = |text: &str| MasterKey::from_base64(text).unwrap_err();
    assert_eq!(refused(""), MasterKeyError::Empty);
    assert_eq!(refused(" \n"), MasterKeyError::Empty);
    assert_eq!(refused("change me!"), MasterKeyError::NotBase64);
    assert_eq!(refused(&STANDARD.encode([7; 16])), MasterKeyError::Length(16));
    assert_eq!(refused(&STANDARD.encode([7; 33])), MasterKeyError::Length(33));
    assert_eq!(refused(&STANDARD.encode([0; 32])), MasterKeyError::Example);
    assert_eq!(
        refused(&STANDARD.encode(b"abcdabcdabcdabcdabcdabcdabcdabcd")),
        MasterKeyError::Example
    );
    let counted: Vec<u8> = (0..32).collect();
    assert_eq!(refused(&STANDARD.encode(counted)), MasterKeyError::Example);
}

#[test]
fn a_master_key_survives_its_file_and_is_not_shown() {
    let key = master(1);
    let text = key.to_base64();
    let file = format!("{}\n", *text);
    assert_eq!(MasterKey::from_base64(&file).unwrap().bytes(), key.bytes());
    assert_eq!(MasterKey::from_base64(text.trim_end_matches('=')).unwrap().bytes(), key.bytes());
    assert_eq!(format!("{key:?} {:?}", sealer(1)), "*** Sealer(***)");
}
