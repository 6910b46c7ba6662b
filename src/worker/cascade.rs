//! A row with what goes with it: dependents before it, in one transaction, and parents at which nothing points any more.
//! SEMANTICS 2.4 is the meaning.
//!
//! In the statements `t` is the row that a predicate speaks of, `c0`, `c1`, ... are rows on the way to it, and `x` is a row
//! that points at one of them.

use super::catalogue::{Reference, Table};
use super::holds;
use super::judge::{Judge, quoted};
use super::related::leads_to_one;
use super::sql::{Parameter, Sql};
use crate::contract::{PlannedRelation, Problem, Reason};

/// The tables of a rule's cascade.
pub struct Cascade<'a> {
    root: &'a Judge<'a>,
    /// Rows that hang on the rule's, in the order of the list.
    pub dependents: Vec<Node<'a>>,
    /// Rows at which the rule's point, in the order of the list.
    pub parents: Vec<Node<'a>>,
}

/// An entry of one of the two lists.
pub struct Node<'a> {
    of: usize,
    relation: &'a PlannedRelation,
    /// Judges rows of its table: by what protects them from being deleted.
    pub judge: Judge<'a>,
    declared: &'a [PlannedRelation],
}

impl<'a> Judge<'a> {
    /// What goes with the rows of the rule.
    pub fn cascade(&'a self) -> Result<Cascade<'a>, Problem> {
        let planned = &self.rule.cascade;
        let dependents = planned.dependents.iter().enumerate().map(|(index, dependent)| {
            let field = self.field(&format!("then.delete.dependents[{index}]"));
            self.node(dependent.of, &dependent.relation, &[], &field)
        });
        let parents = planned.parents.iter().enumerate().map(|(index, parent)| {
            let field = self.field(&format!("then.delete.emptyParents[{index}]"));
            self.node(parent.of, &parent.relation, &parent.pointed_at_by, &field)
        });
        let cascade = Cascade {
            root: self,
            dependents: dependents.collect::<Result<_, _>>()?,
            parents: parents.collect::<Result<_, _>>()?,
        };
        let refers_forward = |nodes: &[Node<'_>]| nodes.iter().enumerate().any(|(index, node)| node.of > index);
        if refers_forward(&cascade.dependents) || refers_forward(&cascade.parents) {
            let detail = "an entry hangs on one that comes after it";
            return Err(Problem::new(Reason::InvalidPlan, self.field("then.delete"), detail));
        }
        Ok(cascade)
    }

    fn node(
        &'a self,
        of: usize,
        relation: &'a PlannedRelation,
        declared: &'a [PlannedRelation],
        field: &str,
    ) -> Result<Node<'a>, Problem> {
        let table = self.other(relation, field)?;
        Ok(Node {
            of,
            relation,
            declared,
            judge: Judge {
                table,
                others: self.plan.on_table(&relation.schema, &relation.table).collect(),
                ..self.clone()
            },
        })
    }
}

impl Node<'_> {
    fn table(&self) -> String {
        self.judge.table.name.quoted()
    }

    /// Rows of this alias are tied to rows of the one before.
    fn tie(&self, before: &str, alias: &str) -> String {
        let pairs = self.relation.columns.iter();
        let pairs: Vec<String> = pairs
            .map(|(ours, theirs)| format!("{alias}.{} = {before}.{}", quoted(theirs), quoted(ours)))
            .collect();
        pairs.join(" AND ")
    }

    /// The foreign key is the relation of this entry, so that what it ties is known.
    fn is(&self, of: usize, reference: &Reference) -> bool {
        let mut theirs: Vec<(&String, &String)> =
            reference.columns.iter().map(|(theirs, ours)| (ours, theirs)).collect();
        let mut ours: Vec<(&String, &String)> = self
            .relation
            .columns
            .iter()
            .map(|(ours, theirs)| (ours, theirs))
            .collect();
        theirs.sort();
        ours.sort();
        self.of == of && self.judge.table.name == reference.table && theirs == ours
    }

    /// A ground of some rule of its table, or a hold, keeps the row `t` from being deleted.
    fn is_protected(&self, sql: &mut Sql) -> Result<(), Problem> {
        sql.push("(NOT ");
        holds::unheld(sql, self.judge.known(), self.judge.table, "t")?;
        for (rule, ground) in self.judge.protectors() {
            sql.push(" OR ");
            self.judge.protects(sql, rule, ground)?;
        }
        sql.push(")");
        Ok(())
    }

    fn may_be_protected(&self) -> bool {
        self.judge.protectors().next().is_some() || self.judge.legal_holds().next().is_some()
    }
}

/// A statement whose first two parameters are places.
fn with_places(text: &str) -> Sql {
    Sql {
        text: text.to_owned(),
        parameters: vec![Parameter::Texts(Vec::new()), Parameter::Texts(Vec::new())],
        ..Sql::default()
    }
}

/// The way from the row of the rule to an entry: the tables in between, and what ties them.
struct Way {
    from: Vec<String>,
    ties: Vec<String>,
}

impl Way {
    fn from(&self) -> String {
        self.from.concat()
    }

    fn ties(&self) -> String {
        self.ties.join(" AND ")
    }
}

impl<'a> Cascade<'a> {
    /// The judge of the rows of which an entry of a list speaks.
    fn of<'b>(&'b self, nodes: &'b [Node<'a>], node: &Node<'_>) -> &'b Judge<'a> {
        match node.of.checked_sub(1) {
            None => self.root,
            Some(before) => &nodes[before].judge,
        }
    }

    /// Every tie in it, with the judge of the table on this side.
    pub fn ties(&self) -> impl Iterator<Item = (&Judge<'a>, &PlannedRelation)> {
        let dependents = self
            .dependents
            .iter()
            .map(|node| (self.of(&self.dependents, node), node.relation));
        let parents = self.parents.iter().flat_map(|node| {
            let declared = node.declared.iter().map(|relation| (&node.judge, relation));
            std::iter::once((self.of(&self.parents, node), node.relation)).chain(declared)
        });
        dependents.chain(parents)
    }

    /// Every table that loses rows: its judge, what is to be known of foreign keys to it that the policy names, and the part
    /// of the spec that names it.
    pub fn members(&self) -> Vec<(&Judge<'a>, Vec<&Reference>, String)> {
        let named = |place: usize, table: &'a Table| {
            let listed = |reference: &&Reference| self.dependents.iter().any(|node| node.is(place, reference));
            table.references.iter().filter(listed).collect()
        };
        let mut all = vec![(self.root, named(0, self.root.table), "dataset".to_owned())];
        for (index, node) in self.dependents.iter().enumerate() {
            let field = format!("then.delete.dependents[{index}]");
            all.push((&node.judge, named(index + 1, node.judge.table), field));
        }
        for (index, node) in self.parents.iter().enumerate() {
            let child = &self.of(&self.parents, node).table.name;
            let itself = |reference: &&Reference| {
                let pairs =
                    |(theirs, ours): &(String, String)| node.relation.columns.contains(&(theirs.clone(), ours.clone()));
                reference.table == *child && reference.columns.iter().all(pairs)
            };
            let keys = node.judge.table.references.iter().filter(itself).collect();
            all.push((&node.judge, keys, format!("then.delete.emptyParents[{index}]")));
        }
        all
    }

    /// Each row hangs on one row, and leads to one parent; and the columns of every tie can be compared.
    pub fn check_ties(&self) -> Result<(), Problem> {
        for (index, node) in self.dependents.iter().enumerate() {
            let field = self.root.field(&format!("then.delete.dependents[{index}].relation"));
            let of = self.of(&self.dependents, node);
            of.tie(node.relation, node.judge.table, "x", &field)?;
            leads_to_one(of.table, node.relation.columns.iter().map(|(ours, _)| ours), &field)?;
        }
        for (index, node) in self.parents.iter().enumerate() {
            let field = self.root.field(&format!("then.delete.emptyParents[{index}].relation"));
            let of = self.of(&self.parents, node);
            of.tie(node.relation, node.judge.table, "x", &field)?;
            leads_to_one(
                node.judge.table,
                node.relation.columns.iter().map(|(_, theirs)| theirs),
                &field,
            )?;
            for relation in node.declared {
                node.judge
                    .tie(relation, self.root.other(relation, &field)?, "x", &field)?;
            }
        }
        self.order().map(|_| ())
    }

    /// Nothing goes with the row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dependents.is_empty() && self.parents.is_empty()
    }

    /// The way along a list to the entry at this place. The row of the rule is `root`; the rows on the way have the
    /// `prefix` and a number, the last one is `last`.
    fn way(nodes: &[Node<'_>], index: usize, root: &str, prefix: &str, last: &str) -> Way {
        let mut path = vec![index];
        while let Some(before) = path.last().and_then(|index| nodes[*index].of.checked_sub(1)) {
            path.push(before);
        }
        path.reverse();
        let mut way = Way {
            from: Vec::new(),
            ties: Vec::new(),
        };
        let mut before = root.to_owned();
        for (step, index) in path.iter().enumerate() {
            let alias = if step + 1 == path.len() {
                last.to_owned()
            } else {
                format!("{prefix}{}", step + 1)
            };
            way.from.push(format!(", {} AS {alias}", nodes[*index].table()));
            way.ties.push(nodes[*index].tie(&before, &alias));
            before = alias;
        }
        way
    }

    /// Every row that hangs on `t` may go with it: none is protected, and nothing but themselves points at any of them.
    pub fn may_go(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.not_pointed_at(sql, 0);
        for (index, node) in self.dependents.iter().enumerate() {
            self.not_pointed_at(sql, index + 1);
            if !node.may_be_protected() {
                continue;
            }
            // Within it `t` is the dependent, so the row of the rule goes by another name. It is named before the other.
            let columns = self.tied_columns();
            let way = Self::way(&self.dependents, index, "c0", "c", "t");
            sql.push(&format!(
                " AND NOT EXISTS (SELECT FROM (SELECT {columns}) AS c0{} WHERE {} AND ",
                way.from(),
                way.ties()
            ));
            node.is_protected(sql)?;
            sql.push(")");
        }
        Ok(())
    }

    /// Columns of the rule's row on which others hang.
    fn tied_columns(&self) -> String {
        let tied = self.dependents.iter().filter(|node| node.of == 0);
        let mut columns: Vec<String> = tied
            .flat_map(|node| node.relation.columns.iter().map(|(ours, _)| quoted(ours)))
            .collect();
        columns.sort();
        columns.dedup();
        let named: Vec<String> = columns.iter().map(|column| format!("t.{column} AS {column}")).collect();
        named.join(", ")
    }

    /// Nothing that does not hang on `t` as well points at the rows of a table: 0 for `t`, n for the nth entry.
    fn not_pointed_at(&self, sql: &mut Sql, place: usize) {
        let table = if place == 0 {
            self.root.table
        } else {
            self.dependents[place - 1].judge.table
        };
        let listed = |reference: &&Reference| self.dependents.iter().any(|node| node.is(place, reference));
        for reference in table.references.iter().filter(|reference| !listed(reference)) {
            let way = (place > 0).then(|| Self::way(&self.dependents, place - 1, "t", "c", "y"));
            let pointed = if place == 0 { "t" } else { "y" };
            let pairs = reference.columns.iter();
            let ties: Vec<String> = pairs
                .map(|(theirs, ours)| format!("x.{} = {pointed}.{}", quoted(theirs), quoted(ours)))
                .collect();
            sql.push(&format!(
                " AND NOT EXISTS (SELECT FROM {} AS x{} WHERE {}{}",
                reference.table.quoted(),
                way.as_ref().map(Way::from).unwrap_or_default(),
                ties.join(" AND "),
                way.as_ref()
                    .map(|way| format!(" AND {}", way.ties()))
                    .unwrap_or_default()
            ));
            for (index, node) in self.dependents.iter().enumerate() {
                if node.judge.table.name == reference.table {
                    self.hangs_on_it(sql, index);
                }
            }
            sql.push(")");
        }
    }

    /// ... unless `x`, a row of this entry's table, hangs on `t` itself.
    fn hangs_on_it(&self, sql: &mut Sql, index: usize) {
        let node = &self.dependents[index];
        if node.of == 0 {
            sql.push(&format!(" AND ({}) IS NOT TRUE", node.tie("t", "x")));
            return;
        }
        let way = Self::way(&self.dependents, node.of - 1, "t", "e", "e0");
        sql.push(&format!(
            " AND NOT EXISTS (SELECT FROM {} WHERE {} AND {})",
            way.from().trim_start_matches(", "),
            way.ties(),
            node.tie("e0", "x")
        ));
    }

    /// Locks the rows of a dependent's table that hang on the rows of which `among` holds, and counts them.
    pub fn lock_dependents(&self, index: usize, among: &str) -> String {
        let way = Self::way(&self.dependents, index, "c0", "c", "t");
        let root = self.root.table.name.quoted();
        format!(
            "SELECT count(*) FROM (SELECT FROM {root} AS c0{} WHERE {} AND {among} FOR UPDATE OF t) AS s",
            way.from(),
            way.ties()
        )
    }

    /// Deletes them.
    pub fn delete_dependents(&self, index: usize, among: &str) -> Result<Sql, Problem> {
        let node = &self.dependents[index];
        let way = Self::way(&self.dependents, index, "c0", "c", "t");
        let root = self.root.table.name.quoted();
        // The last is the table itself.
        let between = way.from[..way.from.len() - 1].concat();
        let mut sql = with_places(&format!(
            "DELETE FROM {} AS t USING {root} AS c0{between} WHERE {} AND {among} AND NOT ",
            node.table(),
            way.ties()
        ));
        node.is_protected(&mut sql)?;
        Ok(sql)
    }

    /// Locks the parents of the rows of which `among` holds; `place` are the columns that tell where they lie.
    pub fn lock_parents(&self, index: usize, place: &str, among: &str) -> String {
        let way = Self::way(&self.parents, index, "c0", "c", "t");
        let root = self.root.table.name.quoted();
        format!(
            "SELECT {place} FROM {root} AS c0{} WHERE {} AND {among} FOR UPDATE OF t",
            way.from(),
            way.ties()
        )
    }

    /// Deletes those parents, of which `among` holds, that nothing points at and nothing keeps.
    pub fn delete_parents(&self, index: usize, among: &str) -> Result<Sql, Problem> {
        let node = &self.parents[index];
        let mut sql = with_places(&format!("DELETE FROM {} AS t WHERE {among} AND NOT ", node.table()));
        self.parent_stays(&mut sql, index, |_| false)?;
        Ok(sql)
    }

    /// A row points at the parent `t`, of a table that is not `left_out`, or a ground keeps it.
    fn parent_stays(&self, sql: &mut Sql, index: usize, left_out: impl Fn(&str) -> bool) -> Result<(), Problem> {
        let node = &self.parents[index];
        sql.push("(");
        node.is_protected(sql)?;
        let by_key = node.judge.table.references.iter().map(|reference| {
            let pairs = reference.columns.iter();
            let pairs: Vec<(&str, &str)> = pairs.map(|(theirs, ours)| (theirs.as_str(), ours.as_str())).collect();
            (reference.table.quoted(), pairs)
        });
        let mut pointing: Vec<(String, Vec<(&str, &str)>)> = by_key.collect();
        for relation in node.declared {
            let table = self
                .root
                .other(relation, &self.root.field("then.delete.emptyParents"))?;
            let pairs = relation.columns.iter();
            pointing.push((
                table.name.quoted(),
                pairs.map(|(ours, theirs)| (theirs.as_str(), ours.as_str())).collect(),
            ));
        }
        for (table, pairs) in pointing.iter().filter(|(table, _)| !left_out(table)) {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(theirs, ours)| format!("x.{} = t.{}", quoted(theirs), quoted(ours)))
                .collect();
            sql.push(&format!(
                " OR EXISTS (SELECT FROM {table} AS x WHERE {})",
                pairs.join(" AND ")
            ));
        }
        sql.push(")");
        Ok(())
    }

    /// Counts what would go with the due rows: one statement for each entry. Of parents it may count one too many, where only
    /// rows of tables that lose rows as well point at it.
    pub fn counting_statements(&self) -> Result<Vec<Sql>, Problem> {
        let mut all = Vec::new();
        let root = self.root.table.name.quoted();
        for index in 0..self.dependents.len() {
            let way = Self::way(&self.dependents, index, "t", "c", "c0");
            let mut sql = Sql::new(&format!(
                "SELECT count(*) FROM {root} AS t{} WHERE {} AND ",
                way.from(),
                way.ties()
            ));
            self.root.due(&mut sql, super::judge::Horizon::Due)?;
            all.push(sql);
        }
        let loses = |table: &str| {
            let others = self.dependents.iter().chain(&self.parents).map(Node::table);
            others.chain([root.clone()]).any(|other| other == table)
        };
        for (index, node) in self.parents.iter().enumerate() {
            let way = Self::way(&self.parents, index, "t", "c", "c0");
            let place = if node.judge.table.partitioned {
                "c0.tableoid, c0.ctid"
            } else {
                "c0.ctid"
            };
            let reached = format!(
                "SELECT {place} FROM {root} AS t{} WHERE {} AND ",
                way.from(),
                way.ties()
            );
            let mut sql = Sql::new(&format!("SELECT count(*) FROM ({reached}("));
            self.root.due(&mut sql, super::judge::Horizon::Due)?;
            sql.push(&format!(") EXCEPT {reached}NOT ("));
            self.root.due(&mut sql, super::judge::Horizon::Due)?;
            sql.push(&format!(
                ") EXCEPT SELECT {} FROM {} AS t WHERE ",
                place.replace("c0.", "t."),
                node.table()
            ));
            self.parent_stays(&mut sql, index, loses)?;
            sql.push(") AS s");
            all.push(sql);
        }
        Ok(all)
    }

    /// In which order dependents go, so that no foreign key among them is broken: who points goes before what it points at.
    pub fn order(&self) -> Result<Vec<usize>, Problem> {
        let mut left: Vec<usize> = (0..self.dependents.len()).rev().collect();
        let mut order = Vec::new();
        while !left.is_empty() {
            let points_at = |from: &usize, to: &usize| {
                let (from_table, to_table) = (self.dependents[*from].judge.table, self.dependents[*to].judge.table);
                let by_key = to_table
                    .references
                    .iter()
                    .any(|reference| reference.table == from_table.name);
                self.dependents[*from].of == to + 1 || by_key
            };
            let free = left
                .iter()
                .position(|entry| !left.iter().any(|other| other != entry && points_at(other, entry)));
            let Some(free) = free else {
                let names: Vec<String> = left.iter().map(|index| self.dependents[*index].table()).collect();
                let detail = format!("foreign keys among {} lead in a circle", names.join(", "));
                let field = self.root.field("then.delete.dependents");
                return Err(Problem::new(Reason::UnsupportedTable, field, detail));
            };
            order.push(left.remove(free));
        }
        Ok(order)
    }
}
