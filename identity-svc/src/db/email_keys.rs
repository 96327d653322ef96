//! Brings the compared form of stored addresses to that of this release: domains in ASCII. SQL cannot compute it, so it is
//! done beside the migrations, each time, and finds nothing to do but the first.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;

use super::connection::DbConnection;
use super::schema::users;
use crate::domain::email_address;

/// Fills the new form in. Of two accounts that turn out to have one mailbox, the one whose address is in the new form
/// already keeps it, otherwise the older one; the other keeps its old form, by which nobody finds it, and logs in by its
/// username.
///
/// # Errors
/// What diesel says; nothing has changed then.
pub fn bring_up_to_date(connection: &mut DbConnection) -> QueryResult<()> {
    if find_international(connection)?.is_empty() {
        return Ok(());
    }
    let changed_count = connection.write(change).map_err(DieselError::from)?;
    if changed_count > 0 {
        log::info!("{changed_count} addresses are compared by the ASCII form of their domain now");
    }
    Ok(())
}

fn change(connection: &mut DbConnection) -> QueryResult<usize> {
    let mut changed_count = 0;
    for (user_id, old) in find_international(connection)? {
        let new = email_address::key(&old);
        if new == old {
            continue;
        }
        let taken = users::table.filter(users::email_key.eq(&new)).count();
        if taken.get_result::<i64>(connection)? > 0 {
            log::warn!(user_id; "another account has this account's address in another spelling: it logs in by its username only");
            continue;
        }
        changed_count += diesel::update(users::table.find(user_id))
            .set(users::email_key.eq(Some(new)))
            .execute(connection)?;
    }
    Ok(changed_count)
}

/// Accounts whose key has characters beyond ASCII, oldest first.
fn find_international(connection: &mut DbConnection) -> QueryResult<Vec<(i64, String)>> {
    let has_more_bytes_than_characters = match connection {
        DbConnection::Sqlite(_) => "length(CAST(email_key AS BLOB)) <> length(email_key)",
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => "octet_length(email_key) <> char_length(email_key)",
    };
    users::table
        .filter(sql::<Bool>(has_more_bytes_than_characters))
        .order(users::id)
        .select((users::id, users::email_key.assume_not_null()))
        .load(connection)
}
