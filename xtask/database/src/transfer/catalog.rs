//! The tables of a database as data transfer sees them: columns in order, what may be written, what is unique, which
//! table refers to which. The tool's own schema `ops` and what extensions brought are not among them.

use anyhow::Result;
use serde_json::Value;

use crate::session::{Session, identifier};
use base::ui::{Failure, suggest};

const TABLES: &str = "
select n.nspname as schema, c.relname as name, c.relkind = 'p' as partitioned,
    (select coalesce(json_agg(json_build_object(
        'name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'base', format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end, -1),
        'not_null', a.attnotnull or t.typnotnull,
        'has_default', a.atthasdef or t.typdefault is not null or a.attidentity <> '',
        'generated', a.attgenerated <> '',
        'identity', a.attidentity <> '',
        'sequence', pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname),
        'length', case when coalesce(nullif(t.typbasetype, 0), t.oid) in (1042, 1043)
            and greatest(a.atttypmod, t.typtypmod) > 4 then greatest(a.atttypmod, t.typtypmod) - 4 end,
        'unique', exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisunique
            and i.indpred is null and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)
        ) order by a.attnum), '[]')
     from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
    (select coalesce(json_agg(a.attname order by k.place), '[]')
     from pg_catalog.pg_index i, unnest(i.indkey) with ordinality k (attnum, place)
     join pg_catalog.pg_attribute a on a.attnum = k.attnum
     where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid) as key,
    (select coalesce(json_agg(json_build_object(
        'name', f.conname,
        'schema', pn.nspname,
        'table', pc.relname,
        'deferrable', f.condeferrable,
        'columns', (select json_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality k (attnum, place)
            join pg_catalog.pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.attnum),
        'target', (select json_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality k (attnum, place)
            join pg_catalog.pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum)
        ) order by f.conname), '[]')
     from pg_catalog.pg_constraint f join pg_catalog.pg_class pc on pc.oid = f.confrelid
     join pg_catalog.pg_namespace pn on pn.oid = pc.relnamespace
     where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0) as references
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'ops')
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass
        and d.objid = c.oid and d.deptype = 'e')
order by 1, 2";

/// A column, in the table's order.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub name: String,
    /// As PostgreSQL writes it: `character varying(20)`.
    pub kind: String,
    /// The same without a length, and below a domain: `character varying`.
    pub base: String,
    pub is_not_null: bool,
    pub has_default: bool,
    /// Computed from the others; never written.
    pub is_generated: bool,
    /// The sequence that fills it, quoted and with its schema.
    pub sequence: Option<String>,
    /// At most so many characters.
    pub length: Option<u64>,
    /// Unique by itself.
    pub is_unique: bool,
}

/// A foreign key of a table.
#[derive(Clone, Debug)]
pub struct Reference {
    pub name: String,
    /// The table it refers to, as [`Table::label`] writes it.
    pub table: String,
    pub columns: Vec<String>,
    pub target: Vec<String>,
    pub is_deferrable: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub is_partitioned: bool,
    pub columns: Vec<Column>,
    /// Columns of the primary key.
    pub key: Vec<String>,
    pub references: Vec<Reference>,
}

impl Table {
    /// For people and files: `app.document`.
    pub fn label(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
    /// For SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
    /// For a FROM: rows of tables that inherit from it are theirs.
    pub fn only(&self) -> String {
        format!("{}{}", if self.is_partitioned { "" } else { "only " }, self.quoted())
    }
    /// The columns that can be written.
    pub fn written(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.is_generated)
    }
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
    /// References to other tables than itself.
    pub fn parents(&self) -> impl Iterator<Item = &Reference> {
        self.references.iter().filter(|reference| reference.table != self.label())
    }
}

/// Names for SQL, with commas between.
pub fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| identifier(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Every table, by name.
pub fn read(session: &mut Session) -> Result<Vec<Table>> {
    Ok(session.query(TABLES)?.iter().map(table).collect())
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn table(row: &Value) -> Table {
    let is = |value: &Value, key: &str| value[key].as_bool().unwrap_or(false);
    let column = |value: &Value| Column {
        name: text(value, "name"),
        kind: text(value, "type"),
        base: text(value, "base"),
        is_not_null: is(value, "not_null"),
        has_default: is(value, "has_default"),
        is_generated: is(value, "generated"),
        sequence: value["sequence"].as_str().map(str::to_owned),
        length: value["length"].as_u64(),
        is_unique: is(value, "unique"),
    };
    let reference = |value: &Value| Reference {
        name: text(value, "name"),
        table: format!("{}.{}", text(value, "schema"), text(value, "table")),
        columns: texts(&value["columns"]),
        target: texts(&value["target"]),
        is_deferrable: is(value, "deferrable"),
    };
    Table {
        schema: text(row, "schema"),
        name: text(row, "name"),
        is_partitioned: is(row, "partitioned"),
        columns: row["columns"].as_array().into_iter().flatten().map(column).collect(),
        key: texts(&row["key"]),
        references: row["references"].as_array().into_iter().flatten().map(reference).collect(),
    }
}

/// The table of that name: `app.document`, or `document` where only one schema has it. Exit 2 when there is none.
pub fn find<'a>(tables: &'a [Table], name: &str) -> Result<&'a Table> {
    let found: Vec<&Table> = tables.iter().filter(|table| table.label() == name || table.name == name).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let labels: Vec<String> = tables.iter().map(Table::label).collect();
            let failure = Failure::usage(format!("there is no table `{name}`"));
            Err(failure.hint(suggest::did_you_mean(name, labels.iter().map(String::as_str))).into())
        }
        _ => match found.iter().find(|table| table.label() == name) {
            Some(exact) => Ok(exact),
            None => {
                let labels: Vec<String> = found.iter().map(|table| table.label()).collect();
                let failure = Failure::usage(format!("`{name}` is in more than one schema"));
                Err(failure.hint(format!("one of: {}", labels.join(", "))).into())
            }
        },
    }
}
