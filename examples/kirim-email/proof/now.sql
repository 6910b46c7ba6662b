-- Rows relative to now: those with a negative key are due, by a day at least; the others are not, by a day at least.

insert into web_logs (id, logged_at, client_address) overriding system value values
    (-1, now() - interval '8 days', '203.0.113.0'),
    (1, now() - interval '5 days', '203.0.113.0');
insert into accounts (id, email, registered_at, revoked_at, last_invoiced_on) overriding system value values
    (-1, 'canary-examples-1', now() - interval '9 years', now() - interval '11 days', null),
    (1, 'canary-examples-2', now() - interval '9 years', now() - interval '11 days', current_date - 400),
    (2, 'canary-examples-3', now() - interval '9 years', null, null);
insert into contact_requests (id, submitted_at) overriding system value values
    (-1, now() - interval '73 months'),
    (1, now() - interval '71 months');
