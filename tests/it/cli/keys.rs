//! `portcullis keys`: what an operator does to signing keys, and what is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::crypto::keys::PrivateKey;
use portcullis::domain::keys::SigningAlgorithm;
use serde_json::Value;

use super::House;

fn pem(key: &PrivateKey) -> String {
    let body = STANDARD.encode(key.to_pkcs8().unwrap().as_slice());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn states(keys: &[Value]) -> Vec<&str> {
    keys.iter().map(|key| key["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn keys_are_made_rotated_imported_and_revoked() {
    let house = House::new();
    assert_eq!(house.run(&["keys", "list", "--json"]).is(0).out, "");
    let rotated = house.run(&["keys", "rotate", "--json"]).is(0).json();
    assert_eq!(rotated.len(), 3, "one signs, one was called, one is announced: {rotated:?}");
    let names: Vec<_> = rotated[0].as_object().unwrap().keys().map(String::as_str).collect();
    let contract = [
        "algorithm",
        "announced_at",
        "gone_at",
        "kid",
        "retires_at",
        "revoked_at",
        "signs_at",
        "state",
    ];
    assert_eq!(names, contract);
    house.run(&["keys", "rotate"]).is(4);

    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    let called =
        rotated.iter().find(|key| key["state"] == "announced" && !key["signs_at"].is_null());
    let revoked = kid(called.unwrap());
    house.run(&["keys", "revoke", &revoked, "--yes"]).is(0);
    house.run(&["keys", "revoke", &revoked, "--yes"]).is(4);
    house.run(&["keys", "revoke", "-unknown", "--yes"]).is(3);
    let table = house.run(&["keys", "list"]).is(0).out;
    assert!(table.starts_with("KID "), "{table}");
    assert!(table.lines().any(|line| line.starts_with(&revoked) && line.contains(" revoked ")));

    let key = PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
    let file = house.write("key.pem", &pem(&key));
    let imported = house.run(&["keys", "import", &file, "--sign-now", "--json"]).is(0).json();
    let signing: Vec<_> =
        imported.iter().filter(|key| key["state"] == "signing").map(kid).collect();
    assert_eq!(signing, [key.kid()], "{:?}", states(&imported));
    house.run(&["keys", "import", &file]).is(4);

    let actors: Vec<String> = sqlx::query_scalar("SELECT DISTINCT actor_kind FROM events")
        .fetch_all(&mut house.database().await)
        .await
        .unwrap();
    assert_eq!(actors, ["cli"]);
}

#[test]
fn a_key_that_cannot_sign_here_is_bad_data() {
    let house = House::new();
    let other = PrivateKey::generate(SigningAlgorithm::EdDsa).unwrap();
    let refused = house.run_with(&["keys", "import", "-"], pem(&other).as_bytes()).is(65);
    assert_eq!(refused.err, "stdin is a key for EdDSA, and token.algorithm is ES256\n");
    for text in
        [&b""[..], b"hidden-word", b"\xff", &vec![b'a'; 20_000], b"{\"kty\":\"oct\",\"k\":\"AA\"}"]
    {
        let refused = house.run_with(&["keys", "import", "-"], text).is(65);
        assert!(!refused.err.contains("hidden-word"), "{refused:?}");
    }
    house.run(&["keys", "import", "missing.pem"]).is(1);
    assert_eq!(house.run(&["keys", "list", "--json"]).is(0).out, "", "nothing was made");

    let eddsa = [("PORTCULLIS__TOKEN__ALGORITHM", "EdDSA")];
    let file = house.write("key.pem", &pem(&other));
    house.run_in(&eddsa, &["keys", "import", &file]).is(0);
}
