//! The pages in a real browser: nothing runs, nothing is loaded, nothing complains.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Trial, trial};
use crate::opened::Opened;
use crate::shop::{activities, datasets, shop};

/// Opens a page in a headless browser: the document after loading, and everything that the browser logged.
fn browse(page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--disable-dev-shm-usage",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()));
    let output = browser
        .output()
        .unwrap_or_else(|error| panic!("{error} (apt-get install chromium)"));
    assert!(output.status.success(), "{output:?}");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn looks_quiet(opened: &Opened, page: &str) -> String {
    let (document, log) = browse(&opened.directory.path().join(page));
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{page}: {complaints:?}");
    assert!(document.contains("<h1>"), "{page}: {document}");
    document
}

async fn hostile(listener: &TcpListener) -> Trial {
    let at = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let attacks = [
        "<script>document.title='pwned'</script>".to_owned(),
        format!("<img src='{at}/img' onerror=\"document.title='pwned'\">"),
        format!("<script src={at}/script></script><link rel=stylesheet href={at}/css><iframe src={at}/frame></iframe>"),
        format!(
            "\"><svg/onload=document.title='pwned'><style>@import url({at}/import);body{{background:url({at}/bg)}}</style>"
        ),
        format!("</td></table></main><meta http-equiv=refresh content=\"0;url={at}/refresh\"><base href={at}>"),
        "</style></title></textarea><!--<script>-->&lt;script&gt;alert(1)&lt;/script&gt;\u{1}\u{202e}".to_owned(),
    ];
    let column = "<b onclick=\"document.title='pwned'\">x</b>";
    let schema = format!(
        "CREATE TABLE t (id int PRIMARY KEY, person int, \"{column}\" text, a text, b text, c text, d text, e text);
         CREATE TABLE narrow (id int PRIMARY KEY, person int, \"{column}\" text)",
        column = column.replace('"', "\"\"")
    );
    let fields = [column, "a", "b", "c", "d", "e"].map(|column| json!({"column": column, "category": "user.content"}));
    let subjects = json!([{"identity": "user_id", "by": {"column": "person"}}]);
    let datasets = json!([
        {"name": "wide", "schema": "public", "table": "t", "subjects": subjects, "fields": fields, "activities": ["x"]},
        {"name": "narrow", "schema": "public", "table": "narrow", "subjects": subjects, "fields": [fields[0]], "activities": ["x"]},
    ]);
    let evil = &attacks[1];
    let activities = json!([{"name": "x", "title": attacks[0], "purposes": attacks, "legalBases": [{"basis": "Consent", "interest": evil, "reference": evil}],
        "categories": [{"key": "user.content", "required": true, "consequence": evil}], "recipients": [{"name": evil, "category": evil, "role": evil}],
        "transfers": [{"recipient": evil, "countries": [evil], "mechanism": evil, "reference": evil}],
        "retention": [{"categories": [evil], "text": {"en": evil, "de": evil}}], "sources": attacks,
        "automatedDecisions": {"used": true, "logic": evil, "consequences": evil}}]);
    let mut trial = trial(&schema, datasets, activities).await;
    let party = json!({"name": evil, "address": evil, "contact": evil});
    trial.plan.notice =
        serde_json::from_value(json!({"version": evil, "controllers": [party], "representative": party,
        "dataProtectionOfficer": party, "supervisoryAuthority": party}))
        .unwrap();
    trial.plan.not_included = serde_json::from_value(json!([{"name": evil, "reason": {"en": evil}}])).unwrap();
    let admin = trial.database.admin().await;
    for (number, attack) in attacks.iter().enumerate() {
        let number = i32::try_from(number).unwrap();
        for table in [
            "t (id, person, \"<b onclick=\"\"document.title='pwned'\"\">x</b>\")",
            "narrow",
        ] {
            admin
                .execute(&format!("INSERT INTO {table} VALUES ($1, 1, $2)"), &[&number, attack])
                .await
                .unwrap();
        }
    }
    trial
}

#[tokio::test]
async fn nothing_runs_and_nothing_is_loaded_whatever_is_in_the_data() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut trial = hostile(&listener).await;
    trial.plan.languages = serde_json::from_value(json!(["de", "en"])).unwrap();
    let (_, opened) = trial.of(&[("user_id", "1")]).delivered().await;
    let pages = opened.pages();
    assert_eq!(
        pages,
        [
            "index.en.html",
            "index.html",
            "tables/shop-db.narrow-001.html",
            "tables/shop-db.wide-001.html"
        ]
    );
    for page in pages {
        let document = looks_quiet(&opened, page);
        assert!(!document.contains("<title>pwned"), "{page} ran a script");
        for tag in ["<script", "<img", "<iframe", "<svg", "<b ", "<base", "refresh"] {
            let markup = document.replace("&lt;", "").to_lowercase();
            let found = markup.contains(tag) && tag.starts_with('<');
            assert!(!found, "{page} has {tag}");
        }
        assert_eq!(document.matches("<link").count(), 0, "{page}");
    }
    assert!(listener.accept().is_err(), "a page asked for something");
    // The text is there, as text.
    assert!(
        opened
            .text("tables/shop-db.narrow-001.html")
            .contains("&lt;script&gt;document.title=&#39;pwned&#39;&lt;/script&gt;")
    );
}

#[tokio::test]
async fn large_tables_become_several_pages_that_lead_to_each_other() {
    let trial = shop().await;
    trial
        .database
        .execute(
            "INSERT INTO orders (user_id, number, note) SELECT 17, 1000 + i, 'order' FROM generate_series(1, 1200) i",
        )
        .await;
    let (_, opened) = trial.of(&[("user_id", "17")]).delivered().await;
    let pages: Vec<String> = (1..=3)
        .map(|page| opened.text(&format!("tables/shop-db.orders-{page:03}.html")))
        .collect();
    assert_eq!(
        pages
            .iter()
            .map(|page| page.matches("<tr>").count() - 1)
            .collect::<Vec<_>>(),
        [500, 500, 210]
    );
    assert!(pages[0].contains("href=\"shop-db.orders-002.html\"") && !pages[0].contains("orders-000"));
    assert!(
        pages[1].contains("href=\"shop-db.orders-001.html\"") && pages[1].contains("href=\"shop-db.orders-003.html\"")
    );
    assert!(pages[2].contains("href=\"shop-db.orders-002.html\"") && !pages[2].contains("orders-004"));
    // Every link of every page leads to something in the archive.
    for name in opened.pages() {
        for link in opened
            .text(name)
            .split("href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|link| *link != "data:,")
        {
            let folder = Path::new(name).parent().unwrap();
            let target = opened.directory.path().join(folder).join(link);
            assert!(target.exists(), "{name} leads to {link}");
        }
    }
}

#[tokio::test]
async fn the_first_page_answers_all_that_article_15_asks() {
    let mut activities = activities();
    activities[0]["recipients"] = json!([{"name": "Hoster GmbH", "category": "hosting", "role": "Processor"}]);
    activities[0]["transfers"] = json!([{"recipient": "Mailer Inc.", "countries": ["US"], "mechanism": "StandardContractualClauses", "reference": "https://example.org/scc"}]);
    activities[0]["retention"] = json!([{"categories": ["user.contact.email"], "text": {"en": "one year after the last login", "de": "ein Jahr nach der letzten Anmeldung"}}]);
    activities[0]["sources"] = json!(["LinkedIn"]);
    activities[0]["automatedDecisions"] =
        json!({"used": true, "logic": "a score of payments", "consequences": "no purchase on account"});
    let mut trial = trial(crate::shop::SCHEMA, datasets(), activities).await;
    trial.plan.notice = serde_json::from_value(json!({"version": "2026-01", "controllers": [{"name": "Shop AG", "address": "Hauptstr. 1, 10115 Berlin", "contact": "privacy@shop.example"}],
        "dataProtectionOfficer": {"name": "Dr. Ada Datenschutz", "contact": "dpo@shop.example"},
        "supervisoryAuthority": {"name": "Berliner Beauftragte für Datenschutz", "contact": "https://datenschutz-berlin.de"}}))
    .unwrap();
    trial.plan.languages = serde_json::from_value(json!(["en", "de"])).unwrap();
    let (_, opened) = trial
        .of(&[("user_id", "17"), ("email", "user17@example.org")])
        .delivered()
        .await;
    if let Ok(directory) = std::env::var("EXPORT_PAGES") {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(opened.directory.path())
            .arg(directory)
            .status()
            .unwrap();
        assert!(copied.success());
    }
    let facts = [
        "Shop AG, Hauptstr. 1, 10115 Berlin, privacy@shop.example",
        "Dr. Ada Datenschutz",
        "Berliner Beauftragte für Datenschutz",
        "LinkedIn",
        "a score of payments",
        "Keeping accounts",
    ];
    for (page, words) in [
        (
            "index.html",
            [
                "Hoster GmbH (hosting; processor)",
                "Mailer Inc.: US (standard contractual clauses, Art. 46(2)(c); https://example.org/scc)",
                "Your personal data at Shop AG",
                "Art. 15 GDPR",
                "one year after the last login",
                "to have data erased",
                "complain to a supervisory authority",
                "2026-11-01 09:00 UTC",
            ],
        ),
        (
            "index.de.html",
            [
                "Hoster GmbH (hosting; Auftragsverarbeiter)",
                "Mailer Inc.: US (Standardvertragsklauseln, Art. 46 Abs. 2 lit. c; https://example.org/scc)",
                "Ihre personenbezogenen Daten bei Shop AG",
                "Art. 15 DSGVO",
                "ein Jahr nach der letzten Anmeldung",
                "auf Löschung",
                "bei einer Aufsichtsbehörde beschweren",
                "2026-11-01 09:00 UTC",
            ],
        ),
    ] {
        let document = looks_quiet(&opened, page);
        for word in facts.iter().chain(&words) {
            assert!(document.contains(word), "{page}: {word}");
        }
        assert!(document.contains("lang=\"en\"") == (page == "index.html"));
    }
}
