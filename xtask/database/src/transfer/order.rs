//! In which order tables are loaded: what is referred to comes first. A circle of references has no such order.

use std::collections::BTreeSet;

use super::catalog::{Reference, Table};

/// The order, and what stands in its way.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Labels, those that are referred to first.
    pub labels: Vec<String>,
    /// Labels of tables that refer to each other in a circle.
    pub circle: BTreeSet<String>,
}

/// Orders tables; references to tables that are not among them do not count, nor does one to the table itself.
pub fn order(tables: &[&Table]) -> Order {
    let mut order = Order::default();
    let mut waiting: Vec<&Table> = tables.to_vec();
    waiting.sort_by_key(|table| table.label());
    while !waiting.is_empty() {
        let labels: BTreeSet<String> = waiting.iter().map(|table| table.label()).collect();
        let (free, held): (Vec<&Table>, Vec<&Table>) =
            waiting.iter().partition(|table| table.parents().all(|parent| !labels.contains(&parent.table)));
        // Where nothing is free, every table that cannot reach itself only waits for a circle: the circles go first.
        let next = if free.is_empty() { circles(&held) } else { free };
        for table in &next {
            if held.iter().any(|other| other.label() == table.label()) {
                order.circle.insert(table.label());
            }
            order.labels.push(table.label());
        }
        waiting.retain(|table| !next.iter().any(|done| done.label() == table.label()));
    }
    order
}

/// Those of the tables that refer to themselves by way of others, and to no other circle that is still waiting.
fn circles<'a>(tables: &[&'a Table]) -> Vec<&'a Table> {
    let reach = |from: &Table| {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = vec![from.label()];
        while let Some(label) = open.pop() {
            let table = tables.iter().find(|table| table.label() == label);
            for parent in table.into_iter().flat_map(|table| table.parents()) {
                if tables.iter().any(|table| table.label() == parent.table) && seen.insert(parent.table.clone()) {
                    open.push(parent.table.clone());
                }
            }
        }
        seen
    };
    // A table whose every reachable table reaches it back stands in a circle that waits for nothing else.
    let first = tables.iter().find(|table| {
        let reached = reach(table);
        reached.contains(&table.label())
            && tables.iter().filter(|other| reached.contains(&other.label())).all(|other| reach(other) == reached)
    });
    let circle = first.map(|table| reach(table)).unwrap_or_default();
    tables.iter().filter(|table| circle.contains(&table.label())).copied().collect()
}

/// The references between tables of a circle: those that must be checked at the end.
pub fn within<'a>(tables: &[&'a Table], circle: &BTreeSet<String>) -> Vec<(&'a Table, &'a Reference)> {
    let members = tables.iter().filter(|table| circle.contains(&table.label()));
    let references = members.flat_map(|table| table.parents().map(move |reference| (*table, reference)));
    references.filter(|(_, reference)| circle.contains(&reference.table)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, parents: &[&str]) -> Table {
        let reference = |parent: &&str| Reference {
            name: format!("{name}_{parent}"),
            table: format!("s.{parent}"),
            columns: vec!["p".to_owned()],
            target: vec!["id".to_owned()],
            is_deferrable: false,
        };
        Table {
            schema: "s".to_owned(),
            name: name.to_owned(),
            references: parents.iter().map(reference).collect(),
            ..Table::default()
        }
    }

    fn check(tables: &[(&str, &[&str])], expected: &str, circle: &str) {
        let tables: Vec<Table> = tables.iter().map(|(name, parents)| table(name, parents)).collect();
        let order = order(&tables.iter().collect::<Vec<_>>());
        let short = |labels: Vec<String>| labels.iter().map(|label| &label[2..]).collect::<String>();
        assert_eq!(
            (short(order.labels).as_str(), short(order.circle.into_iter().collect()).as_str()),
            (expected, circle)
        );
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &[])], "cba", "");
        check(&[("a", &["a", "elsewhere"]), ("b", &["a"])], "ab", "");
        check(&[], "", "");
    }

    #[test]
    fn a_circle_is_told_and_what_waits_for_it_is_not_in_it() {
        check(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"]), ("d", &["c"]), ("e", &[])], "eabcd", "ab");
        check(&[("a", &["b"]), ("b", &["a", "x"]), ("x", &["y"]), ("y", &["x"])], "xyab", "abxy");
    }
}
