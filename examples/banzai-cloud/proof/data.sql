-- Rows for the instants of expectations.yaml. Everything that differs between rows of a table is what decides about them.

insert into contacts (id, name, email, relation_ended_at, disputed_at, settled_at, suspended) values
    (1, 'Ended', 'c1@example.com', '2026-01-31T23:00:00Z', null, null, false),
    -- Ended, and a claim was open until later.
    (2, 'Claim', 'c2@example.com', '2026-01-31T23:00:00Z', null, null, false),
    (3, 'Claim stays open', 'c3@example.com', '2026-01-31T23:00:00Z', null, null, false),
    (4, 'Disputed', 'c4@example.com', null, '2026-03-02T10:00:00Z', null, false),
    (5, 'Disputed and settled', 'c5@example.com', null, '2026-01-05T10:00:00Z', '2026-01-20T00:00:00Z', false),
    -- Ended, and on a list until later.
    (6, 'Reads the newsletter', 'c6@example.com', '2026-01-31T23:00:00Z', null, null, false),
    (7, 'In touch', 'c7@example.com', null, null, null, false);

insert into claims values
    (1, 2, '2025-01-01T00:00:00Z', '2026-03-29T01:00:00Z'),
    (2, 3, '2010-01-01T00:00:00Z', null);

insert into enquiries values
    -- Answered at 02:30 in Budapest, and an hour later at 02:30.
    (1, '2026-10-24T00:00:00Z', 'e1@example.com', 'canary', '2026-10-25T00:30:00Z'),
    (2, '2026-10-24T00:00:00Z', 'e2@example.com', 'canary', '2026-10-25T01:30:00Z'),
    (3, '2015-01-01T00:00:00Z', 'e3@example.com', 'canary', null);

insert into profiles values
    (1, 'february', 'sealed', '2026-02-28'),
    (2, 'spring', 'sealed', '2026-03-29'),
    (3, 'autumn', 'sealed', '2026-10-25'),
    (4, 'runs', 'sealed', null),
    -- Nobody knows when.
    (5, 'infinite', 'sealed', 'infinity');

insert into subscriptions values
    (1, 6, 'c6@example.com', 'news', '2020-01-01T00:00:00Z', '2026-05-31T22:00:00Z', false),
    -- The same person, another list.
    (2, null, 'c6@example.com', 'events', '2020-01-01T00:00:00Z', null, false),
    (3, null, 's3@example.com', 'news', null, null, false),
    -- Withdrawn, and a claim is open.
    (4, 3, 'c3@example.com', 'news', '2020-01-01T00:00:00Z', '2026-05-31T22:00:00Z', false);

insert into consents values
    (1, 'c6@example.com', 'news', '2020-01-01T00:00:00Z', '2026-05-31T22:00:00Z');

insert into usage_events values
    (1, '2010-01-01T00:00:00Z', '192.0.2.1', '/');

insert into complaints values
    (1, '2026-02-01T00:00:00Z', 'k1@example.com', 'canary', '2026-06-30T22:00:00Z'),
    (2, '2010-02-01T00:00:00Z', 'k2@example.com', 'canary', null);
