-- The company's site and product database, as far as the notice speaks of it. Names are ours. PostgreSQL 14 or later.

create table accounts (
    id int primary key,
    name text,
    email text,
    deleted_at timestamptz
);

-- Who accepted the map of Google, on the server's side of the cookie.
create table map_consents (
    id int primary key,
    visitor text,
    granted_at timestamptz,
    withdrawn_at timestamptz
);

create table link_consents (
    id int primary key,
    account_id int not null references accounts,
    given_at timestamptz,
    withdrawn_at timestamptz
);
create index on link_consents (account_id);

create table web_logs (
    id int primary key,
    logged_at timestamptz,
    client_address text,
    page text,
    search_words text,
    -- Only with a consent that was asked for by e-mail beforehand.
    account_id int references accounts,
    consent_id int references link_consents,
    linked_at timestamptz,
    -- File number of a suspicion; NULL: none.
    matter text
);
create index on web_logs (account_id);
create index on web_logs (consent_id);

-- What the products tell about their use: feature by feature, never with a name.
create table telemetry (
    id int primary key,
    installation_id int,
    recorded_at timestamptz,
    feature text,
    user_name text
);
create index on telemetry (installation_id);

create table telemetry_consents (
    id int primary key,
    installation_id int not null,
    given_at timestamptz,
    withdrawn_at timestamptz
);
create index on telemetry_consents (installation_id);

create table installations (
    id int primary key,
    edition text
);

create table contracts (
    id int primary key,
    customer text,
    ended_at timestamptz,
    -- To when law asks for it; NULL: law does not.
    legal_retention_until timestamptz,
    restricted boolean not null,
    -- File number of a claim; NULL: none.
    matter text
);

create table product_usage (
    id int primary key,
    contract_id int not null references contracts,
    version text,
    os text
);
create index on product_usage (contract_id);

create table newsletter_subscriptions (
    id int primary key,
    account_id int references accounts,
    email text,
    withdrawn_at timestamptz
);
create index on newsletter_subscriptions (account_id);

create table applications (
    id int primary key,
    account_id int references accounts,
    name text,
    email text,
    curriculum text,
    withdrawn_at timestamptz
);
create index on applications (account_id);

create table testimonials (
    id int primary key,
    name text,
    title text,
    company text,
    consent_at timestamptz,
    deletion_asked_at timestamptz,
    published boolean not null
);
