-- The company's database of people, as far as the notice speaks of it. Names are ours. PostgreSQL 14 or later.

create table contacts (
    id int primary key,
    name text,
    email text,
    phone text,
    title text,
    workplace text,
    relation_ended_at timestamptz,
    -- Somebody said that the data is wrong, and it was looked into.
    disputed_at timestamptz,
    settled_at timestamptz,
    suspended boolean not null
);

-- A right that is being established, exercised or defended.
create table claims (
    id int primary key,
    contact_id int not null references contacts,
    opened_at timestamptz,
    closed_at timestamptz
);
create index on claims (contact_id);

create table enquiries (
    id int primary key,
    sent_at timestamptz,
    email text,
    content text,
    answered_at timestamptz
);

create table profiles (
    id int primary key,
    username text,
    password_sealed text,
    -- The last day of the contract; NULL: it runs.
    contract_ends_on date
);

-- One row for each list that somebody is on.
create table subscriptions (
    id int primary key,
    contact_id int references contacts,
    email text,
    list text,
    consent_at timestamptz,
    unsubscribed_at timestamptz,
    without_consent boolean not null
);
create index on subscriptions (contact_id);

-- What proves a consent outlives it: that it was given makes lawful what was done until it was withdrawn.
create table consents (
    id int primary key,
    email text,
    list text,
    given_at timestamptz,
    withdrawn_at timestamptz
);

create table usage_events (
    id int primary key,
    seen_at timestamptz,
    client_address text,
    page text
);

create table complaints (
    id int primary key,
    received_at timestamptz,
    email text,
    text text,
    settled_at timestamptz
);
