//! What a failed change means, where its end state may hold all the same.

use jml_core::provider::{Change, Cx, ErrorKind, Operation, Outcome, Provider, Result};

/// The outcome of a change from what the target answered.
///
/// - "Not found" is success for a change that takes away: whoever is gone holds nothing.
/// - "Already exists" is success for a grant.
/// - "Already exists" is success for a creation if the account carries the identity's id: an earlier
///   attempt made it, and its answer was lost. The account is looked up by [`Provider::read`].
///
/// # Errors
/// The error that was handed in, where it stays one.
pub async fn conclude<P: Provider + ?Sized>(
    provider: &P,
    cx: &Cx,
    change: &Change,
    answered: Result<Outcome>,
) -> Result<Outcome> {
    let error = match answered {
        Ok(outcome) => return Ok(outcome),
        Err(error) => error,
    };
    let gone = change.op.takes_away() || change.op == Operation::DeleteAccount;
    match (error.kind(), &change.op) {
        (ErrorKind::NotFound, _) if gone => Ok(Outcome::unchanged()),
        (ErrorKind::AlreadyExists, Operation::Grant { .. }) => Ok(Outcome::unchanged()),
        (ErrorKind::AlreadyExists, Operation::CreateAccount { external_id, .. }) => {
            let seen = provider.read(cx, &change.target()?).await?;
            let mine = seen.account().filter(|it| it.external_id.as_ref() == Some(external_id));
            mine.map(|it| Outcome::unchanged().with_account(it.id.clone())).ok_or(error)
        }
        _ => Err(error),
    }
}
