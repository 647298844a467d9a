//! demijohn-sql.
