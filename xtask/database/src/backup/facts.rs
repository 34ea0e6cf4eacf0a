//! What a backup notes of a database beside its content, and what a new database must be given to be like it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::session::{Session, identifier, literal};

/// Name, encoding, locale, the roles it needs and the environment it says it belongs to.
pub fn read(session: &mut Session) -> Result<Value> {
    let rows = session.query(
        "select d.datname as name, pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate, \
         d.datctype as ctype, pg_get_userbyid(d.datdba) as owner from pg_catalog.pg_database d \
         where d.datname = current_database()",
    )?;
    let mut facts = rows.into_iter().next().unwrap_or_else(|| json!({}));
    facts["owners"] = owners(session)?;
    facts["grantees"] = roles(session, "d.deptype = 'a' and r.rolname !~ '^pg_'")?;
    // Only for those who may ask; elsewhere it is not known.
    let may = session.value("select has_function_privilege('pg_catalog.pg_control_system()', 'execute')")?;
    facts["system_identifier"] = match may.as_str() {
        "t" => Value::String(session.value("select system_identifier from pg_catalog.pg_control_system()")?),
        _ => Value::Null,
    };
    let has_identity = session.value("select to_regclass('ops.identity') is not null")? == "t";
    facts["identity"] = match has_identity {
        true => Value::String(session.value("select environment from ops.identity")?),
        false => Value::Null,
    };
    Ok(facts)
}

/// Whoever owns something here, extensions and what belongs to them aside. The cluster's first superuser has no
/// dependencies noted, so the commonest catalogs are asked as well.
fn owners(session: &mut Session) -> Result<Value> {
    let owned = [
        ("pg_class", "relowner"),
        ("pg_namespace", "nspowner"),
        ("pg_proc", "proowner"),
        ("pg_type", "typowner"),
        ("pg_operator", "oprowner"),
        ("pg_collation", "collowner"),
        ("pg_largeobject_metadata", "lomowner"),
    ]
    .map(|(catalog, owner)| {
        // What a cluster begins with has numbers below 16384.
        format!(
            "select {owner} as owner from pg_catalog.{catalog} o where o.oid >= 16384 \
             and not exists (select from pg_catalog.pg_depend d where d.deptype = 'e' \
               and d.classid = 'pg_catalog.{catalog}'::regclass and d.objid = o.oid)"
        )
    });
    let rows = session.query(&format!(
        "select distinct pg_get_userbyid(owner) as name from ({} union select d.refobjid from pg_catalog.pg_shdepend d \
         where d.deptype = 'o' and d.refclassid = 'pg_catalog.pg_authid'::regclass \
         and d.classid not in ('pg_catalog.pg_database'::regclass, 'pg_catalog.pg_extension'::regclass) \
         and d.dbid = (select oid from pg_catalog.pg_database where datname = current_database()) \
         and not exists (select from pg_catalog.pg_depend e where e.deptype = 'e' and e.classid = d.classid and e.objid = d.objid)) o \
         where pg_get_userbyid(owner) !~ '^pg_' order by 1",
        owned.join(" union ")
    ))?;
    Ok(rows.into_iter().map(|row| row["name"].clone()).collect())
}

/// Roles that objects of this database depend on.
fn roles(session: &mut Session, condition: &str) -> Result<Value> {
    let rows = session.query(&format!(
        "select distinct r.rolname as name from pg_catalog.pg_shdepend d \
         join pg_catalog.pg_roles r on r.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_authid'::regclass \
         where d.dbid = (select oid from pg_catalog.pg_database where datname = current_database()) and {condition} \
         order by 1"
    ))?;
    Ok(rows.into_iter().map(|row| row["name"].clone()).collect())
}

/// Those of `names` that are no role of the server.
pub fn missing_roles(session: &mut Session, names: &[String]) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for name in names {
        let query = format!("select count(*) from pg_catalog.pg_roles where rolname = {}", literal(name));
        if session.value(&query)? == "0" {
            missing.push(name.clone());
        }
    }
    Ok(missing)
}

/// The options of CREATE DATABASE that make one like `model`, in `encoding`; without a model, the server's own.
pub fn create_options(maintenance: &mut Session, model: Option<&str>, encoding: &str) -> Result<String> {
    let mut options = format!("template template0 encoding {}", literal(encoding));
    let Some(model) = model else { return Ok(options) };
    // What names the locale was renamed in 17; 15 has no ICU rules.
    let rows = maintenance.query(&format!(
        "select d.datlocprovider as provider, d.datcollate as collate, d.datctype as ctype, \
         coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale, \
         to_jsonb(d) ->> 'daticurules' as rules, pg_get_userbyid(d.datdba) as owner, s.spcname as tablespace, \
         d.datconnlimit as connections from pg_catalog.pg_database d \
         join pg_catalog.pg_tablespace s on s.oid = d.dattablespace where d.datname = {}",
        literal(model)
    ))?;
    let Some(row) = rows.first() else { return Ok(options) };
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    options.push_str(&format!(" lc_collate {} lc_ctype {}", literal(text("collate")), literal(text("ctype"))));
    let locale = literal(text("locale"));
    options.push_str(&match text("provider") {
        "i" => format!(" locale_provider icu icu_locale {locale}"),
        "b" => format!(" locale_provider builtin builtin_locale {locale}"),
        _ => " locale_provider libc".to_owned(),
    });
    if let Some(rules) = row["rules"].as_str() {
        options.push_str(&format!(" icu_rules {}", literal(rules)));
    }
    let [owner, tablespace] = [text("owner"), text("tablespace")].map(identifier);
    options.push_str(&format!(" owner {owner} tablespace {tablespace} connection limit {}", row["connections"]));
    Ok(options)
}

/// Statements that give database `to` what does not lie inside of database `from`: who may connect, settings, comment.
pub fn properties(maintenance: &mut Session, from: &str, to: &str) -> Result<Vec<String>> {
    let name = identifier(to);
    let from = literal(from);
    let mut statements = Vec::new();
    let grants = maintenance.query(&format!(
        "select case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee, \
         a.privilege_type as privilege, a.is_grantable as grantable from pg_catalog.pg_database d, \
         aclexplode(d.datacl) a where d.datname = {from} and a.grantee <> d.datdba"
    ))?;
    let has_acl = format!("select datacl is not null from pg_catalog.pg_database where datname = {from}");
    if maintenance.value(&has_acl)? == "t" {
        statements.push(format!("revoke all on database {name} from public"));
    }
    for grant in grants {
        let text = |key: &str| grant[key].as_str().unwrap_or_default().to_owned();
        let option = if grant["grantable"] == json!(true) { " with grant option" } else { "" };
        statements.push(format!("grant {} on database {name} to {}{option}", text("privilege"), text("grantee")));
    }
    let settings = maintenance.query(&format!(
        "select quote_ident(r.rolname) as role, setting from pg_catalog.pg_db_role_setting s \
         join pg_catalog.pg_database d on d.oid = s.setdatabase left join pg_catalog.pg_roles r on r.oid = s.setrole, \
         unnest(s.setconfig) setting where d.datname = {from}"
    ))?;
    for setting in settings {
        let Some((key, value)) = setting["setting"].as_str().and_then(|setting| setting.split_once('=')) else {
            continue;
        };
        let whose = match setting["role"].as_str() {
            Some(role) => format!("role {role} in database {name}"),
            None => format!("database {name}"),
        };
        statements.push(format!("alter {whose} set {} to {}", identifier_of_setting(key), setting_value(key, value)));
    }
    let comment = maintenance.value(&format!(
        "select shobj_description(oid, 'pg_database') from pg_catalog.pg_database where datname = {from}"
    ))?;
    if !comment.is_empty() {
        statements.push(format!("comment on database {name} is {}", literal(&comment)));
    }
    Ok(statements)
}

/// `app.user` is two words to SQL.
fn identifier_of_setting(key: &str) -> String {
    key.split('.').map(identifier).collect::<Vec<_>>().join(".")
}

/// Lists are stored as they are written, names quoted already (as pg_dumpall knows); everything else is one text.
fn setting_value(key: &str, value: &str) -> String {
    const LISTS: [&str; 6] = [
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "shared_preload_libraries",
        "local_preload_libraries",
        "unix_socket_directories",
    ];
    match LISTS.contains(&key.to_ascii_lowercase().as_str()) && !value.is_empty() {
        true => value.to_owned(),
        false => literal(value),
    }
}

/// The head of the migration ledger: how many are recorded, the last version, the hash chain's last link.
pub fn ledger_head(session: &mut Session) -> Result<Value> {
    if session.value("select to_regclass('ops.migration') is not null")? != "t" {
        return Ok(Value::Null);
    }
    let rows = session.query(
        "select count(*) over () as count, m.version as head, m.chain_sha256 from ops.migration m \
         order by m.started_at desc, m.version::numeric desc limit 1",
    )?;
    Ok(rows.into_iter().next().unwrap_or_else(|| json!({"count": 0, "head": null, "chain_sha256": null})))
}
