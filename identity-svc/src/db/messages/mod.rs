//! Units of work, grouped by what they are about. Each is one message and one transaction.

mod health;
mod janitor;
mod login;
mod login_attempts;
mod mails;
mod operator;
mod outbox;
mod own_sessions;
mod passwords;
mod profile;
mod registration;
mod revocations;
mod sessions;

pub use super::queries::outbox::{ClaimedJob, MailRow};
pub use super::queries::sessions::{LiveTimes, OwnSession};
pub use super::queries::users::User;
pub use health::CheckDatabase;
pub use janitor::{DeleteExpired, Deleted};
pub use login::{FindLogin, Login, OpenSession, OpenedSession};
pub use login_attempts::{Attempt, GiveBackAttempt, LoginLimit, ReserveAttempt, SettleAttempt};
pub use mails::{ConfirmEmail, FindVerification, RequestMail, RequestedMail};
pub use operator::{AmbiguousName, DeleteUser, FindAmbiguousNames, ImportPassword, SetActive};
pub use outbox::{
    ClaimOutboxBatch, CountPayloads, FindMails, FindOutboxDepth, HasDueJob, MarkDead, MarkRetry, MarkSent,
    MarkUnreadable, OutboxDepth, ReEncryptOutbox, ReEncrypted, RecordOutcomes, ReleaseAllClaims,
    ReleaseClaims,
};
pub use own_sessions::{EndOtherSessions, EndOwnSession, EndedOwn, FindOwnSessions, NoteUse};
pub use passwords::{ChangePassword, FindReset, FoundReset, ResetPassword, ResetToken};
pub use profile::{FindUser, UpdateProfile, UpdatedProfile};
pub use registration::{FindTaken, NewSession, NewUser, RegisterUser, Registered, Taken};
pub use revocations::{FindRevoked, Revoked};
pub use sessions::{
    FindSession, FoundSession, IsLegacyTokenUsed, RevokeSession, RotateSession, RotatedSession, SessionState,
    Successor, UseLegacyToken, UsedLegacyToken, is_in_grace,
};
