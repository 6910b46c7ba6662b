-- Rows relative to now: those with a negative key are due, by a day at least; the others are not, by a day at least.

insert into applications (id, kind, received_at, outcome, decided_at, revoked_at, pool_allowed) values
    (-1, 'advertised', now() - interval '2 years', 'rejected', now() - interval '7 months', null, false),
    (1, 'advertised', now() - interval '2 years', 'rejected', now() - interval '5 months', null, false),
    (2, 'advertised', now() - interval '9 years', null, null, null, false),
    (-2, 'unsolicited', now() - interval '25 months', null, null, null, false),
    (3, 'unsolicited', now() - interval '23 months', null, null, null, false),
    (-3, 'unsolicited', now() - interval '2 months', null, null, now() - interval '1 day', false);
insert into application_documents values (-1, -1, 'Curriculum vitae', 'canary-examples'), (1, 1, 'Curriculum vitae', 'canary-examples');

insert into enquiries (id, closed_at) values (-1, now() - interval '1 day'), (1, now() + interval '1 day'), (2, null);

insert into linkedin_events (id, collected_at, member_id, client_address) values
    (-1, now() - interval '181 days', 'canary-examples', '198.51.100.0'),
    (1, now() - interval '6 days', 'canary-examples', '198.51.100.0');
