//! Every statement of the control plane keeps tenants apart. SQLite has no row-level security, so that a forgotten
//! predicate would show one tenant another's rows; this reads each statement and finds the predicate, not the word.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod predicate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use predicate::faults;

/// Statements that find the tenant by a secret which only one row of all can have, and why each may. Nothing else may
/// touch a tenant's table without naming the tenant.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("FROM api_keys WHERE key_hash = $1", "the key's hash is unique, and its row says whose key it is"),
    (
        "UPDATE enrolment_tokens SET used_us = $2, gateway_id = $3 WHERE token_hash = $1",
        "the token's hash is the primary key, and its row says whom it enrols",
    ),
    (
        "FROM enrolment_tokens WHERE token_hash = $1",
        "the token's hash is the primary key, and whoever holds the token is told why it enrols nobody",
    ),
    (
        "FROM gateways WHERE credential_hash = $1",
        "the credential's hash is unique, and its row says whose gateway it is",
    ),
];

#[test]
fn every_statement_on_a_tenants_table_is_bound_to_one_tenant() {
    let tables = tenant_tables();
    assert!(tables.len() > 15, "{tables:?}");
    let (mut checked, mut wrong, mut used) = (0, Vec::new(), BTreeSet::new());
    for file in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for literal in literals(&text) {
            let statement = literal.split_whitespace().collect::<Vec<_>>().join(" ");
            if !is_statement(&statement) {
                continue;
            }
            if let Some((pattern, _)) = EXCEPTIONS.iter().find(|(pattern, _)| statement.contains(pattern)) {
                used.insert(*pattern);
                assert!(statement.contains("tenant_id"), "an exception must say whose the row is: {statement}");
                continue;
            }
            checked += 1;
            wrong.extend(
                faults(&statement, &tables)
                    .into_iter()
                    .map(|fault| format!("{}: {fault}\n    {statement}", file.display())),
            );
        }
        wrong.extend(loose_ends(&text).into_iter().map(|fault| format!("{}: {fault}", file.display())));
    }
    assert!(wrong.is_empty(), "{} statements do not keep tenants apart:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 60, "only {checked} statements were found");
    assert_eq!(used.len(), EXCEPTIONS.len(), "an exception whose statement is gone: {used:?}");
}

/// A statement put together at run time begins with a literal that is checked; what is added may only narrow it.
fn loose_ends(text: &str) -> Vec<String> {
    if !text.contains(".rows_of(") {
        return Vec::new();
    }
    let code = text.split("#[cfg(test)]").next().unwrap();
    literals(code)
        .filter(|literal| !is_statement(literal))
        .filter(|literal| literal.split(|c: char| !c.is_alphanumeric()).any(|word| word == "OR" || word == "UNION"))
        .map(|literal| format!("`{literal}` may widen a statement put together at run time"))
        .collect()
}

#[test]
fn what_widens_a_statement_put_together_is_found() {
    let text = r#"let mut sql = String::from("SELECT * FROM calls WHERE tenant_id = $1"); sql.push_str(" OR 1 = 1"); db.rows_of(sql)"#;
    assert_eq!(loose_ends(text).len(), 1);
    assert!(loose_ends(&text.replace(" OR ", " AND ")).is_empty());
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Tables whose rows belong to a tenant, from the migrations.
fn tenant_tables() -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for file in std::fs::read_dir(root().join("migrations/sqlite")).unwrap() {
        let schema = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for table in schema.split("CREATE TABLE ").skip(1) {
            let columns = table.split(';').next().unwrap();
            if columns.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "tenant_id") {
                tables.insert(table.split_whitespace().next().unwrap().to_owned());
            }
        }
    }
    tables
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The string literals of Rust source, as far as statements need it: no raw strings, whose quotes would only split.
fn literals(source: &str) -> impl Iterator<Item = String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\"", "'")
        .replace("'\"'", "' '");
    code.split('"').skip(1).step_by(2).map(|literal| literal.replace("\\\n", " ")).collect::<Vec<_>>().into_iter()
}

fn is_statement(literal: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "REPLACE "].iter().any(|word| literal.starts_with(word))
}
