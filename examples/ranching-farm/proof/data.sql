-- Rows for the instants of expectations.yaml. Everything that differs between rows of a table is what decides about them.

insert into users (id, name, email, last_login_at, marketing_withdrawn_at, deletion_requested_at, status, marketing_mail) values
    -- Idle for ten years, and kept.
    (1, 'Idle', 'u1@example.com', '2015-01-01T00:00:00Z', null, null, 'active', true),
    (2, 'Leaves', 'u2@example.com', '2026-05-01T00:00:00Z', null, '2026-05-10T08:00:00Z', 'active', true),
    -- Asked for deletion, and a subscription runs.
    (3, 'Leaves with a subscription', 'u3@example.com', '2026-05-01T00:00:00Z', null, '2026-05-10T08:00:00Z', 'active', true),
    (4, 'Left long ago', 'u4@example.com', '2018-01-01T00:00:00Z', null, '2018-06-01T00:00:00Z', 'deleted', true),
    (5, 'No marketing', 'u5@example.com', '2026-05-01T00:00:00Z', '2026-06-15T12:00:00Z', null, 'active', true);

insert into teams values
    (1, 'Deleted', '2026-07-31T22:00:00Z'),
    (2, 'Deleted, subscription runs', '2026-07-31T22:00:00Z'),
    (3, 'In use', null),
    (4, 'In use, subscription runs', null);

insert into sessions (id, user_id, created_at, last_active_at) values
    (1, 1, '2025-01-01T00:00:00Z', '2026-02-01T12:00:00Z'),
    -- Never used.
    (2, 1, '2026-02-01T12:00:00Z', null),
    -- Old, and used lately.
    (3, 1, '2020-01-01T00:00:00Z', '2026-09-01T12:00:00Z'),
    (4, 1, null, null);

insert into api_tokens (id, user_id, issued_at, last_used_at) values
    -- Used to the last day: that does not extend them.
    (1, 1, '2026-03-01T01:30:00Z', '2026-03-30T00:00:00Z'),
    (2, 1, '2026-09-25T01:30:00Z', '2026-10-24T00:00:00Z'),
    (3, 1, null, null);

insert into pin_codes (id, user_id, issued_at, consumed_at) values
    (1, 1, '2026-03-29T00:55:00Z', null),
    (2, 1, '2026-03-29T00:55:00Z', '2026-03-29T01:00:00Z'),
    (3, 1, '2026-10-25T00:55:00Z', null);

insert into subscriptions values
    (1, 3, null, 'solo', 'active'),
    (2, null, 1, 'team', 'cancelled'),
    (3, null, 2, 'team', 'active'),
    (4, 2, null, 'solo', 'cancelled'),
    (5, null, 4, 'team', 'active');

insert into team_memberships values
    (1, 1, 1, 'member'),
    (2, 2, 1, 'member'),
    (3, 3, 1, 'member'),
    (4, 3, 2, 'member'),
    (5, 3, 3, 'member'),
    -- Leaves; that the team pays does not matter.
    (6, 4, 2, 'member');

insert into team_invitations values
    (1, 1, 1, 'i1@example.com', null),
    (2, 2, 1, 'i2@example.com', null),
    (3, 3, 1, 'i3@example.com', null);

insert into clusters values
    (1, 1, 'one', 'sealed'),
    (2, 2, 'two', 'sealed'),
    (3, 3, 'three', 'sealed');

insert into billing_events values
    -- In Berlin: half past noon on New Year's Eve of 2017, and half past midnight on New Year's Day of 2018.
    (1, 4, '9.00', '2017-12-31T11:30:00Z'),
    (2, 4, '9.00', '2017-12-31T23:30:00Z'),
    -- Old, and of an account in use.
    (3, 1, '9.00', '2010-01-01T00:00:00Z');

insert into chats values
    (1, 1, 'How do I scale?', '2026-01-01T00:00:00Z'),
    (2, 2, 'How do I leave?', '2026-01-01T00:00:00Z');
insert into chat_messages values
    (1, 1, 'canary', '2026-01-01T00:00:00Z'),
    (2, 2, 'canary', '2026-01-01T00:00:00Z');
insert into chat_summaries values
    (1, 1, 'About scaling', '2026-01-01T00:00:00Z'),
    (2, 2, 'About leaving', '2026-01-01T00:00:00Z'),
    -- The oldest; and of nobody any more, and counted.
    (3, 1, 'About nodes', '2024-01-01T00:00:00Z'),
    (4, null, 'About pods', '2025-01-01T00:00:00Z');
-- With 1, 2 and 4 these are 1000.
insert into chat_summaries select number, 5, 'About marketing', '2025-06-01T00:00:00Z' from generate_series(101, 1097) as number;

insert into activity_log values
    (1, 1, 'login', '2015-01-01T00:00:00Z'),
    -- Its time was lost: the oldest.
    (2, 1, 'login', null),
    -- At one time: the key decides.
    (3, 1, 'login', '2016-01-01T00:00:00Z'),
    (4, 1, 'login', '2016-01-01T00:00:00Z'),
    -- Older than all, and the only one of somebody else.
    (5, 5, 'login', '2010-01-01T00:00:00Z');
-- Older than the newest 1000, and restricted.
insert into activity_log values (6, 1, 'delete cluster', '2014-01-01T00:00:00Z', 'R-2026-001');
-- With 4 these are 1000.
insert into activity_log select number, 1, 'scale', '2020-01-01T00:00:00Z' from generate_series(101, 1099) as number;
insert into export_log values
    (1, 1, '2015-01-01T00:00:00Z'),
    (2, 1, '2026-03-29T00:30:00Z');
