//! `portcullis audit`: the trail for people and programs, verified where nobody serves.

use portcullis::crypto::chain;
use portcullis::domain::trail::{details_spelled, hex};
use serde_json::Value;

use super::House;

fn texts<'a>(lines: &'a [Value], pointer: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line.pointer(pointer).unwrap().as_str().unwrap()).collect()
}

/// A house with two accounts and three events.
fn house() -> (House, String) {
    let house = House::new();
    let ann = house.create(&["ann@example.org", "--username", "ann", "--json"]).is(0).json();
    house.create(&["bob@example.org", "--admin"]).is(0);
    let id = ann[0]["id"].as_str().unwrap().to_owned();
    (house, id)
}

#[test]
fn the_trail_is_listed_newest_first_by_what_is_asked() {
    let (house, ann) = house();
    let all = house.run(&["audit", "list", "--json"]).is(0).json();
    assert_eq!(texts(&all, "/action"), ["role.granted", "user.created", "user.created"]);
    assert_eq!(texts(&all, "/actor/kind"), ["cli"; 3]);
    assert_eq!(all[2]["subject"]["id"], ann.as_str());
    assert_eq!(
        (&all[0]["seq"], &all[0]["hash"]),
        (&Value::Null, &Value::Null),
        "nobody closed it yet"
    );
    for user in ["ann", "ANN@example.org", &ann] {
        let hers = house.run(&["audit", "list", "--user", user, "--json"]).is(0).json();
        assert_eq!(texts(&hers, "/id"), [all[2]["id"].as_str().unwrap()]);
    }
    let nobody = uuid::Uuid::max().to_string();
    assert!(house.run(&["audit", "list", "--user", &nobody, "--json"]).is(0).out.is_empty());
    house.run(&["audit", "list", "--user", "nobody"]).is(3);
    let created = house.run(&["audit", "list", "--action", "user.created", "--json"]).is(0).json();
    assert_eq!(created.len(), 2);
    let at = all[1]["at"].as_str().unwrap();
    let since = house.run(&["audit", "list", "--since", at, "--json"]).is(0).json();
    assert_eq!(since.len(), 2);
    let until = house.run(&["audit", "list", "--until", at, "--json"]).is(0).json();
    assert_eq!(texts(&until, "/subject/id"), [ann.as_str()]);
    house.run(&["audit", "list", "--since", "yesterday"]).is(2);

    let table = house.run(&["audit", "list"]).is(0).out;
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "AT", "ACTION", "ACTOR", "SUBJECT", "ADDRESS", "REQUEST", "DATA"]);
    assert_eq!(
        (lines.len(), lines[3][2], lines[3][4]),
        (4, "user.created", &*format!("user:{ann}"))
    );
    let page = house.run(&["audit", "list", "--limit", "2"]);
    let last = lines[2][0];
    assert_eq!((page.code, page.err), (0, format!("more: --after {last}\n")));
    let rest = house.run(&["audit", "list", "--after", last, "--json"]).is(0).json();
    assert_eq!(texts(&rest, "/id"), [lines[3][0]]);
}

#[tokio::test]
async fn log_11_what_was_altered_is_named_and_the_exit_code_says_so() {
    let (house, _ann) = house();
    let told = house.run(&["audit", "verify", "--json"]).is(0).json();
    assert_eq!(
        (&told[0]["ok"], &told[0]["entries"], &told[0]["wrong"]),
        (&true.into(), &3.into(), &0.into())
    );
    let head = told[0]["head"].as_str().unwrap();
    assert!(head.starts_with("3:") && head.len() == 66, "{head}");
    let text = house.run(&["audit", "verify", "--head", head]).is(0).out;
    assert!(text.contains(&format!("head            {head}\n")), "{text}");
    assert!(text.contains("wrong           0\n"), "{text}");
    house.run(&["audit", "verify", "--head", "3"]).is(2);
    house.run(&["audit", "verify", "--head", "3:00"]).is(2);

    let other = format!("3:{}", "00".repeat(32));
    let refused = house.run(&["audit", "verify", "--head", &other]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("seq 3, ") && refused.err.contains("noted"), "{refused:?}");

    let mut database = house.database().await;
    sqlx::raw_sql("DROP TRIGGER events_refuse_update; UPDATE events SET actor_id = 'eve' WHERE action = 'role.granted'")
        .execute(&mut database)
        .await
        .unwrap();
    let events = house.run(&["audit", "list", "--action", "role.granted", "--json"]).is(0).json();
    let event = events[0]["id"].as_str().unwrap();
    let refused = house.run(&["audit", "verify"]);
    assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{refused:?}");
    assert!(refused.err.contains(event) && refused.err.contains("altered"), "{refused:?}");
    assert!(refused.out.contains("wrong           1\n"), "{refused:?}");
    let told = house.run(&["audit", "verify", "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["ok"], &told["findings"][0]["event_id"]), (&false.into(), &event.into()));
}

#[tokio::test]
async fn log_11_the_chain_is_exported_oldest_first_and_others_can_follow_it() {
    let (house, ann) = house();
    assert!(house.run(&["audit", "export"]).is(0).out.is_empty(), "nobody closed it yet");
    let told = house.run(&["audit", "verify", "--json"]).is(0).json();
    let lines = house.run(&["audit", "export"]).is(0).json();
    assert_eq!(
        lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let mut before = "00".repeat(32);
    for line in &lines {
        assert_eq!(line["prev_hash"], before.as_str());
        before = line["hash"].as_str().unwrap().to_owned();
        // The details belong to their event: that needs no key but the one beside them.
        let details = &line["details"];
        let key = details["hash_key"].as_str().unwrap();
        let key: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
            .collect();
        let spelled =
            details_spelled(details["address"].as_str(), details["data"].as_object().unwrap());
        assert_eq!(line["details_hash"], hex(&chain::details(&key, &spelled)));
    }
    assert_eq!(told[0]["head"], format!("3:{before}"));

    let numbers = |arguments: &[&str]| {
        let lines = house.run(&[&["audit", "export"], arguments].concat()).is(0).json();
        lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["--after", "1"]), [2, 3]);
    assert_eq!(numbers(&["--limit", "2"]), [1, 2]);
    assert_eq!(numbers(&["--user", "ann"]), [1]);
    assert_eq!(numbers(&["--user", &ann, "--after", "1"]), [0; 0]);
    assert_eq!(numbers(&["--action", "role.granted"]), [3]);
    let at = lines[1]["at"].as_str().unwrap();
    assert_eq!(numbers(&["--since", at]), [2, 3]);
    assert_eq!(numbers(&["--until", at]), [1]);

    let erase = "DELETE FROM event_details WHERE event_id = (SELECT event_id FROM event_chain WHERE seq = 1)";
    sqlx::raw_sql(erase).execute(&mut house.database().await).await.unwrap();
    let lines = house.run(&["audit", "export", "--limit", "1"]).is(0).json();
    assert_eq!((&lines[0]["details"], &lines[0]["hash"].is_string()), (&Value::Null, &true));
    assert!(house.run(&["audit", "verify"]).is(0).out.contains("details erased  1\n"));
}
