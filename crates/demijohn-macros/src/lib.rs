//! demijohn-macros.
