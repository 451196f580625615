//! `users create --invite`: an account without a password, again a mail, and where it cannot be.

use serde_json::json;

use super::House;

#[test]
fn somebody_is_invited_again_and_again_within_the_limits_of_the_mailbox() {
    let house = House::new();
    let invite = ["users", "create", "Bob@example.org", "--invite", "--json"];
    let first = house.run(&[&invite[..], &["--username", "bob", "--admin"]].concat()).is(0);
    let shown = first.json().remove(0);
    assert_eq!((&shown["status"], &shown["username"]), (&json!("unverified"), &json!("bob")));
    assert_eq!(shown["roles"], json!(["admin"]));
    assert_eq!(first.err, "");
    let again = house.run(&invite).is(0);
    assert_eq!((again.json()[0]["id"].clone(), again.err.as_str()), (shown["id"].clone(), ""));
    // BRU-10: the third mail within a minute is not sent, and the operator is told.
    let third = house.run(&invite);
    assert_eq!(third.code, 0);
    assert!(third.err.contains("no mail") && third.json()[0]["id"] == shown["id"], "{third:?}");
    // An unverified account is found by its address, and by its id; it has no name yet.
    assert_eq!(house.run(&["users", "show", "bob@example.org"]).is(0).err, "");
    house.run(&["users", "show", "bob"]).is(3);
}

#[test]
fn where_nobody_could_take_it_nobody_is_invited() {
    let house = House::new();
    let invite = ["users", "create", "bob@example.org", "--invite"];
    let closed = house.run_in(&[("PORTCULLIS__SIGNUP__MODE", "closed")], &invite).is(4);
    assert!(closed.err.contains("closed"), "{closed:?}");
    house.create(&["bob@example.org"]).is(0);
    assert!(house.run(&invite).is(4).err.contains("taken"));
    house.run(&[&invite[..], &["--password-stdin"]].concat()).is(2);
    house.run(&[&invite[..], &["--unverified"]].concat()).is(2);
    let odd = ["users", "create", "x", "--invite", "--profile", r#"{"phone": "none"}"#];
    let refused = house.run(&odd).is(65);
    assert!(
        refused.err.contains("/email") && refused.err.contains("/profile/phone"),
        "{refused:?}"
    );
}
