-- Rows for the instants of expectations.yaml. Everything that differs between rows of a table is what decides about them.

insert into web_logs values
    (1, '2010-01-01T00:00:00Z', '192.0.2.10', '/', null, 'curl'),
    (2, null, '192.0.2.11', '/jobs', null, 'curl');

insert into linkedin_events values
    (1, '2026-03-22T10:00:00Z', 'member-1', 'https://example.com/in/1', 'p-1', '198.51.100.77', '/'),
    (2, '2026-10-18T10:00:00Z', 'member-2', 'https://example.com/in/2', 'p-2', '::ffff:203.0.113.9', '/'),
    -- Its time was lost.
    (3, null, 'member-3', 'https://example.com/in/3', 'p-3', '198.51.100.3', '/'),
    (4, '2026-03-22T10:00:00Z', null, null, 'p-4', '2001:db8:aaaa:bbbb::1', '/'),
    -- Used across devices: a hash.
    (5, '2026-03-22T10:00:00Z', null, null, 'p-5', 'hmac:5e884898da28', '/');

insert into customers values
    (1, 'Runs to the middle of 2026', 'c1@example.com', '2026-06-30T22:00:00Z', null),
    (2, 'Invoiced on New Year''s Eve of 2017', 'c2@example.com', '2020-05-05T00:00:00Z', '2017-12-31'),
    (3, 'Invoiced on New Year''s Day of 2018', 'c3@example.com', '2020-05-05T00:00:00Z', '2018-01-01'),
    (4, 'Runs, old invoice', 'c4@example.com', null, '2010-01-01');

insert into enquiries values
    (1, '2026-01-01T00:00:00Z', 'e1@example.com', 'closed at the end of March', '2026-03-31T22:00:00Z', null, null),
    (2, '2015-01-01T00:00:00Z', 'e2@example.com', 'open', null, null, null),
    (3, '2025-01-01T00:00:00Z', 'e3@example.com', 'open, consent withdrawn', null, '2026-03-10T10:00:00Z', null),
    (4, '2024-01-01T00:00:00Z', 'e4@example.com', 'closed, of a customer', '2025-01-01T00:00:00Z', null, 1),
    (5, '2024-01-01T00:00:00Z', 'e5@example.com', 'closed, of a former customer', '2025-01-01T00:00:00Z', null, 2);
-- Closed at the end of April, and restricted.
insert into enquiries values
    (6, '2026-01-01T00:00:00Z', 'e6@example.com', 'needed for a claim', '2026-04-30T22:00:00Z', null, null, 'R-2026-003');

insert into subscribers values
    (1, 's1@example.com', false, '2020-01-01T00:00:00Z', '2020-01-01T00:10:00Z', null, false, false),
    (2, 's2@example.com', false, '2026-03-15T01:30:00Z', null, null, false, false),
    (3, 's3@example.com', false, '2020-01-01T00:00:00Z', '2020-01-01T00:10:00Z', '2026-04-01T00:00:00Z', false, false),
    (4, 's4@example.com', false, null, null, null, false, false),
    -- A customer needs no confirmation.
    (5, 's5@example.com', true, '2020-01-01T00:00:00Z', null, null, false, false);

insert into webinar_registrations values
    (1, 'A', 'w1@example.com', '2026-02-26T09:00:00Z', null, true),
    (2, 'B', 'w2@example.com', '2027-12-01T09:00:00Z', '2026-04-01T00:00:00Z', true),
    (3, 'C', 'w3@example.com', null, null, true);

insert into marketing_contacts values
    (1, 'm1@example.com', '1', '2026-04-01T00:00:00Z', null, null, true, true, false),
    (2, 'm2@example.com', '2', null, null, '2026-04-01T00:00:00Z', true, true, false),
    (3, 'm3@example.com', '3', null, null, null, true, true, false),
    (4, 'm4@example.com', '4', null, '2026-04-01T00:00:00Z', null, true, true, false);

insert into applications (id, kind, received_at, outcome, decided_at, employment_ended_at, pool_consent_at, revoked_at, pool_allowed) values
    -- Rejected in Berlin on 31 August at 10:00, on 28 August at 10:00, on 29 September at 02:30, on 25 April at 02:30.
    (1, 'advertised', '2025-08-01T00:00:00Z', 'rejected', '2025-08-31T08:00:00Z', null, null, null, false),
    (2, 'advertised', '2025-08-01T00:00:00Z', 'rejected', '2025-08-28T08:00:00Z', null, null, null, false),
    (3, 'advertised', '2025-08-01T00:00:00Z', 'rejected', '2025-09-29T00:30:00Z', null, null, null, false),
    (4, 'advertised', '2025-08-01T00:00:00Z', 'rejected', '2026-04-25T00:30:00Z', null, null, null, false),
    -- Not decided, however old.
    (5, 'advertised', '2019-01-01T00:00:00Z', null, null, null, null, null, false),
    -- Employed; employed until the end of March.
    (6, 'advertised', '2019-01-01T00:00:00Z', 'hired', '2019-06-01T00:00:00Z', null, null, null, false),
    (7, 'advertised', '2019-01-01T00:00:00Z', 'hired', '2019-06-01T00:00:00Z', '2026-03-31T22:00:00Z', null, null, false),
    -- Agreed to longer storage on a leap day at 10:00 in Berlin.
    (8, 'advertised', '2024-01-01T00:00:00Z', 'rejected', '2024-02-29T09:00:00Z', null, '2024-02-29T09:00:00Z', null, true),
    -- Agreed, and withdrew within the six months after the rejection of 1 December, 10:00 in Berlin.
    (9, 'advertised', '2025-11-01T00:00:00Z', 'rejected', '2025-12-01T09:00:00Z', null, '2025-12-01T09:00:00Z', '2026-01-15T12:00:00Z', true),
    -- Unsolicited: on 15 April 2024 at 10:00 in Berlin; revoked.
    (10, 'unsolicited', '2024-04-15T08:00:00Z', null, null, null, null, null, false),
    (11, 'unsolicited', '2025-04-15T08:00:00Z', null, null, null, null, '2026-04-20T00:00:00Z', false),
    -- An outcome that the notice does not know; a rejection whose time was lost.
    (12, 'advertised', '2019-01-01T00:00:00Z', 'withdrawn', '2019-06-01T00:00:00Z', null, null, null, false),
    (13, 'advertised', '2019-01-01T00:00:00Z', 'rejected', null, null, null, null, false);

insert into application_documents values
    (1, 1, 'Curriculum vitae', 'canary'),
    (2, 9, 'Curriculum vitae', 'canary'),
    (3, 5, 'Curriculum vitae', 'canary'),
    (4, 12, 'Curriculum vitae', 'canary');
