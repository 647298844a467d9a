//! Statements that write.

use crate::join::column_name;
use crate::writer::Writer;
use demijohn_model::driver::{Dialect, Param};
use demijohn_model::meta::{ModelMeta, Through};
use demijohn_model::tape::{Insert, Node, Query};
use demijohn_model::value::Value;
use demijohn_model::{Error, Result};

impl<'q> Writer {
    pub(crate) fn insert(&mut self, insert: &'q Insert) -> Result<()> {
        let Insert {
            model,
            columns,
            rows,
            on_conflict,
            returning,
        } = insert;
        if rows.is_empty() {
            return Err(Error::usage(format!("no rows of {} to be inserted", model.name)));
        }
        let ignore = on_conflict.as_ref().is_some_and(|conflict| conflict.update.is_empty());
        self.push(match self.dialect {
            Dialect::MariaDb if ignore => "INSERT IGNORE INTO ",
            _ => "INSERT INTO ",
        });
        self.name(model.table);
        if columns.is_empty() {
            if rows.len() > 1 {
                return Err(Error::usage(format!(
                    "several rows of {} without a single value cannot be inserted together",
                    model.name
                )));
            }
            self.push(match self.dialect {
                Dialect::MariaDb => " () VALUES ()",
                Dialect::Sqlite | Dialect::Postgres => " DEFAULT VALUES",
            });
        } else {
            self.push(" (");
            self.columns(model, columns)?;
            self.push(") VALUES ");
            for (i, row) in rows.iter().enumerate() {
                self.push(if i > 0 { ", (" } else { "(" });
                if row.len() != columns.len() {
                    return Err(Error::usage(format!(
                        "a new row of {} has {} values for {} columns",
                        model.name,
                        row.len(),
                        columns.len()
                    )));
                }
                for (i, node) in row.iter().enumerate() {
                    if i > 0 {
                        self.push(", ");
                    }
                    self.value_node(node)?;
                }
                self.push(")");
            }
        }
        if let Some(conflict) = on_conflict {
            self.on_conflict(model, &conflict.target, &conflict.update)?;
        }
        if *returning {
            self.returning(model);
        }
        Ok(())
    }

    fn on_conflict(&mut self, model: &'static ModelMeta, target: &[u16], update: &[u16]) -> Result<()> {
        if self.dialect == Dialect::MariaDb {
            for (i, field) in update.iter().enumerate() {
                self.push(if i == 0 { " ON DUPLICATE KEY UPDATE " } else { ", " });
                let column = column_name(model, *field)?;
                self.name(column);
                self.push(" = VALUES(");
                self.name(column);
                self.push(")");
            }
            return Ok(());
        }
        self.push(" ON CONFLICT");
        if !target.is_empty() {
            self.push(" (");
            self.columns(model, target)?;
            self.push(")");
        } else if !update.is_empty() && self.dialect == Dialect::Postgres {
            return Err(Error::usage(
                "PostgreSQL needs to know which unique columns tell that a row is there already: `.on_conflict(|x| x.slug)`",
            ));
        }
        if update.is_empty() {
            self.push(" DO NOTHING");
            return Ok(());
        }
        for (i, field) in update.iter().enumerate() {
            self.push(if i == 0 { " DO UPDATE SET " } else { ", " });
            let column = column_name(model, *field)?;
            self.name(column);
            self.push(" = excluded.");
            self.name(column);
        }
        Ok(())
    }

    pub(crate) fn update(&mut self, query: &'q Query, set: &'q [(u16, Node)], returning: bool) -> Result<()> {
        if set.is_empty() {
            return Err(Error::usage(format!(
                "an update of {} that sets nothing",
                query.model.name
            )));
        }
        self.push("UPDATE ");
        self.name(query.model.table);
        let alias = self.fresh();
        self.push(" AS ");
        self.alias(alias);
        self.open_root(query.model, alias, None);
        for (i, (field, node)) in set.iter().enumerate() {
            self.push(if i == 0 { " SET " } else { ", " });
            self.name(column_name(query.model, *field)?);
            self.push(" = ");
            self.value_node(node)?;
        }
        if self.has_joins() {
            return Err(Error::usage(
                "an update cannot take a column of a related model; use a subquery for it",
            ));
        }
        self.which_rows(query)?;
        self.close_frame();
        if returning {
            if self.dialect == Dialect::MariaDb {
                return Err(Error::usage(
                    "MariaDB cannot give changed rows back; read them in the same transaction",
                ));
            }
            self.returning(query.model);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, query: &'q Query) -> Result<()> {
        self.push("DELETE FROM ");
        self.name(query.model.table);
        let alias = self.fresh();
        self.push(" AS ");
        self.alias(alias);
        self.open_root(query.model, alias, None);
        self.which_rows(query)?;
        self.close_frame();
        Ok(())
    }

    /// The rows of a query, of the table that is changed: its filter, or `pk IN (SELECT ..)` where that needs joins or
    /// counts rows.
    fn which_rows(&mut self, query: &'q Query) -> Result<()> {
        if !query.group.is_empty() || !query.unions.is_empty() {
            return Err(Error::usage("a grouped query or a union cannot be updated or deleted"));
        }
        if query.limit.is_none() && query.offset.is_none() {
            if query.empty {
                self.push(" WHERE ");
                let never = self.never();
                self.push(never);
                return Ok(());
            }
            let Some(filter) = &query.filter else { return Ok(()) };
            let (text, params, aliases) = (self.out.len(), self.params.len(), self.next_alias);
            self.push(" WHERE ");
            self.condition_node(filter)?;
            if !self.has_joins() {
                return Ok(());
            }
            self.out.truncate(text);
            self.params.truncate(params);
            self.next_alias = aliases;
            self.forget_joins();
        }
        self.push(" WHERE ");
        let key = self.column(&demijohn_model::tape::Path::ROOT, query.model.pk)?;
        self.column_of(key);
        self.push(" IN (");
        self.keys(query)?;
        self.push(")");
        Ok(())
    }

    pub(crate) fn link(&mut self, through: &Through, source: &Value, targets: &[Value]) -> Result<()> {
        self.push(match self.dialect {
            Dialect::MariaDb => "INSERT IGNORE INTO ",
            Dialect::Sqlite | Dialect::Postgres => "INSERT INTO ",
        });
        self.name(through.table);
        self.push(" (");
        self.name(through.source);
        self.push(", ");
        self.name(through.target);
        self.push(")");
        let list = || Param::List(targets.to_vec());
        match self.dialect {
            Dialect::Sqlite => {
                self.push(" SELECT ");
                self.value(source);
                self.push(", value FROM json_each(");
                self.bind(list());
                // WHERE keeps ON CONFLICT from being read as part of the FROM clause.
                self.push(") WHERE TRUE ON CONFLICT DO NOTHING");
            }
            Dialect::Postgres => {
                self.push(" SELECT ");
                self.value(source);
                self.push(", unnest(");
                self.bind(list());
                self.push(") ON CONFLICT DO NOTHING");
            }
            Dialect::MariaDb => {
                if targets.is_empty() {
                    return Err(Error::usage("no rows to be linked"));
                }
                for (i, target) in targets.iter().enumerate() {
                    self.push(if i == 0 { " VALUES (" } else { ", (" });
                    self.value(source);
                    self.push(", ");
                    self.value(target);
                    self.push(")");
                }
            }
        }
        Ok(())
    }

    pub(crate) fn unlink(&mut self, through: &Through, source: &Value, targets: Option<&[Value]>) {
        self.push("DELETE FROM ");
        self.name(through.table);
        self.push(" WHERE ");
        self.name(through.source);
        self.push(" = ");
        self.value(source);
        if let Some(targets) = targets {
            self.push(" AND ");
            self.name(through.target);
            self.in_values(targets);
        }
    }

    fn returning(&mut self, model: &'static ModelMeta) {
        for (i, field) in model.fields.iter().enumerate() {
            self.push(if i == 0 { " RETURNING " } else { ", " });
            self.name(field.column);
        }
    }

    fn columns(&mut self, model: &'static ModelMeta, fields: &[u16]) -> Result<()> {
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.push(", ");
            }
            self.name(column_name(model, *field)?);
        }
        Ok(())
    }
}
