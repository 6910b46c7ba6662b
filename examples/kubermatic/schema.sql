-- The website's database, as far as the notice speaks of it. Names of tables and columns are ours. PostgreSQL 14 or later.

-- What a server of the website writes down of each request.
create table web_logs (
    id int primary key,
    requested_at timestamptz,
    client_address text,
    path text,
    referrer text,
    user_agent text
);

-- Our own copy of what the Insight Tag collects. An address that is used across devices is stored as a hash.
create table linkedin_events (
    id int primary key,
    collected_at timestamptz,
    member_id text,
    profile_url text,
    visitor_pseudonym text,
    client_address text,
    url text
);
create index on linkedin_events (collected_at);

create table customers (
    id int primary key,
    name text,
    email text,
    -- NULL: the contract runs.
    contract_ended_at timestamptz,
    -- Kept up to date by the billing system. NULL: never invoiced.
    last_invoiced_on date
);

-- The contact form.
create table enquiries (
    id int primary key,
    sent_at timestamptz,
    email text,
    message text,
    closed_at timestamptz,
    consent_withdrawn_at timestamptz,
    customer_id int references customers,
    -- File number of a restriction or a claim; NULL: none.
    matter text
);
create index on enquiries (customer_id);

-- The newsletter: customers get it, all others after they clicked the link of the confirmation mail.
create table subscribers (
    id int primary key,
    email text,
    customer boolean not null,
    requested_at timestamptz,
    confirmed_at timestamptz,
    unsubscribed_at timestamptz,
    awaiting_confirmation boolean not null,
    suppressed boolean not null
);

-- Whom the newsletter goes to. Whoever sends it reads this and nothing else.
create view newsletter_recipients as
    select id, email from subscribers where not awaiting_confirmation and not suppressed;

create table webinar_registrations (
    id int primary key,
    name text,
    email text,
    webinar_ended_at timestamptz,
    objected_at timestamptz,
    invitable boolean not null
);

-- Contacts to whom something is advertised, with a consent for each channel.
create table marketing_contacts (
    id int primary key,
    email text,
    phone text,
    email_consent_withdrawn_at timestamptz,
    phone_consent_withdrawn_at timestamptz,
    objected_at timestamptz,
    email_allowed boolean not null,
    phone_allowed boolean not null,
    blocked_for_advertising boolean not null
);

create table applications (
    id int primary key,
    full_name text,
    email text,
    -- advertised or unsolicited
    kind text not null,
    received_at timestamptz not null,
    -- hired, rejected; NULL: the process runs
    outcome text,
    decided_at timestamptz,
    employment_ended_at timestamptz,
    -- The applicant agreed to longer storage, and may withdraw that, or the unsolicited application.
    pool_consent_at timestamptz,
    revoked_at timestamptz,
    pool_allowed boolean not null
);
create index on applications (decided_at);

create table application_documents (
    id int primary key,
    application_id int not null references applications,
    title text,
    content text
);
create index on application_documents (application_id);
