-- Rows relative to now: those with a negative key are due, by a day at least; the others are not, by a day at least.

insert into users (id, email, deletion_requested_at, status, marketing_mail) values
    (1, 'canary-examples', null, 'active', true),
    (2, 'canary-examples', now() - interval '1 day', 'active', true);
insert into teams (id, deleted_at) values (-1, now() - interval '1 day'), (1, null);
insert into team_memberships values (-1, -1, 1, 'member'), (-2, 1, 2, 'member'), (1, 1, 1, 'member');
insert into clusters values (-1, -1, 'one', 'canary-examples'), (1, 1, 'two', 'canary-examples');
insert into sessions (id, user_id, created_at, last_active_at) values
    (-1, 1, now() - interval '90 days', now() - interval '61 days'),
    (1, 1, now() - interval '90 days', now() - interval '59 days');
insert into api_tokens (id, user_id, issued_at, last_used_at) values
    (-1, 1, now() - interval '31 days', now()),
    (1, 1, now() - interval '29 days', null);
-- With one more than 1000 the oldest is due, at any time.
insert into activity_log select number, 1, 'scale', now() - interval '2 days' from generate_series(1, 1000) as number;
insert into activity_log values (-1, 1, 'login', now() - interval '3 days');
