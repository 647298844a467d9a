//! Demijohn.
