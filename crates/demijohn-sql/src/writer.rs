//! The text under construction: names, placeholders, lists.

use crate::expr::Span;
use crate::join::Frame;
use demijohn_model::driver::{Dialect, Param, Step};
use demijohn_model::value::Value;

/// Writes one statement. The text grows from left to right; only joins are put in later, at the end of the FROM clause
/// that they belong to, and they hold no parameters, so parameters stand in the order of the text.
pub(crate) struct Writer {
    pub(crate) out: String,
    pub(crate) params: Vec<Param>,
    pub(crate) dialect: Dialect,
    /// The tables that columns may come from, innermost last.
    pub(crate) frames: Vec<Frame>,
    /// Queries around this place: 0 inside the outermost.
    pub(crate) level: usize,
    pub(crate) next_alias: u32,
    /// Shapes of the tapes being written, one after another.
    pub(crate) spans: Vec<Span>,
    pub(crate) depth: u32,
    /// What is written is the aggregate of several rows: values of single rows must be summed up.
    pub(crate) grouped: bool,
}

impl Writer {
    pub(crate) fn new(dialect: Dialect) -> Writer {
        Writer {
            out: String::with_capacity(256),
            params: Vec::new(),
            dialect,
            frames: Vec::new(),
            level: 0,
            next_alias: 0,
            spans: Vec::new(),
            depth: 0,
            grouped: false,
        }
    }

    pub(crate) fn finish(self) -> Step {
        debug_assert!(
            self.frames.is_empty() && self.spans.is_empty(),
            "everything opened was closed"
        );
        Step {
            sql: self.out.into(),
            params: self.params,
        }
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes with another idea of whether rows are grouped here.
    pub(crate) fn grouped<T>(&mut self, grouped: bool, write: impl FnOnce(&mut Self) -> T) -> T {
        let around = std::mem::replace(&mut self.grouped, grouped);
        let done = write(self);
        self.grouped = around;
        done
    }

    pub(crate) fn name(&mut self, name: &str) {
        quote(&mut self.out, name, self.dialect);
    }

    /// `t3`
    pub(crate) fn alias(&mut self, alias: u32) {
        write_alias(&mut self.out, alias);
    }

    /// `t3."title"`
    pub(crate) fn column_of(&mut self, (alias, column): (u32, &str)) {
        self.alias(alias);
        self.out.push('.');
        self.name(column);
    }

    pub(crate) fn fresh(&mut self) -> u32 {
        self.next_alias += 1;
        self.next_alias - 1
    }

    /// A placeholder and its parameter.
    pub(crate) fn bind(&mut self, param: Param) {
        self.params.push(param);
        match self.dialect {
            Dialect::Sqlite | Dialect::MariaDb => self.out.push('?'),
            Dialect::Postgres => {
                self.out.push('$');
                let number = self.params.len();
                write_number(&mut self.out, number);
            }
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        self.bind(Param::Value(value.clone()));
    }

    /// ` IN (values)`, with the values in one parameter where the database can; NULLs are left out, they equal nothing.
    pub(crate) fn in_values(&mut self, values: &[Value]) {
        let plain = self.dialect == Dialect::MariaDb || values.iter().any(|v| matches!(v, Value::Bytes(_)));
        if plain {
            self.push(" IN (");
            let mut first = true;
            for value in values.iter().filter(|v| !v.is_null()) {
                if !first {
                    self.push(", ");
                }
                first = false;
                self.value(value);
            }
            if first {
                self.push("NULL");
            }
            self.push(")");
        } else {
            self.in_list(Param::List(values.iter().filter(|v| !v.is_null()).cloned().collect()));
        }
    }

    /// ` IN (list)`, the list being one parameter.
    pub(crate) fn in_list(&mut self, list: Param) {
        match self.dialect {
            Dialect::Sqlite => {
                self.push(" IN (SELECT value FROM json_each(");
                self.bind(list);
                self.push("))");
            }
            Dialect::Postgres => {
                self.push(" = ANY(");
                self.bind(list);
                self.push(")");
            }
            Dialect::MariaDb => {
                // The driver writes the list out: MariaDB has no parameter for it.
                self.push(" IN (");
                self.bind(list);
                self.push(")");
            }
        }
    }
}

pub(crate) fn quote(out: &mut String, name: &str, dialect: Dialect) {
    let mark = match dialect {
        Dialect::MariaDb => '`',
        Dialect::Sqlite | Dialect::Postgres => '"',
    };
    out.push(mark);
    if name.contains(mark) {
        for c in name.chars() {
            out.push(c);
            if c == mark {
                out.push(c);
            }
        }
    } else {
        out.push_str(name);
    }
    out.push(mark);
}

pub(crate) fn write_alias(out: &mut String, alias: u32) {
    out.push('t');
    write_number(out, alias as usize);
}

pub(crate) fn write_number(out: &mut String, number: usize) {
    if number < 10 {
        out.push(char::from(b'0' + number as u8));
    } else {
        out.push_str(&number.to_string());
    }
}
