//! A catalogue on paper becomes YAML that our own types read, whatever its names are.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::catalogue::{Catalogue, Column, ForeignKey, Kind, OnDelete, Origin, Table, Transport, Trigger, Unsupported};
use super::{DiscoverError, document};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::domain::identifier::TableName;
use crate::grants::{Manifests, grants};

fn column(name: &str, type_name: &str, kind: Kind) -> Column {
    Column {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        kind,
        indexed: name == "created_at",
    }
}

fn table(schema: &str, name: &str, columns: Vec<Column>) -> Table {
    Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        rows: Some(1200.0),
        columns,
        primary_key: vec!["id".to_owned()],
        ..Table::default()
    }
}

fn catalogue(tables: Vec<Table>) -> Catalogue {
    Catalogue {
        database: "shop".to_owned(),
        server_version: "15.13".to_owned(),
        tables,
        unsupported: Vec::new(),
    }
}

fn origin() -> Origin {
    Origin {
        host: Some("db.shop.svc".to_owned()),
        port: 5432,
        transport: Transport::VerifyFull,
    }
}

fn printed(catalogue: &Catalogue) -> String {
    document(catalogue, &origin()).unwrap()
}

fn source(text: &str) -> DataSource {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The policy at the end, its comment signs taken off as the text says.
fn uncommented(text: &str) -> String {
    let (before, policy) = text.split_once("\n# ---\n").expect("no policy");
    let lines = policy
        .lines()
        .map(|line| line.strip_prefix("# ").expect("not a comment"));
    format!("{before}\n---\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

fn shop() -> Catalogue {
    let key = |other: &str, from: &str, on_delete| ForeignKey {
        name: format!("{other}_{from}_fkey"),
        other: ("public".to_owned(), other.to_owned()),
        from: vec![from.to_owned()],
        to: vec!["id".to_owned()],
        on_delete,
    };
    let mut users = table(
        "public",
        "users",
        vec![
            column("id", "bigint", Kind::Plain),
            column("email", "text", Kind::Text),
            column("birthday", "date", Kind::Date),
            column("created_at", "timestamp with time zone", Kind::Instant),
        ],
    );
    users.referenced_by = vec![
        key("orders", "user_id", OnDelete::Refuse),
        key("sessions", "user_id", OnDelete::Cascade),
    ];
    users.triggers = vec![Trigger {
        what: "trigger",
        name: "users_audit".to_owned(),
        on_delete: true,
        on_update: true,
    }];
    users.row_security = true;
    let mut log = table(
        "public",
        "access_log",
        vec![
            column("id", "bigint", Kind::Plain),
            column("user_id", "bigint", Kind::Plain),
            column("ip", "inet", Kind::Address),
            column("created_at", "timestamp with time zone", Kind::Instant),
            column("seen", "timestamp without time zone", Kind::LocalTime),
        ],
    );
    log.foreign_keys = vec![key("users", "user_id", OnDelete::Refuse)];
    log.partitioned = true;
    let mut settings = table("public", "settings", vec![column("value", "text", Kind::Text)]);
    settings.rows = None;
    settings.primary_key = Vec::new();
    let mut catalogue = catalogue(vec![users, log, settings]);
    catalogue.unsupported = vec![Unsupported {
        schema: "public".to_owned(),
        name: "report".to_owned(),
        what: "a view".to_owned(),
    }];
    catalogue
}

#[test]
fn the_text_is_as_written_down() {
    insta::assert_snapshot!(printed(&shop()));
}

#[test]
fn source_and_uncommented_policy_are_objects_that_grants_takes() {
    let text = uncommented(&printed(&shop()));
    let mut manifests = Manifests::default();
    manifests.add("discovered.yaml", &text).unwrap();
    let sql = grants(&manifests, "role", None).unwrap().sql;
    assert!(
        sql.contains("GRANT SELECT (ctid, \"created_at\") ON TABLE \"public\".\"access_log\""),
        "{sql}"
    );
    let policy: &DataRetentionPolicy = &manifests.policies[0].object;
    assert_eq!(policy.spec.mode, crate::api::data_retention_policy::Mode::Observe);
}

#[test]
fn tables_beyond_64_are_left_out_by_relevance_and_named() {
    let mut tables: Vec<Table> = (0..64)
        .map(|n| {
            table(
                "public",
                &format!("personal_{n:02}"),
                vec![column("email", "text", Kind::Text)],
            )
        })
        .collect();
    tables.insert(
        0,
        table("public", "aaa_plain", vec![column("value", "text", Kind::Text)]),
    );
    let text = printed(&catalogue(tables));
    let datasets = source(&text).spec.datasets;
    assert_eq!(datasets.len(), 64);
    assert!(datasets.iter().all(|dataset| dataset.name.starts_with("personal-")));
    assert!(text.contains("# A DataSource takes 64 datasets. These tables were left out"));
    assert!(text.contains("#   public.aaa_plain\n"));
}

#[test]
fn names_of_datasets_are_labels_and_unique() {
    let names = [
        "users",
        "Users",
        "USERS!",
        "表",
        "",
        "-",
        "on",
        "a.b",
        "x".repeat(63).as_str(),
        &format!("{}Y", "x".repeat(62)),
    ]
    .map(ToOwned::to_owned);
    let tables = names.iter().filter(|name| !name.is_empty()).flat_map(|name| {
        ["public", "Public", "other"].map(|schema| table(schema, name, vec![column("email", "text", Kind::Text)]))
    });
    let datasets = source(&printed(&catalogue(tables.collect()))).spec.datasets;
    assert_eq!(datasets.len(), 27);
    let unique: BTreeSet<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    assert_eq!(unique.len(), datasets.len());
    let is_label = |name: &str| {
        (1..=63).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-')
    };
    assert!(unique.iter().all(|name| is_label(name)), "{unique:?}");
    assert!(unique.contains("users"));
}

#[test]
fn a_dataset_has_at_most_256_fields() {
    let columns = (0..300)
        .map(|n| column(&format!("email_{n}"), "text", Kind::Text))
        .collect();
    let text = printed(&catalogue(vec![table("public", "wide", columns)]));
    assert_eq!(source(&text).spec.datasets[0].fields.len(), 256);
    assert!(text.contains("# only 256 of 300 fields"));
}

#[test]
fn where_no_table_has_a_time_no_policy_is_suggested() {
    let text = printed(&catalogue(vec![table(
        "public",
        "users",
        vec![column("email", "text", Kind::Text)],
    )]));
    assert!(text.contains("there is no policy to suggest"));
    assert!(!text.contains("DataRetentionPolicy"));
}

#[test]
fn an_empty_database_is_an_error_that_says_so() {
    let error = document(&catalogue(Vec::new()), &origin()).unwrap_err();
    assert!(matches!(error, DiscoverError::NoTables(_)));
}

#[test]
fn what_the_policy_would_be_stopped_by_stands_before_it() {
    let mut log = table(
        "public",
        "log",
        vec![column("created_at", "timestamp with time zone", Kind::Instant)],
    );
    log.triggers = vec![Trigger {
        what: "rule",
        name: "r\n- x".to_owned(),
        on_delete: true,
        on_update: false,
    }];
    let text = printed(&catalogue(vec![log]));
    assert!(
        text.contains("# But first: rule r\\u{a}- x. That stops a delete rule.\n"),
        "{text}"
    );
}

#[test]
fn how_the_server_was_reached_shows_in_the_source() {
    for (host, transport, shown, expected) in [
        (Some("db"), Transport::Clear, "mode: Disable", "db"),
        (Some("db"), Transport::VerifyFull, "mode: VerifyFull", "db"),
        (
            Some("127.0.0.1"),
            Transport::VerifyFull,
            "# check: this is the machine where discover ran",
            "127.0.0.1",
        ),
        (
            None,
            Transport::Socket,
            "# check: read over a socket",
            "shop.example.svc",
        ),
    ] {
        let origin = Origin {
            host: host.map(ToOwned::to_owned),
            port: 6000,
            transport,
        };
        let text = document(&shop(), &origin).unwrap();
        assert!(text.contains(shown), "{shown}: {text}");
        let postgres = source(&text).spec.postgres;
        assert_eq!((postgres.host.as_str(), postgres.port), (expected, 6000));
        assert_eq!(postgres.tls.ca_secret_ref.is_some(), transport != Transport::Clear);
    }
}

/// Names as PostgreSQL takes them: at most 63 bytes, anything but NUL. Often something that means something to YAML.
fn name() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "on",
        "no",
        "null",
        "~",
        "a: b",
        "a #b",
        "\n  - name: x",
        "'",
        "\"",
        "\\",
        "- a",
        "{",
        "[",
        "&a",
        "!x",
        "|",
        "%",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{feff}",
        "a.b",
        "---",
        "...",
        "0x1",
        "1e3",
        "表",
        "\t",
        " ",
        "\r\n# ---",
    ]);
    let any = any::<String>().prop_map(|text| text.replace('\0', "").chars().take(15).collect::<String>());
    prop_oneof![special.prop_map(ToOwned::to_owned), any, "[a-z]{63}"]
        .prop_filter("PostgreSQL has no empty name", |name| !name.is_empty())
}

proptest! {
    #[test]
    fn hostile_names_stay_names(
        database in name(),
        schema in name(),
        tables in prop::collection::btree_set(name(), 1..5),
        columns in prop::collection::btree_set(name(), 1..5),
        other in name(),
    ) {
        let columns: Vec<Column> = columns.iter().map(|name| column(name, &other, Kind::LocalTime)).collect();
        let tables: Vec<Table> = tables.iter().map(|name| {
            let mut table = table(&schema, name, columns.clone());
            let key = ForeignKey {
                name: other.clone(),
                other: (other.clone(), other.clone()),
                from: vec![other.clone()],
                to: vec![other.clone()],
                on_delete: OnDelete::Cascade,
            };
            table.foreign_keys = vec![key.clone()];
            table.referenced_by = vec![key];
            table.primary_key = vec![other.clone()];
            table.triggers = vec![Trigger { what: "trigger", name: other.clone(), on_delete: true, on_update: true }];
            table
        }).collect();
        let expected: BTreeSet<TableName> =
            tables.iter().filter_map(|table| TableName::new(&table.schema, &table.name).ok()).collect();
        let catalogue = Catalogue {
            database: database.clone(),
            unsupported: vec![Unsupported { schema: other.clone(), name: other.clone(), what: "a view".to_owned() }],
            ..catalogue(tables)
        };
        let text = match document(&catalogue, &origin()) {
            Ok(text) => text,
            Err(error) => {
                prop_assert!(expected.is_empty(), "{}", error);
                return Ok(());
            }
        };
        let source = source(&text);
        prop_assert_eq!(&source.spec.postgres.database, &database);
        let found: BTreeSet<TableName> =
            source.spec.datasets.iter().map(|dataset| TableName::parse(&dataset.table).unwrap()).collect();
        prop_assert_eq!(found, expected);
        let plain: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).filter(|name| !name.chars().any(char::is_control)).collect();
        for dataset in &source.spec.datasets {
            prop_assert_eq!(dataset.fields.iter().map(|field| field.column.as_str()).collect::<BTreeSet<_>>(), plain.clone());
        }
        if !plain.is_empty() {
            let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&uncommented(&text)).unwrap();
            let policy: DataRetentionPolicy = serde_json::from_value(documents[1].clone()).unwrap();
            prop_assert!(plain.contains(policy.spec.rules[0].keep_while[0].from.as_deref().unwrap()));
        }
    }
}
