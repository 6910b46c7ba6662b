-- Rows relative to now: those with a negative key are due, by a day at least; the others are not, by a day at least.

insert into contacts (id, email, relation_ended_at, suspended) values
    (-1, 'canary-examples', now() - interval '1 day', false),
    (1, 'canary-examples', now() - interval '1 day', false),
    (2, 'canary-examples', null, false);
-- A claim is open.
insert into claims values (1, 1, now() - interval '9 years', null);
insert into subscriptions (id, email, consent_at, unsubscribed_at, without_consent) values
    (-1, 'canary-examples', now() - interval '1 year', now() - interval '1 day', false),
    (1, 'canary-examples', now() - interval '1 year', null, false);
insert into profiles (id, username, contract_ends_on) values
    (-1, 'canary-examples', current_date - 2),
    (1, 'canary-examples', current_date + 2);
