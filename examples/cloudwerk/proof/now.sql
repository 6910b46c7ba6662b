-- Rows relative to now: those with a negative key are due, by a day at least; the others are not, by a day at least.

insert into map_consents (id, visitor, granted_at) values
    (-1, 'canary-examples', now() - interval '367 days'),
    (1, 'canary-examples', now() - interval '360 days');
insert into installations values (1, 'community');
insert into telemetry_consents values (1, 1, now() - interval '10 days', null);
insert into telemetry (id, installation_id, recorded_at, feature) values
    (-1, 1, now() - interval '11 days', 'canary-examples'),
    (1, 1, now() - interval '9 days', 'canary-examples');
insert into contracts values
    (-1, 'canary-examples', now() - interval '1 day', null, false),
    (1, 'canary-examples', now() + interval '1 day', null, false);
