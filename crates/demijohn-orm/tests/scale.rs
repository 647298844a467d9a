//! A hundred models in one cycle of foreign keys: compiles only because what a key has loaded is type-erased.
//! With the related type inside, rustc gives up on "is it Send?" at about 15 models.
#![allow(missing_docs, unused_crate_dependencies, dead_code, unreachable_pub)]

extern crate demijohn_orm as demijohn;

use demijohn_macros::model;
use demijohn_orm::{ForeignKey, Model};

macro_rules! cycle {
    ($($model:ident -> $next:ident $related:literal,)*) => {$(
        #[model]
        pub struct $model {
            pub id: i64,
            #[field(max_length = 20)]
            pub name: String,
            #[field(on_delete = cascade, related_name = $related)]
            pub next: ForeignKey<$next>,
        }
    )*};
}

cycle! {
    M0 -> M1 "m0s",
    M1 -> M2 "m1s",
    M2 -> M3 "m2s",
    M3 -> M4 "m3s",
    M4 -> M5 "m4s",
    M5 -> M6 "m5s",
    M6 -> M7 "m6s",
    M7 -> M8 "m7s",
    M8 -> M9 "m8s",
    M9 -> M10 "m9s",
    M10 -> M11 "m10s",
    M11 -> M12 "m11s",
    M12 -> M13 "m12s",
    M13 -> M14 "m13s",
    M14 -> M15 "m14s",
    M15 -> M16 "m15s",
    M16 -> M17 "m16s",
    M17 -> M18 "m17s",
    M18 -> M19 "m18s",
    M19 -> M20 "m19s",
    M20 -> M21 "m20s",
    M21 -> M22 "m21s",
    M22 -> M23 "m22s",
    M23 -> M24 "m23s",
    M24 -> M25 "m24s",
    M25 -> M26 "m25s",
    M26 -> M27 "m26s",
    M27 -> M28 "m27s",
    M28 -> M29 "m28s",
    M29 -> M30 "m29s",
    M30 -> M31 "m30s",
    M31 -> M32 "m31s",
    M32 -> M33 "m32s",
    M33 -> M34 "m33s",
    M34 -> M35 "m34s",
    M35 -> M36 "m35s",
    M36 -> M37 "m36s",
    M37 -> M38 "m37s",
    M38 -> M39 "m38s",
    M39 -> M40 "m39s",
    M40 -> M41 "m40s",
    M41 -> M42 "m41s",
    M42 -> M43 "m42s",
    M43 -> M44 "m43s",
    M44 -> M45 "m44s",
    M45 -> M46 "m45s",
    M46 -> M47 "m46s",
    M47 -> M48 "m47s",
    M48 -> M49 "m48s",
    M49 -> M50 "m49s",
    M50 -> M51 "m50s",
    M51 -> M52 "m51s",
    M52 -> M53 "m52s",
    M53 -> M54 "m53s",
    M54 -> M55 "m54s",
    M55 -> M56 "m55s",
    M56 -> M57 "m56s",
    M57 -> M58 "m57s",
    M58 -> M59 "m58s",
    M59 -> M60 "m59s",
    M60 -> M61 "m60s",
    M61 -> M62 "m61s",
    M62 -> M63 "m62s",
    M63 -> M64 "m63s",
    M64 -> M65 "m64s",
    M65 -> M66 "m65s",
    M66 -> M67 "m66s",
    M67 -> M68 "m67s",
    M68 -> M69 "m68s",
    M69 -> M70 "m69s",
    M70 -> M71 "m70s",
    M71 -> M72 "m71s",
    M72 -> M73 "m72s",
    M73 -> M74 "m73s",
    M74 -> M75 "m74s",
    M75 -> M76 "m75s",
    M76 -> M77 "m76s",
    M77 -> M78 "m77s",
    M78 -> M79 "m78s",
    M79 -> M80 "m79s",
    M80 -> M81 "m80s",
    M81 -> M82 "m81s",
    M82 -> M83 "m82s",
    M83 -> M84 "m83s",
    M84 -> M85 "m84s",
    M85 -> M86 "m85s",
    M86 -> M87 "m86s",
    M87 -> M88 "m87s",
    M88 -> M89 "m88s",
    M89 -> M90 "m89s",
    M90 -> M91 "m90s",
    M91 -> M92 "m91s",
    M92 -> M93 "m92s",
    M93 -> M94 "m93s",
    M94 -> M95 "m94s",
    M95 -> M96 "m95s",
    M96 -> M97 "m96s",
    M97 -> M98 "m97s",
    M98 -> M99 "m98s",
    M99 -> M0 "m99s",
}

fn is_send<T: Send + Sync>() {}

#[test]
fn a_cycle_of_a_hundred_models_compiles() {
    is_send::<M0>();
    is_send::<Vec<(M50, M99)>>();
    let query = M0::objects()
        .select_related(|m| m.next().next().next().next().next())
        .filter(|m| m.next().next().name.eq("x"));
    is_send::<demijohn_orm::QuerySet<M0>>();
    let sql = query.sql(demijohn_orm::Dialect::Sqlite).expect("it has a meaning");
    assert_eq!(sql.len(), 1);
    let mut meta = M0::meta();
    for _ in 0..100 {
        meta = (meta.relations[0].target)();
    }
    assert!(meta.is(M0::meta()), "the metadata of the cycle leads around it");
}
