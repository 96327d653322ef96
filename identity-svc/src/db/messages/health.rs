//! Whether the database answers.

use diesel::QueryResult;
use diesel::connection::SimpleConnection;

use crate::db::connection::DbConnection;
use crate::db::{DbMessage, Mode};

/// Asks the database for nothing.
#[derive(Clone, Debug)]
pub struct CheckDatabase;

impl DbMessage for CheckDatabase {
    type Output = ();
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        connection.batch_execute("SELECT 1")
    }
}
