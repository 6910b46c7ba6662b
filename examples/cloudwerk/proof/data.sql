-- Rows for the instants of expectations.yaml. Everything that differs between rows of a table is what decides about them.

insert into accounts values
    (1, 'Links', 'a1@example.com', null),
    (2, 'Withdraws', 'a2@example.com', null),
    (3, 'Agrees late', 'a3@example.com', null),
    (4, 'Deletes the account', 'a4@example.com', '2026-04-30T22:00:00Z');

insert into map_consents values
    -- In Berlin: a leap day at noon; 29 March at 02:30; 25 October at 02:30; withdrawn.
    (1, 'v1', '2024-02-29T11:00:00Z', null),
    (2, 'v2', '2025-03-29T01:30:00Z', null),
    (3, 'v3', '2025-10-25T00:30:00Z', null),
    (4, 'v4', '2025-11-01T00:00:00Z', '2026-02-10T10:00:00Z'),
    (5, 'v5', null, null);

insert into link_consents values
    (1, 1, '2024-01-01T00:00:00Z', null),
    (2, 2, '2024-01-01T00:00:00Z', '2026-04-15T09:00:00Z'),
    -- Given after the link of row 3 was made.
    (3, 3, '2025-06-01T00:00:00Z', null),
    (4, 1, '2024-01-01T00:00:00Z', '2026-05-31T22:00:00Z');

insert into web_logs (id, logged_at, client_address, page, account_id, consent_id, linked_at) values
    (1, '2024-02-01T00:00:00Z', '192.0.2.1', '/', 1, 1, '2024-02-01T00:00:00Z'),
    (2, '2024-02-01T00:00:00Z', '192.0.2.2', '/', 2, 2, '2024-02-01T00:00:00Z'),
    (3, '2024-02-01T00:00:00Z', '192.0.2.3', '/', 3, 3, '2024-02-01T00:00:00Z'),
    -- Never linked.
    (4, '2010-01-01T00:00:00Z', '192.0.2.4', '/', null, null, null),
    -- Linked on 29 March at 01:50 in Berlin, and nobody was asked.
    (5, '2026-03-29T00:50:00Z', '192.0.2.5', '/', 4, null, '2026-03-29T00:50:00Z');
-- Linked with a consent that is withdrawn at the end of May, and under suspicion.
insert into web_logs (id, logged_at, client_address, page, account_id, consent_id, linked_at, matter) values
    (6, '2024-02-01T00:00:00Z', '192.0.2.6', '/', 1, 4, '2024-02-01T00:00:00Z', 'S-2026-002');

insert into installations values (1, 'community'), (2, 'community'), (3, 'community');
insert into telemetry_consents values
    (1, 1, '2025-01-01T00:00:00Z', null),
    -- Agreed on 1 February 2025.
    (2, 2, '2025-02-01T00:00:00Z', null),
    (3, 3, '2025-01-01T00:00:00Z', '2026-05-20T06:00:00Z');
insert into telemetry values
    (1, 1, '2025-06-01T00:00:00Z', 'search', null),
    -- The day before the consent, and the very instant of it.
    (2, 2, '2025-01-31T00:00:00Z', 'search', null),
    (3, 2, '2025-02-01T00:00:00Z', 'search', null),
    (4, 3, '2025-06-01T00:00:00Z', 'search', null),
    -- With a name that should not be there.
    (5, 1, '2025-06-01T00:00:00Z', 'search', 'Canary'),
    -- Recorded on 25 October at 02:55 in summer time, by nobody who agreed.
    (6, null, '2026-10-25T00:55:00Z', 'search', null);

insert into contracts values
    (1, 'Runs', null, null, false),
    -- Ends with the year in Berlin; law asks for it until the end of 2026.
    (2, 'Law', '2025-12-31T23:00:00Z', '2026-12-31T23:00:00Z', false),
    (3, 'No law', '2026-01-31T23:00:00Z', null, false);
-- As 3, and litigated.
insert into contracts values (4, 'Litigates', '2026-01-31T23:00:00Z', null, false, 'M-2026-014');

insert into product_usage values
    (1, 1, '1.0', 'linux'),
    (2, 2, '1.0', 'linux');

insert into newsletter_subscriptions values
    (1, null, 'n1@example.com', '2026-02-10T10:00:00Z'),
    (2, 4, 'n2@example.com', null),
    (3, 1, 'n3@example.com', null),
    (4, null, 'n4@example.com', null);

insert into applications values
    (1, 4, 'Canary', 'b1@example.com', 'canary', null),
    (2, null, 'Canary', 'b2@example.com', 'canary', null),
    (3, null, 'Canary', 'b3@example.com', 'canary', '2026-02-10T10:00:00Z');

insert into testimonials values
    (1, 'Agreed', 'CTO', 'One', '2020-01-01T00:00:00Z', null, true),
    (2, 'Was not asked', 'CTO', 'Two', null, null, true),
    (3, 'Asks for deletion', 'CTO', 'Three', '2020-01-01T00:00:00Z', '2026-07-15T12:00:00Z', true);
