//! From the statement tree of `demijohn-model` to SQL text and parameters, per dialect.

use demijohn_model::driver::{Dialect, Step};
use demijohn_model::meta::ModelMeta;
use demijohn_model::tape::Statement;
use demijohn_model::{Error, Result};

/// Compiles a statement.
///
/// # Errors
/// When the statement is built in a way that has no meaning.
pub fn compile(statement: &Statement, dialect: Dialect) -> Result<Step> {
    let _ = (statement, dialect);
    Err(Error::usage("not there yet"))
}

/// The statements that create the tables of models.
pub fn create_tables(models: &[&'static ModelMeta], dialect: Dialect) -> Vec<String> {
    let _ = (models, dialect);
    Vec::new()
}
