-- Fills the tables of schema.sql: 200,000 log lines, 5,000 accounts, 12,000 contact requests. The same rows each time,
-- relative to now(); nothing is random.
--
-- `slack` is by how much a Maximum ends early under policy.yaml, in seconds. No row becomes due from 10 minutes before
-- now() to 60 minutes after it, so that a run within the hour has one right result. The last block checks that.

\set ON_ERROR_STOP on
set client_min_messages = warning;
\if :{?slack}
\else
    \set slack 5700
\endif

begin;
-- Ranges of time zones and of years are meant in the zone of the policy.
set local timezone = 'Asia/Jakarta';

truncate web_logs, accounts, contact_requests restart identity;

-- A log line logged at this instant is just due now.
create temporary table moment on commit drop as
    select now() as at,
           now() - interval '7 days' + make_interval(secs => :slack) as log_boundary,
           now() - interval '10 days' + make_interval(secs => :slack) as revocation_boundary,
           date_trunc('year', now())::date as new_year;

-- Log lines 1 to 60,000 are due, 60,001 to 199,900 are not, and of the last hundred nobody knows.
insert into web_logs (logged_at, client_address, request, status, bytes_sent, referrer, user_agent)
select case
           -- One instant for 5,000 lines, more than a batch: a log that was imported in bulk.
           when i <= 5000 then log_boundary - interval '30 days'
           when i <= 59980 then log_boundary - interval '20 minutes' - (59980 - i) * interval '40 seconds'
           -- 20 lines within minutes of the boundary on the side that goes ...
           when i <= 60000 then log_boundary - interval '10 minutes' - (60000 - i) * interval '30 seconds'
           -- ... and 20 as near on the side that stays as an hour for the run allows.
           when i <= 60020 then log_boundary + interval '61 minutes' + (i - 60001) * interval '30 seconds'
           when i <= 199900 then log_boundary + interval '72 minutes' + (i - 60021) * interval '4 seconds'
           -- Lost its time; written by a host whose clock is ahead; damaged by an import.
           when i <= 199940 then null
           when i <= 199970 then at + interval '3 days' + i * interval '1 second'
           when i <= 199990 then 'infinity'
           else '-infinity'
       end,
       case i % 20
           when 0 then null
           when 1 then format('203.0.113.%s', 1 + i % 254)::inet
           when 2 then format('198.51.100.%s', 1 + i % 254)::inet
           when 3 then '192.0.2.255'::inet
           -- Shortened already, as all of them should be.
           when 4 then '198.51.100.0'::inet
           when 5 then '192.0.2.0/24'::inet
           when 6 then '2001:db8:85a3::'::inet
           when 7 then '2001:db8:85a3::/48'::inet
           when 8 then '::ffff:203.0.113.0'::inet
           when 9 then format('2001:db8:85a3:8d3:1319:8a2e:370:%s', to_hex(1 + i % 65535))::inet
           when 10 then format('2001:db8:%s:1::1', to_hex(i % 65536))::inet
           -- IPv4 in the clothes of IPv6: it is an IPv4 address, and its last octet goes.
           when 11 then format('::ffff:203.0.113.%s', 1 + i % 254)::inet
           when 12 then '::1'::inet
           else format('203.0.%s.%s', i % 256, 1 + (i / 256) % 254)::inet
       end,
       format('GET /campaigns/%s', i % 977),
       (array[200, 200, 200, 304, 404])[1 + i % 5],
       500 + (i * 7919) % 90000,
       case when i % 3 = 0 then 'https://example.com/' end,
       (array['Mozilla/5.0 (X11; Linux x86_64)', 'curl/8.5.0'])[1 + i % 2]
from generate_series(1, 200000) as i, moment;

-- Accounts by state, i % 20 says which. 3,000 of 5,000 are in use.
insert into accounts (email, full_name, registered_at, revoked_at, last_invoiced_on, processing_restricted)
select format('user-%s@example.com', i), format('User %s', i), at - interval '12 years' + i * interval '10 hours',
       case
           when state <= 11 then null                                             -- in use
           when state = 12 then at - interval '2 days'                            -- within the ten days
           when state = 13 then at - interval '30 days'                           -- never invoiced: goes
           when state between 14 and 17 then at - interval '400 days'             -- decided by the books
           when state = 18 then (array['infinity', '-infinity']::timestamptz[])[1 + i / 20 % 2]
           when i / 20 % 10 = 0 then at + interval '30 days'                      -- typed a date to come
           when i / 20 % 10 <= 3 then revocation_boundary - interval '10 minutes' - i / 20 * interval '1 second'
           when i / 20 % 10 <= 6 then revocation_boundary + interval '61 minutes' + i / 20 * interval '1 second'
           else at - interval '5 days'
       end,
       case
           when state in (0, 1) then (at - interval '20 days')::date
           when state = 2 then new_year - interval '15 years'                     -- old books, but the account is in use
           when state = 14 then (at - interval '420 days')::date                  -- the books keep it
           when state = 15 then new_year - interval '10 years'                    -- New Year's Day: the books keep it
           when state = 16 then new_year - interval '10 years' - interval '1 day' -- New Year's Eve: they ended this year
           when state = 17 then 'infinity'                                        -- nobody knows
       end,
       state = 12 and i / 20 % 2 = 0
from (select i, i % 20 as state from generate_series(1, 5000) as i) as numbered, moment;

-- Contact requests: one every six hours for eight years, then a few that need care.
insert into contact_requests (submitted_at, email, message, purpose_lapsed_at)
select submitted_at, format('enquirer-%s@example.org', i), format('Enquiry %s', i),
       case
           when i % 50 = 7 then at - interval '1 day'                             -- closed for good: goes early
           when i % 50 = 8 then at + interval '90 days'                           -- will be closed
           when i % 50 = 9 then 'infinity'
       end
from generate_series(1, 11989) as i, moment, lateral (select at - i * interval '6 hours') as spread (submitted_at)
-- Nothing becomes due while the run is under way.
where submitted_at + interval '6 years' - make_interval(secs => :slack)
      not between at - interval '10 minutes' and at + interval '60 minutes';

insert into contact_requests (submitted_at, email, message, purpose_lapsed_at)
select submitted_at::timestamptz, 'enquirer@example.net', reason, lapsed_at
from moment, lateral (values
    ('2016-02-29 10:00', 'a leap day whose six years ended on 28 February 2022', null::timestamptz),
    ('2020-02-28 10:00', 'the day before a leap day', null),
    ('2020-02-29 10:00', 'a leap day whose six years ended on 28 February 2026', null),
    ('2020-02-29 23:59:59', 'the last second of a leap day', null),
    ('2020-03-01 00:00', 'the day after a leap day', null),
    ('2024-02-29 10:00', 'a leap day whose six years end on 28 February 2030', null),
    (null, 'its time was lost: kept and counted', null),
    (null, 'its time was lost, but its purpose has lapsed: goes', at - interval '3 days'),
    ('infinity', 'never submitted: kept and counted', null),
    ('-infinity', 'submitted before all time: kept and counted', null),
    ((at + interval '30 days')::text, 'submitted in the future: kept and counted', null)
) as odd (submitted_at, reason, lapsed_at);

-- The rows as they were, for expected.sql. `version` is PostgreSQL's own mark of who wrote a row last: a row that
-- nothing touched keeps it.
drop schema if exists original cascade;
create schema original;
create table original.web_logs as select *, xmin::text as version from web_logs;
create table original.accounts as select *, xmin::text as version from accounts;
create table original.contact_requests as select *, xmin::text as version from contact_requests;
create table original.loaded as select at from moment;
alter table original.web_logs add primary key (id);
alter table original.accounts add primary key (id);
alter table original.contact_requests add primary key (id);

-- No row changes sides while the demo runs, and the numbers that the comments give are right.
create temporary view due_times as
    select logged_at + interval '7 days' - make_interval(secs => :slack) as due_at from web_logs
    union all
    select revoked_at + interval '10 days' - make_interval(secs => :slack) from accounts
    union all
    select submitted_at + interval '6 years' - make_interval(secs => :slack) from contact_requests
    union all
    select purpose_lapsed_at from contact_requests;
do $$
begin
    if exists (select from due_times, moment
               where due_at between at - interval '9 minutes' and at + interval '60 minutes') then
        raise exception 'a row becomes due within the hour: the demo would not have one right result';
    end if;
    if (select count(*) from web_logs) <> 200000
       or (select count(*) from web_logs, moment where isfinite(logged_at) and logged_at <= log_boundary) <> 60000 then
        raise exception 'the log lines are not those that the comments describe';
    end if;
end
$$;

drop view due_times;
commit;

analyze web_logs, accounts, contact_requests;
