//! Opens connections for r2d2. The check at check-out is off, since it costs a round trip each time: the executor throws
//! a dead connection away and takes another.

use diesel::r2d2::{HandleError, ManageConnection};

use super::connection::DbConnection;
use super::url::{DatabaseUrl, OpenError};

/// A connection in the pool, and whether it must not be used again.
pub struct Pooled {
    pub connection: DbConnection,
    pub is_spent: bool,
}

#[derive(Debug)]
pub struct Manager(pub DatabaseUrl);

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = OpenError;

    fn connect(&self) -> Result<Pooled, OpenError> {
        let connection = self.0.connect()?;
        Ok(Pooled {
            connection,
            is_spent: false,
        })
    }

    /// Not asked: the check at check-out is off.
    fn is_valid(&self, _: &mut Pooled) -> Result<(), OpenError> {
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.is_spent
    }
}

/// r2d2 reports every failed attempt of its background threads; the request that fails says it once, with its id.
#[derive(Debug)]
pub struct QuietErrors;

impl HandleError<OpenError> for QuietErrors {
    fn handle_error(&self, error: OpenError) {
        log::debug!("cannot open a database connection: {error}");
    }
}
