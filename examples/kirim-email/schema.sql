-- The tables of an e-mail service, as far as its retention promises go. PostgreSQL 14 or later.
-- Running this again starts over: the tables are dropped first.

\set ON_ERROR_STOP on
set client_min_messages = warning;

begin;

-- The copies and views that data.sql and expected.sql make of these tables go first.
drop schema if exists original, expectation cascade;
drop table if exists web_logs, accounts, contact_requests;

-- What the policy lists for its log files: page, file, time, bytes, status, browser, (shortened) address.
-- No column is NOT NULL on purpose: a log that lost its time must not be deleted by accident.
create table web_logs (
    id bigint generated always as identity primary key,
    logged_at timestamptz,
    client_address inet,
    request text,
    status smallint,
    bytes_sent integer,
    referrer text,
    user_agent text
);
-- With an index that begins with the start event a sweep reads the due rows and no others.
create index web_logs_logged_at on web_logs (logged_at);

create table accounts (
    id bigint generated always as identity primary key,
    email text not null unique,
    full_name text,
    registered_at timestamptz not null,
    -- When the user objected to the storage and wanted the account deleted; NULL: not so far.
    revoked_at timestamptz,
    -- Date of the last invoice, kept up to date by the billing system; NULL: never invoiced. It says that the legal
    -- retention period of the books runs. It is a column of this table because a rule looks at one row only so far.
    last_invoiced_on date,
    processing_restricted boolean not null default false
);
create index accounts_revoked_at on accounts (revoked_at);

create table contact_requests (
    id bigint generated always as identity primary key,
    submitted_at timestamptz,
    email text,
    message text,
    -- When support closed the matter for good; NULL: open, or nobody said so.
    purpose_lapsed_at timestamptz
);
create index contact_requests_submitted_at on contact_requests (submitted_at);

commit;
