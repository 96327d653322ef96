//! Mails that somebody asks for, and the confirmation of an address.

use diesel::QueryResult;
use diesel::result::Error as DieselError;

use crate::db::connection::DbConnection;
use crate::db::queries::mail_requests;
use crate::db::queries::one_time_secrets::{self, InsertSecret};
use crate::db::queries::outbox::{self, InsertOutboxRow, OutboxState};
use crate::db::queries::users::{self, User};
use crate::db::{DbMessage, Mode};
use crate::domain::username;
use crate::mail_draft::{MailDraft, NoticeDraft};
use crate::tokens::one_time::Purpose;

/// What the budgets of mails count.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// How many addresses' mails an hour one client may ask for: an office behind one address has several people.
const ADDRESSES_OF_A_CLIENT: u32 = 10;

/// Stores the secret of a mail and the job that sends it, in the transaction of its cause.
pub(super) fn insert_mail(connection: &mut DbConnection, mail: &MailDraft, user: &User) -> QueryResult<()> {
    let secret = InsertSecret {
        digest: &mail.digest(),
        purpose: mail.purpose.as_str(),
        user_id: user.id,
        created_at_ms: mail.created_at_ms,
        expires_at_ms: mail.expires_at_ms(),
    };
    one_time_secrets::insert_secret(connection, &secret)?;
    let payload = mail
        .payload(&user.email, shown_name(user), &user.uid)
        .map_err(|error| DieselError::SerializationError(Box::new(error)))?;
    let recipient = user.email_key.as_deref().unwrap_or_default();
    insert_outbox_row(connection, mail, recipient, &payload, OutboxState::Waiting)
}

/// An address that nobody has confirmed may be a stranger's: no link of the registrant's choice goes there.
fn shown_name(user: &User) -> &str {
    match user.is_email_verified || !username::looks_like_link(&user.username) {
        true => &user.username,
        false => "",
    }
}

/// Tells the owner of an account that the password has changed, in the transaction of the change. An account without an
/// address is told nothing.
pub(super) fn insert_notice(
    connection: &mut DbConnection,
    notice: &NoticeDraft,
    user: &User,
) -> QueryResult<()> {
    let Some(recipient) = user.email_key.as_deref().filter(|key| !key.is_empty()) else {
        return Ok(());
    };
    if notice.mails_per_hour > 0 {
        let since_ms = notice.created_at_ms.saturating_sub(HOUR_MS);
        let recent = outbox::count_recent(connection, recipient, NoticeDraft::KIND, since_ms)?;
        if recent >= i64::from(notice.mails_per_hour) {
            return Ok(());
        }
    }
    let payload = notice
        .payload(&user.email, &user.username)
        .map_err(|error| DieselError::SerializationError(Box::new(error)))?;
    let row = InsertOutboxRow {
        job_id: &notice.job_id,
        kind: NoticeDraft::KIND,
        recipient,
        payload: &payload,
        state: OutboxState::Waiting.as_str(),
        created_at_ms: notice.created_at_ms,
        due_at_ms: notice.created_at_ms,
        failed_attempts: 0,
        finished_at_ms: None,
    };
    outbox::insert_row(connection, &row)
}

fn insert_outbox_row(
    connection: &mut DbConnection,
    mail: &MailDraft,
    recipient: &str,
    payload: &str,
    state: OutboxState,
) -> QueryResult<()> {
    let row = InsertOutboxRow {
        job_id: &mail.job_id,
        kind: mail.purpose.as_str(),
        recipient,
        payload,
        state: state.as_str(),
        created_at_ms: mail.created_at_ms,
        due_at_ms: mail.created_at_ms,
        failed_attempts: 0,
        finished_at_ms: (state == OutboxState::Suppressed).then_some(mail.created_at_ms),
    };
    outbox::insert_row(connection, &row)
}

/// Somebody asks for a mail to an address. The answer must not tell whether the address has an account, so the work
/// is the same either way: a row is written for unknown addresses too, and the budget counts both. A client can ask for so
/// many an hour, whatever the addresses, and leaves no row beyond that.
#[derive(Clone, Debug)]
pub struct RequestMail {
    /// The client's network.
    pub client: String,
    /// Lower-case.
    pub email_key: String,
    pub mail: MailDraft,
    /// Mails of this kind to this address an hour; 0: no limit.
    pub mails_per_hour: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedMail {
    /// A mail job was written.
    Queued,
    /// The address wants no mail, or has had enough.
    NotSent,
    /// The client has asked for too many.
    ClientHasHadEnough,
}

impl DbMessage for RequestMail {
    type Output = RequestedMail;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<RequestedMail> {
        let mail = &self.mail;
        if self.mails_per_hour > 0 {
            let since_ms = mail.created_at_ms.saturating_sub(HOUR_MS);
            let limit = self.mails_per_hour.saturating_mul(ADDRESSES_OF_A_CLIENT);
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            let (client, now_ms) = (&self.client, mail.created_at_ms);
            if !mail_requests::upsert_unless_used_up(connection, client, limit, now_ms, since_ms)? {
                return Ok(RequestedMail::ClientHasHadEnough);
            }
            // Simultaneous requests are counted one after the other.
            outbox::lock_recipient(connection, &self.email_key)?;
            let recent = outbox::count_recent(connection, &self.email_key, mail.purpose.as_str(), since_ms)?;
            if recent >= i64::from(self.mails_per_hour) {
                return Ok(RequestedMail::NotSent);
            }
        }
        let user = users::find_by_email(connection, &self.email_key)?;
        let wants_it = |user: &User| match mail.purpose {
            Purpose::VerifyEmail => !user.is_email_verified,
            Purpose::ResetPassword => user.is_active,
        };
        let Some(user) = user.filter(wants_it) else {
            insert_outbox_row(connection, mail, &self.email_key, "", OutboxState::Suppressed)?;
            return Ok(RequestedMail::NotSent);
        };
        if mail.purpose == Purpose::ResetPassword {
            // Comes before or after a change of the password, which voids reset tokens, but not in the middle of it.
            users::find_and_lock(connection, user.id)?;
            // A newer reset voids the older ones; verification keys stay good until one is used.
            one_time_secrets::delete_all_of(connection, user.id, mail.purpose)?;
        }
        insert_mail(connection, mail, &user)?;
        Ok(RequestedMail::Queued)
    }
}

/// Whether a verification key is good. Uses nothing up.
#[derive(Clone, Debug)]
pub struct FindVerification {
    pub digest: String,
    pub now_ms: i64,
}

impl DbMessage for FindVerification {
    type Output = bool;
    const MODE: Mode = Mode::Read;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        let owner =
            one_time_secrets::find_owner(connection, &self.digest, Purpose::VerifyEmail, self.now_ms)?;
        Ok(owner.is_some())
    }
}

/// Uses a verification key up, and with it all others of the account.
#[derive(Clone, Debug)]
pub struct ConfirmEmail {
    pub digest: String,
    pub now_ms: i64,
}

impl DbMessage for ConfirmEmail {
    /// Whether the key was good.
    type Output = bool;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<bool> {
        let purpose = Purpose::VerifyEmail;
        let Some(user_id) = one_time_secrets::find_owner(connection, &self.digest, purpose, self.now_ms)?
        else {
            return Ok(false);
        };
        users::find_and_lock(connection, user_id)?;
        if !one_time_secrets::delete_live(connection, &self.digest, purpose, user_id, self.now_ms)? {
            return Ok(false);
        }
        one_time_secrets::delete_all_of(connection, user_id, purpose)?;
        users::update_email_verified(connection, user_id)?;
        Ok(true)
    }
}
