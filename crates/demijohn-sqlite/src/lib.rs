//! demijohn-sqlite.
