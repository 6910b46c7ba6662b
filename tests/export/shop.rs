//! A shop with three people in every table, each kind of relation, and values that break what is not escaped.

use serde_json::{Value, json};

use crate::harness::{Trial, trial};

pub const SCHEMA: &str = r"
    CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, name text, password_hash text, born date, credit numeric(12,2),
      active bool, created_at timestamptz, photo bytea, settings jsonb, tags text[], shoe real, internal_score int);
    CREATE TABLE orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id int REFERENCES users, number int, note text,
      ordered_at timestamp DEFAULT '2026-02-03 04:05:06');
    CREATE INDEX ON orders (user_id);
    CREATE TABLE items (order_id uuid REFERENCES orders, line int, product text, price numeric(8,2), PRIMARY KEY (order_id, line));
    CREATE TABLE reviews (order_id uuid, line int, stars int, words text, FOREIGN KEY (order_id, line) REFERENCES items);
    CREATE TABLE messages (id bigint PRIMARY KEY, sender_id int REFERENCES users, recipient_id int REFERENCES users, words text);
    CREATE TABLE invitations (id int PRIMARY KEY, inviter_id int REFERENCES users, invitee_email text, token_hash text);
    CREATE TABLE audit (id int PRIMARY KEY, what text);
    INSERT INTO users SELECT i, 'user' || i || '@example.org', 'Person ' || i, 'hash-canary-' || i, '1990-01-01'::date + i, i * 1.5,
        i % 2 = 0, '2026-01-01 10:00:00+00'::timestamptz + i * interval '1 hour', decode('89504e470d0a1a0a', 'hex') || convert_to('picture ' || i, 'UTF8'),
        jsonb_build_object('theme', 'dark', 'n', i), ARRAY['a', 'b' || i], 41.5, i
      FROM generate_series(1, 60) i;
    UPDATE users SET name = NULL, photo = NULL, settings = NULL, tags = NULL, active = NULL WHERE id = 3;
    INSERT INTO orders (user_id, number, note) SELECT 1 + i % 60, i, 'order ' || i FROM generate_series(1, 600) i;
    INSERT INTO items SELECT id, line, 'product ' || number || '-' || line, line * 2.5 FROM orders, generate_series(1, 3) line;
    INSERT INTO reviews SELECT order_id, line, line, 'words about ' || product FROM items WHERE line < 3;
    INSERT INTO messages SELECT i, 1 + i % 60, 1 + (i * 7) % 60, 'message ' || i FROM generate_series(1, 1200) i;
    INSERT INTO invitations SELECT i, 1 + i % 60, 'user' || (1 + (i * 11) % 60) || '@example.org', 'token-canary-' || i FROM generate_series(1, 300) i;
    INSERT INTO audit SELECT i, 'somebody did ' || i FROM generate_series(1, 10) i;
    ANALYZE;
";

pub fn datasets() -> Value {
    let field =
        |column: &str, category: &str, origin: &str| json!({"column": column, "category": category, "origin": origin});
    json!([
        {"name": "users", "schema": "public", "table": "users", "activities": ["accounts"],
         "subjects": [{"identity": "user_id", "by": {"column": "id"}}, {"identity": "email", "by": {"column": "email"}}],
         "fields": [field("email", "user.contact.email", "Provided"), field("name", "user.name", "Provided"),
            {"column": "password_hash", "category": "user.authorization.credentials", "secret": true},
            field("born", "user.demographic.date_of_birth", "Provided"), field("credit", "user.financial", "Derived"),
            field("active", "user.behavior", "Observed"), field("created_at", "user.behavior", "Observed"),
            field("photo", "user.biometric", "Provided"), field("settings", "user.behavior", "Provided"),
            field("tags", "user.behavior", "Derived"), field("shoe", "user.sensor", "ThirdParty")]},
        {"name": "orders", "schema": "public", "table": "orders", "activities": ["sales"],
         "relations": [{"name": "buyer", "dataset": "users", "columns": {"user_id": "id"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "buyer"}}, {"identity": "email", "by": {"through": "buyer"}}],
         "fields": [field("number", "user.behavior", "Observed"), field("note", "user.content", "Provided"), field("ordered_at", "user.behavior", "Observed")]},
        {"name": "items", "schema": "public", "table": "items", "activities": ["sales"],
         "relations": [{"name": "order", "dataset": "orders", "columns": {"order_id": "id"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "order"}}, {"identity": "email", "by": {"through": "order"}}],
         "fields": [field("product", "user.behavior", "Provided"), field("price", "user.financial", "Observed")]},
        {"name": "reviews", "schema": "public", "table": "reviews", "activities": ["marketing"],
         "relations": [{"name": "item", "dataset": "items", "columns": {"order_id": "order_id", "line": "line"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "item"}}, {"identity": "email", "by": {"through": "item"}}],
         "fields": [field("stars", "user.content", "Provided"), field("words", "user.content", "Provided")]},
        {"name": "messages", "schema": "public", "table": "messages", "activities": ["accounts"],
         "subjects": [{"identity": "user_id", "by": {"column": "sender_id"}, "otherPartyColumns": ["recipient_id"]},
            {"identity": "user_id", "by": {"column": "recipient_id"}, "otherPartyColumns": ["sender_id", "words"]}],
         "fields": [field("words", "user.content", "Provided")]},
        {"name": "invitations", "schema": "public", "table": "invitations", "activities": ["accounts"],
         "relations": [{"name": "inviter", "dataset": "users", "columns": {"inviter_id": "id"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "inviter"}, "otherPartyColumns": ["invitee_email"]},
            {"identity": "email", "by": {"column": "invitee_email"}, "otherPartyColumns": ["inviter_id"]}],
         "fields": [field("inviter_id", "user.unique_id", "Observed"), {"column": "token_hash", "secret": true}]},
        {"name": "audit", "schema": "public", "table": "audit", "activities": ["accounts"], "fields": [field("what", "user.behavior", "Observed")]},
    ])
}

pub fn activities() -> Value {
    let categories = |keys: &[&str]| keys.iter().map(|key| json!({"key": key})).collect::<Vec<_>>();
    json!([
        {"name": "accounts", "title": "Accounts", "purposes": ["Keeping accounts"], "legalBases": [{"basis": "Contract"}],
         "categories": categories(&["user.contact.email", "user.device"])},
        {"name": "sales", "title": "Sales", "legalBases": [{"basis": "LegalObligation"}, {"basis": "Contract"}], "categories": categories(&["user.financial"])},
        {"name": "marketing", "title": "Marketing", "legalBases": [{"basis": "LegitimateInterests"}], "categories": categories(&["user.content"])},
    ])
}

/// The shop, without a subject yet.
pub async fn shop() -> Trial {
    trial(SCHEMA, datasets(), activities()).await
}
