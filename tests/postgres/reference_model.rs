//! The semantics, written a second time: one row, one ground, one rule at a time, with nothing but a calendar.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp, ToSpan};

use crate::reference_cases::{
    Action, Case, Condition, Ground, Hold, Kids, Newest, Other, PARENT, Parent, Person, Row, Rule, Time,
};

/// By id: what no rule writes, and `m`, `m2` and `s`.
pub type State = BTreeMap<i32, (String, Option<String>, Option<String>, Option<bool>)>;

/// The end of a run, and what it and a second one report by rule: affected, without start event, undetermined, no
/// ground applies, missing a related row, still due, held.
pub struct Expected {
    pub state: State,
    pub counts: Vec<[i64; 7]>,
    pub again: Vec<[i64; 7]>,
    /// Rows that are kept by one thing alone, by what that is.
    pub kept: BTreeMap<String, usize>,
}

/// How a ground stands to a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    DoesNotApply,
    Ended,
    Holds,
    /// It holds, since nobody knows when it began.
    WithoutStart,
    /// It holds, since its start is no time that has been.
    Undetermined,
    /// It holds, since a row that it needs is missing, and nobody said what that means.
    Misses,
    /// An end of it has passed, but whether it ever applied cannot be told. The first: nobody said what that means.
    EndedUntold,
    EndedUnsure,
}

impl Standing {
    fn holds(self) -> bool {
        !matches!(
            self,
            Self::DoesNotApply | Self::Ended | Self::EndedUntold | Self::EndedUnsure
        )
    }
}

/// A time column's value as the semantics see it.
#[derive(Clone, Copy)]
enum Seen {
    /// The row that would have it is not there.
    Missing,
    Null,
    Infinite,
    Instant(Timestamp),
    Date(Date),
}

fn first_instant(date: Date, zone: &TimeZone) -> Timestamp {
    zone.to_ambiguous_zoned(date.at(0, 0, 0, 0))
        .compatible()
        .unwrap()
        .timestamp()
}

fn parent<'a>(case: &'a Case, row: &Row) -> Option<&'a Parent> {
    case.parents.get(usize::try_from(row.p?).unwrap())
}

fn time(case: &Case, row: &Row, column: usize) -> Option<Time> {
    if column == PARENT {
        return parent(case, row).map(|parent| parent.at);
    }
    Some(row.times[column])
}

fn see(case: &Case, row: &Row, column: usize) -> Seen {
    let Some(time) = time(case, row, column) else {
        return Seen::Missing;
    };
    let text = match time {
        Time::Null => return Seen::Null,
        Time::Infinity | Time::MinusInfinity => return Seen::Infinite,
        time => case.text(column, time).unwrap(),
    };
    match column {
        0 | 1 | PARENT => Seen::Instant(text.parse().unwrap()),
        2 => {
            let wall: DateTime = text.parse().unwrap();
            Seen::Instant(
                case.column_time_zone()
                    .to_ambiguous_zoned(wall)
                    .later()
                    .unwrap()
                    .timestamp(),
            )
        }
        _ => Seen::Date(text.parse().unwrap()),
    }
}

/// The end of a period that began with this event.
fn end_of_period(case: &Case, ground: &Ground, period: Span, event: Seen) -> Timestamp {
    let zone = case.time_zone();
    let calendar = Span::new().years(period.get_years()).months(period.get_months());
    let exact = (period.get_weeks() * 7 + period.get_days()) * 24 + period.get_hours();
    let begin = |date: Date| first_instant(date, &zone);
    let instant = match event {
        Seen::Instant(at) => at,
        // At any time of that day: for what must not go early at its end, for what must not be late at its beginning.
        Seen::Date(date) => {
            let whole = i64::from(ground.bound != "Maximum");
            first_instant(date.checked_add(whole.days()).unwrap(), &case.column_time_zone())
        }
        Seen::Missing | Seen::Null | Seen::Infinite => unreachable!("not an event"),
    };
    let day = match event {
        Seen::Date(date) => date,
        _ => instant.to_zoned(zone.clone()).date(),
    };
    let start = match ground.starts_at {
        "Event" => instant,
        "EndOfMonth" => begin(day.last_of_month().tomorrow().unwrap()),
        "EndOfYear" => begin(day.last_of_year().tomorrow().unwrap()),
        _ => {
            let last = day.checked_add(calendar).unwrap();
            return begin(last.checked_add((exact / 24 + 1).days()).unwrap());
        }
    };
    let after_months = start.to_zoned(zone.clone()).checked_add(calendar).unwrap().timestamp();
    // Nothing to add: not even by the clock on the wall, which may show the time twice.
    let after_months = if calendar.fieldwise() == SpanFieldwise(Span::new()) {
        start
    } else {
        after_months
    };
    after_months + exact.hours()
}

/// The kids that a ground asks for are there, or are not.
fn kids_fit(case: &Case, row: &Row, id: i32, kids: &Kids) -> bool {
    let instant = |column: usize, time: Time| match time {
        Time::Null => None,
        Time::Infinity => Some(Timestamp::MAX),
        Time::MinusInfinity => Some(Timestamp::MIN),
        time => Some(case.text(column, time).unwrap().parse::<Timestamp>().unwrap()),
    };
    let found = case.kids.iter().any(|kid| {
        let tied = if kids.same {
            row.p.is_some() && kid.parent == row.p
        } else {
            kid.row == Some(id)
        };
        let late = match (instant(PARENT, kid.at), instant(1, row.times[1])) {
            (Some(at), Some(b)) => at >= b,
            _ => false,
        };
        tied && (kids.e.is_none() || kid.e == kids.e) && (late || !kids.not_before_b)
    });
    found == kids.there
}

fn stands(case: &Case, row: &Row, id: i32, ground: &Ground) -> Standing {
    let conditions: Vec<Option<bool>> = ground
        .when
        .iter()
        .map(|condition| holds(case, row, condition))
        .collect();
    let fits = ground.kids.as_ref().is_none_or(|kids| kids_fit(case, row, id, kids));
    if conditions.contains(&Some(false)) || !fits {
        return Standing::DoesNotApply;
    }
    let seen: Vec<Seen> = ground.until.iter().map(|column| see(case, row, *column)).collect();
    let over = seen.iter().any(|seen| match seen {
        Seen::Missing | Seen::Null | Seen::Infinite => false,
        Seen::Instant(at) => *at <= case.now,
        Seen::Date(date) => first_instant(date.tomorrow().unwrap(), &case.column_time_zone()) <= case.now,
    });
    let by_start = ground.period.map(|period| by_start(case, row, ground, period));
    let untold = conditions.contains(&None);
    let missing = untold || seen.iter().any(|seen| matches!(seen, Seen::Missing)) || by_start == Some(Standing::Misses);
    let ended = over || by_start == Some(Standing::Ended);
    match (missing, ground.on_missing) {
        (true, Some("Ended")) => Standing::Ended,
        (_, Some(_)) if ended && untold => Standing::EndedUnsure,
        (_, None) if ended && untold => Standing::EndedUntold,
        _ if ended => Standing::Ended,
        (true, Some(_)) => Standing::Holds,
        (true, None) => Standing::Misses,
        (false, _) => by_start.unwrap_or(Standing::Holds),
    }
}

/// How the ground stands by its period alone.
fn by_start(case: &Case, row: &Row, ground: &Ground, period: &str) -> Standing {
    let starts = ground.from.iter().map(|column| see(case, row, *column));
    let event = match starts.into_iter().find(|seen| !matches!(seen, Seen::Null)) {
        None if ground.begins_later => return Standing::Holds,
        None => return Standing::WithoutStart,
        Some(Seen::Missing) => return Standing::Misses,
        Some(Seen::Infinite) => return Standing::Undetermined,
        Some(Seen::Instant(at)) if at > case.now => return Standing::Undetermined,
        Some(Seen::Date(date)) if first_instant(date, &case.column_time_zone()) > case.now => {
            return Standing::Undetermined;
        }
        Some(event) => event,
    };
    let end = end_of_period(case, ground, period.parse().unwrap(), event);
    let early = if ground.bound == "Maximum" {
        case.slack_seconds
    } else {
        0
    };
    if end - early.seconds() <= case.now {
        Standing::Ended
    } else {
        Standing::Holds
    }
}

/// Whether a condition holds; `None` where the row that it asks is missing.
fn holds(case: &Case, row: &Row, condition: &Condition) -> Option<bool> {
    Some(match condition {
        Condition::ParentValues(inside, values) => {
            parent(case, row)?.e.is_some_and(|value| values.contains(&value)) == *inside
        }
        Condition::ParentExists(there) => parent(case, row)?.e.is_some() == *there,
        Condition::Values(column, inside, values) => {
            let value = match *column {
                "e" => row.e.map(String::from),
                "f" => row.f.map(|f| f.to_string()),
                _ => row.g.map(|g| g.to_string()),
            };
            value.is_some_and(|value| values.contains(&value.as_str())) == *inside
        }
        Condition::Exists(column, there) => {
            let null = match *column {
                "e" => row.e.is_none(),
                "f" => row.f.is_none(),
                "g" => row.g.is_none(),
                time => {
                    let column = usize::from(time.as_bytes()[0] - b'a');
                    matches!(row.times[column], Time::Null)
                }
            };
            null != *there
        }
        Condition::Compare(column, operator, other) => {
            // Infinities compare as what they are.
            let order = |column: usize| match (time(case, row, column)?, see(case, row, column)) {
                (Time::Infinity, _) => Some(Some(Timestamp::MAX)),
                (Time::MinusInfinity, _) => Some(Some(Timestamp::MIN)),
                (_, Seen::Instant(at)) => Some(Some(at)),
                _ => Some(None),
            };
            let right = match other {
                Other::Now => Some(case.now),
                Other::At(at) => Some(*at),
                Other::Column(other) => order(*other)?,
            };
            let (Some(left), Some(right)) = (order(*column)?, right) else {
                return Some(false);
            };
            match *operator {
                "Before" => left < right,
                "NotBefore" => left >= right,
                "After" => left > right,
                _ => left <= right,
            }
        }
    })
}

/// Whether the rule is about the row; `None` where that depends on a row that is missing.
fn covers(case: &Case, row: &Row, rule: &Rule) -> Option<bool> {
    let conditions: Vec<Option<bool>> = rule.rows.iter().map(|condition| holds(case, row, condition)).collect();
    if conditions.contains(&Some(false)) {
        return Some(false);
    }
    (!conditions.contains(&None)).then_some(true)
}

/// Whether some ground of another rule keeps the row from this rule's action.
fn protected(case: &Case, row: &Row, id: i32, action: Action) -> bool {
    let may_cover = |rule: &&Rule| covers(case, row, rule) != Some(false);
    case.rules.iter().filter(may_cover).any(|rule| {
        let deletes_or_protects = matches!(rule.action, Action::Delete | Action::Protect);
        rule.grounds.iter().any(|ground| {
            let guards = match (action, ground.bound) {
                (Action::Set, _) | (_, "Maximum") => false,
                (_, "Minimum") => true,
                (Action::Delete, _) => deletes_or_protects,
                _ => false,
            };
            guards && stands(case, row, id, ground).holds()
        })
    })
}

fn standings(case: &Case, row: &Row, id: i32, rule: &Rule) -> Vec<Standing> {
    rule.grounds
        .iter()
        .map(|ground| stands(case, row, id, ground))
        .collect()
}

/// Values of a row's group; none where one of them is NULL.
fn group(row: &Row, newest: &Newest) -> Option<Vec<String>> {
    let value = |column: &&str| match *column {
        "e" => row.e.map(String::from),
        "f" => row.f.map(|f| f.to_string()),
        _ => row.g.map(|g| g.to_string()),
    };
    newest.per.iter().map(value).collect()
}

/// By this the rows of a group are in order: time, then key.
fn age(case: &Case, row: &Row, id: i32, newest: &Newest) -> (u8, Option<DateTime>, i32) {
    let (column, time) = (newest.order_by, row.times[newest.order_by]);
    let (class, text) = match time {
        Time::Null => (0, None),
        Time::MinusInfinity => (1, None),
        Time::Infinity => (3, None),
        time => (2, case.text(column, time)),
    };
    let wall = text.map(|text| match column {
        0 | 1 => TimeZone::UTC.to_datetime(text.parse().unwrap()),
        2 => text.parse().unwrap(),
        _ => text.parse::<Date>().unwrap().at(0, 0, 0, 0),
    });
    (class, wall, id)
}

/// Rows that a rule's `keepNewest` does not keep: so many newer rows of their group are there, counted among those that the
/// rule is about and that no other rule deletes. None: it keeps no newest.
fn beyond(case: &Case, rule: &Rule, there: &State) -> Option<BTreeSet<i32>> {
    let newest = rule.newest.as_ref()?;
    let deletes =
        |other: &&Rule| other.action == Action::Delete && other.newest.is_none() && !std::ptr::eq(*other, rule);
    let mut groups: BTreeMap<Vec<String>, Vec<_>> = BTreeMap::new();
    for (row, id) in case.rows.iter().zip(0..).filter(|(_, id)| there.contains_key(id)) {
        let goes = case
            .rules
            .iter()
            .filter(deletes)
            .any(|other| goes(case, row, id, other, None));
        if let (Some(group), Some(true), false) = (group(row, newest), covers(case, row, rule), goes) {
            groups.entry(group).or_default().push(age(case, row, id, newest));
        }
    }
    let mut beyond = BTreeSet::new();
    for rows in groups.values_mut() {
        rows.sort();
        rows.reverse();
        beyond.extend(rows.iter().skip(newest.count).map(|(_, _, id)| *id));
    }
    Some(beyond)
}

/// Due, whether or not a hold binds it.
fn due(case: &Case, row: &Row, id: i32, rule: &Rule, beyond: Option<&BTreeSet<i32>>) -> bool {
    let standings = standings(case, row, id, rule);
    let over = standings.contains(&Standing::Ended) && !standings.iter().any(|standing| standing.holds());
    covers(case, row, rule) == Some(true)
        && (rule.grounds.is_empty() || over)
        && !protected(case, row, id, rule.action)
        && beyond.is_none_or(|beyond| beyond.contains(&id))
}

fn goes(case: &Case, row: &Row, id: i32, rule: &Rule, beyond: Option<&BTreeSet<i32>>) -> bool {
    due(case, row, id, rule, beyond) && !case.holds.iter().any(|hold| binds(case, row, hold).is_some())
}

/// What of the hold binds the row.
fn binds(case: &Case, row: &Row, hold: &Hold) -> Option<&'static str> {
    match hold {
        Hold::Where(conditions) => {
            let all = conditions
                .iter()
                .all(|condition| holds(case, row, condition) == Some(true));
            all.then_some("hold on rows")
        }
        Hold::Of(person) => is_of(case, row, person),
    }
}

/// In doubt the row is the person's: whoever wrote the value did not mean the blanks around it, nor capitals; and a row that
/// points at nobody who is there may have been anybody's.
fn is_of(case: &Case, row: &Row, person: &Person) -> Option<&'static str> {
    let same = |identity: &str, value: Option<&str>| {
        let plain = |text: &str| text.trim().to_lowercase();
        !plain(identity).is_empty() && value.is_some_and(|value| plain(value) == plain(identity))
    };
    let number = row.g.map(|g| g.to_string());
    if person.e.is_some_and(|mail| same(mail, row.e)) {
        return Some("hold on a person's column");
    }
    if person.g.is_some_and(|identity| same(identity, number.as_deref())) {
        return Some("hold on a person's number");
    }
    match (person.through, row.p, parent(case, row)) {
        (Some(_), Some(_), None) => Some("hold on what may be a person's"),
        (Some(mail), _, Some(parent)) if same(mail, parent.e) => Some("hold on what points at a person"),
        _ => None,
    }
}

/// What keeps the row from a rule that is about it; nothing where it goes.
fn reasons(case: &Case, row: &Row, id: i32, rule: &Rule, beyond: Option<&BTreeSet<i32>>) -> Vec<String> {
    let standings = standings(case, row, id, rule);
    let grounds = rule.grounds.iter().zip(&standings);
    let holding = grounds.filter(|(_, standing)| standing.holds()).map(|(ground, _)| {
        let start = ground.period.map_or("no period", |_| ground.starts_at);
        let until = if ground.until.is_empty() { "" } else { ", until" };
        let kids = ground
            .kids
            .as_ref()
            .map_or("", |kids| if kids.there { ", exists" } else { ", not exists" });
        format!("{} ground, {start}{until}{kids}", ground.bound)
    });
    let mut reasons: Vec<String> = holding.collect();
    if reasons.is_empty() && !rule.grounds.is_empty() && !standings.contains(&Standing::Ended) {
        reasons.push("no ground that certainly applied".to_owned());
    }
    if protected(case, row, id, rule.action) {
        reasons.push("another rule".to_owned());
    }
    if beyond.is_some_and(|beyond| !beyond.contains(&id)) {
        reasons.push("newest".to_owned());
    }
    let holds = case.holds.iter().filter_map(|hold| binds(case, row, hold));
    reasons.extend(holds.map(str::to_owned));
    reasons
}

/// A mask or set that has been written is not written again.
fn is_done(rule: &Rule, values: &(String, Option<String>, Option<String>, Option<bool>)) -> bool {
    match rule.action {
        Action::Delete | Action::Protect => false,
        Action::Mask("m") => values.1.is_none(),
        Action::Mask(_) => values.2.is_none(),
        Action::Set => values.3 == Some(true),
    }
}

/// Rows that the rule keeps for want of certainty, among those that are there.
fn kept(case: &Case, rule: &Rule, there: &State) -> [i64; 5] {
    let mut counts = [0; 5];
    let beyond = beyond(case, rule, there);
    for (row, id) in case.rows.iter().zip(0..).filter(|(_, id)| there.contains_key(id)) {
        let standings = standings(case, row, id, rule);
        match covers(case, row, rule) {
            None => counts[3] += 1,
            Some(false) => {}
            Some(true) => {
                counts[0] += i64::from(standings.contains(&Standing::WithoutStart));
                counts[1] += i64::from(standings.contains(&Standing::Undetermined));
                let none = standings.iter().all(|standing| *standing == Standing::DoesNotApply);
                counts[2] += i64::from(!rule.grounds.is_empty() && none && rule.action != Action::Protect);
                // With an end that has passed it is missed only where no other ground is known to have applied.
                let applied = rule.grounds.iter().zip(&standings).any(|(ground, standing)| {
                    let told = ground
                        .when
                        .iter()
                        .all(|condition| holds(case, row, condition).is_some());
                    *standing != Standing::DoesNotApply && (told || ground.on_missing == Some("Ended"))
                });
                let untold = standings.contains(&Standing::EndedUntold) && !applied;
                counts[3] += i64::from(untold || standings.contains(&Standing::Misses));
                let held = case.holds.iter().any(|hold| binds(case, row, hold).is_some());
                let waits = rule.action != Action::Protect && !is_done(rule, &there[&id]);
                counts[4] += i64::from(held && waits && due(case, row, id, rule, beyond.as_ref()));
            }
        }
    }
    counts
}

/// What a run does with the table, deletes first.
pub fn expected(case: &Case, before: &State) -> Expected {
    let mut state = before.clone();
    let mut affected = vec![0; case.rules.len()];
    // What the newest are counted among is what other deletes leave.
    for (writes_values, newest) in [(false, false), (false, true), (true, false)] {
        for (rule, affected) in case.rules.iter().zip(&mut affected) {
            if !writes_values && newest != rule.newest.is_some() {
                continue;
            }
            let beyond = beyond(case, rule, &state);
            for (row, id) in case.rows.iter().zip(0..) {
                if !state.contains_key(&id) || !goes(case, row, id, rule, beyond.as_ref()) {
                    continue;
                }
                let changed = match (rule.action, state.get_mut(&id)) {
                    (Action::Delete, _) if !writes_values => state.remove(&id).is_some(),
                    (Action::Mask("m"), Some(values)) if writes_values => values.1.take().is_some(),
                    (Action::Mask(_), Some(values)) if writes_values => values.2.take().is_some(),
                    (Action::Set, Some(values)) if writes_values => values.3.replace(true) != Some(true),
                    _ => false,
                };
                *affected += i64::from(changed);
            }
        }
    }
    let report = |there: &State, affected: &[i64]| {
        let rules = case.rules.iter().zip(affected);
        let reported = rules.filter(|(rule, _)| !rule.foreign).map(|(rule, affected)| {
            let [start, undetermined, ground, missing, held] = kept(case, rule, there);
            [*affected, start, undetermined, ground, missing, 0, held]
        });
        reported.collect::<Vec<_>>()
    };
    Expected {
        counts: report(before, &affected),
        again: report(&state, &vec![0; case.rules.len()]),
        kept: kept_alone(case, before),
        state,
    }
}

/// Rows that one thing alone keeps from a rule that is about them.
fn kept_alone(case: &Case, before: &State) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for rule in case.rules.iter().filter(|rule| rule.action != Action::Protect) {
        let beyond = beyond(case, rule, before);
        for (row, id) in case.rows.iter().zip(0..) {
            if covers(case, row, rule) != Some(true) || is_done(rule, &before[&id]) {
                continue;
            }
            let mut reasons = reasons(case, row, id, rule, beyond.as_ref());
            if let (Some(reason), true) = (reasons.pop(), reasons.is_empty()) {
                *tally.entry(reason).or_default() += 1;
            }
        }
    }
    tally
}
