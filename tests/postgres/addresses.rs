//! `TruncateIp`: the network part of an address stays; what is not an address stays byte for byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use privacy_operator::contract::RunResult;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::trial;

/// Masks the column of this type that holds these values; returns what it holds then. A second run changes nothing.
async fn truncated(kind: &str, values: &[&str], prefixes: Value) -> Vec<String> {
    let trial = trial(&format!("CREATE TABLE t (id serial PRIMARY KEY, ip {kind})")).await;
    let admin = trial.database.admin().await;
    let sql = format!("INSERT INTO t (ip) SELECT v::{kind} FROM unnest($1::text[]) WITH ORDINALITY u(v, n) ORDER BY n");
    admin.execute(&sql, &[&values]).await.unwrap();
    let mut mask = json!({"column": "ip", "strategy": "TruncateIp"});
    mask.as_object_mut()
        .unwrap()
        .extend(prefixes.as_object().unwrap().clone());
    let trial = trial.rules(&[json!({"grounds": [], "action": {"mask": [mask]}})]);
    let report = trial.run().await;
    assert_eq!(
        (&report.problem, &report.rules[0].problem),
        (&None, &None),
        "{report:?}"
    );
    let after = trial.texts("SELECT ip::text FROM t ORDER BY id").await;
    let again = trial.run().await;
    assert_eq!(
        (again.result, again.rules[0].affected),
        (RunResult::NothingDue, 0),
        "{after:?}"
    );
    let changed = values
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .count();
    if kind == "text" {
        assert_eq!(usize::try_from(report.rules[0].affected).unwrap(), changed);
    }
    after
}

#[tokio::test]
async fn addresses_lose_their_host_part() {
    let given = [
        "198.51.100.77",
        "2001:db8:1:2:3:4:5:6",
        "::1",
        "0.0.0.0",
        "255.255.255.255",
    ];
    let expected = ["198.51.100.0", "2001:db8:1::", "::", "0.0.0.0", "255.255.255.0"];
    assert_eq!(truncated("text", &given, json!({})).await, expected);
    assert_eq!(truncated("varchar", &given, json!({})).await, expected);
    let expected = [
        "198.51.100.0/32",
        "2001:db8:1::/128",
        "::/128",
        "0.0.0.0/32",
        "255.255.255.0/32",
    ];
    assert_eq!(truncated("inet", &given, json!({})).await, expected);
}

#[tokio::test]
async fn an_ipv4_address_mapped_into_ipv6_counts_as_ipv4() {
    let given = ["::ffff:198.51.100.77", "::FFFF:c633:644d", "::ffff:0:0"];
    let expected = ["::ffff:198.51.100.0", "::ffff:198.51.100.0", "::ffff:0.0.0.0"];
    let text = truncated("text", &given, json!({})).await;
    let same: Vec<IpAddr> = text.iter().map(|text| text.parse().unwrap()).collect();
    let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(same, expected);
    let inet = truncated("inet", &given, json!({})).await;
    let same: Vec<IpAddr> = inet
        .iter()
        .map(|text| text.trim_end_matches("/128").parse().unwrap())
        .collect();
    assert_eq!(same, expected);
}

#[tokio::test]
async fn a_mask_length_of_inet_stays_and_a_network_of_cidr_is_widened() {
    let given = ["198.51.100.77/25", "198.51.100.77/8", "2001:db8:1:2::7/64"];
    let inet = truncated("inet", &given, json!({})).await;
    for (text, network) in inet.iter().zip(["198.51.100.0", "198.51.100.0", "2001:db8:1::"]) {
        assert_eq!(text.split('/').next().unwrap(), network, "{inet:?}");
    }
    let cidr = truncated(
        "cidr",
        &["198.51.100.64/26", "198.0.0.0/8", "2001:db8:1:2::/64"],
        json!({}),
    )
    .await;
    for (text, network) in cidr.iter().zip(["198.51.100.0", "198.0.0.0", "2001:db8:1::"]) {
        assert_eq!(text.split('/').next().unwrap(), network, "{cidr:?}");
    }
}

#[tokio::test]
async fn the_policy_says_how_many_bits_stay() {
    let given = ["198.51.100.77", "2001:db8:1:2:3:4:5:6", "::ffff:198.51.100.77"];
    let prefixes = json!({"ipv4Prefix": 16, "ipv6Prefix": 56});
    let text = truncated("text", &given, prefixes).await;
    let found: Vec<IpAddr> = text.iter().map(|text| text.parse().unwrap()).collect();
    let expected = ["198.51.0.0", "2001:db8:1::", "::ffff:198.51.0.0"].map(|text| text.parse::<IpAddr>().unwrap());
    assert_eq!(found, expected);
    for (prefixes, expected) in [
        (
            json!({"ipv4Prefix": 0, "ipv6Prefix": 0}),
            ["0.0.0.0", "::", "::ffff:0.0.0.0"],
        ),
        (json!({"ipv4Prefix": 32, "ipv6Prefix": 128}), given),
    ] {
        assert_eq!(truncated("text", &given, prefixes).await, expected);
    }
}

#[tokio::test]
async fn text_that_is_not_an_address_stays_byte_for_byte() {
    let given = [
        "",
        " ",
        "192.0.2.7:8080",
        "[2001:db8::7]:443",
        "192.0.2.7, 198.51.100.8",
        "192.0.2.256",
        "192.0.2",
        "1.2.3.4.5",
        "a94a8fe5ccb19ba6",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "hmac:2:::",
        ":::",
        "::1::",
        "1::2::3",
        "fe80::1%eth0",
        "12345::",
        "unknown",
        "192.0.2.7\n",
        " 192.0.2.7",
        "192.0.2.7 ",
        "+1.2.3.4",
        "0x7f.1.1.1",
        "١٩٢.0.2.7",
        "1.2.3.-4",
        "::ffff:1.2.3",
        "::1.2.3.4.5",
        "'; DROP TABLE t; --",
        "NULL",
        "é",
        "1:2:3:4:5:6:7:8:9",
    ];
    assert_eq!(truncated("text", &given, json!({})).await, given);
}

#[tokio::test]
async fn null_stays_null() {
    let trial = trial("CREATE TABLE t (id int PRIMARY KEY, ip inet); INSERT INTO t VALUES (1, NULL)")
        .await
        .rules(&[json!({"grounds": [], "action": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}})]);
    assert_eq!(trial.run().await.result, RunResult::NothingDue);
}

/// An address by the standard library, its host part cleared.
fn by_the_standard_library(text: &str) -> Option<IpAddr> {
    let v4 = |address: Ipv4Addr| Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00);
    Some(match text.parse().ok()? {
        IpAddr::V4(address) => IpAddr::V4(v4(address)),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V6(v4(mapped).to_ipv6_mapped()),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48))),
        },
    })
}

fn spellings() -> impl Strategy<Value = String> {
    let octet = prop_oneof![6 => (0_u32..256).prop_map(|n| n.to_string()), 1 => "[0-9]{1,4}"];
    let dotted = proptest::collection::vec(octet, 4).prop_map(|octets| octets.join("."));
    let group =
        prop_oneof![8 => "[0-9a-fA-F]{1,4}", 3 => Just("0".to_owned()), 2 => Just(String::new()), 1 => "[0-9a-g]{1,5}"];
    prop_oneof![
        2 => dotted.clone(),
        2 => any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).to_string()),
        2 => any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().to_string()),
        2 => (any::<u128>(), 0_u32..128).prop_map(|(bits, shift)| Ipv6Addr::from_bits(bits >> shift).to_string().to_uppercase()),
        4 => proptest::collection::vec(group.clone(), 8).prop_map(|groups| groups.join(":")),
        3 => proptest::collection::vec(group.clone(), 2..10).prop_map(|groups| groups.join(":")),
        2 => (proptest::collection::vec(group, 0..7), dotted.clone()).prop_map(|(groups, v4)| format!("{}:{v4}", groups.join(":"))),
        1 => dotted.prop_map(|v4| format!("::ffff:{v4}")),
        2 => "[0-9a-f:./%\\[\\] ]{0,20}",
        1 => "(::|:|[0-9a-f]{1,4}:){0,9}[0-9a-f]{0,4}(/[0-9]{1,3})?",
    ]
}

#[tokio::test]
async fn every_spelling_is_an_address_exactly_where_the_standard_library_says_so() {
    let cases = Config::default().cases as usize * 16;
    let mut runner = TestRunner::deterministic();
    let strategy = spellings();
    let given: Vec<String> = (0..cases)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let found = truncated("text", &given, json!({})).await;
    let mut addresses = 0;
    for (before, after) in given.iter().zip(&found) {
        match by_the_standard_library(before) {
            Some(expected) => {
                addresses += 1;
                assert_eq!(after.parse().ok(), Some(expected), "{before:?} became {after:?}");
            }
            None => assert_eq!(before, after, "not an address"),
        }
    }
    println!("{addresses} addresses among {cases} spellings");
    assert!(addresses > cases / 4 && addresses < cases, "{addresses}");
}
