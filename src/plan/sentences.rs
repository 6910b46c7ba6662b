//! A rule in words, English and German: what a data protection officer reads beside the published promise.

use super::cascade;
use super::columns::related_rows;
use super::join_words;
use crate::api::data_retention_policy::{
    Bound, Condition, Delete, Ground, KeepNewest, MaskStrategy, OnMissingRelated, Operator, RelatedRows, RetentionRule,
    StartsAt, Then,
};
use crate::api::status::Sentence;
use crate::domain::period::Period;

/// Values of one condition that a sentence names; the spec has them all.
const NAMED_VALUES: usize = 3;

/// A language of the sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// The wording in this language.
    pub(crate) const fn pick<'a>(self, english: &'a str, german: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }
}

/// The rule in both languages.
#[must_use]
pub fn sentence(rule: &RetentionRule, table: &str) -> Sentence {
    Sentence {
        en: in_language(rule, table, Language::English),
        de: in_language(rule, table, Language::German),
    }
}

fn in_language(rule: &RetentionRule, table: &str, language: Language) -> String {
    let mut subject = format!("{} `{table}`", language.pick("A row of", "Eine Zeile von"));
    if !rule.rows.is_empty() {
        let conditions = conditions(&rule.rows, language);
        subject = match language {
            Language::English => format!("{subject} in which {conditions}"),
            Language::German => format!("{subject}, in der {conditions},"),
        };
    }
    if rule.always.is_some() {
        let action = action(rule.then.as_ref(), language);
        return format!(
            "{subject} {} {action}.",
            language.pick("is, as soon as it is seen,", "wird, sobald sie gesehen wird,")
        );
    }
    let grounds: Vec<String> = rule
        .keep_while
        .iter()
        .map(|ground| self::ground(ground, language))
        .chain(rule.keep_newest.iter().map(|newest| self::newest(newest, language)))
        .collect();
    let many = grounds.len() > 1;
    let reasons = match (many, language) {
        (false, _) if rule.keep_newest.is_some() => format!("{},", grounds.concat()),
        (false, _) => grounds.concat(),
        (true, Language::English) => format!("as long as any of these holds: {};", grounds.join("; ")),
        (true, Language::German) => format!("solange eines davon gilt: {};", grounds.join("; ")),
    };
    let comma = if reasons.starts_with("solange") { "," } else { "" };
    let kept = format!("{subject} {}{comma} {reasons}", language.pick("is kept", "bleibt"));
    if rule.then.is_none() {
        let protected = language.pick(
            "until then no other rule may delete or mask it",
            "bis dahin darf keine andere Regel sie löschen oder maskieren",
        );
        return format!("{}; {protected}.", kept.trim_end_matches(';'));
    }
    if !rule.keep_while.is_empty() && rule.keep_while.iter().all(never_ends) {
        return format!(
            "{kept}; {}.",
            language.pick(
                "by this rule nothing is ever due",
                "nach dieser Regel wird nie etwas fällig"
            )
        );
    }
    let then = language.pick("and is then", "und wird dann");
    format!("{kept} {then} {}.", action(rule.then.as_ref(), language))
}

fn newest(newest: &KeepNewest, language: Language) -> String {
    let per: Vec<String> = newest.per.iter().map(|column| format!("`{column}`")).collect();
    let per = join_words(&per, language.pick("and", "und"));
    let (count, order_by) = (newest.count, &newest.order_by);
    match (newest.per.is_empty(), language) {
        (true, Language::English) => format!("while it is among the newest {count} by `{order_by}`"),
        (true, Language::German) => format!("solange sie nach `{order_by}` zu den neuesten {count} gehört"),
        (false, Language::English) => {
            format!("while it is among the newest {count} by `{order_by}` with the same {per}, or {per} has no value")
        }
        (false, Language::German) => format!(
            "solange sie nach `{order_by}` zu den neuesten {count} mit gleichem Wert in {per} gehört oder {per} keinen Wert hat"
        ),
    }
}

/// Without an end and without a condition that could cease to hold.
fn never_ends(ground: &Ground) -> bool {
    ground.for_.is_none() && ground.until.is_empty() && ground.when.is_empty() && related_rows(ground).next().is_none()
}

fn action(then: Option<&Then>, language: Language) -> String {
    let Some(then) = then else { return String::new() };
    if let Some(delete) = &then.delete {
        return deleted(delete, language);
    }
    let columns: Vec<String> = then
        .mask
        .iter()
        .map(|mask| match (mask.strategy, language) {
            (MaskStrategy::Nullify, Language::English) => format!("`{}` is emptied", mask.column),
            (MaskStrategy::Nullify, Language::German) => format!("`{}` geleert", mask.column),
            (MaskStrategy::Pseudonymise, Language::English) => format!(
                "`{}` is replaced by a pseudonym (a keyed hash: equal values stay equal, and who has the key can find them again)",
                mask.column
            ),
            (MaskStrategy::Pseudonymise, Language::German) => format!(
                "`{}` durch ein Pseudonym ersetzt (ein Hash mit Schlüssel: gleiche Werte bleiben gleich, und wer den Schlüssel hat, findet sie wieder)",
                mask.column
            ),
            (MaskStrategy::TruncateIp, Language::English) => format!(
                "the address in `{}` is shortened to {} bits (IPv6: {})",
                mask.column,
                mask.ipv4_prefix.unwrap_or(24),
                mask.ipv6_prefix.unwrap_or(48)
            ),
            (MaskStrategy::TruncateIp, Language::German) => format!(
                "die Adresse in `{}` auf {} Bit gekürzt (IPv6: {})",
                mask.column,
                mask.ipv4_prefix.unwrap_or(24),
                mask.ipv6_prefix.unwrap_or(48)
            ),
        })
        .chain(then.set.iter().map(|set| match language {
            Language::English => format!("`{}` is set to `{}`", set.column, set.value),
            Language::German => format!("`{}` auf `{}` gesetzt", set.column, set.value),
        }))
        .collect();
    let changed = language.pick("changed: ", "geändert: ");
    format!("{changed}{}", join_words(&columns, language.pick("and", "und")))
}

fn deleted(delete: &Delete, language: Language) -> String {
    let (dependents, parents) = cascade::words(delete);
    let and = language.pick("and", "und");
    let mut text = match (dependents.is_empty(), language) {
        (true, _) => language.pick("deleted", "gelöscht").to_owned(),
        (false, Language::English) => {
            format!(
                "deleted with the rows of {} that hang on it",
                join_words(&dependents, and)
            )
        }
        (false, Language::German) => format!(
            "mit den Zeilen von {}, die an ihr hängen, gelöscht",
            join_words(&dependents, and)
        ),
    };
    if !parents.is_empty() {
        let parents = join_words(&parents, and);
        text = match language {
            Language::English => format!("{text}, and what {parents} led to goes when nothing points at it any more"),
            Language::German => {
                format!("{text}, und wohin {parents} führte, geht mit, sobald nichts mehr dorthin zeigt")
            }
        };
    }
    text
}

fn ground(ground: &Ground, language: Language) -> String {
    let mut words = Vec::new();
    if !ground.when.is_empty() {
        words.push(match language {
            Language::English => format!("while {}", conditions(&ground.when, language)),
            Language::German => format!("solange {}", conditions(&ground.when, language)),
        });
    }
    words.extend(ground.exists.iter().map(|rows| related(rows, true, language)));
    words.extend(ground.not_exists.iter().map(|rows| related(rows, false, language)));
    let ends: Vec<String> = period_end(ground, language)
        .into_iter()
        .chain(until(ground, language))
        .collect();
    let bound = match ground.bound() {
        Bound::Exact => "",
        Bound::Minimum => language.pick("at least ", "mindestens "),
        Bound::Maximum => language.pick("at most ", "höchstens "),
    };
    if !ends.is_empty() {
        words.push(format!(
            "{bound}{}",
            ends.join(language.pick(" or, if earlier, ", " oder, falls früher, "))
        ));
    } else if words.is_empty() {
        words.push(language.pick("without an end", "ohne Ende").to_owned());
    }
    let mut text = words.join(", ");
    let mut notes = Vec::new();
    if ground.begins_later {
        notes.push(
            language
                .pick(
                    "without limit as long as that has not happened",
                    "unbegrenzt, solange das nicht eingetreten ist",
                )
                .to_owned(),
        );
    }
    notes.extend(ground.on_missing_related.map(|missing| {
        let words = match missing {
            OnMissingRelated::Keep => (
                "it also holds where the related row is missing",
                "gilt auch, wenn die verknüpfte Zeile fehlt",
            ),
            OnMissingRelated::Ended => (
                "it has ended where the related row is missing",
                "gilt als beendet, wenn die verknüpfte Zeile fehlt",
            ),
        };
        language.pick(words.0, words.1).to_owned()
    }));
    if let Some(stated) = &ground.stated_as {
        notes.push(match language {
            Language::English => format!("the policy says \"{stated}\""),
            Language::German => format!("die Richtlinie sagt „{stated}“"),
        });
    }
    notes.extend(ground.legal_reference.clone());
    if !notes.is_empty() {
        text = format!("{text} ({})", notes.join("; "));
    }
    text
}

/// Rows of another dataset that are there, or are not.
fn related(rows: &RelatedRows, there: bool, language: Language) -> String {
    let dataset = &rows.dataset;
    let tie = match (&rows.relation, &rows.same, language) {
        (Some(relation), _, Language::English) => format!(" whose `{relation}` is this row"),
        (Some(relation), _, Language::German) => format!(", deren `{relation}` diese Zeile ist"),
        (None, same, Language::English) => format!(" with the same `{}`", same.as_deref().unwrap_or_default()),
        (None, same, Language::German) => format!(" mit demselben `{}`", same.as_deref().unwrap_or_default()),
    };
    let conditions = match (rows.when.is_empty(), language) {
        (true, _) => String::new(),
        (false, Language::English) => format!(" and in which {}", conditions(&rows.when, language)),
        (false, Language::German) => format!(" und in der {}", conditions(&rows.when, language)),
    };
    match (there, language) {
        (true, Language::English) => format!("while `{dataset}` has a row{tie}{conditions}"),
        (false, Language::English) => format!("while `{dataset}` has no row{tie}{conditions}"),
        (true, Language::German) => format!("solange es in `{dataset}` eine Zeile gibt{tie}{conditions}"),
        (false, Language::German) => format!("solange es in `{dataset}` keine Zeile gibt{tie}{conditions}"),
    }
}

fn period_end(ground: &Ground, language: Language) -> Option<String> {
    let (from, text) = (ground.from.as_ref()?, ground.for_.as_ref()?);
    let length = text
        .parse::<Period>()
        .map_or_else(|_| text.clone(), |length| period(length, language));
    let column = std::iter::once(from)
        .chain(&ground.from_fallback)
        .map(|column| format!("`{column}`"))
        .collect::<Vec<_>>()
        .join(language.pick(" or else ", " oder ersatzweise "));
    let start = match ground.starts_at.unwrap_or_default() {
        StartsAt::Event => column,
        StartsAt::EndOfDay => format!(
            "{} {column}",
            language.pick("the end of the day of", "dem Ende des Tages von")
        ),
        StartsAt::EndOfMonth => format!(
            "{} {column}",
            language.pick("the end of the month of", "dem Ende des Monats von")
        ),
        StartsAt::EndOfYear => format!(
            "{} {column}",
            language.pick("the end of the year of", "dem Ende des Jahres von")
        ),
    };
    Some(match language {
        Language::English => format!("until {length} after {start}"),
        Language::German => format!("bis {length} nach {start}"),
    })
}

fn until(ground: &Ground, language: Language) -> Option<String> {
    let columns: Vec<String> = ground.until.iter().map(|column| format!("`{column}`")).collect();
    (!columns.is_empty()).then(|| {
        let columns = join_words(&columns, language.pick("or", "oder"));
        format!("{} {columns}", language.pick("until", "bis"))
    })
}

fn conditions(conditions: &[Condition], language: Language) -> String {
    let words: Vec<String> = conditions
        .iter()
        .map(|condition| self::condition(condition, language))
        .collect();
    join_words(&words, language.pick("and", "und"))
}

fn condition(condition: &Condition, language: Language) -> String {
    let column = format!("`{}`", condition.column);
    let other = || match &condition.other_column {
        Some(other) => format!("`{other}`"),
        None => match condition.values.first().map(String::as_str) {
            Some("now") => language.pick("now", "jetzt").to_owned(),
            value => value.unwrap_or_default().to_owned(),
        },
    };
    let values = || {
        let mut words: Vec<String> = condition.values.iter().take(NAMED_VALUES).cloned().collect();
        let more = condition.values.len().saturating_sub(NAMED_VALUES);
        if more > 0 {
            words.push(match language {
                Language::English => format!("{more} more"),
                Language::German => format!("{more} weiteren"),
            });
        }
        join_words(&words, language.pick("or", "oder"))
    };
    match (condition.operator, language) {
        (Operator::In, Language::English) => format!("{column} is {}", values()),
        (Operator::In, Language::German) => format!("{column} gleich {} ist", values()),
        (Operator::NotIn, Language::English) => format!("{column} is not {}", values()),
        (Operator::NotIn, Language::German) => format!("{column} nicht gleich {} ist", values()),
        (Operator::Exists, Language::English) => format!("{column} has a value"),
        (Operator::Exists, Language::German) => format!("{column} einen Wert hat"),
        (Operator::DoesNotExist, Language::English) => format!("{column} has no value"),
        (Operator::DoesNotExist, Language::German) => format!("{column} keinen Wert hat"),
        (Operator::Before, Language::English) => format!("{column} is before {}", other()),
        (Operator::Before, Language::German) => format!("{column} vor {} liegt", other()),
        (Operator::NotBefore, Language::English) => format!("{column} is not before {}", other()),
        (Operator::NotBefore, Language::German) => format!("{column} nicht vor {} liegt", other()),
        (Operator::After, Language::English) => format!("{column} is after {}", other()),
        (Operator::After, Language::German) => format!("{column} nach {} liegt", other()),
        (Operator::NotAfter, Language::English) => format!("{column} is not after {}", other()),
        (Operator::NotAfter, Language::German) => format!("{column} nicht nach {} liegt", other()),
    }
}

/// A period in words.
fn period(period: Period, language: Language) -> String {
    let months = i64::from(period.months());
    let seconds = period.exact_part_seconds() - period.days() * 86_400;
    let mut words = count(months / 12, Unit::Year, language);
    words.extend(count(months % 12, Unit::Month, language));
    words.extend(count(period.days(), Unit::Day, language));
    words.extend(clock(seconds, language));
    words.join(" ")
}

/// A number of seconds in words, in days, hours, minutes and seconds; the two largest units.
#[must_use]
pub fn duration(seconds: i64, language: Language) -> String {
    let mut words = count(seconds / 86_400, Unit::Day, language);
    words.extend(clock(seconds % 86_400, language));
    words.truncate(2);
    if words.is_empty() {
        language.pick("0 seconds", "0 Sekunden").to_owned()
    } else {
        words.join(" ")
    }
}

fn clock(seconds: i64, language: Language) -> Vec<String> {
    let mut words = count(seconds / 3600, Unit::Hour, language);
    words.extend(count(seconds / 60 % 60, Unit::Minute, language));
    words.extend(count(seconds % 60, Unit::Second, language));
    words
}

#[derive(Clone, Copy)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

fn count(number: i64, unit: Unit, language: Language) -> Vec<String> {
    let (one, many, eins, viele) = match unit {
        Unit::Year => ("year", "years", "Jahr", "Jahre"),
        Unit::Month => ("month", "months", "Monat", "Monate"),
        Unit::Day => ("day", "days", "Tag", "Tage"),
        Unit::Hour => ("hour", "hours", "Stunde", "Stunden"),
        Unit::Minute => ("minute", "minutes", "Minute", "Minuten"),
        Unit::Second => ("second", "seconds", "Sekunde", "Sekunden"),
    };
    match number {
        0 => Vec::new(),
        1 => vec![format!("1 {}", language.pick(one, eins))],
        number => vec![format!("{number} {}", language.pick(many, viele))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(yaml: &str) -> RetentionRule {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn rules_read_as_sentences_in_both_languages() {
        let rules = [
            "{name: a, dataset: d, keepWhile: [{name: age, from: requested_at, for: P7D, bound: Maximum}], then: {delete: {}}}",
            "{name: b, dataset: d, always: {}, then: {mask: [{column: ip, strategy: TruncateIp}, {column: agent, strategy: Nullify}]}}",
            r#"{name: c, dataset: d, rows: [{column: cross_device, operator: In, values: ["false"]}],
               keepWhile: [
                 {name: claims, when: [{column: outcome, operator: In, values: [a, b, c, d, e]}], from: done_at, for: P6M, startsAt: EndOfDay, bound: Minimum, legalReference: "§ 147(3) AO"},
                 {name: open, when: [{column: outcome, operator: DoesNotExist}]},
                 {name: pool, from: consent_at, fromFallback: [created_at], for: P1Y6M, until: [withdrawn_at, deleted_at], beginsLater: true}],
               then: {set: [{column: blocked, value: "true"}]}}"#,
            "{name: d, dataset: d, keepWhile: [{name: law, from: paid_at, startsAt: EndOfYear, for: P8Y, bound: Minimum}]}",
            r#"{name: e, dataset: d, keepWhile: [{name: vague, statedAs: "a reasonable time"}], then: {delete: {}}}"#,
            r"{name: g, dataset: d, keepWhile: [
                 {name: letters, exists: {dataset: letters, relation: reader, when: [{column: withdrawn_at, operator: DoesNotExist}]}},
                 {name: contract, from: contract.ended_at, for: P90D, onMissingRelated: Ended},
                 {name: consent, notExists: {dataset: refusals, same: user}}], then: {delete: {}}}",
            "{name: h, dataset: d, keepNewest: {count: 1000, per: [user_id], orderBy: at}, then: {delete: {}}}",
            "{name: i, dataset: d, keepWhile: [{name: age, from: at, for: P1Y}], keepNewest: {count: 5, per: [], orderBy: at}, then: {delete: {}}}",
            r"{name: j, dataset: d, keepWhile: [{name: age, from: at, for: P1Y}],
               then: {delete: {dependents: [{dataset: files, relation: letter}, {dataset: pages, relation: file}], emptyParents: [{relation: sender}, {dataset: people, relation: firm}]}}}",
            r"{name: k, dataset: d, always: {}, then: {mask: [{column: member, strategy: Pseudonymise, keySecretRef: {name: keys, key: key}}, {column: agent, strategy: Nullify}]}}",
            "{name: f, dataset: d, keepWhile: [{name: x, when: [{column: until_at, operator: After, values: [now]}]}], then: {delete: {}}}",
        ];
        let sentences: Vec<Sentence> = rules.iter().map(|text| sentence(&rule(text), "public.d")).collect();
        insta::assert_yaml_snapshot!(sentences);
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(7500, Language::English), "2 hours 5 minutes");
        assert_eq!(duration(86_400 * 3 + 61, Language::English), "3 days 1 minute");
        assert_eq!(duration(3600, Language::German), "1 Stunde");
        assert_eq!(duration(0, Language::English), "0 seconds");
    }
}
