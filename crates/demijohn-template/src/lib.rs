//! demijohn-template.
