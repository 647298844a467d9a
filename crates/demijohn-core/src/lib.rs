//! demijohn-core.
