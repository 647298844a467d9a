//! The metadata of a model: written once, by `#[model]`, and read by everyone.

use crate::error::Result;
use crate::row::Cursor;
use crate::value::{Kind, Value};
use std::any::Any;
use std::sync::Arc;

/// A loaded object whose type is known to whoever asks for it.
///
/// Type-erased on purpose: with the type in here, "is `Article` `Send`?" walks the whole graph of foreign keys, and
/// rustc gives up on a chain of about 32 models (measured; a test compiles a cycle of 100).
pub type Erased = Arc<dyn Any + Send + Sync>;

/// Everything that is known of a model.
pub struct ModelMeta {
    /// The struct's name.
    pub name: &'static str,
    /// The module it stands in, `module_path!()`.
    pub module: &'static str,
    /// The table.
    pub table: &'static str,
    /// Columns, in the order of the struct. Many-to-many fields have none and stand only in `relations`.
    pub fields: &'static [FieldMeta],
    /// Index of the primary key in `fields`.
    pub pk: u16,
    /// Relations to other models, in the order of the struct.
    pub relations: &'static [RelationMeta],
    /// The order of rows when a query names none.
    pub ordering: &'static [OrderMeta],
    /// Indexes over one or more columns, besides those of single fields.
    pub indexes: &'static [IndexMeta],
    /// Decoding and attaching without the type.
    pub ops: ModelOps,
    /// The name for people.
    pub verbose_name: &'static str,
    /// The name for people, of several.
    pub verbose_name_plural: &'static str,
    /// Where the struct is written.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
}

/// Decoding and attaching without the type.
pub struct ModelOps {
    /// Reads one row's columns of this model; they stand in the order of `fields`.
    pub decode: fn(&mut Cursor<'_>) -> Result<Box<dyn Any + Send + Sync>>,
    /// Puts what was loaded for relation number `relation` into an object of this model: the related object for a
    /// to-one relation, an `Arc` of the `Vec` of them for a to-many one.
    pub attach: fn(object: &mut dyn Any, relation: u16, loaded: Erased),
}

/// A column.
pub struct FieldMeta {
    /// The field's name in the struct.
    pub name: &'static str,
    /// The column's name.
    pub column: &'static str,
    /// The column's type.
    pub kind: Kind,
    /// May it be NULL?
    pub null: bool,
    /// Characters at most.
    pub max_length: Option<u32>,
    /// No two rows have the same value.
    pub unique: bool,
    /// Has an index of its own.
    pub index: bool,
    /// The value of a new row that gives none.
    pub default: Option<fn() -> Value>,
    /// Set to the current time when a row is created.
    pub auto_now_add: bool,
    /// Set to the current time whenever a row is saved.
    pub auto_now: bool,
    /// Never readable, filterable or sortable by text from outside: password hashes, tokens.
    pub sensitive: bool,
    /// Long text: edited in a text area.
    pub multiline: bool,
    /// The name for people.
    pub verbose_name: &'static str,
    /// A sentence of help.
    pub help_text: &'static str,
    /// The relation that this column is the key of: index in `relations`.
    pub relation: Option<u16>,
}

impl FieldMeta {
    /// A column with nothing special; macros write `FieldMeta { name, .., ..FieldMeta::PLAIN }`.
    pub const PLAIN: FieldMeta = FieldMeta {
        name: "",
        column: "",
        kind: Kind::Text,
        null: false,
        max_length: None,
        unique: false,
        index: false,
        default: None,
        auto_now_add: false,
        auto_now: false,
        sensitive: false,
        multiline: false,
        verbose_name: "",
        help_text: "",
        relation: None,
    };
}

/// A relation of one model to another.
pub struct RelationMeta {
    /// The field's name in the struct.
    pub name: &'static str,
    /// The model it points to.
    pub target: fn() -> &'static ModelMeta,
    /// What kind of relation it is.
    pub kind: RelationKind,
    /// The way there, as paths name it.
    pub hop: &'static Hop,
    /// The way back, `None` for `related_name = "+"`.
    pub back: Option<&'static Hop>,
    /// The name of the way back: `articles`; empty for none.
    pub related_name: &'static str,
}

/// Kinds of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A foreign key: the column `field` holds the target's primary key.
    ToOne {
        /// Index of the column in `fields`.
        field: u16,
        /// May there be none?
        null: bool,
        /// Is it one-to-one?
        unique: bool,
        /// What happens to this row when the target is deleted.
        on_delete: OnDelete,
    },
    /// Rows of a table between the two.
    ManyToMany {
        /// The table between.
        through: Through,
    },
}

/// The table of a many-to-many relation, as Django lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// Its name.
    pub table: &'static str,
    /// The column with this model's key.
    pub source: &'static str,
    /// The column with the target's key.
    pub target: &'static str,
}

/// What happens to a row when the row that it points to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// It is deleted too.
    Cascade,
    /// The deletion is refused.
    Protect,
    /// It points to nothing afterwards.
    SetNull,
    /// It is left alone; the database may refuse.
    DoNothing,
}

/// One step of a path: over a relation, there or back.
pub struct Hop {
    /// The model that has the relation field.
    pub owner: fn() -> &'static ModelMeta,
    /// Index of the relation there.
    pub relation: u16,
    /// True when the step goes from the target back to the owner.
    pub reverse: bool,
    /// Tells hops apart: a hash over module, model and field (and direction). See [`hop_id`].
    pub id: u64,
}

impl Hop {
    /// The relation.
    pub fn relation(&self) -> &'static RelationMeta {
        &(self.owner)().relations[usize::from(self.relation)]
    }

    /// The model it leads to.
    pub fn target(&self) -> &'static ModelMeta {
        match self.reverse {
            false => (self.relation().target)(),
            true => (self.owner)(),
        }
    }

    /// The name of the step: the field's there, the related name's back.
    pub fn name(&self) -> &'static str {
        match self.reverse {
            false => self.relation().name,
            true => self.relation().related_name,
        }
    }

    /// May the step lead to more than one row?
    pub fn is_many(&self) -> bool {
        match self.relation().kind {
            RelationKind::ToOne { unique, .. } => self.reverse && !unique,
            RelationKind::ManyToMany { .. } => true,
        }
    }
}

/// A 64-bit id of a relation, made at compile time (FNV-1a over the parts): works across crates without a registry.
pub const fn hop_id(module: &str, model: &str, field: &str, reverse: bool) -> u64 {
    const fn add(mut hash: u64, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x100_0000_01b3);
            i += 1;
        }
        (hash ^ 0xff).wrapping_mul(0x100_0000_01b3)
    }
    let hash = add(add(add(0xcbf2_9ce4_8422_2325, module), model), field);
    if reverse { add(hash, "<") } else { hash }
}

/// One column of a default order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderMeta {
    /// Index in `fields`.
    pub field: u16,
    /// From high to low.
    pub descending: bool,
}

/// An index over columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexMeta {
    /// Indexes in `fields`.
    pub fields: &'static [u16],
    /// No two rows have the same values.
    pub unique: bool,
}

impl ModelMeta {
    /// The primary key's column.
    pub fn pk_field(&self) -> &'static FieldMeta {
        &self.fields[usize::from(self.pk)]
    }

    /// A column by the field's name; `pk` is the primary key.
    pub fn field(&self, name: &str) -> Option<(u16, &'static FieldMeta)> {
        match self.fields.iter().position(|f| f.name == name) {
            Some(i) => Some((i as u16, &self.fields[i])),
            None if name == "pk" => Some((self.pk, self.pk_field())),
            None => None,
        }
    }

    /// True when both are the metadata of one model.
    pub fn is(&self, other: &ModelMeta) -> bool {
        std::ptr::eq(self, other)
    }
}

impl std::fmt::Debug for ModelMeta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.module, self.name)
    }
}

impl std::fmt::Debug for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}.{}{}",
            (self.owner)().name,
            self.relation().name,
            if self.reverse { "<" } else { "" }
        )
    }
}
