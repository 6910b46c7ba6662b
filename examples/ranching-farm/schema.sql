-- The platform's database, as far as the notice speaks of it. Names of tables and columns are ours. PostgreSQL 14 or later.

create table users (
    id int primary key,
    name text,
    email text,
    password_hash text,
    last_login_at timestamptz,
    last_login_ip text,
    marketing_withdrawn_at timestamptz,
    -- The user asked for the deletion of the account; NULL: uses it.
    deletion_requested_at timestamptz,
    status text not null,
    marketing_mail boolean not null
);

create table teams (
    id int primary key,
    name text,
    deleted_at timestamptz
);

create table sessions (
    id int primary key,
    user_id int not null references users,
    token_hash text,
    created_at timestamptz,
    last_active_at timestamptz
);
create index on sessions (user_id);

create table api_tokens (
    id int primary key,
    user_id int not null references users,
    token_hash text,
    issued_at timestamptz,
    last_used_at timestamptz
);
create index on api_tokens (user_id);

create table pin_codes (
    id int primary key,
    user_id int not null references users,
    pin_hash text,
    issued_at timestamptz,
    consumed_at timestamptz
);
create index on pin_codes (user_id);

create table team_memberships (
    id int primary key,
    team_id int not null references teams,
    user_id int not null references users,
    role text
);
create index on team_memberships (team_id);
create index on team_memberships (user_id);

create table team_invitations (
    id int primary key,
    team_id int not null references teams,
    inviter_id int not null references users,
    invitee_email text,
    token_hash text
);
create index on team_invitations (team_id);

create table clusters (
    id int primary key,
    team_id int not null references teams,
    name text,
    -- Sealed by the platform before it is stored.
    credentials text
);
create index on clusters (team_id);

-- Of a user or of a team.
create table subscriptions (
    id int primary key,
    user_id int references users,
    team_id int references teams,
    plan text,
    status text not null
);
create index on subscriptions (user_id);
create index on subscriptions (team_id);

create table billing_events (
    id int primary key,
    user_id int not null references users,
    amount text,
    occurred_at timestamptz
);
create index on billing_events (user_id);

create table chats (
    id int primary key,
    user_id int references users,
    title text,
    created_at timestamptz
);
create index on chats (user_id);

create table chat_messages (
    id int primary key,
    chat_id int not null references chats,
    content text,
    sent_at timestamptz
);
create index on chat_messages (chat_id);

create table chat_summaries (
    id int primary key,
    user_id int references users,
    summary text,
    created_at timestamptz
);
create index on chat_summaries (user_id);
create index on chat_summaries (created_at);

create table activity_log (
    id int primary key,
    user_id int not null references users,
    action text,
    happened_at timestamptz,
    -- File number of a restriction or a claim; NULL: none.
    matter text
);
create index on activity_log (user_id, happened_at);

-- Who asked for an export when: what the limit of one an hour counts.
create table export_log (
    id int primary key,
    user_id int not null references users,
    requested_at timestamptz
);
