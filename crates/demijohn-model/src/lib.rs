//! demijohn-model.
