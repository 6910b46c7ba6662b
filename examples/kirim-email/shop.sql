-- The shop and what is around it: a database of its own beside that of schema.sql. Names are ours. PostgreSQL 14 or later.

create table orders (
    id int primary key,
    email text,
    item text,
    ordered_at timestamptz,
    completed_at timestamptz,
    -- NULL: free of charge.
    invoiced_on date,
    -- File number of an inquiry; NULL: none.
    matter text
);

-- Who bought something may get mails about similar goods, and may be known to partners, until they say no.
create table buyers (
    id int primary key,
    email text,
    objected_at timestamptz,
    sale_opted_out_at timestamptz,
    suppressed boolean not null,
    sale_allowed boolean not null
);

-- Who asked for information by interest.
create table interests (
    id int primary key,
    email text,
    topic text,
    consent_at timestamptz,
    withdrawn_at timestamptz
);

-- Profiles that users fill in, and that a parent may report.
create table profiles (
    id int primary key,
    email text,
    full_name text,
    child_reported_at timestamptz
);

-- Our own copy of conversations.
create table live_chats (
    id int primary key,
    email text,
    phone text,
    messages text,
    last_active_at timestamptz,
    answered_at timestamptz,
    -- File number of a restriction; NULL: none.
    matter text
);
