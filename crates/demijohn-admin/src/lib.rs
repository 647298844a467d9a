//! demijohn-admin.
