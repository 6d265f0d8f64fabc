//! Whether a statement is bound to one tenant: each tenant's table in it must have `tenant_id = $n` among the conditions
//! that all hold at once, or be equal in `tenant_id` to one that has; a new row must be given its tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Delete, Expr, FromTable, Insert, Join,
    JoinConstraint, JoinOperator, ObjectName, OnConflictAction, OnInsert, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor, TableWithJoins, Update, UpdateTableFromKind, Value, Visit, Visitor,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

const COLUMN: &str = "tenant_id";

/// What is wrong with a statement; `tables` are the tenants' tables.
pub(crate) fn faults(sql: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statements = match Parser::parse_sql(&SQLiteDialect {}, sql) {
        Ok(statements) => statements,
        Err(error) => return vec![format!("it is not a statement: {error}")],
    };
    let mut check = Check { tables, scopes: Vec::new(), faults: Vec::new() };
    let _ = statements.visit(&mut check);
    check.faults
}

struct Check<'a> {
    tables: &'a BTreeSet<String>,
    /// Names that are bound to the tenant, the innermost scope last.
    scopes: Vec<BTreeSet<String>>,
    faults: Vec<String>,
}

/// A condition that always holds, and the one table it may bind if it stands behind an outer join.
type Condition<'a> = (&'a Expr, Option<String>);

impl Visitor for Check<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        let scope = match statement {
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Insert(insert) => {
                self.insert(insert);
                BTreeSet::new()
            }
            Statement::Query(_) => BTreeSet::new(),
            other => {
                self.faults.push(format!("this check does not know `{other}`"));
                BTreeSet::new()
            }
        };
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, _: &Statement) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let scope = self.bound(&select.from, select.selection.as_ref());
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }
}

impl Check<'_> {
    fn update(&mut self, update: &Update) -> BTreeSet<String> {
        let mut from = vec![update.table.clone()];
        if let Some(UpdateTableFromKind::BeforeSet(more) | UpdateTableFromKind::AfterSet(more)) = &update.from {
            from.extend(more.iter().cloned());
        }
        self.moves(&update.assignments);
        self.bound(&from, update.selection.as_ref())
    }

    fn delete(&mut self, delete: &Delete) -> BTreeSet<String> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let mut from = from.clone();
        from.extend(delete.using.iter().flatten().cloned());
        self.bound(&from, delete.selection.as_ref())
    }

    /// A row never changes hands.
    fn moves(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            let names = match &assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                AssignmentTarget::Tuple(names) => names,
            };
            if names.iter().any(|name| last(name) == COLUMN) {
                self.faults.push(format!("it gives a row to another tenant: {assignment}"));
            }
        }
    }

    fn insert(&mut self, insert: &Insert) {
        let table = insert.table.to_string();
        if !self.tables.contains(&table) {
            return;
        }
        if insert.or.is_some() || insert.replace_into {
            self.faults.push(format!("it may replace another tenant's row of {table}"));
        }
        match insert.columns.iter().position(|column| last(column) == COLUMN) {
            Some(at) if insert.source.as_deref().is_some_and(|source| gives_tenant(source, at)) => {}
            Some(_) => self.faults.push(format!("the new row of {table} gets its {COLUMN} from no parameter")),
            None => self.faults.push(format!("the new row of {table} gets no {COLUMN}")),
        }
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on
            && let OnConflictAction::DoUpdate(update) = &conflict.action
        {
            self.moves(&update.assignments);
            let own = matches!(&conflict.conflict_target,
                Some(ConflictTarget::Columns(columns)) if columns.iter().any(|column| column.value == COLUMN));
            if !own {
                self.faults.push(format!("its conflict may be with another tenant's row of {table}"));
            }
        }
    }

    /// The names of the tenants' tables in `from` that are bound; a fault for each that is not.
    fn bound(&mut self, from: &[TableWithJoins], selection: Option<&Expr>) -> BTreeSet<String> {
        let mut named = BTreeMap::new();
        let mut conditions = Vec::new();
        for table in from {
            self.table(&table.relation, &mut named);
            for join in &table.joins {
                let before = named.len();
                self.table(&join.relation, &mut named);
                let inner = matches!(
                    join.join_operator,
                    JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
                );
                let joined = (named.len() > before).then(|| alias(&join.relation)).flatten();
                match constraint(join) {
                    Some(on) if inner => conjuncts(on, &None, &mut conditions),
                    Some(on) => conjuncts(on, &Some(joined.unwrap_or_default()), &mut conditions),
                    None => {}
                }
            }
        }
        if let Some(selection) = selection {
            conjuncts(selection, &None, &mut conditions);
        }
        let mut bound: BTreeSet<String> = BTreeSet::new();
        let only = if named.len() == 1 { named.keys().next().cloned() } else { None };
        loop {
            let before = bound.len();
            for (condition, may) in &conditions {
                let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { continue };
                for (column, other) in [(left, right), (right, left)] {
                    let Some(name) = tenant_column(column, only.as_deref()) else { continue };
                    if !named.contains_key(&name) || may.as_ref().is_some_and(|may| *may != name) {
                        continue;
                    }
                    let equal = tenant_column(other, None).is_some_and(|other| {
                        bound.contains(&other) || self.scopes.iter().any(|scope| scope.contains(&other))
                    });
                    if is_parameter(other) || equal {
                        bound.insert(name);
                    }
                }
            }
            if bound.len() == before {
                break;
            }
        }
        for (name, table) in named.iter().filter(|(name, _)| !bound.contains(*name)) {
            self.faults.push(format!("{table} (as {name}) is bound to no tenant"));
        }
        bound
    }

    fn table(&self, factor: &TableFactor, named: &mut BTreeMap<String, String>) {
        match factor {
            TableFactor::Table { name, .. } if self.tables.contains(&last(name)) => {
                named.insert(alias(factor).unwrap_or_default(), last(name));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.table(&table_with_joins.relation, named);
                for join in &table_with_joins.joins {
                    self.table(&join.relation, named);
                }
            }
            _ => {}
        }
    }
}

/// Conditions that hold at once: what `AND` joins. Below `OR` or `NOT` nothing is certain.
fn conjuncts<'a>(expr: &'a Expr, may: &Option<String>, into: &mut Vec<Condition<'a>>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, may, into);
            conjuncts(right, may, into);
        }
        Expr::Nested(inner) => conjuncts(inner, may, into),
        _ => into.push((expr, may.clone())),
    }
}

fn constraint(join: &Join) -> Option<&Expr> {
    match &join.join_operator {
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::CrossJoin(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

/// True when the column at `at` of every new row is a parameter.
fn gives_tenant(source: &Query, at: usize) -> bool {
    match source.body.as_ref() {
        SetExpr::Values(values) => values.rows.iter().all(|row| row.content.get(at).is_some_and(is_parameter)),
        SetExpr::Select(select) => match select.projection.get(at) {
            Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
                // A column of a table that the select itself is bound by says the same.
                is_parameter(expr) || tenant_column(expr, Some("")).is_some()
            }
            _ => false,
        },
        _ => false,
    }
}

/// The table whose `tenant_id` this is; without a qualifier it is that of `only`.
fn tenant_column(expr: &Expr, only: Option<&str>) -> Option<String> {
    match expr {
        Expr::CompoundIdentifier(parts) if parts.len() == 2 && parts[1].value == COLUMN => Some(parts[0].value.clone()),
        Expr::Identifier(name) if name.value == COLUMN => only.map(str::to_owned),
        Expr::Nested(inner) => tenant_column(inner, only),
        _ => None,
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

fn alias(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            Some(alias.as_ref().map_or_else(|| last(name), |alias| alias.name.value.clone()))
        }
        _ => None,
    }
}

fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map_or_else(String::new, |ident| ident.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<String> {
        faults(sql, &["calls", "agents", "call_turns"].map(str::to_owned).into())
    }

    #[test]
    fn bound_statements_pass() {
        for sql in [
            "SELECT * FROM calls WHERE tenant_id = $1 AND (id < $2 OR $3 = 1)",
            "SELECT 1 FROM calls c JOIN agents a ON a.tenant_id = c.tenant_id AND a.id = c.agent_id WHERE c.tenant_id = $1",
            "SELECT 1 FROM agents a LEFT JOIN calls c ON c.tenant_id = a.tenant_id WHERE a.tenant_id = $1",
            "SELECT 1 FROM (SELECT id FROM calls WHERE $1 = tenant_id) AS t",
            "SELECT 1 FROM agents a WHERE a.tenant_id = $1 AND EXISTS (SELECT 1 FROM calls c WHERE c.tenant_id = a.tenant_id)",
            "UPDATE calls SET status = $2 WHERE tenant_id = $1",
            "DELETE FROM calls WHERE tenant_id = $1 AND id <= (SELECT id FROM calls WHERE tenant_id = $1 LIMIT 1)",
            "INSERT INTO calls (tenant_id, id) VALUES ($1, $2) ON CONFLICT (tenant_id, id) DO UPDATE SET id = excluded.id",
            "INSERT INTO calls (tenant_id, id) SELECT $1, MAX(id) FROM calls WHERE tenant_id = $1",
            "SELECT id FROM tenants",
        ] {
            assert_eq!(found(sql), [""; 0], "{sql}");
        }
    }

    #[test]
    fn statements_that_only_hold_the_word_are_caught() {
        for sql in [
            "SELECT tenant_id, id FROM calls WHERE id = $1",
            "SELECT id FROM calls WHERE tenant_id = $1 OR id = $2",
            "SELECT id FROM calls WHERE NOT tenant_id = $1",
            "SELECT id FROM calls WHERE tenant_id = tenant_id",
            "SELECT id FROM calls WHERE tenant_id <> $1",
            "SELECT id FROM calls WHERE tenant_id = 'ten_1'",
            "SELECT id FROM calls ORDER BY tenant_id",
            "SELECT 1 FROM calls c JOIN agents a ON a.id = c.agent_id WHERE c.tenant_id = $1",
            "SELECT 1 FROM calls c JOIN agents a ON a.tenant_id = c.tenant_id",
            "SELECT 1 FROM agents a LEFT JOIN calls c ON c.tenant_id = a.tenant_id AND a.tenant_id = $1",
            "SELECT 1 FROM agents a, calls c WHERE a.tenant_id = $1",
            "SELECT 1 FROM agents WHERE tenant_id = $1 AND id IN (SELECT agent_id FROM calls)",
            "SELECT 1 FROM agents WHERE tenant_id = $1 UNION SELECT 1 FROM calls",
            "WITH c AS (SELECT id FROM calls) SELECT id FROM c",
            "UPDATE calls SET status = 'x' WHERE id = $1 RETURNING tenant_id",
            "UPDATE calls SET tenant_id = $2 WHERE tenant_id = $1",
            "DELETE FROM calls",
            "INSERT INTO calls (id) VALUES ($1)",
            "INSERT INTO calls (tenant_id, id) VALUES ('ten_1', $1)",
            "INSERT INTO calls (tenant_id, id) SELECT tenant_id, id FROM agents",
            "INSERT INTO calls (tenant_id, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET id = excluded.id",
            "INSERT OR REPLACE INTO calls (tenant_id, id) VALUES ($1, $2)",
            "SELECT FROM WHERE",
        ] {
            assert!(!found(sql).is_empty(), "{sql}");
        }
    }
}
