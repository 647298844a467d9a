//! A small blog's metadata, written by hand: users (with managers and profiles), articles, comments, tags.
#![allow(dead_code, missing_docs, unreachable_pub)]

use demijohn_model::Error;
use demijohn_model::meta::*;
use demijohn_model::tape::*;
use demijohn_model::value::{Kind, Value};

const OPS: ModelOps = ModelOps {
    decode: |_| Err(Error::usage("the tests read rows as they are")),
    attach: |_, _, _| {},
};

const fn field(name: &'static str, kind: Kind) -> FieldMeta {
    FieldMeta {
        name,
        column: name,
        kind,
        ..FieldMeta::PLAIN
    }
}

const fn null(name: &'static str, kind: Kind) -> FieldMeta {
    FieldMeta {
        null: true,
        ..field(name, kind)
    }
}

const fn text(name: &'static str, max_length: u32) -> FieldMeta {
    FieldMeta {
        max_length: Some(max_length),
        ..field(name, Kind::Text)
    }
}

const fn key(name: &'static str, column: &'static str, relation: u16, null: bool) -> FieldMeta {
    FieldMeta {
        name,
        column,
        kind: Kind::BigInt,
        null,
        relation: Some(relation),
        ..FieldMeta::PLAIN
    }
}

const fn model(
    name: &'static str,
    table: &'static str,
    fields: &'static [FieldMeta],
    relations: &'static [RelationMeta],
    ordering: &'static [OrderMeta],
) -> ModelMeta {
    ModelMeta {
        name,
        module: "blog",
        table,
        fields,
        pk: 0,
        relations,
        ordering,
        indexes: &[],
        ops: OPS,
        verbose_name: name,
        verbose_name_plural: name,
        file: file!(),
        line: line!(),
    }
}

const fn to_one(field: u16, null: bool, unique: bool, on_delete: OnDelete) -> RelationKind {
    RelationKind::ToOne {
        field,
        null,
        unique,
        on_delete,
    }
}

macro_rules! relation {
    ($hop:ident, $back:ident, $owner:ident . $number:literal, $name:literal, $related:literal) => {
        pub static $hop: Hop = Hop {
            owner: || &$owner,
            relation: $number,
            reverse: false,
            id: hop_id("blog", stringify!($owner), $name, false),
        };
        pub static $back: Hop = Hop {
            owner: || &$owner,
            relation: $number,
            reverse: true,
            id: hop_id("blog", stringify!($owner), $name, true),
        };
    };
}

const fn related(
    name: &'static str,
    target: fn() -> &'static ModelMeta,
    kind: RelationKind,
    hop: &'static Hop,
    back: &'static Hop,
    related_name: &'static str,
) -> RelationMeta {
    RelationMeta {
        name,
        target,
        kind,
        hop,
        back: Some(back),
        related_name,
    }
}

relation!(MANAGER, REPORTS, USER.0, "manager", "reports");
pub static USER: ModelMeta = model(
    "User",
    "blog_user",
    &[
        field("id", Kind::BigInt),
        text("name", 100),
        FieldMeta {
            unique: true,
            ..text("email", 100)
        },
        key("manager", "manager_id", 0, true),
    ],
    &[related(
        "manager",
        || &USER,
        to_one(3, true, false, OnDelete::SetNull),
        &MANAGER,
        &REPORTS,
        "reports",
    )],
    &[],
);

relation!(PROFILE_USER, PROFILE, PROFILES.0, "user", "profile");
pub static PROFILES: ModelMeta = model(
    "Profile",
    "blog_profile",
    &[
        field("id", Kind::BigInt),
        key("user", "user_id", 0, false),
        field("bio", Kind::Text),
    ],
    &[related(
        "user",
        || &USER,
        to_one(1, false, true, OnDelete::Cascade),
        &PROFILE_USER,
        &PROFILE,
        "profile",
    )],
    &[],
);

pub static TAG: ModelMeta = ModelMeta {
    indexes: &[IndexMeta {
        fields: &[1, 2],
        unique: true,
    }],
    ..model(
        "Tag",
        "blog_tag",
        &[field("id", Kind::BigInt), text("name", 50), null("color", Kind::Text)],
        &[],
        &[],
    )
};

relation!(AUTHOR, ARTICLES, ARTICLE.0, "author", "articles");
relation!(EDITOR, EDITED, ARTICLE.1, "editor", "edited");
relation!(TAGS, TAGGED, ARTICLE.2, "tags", "articles");
pub const TAGS_TABLE: Through = Through {
    table: "blog_article_tags",
    source: "article_id",
    target: "tag_id",
};
pub static ARTICLE: ModelMeta = model(
    "Article",
    "blog_article",
    &[
        field("id", Kind::BigInt),
        FieldMeta {
            unique: true,
            ..text("title", 200)
        },
        null("subtitle", Kind::Text),
        field("views", Kind::BigInt),
        field("public", Kind::Bool),
        FieldMeta {
            index: true,
            ..field("published_at", Kind::DateTime)
        },
        key("author", "author_id", 0, false),
        key("editor", "editor_id", 1, true),
    ],
    &[
        related(
            "author",
            || &USER,
            to_one(6, false, false, OnDelete::Protect),
            &AUTHOR,
            &ARTICLES,
            "articles",
        ),
        related(
            "editor",
            || &USER,
            to_one(7, true, false, OnDelete::SetNull),
            &EDITOR,
            &EDITED,
            "edited",
        ),
        related(
            "tags",
            || &TAG,
            RelationKind::ManyToMany { through: TAGS_TABLE },
            &TAGS,
            &TAGGED,
            "articles",
        ),
    ],
    &[
        OrderMeta {
            field: 5,
            descending: true,
        },
        OrderMeta {
            field: 0,
            descending: false,
        },
    ],
);

relation!(COMMENT_ARTICLE, COMMENTS, COMMENT.0, "article", "comments");
relation!(COMMENT_USER, USER_COMMENTS, COMMENT.1, "user", "comments");
pub static COMMENT: ModelMeta = model(
    "Comment",
    "blog_comment",
    &[
        field("id", Kind::BigInt),
        key("article", "article_id", 0, false),
        key("user", "user_id", 1, true),
        field("text", Kind::Text),
        field("approved", Kind::Bool),
        null("day", Kind::Date),
    ],
    &[
        related(
            "article",
            || &ARTICLE,
            to_one(1, false, false, OnDelete::Cascade),
            &COMMENT_ARTICLE,
            &COMMENTS,
            "comments",
        ),
        related(
            "user",
            || &USER,
            to_one(2, true, false, OnDelete::Cascade),
            &COMMENT_USER,
            &USER_COMMENTS,
            "comments",
        ),
    ],
    &[],
);

pub fn models() -> [&'static ModelMeta; 5] {
    [&COMMENT, &ARTICLE, &TAG, &PROFILES, &USER]
}

/// A path over these steps.
pub fn path(hops: &[&'static Hop]) -> Path {
    hops.iter().fold(Path::ROOT, |path, hop| path.hop(hop))
}

/// A column, by the path to its model and its name there.
pub fn at(root: &'static ModelMeta, hops: &[&'static Hop], name: &str) -> Node {
    let path = path(hops);
    let (field, _) = path.target(root).field(name).expect("the field exists");
    Node::op(Op::Column { path, field })
}

/// A column of the query's own model.
pub fn col(root: &'static ModelMeta, name: &str) -> Node {
    at(root, &[], name)
}

/// A column of the query around.
pub fn outer(root: &'static ModelMeta, hops: &[&'static Hop], name: &str) -> Node {
    let path = path(hops);
    let (field, _) = path.target(root).field(name).expect("the field exists");
    Node::op(Op::Column {
        path: path.in_outer(),
        field,
    })
}

pub trait IntoNode {
    fn node(self) -> Node;
}
impl IntoNode for Node {
    fn node(self) -> Node {
        self
    }
}
impl IntoNode for i64 {
    fn node(self) -> Node {
        Node::param(Value::Int(self))
    }
}
impl IntoNode for &str {
    fn node(self) -> Node {
        Node::param(Value::Text(self.to_owned()))
    }
}
impl IntoNode for Value {
    fn node(self) -> Node {
        Node::param(self)
    }
}

/// `a op b`
pub fn two(a: impl IntoNode, op: Op, b: impl IntoNode) -> Node {
    a.node().then(b.node()).push(op)
}

pub fn eq(a: impl IntoNode, b: impl IntoNode) -> Node {
    two(a, Op::Eq, b)
}

pub fn not(a: Node) -> Node {
    a.push(Op::Not)
}

pub fn and(a: Node, b: Node) -> Node {
    two(a, Op::And, b)
}

pub fn or(a: Node, b: Node) -> Node {
    two(a, Op::Or, b)
}

pub fn in_(a: Node, values: impl IntoIterator<Item = impl IntoNode>) -> Node {
    let (mut node, mut count) = (a, 0);
    for value in values {
        node = node.then(value.node());
        count += 1;
    }
    node.push(Op::In(count))
}

/// Whole objects.
pub fn all(model: &'static ModelMeta) -> Query {
    Query {
        select: vec![Item::Model(Path::ROOT)],
        ..Query::new(model)
    }
}

/// These columns of rows that satisfy the condition, in no order.
pub fn values(
    model: &'static ModelMeta,
    columns: impl IntoIterator<Item = Node>,
    filter: impl Into<Option<Node>>,
) -> Query {
    Query {
        select: columns.into_iter().map(Item::Expr).collect(),
        filter: filter.into(),
        unordered: true,
        ..Query::new(model)
    }
}

/// The keys of rows that satisfy the condition, in no order.
pub fn ids(model: &'static ModelMeta, filter: Node) -> Query {
    values(model, [col(model, "id")], filter)
}
