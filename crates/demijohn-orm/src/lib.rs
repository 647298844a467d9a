//! demijohn-orm.
