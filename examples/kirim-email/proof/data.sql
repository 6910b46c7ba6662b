-- Rows for the instants of expectations.yaml. Everything that differs between rows of a table is what decides about them.

insert into web_logs (logged_at, client_address, request) values
    -- 1: on 22 March; 2: on 1 March; 3: lost its time; 4: of a host whose clock is ahead.
    ('2026-03-22T10:00:00Z', '203.0.113.9', '/'),
    ('2026-03-01T00:00:00Z', '2001:db8:85a3:8d3::1', '/'),
    (null, '::ffff:203.0.113.9', '/'),
    ('2099-01-01T00:00:00Z', '203.0.113.0', '/');

insert into accounts (email, registered_at, revoked_at, last_invoiced_on) values
    -- 1: idle; 2: revoked, never invoiced; 3 and 4: revoked long ago, invoiced on New Year's Eve and on New Year's Day.
    ('a1@example.com', '2010-01-01T00:00:00Z', null, null),
    ('a2@example.com', '2020-01-01T00:00:00Z', '2026-02-18T03:00:00Z', null),
    ('a3@example.com', '2010-01-01T00:00:00Z', '2020-01-01T00:00:00Z', '2015-12-31'),
    ('a4@example.com', '2010-01-01T00:00:00Z', '2020-01-01T00:00:00Z', '2016-01-01');

insert into contact_requests (submitted_at, email, message, purpose_lapsed_at) values
    -- 1: on the leap day of 2020, noon in Jakarta; 2: its purpose lapses; 3: lost its time.
    ('2020-02-29T05:00:00Z', 'r1@example.com', 'canary', null),
    ('2025-01-01T00:00:00Z', 'r2@example.com', 'canary', '2026-04-30T17:00:00Z'),
    (null, 'r3@example.com', 'canary', null);

insert into orders values
    (1, 'o1@example.com', 'free', '2026-01-01T00:00:00Z', '2026-01-31T17:00:00Z', null),
    (2, 'o2@example.com', 'paid', '2015-01-01T00:00:00Z', '2015-02-01T00:00:00Z', '2015-12-31'),
    (3, 'o3@example.com', 'paid', '2015-01-01T00:00:00Z', '2015-02-01T00:00:00Z', '2016-01-01'),
    -- Not delivered yet.
    (4, 'o4@example.com', 'free', '2015-01-01T00:00:00Z', null, null);
-- As 1, and looks like fraud.
insert into orders values
    (5, 'o5@example.com', 'free', '2026-01-01T00:00:00Z', '2026-01-31T17:00:00Z', null, 'F-2026-004');

insert into buyers values
    (1, 'b1@example.com', '2026-05-05T05:05:00Z', null, false, true),
    (2, 'b2@example.com', null, '2026-05-05T05:05:00Z', false, true),
    -- Objected at the outset.
    (3, 'b3@example.com', '2020-01-01T00:00:00Z', null, false, true),
    (4, 'b4@example.com', null, null, false, true);

insert into interests values
    (1, 'i1@example.com', 'mail', '2020-01-01T00:00:00Z', '2026-06-30T17:00:00Z'),
    (2, 'i1@example.com', 'security', '2020-01-01T00:00:00Z', null);

insert into profiles values
    (1, 'p1@example.com', 'Canary', '2026-07-01T08:00:00Z'),
    (2, 'p2@example.com', 'Canary', null);

insert into live_chats values
    (1, 'l1@example.com', '1', 'canary', '2026-07-01T08:00:00Z', '2026-07-31T17:00:00Z'),
    (2, 'l2@example.com', '2', 'canary', '2010-01-01T00:00:00Z', null);
-- As 1, and restricted.
insert into live_chats values
    (3, 'l3@example.com', '3', 'canary', '2026-07-01T08:00:00Z', '2026-07-31T17:00:00Z', 'R-2026-011');
