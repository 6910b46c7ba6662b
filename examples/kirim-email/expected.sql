-- What must be left after a run, written as plain SQL from the text of the privacy policy: other code than the
-- operator's. It compares every row and says how many are missing, surplus or wrong.
--
--   psql -v as_of='2026-11-22 10:00:00+00' -v slack=5700 -f expected.sql
--
-- `as_of` is the time of the run by the clock of the store (status.runs[].startedAt), `slack` by how many seconds a
-- Maximum ends early (status.slackSeconds). It reads the tables and their copies in the schema `original`, and
-- leaves its answers as views in the schema `expectation`.

\set ON_ERROR_STOP on

set client_min_messages = warning;
begin;

drop schema if exists expectation cascade;
create schema expectation;
create table expectation.parameters as
    select :'as_of'::timestamptz as as_of, make_interval(secs => :slack) as slack;

do $$
begin
    if (select as_of not between at - interval '9 minutes' and at + interval '59 minutes'
        from expectation.parameters, original.loaded) then
        raise exception 'the data was loaded more than an hour before the run: load data.sql again';
    end if;
end
$$;

-- The network part of an address. IPv4: the last octet becomes 0, by text. IPv6: 48 bits stay, by a mask.
create function expectation.shortened(address inet) returns inet language sql immutable as $$
    select case
        when family(address) = 4 or address <<= '::ffff:0:0/96'
            then set_masklen(regexp_replace(host(address), '[0-9]+$', '0')::inet, masklen(address))
        else set_masklen(address & inet 'ffff:ffff:ffff::', masklen(address))
    end
$$;

-- Calendar years are added on the wall clock of the zone of the policy.
create function expectation.years_later(start timestamptz, years int) returns timestamptz language sql stable as $$
    select (start at time zone 'Asia/Jakarta' + make_interval(years => years)) at time zone 'Asia/Jakarta'
$$;

-- Logs: at most seven days. No time, infinite, or in the future: kept.
create view expectation.web_logs as
    select row.id,
           coalesce(isfinite(row.logged_at) and row.logged_at <= as_of
                    and row.logged_at + interval '7 days' - slack <= as_of, false) as goes,
           expectation.shortened(row.client_address) as client_address,
           coalesce(expectation.shortened(row.client_address) <> row.client_address, false) as changes
    from original.web_logs as row, expectation.parameters;

-- Accounts: at most ten days after the revocation, unless the books of ten calendar years say otherwise.
create view expectation.accounts as
    select row.id,
           coalesce(isfinite(row.revoked_at) and row.revoked_at <= as_of
                    and row.revoked_at + interval '10 days' - slack <= as_of, false)
           and (row.last_invoiced_on is null
                or isfinite(row.last_invoiced_on) and row.last_invoiced_on <= as_of
                   and make_date(extract(year from row.last_invoiced_on)::int + 11, 1, 1)::timestamp
                       at time zone 'Asia/Jakarta' <= as_of) as goes,
           row.processing_restricted or coalesce(row.revoked_at <= as_of, false) as processing_restricted,
           not row.processing_restricted and coalesce(row.revoked_at <= as_of, false) as changes
    from original.accounts as row, expectation.parameters;

-- Contact requests: up to six years, or until the purpose lapsed, whichever comes first.
create view expectation.contact_requests as
    select row.id,
           coalesce(isfinite(row.submitted_at) and row.submitted_at <= as_of
                    and expectation.years_later(row.submitted_at, 6) - slack <= as_of, false)
           or coalesce(row.purpose_lapsed_at <= as_of, false) as goes
    from original.contact_requests as row, expectation.parameters;

-- By rule: rows that are due before a run, each rule for itself, and rows that a run touches, since a row that was
-- deleted need not be masked any more.
create view expectation.rules as
    select 1 as position, 'log-retention' as rule, count(*) filter (where goes) as due, count(*) filter (where goes) as affected
    from expectation.web_logs
    union all
    select 2, 'log-addresses', count(*) filter (where changes), count(*) filter (where changes and not goes)
    from expectation.web_logs
    union all
    select 3, 'revoked-accounts', count(*) filter (where goes), count(*) filter (where goes)
    from expectation.accounts
    union all
    select 4, 'restrict-revoked-accounts', count(*) filter (where changes), count(*) filter (where changes and not goes)
    from expectation.accounts
    union all
    select 5, 'contact-requests', count(*) filter (where goes), count(*) filter (where goes)
    from expectation.contact_requests;

-- Row by row. missing: should be there and is not. surplus: should be gone and is not. wrong: is there, with a value
-- other than it should have, in any column. rewritten: was right as it was, and was written all the same.
create view expectation.comparison as
    select 'web_logs' as "table",
           (select count(*) from original.web_logs) as before,
           (select count(*) from public.web_logs) as now,
           count(*) filter (where expected.goes is false and actual.id is null) as missing,
           count(*) filter (where expected.goes is not false and actual.id is not null) as surplus,
           count(*) filter (where not expected.goes and actual.id is not null
                            and (actual.client_address is distinct from expected.client_address
                                 or (actual.logged_at, actual.request, actual.status, actual.bytes_sent, actual.referrer, actual.user_agent)
                                    is distinct from (old.logged_at, old.request, old.status, old.bytes_sent, old.referrer, old.user_agent))) as wrong,
           count(*) filter (where not expected.goes and not expected.changes and actual.xmin::text <> old.version) as rewritten
    from expectation.web_logs as expected
    join original.web_logs as old using (id)
    full join public.web_logs as actual using (id)
    union all
    select 'accounts',
           (select count(*) from original.accounts),
           (select count(*) from public.accounts),
           count(*) filter (where expected.goes is false and actual.id is null),
           count(*) filter (where expected.goes is not false and actual.id is not null),
           count(*) filter (where not expected.goes and actual.id is not null
                            and (actual.processing_restricted is distinct from expected.processing_restricted
                                 or (actual.email, actual.full_name, actual.registered_at, actual.revoked_at, actual.last_invoiced_on)
                                    is distinct from (old.email, old.full_name, old.registered_at, old.revoked_at, old.last_invoiced_on))),
           count(*) filter (where not expected.goes and not expected.changes and actual.xmin::text <> old.version)
    from expectation.accounts as expected
    join original.accounts as old using (id)
    full join public.accounts as actual using (id)
    union all
    select 'contact_requests',
           (select count(*) from original.contact_requests),
           (select count(*) from public.contact_requests),
           count(*) filter (where expected.goes is false and actual.id is null),
           count(*) filter (where expected.goes is not false and actual.id is not null),
           count(*) filter (where not expected.goes and actual.id is not null
                            and (actual.submitted_at, actual.email, actual.message, actual.purpose_lapsed_at)
                                is distinct from (old.submitted_at, old.email, old.message, old.purpose_lapsed_at)),
           count(*) filter (where not expected.goes and actual.xmin::text <> old.version)
    from expectation.contact_requests as expected
    join original.contact_requests as old using (id)
    full join public.contact_requests as actual using (id);

-- Whether a run that may not write (Observe) wrote anything.
create view expectation.untouched as
    select (select count(*) from original.web_logs as old full join public.web_logs as actual using (id)
            where old.version is distinct from actual.xmin::text)
         + (select count(*) from original.accounts as old full join public.accounts as actual using (id)
            where old.version is distinct from actual.xmin::text)
         + (select count(*) from original.contact_requests as old full join public.contact_requests as actual using (id)
            where old.version is distinct from actual.xmin::text) as rows_touched;

commit;
