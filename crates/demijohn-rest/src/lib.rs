//! demijohn-rest.
