//! demijohn-web.
